# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The directory of a path, resolved once and kept open, so that it cannot be replaced afterwards."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_MOST_LINKS = 40  # as many as Linux follows


class Place(t.NamedTuple):
    """A name in an open directory. path is how the user wrote it, real how it reads without links."""

    path: str
    real: str
    directory: int
    name: str


@contextlib.contextmanager
def opened(path: str, *, follow: bool = True) -> t.Iterator[Place]:
    """Follow a path to its end while the block runs; unless follow, not through a link in its last part.

    Who may write to a directory can put a link in the place of any file there. So a link that belongs to another
    unprivileged user, in a directory that others may write to, is refused with a HoldfastError.
    A missing directory on the way raises FileNotFoundError; a missing file does not.
    """
    if not hasattr(os, "O_PATH"):  # a Mac as the controller: nobody else writes beside its secrets
        real = os.path.realpath(path) if follow else os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        directory = os.open(os.path.dirname(real), os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield Place(path, real, directory, os.path.basename(real))
        finally:
            os.close(directory)
        return
    walk = _Walk(path)
    try:
        name = walk.to_end(follow)
        yield Place(path, os.path.join(walk.real, name), walk.here, name)
    finally:
        os.close(walk.here)


class _Walk:
    """A descriptor that goes down a path, a part at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.todo = _parts(path)
        self.links = 0
        self.real = "/" if path.startswith("/") else os.getcwd()
        self.here = os.open(self.real, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def to_end(self, follow: bool) -> str:
        while self.todo:
            name, is_last = self.todo.pop(0), not self.todo
            if is_last and name != ".." and not follow:
                return name
            try:
                found = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.here)
            except FileNotFoundError:
                if is_last:
                    return name
                raise
            try:
                status = os.fstat(found)
                if stat.S_ISLNK(status.st_mode):
                    self._follow(name, found, status)
                elif is_last and name != "..":
                    return name
                else:
                    found = self._enter(name, found, status)
            finally:
                os.close(found)
        return "."

    def _enter(self, name: str, found: int, status: os.stat_result) -> int:
        """Make this directory the one where the walk is. Returns the one that it leaves."""
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        left, self.here = self.here, found
        self.real = os.path.dirname(self.real) if name == ".." else os.path.join(self.real, name)
        return left

    def _follow(self, name: str, link: int, status: os.stat_result) -> None:
        self.links += 1
        if self.links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self.path)
        if _is_foreign(status) and _is_open_to_others(os.fstat(self.here)):
            raise HoldfastError(
                f"{self.path}: {os.path.join(self.real, name)} is a symbolic link of the user with the number {status.st_uid}, in a directory that others "
                "may write to, and could lead anywhere; remove it, name the path without it, or run the task as that user with become_user"
            )
        target = os.readlink("", dir_fd=link)
        if target.startswith("/"):
            os.close(self.here)
            self.real, self.here = "/", os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.todo = _parts(target) + self.todo


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _is_foreign(status: os.stat_result) -> bool:
    return status.st_uid not in (0, os.geteuid())


def _is_open_to_others(directory: os.stat_result) -> bool:
    return _is_foreign(directory) or bool(directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
