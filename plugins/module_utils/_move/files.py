# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory that has a registry's images, as the source or the target of a move."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._move.tree import ROOT, link_of

CHUNK = 8 * 1024 * 1024  # bytes
_LONGEST_LINK = 200
# What has no links of the kind that is looked for; uploads under way are never looked into.
_PRUNED = {"tag": ("_layers", "_manifests/revisions"), "revision": ("_layers", "_manifests/tags"), "layer": ("_manifests",)}


class Gone(HoldfastError):
    """What was listed is not there any more."""


class Found(t.NamedTuple):
    """A file or an object. mark is another one whenever its content has been written again."""

    path: str
    size: int
    mark: str


class Files:
    """A directory. What is written gets its name when it is whole."""

    workers = 4

    def __init__(self, directory: str) -> None:
        self.text = directory.rstrip("/")
        self._root = os.path.join(self.text, ROOT)
        self._staging = os.path.join(self.text, "holdfast-move")
        self._number = 0
        self._lock = threading.Lock()

    def prepare(self) -> None:
        """Remove what a killed run left half written. Raises OSError."""
        shutil.rmtree(self._staging, ignore_errors=True)

    def is_also(self, other: Files) -> bool:
        """Whether the other one is this directory under another name, or one of them is inside of the other."""
        one, another = f"{os.path.realpath(self.text)}/", f"{os.path.realpath(other.text)}/"
        mounted = os.path.exists(self.text) and os.path.exists(other.text) and os.path.samefile(self.text, other.text)
        return mounted or one.startswith(another) or another.startswith(one)

    def blobs(self) -> t.Iterator[Found]:
        """All files of blobs, whole or not."""
        return self._walk(os.path.join(self._root, "blobs"), ())

    def links(self, kind: str) -> t.Iterator[Found]:
        """All links, or at least those of a kind: tag (with index), revision or layer."""
        for found in self._walk(os.path.join(self._root, "repositories"), _PRUNED[kind]):
            if link_of(found.path):
                yield found

    def _walk(self, directory: str, pruned: t.Sequence[str]) -> t.Iterator[Found]:
        pending = [directory]
        while pending:
            here = pending.pop()
            try:
                with os.scandir(here) as scan:
                    entries = list(scan)
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name != "_uploads" and not entry.path.endswith(tuple(f"/{name}" for name in pruned)):
                        pending.append(entry.path)
                elif entry.name in ("data", "link"):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield Found(entry.path[len(self._root) + 1 :], status.st_size, _mark(status))

    def read(self, path: str, _size: int) -> t.Iterator[bytes]:
        """The content in pieces. Raises Gone."""
        with self._opened(path) as file:
            while True:
                piece = file.read(CHUNK)
                if not piece:
                    return
                yield piece

    def content(self, path: str) -> tuple[bytes, str]:
        """The content of a link, and its mark. Raises Gone."""
        with self._opened(path) as file:
            return file.read(_LONGEST_LINK), _mark(os.fstat(file.fileno()))

    def digest(self, path: str, algorithm: str, _size: int) -> tuple[str, str]:
        """The digest of what is on the disk, and the mark of what was read. Raises Gone."""
        with self._opened(path) as file:
            os.fsync(file.fileno())
            # Otherwise the memory would be asked, and not the disk.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            calculated = hashlib.new(algorithm)
            for piece in iter(lambda: file.read(CHUNK), b""):
                calculated.update(piece)
            return f"{algorithm}:{calculated.hexdigest()}", _mark(os.fstat(file.fileno()))

    @contextlib.contextmanager
    def _opened(self, path: str) -> t.Iterator[t.BinaryIO]:
        try:
            with open(os.path.join(self._root, path), "rb") as file:
                yield file
        except (FileNotFoundError, NotADirectoryError):
            raise Gone(f"{self.text}: {path} is not there any more") from None

    def pushed(self, path: str) -> float:
        """When a tag was pushed, in seconds since 1970. Raises Gone."""
        with self._opened(path) as file:
            return os.fstat(file.fileno()).st_mtime

    def put(self, path: str, pieces: t.Iterable[bytes], _size: int, pushed: float | None = None) -> None:
        """Write a file. Where the pieces end with an error, there is none. pushed is when the tag was pushed, which its time says."""
        with self._lock:
            self._number += 1
            temporary = os.path.join(self._staging, str(self._number))
        os.makedirs(self._staging, mode=0o750, exist_ok=True)
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "wb") as file:
                file.writelines(pieces)
            if pushed is not None:
                os.utime(temporary, (pushed, pushed))
            target = os.path.join(self._root, path)
            os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def remove(self, path: str) -> None:
        """Remove a file, and the directories that are empty then: the directory of a tag is what makes the registry list it."""
        target = os.path.join(self._root, path)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(target)
        with contextlib.suppress(OSError):
            while True:
                target = os.path.dirname(target)
                if target == self._root:
                    break
                os.rmdir(target)

    def settle(self) -> None:
        """Return when everything written is on the disk."""
        # One call for all links: a million of them would take an hour one by one.
        os.sync()

    def finish(self) -> None:
        """Remove the directory in which files are written."""
        self.prepare()

    def refuse_if_short(self, wanted: int, files: int) -> None:
        """Raise HoldfastError where this many bytes and files would not leave a gigabyte free."""
        os.makedirs(self.text, mode=0o750, exist_ok=True)
        found = os.statvfs(self.text)
        free, least = found.f_bavail * found.f_frsize, wanted + files * found.f_frsize + 1_000_000_000
        if free < least:
            raise HoldfastError(
                f"{self.text}: has {free / 1e9:.1f} GB free, and {least / 1e9:.1f} GB are needed: {wanted / 1e9:.1f} GB of images that it lacks, "
                "their links, and 1 GB to spare; nothing was copied"
            )
        if found.f_files and found.f_favail < files * 4:
            raise HoldfastError(f"{self.text}: its file system has room for {found.f_favail} files, and {files * 4} are needed; nothing was copied")


def _mark(status: os.stat_result) -> str:
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"
