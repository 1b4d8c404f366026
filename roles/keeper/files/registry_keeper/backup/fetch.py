# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Blobs and links from a backup into a storage.

restic writes into a directory of root's, a batch at a time, so that little room is needed beside the storage. From there a process of the
instance's user takes each blob, reads it, and moves it to its place if it is what its digest says. A registry may run meanwhile.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import itertools
import os
import pwd
import re
import shutil
import typing as t

from registry_keeper.backup.restic import Restic
from registry_keeper.owner import as_owner
from registry_keeper.report import Report, human_bytes
from registry_keeper.storage.layout import Layout, read_link
from registry_keeper.storage.links import Link

_BATCH_BYTES = 4 << 30
_BATCH_PATTERNS = 500
# Up to so many blobs are looked up one by one in the backup's list of files.
_FEW = 200
_CHUNK = 1 << 20
# What a link leads to is written before it.
_ORDER = {"layer": 0, "revision": 1, "index": 2, "tag": 3}


class Readable(t.Protocol):
    """What can be read in pieces, such as a file."""

    def read(self, size: int, /) -> bytes: ...


@dataclasses.dataclass
class Fetched:
    """What came of it, as digests."""

    placed: list[str] = dataclasses.field(default_factory=list)
    # in the backup, but not what their digest says
    wrong: list[str] = dataclasses.field(default_factory=list)
    # not in the backup
    absent: list[str] = dataclasses.field(default_factory=list)
    size: int = 0


@dataclasses.dataclass(frozen=True)
class Target:
    """The storage to restore into, and who owns it."""

    layout: Layout
    user: str | None


def fetch(restic: Restic, snapshot: str, blobs: str, digests: t.Collection[str], target: Target, report: Report) -> Fetched:
    """Bring blobs from a backup, in which they are below the directory blobs. Raises KeeperError and OSError."""
    result = Fetched()
    if not digests:
        return result
    wanted = {f"{blobs}/{_below(digest)}": digest for digest in digests}
    few = len(wanted) <= _FEW
    sizes = restic.sizes(snapshot, *([os.path.dirname(path) for path in wanted] if few else [blobs]))
    result.absent = [digest for path, digest in wanted.items() if path not in sizes]
    found = sorted(path for path in wanted if path in sizes)
    total = sum(sizes[path] for path in found)
    for patterns, paths in _batches(found, sizes, {} if few else _by_directory(sizes)):
        report.progress(f"{human_bytes(result.size)} of {human_bytes(total)} restored")
        with staging(restic.settings.state) as directory:
            includes = [word for pattern in patterns for word in ("--include", pattern)]
            restic.run("restore", "--quiet", "--no-lock", "--target", directory, *includes, snapshot)
            taken = _take(directory, {path.lstrip("/"): wanted[path] for path in paths}, target)
        result.placed += taken["placed"]
        result.wrong += taken["wrong"]
        result.size += sum(sizes[path] for path in paths)
    return result


def _below(digest: str) -> str:
    algorithm, _colon, name = digest.partition(":")
    return f"{algorithm}/{name[:2]}/{name}/data"


def _by_directory(sizes: t.Mapping[str, int]) -> dict[str, int]:
    """How many blobs a directory of the blobs with the same two first characters has."""
    counts: dict[str, int] = {}
    for path in sizes:
        two = os.path.dirname(os.path.dirname(path))
        counts[two] = counts.get(two, 0) + 1
    return counts


def _batches(paths: t.Sequence[str], sizes: t.Mapping[str, int], counts: t.Mapping[str, int]) -> t.Iterator[tuple[list[str], list[str]]]:
    """Patterns for restic and the files that they stand for, in batches that are neither too large nor too many patterns."""
    patterns: list[str] = []
    batch: list[str] = []
    size = 0
    for two, grouped in itertools.groupby(paths, lambda path: os.path.dirname(os.path.dirname(path))):
        group = list(grouped)
        group_size = sum(sizes[path] for path in group)
        # One pattern for the whole directory where all of it is wanted.
        parts = [([two], group, group_size)] if counts.get(two) == len(group) and group_size <= _BATCH_BYTES else [([one], [one], sizes[one]) for one in group]
        for pattern, members, part_size in parts:
            if batch and (size + part_size > _BATCH_BYTES or len(patterns) + 1 > _BATCH_PATTERNS):
                yield patterns, batch
                patterns, batch, size = [], [], 0
            patterns, batch, size = patterns + pattern, batch + members, size + part_size
    if batch:
        yield patterns, batch


