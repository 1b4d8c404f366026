# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""scrub: read stored blobs again at a set rate, and look whether images are complete.

A blob that is not what its digest says is moved to keeper/damaged at once: it is never served as good again. A client that has it can push
it once more, a mirror fetches it again, and `repair` brings it back from the backup. A pass goes on over several runs, where the last one stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import time
import typing as t

from registry_keeper.backup.fetch import hash_of
from registry_keeper.errors import ATTENTION, DONE
from registry_keeper.report import Report, counted, human_bytes, human_seconds, write_whole
from registry_keeper.settings import Settings, number, section
from registry_keeper.storage.complete import Incomplete, look
from registry_keeper.storage.damaged import drop, drop_unneeded, move_away, now_damaged, sound_again
from registry_keeper.storage.layout import ALGORITHMS, Layout, is_digest, subdirectories
from registry_keeper.storage.redis_cache import CacheError, RedisCache

_CHUNK = 1 << 20
# A registry 2.8 writes a manifest in place: what is younger may not be complete.
_SETTLED_SECONDS = 600
_NAMED = 100
_MOST_MISSING = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--full", action="store_true", help="read everything now, at full speed, and begin a new pass afterwards")


def _flag(value: t.Any) -> bool:
    return bool(value)


def options_of(settings: Settings) -> dict[str, t.Any]:
    """The section scrub of the settings. Raises KeeperError."""
    known = {
        "bytes_per_second": number(1_000_000, default=20_000_000),
        "run_seconds": number(1, default=3600),
        # A mirror's images are in its upstream too: a damaged one goes, and is fetched again.
        "mirror": (_flag, False),
    }
    return section(settings.scrub, "scrub", known)


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Read the next part of the blobs; at the end of a pass, look at all links too."""
    chosen = options_of(settings)
    layout = Layout(settings.storage)
    position = Position(settings.state, fresh=options.full)
    rate, seconds = (float("inf"), float("inf")) if options.full else (chosen["bytes_per_second"], chosen["run_seconds"])
    reader = Reader(layout, settings.state, Pace(rate, seconds), report)
    unreadable = reader.read(position)
    told = _tell_redis(settings, report)
    report.add(blobs=reader.blobs, bytes=reader.size, newly_damaged=reader.moved, unreadable=unreadable[:_NAMED], pass_complete=position.complete)
    report.say(f"{counted(reader.blobs, 'blob')} read, {human_bytes(reader.size)}" + (", the end of a pass" if position.complete else ""))
    for digest in reader.moved:
        report.warn(f"{digest} is damaged, and was moved to {settings.state}/damaged")
    for line in unreadable[:_NAMED]:
        report.warn(f"cannot be read: {line}")

    gone = sound_again(layout, settings.state)
    incomplete = position.incomplete
    unneeded: list[str] = []
    if position.complete and not chosen["mirror"]:
        report.progress("looking whether images are complete")
        incomplete = look(layout)
        # What Redis was not told of has to be there for the next run to tell it.
        unneeded = drop_unneeded(layout, settings.state, incomplete.missing) if told else []
    position.save(incomplete)
    damaged = [] if chosen["mirror"] else now_damaged(settings.state)
    if chosen["mirror"]:
        for digest in now_damaged(settings.state):
            # The upstream has it: the next pull fetches it.
            drop(settings.state, digest)
    incomplete = incomplete.still()
    for digest in unneeded:
        report.say(f"{digest} was damaged, no image needs it any more, and its copy was removed")
    report.add(unneeded=unneeded)
    _tell(report, position, incomplete, damaged, gone)
    return ATTENTION if damaged or unreadable or incomplete.any or not told else DONE


def _tell_redis(settings: Settings, report: Report) -> bool:
    """Make the registry look at the disk for what is damaged: also what a run took away that was killed, or could not tell."""
    damaged = now_damaged(settings.state)
    if settings.redis is None or not damaged:
        return True
    cache = RedisCache(settings.redis)
    try:
        cache.forget_blobs(damaged)
    except CacheError as error:
        report.warn(f"{error}; a client may be told that {len(damaged)} damaged blobs are there. The next run tells Redis again")
        return False
    finally:
        cache.close()
    return True


def _tell(report: Report, position: Position, incomplete: Incomplete, damaged: t.Sequence[str], gone: t.Sequence[str]) -> None:
    report.add(
        damaged=list(damaged),
        mended=list(gone),
        missing=sorted(incomplete.missing)[:_MOST_MISSING],
        incomplete=incomplete.images[:_NAMED],
        incomplete_count=len(incomplete.images),
        dangling=incomplete.dangling[:_NAMED],
        dangling_count=len(incomplete.dangling),
        last_pass=position.last_pass,
        pass_began=position.began,
    )
    for line in incomplete.images[:_NAMED]:
        report.warn(f"incomplete: {line}")
    for line in incomplete.dangling[:_NAMED]:
        report.warn(f"leads to nothing: {line}")
    if damaged:
        report.warn(f"{len(damaged)} damaged blobs are not back yet: `registry-keeper repair` brings them from the backup, or push them again")
    if not damaged and not incomplete.any:
        when = f"the last whole pass ended {human_seconds(time.time() - position.last_pass)} ago" if position.last_pass else "no pass has ended yet"
        report.say(f"nothing is damaged or incomplete; {when}")


def after_repair(state: str, status_document: dict[str, t.Any]) -> dict[str, t.Any]:
    """What the last scrub found, less what has been repaired since: for `status`, which would otherwise tell of it until the next pass."""
    incomplete = Position(state).incomplete.still()
    damaged = now_damaged(state)
    changed = {
        "damaged": damaged,
        "missing": sorted(incomplete.missing)[:_MOST_MISSING],
        "incomplete": incomplete.images[:_NAMED],
        "incomplete_count": len(incomplete.images),
        "dangling": incomplete.dangling[:_NAMED],
        "dangling_count": len(incomplete.dangling),
    }
    document = {**status_document, **changed}
    if not (damaged or incomplete.any or document.get("unreadable")):
        document.update(exit_status=DONE, warnings=[])
    return document


class Pace:
    """Keeps reading at a rate, and says when a run has had its time."""

    def __init__(
        self, bytes_per_second: float, seconds: float, clock: t.Callable[[], float] = time.monotonic, sleep: t.Callable[[float], None] = time.sleep
    ) -> None:
        self._rate = bytes_per_second
        self._clock, self._sleep = clock, sleep
        self._began = clock()
        self._until = self._began + seconds
        self._read = 0

    def read(self, count: int) -> None:
        """So many bytes were read: wait until that is within the rate."""
        self._read += count
        ahead = self._began + self._read / self._rate - self._clock()
        if ahead > 0:
            self._sleep(ahead)

    @property
    def over(self) -> bool:
        return self._clock() >= self._until


class Position:
    """Where a pass is, kept between runs: the digest that was read last, and what the last look at the links found."""

    def __init__(self, state: str, fresh: bool = False) -> None:
        self._path = os.path.join(state, "scrub.json")
        found = self._load()
        last = found.get("last")
        self.last: str = "" if fresh or not isinstance(last, str) else last
        self.last_pass: float = found.get("last_pass") or 0
        self.began: float = (found.get("began") or 0) if self.last else int(time.time())
        self.complete = False
        self.incomplete = Incomplete.loaded(found.get("incomplete"))

    def _load(self) -> dict[str, t.Any]:
        try:
            with open(self._path, encoding="utf-8") as file:
                found = json.load(file)
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def save(self, incomplete: Incomplete | None = None) -> None:
        """Keep it. After the last blob, the next run begins anew."""
        if incomplete is not None:
            self.incomplete = incomplete
        if self.complete:
            self.last_pass = int(time.time())
        kept = {"last": "" if self.complete else self.last, "last_pass": self.last_pass, "began": self.began, "incomplete": self.incomplete.kept()}
        write_whole(self._path, json.dumps(kept) + "\n")


class Reader:
    """Reads blobs in the order of their digests."""

    def __init__(self, layout: Layout, state: str, pace: Pace, report: Report) -> None:
        self._layout, self._state, self._pace, self._report = layout, state, pace, report
        self.blobs = 0
        self.size = 0
        self.moved: list[str] = []

    def read(self, position: Position) -> list[str]:
        """Read from a position on until the run has had its time. Returns what could not be read. Moves damaged blobs away."""
        unreadable: list[str] = []
        saved = time.monotonic()
        for digest in in_order(self._layout, position.last):
            if self._pace.over:
                return unreadable
            try:
                if not self._sound(digest):
                    move_away(self._layout, self._state, digest)
                    self.moved.append(digest)
            except FileNotFoundError:
                pass  # removed meanwhile, or an upload that was never completed
            except OSError as error:
                unreadable.append(f"{digest}: {error.strerror}")
            position.last = digest
            if time.monotonic() - saved > 10:
                # A run that is killed has read for nothing only what it read since.
                position.save()
                saved = time.monotonic()
        position.complete = True
        return unreadable

    def _sound(self, digest: str) -> bool:
        with open(self._layout.data(digest), "rb") as file:
            # One from the future is of a clock that was ahead, and would be read by no run until then.
            if abs(time.time() - os.fstat(file.fileno()).st_mtime) < _SETTLED_SECONDS:
                return True
            # What the memory has of it may be better than what the disk has.
            with contextlib.suppress(OSError):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            self.blobs += 1
            if hash_of(_Paced(file, self), digest) == digest:
                return True
        # Twice: nothing is taken away for what one read said.
        with open(self._layout.data(digest), "rb") as file:
            return hash_of(file, digest) == digest

    def count(self, count: int) -> None:
        self.size += count
        self._pace.read(count)
        self._report.progress(f"{self.blobs} blobs, {human_bytes(self.size)}")


class _Paced:
    """A file that is read at the reader's pace."""

    def __init__(self, file: t.BinaryIO, reader: Reader) -> None:
        self._file, self._reader = file, reader

    def read(self, size: int) -> bytes:
        chunk = self._file.read(min(size, _CHUNK))
        self._reader.count(len(chunk))
        return chunk


def in_order(layout: Layout, after: str = "") -> t.Iterator[str]:
    """The digests of all blobs that come after one, in their order."""
    for algorithm, size in ALGORITHMS.items():
        for two in sorted(subdirectories(f"{layout.blobs}/{algorithm}")):
            if f"{algorithm}:{two}~" < after:
                continue
            for name in sorted(subdirectories(f"{layout.blobs}/{algorithm}/{two}")):
                digest = f"{algorithm}:{name}"
                if digest > after and len(name) == 2 * size and is_digest(digest):
                    yield digest
