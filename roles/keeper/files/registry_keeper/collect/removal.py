# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Remove for good what has been in the quarantine for long enough, after looking once more whether something needs it.

A registry without Redis keeps descriptors in its own memory, which nobody can tell: it may accept a manifest because of a layer that has
gone. As long as what it needs is in the quarantine, the next run brings it back. So what was taken while the registry's process ran stays
until that process has ended, however old it is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import typing as t

from registry_keeper.collect.quarantine import Run, age
from registry_keeper.collect.rescue import Rescue
from registry_keeper.report import Report
from registry_keeper.storage.layout import ROOT, Layout, digest_of
from registry_keeper.storage.redis_cache import RedisCache

PROGRAMS = ("docker-registry", "registry")


class Purged(t.NamedTuple):
    """What a purge did."""

    runs: list[str]
    blobs: int
    bytes: int
    kept_for_registry: list[str]


class Ended(t.Protocol):
    """A run, in files or in a store."""

    info: dict[str, t.Any]

    @property
    def finished(self) -> bool: ...


R = t.TypeVar("R", bound=Ended)


def due(runs: t.Iterable[R], undo_seconds: float, now: float) -> list[R]:
    """Runs that have been there for so many seconds."""
    return [run for run in runs if run.finished and age(run.info, now) >= undo_seconds]


def purge(tree: Layout, runs: t.Sequence[Run], rescue: Rescue, cache: RedisCache | None, in_memory: bool, report: Report) -> Purged:
    """Remove runs. The rescue has brought back what is needed. Raises OSError and CacheError; what is not removed stays as it is."""
    purged = Purged([], 0, 0, [])
    began = registry_began() if in_memory else None
    for run in runs:
        if in_memory and began is not None and began <= float(run.info["ended"]):
            purged.kept_for_registry.append(run.name)
            continue
        if cache is not None:
            tell(tree, run, cache)
        blobs = size = 0
        for relative, status in _parents_first(run):
            key = _blob(relative)
            if key is not None:
                if rescue.is_needed(key) and run.put_back(relative):
                    rescue.blobs_back += 1
                    continue
                blobs, size = blobs + 1, size + status.st_size
            place = run.place(relative)
            os.unlink(place)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(place))  # or it would be read again and again
            _remove_empty(tree, run, relative)
            report.progress(f"removed {purged.blobs + blobs} blobs")
        shutil.rmtree(run.path)
        purged = Purged([*purged.runs, run.name], purged.blobs + blobs, purged.bytes + size, purged.kept_for_registry)
    return purged


def _remove_empty(tree: Layout, run: Run, relative: str) -> None:
    """The directory that something was in; rmdir leaves it where something is in it again. Of a tag what is left is its history."""
    directory = os.path.dirname(os.path.join(tree.storage, relative))
    with contextlib.suppress(OSError):
        os.rmdir(directory)
        if directory.endswith("/current"):
            left = run.place(os.path.dirname(os.path.dirname(relative)) + ".left")
            os.rename(os.path.dirname(directory), left)
            if os.path.exists(f"{left}/current"):
                os.rename(left, os.path.dirname(directory))  # set again just now
            else:
                shutil.rmtree(left)


def _parents_first(run: Run) -> t.Iterator[tuple[str, os.stat_result]]:
    """Tags, manifests, layers, and then blobs: whatever a purge leaves that is killed has what it needs, should it come back."""
    repositories = f"{ROOT}/repositories"
    for part, without in (("/_manifests/tags/", ("_layers", "_uploads")), ("/_manifests/revisions/", ("_layers", "_uploads")), ("", ())):
        for relative, status in run.walk(repositories, without):
            if part in relative:
                yield relative, status
    yield from run.walk()


def tell(tree: Layout, run: Run, cache: RedisCache) -> None:
    """Tell Redis again of everything that a run has taken. Raises CacheError."""
    layers, blobs = [], []
    for relative, _status in run.walk():
        key = _blob(relative)
        if key is not None:
            blobs.append(digest_of(key))
        else:
            parts = relative.split("/")
            if parts[-1] == "link" and len(parts) > 8 and parts[-4] == "_layers":
                layers.append(("/".join(parts[4:-4]), f"{parts[-3]}:{parts[-2]}"))
    cache.forget_layers(layers)
    cache.forget_blobs(blobs)


def _blob(relative: str) -> bytes | None:
    parts = relative.split("/")
    if parts[3:4] == ["blobs"] and parts[-1] == "data":
        with contextlib.suppress(ValueError):
            return bytes.fromhex(parts[-2])
    return None


def registry_began() -> float | None:
    """When the oldest of this user's registry processes began, in seconds since 1970; None where there is none.

    The keeper runs as the registry's user, which sees its own processes.
    """
    oldest: float | None = None
    uptime = time.clock_gettime(time.CLOCK_BOOTTIME)
    ticks = os.sysconf("SC_CLK_TCK")
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if os.stat(f"/proc/{name}").st_uid != os.geteuid():
                continue
            with open(f"/proc/{name}/stat", "rb") as file:
                before, _parenthesis, after = file.read().rpartition(b")")
        except OSError:
            continue
        if before.partition(b"(")[2].decode("utf-8", "replace") in PROGRAMS:
            moment = time.time() - uptime + int(after.split()[19]) / ticks
            oldest = moment if oldest is None else min(oldest, moment)
    return oldest
