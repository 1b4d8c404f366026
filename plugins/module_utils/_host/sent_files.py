# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories, files and links that a host is to have: read from a module's parameters, and planned as changes."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import (
    Change,
    Link,
    MakeDirectory,
    Remove,
    RemoveDirectory,
    SetMode,
    Write,
    apply,
    as_text,
)
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.staging import Validation
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE


@dataclasses.dataclass(frozen=True)
class Directory:
    path: str
    ownership: Ownership
    purge: str | None


@dataclasses.dataclass(frozen=True)
class File:
    path: str
    content: bytes
    ownership: Ownership
    secret: bool
    keep: bool
    original: str | None


@dataclasses.dataclass(frozen=True)
class Wanted:
    """All that one call is to bring about. Warnings are about what only check mode lets pass."""

    directories: list[Directory]
    files: list[File]
    links: dict[str, str]
    absent: list[str]
    validation: Validation | None
    warnings: list[str]

    @classmethod
    def of(cls, params: dict[str, t.Any], check_mode: bool, coming: t.Container[str] = ()) -> Wanted:
        """Read module parameters. coming are users that may be missing yet. Raises HoldfastError with all that is wrong with them."""
        reader = _Reader(check_mode, coming)
        directories = [
            Directory(reader.path(entry["path"], place), reader.ownership(entry, place), entry["purge"])
            for place, entry in _numbered("directories", params["directories"])
        ]
        wanted_files = [
            File(
                reader.path(entry["path"], place),
                entry["content"].encode(),
                reader.ownership(entry, place),
                entry["secret"],
                entry["keep"],
                entry["original"] and reader.path(entry["original"], f"{place}.original"),
            )
            for place, entry in _numbered("files", params["files"])
        ]
        links = {reader.path(entry["path"], place): reader.check(entry["target"], f"{place}.target") for place, entry in _numbered("links", params["links"])}
        absent = [reader.path(path, place) for place, path in _numbered("absent", params["absent"])]
        reader.refuse_doubles([entry.path for entry in wanted_files] + list(links) + absent)
        validation = params["validate"] and Validation(reader.path(params["validate"]["directory"], "validate.directory"), params["validate"]["command"])
        if reader.problems:
            raise HoldfastError("; ".join(reader.problems))
        return cls(directories, wanted_files, links, absent, validation, reader.warnings)


class _Reader:
    """Collects what is wrong instead of stopping at the first."""

    def __init__(self, check_mode: bool, coming: t.Container[str]) -> None:
        self._check_mode, self._coming = check_mode, coming
        self.problems: list[str] = []
        self.warnings: list[str] = []

    def path(self, path: str, place: str) -> str:
        self.check(path, place)
        if not path.startswith("/") or os.path.normpath(path) != path.rstrip("/"):
            self.problems.append(f"{place}: {path!r} is not an absolute path without . and ..")
        return path.rstrip("/")

    def check(self, text: str, place: str) -> str:
        if "\0" in text:
            self.problems.append(f"{place}: {text!r} must not contain a NUL character")
        return text

    def ownership(self, entry: dict[str, t.Any], place: str) -> Ownership:
        if not re.fullmatch("[0-7]{4}", entry["mode"]):
            self.problems.append(f"{place}.mode: {entry['mode']!r} is not an octal number of four digits in quotes, such as '0640'")
            return Ownership()
        owner, group = (self._known(entry[kind], kind, place) for kind in ("owner", "group"))
        try:
            return Ownership.of(entry["mode"], owner, group)
        except HoldfastError as error:
            self.problems.append(f"{place}.{error}")
            return Ownership()

    def _known(self, name: str, kind: str, place: str) -> str | None:
        """The name, or None with a warning where check mode looks at a host on which a package has yet to make that user or group."""
        try:
            Ownership.of(None, name if kind == "owner" else None, name if kind == "group" else None)
        except HoldfastError as error:
            if name in self._coming:
                pass
            elif not self._check_mode:
                self.problems.append(f"{place}.{error}")
            elif str(error) not in self.warnings:
                self.warnings.append(str(error))
            return None
        return name

    def refuse_doubles(self, paths: list[str]) -> None:
        for path in sorted({path for path in paths if paths.count(path) > 1}):
            self.problems.append(f"{path}: is named twice")


def _numbered(parameter: str, entries: list[t.Any]) -> list[tuple[str, t.Any]]:
    return [(f"{parameter}[{number}]", entry) for number, entry in enumerate(entries)]


