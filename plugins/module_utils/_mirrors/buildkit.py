# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One block of ours in buildkitd.toml: mirrors, and what registries are trusted by."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _toml
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import blocks, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.blocks import Markers
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.wanted import Wanted, kept_under


def plan(path: str, wanted: Wanted) -> list[Change]:
    """What it takes for the block to say this, a new one at the end of the file. Nothing is changed."""
    before = whole.read_bytes(path)
    lines, place = blocks.read(before or b""), None
    for name in reversed(wanted.names):
        lines, found = blocks.without(path, lines, Markers.of(_label(name)))
        place = found if found is not None else place
    if not wanted.endpoints and place is None:
        return []
    body = list(_body(_toml.parse(blocks.written(lines), path), wanted, path, lines))
    if body:
        lines = blocks.with_end(lines)
        place = len(lines) if place is None else place
        lines = [*lines[:place], *blocks.block(Markers.of(_label(wanted.name)), body), *lines[place:]]
    after = blocks.written(lines)
    if after == (before or b""):
        return []
    if not after:
        return Remove.plan(path)
    return [Write(path, "block changed" if body else "block removed", after, Ownership(0o644 if before is None else None), before)]


def _label(name: str) -> str:
    return f"holdfast.registry.registry_mirrors {name}"


def _kept_under(lines: t.Sequence[str]) -> str | None:
    """The name of the block that goes on after these lines."""
    begin, end = Markers.of(_label(""))
    last = next((line.strip() for line in reversed(lines) if line.strip().startswith((begin, end))), "")
    return last[len(begin) :] if last.startswith(begin) else None


def _body(others: _toml.Document, wanted: Wanted, path: str, lines: t.Sequence[str]) -> t.Iterator[str]:
    for upstream, endpoints in wanted.mirrors.items():
        there = others.at(("registry", upstream))
        if there is None:
            yield f"[registry.{_toml.quoted(upstream)}]"
            yield f"  mirrors = {_array(endpoints)}"
        else:
            missing = [endpoint for endpoint in endpoints if endpoint not in (there.get("mirrors") or [] if isinstance(there, dict) else [])]
            if missing:
                line = others.line_of(("registry", upstream))
                other = _kept_under(lines[:line]) if line else None
                if other:
                    raise kept_under(other, f"{path}: line {line}")
                raise HoldfastError(
                    f"{path}: line {line} has [registry.{_toml.quoted(upstream)}] already; add {_array(missing)} to its mirrors, "
                    "or remove it, or leave buildkit out of clients"
                )
    for endpoint in wanted.endpoints if wanted.ca or wanted.client else []:
        # Who has written such a table has said what to trust.
        if endpoint in wanted.mirrors or others.at(("registry", endpoint)) is not None:
            continue
        yield f"[registry.{_toml.quoted(endpoint)}]"
        if wanted.ca:
            yield f"  ca = {_array([wanted.ca])}"
        if wanted.client:
            yield f"  [[registry.{_toml.quoted(endpoint)}.keypair]]"
            yield f"    key = {_toml.quoted(wanted.client[1])}"
            yield f"    cert = {_toml.quoted(wanted.client[0])}"


def _array(texts: t.Iterable[str]) -> str:
    return f"[{', '.join(_toml.quoted(text) for text in texts)}]"
