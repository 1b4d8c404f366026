# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""backup-bucket: back up the images of an S3 store into another bucket, while clients push and pull, and collections run.

In this order, with the lease of the backup; states.py says what is where.

1. All links are listed (links.py).
2. Blobs that the backup lacks are copied. One that a collection has taken meanwhile is copied from its quarantine.
3. The backup is listed in the other way of two that stores have: whatever the state needs has to be there.
4. The state is written, without links to blobs that are nowhere. A run that is killed before leaves none, and the next one uses its blobs.
5. States that do not stay are removed, then blobs that no state has (prune.py).
"""

from __future__ import annotations

import argparse
import itertools
import json
import socket
import time
import typing as t

from registry_keeper import lock
from registry_keeper.bucket_backup import prune, states
from registry_keeper.bucket_backup.links import Found, find, path_of
from registry_keeper.bucket_backup.target import prepare, target_of, target_options
from registry_keeper.bucket_backup.transfer import DamagedError, transfer
from registry_keeper.errors import ATTENTION, DONE, KeeperError
from registry_keeper.report import Report, counted, counted_images, human_bytes, human_seconds
from registry_keeper.s3.client import StoreError, canonical
from registry_keeper.s3.lease import Lease
from registry_keeper.s3.listing import TREE
from registry_keeper.s3.mark import Taken
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.quarantine import runs
from registry_keeper.s3.work import Work
from registry_keeper.settings import Settings
from registry_keeper.storage.layout import digest_of, key_of

__all__ = ["add_arguments", "prepare", "run"]

NOTE = "holdfast-keeper/backup.json"  # at the images: where their backup is
_RECENT = 1800.0  # seconds in which the timers of all hosts have had their turn
_NAMED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="list the backups that there are, and make none")
    parser.add_argument("--unless-recent", action="store_true", help="make none if one was made within half an hour, such as by another host")
    parser.add_argument("--take-over", action="store_true", help="begin a new backup in place of one that is lost, or go on with that of another bucket")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Make a backup. Returns an exit status; raises KeeperError and OSError."""
    target = target_of(settings)
    if options.list:
        return _list(target, report)
    if options.unless_recent and (name := _recent(target)):
        report.did_nothing = True
        report.say(f"there is the backup {name} already, which was made a moment ago")
        return DONE
    work = Work(settings, report)
    work.refuse_mirror()
    with lock.hold(f"{settings.state}/backup-bucket", "backup-bucket"), Lease(target, "backup-bucket", states.LEASE).held():
        # Long work at one store may not let the lease at the other end.
        work.objects.guard = target.guard
        find_place(work.objects, target, take_over=options.take_over)
        return _Backup(work, target).make()


def _list(target: Objects, report: Report) -> int:
    every = []
    for name, item in states.listed(target).items():
        state = states.read(target, name)
        header = state.header if state else {}
        facts = {key: header.get(key) for key in ("host", "tags", "links", "blobs", "repositories")}
        every.append({"state": name, "bytes": item.size, **facts})
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(states.time_of(name)))
        report.say(f"{name}  {when}, {counted_images(facts['repositories'], facts['tags'], facts['blobs'])}, by {facts['host']}")
    report.add(states=every)
    if not every:
        report.say(f"no backup in {target.client.bucket.shown}")
    return DONE


def _recent(target: Objects) -> str:
    now = target.now()
    return next((name for name, item in states.listed(target).items() if now - item.modified < _RECENT), "")


def find_place(source: Objects, target: Objects, take_over: bool = False) -> None:
    """Make the place where there has never been one; refuse one that is another registry's, or has been emptied. Raises KeeperError."""
    buckets = (source.client.bucket, target.client.bucket)
    of, at = ({"endpoint": canonical(one.endpoint), "bucket": one.name, "prefix": one.prefix} for one in buckets)
    place = target.client.bucket.shown
    there, noted = _document(target, states.MARKER), _place(_document(source, NOTE))
    was = _place(there.get("of")) if there else None
    if not take_over:
        if there is None and noted == at:
            raise KeeperError(f"{place}: the backup that was there has gone. If it is lost, begin a new one with `registry-keeper backup-bucket --take-over`")
        if there is None and states.listed(target):
            raise KeeperError(f"{place}: has backups, but not {states.MARKER}, which says of what. `registry-keeper backup-bucket --take-over` goes on there")
        if there is not None and was != of:
            raise KeeperError(
                f"{place}: is the backup of another bucket, {was}; give another prefix. "
                "If the images have moved, `registry-keeper backup-bucket --take-over` goes on there"
            )
    if was != of:
        target.write(states.MARKER, (json.dumps({"version": states.VERSION, "of": of}, sort_keys=True) + "\n").encode())
    if noted != at:
        source.write(NOTE, (json.dumps(at, sort_keys=True) + "\n").encode())


def _place(known: t.Any) -> t.Any:
    """What was noted of a bucket, with its endpoint in the form in which it is compared."""
    endpoint = known.get("endpoint") if isinstance(known, dict) else None
    return {**known, "endpoint": canonical(endpoint)} if isinstance(endpoint, str) else known