def manage(run_program: Run, wanted: Wanted, check_mode: bool) -> dict[str, t.Any]:
    """Plan, validate and, unless in check mode, change. Returns what the module returns."""
    if check_mode:
        changes = _Planner(wanted, check_mode).plan()
        warnings = _validate(run_program, wanted, changes, check_mode)
    else:
        whole.make_directories(STATE, 0o755)
        with locked(os.path.join(STATE, "files")):
            for path in [file.path for file in wanted.files] + list(wanted.links):
                whole.remove_leftovers(path)
            changes = _Planner(wanted, check_mode).plan()
            directories = [change for change in changes if isinstance(change, MakeDirectory)]
            # The validation may need them, as nginx needs the directories of its caches.
            apply(directories)
            warnings = _validate(run_program, wanted, changes, check_mode)
            apply(change for change in changes if change not in directories)
    return {
        "changed": bool(changes),
        "changes": [change.reason for change in changes],
        "paths": [change.path for change in changes],
        "diff": [change.diff for change in changes],
        "warnings": wanted.warnings + warnings,
    }


def _validate(run_program: Run, wanted: Wanted, changes: list[Change], check_mode: bool) -> list[str]:
    return wanted.validation.validate(run_program, changes, check_mode) if wanted.validation else []


class _Planner:
    def __init__(self, wanted: Wanted, check_mode: bool) -> None:
        self._wanted, self._check_mode = wanted, check_mode
        self._made = [directory.path for directory in wanted.directories]
        self._problems: list[str] = []

    def plan(self) -> list[Change]:
        """The changes in a safe order: files before links to them, removals last."""
        changes = [change for directory in self._wanted.directories for change in self._plan_directory(directory)]
        changes += [change for file in self._wanted.files for change in self._plan_file(file)]
        changes += [change for path, target in self._wanted.links.items() for change in self._plan_link(path, target)]
        changes += self._plan_removals()
        if self._problems:
            raise HoldfastError("; ".join(self._problems))
        return changes

    def _plan_directory(self, directory: Directory) -> list[Change]:
        path = directory.path
        if os.path.lexists(path) and not os.path.isdir(path):
            self._problems.append(f"{path}: exists and is not a directory")
            return []
        return MakeDirectory.plan(path, directory.ownership)

    def _plan_file(self, file: File) -> list[Change]:
        path = file.path
        if os.path.islink(path):
            self._problems.append(f"{path}: is a symbolic link to {os.readlink(path)}; remove the link for a file to be written there")
        elif os.path.isdir(path):
            self._problems.append(f"{path}: is a directory, and a file is to be written there")
        else:
            self._check_parent(path)
            if file.keep and whole.read_bytes(path):
                return SetMode.plan(path, file.ownership)
            return _plan_copy(file) + Write.plan(path, file.content, file.ownership, show=_not_shown if file.secret else as_text)
        return []

    def _plan_link(self, path: str, target: str) -> list[Change]:
        if os.path.lexists(path) and not os.path.islink(path):
            self._problems.append(f"{path}: is no symbolic link; remove it for a link to be made there")
            return []
        self._check_parent(path)
        return Link.plan(path, target)

    def _check_parent(self, path: str) -> None:
        parent = os.path.dirname(path)
        made = any(f"{path}/".startswith(f"{parent}/") for path in self._made)
        # Check mode may look at a host on which a package has yet to make it.
        if not made and not os.path.isdir(parent) and not self._check_mode:
            self._problems.append(f"{path}: there is no directory {parent}; name it in directories")

    def _plan_removals(self) -> list[Change]:
        kept = {file.path for file in self._wanted.files} | set(self._wanted.links)
        purged = [path for directory in self._wanted.directories if directory.purge for path in _matching(directory.path, directory.purge) if path not in kept]
        changes: list[Change] = []
        gone: set[str] = set()
        for path in dict.fromkeys(purged + self._wanted.absent):
            if not os.path.lexists(path):
                continue
            if os.path.isdir(path) and not os.path.islink(path) and {os.path.join(path, name) for name in whole.names_in(path)} - gone:
                continue  # somebody else has something in there
            gone.add(path)
            if os.path.isdir(path) and not os.path.islink(path):
                changes.append(RemoveDirectory(path, "removed"))
            else:
                # What others may not read, a diff does not show.
                status = whole.status_of(path)
                changes += Remove.plan(path, show=as_text if status and status.st_mode & 0o004 else _not_shown)
        return changes


def _plan_copy(file: File) -> list[Change]:
    """What somebody else has written is kept once, before it is replaced."""
    there = whole.read_bytes(file.path)
    if not file.original or not there or os.path.lexists(file.original):
        return []
    if there.splitlines()[:2] == file.content.splitlines()[:2]:
        return []
    return Write.plan(file.original, there, whole.ownership_of_copy(file.path), show=_not_shown, why=f"a copy of the {file.path} that was there")


def _matching(directory: str, pattern: str) -> list[str]:
    names = whole.names_in(directory) if os.path.isdir(directory) else []
    paths = [os.path.join(directory, name) for name in fnmatch.filter(names, pattern)]
    return [path for path in paths if os.path.islink(path) or os.path.isfile(path)]


def _not_shown(_content: bytes) -> str:
    return "(secret, not shown)\n"