@contextlib.contextmanager
def staging(state: str) -> t.Iterator[str]:
    """An empty directory of root's, which is removed afterwards; also what a killed run left."""
    path = os.path.join(state, "staging")
    shutil.rmtree(path, ignore_errors=True)
    os.mkdir(path, 0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _take(directory: str, files: t.Mapping[str, str], target: Target) -> dict[str, list[str]]:
    """Let the instance's user take these files, by their digests, out of a directory that it could not get into by itself."""
    if os.geteuid() == 0:
        storage = os.stat(target.layout.storage)
        owner = pwd.getpwnam(target.user).pw_uid if target.user else storage.st_uid
        for root, _names, names in os.walk(directory):
            for name in (root, *(os.path.join(root, name) for name in names)):
                # restic knows groups by number, and on another host that number is another group's: the gateway could read nothing.
                os.chown(name, owner, storage.st_gid, follow_symlinks=False)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return as_owner(target.layout.storage, target.user, lambda: _place(handle, files, target.layout))
    finally:
        os.close(handle)


def _place(handle: int, files: t.Mapping[str, str], layout: Layout) -> dict[str, list[str]]:
    remove_left(layout)
    result: dict[str, list[str]] = {"placed": [], "wrong": []}
    for path, digest in files.items():
        try:
            file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=handle)
        except FileNotFoundError:
            result["wrong"].append(digest)
            continue
        with os.fdopen(file, "rb") as opened:
            if hash_of(opened, digest) != digest:
                result["wrong"].append(digest)
                continue
            # Its age is that of its return: a collection leaves alone what is new.
            os.utime(opened.fileno())
            os.fchmod(opened.fileno(), 0o640)
            os.fsync(opened.fileno())
        _move(handle, path, layout, digest)
        result["placed"].append(digest)
    return result


def hash_of(file: Readable, digest: str) -> str:
    """The digest of a file, by the algorithm of another one."""
    algorithm = digest.partition(":")[0]
    hashed = hashlib.new(algorithm)
    for chunk in iter(lambda: file.read(_CHUNK), b""):
        hashed.update(chunk)
    return f"{algorithm}:{hashed.hexdigest()}"


def _move(handle: int, path: str, layout: Layout, digest: str) -> None:
    os.makedirs(layout.blob(digest), mode=0o750, exist_ok=True)
    try:
        os.rename(path, layout.data(digest), src_dir_fd=handle)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Beside docker/, where no registry looks, until it is whole.
        temporary = os.path.join(layout.storage, "keeper", f"restored.{os.getpid()}")
        os.makedirs(os.path.dirname(temporary), mode=0o750, exist_ok=True)
        try:
            with os.fdopen(os.open(path, os.O_RDONLY, dir_fd=handle), "rb") as source, open(temporary, "wb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK)
                copy.flush()
                os.fsync(copy.fileno())
            os.chmod(temporary, 0o640)
            os.rename(temporary, layout.data(digest))
        except OSError:
            # such as a full disk, which it would keep full
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        os.unlink(path, dir_fd=handle)


def remove_left(layout: Layout) -> None:
    """Remove what a restoration left that was killed. Whoever calls this has the host's lock, so none runs now."""
    state = os.path.join(layout.storage, "keeper")
    # No backup and no restoration fails for it.
    with contextlib.suppress(OSError):
        for name in os.listdir(state):
            if re.fullmatch(r"restored\.[0-9]+", name):
                os.unlink(os.path.join(state, name))


def link(links: t.Iterable[Link], target: Target) -> int:
    """Write links, each repository's in the order in which a registry writes them. Returns how many. Raises KeeperError."""
    return as_owner(target.layout.storage, target.user, lambda: _link(links, target.layout))


def _link(links: t.Iterable[Link], layout: Layout) -> int:
    count = 0
    for _repository, grouped in itertools.groupby(links, lambda one: one.repository):
        for one in sorted(grouped, key=lambda one: _ORDER[one.kind]):
            path = os.path.join(layout.repositories, one.path)
            # Its time says when it was pushed.
            if one.kind == "tag" and read_link(path) == one.digest:
                continue
            os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
            temporary = f"{path}.new"
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640), "w", encoding="utf-8") as file:
                file.write(one.digest)
            # Rules about tags go by this. All other links are new, so that no collection takes them before the tag is there.
            if one.pushed:
                os.utime(temporary, (one.pushed, one.pushed))
            os.replace(temporary, path)
            count += 1
    # once for all: there may be a million
    os.sync()
    return count
