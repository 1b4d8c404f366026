# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""collect, in an S3 store: mark, take what nothing needs into the quarantine, and remove for good what has been there for long enough.

In this order, with the lease; each step leaves the storage right, whatever ends the program:

1. Redis and the access log are asked. Without them nothing is taken.
2. Runs that were killed: Redis is told again of what they have taken.
3. Mark. What is needed, and in the quarantine, comes back.
4. Runs older than undo_seconds are removed for good.
5. Sweep: links, then blobs.
6. Uploads that nobody will finish are removed.
"""

from __future__ import annotations

import argparse

from registry_keeper.collect.collect import add_arguments, looked_at
from registry_keeper.collect.mark import Mark
from registry_keeper.collect.removal import due
from registry_keeper.errors import ATTENTION, DONE, KeeperError
from registry_keeper.report import Report, counted, human_bytes, human_seconds
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.lease import LeaseLostError
from registry_keeper.s3.quarantine import Run, runs
from registry_keeper.s3.rescue import Rescue, blob_path
from registry_keeper.s3.sweep import Sweep
from registry_keeper.s3.uploads import remove_abandoned
from registry_keeper.s3.work import Work, begun, end_killed
from registry_keeper.settings import Settings
from registry_keeper.storage.layout import digest_of
from registry_keeper.storage.redis_cache import CacheError

__all__ = ["add_arguments", "run"]


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Collect. Returns an exit status; raises KeeperError and OSError."""
    work = Work(settings, report)
    work.refuse_mirror()
    if options.dry_run:
        _marking, marked, _rescue = work.mark(runs(work.objects))
        return _would(work, marked)
    with work.alone("collect"):
        every = begun(work)
        marking, marked, rescue = work.mark(every)
        rescue.all()
        end_killed(work, every, rescue)
        work.problems(marked)
        marking.known.write()
        work.tags.write(work.listing)
        work.keep_summary(every)
        return _sweep(work, every, marked, rescue)


def _sweep(work: Work, every: list[Run], marked: Mark, rescue: Rescue) -> int:
    report, options = work.report, work.options
    try:
        work.purge(due(every, options.undo_seconds, work.objects.now()), rescue)
    except CacheError as error:
        raise KeeperError(f"{error}: nothing was collected, since a push could then succeed into a hole") from error
    this = Run.begin(work.objects, "collect")
    sweep = Sweep(this, rescue, work.log, work.cache, options.settle_seconds, report)
    stopped: Exception | None = None
    try:
        sweep.sweep_links()
        sweep.sweep_blobs()
        sweep.look_at_tags()
    except LeaseLostError:
        # Not even what was taken may come back now: another run does that, which finds this one unfinished.
        raise
    except (OSError, CacheError, KeeperError) as failure:
        stopped = failure
        sweep.restore()
    blobs, size = sweep.freed
    links, tags = len(sweep.still_taken()), len(sweep.tags_taken)
    this.finish(links=links, tags=tags, blobs=blobs, bytes=size, **({"error": str(stopped)} if stopped else {}))
    report.add(run=this.name, links=links, fallback_tags=tags, swept_blobs=blobs, swept_bytes=size, brought_back=rescue.back + rescue.blobs_back)
    if rescue.back or rescue.blobs_back:
        report.say(f"brought back, since needed after all: {counted(rescue.back, 'link')} and {counted(rescue.blobs_back, 'blob')}")
    if isinstance(stopped, CacheError):
        raise KeeperError(f"{stopped}: everything that this run had taken is back in its place") from stopped
    if stopped is not None:
        raise stopped
    work.tell_of_damaged(rescue)
    for key in sweep.damaged:
        work.warn(f"{digest_of(key)} is damaged in the store, and nothing needs it: it stays until you remove {blob_path(key)} there")
    uploads = _remove_abandoned(work)
    report.add(abandoned_uploads=uploads)
    if uploads:
        report.say(f"removed: {counted(uploads, 'abandoned upload')}")
    report.say(f"{looked_at(marked)} looked at, with {counted(work.objects.requests, 'request')}")
    if links or tags or blobs:
        undo = f"for {human_seconds(options.undo_seconds)}: registry-keeper undo {this.name}"
        report.say(f"taken: {counted(links, 'link')}, {counted(blobs, 'blob')}, {human_bytes(size)}; {undo}")
    else:
        report.say("nothing to collect")
    return ATTENTION if work.attention else DONE


def _remove_abandoned(work: Work) -> int:
    """Remove abandoned uploads. A store that will not list its multipart uploads, as for lack of a permission, undoes nothing of the rest."""
    try:
        return remove_abandoned(work.objects, work.uploads, work.objects.now() - work.options.uploads_seconds)
    except StoreError as error:
        work.warn(f"abandoned uploads were not removed: {error}")
        return 0


def _would(work: Work, marked: Mark) -> int:
    work.problems(marked)
    report = work.report
    for name, one in sorted(marked.surveys.items()):
        for tag in sorted(one.tags):
            report.say(f"would go: {name}:{tag}, since what it belongs to has gone")
        for key in sorted(one.revisions):
            report.say(f"would go: {name}@{digest_of(key)}")
    manifests, layers = (sum(len(found) for found in every) for every in _candidates(marked))
    size = sum(blob.size for blob in marked.blobs.values())
    report.add(would_take={"manifests": manifests, "layers": layers, "blobs": len(marked.blobs), "bytes": size})
    report.say(f"would take: {counted(manifests, 'manifest')}, {counted(layers, 'layer link')}, {counted(len(marked.blobs), 'blob')}, {human_bytes(size)}")
    return ATTENTION if work.attention else DONE


def _candidates(marked: Mark) -> tuple[list[dict[bytes, int]], list[dict[bytes, int]]]:
    return [one.revisions for one in marked.surveys.values()], [one.layers for one in marked.surveys.values()]
