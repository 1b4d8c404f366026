# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""collect: find what no tag needs, take it into the quarantine, and remove what has been there for long enough.

In this order, under the storage's lock; each step leaves the storage right, whatever ends the program:

1. Redis and the access log are asked. Without them nothing is taken.
2. Runs that were killed: Redis is told again of what they have taken.
3. Mark. What is needed, and in the quarantine, comes back.
4. Runs older than undo_seconds are removed for good. Until here nothing is written but what can be done without: the disk may be full.
5. Broken links and abandoned uploads are mended.
6. Sweep: links, then blobs.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import json
import os
import time
import typing as t

from registry_keeper import lock
from registry_keeper.collect import removal
from registry_keeper.collect.access_log import AccessLog, since
from registry_keeper.collect.mark import Index, Mark, describe, mark
from registry_keeper.collect.mend import abandoned_uploads, mend_links
from registry_keeper.collect.quarantine import Run, runs
from registry_keeper.collect.rescue import Rescue
from registry_keeper.collect.sweep import Sweep
from registry_keeper.errors import ATTENTION, DONE, KeeperError
from registry_keeper.report import Report, counted, human_bytes, human_seconds, write_whole
from registry_keeper.settings import Settings, number, section, true_or_false
from registry_keeper.storage.layout import Layout, digest_of, refuse_mirror
from registry_keeper.storage.redis_cache import CacheError, RedisCache
from registry_keeper.storage.survey import Rules

DAY = 86400
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclasses.dataclass(frozen=True)
class CollectSettings:
    """The section `collect`. Durations are in seconds."""

    grace_seconds: float
    undo_seconds: float
    settle_seconds: float
    uploads_seconds: float
    memory_cache: bool


def parse(settings: Settings) -> CollectSettings:
    """The section with its defaults. Raises KeeperError, by name."""
    known = {
        "grace_seconds": number(default=DAY),  # what is younger, or was asked for since then, stays
        "undo_seconds": number(default=7 * DAY),  # how long a run can be undone
        "settle_seconds": number(0, 600, default=5),  # how long a request may take that had begun before something was taken
        "uploads_seconds": number(default=7 * DAY),  # an upload to which nothing was written for so long is abandoned
        "memory_cache": (true_or_false, settings.redis is None),  # whether the registry keeps descriptors in its own memory
    }
    return CollectSettings(**section(settings.collect, "collect", known))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would go, and change nothing")


class Collection:
    """What all commands that look at the whole storage have in common."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self.settings, self.report = settings, report
        self.options = parse(settings)
        self.tree = Layout(settings.storage)
        self.cache = RedisCache(settings.redis) if settings.redis else None
        self.now = time.time()
        self.log = AccessLog(settings.access_logs, since(self.options.grace_seconds)) if settings.access_logs else None
        self.attention = False

    def warn(self, line: str) -> None:
        self.report.warn(line)
        self.attention = True

    def check_storage(self) -> None:
        refuse_mirror(self.settings.storage)
        if not os.path.isdir(self.tree.root):
            raise KeeperError(f"{self.tree.root}: there is no registry's storage")

    def tell_of_killed(self) -> None:
        """Runs that did not come to their end: Redis may not know. Raises CacheError."""
        for run in runs(self.settings.storage, self.settings.state):
            if not run.finished:
                if self.cache is not None:
                    removal.tell(self.tree, run, self.cache)
                try:
                    run.finish(interrupted=True)
                except OSError as error:
                    if error.errno in _FULL:
                        continue  # another run does it, once there is space
                    raise
                self.report.say(f"finished run {run.name}, which was interrupted")

    def mark(self) -> tuple[Index, Mark, Rescue]:
        """Mark, with what is in the quarantine. Raises KeeperError and OSError."""
        began = time.monotonic()
        index = Index.of(runs(self.settings.storage, self.settings.state))
        rules = Rules(self.now, self.options.grace_seconds, self.log.read() if self.log else frozenset(), self._untagged())
        marked = mark(self.tree, rules, index, self.report.progress)
        self.report.add(
            mark_seconds=round(time.monotonic() - began, 3),
            tags=marked.tags,
            manifests=marked.kept_manifests,
            blobs=marked.all_blobs,
            dangling_tags=marked.dangling,
        )
        return index, marked, Rescue(self.tree, index, marked)

    def _untagged(self) -> dict[str, dict[str, float]]:
        try:
            with open(os.path.join(self.settings.state, "untagged.json"), encoding="utf-8") as file:
                known = json.load(file)
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}

    def remember_untagged(self, marked: Mark) -> None:
        """Keep since when manifests are known to be without a tag, where the storage itself does not say."""
        known = marked.rules.untagged
        now = {name: {digest: known.get(name, {}).get(digest, self.now) for digest in digests} for name, digests in marked.lately.items()}
        path = os.path.join(self.settings.state, "untagged.json")
        try:
            # Where it is lost, what has no tag only stays for another grace period.
            write_whole(path, json.dumps(now) + "\n", sync=False)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            # An old one would have what a tag has named since.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    def problems(self, marked: Mark) -> None:
        """Say what is damaged."""
        unreadable = {name: one.unreadable for name, one in marked.surveys.items() if one.unreadable}
        for name, digests in sorted(unreadable.items()):
            self.warn(f"{name}: cannot read {len(digests)} manifests that are needed, such as {digests[0]}: nothing is collected from this repository")
        missing = marked.missing - {key for key in marked.missing if key in marked.rules.protected}
        if missing:
            self.warn(f"{len(missing)} blobs are needed, but not there, such as {describe(missing, 1)[0]}")
        self.report.add(unreadable={name: len(digests) for name, digests in unreadable.items()}, missing=describe(missing), missing_blobs=len(missing))

    def purge_due(self, rescue: Rescue, every: t.Sequence[Run]) -> None:
        """Remove runs. Raises OSError and CacheError."""
        done = removal.purge(self.tree, every, rescue, self.cache, self.options.memory_cache, self.report)
        self.report.add(purged_runs=done.runs, purged_blobs=done.blobs, purged_bytes=done.bytes, kept_for_registry=done.kept_for_registry)
        if done.runs:
            self.report.say(f"removed for good: {counted(done.blobs, 'blob')}, {human_bytes(done.bytes)}, of {', '.join(done.runs)}")
        if done.kept_for_registry:
            self.report.say(f"kept until the registry has been restarted: {', '.join(done.kept_for_registry)}")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Collect. Returns an exit status; raises KeeperError and OSError."""
    work = Collection(settings, report)
    work.check_storage()
    if options.dry_run:
        return _dry_run(work)
    with lock.alone(settings, "collect"):
        if work.cache is not None:
            try:
                work.cache.check()
                work.tell_of_killed()
            except CacheError as error:
                raise KeeperError(f"{error}: nothing was collected, since a push could then succeed into a hole") from error
        else:
            work.tell_of_killed()
        return _collect(work)


