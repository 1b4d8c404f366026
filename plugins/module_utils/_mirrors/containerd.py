# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""config_path in containerd's config.toml, which makes its plugin CRI read hosts.toml. ctr and nerdctl do not need it."""

from __future__ import annotations

import glob
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _toml
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import blocks, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.blocks import Markers
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.wanted import Wanted

_MARKERS = Markers.of("holdfast.registry.registry_mirrors")
_FOR, _WAS = "# for ", "# was: "
_NEW = "version = 2"  # which 1.x and 2.x read
# The plugin that pulls, by the version of the configuration's form.
_PLUGINS = {1: "cri", 2: "io.containerd.grpc.v1.cri", 3: "io.containerd.cri.v1.images"}
_NAMES = {"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images"}
_EMPTY = re.compile(r"""\s*config_path\s*=\s*(""|'')\s*(#.*)?""")


def plan(run_program: Run, path: str, wanted: Wanted, directory: str | None) -> list[Change]:
    """What it takes for containerd to read directory on behalf of a name; None, no longer on its behalf. Nothing is changed."""
    before = whole.read_bytes(path)
    lines, names = _without_block(path, blocks.read(before or b""))
    names = sorted({*names} - {*wanted.names} | ({wanted.name} if directory else set()))
    if names and directory is None:
        # Others go on needing it: what is there stays, but for the name.
        directory = _directory(before or b"")
    if names and directory:
        content = blocks.written(lines)
        is_new = not content.strip()
        document = _toml.parse(_NEW.encode() if is_new else content, path)
        lines = _with_block(path, lines, document, directory, names, is_new=is_new)
        if wanted.name in names:
            _refuse_imported(run_program, path, document, directory)
    after = blocks.written(lines)
    if after == (before or b"") or (before is None and not names):
        return []
    if not after:
        return Remove.plan(path)
    return [Write(path, "config_path set" if names else "config_path no longer set", after, Ownership(0o644 if before is None else None), before)]


