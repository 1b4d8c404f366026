# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""scrub, in an S3 store: read blobs again at a set rate, and say which are not what their digest says.

One host at a time, with a lease of its own, so that nothing else waits for it; a pass goes on at whichever host comes next. It only looks:
what is damaged stays in its place, and is told of until it is sound or gone. So is what the store does not give, which may be a part of
it that is away: that is not called damaged, and a pass goes on after it. Whether images are complete, each collection says.
"""

from __future__ import annotations

import argparse
import json
import time
import typing as t

from registry_keeper import lock
from registry_keeper.errors import ATTENTION, DONE
from registry_keeper.report import Report, counted, human_bytes, human_seconds
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.lease import Lease
from registry_keeper.s3.listing import TREE, Listing
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.settings import objects_of
from registry_keeper.scrub.scrub import Pace, add_arguments, options_of
from registry_keeper.settings import Settings
from registry_keeper.storage.layout import digest_of

__all__ = ["add_arguments", "run"]

NAME = "holdfast-keeper/scrub.json"
LEASE = "holdfast-keeper/lease-scrub"
_PIECE = 8 << 20
_SAVE_EVERY = 30.0
_NAMED = 100
_MOST_UNREADABLE = 10  # that a run finds, before it takes the store to be away


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Read the next part of the blobs. Returns an exit status; raises KeeperError."""
    chosen = options_of(settings)
    rate, seconds = (float("inf"), float("inf")) if options.full else (chosen["bytes_per_second"], chosen["run_seconds"])
    objects = objects_of(settings)
    with lock.hold(f"{settings.state}/scrub", "scrub"), Lease(objects, "scrub", LEASE).held():
        work = _Scrub(objects, Pace(rate, seconds), report, fresh=options.full)
        complete = work.read()
        work.save(complete)
    unreadable = sorted(work.unreadable)
    report.add(blobs=work.blobs, bytes=work.size, damaged=work.damaged, unreadable=unreadable[:_NAMED], pass_complete=complete, last_pass=work.last_pass)
    report.say(f"{counted(work.blobs, 'blob')} read, {human_bytes(work.size)}" + (", the end of a pass" if complete else ""))
    for digest in work.damaged[:_NAMED]:
        report.warn(f"{digest} is damaged in the store; delete the images that have it, or remove it there and push them again")
    for digest in unreadable[:_NAMED]:
        report.warn(f"{digest} is in the store, which does not give it: {work.unreadable[digest]}")
    if not work.damaged and not unreadable:
        when = f"the last whole pass ended {human_seconds(time.time() - work.last_pass)} ago" if work.last_pass else "no pass has ended yet"
        report.say(f"nothing is damaged; {when}")
    return ATTENTION if work.damaged or unreadable else DONE


class _Scrub:
    """Reads blobs in the order of their digests."""

    def __init__(self, objects: Objects, pace: Pace, report: Report, fresh: bool) -> None:
        self._objects, self._pace, self._report = objects, pace, report
        self.blobs = self.size = 0
        known = self._load()
        self._last = "" if fresh else str(known.get("last") or "")
        self.last_pass = float(known.get("last_pass") or 0)
        self.damaged: list[str] = [str(digest) for digest in known.get("damaged") or ()]
        self.unreadable: dict[str, str] = {str(digest): "" for digest in known.get("unreadable") or ()}  # with what the store said

    def _load(self) -> dict[str, t.Any]:
        try:
            known = json.loads(self._objects.read(NAME) or b"{}")
        except ValueError:
            return {}
        return known if isinstance(known, dict) else {}

    def save(self, complete: bool) -> None:
        """Keep where the pass is, for whichever host goes on. Raises StoreError."""
        if complete:
            self.last_pass = time.time()
        kept = {"last": "" if complete else self._last, "last_pass": self.last_pass, "damaged": self.damaged, "unreadable": sorted(self.unreadable)}
        self._objects.write(NAME, (json.dumps(kept, sort_keys=True) + "\n").encode())

    def read(self) -> bool:
        """Read until the run has had its time; returns whether the pass is at its end. Raises StoreError."""
        listing = Listing(self._objects)
        for name, item in self._objects.list(f"{TREE.blobs}/"):
            listing.add(name, item)
        blobs = {digest_of(key) for key in listing.blobs}
        again = [digest for digest in dict.fromkeys([*self.damaged, *self.unreadable]) if digest in blobs]
        self.damaged, self.unreadable = [], {}
        for digest in again:
            self._look(digest)
        most = len(self.unreadable) + _MOST_UNREADABLE
        saved = time.monotonic()
        for digest in sorted(digest for digest in blobs if digest > self._last):
            if self._pace.over:
                return False
            if digest not in self.damaged and digest not in self.unreadable:
                self._look(digest)
            if len(self.unreadable) > most:
                raise StoreError(f"the store does not give {len(self.unreadable)} blobs that it has, such as {digest}: {self.unreadable[digest]}")
            self._last = digest
            self.blobs += 1
            if time.monotonic() - saved > _SAVE_EVERY:
                self.save(False)
                saved = time.monotonic()
        return True

    def _look(self, digest: str) -> None:
        """Nothing is called damaged for what one read said, nor what is not there any more. Raises StoreError."""
        name, failure = TREE.data(digest), ""
        for _attempt in range(2):
            now = self._objects.head(name)
            if now is None:
                return  # a collection may have taken it, also while it was read
            try:
                found = self._objects.digest(name, now.size, digest.partition(":")[0], self._count, _PIECE)
            except StoreError as error:
                failure = str(error)
                continue
            if found == digest:
                return
            failure = ""
        if self._objects.head(name) is None:
            return
        if failure:
            self.unreadable[digest] = failure
        else:
            self.damaged.append(digest)

    def _count(self, count: int) -> None:
        self.size += count
        self._pace.read(count)
        self._report.progress(f"{self.blobs} blobs, {human_bytes(self.size)}")
