# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the runs of the tests share what Ansible makes of the same sources in each run, and some of it in each task.

Kept for the next process or run, under a digest of all sources:

- modules, packed with all that they import: a fifth of a second of the processor for each
- the compiled Python of collections, for which Ansible's loader has no cache
- the compiled code of templates and expressions, which each task compiles in a process of its own

It also has Python look for unreachable objects rarely, and Ansible ask less often whether a task has ended: runs share the processors here, and are short.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import hashlib
import marshal
import os
import pathlib
import shutil
import sys
import types
import typing as t

import ansible
import jinja2
from ansible import constants
from ansible._internal._templating import _jinja_bits
from ansible.plugins.callback import CallbackBase
from ansible.utils.collection_loader import _collection_finder

DOCUMENTATION = """
name: kept_work
type: aggregate
short_description: Lets the runs of the tests share what Ansible makes of the same sources
description: For the tests of this collection. Everything is made again as soon as a file of a plugin or module changes.
"""

PROJECT = pathlib.Path(__file__).parents[3]
KEPT = PROJECT / ".cache/lab/kept"


def digest() -> str:
    """Of all that can be in a packed module of this collection or of Ansible's own, or say how a template is compiled."""
    found = hashlib.sha256(f"{ansible.__version__} {jinja2.__version__} {sys.version} {ansible.__file__}".encode())
    for path in sorted((PROJECT / "plugins").glob("**/*.py")):
        found.update(f"{path}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


def put(kept: pathlib.Path, content: bytes) -> None:
    """Write a file in one step: another process may be looking. It may also have removed the directory, as one of former sources."""
    written = kept.with_name(f".{kept.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        written.write_bytes(content)
        written.rename(kept)


class Compiled:
    """Code in a directory, a file each."""

    def __init__(self, directory: pathlib.Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory

    def get(self, key: tuple[object, ...]) -> types.CodeType | None:
        try:
            return t.cast("types.CodeType", marshal.loads(self._path(key).read_bytes()))
        except (OSError, EOFError, ValueError, TypeError):
            return None

    def put(self, key: tuple[object, ...], code: types.CodeType) -> types.CodeType:
        put(self._path(key), marshal.dumps(code))
        return code

    def _path(self, key: tuple[object, ...]) -> pathlib.Path:
        return self.directory / hashlib.sha256(repr(key).encode(errors="surrogateescape")).hexdigest()[:32]


def keep_python(kept: Compiled) -> None:
    """Have the loader of collections ask for compiled code first: it finds this `compile` before Python's own."""

    def compile(source: str | bytes, filename: str, **more: t.Any) -> types.CodeType:
        key = ("python", str(filename), bytes(source) if isinstance(source, bytes) else str(source), sorted(more.items()))
        return kept.get(key) or kept.put(key, builtins.compile(source=source, filename=filename, **more))

    _collection_finder.compile = compile  # type: ignore[attr-defined]


def keep_templates(kept: Compiled) -> None:
    """Have Jinja ask for compiled code first."""
    environment = _jinja_bits.AnsibleEnvironment
    compile_template, compile_expression = environment.compile, environment.compile_expression
    expressions: list[tuple[object, ...]] = []  # those that are being compiled, of which Jinja makes templates

    def key_of(self: t.Any, kind: str, source: str, *more: object) -> tuple[object, ...]:
        context = _jinja_bits._TemplateCompileContext.current(optional=True)
        syntax = [str(getattr(self, name)) for name in _jinja_bits._TEMPLATE_OVERRIDE_FIELD_NAMES]
        return (kind, str(source), type(self).__name__, bool(context and context.escape_backslashes), syntax, *more)

    def template(self: t.Any, source: t.Any, name: t.Any = None, filename: t.Any = None, raw: bool = False, defer_init: bool = False) -> t.Any:
        if raw or not isinstance(source, str):
            code = compile_template(self, source, name, filename, raw, defer_init)
            return code if raw or not expressions else kept.put(expressions[-1], code)
        key = key_of(self, "template", source, str(name), str(filename), defer_init)
        return kept.get(key) or kept.put(key, compile_template(self, source, name, filename, raw, defer_init))

    def expression(self: t.Any, source: str, undefined_to_none: bool = True) -> t.Any:
        key = key_of(self, "expression", source)
        if code := kept.get(key):
            made = self.template_class.from_code(self, code, self.make_globals(None), None)
            return jinja2.environment.TemplateExpression(made, undefined_to_none)
        expressions.append(key)
        try:
            return compile_expression(self, source, undefined_to_none)
        finally:
            expressions.pop()

    environment.compile, environment.compile_expression = template, expression


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_work"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # before any fork: the memory stays shared
        gc.set_threshold(100_000, 50, 50)
        constants.DEFAULT_INTERNAL_POLL_INTERVAL = 0.01
        kept = KEPT / digest()
        if not kept.exists():  # those of former sources are of no use any more
            shutil.rmtree(KEPT, ignore_errors=True)
        keep_python(Compiled(kept / "code"))
        keep_templates(Compiled(kept / "code"))
        self._modules = kept / "modules"
        self._modules.mkdir(parents=True, exist_ok=True)
        # Ansible's own directory for this, which goes with the run.
        self._used = pathlib.Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
        shutil.copytree(self._modules, self._used, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))

    def v2_playbook_on_stats(self, _stats: object) -> None:
        for path in self._used.glob("*"):
            kept = self._modules / path.name
            if path.suffix != ".lock" and not kept.exists():
                put(kept, path.read_bytes())