def _without_block(path: str, lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines as they would be without ours, and the names that ours are there for."""
    left, place = blocks.without(path, lines, _MARKERS)
    if place is None:
        return left, []
    body = [line.strip() for line in lines[place + 1 : place + 1 + len(lines) - len(left) - 2]]
    names = [name for line in body if line.startswith(_FOR) for name in line[len(_FOR) :].split()]
    # With the end that the line had, which may be that of Windows.
    was = [lines[place + 1 + number].lstrip()[len(_WAS) :] for number, line in enumerate(body) if line.startswith(_WAS)]
    return [*left[:place], *was, *left[place:]], names


def _directory(content: bytes) -> str | None:
    match = re.search(re.escape(_MARKERS.begin) + r".*?^\s*config_path = \"(.*?)\"$", content.decode("utf-8", "replace"), re.DOTALL | re.MULTILINE)
    return match[1] if match else None


def _with_block(path: str, lines: list[str], document: _toml.Document, directory: str, names: t.Sequence[str], *, is_new: bool) -> list[str]:
    lines = blocks.with_end(lines)
    version = document.data.get("version", 1)
    if _is_disabled(document):
        return lines
    if not isinstance(version, int) or version < 1:
        raise HoldfastError(f"{path}: its version is {version!r}, and only 1, 2 and 3 are known; set config_path by hand and leave containerd out of clients")
    key = ("plugins", _PLUGINS[min(version, 3)], "registry")
    there = document.at(key)
    line = document.line_of(key)
    _refuse(path, key, there, line, directory, document)
    if isinstance(there, dict) and there.get("config_path"):
        return lines
    head = f"{_FOR}{' '.join(names)}"
    setting = f"  config_path = {_toml.quoted(directory)}"
    if line is None:
        return [*lines, *blocks.block(_MARKERS, [head, *([_NEW] if is_new else []), f"[plugins.{_quoted_key(key[1])}.registry]", setting])]
    if isinstance(there, dict) and "config_path" in there:
        # The form that `containerd config default` writes. It may be there in another table as well, or in a text of several lines.
        for number in (number for number in range(line, len(lines)) if _EMPTY.fullmatch(lines[number].rstrip("\r\n"))):
            was = lines[number].rstrip("\n")
            new = [*lines[:number], *blocks.block(_MARKERS, [head, f"{_WAS}{was}", setting]), *lines[number + 1 :]]
            if _sets(new, key, directory):
                return new
        raise HoldfastError(f"{path}: sets config_path to nothing in a way that is not known; set it to {directory} by hand")
    return [*lines[:line], *blocks.block(_MARKERS, [head, setting]), *lines[line:]]


def _sets(lines: list[str], key: _toml.Key, directory: str) -> bool:
    found = _toml.parse(blocks.written(lines), "").at(key)
    return isinstance(found, dict) and found.get("config_path") == directory


def _quoted_key(plugin: str) -> str:
    return plugin if "." not in plugin else _toml.quoted(plugin)


def _refuse(path: str, key: _toml.Key, there: t.Any, line: int | None, directory: str, document: _toml.Document) -> None:
    """Raise HoldfastError where config_path could not be set, or containerd would refuse it."""
    if there is None:
        return
    at = f"{path}: line {line}" if line else path
    is_implicit = any(table.key[: len(key)] == key for table in document.tables)
    if not isinstance(there, dict) or (line is None and not is_implicit):
        raise HoldfastError(f"{at}: writes {'.'.join(key)} without a header of its own; set config_path to {directory} there by hand")
    if there.get("config_path"):
        _refuse_other(at, there["config_path"], directory)
    elif _has_older_settings(there):
        raise _older_settings(at, directory)


def _refuse_other(at: str, found: t.Any, directory: str) -> None:
    if os.path.normpath(directory) not in [os.path.normpath(each) for each in str(found).split(":")]:
        raise HoldfastError(f"{at}: config_path is {found!r}, so containerd does not read {directory}; add it, as {found}:{directory}, or remove the setting")


def _older_settings(at: str, directory: str) -> HoldfastError:
    return HoldfastError(
        f"{at}: sets registry.mirrors or registry.configs.*.tls, and containerd accepts no config_path together with them; "
        f"move them to hosts.toml files below {directory}, or leave containerd out of clients"
    )


def _is_disabled(document: _toml.Document) -> bool:
    disabled = document.at(("disabled_plugins",))
    return isinstance(disabled, list) and bool(_NAMES & {str(each) for each in disabled})


def _has_older_settings(registry: _toml.Data) -> bool:
    configs = registry.get("configs")
    return bool(registry.get("mirrors")) or any(isinstance(each, dict) and each.get("tls") for each in (configs.values() if isinstance(configs, dict) else ()))


def _refuse_imported(run_program: Run, path: str, document: _toml.Document, directory: str) -> None:
    """Raise HoldfastError where a file that this one imports would keep config_path from having an effect."""
    if _is_disabled(document):
        return
    for imported, data in _imported(path, document):
        for name, registry in _registries(data):
            if registry.get("config_path"):
                _refuse_other(imported, registry["config_path"], directory)
            elif _has_older_settings(registry):
                raise _older_settings(imported, directory)
            elif _is_first_containerd(run_program):
                raise HoldfastError(
                    f"{imported}: has a table of the plugin {name}, and containerd 1 takes all settings of a plugin from the last file that has some. "
                    f"So config_path in {path} has no effect; set it to {directory} below [plugins.{_quoted_key(name)}.registry] in {imported} too"
                )


def _registries(data: _toml.Data) -> t.Iterator[tuple[str, _toml.Data]]:
    """What a file has of the plugin that pulls, under each of its names: the settings of registries, which may be none."""
    plugins = data.get("plugins")
    for name, plugin in plugins.items() if isinstance(plugins, dict) else ():
        if name in _NAMES:
            registry = plugin.get("registry") if isinstance(plugin, dict) else None
            yield name, registry if isinstance(registry, dict) else {}


def _is_first_containerd(run_program: Run) -> bool:
    """Whether this is containerd 1. From 2 on, the settings of a plugin in several files are merged."""
    done = run_program("containerd", "--version")
    return done.code == 0 and re.search(r"\sv?1\.[0-9]+\.", done.out) is not None


def _imported(path: str, document: _toml.Document) -> t.Iterator[tuple[str, _toml.Data]]:
    """The files that a configuration imports, and those that these do, each once."""
    seen, todo = {os.path.realpath(path)}, [(path, document)]
    while todo:
        importing, found = todo.pop(0)
        named = found.data.get("imports")
        for pattern in named if isinstance(named, list) else []:
            place = os.path.join(os.path.dirname(importing), str(pattern))
            for each in sorted(glob.glob(place)) if "*" in place else [place]:
                if os.path.realpath(each) in seen or not os.path.isfile(each):
                    continue
                seen.add(os.path.realpath(each))
                todo.append((each, _toml.parse(whole.read_bytes(each) or b"", each)))
                yield each, todo[-1][1].data
