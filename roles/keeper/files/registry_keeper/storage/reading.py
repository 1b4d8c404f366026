# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How a survey reads a storage: here from files; s3/listing.py reads the lists of an S3 store."""

from __future__ import annotations

import os
import stat
import time
import typing as t

from registry_keeper.storage.layout import ALGORITHMS, Layout, read_link, refuse_symbolic_link, subdirectories

REWRITTEN_SECONDS = 0.2  # 2.8 rewrites a link in place: for an instant it is empty


class Written(t.NamedTuple):
    """When a link was written, in nanoseconds since 1970, and how many bytes it has."""

    moment: int
    size: int


class Reader(t.Protocol):
    """What a survey asks of a storage. Paths are those of Layout."""

    def changed(self, tree: Layout, name: str) -> tuple[int, ...]:
        """What changes when a repository gets a link to something for the first time."""

    def subdirectories(self, path: str) -> list[str]:
        """The names of the directories in a directory; none where it does not exist."""

    def links(self, directory: str) -> t.Iterator[tuple[bytes, str, Written | None]]:
        """Each digest with a directory, the path of its link, and the link; None where there is no link."""

    def settled(self, path: str) -> tuple[str | None, float | None]:
        """The digest in a link and since when; a link that is being rewritten is read again. No time where there is no link."""

    def digest(self, path: str) -> str | None:
        """The digest that a link has; None where it is missing, empty or something else."""

    def unlisted(self, path: str) -> Written | None:
        """A link that links() has not, and that is there all the same. Files are always listed."""

    def modified(self, path: str) -> float:
        """When something went from or came to a directory, in seconds since 1970."""

    def content(self, path: str) -> bytes:
        """Raises FileNotFoundError where it is not there, and another error where nobody can tell."""


class Files:
    """Reads files."""

    def changed(self, tree: Layout, name: str) -> tuple[int, ...]:
        return changed(tree, name)

    def subdirectories(self, path: str) -> list[str]:
        return subdirectories(path)

    def links(self, directory: str) -> t.Iterator[tuple[bytes, str, Written | None]]:
        for algorithm, size in ALGORITHMS.items():
            try:
                handle = os.open(f"{directory}/{algorithm}", os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                refuse_symbolic_link(directory)
                refuse_symbolic_link(f"{directory}/{algorithm}")
                continue
            try:
                for name in os.listdir(handle):
                    if len(name) != 2 * size:
                        continue
                    try:
                        key = bytes.fromhex(name)
                    except ValueError:
                        continue
                    path = f"{directory}/{algorithm}/{name}/link"
                    try:
                        status = os.stat(f"{name}/link", dir_fd=handle)  # the kernel need not walk the whole path each time
                    except (FileNotFoundError, NotADirectoryError):
                        refuse_symbolic_link(f"{directory}/{algorithm}/{name}")
                        yield key, path, None
                        continue
                    yield key, path, Written(status.st_mtime_ns, status.st_size) if stat.S_ISREG(status.st_mode) else None
            finally:
                os.close(handle)

    def settled(self, path: str) -> tuple[str | None, float | None]:
        for attempt in range(3):
            try:
                status = os.stat(path)
            except (FileNotFoundError, NotADirectoryError):
                return None, None
            digest = read_link(path)
            if digest is not None or attempt == 2 or time.time() - status.st_mtime > 60:
                return digest, status.st_mtime
            time.sleep(REWRITTEN_SECONDS)
        return None, None

    def digest(self, path: str) -> str | None:
        return read_link(path)

    def unlisted(self, path: str) -> Written | None:
        return None

    def modified(self, path: str) -> float:
        try:
            return os.stat(path).st_mtime
        except FileNotFoundError:
            return 0.0

    def content(self, path: str) -> bytes:
        with open(path, "rb") as file:
            return file.read()


def changed(tree: Layout, name: str) -> tuple[int, ...]:
    """What changes when a repository gets a link to something for the first time."""
    base = f"{tree.repositories}/{name}"
    moments = []
    for algorithm in ALGORITHMS:
        for directory in (f"{base}/_layers/{algorithm}", f"{base}/_manifests/revisions/{algorithm}"):
            try:
                moments.append(os.stat(directory).st_mtime_ns)
            except FileNotFoundError:
                moments.append(0)
    return tuple(moments)