def _collect(work: Collection) -> int:
    settings, report, options = work.settings, work.report, work.options
    index, marked, rescue = work.mark()
    rescue.all()
    work.problems(marked)
    try:
        work.purge_due(rescue, removal.due(runs(settings.storage, settings.state), options.undo_seconds, work.now))
    except CacheError as failure:
        raise KeeperError(f"{failure}: nothing was collected, since a push could then succeed into a hole") from failure
    work.remember_untagged(marked)
    this = Run.begin(settings.storage, settings.state, "collect")
    sweep = Sweep(work.tree, this, index, rescue, work.log, work.cache, options.settle_seconds, report)
    error: Exception | None = None
    try:
        _mend(work, this, marked)
        sweep.sweep_links()
        sweep.sweep_blobs()
    except (OSError, CacheError, KeeperError) as failure:
        # What cannot be told, or not be looked at any more, goes back: then nothing can be missing.
        error = failure
        sweep.restore()
    freed = sweep.freed
    links = len(sweep.still_taken())
    this.finish(links=links, tags=sweep.tags, blobs=freed[0], bytes=freed[1], **({"error": str(error)} if error else {}))
    report.add(run=this.name, links=links, fallback_tags=sweep.tags, swept_blobs=freed[0], swept_bytes=freed[1])
    report.add(brought_back=rescue.back + rescue.blobs_back)
    if rescue.back or rescue.blobs_back:
        report.say(f"brought back, since needed after all: {counted(rescue.back, 'link')} and {counted(rescue.blobs_back, 'blob')}")
    if isinstance(error, CacheError):
        raise KeeperError(f"{error}: everything that this run had taken is back in its place") from error
    if error is not None:
        raise error
    report.say(f"{looked_at(marked)} looked at in {report.facts['mark_seconds']} s")
    if os.path.isdir(this.path):
        undo = f"for {human_seconds(options.undo_seconds)}: registry-keeper undo {this.name}"
        report.say(f"taken: {counted(links, 'link')}, {counted(freed[0], 'blob')}, {human_bytes(freed[1])}; {undo}")
    else:
        report.say("nothing to collect")
    return ATTENTION if work.attention else DONE


def looked_at(marked: Mark) -> str:
    """What a mark has looked at, for people."""
    return f"{counted(marked.tags, 'tag')}, {counted(marked.kept_manifests, 'manifest')} and {counted(marked.all_blobs, 'blob')}"


def _mend(work: Collection, this: Run, marked: Mark) -> None:
    mended = mend_links(work.tree, this, (path for one in marked.surveys.values() for path in one.broken))
    uploads = 0
    for relative in abandoned_uploads(work.tree, work.now - work.options.uploads_seconds):
        uploads += this.take(relative)
    work.report.add(mended_links=len(mended.written), taken_links=len(mended.taken), abandoned_uploads=uploads)
    if mended.written or mended.taken:
        work.report.say(f"repaired: {counted(len(mended.written), 'empty link')} written again, {counted(len(mended.taken), 'link')} to nothing taken")
    if uploads:
        work.report.say(f"taken: {counted(uploads, 'abandoned upload')}")
    for path in mended.unknown:
        work.warn(f"{path}: is broken, and nothing says what it was; remove it, or push that tag again")


def _dry_run(work: Collection) -> int:
    _index, marked, _rescue = work.mark()
    work.problems(marked)
    report = work.report
    manifests, layers = 0, 0
    for name, one in sorted(marked.surveys.items()):
        manifests, layers = manifests + len(one.revisions), layers + len(one.layers)
        for tag in sorted(one.tags):
            report.say(f"would go: {name}:{tag}, since what it belongs to has gone")
        for key in sorted(one.revisions):
            report.say(f"would go: {name}@{digest_of(key)}")
    size = sum(blob.size for blob in marked.blobs.values())
    would = {"time": int(work.now), "manifests": manifests, "layers": layers, "blobs": len(marked.blobs), "bytes": size}
    report.add(would_take=would)
    with contextlib.suppress(OSError):  # for status only
        write_whole(os.path.join(work.settings.state, "status", "would_take.json"), json.dumps(would) + "\n", sync=False)
    report.say(f"would take: {counted(manifests, 'manifest')}, {counted(layers, 'layer link')}, {counted(len(marked.blobs), 'blob')}, {human_bytes(size)}")
    return ATTENTION if work.attention else DONE
