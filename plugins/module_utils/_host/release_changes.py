# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An installed release: a directory with the program and a record of what it is. How it gets there and goes."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import secrets
import shutil
import stat

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.release_archive import PROGRAM

RECORD = "release.json"


@dataclasses.dataclass(frozen=True)
class Record:
    """The checksums of the archive that a release was installed from, and of its program."""

    archive: str
    program: str

    @classmethod
    def read(cls, directory: str) -> Record | None:
        """The record of an installed release, or None where there is none or it cannot be parsed."""
        try:
            found = json.loads(whole.read_bytes(os.path.join(directory, RECORD)) or b"{}")
            return cls(str(found["archive"]), str(found["program"]))
        except (ValueError, KeyError, TypeError):
            return None

    def write(self, directory: str, ownership: Ownership) -> None:
        content = json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True) + "\n"
        whole.atomic_write(os.path.join(directory, RECORD), content.encode(), ownership)


@dataclasses.dataclass(frozen=True)
class Install(Change):
    """A release gets to its place: as a whole where there was none, else file by file, the record last."""

    staged: str

    def apply(self) -> None:
        try:
            if os.path.lexists(self.path):
                for name in (PROGRAM, RECORD):
                    os.replace(os.path.join(self.staged, name), os.path.join(self.path, name))
                _sync(self.path)
            else:
                os.rename(self.staged, self.path)
            _sync(os.path.dirname(self.path))
        except OSError as error:
            raise HoldfastError(f"{self.path}: cannot be installed: {error.strerror}") from error


@dataclasses.dataclass(frozen=True)
class RemoveRelease(Change):
    """A release goes. It is renamed first, so that half of one is never taken for a release."""

    def apply(self) -> None:
        gone = temporary(self.path)
        try:
            os.rename(self.path, gone)
            _sync(os.path.dirname(self.path))
            shutil.rmtree(gone)
        except OSError as error:
            raise HoldfastError(f"{self.path}: cannot be removed: {error.strerror}") from error


def temporary(path: str) -> str:
    """The name of a directory beside path that the next run removes if this one is killed."""
    parent, name = os.path.split(path)
    return os.path.join(parent, f".{name}.{secrets.token_hex(4)}.holdfast-tmp")


def remove_leftovers(directory: str) -> None:
    """Remove what killed runs left in a directory. Only for the holder of the lock."""
    for name in whole.names_in(directory):
        path = os.path.join(directory, name)
        if whole.leftover_of(name):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path, ignore_errors=True)
            else:
                whole.remove(path)


def digest_of(path: str) -> str:
    """The checksum of a plain file, or "" where there is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    digest = hashlib.sha256()
    with os.fdopen(descriptor, "rb") as handle:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return ""
        for piece in iter(lambda: handle.read(1024**2), b""):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _sync(directory: str) -> None:
    """Make what was renamed survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
