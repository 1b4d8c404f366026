# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One block of lines in /etc/hosts: names and their addresses."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import blocks, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.blocks import Markers
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._names import dns_problem, is_address

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:\[\]-]{0,199}")


@dataclasses.dataclass(frozen=True)
class Entry:
    """An address and the names that it has."""

    address: str
    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The block's name, its lines, and the blocks of other tools that it takes the place of. Without entries: no block."""

    name: str
    entries: tuple[Entry, ...]
    replaces: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Plan:
    """What it takes, if anything, and lines of others that speak of the same names."""

    change: Write | None
    warnings: list[str]


def read_entries(given: t.Sequence[dict[str, t.Any]]) -> tuple[Entry, ...]:
    """Check entries of the parameter of that name. Raises HoldfastError naming the place."""
    found = []
    for number, entry in enumerate(given):
        place = f"entries[{number}]"
        if not is_address(entry["address"]):
            raise HoldfastError(f"{place}.address: {entry['address']!r} is not an IP address; use 192.0.2.10 or 2001:db8::10, without brackets")
        if not entry["names"]:
            raise HoldfastError(f"{place}.names: is empty; use [registry.example.org]")
        for each, name in enumerate(entry["names"]):
            problem = dns_problem(name)
            if problem:
                raise HoldfastError(f"{place}.names[{each}]: {name!r} {problem}; use registry.example.org")
        found.append(Entry(entry["address"], tuple(dict.fromkeys(entry["names"]))))
    return tuple(found)


def check_label(text: str, parameter: str) -> None:
    """Refuse what cannot be part of a comment that marks a block."""
    if not _LABEL.fullmatch(text):
        raise HoldfastError(f"{parameter}: {text!r} cannot name a block; use letters, digits, blanks and any of ._:[]-, at most 200")


def label(name: str) -> str:
    """What the comments that mark the block of a name say."""
    return f"holdfast.registry.hosts_entries {name}"


def plan(path: str, wanted: Wanted) -> Plan:
    """Compare the file with what is wanted. Nothing is changed."""
    before = whole.read_bytes(path)
    lines = blocks.read(before or b"")
    markers = Markers.of(label(wanted.name))
    place = None
    for each in [*(Markers.of(other) for other in wanted.replaces), markers]:
        lines, found = blocks.without(path, lines, each)
        place = found if found is not None else place
    warnings = _warnings(path, lines, wanted.entries)
    if wanted.entries:
        body = [f"{entry.address} {' '.join(entry.names)}" for entry in wanted.entries]
        # At the top, so that no older line for the name comes first.
        place = place or 0
        lines = [*blocks.with_end(lines[:place]), *blocks.block(markers, body), *lines[place:]]
    after = blocks.written(lines)
    if after == (before or b""):
        return Plan(None, warnings)
    why = ("added" if before is None else "block changed") if wanted.entries else "block removed"
    return Plan(Write(path, why, after, Ownership(0o644 if before is None else None), before), warnings)


def missing_directory(path: str) -> str:
    """What is wrong where there is no directory for the file; "" where there is one."""
    directory = os.path.dirname(os.path.realpath(path))
    return "" if os.path.isdir(directory) else f"path: the directory {directory} does not exist; make it first"


def apply(path: str, wanted: Wanted) -> Plan:
    """Make what plan() says, one run at a time. Returns what was made."""
    with locked(path):
        todo = plan(path, wanted)
        if todo.change:
            try:
                todo.change.apply()
            except HoldfastError as error:
                # Inside a container the file is a mount, which nothing can be renamed over.
                if getattr(error.__cause__, "errno", None) != errno.EBUSY:
                    raise
                _write_in_place(path, todo.change.content)
    return todo


def _write_in_place(path: str, content: bytes) -> None:
    try:
        with open(path, "r+b") as file:
            file.write(content)
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be written: {error.strerror}") from error


def _warnings(path: str, lines: list[str], entries: tuple[Entry, ...]) -> list[str]:
    """Others' lines are not changed, but programs get their addresses as well."""
    wanted: dict[str, set[str]] = {}
    for entry in entries:
        for name in entry.names:
            wanted.setdefault(name.lower(), set()).add(entry.address)
    found = []
    for line in lines:
        words = line.partition("#")[0].split()
        for name in words[1:]:
            if words[0] not in wanted.get(name.lower(), {words[0]}):
                found.append(f"{path}: a line that is not this module's gives {name} the address {words[0]} as well; remove it if it is out of date")
    return found