def _document(objects: Objects, name: str) -> dict[str, t.Any] | None:
    content = objects.read(name)
    if content is None:
        return None
    try:
        found = json.loads(content)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


class _Backup:
    """One run."""

    def __init__(self, work: Work, target: Objects) -> None:
        self._work, self._source, self._target, self._report = work, work.objects, target, work.report
        self._options = target_options(work.settings)
        self._began = time.monotonic()
        self.copied = self.size = 0

    def make(self) -> int:
        """Make the backup, and whatever is due. Raises KeeperError."""
        name = states.new_name(self._target.now())
        found = find(self._source, self._work.compare, self._report.progress)
        before = states.listed(self._target)
        self._refuse_emptied(found, before)
        wanted = found.keys()
        absent = self._copy(found, sorted(wanted - self._already(found, states.blobs(self._target))))
        # In the other kind of list, and after whatever another host may still have done.
        there = states.blobs(self._target, version=1)
        absent |= self._copy(found, sorted(key for key in wanted - there.keys() - absent if self._target.head(states.blob_name(key)) is None))
        header = {"began": name[:16], "host": socket.gethostname(), "repositories": len(found.links), "blobs": len(wanted - absent)}
        header.update(tags=found.count("tag"), links=sum(1 for _link in found.all(absent)), known=list(before))
        # A store knows only when an object was written, and rules about tags ask when they were pushed.
        header["pushed"] = found.pushed
        states.write(self._target, name, header, found.all(absent))
        self._tell(name, header, found, absent)
        prune.prune(self._target, self._source, name, [*before, name], wanted - absent, self._options, self._work)
        return ATTENTION if self._work.attention else DONE

    def _refuse_emptied(self, found: Found, before: t.Iterable[str]) -> None:
        """What is lost may not become the newest backup, for which older ones go. Raises KeeperError."""
        if found.links:
            return
        if any(state and state.header.get("links") for state in (states.read(self._target, name) for name in list(before)[-1:])):
            raise KeeperError(f"{self._source.client.bucket.endpoint}: lists nothing of the registry, which had images at the last backup: none was made")

    def _already(self, found: Found, there: t.Mapping[bytes, t.Any]) -> set[bytes]:
        return {key for key, item in there.items() if key not in found.blobs or found.blobs[key].size == item.size}

    # --- blobs

    def _copy(self, found: Found, keys: t.Sequence[bytes]) -> set[bytes]:
        """Copy blobs. Returns those that are nowhere, or damaged. Raises StoreError."""
        absent: set[bytes] = set()
        total = sum(found.blobs[key].size for key in keys if key in found.blobs)
        for key in keys:
            try:
                size = self._from_anywhere(key)
            except DamagedError:
                self._work.warn(f"{digest_of(key)} is damaged in the store; delete the images that have it, or push them again")
                size = None
                if self._target.is_sound(states.blob_name(key), digest_of(key)):
                    continue
            if size is None:
                absent.add(key)
                continue
            self.copied, self.size = self.copied + 1, self.size + size
            self._report.progress(f"copied {self.copied} of {len(keys)} blobs, {human_bytes(self.size)} of {human_bytes(total)}")
        return absent

    def _from_anywhere(self, key: bytes) -> int | None:
        """Copy a blob from its place, or from where a collection has put it, or where it has been put back since. Raises StoreError."""
        digest, place = digest_of(key), states.blob_name(key)
        size = self._from(TREE.data(digest), place, digest)
        if size is None:
            holder = Taken.of(runs(self._source)).blobs.get(key)
            size = self._from(holder.place(TREE.data(digest)), place, digest) if holder else None
        return self._from(TREE.data(digest), place, digest) if size is None else size

    def _from(self, name: str, place: str, digest: str) -> int | None:
        try:
            return transfer(self._source, name, self._target, place, digest)
        except DamagedError:
            raise
        except StoreError:
            # Taken while it was read?
            if self._source.head(name) is None:
                return None
            raise

    # --- what is said

    def _tell(self, name: str, header: t.Mapping[str, t.Any], found: Found, absent: t.AbstractSet[bytes]) -> None:
        report = self._report
        # What a collection or a client has removed meanwhile, links included, is nobody's loss.
        lost = (link for link in found.all() if absent and key_of(link.digest) in absent)
        broken = list(itertools.islice((link for link in lost if self._source.head(path_of(link)) is not None), _NAMED))
        for link in broken:
            self._work.warn(f"{link.path} leads to a blob that is not in the store, or is damaged, and is not in the backup")
        facts = {key: header[key] for key in ("repositories", "tags", "links", "blobs")}
        report.add(state=name, copied_blobs=self.copied, copied_bytes=self.size, left_out=len(absent), **facts)
        took = human_seconds(time.monotonic() - self._began)
        report.say(counted_images(facts["repositories"], facts["tags"], facts["blobs"]))
        report.say(f"backup {name}: {counted(self.copied, 'new blob')}, {human_bytes(self.size)}, in {took}")
