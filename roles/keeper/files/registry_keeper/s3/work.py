# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all commands that work on a storage in an S3 store have in common."""

from __future__ import annotations

import contextlib
import json
import typing as t

from registry_keeper import lock
from registry_keeper.collect.access_log import AccessLog, since
from registry_keeper.collect.collect import parse
from registry_keeper.collect.mark import Mark, describe
from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.report import Report
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.known_tags import KnownTags
from registry_keeper.s3.lease import Lease
from registry_keeper.s3.listing import Listing
from registry_keeper.s3.mark import Marking, Taken
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.quarantine import Run, runs
from registry_keeper.s3.rescue import TAG_AT_REST, Rescue, Return, tag_path
from registry_keeper.s3.settings import objects_of
from registry_keeper.settings import Settings
from registry_keeper.storage.layout import digest_of, thing_of
from registry_keeper.storage.redis_cache import CacheError, RedisCache

SUMMARY = "holdfast-keeper/summary.json"
LARGEST = 20


class Work:
    """A command's work on a store."""

    def __init__(self, settings: Settings, report: Report, objects: Objects | None = None) -> None:
        self.settings, self.report = settings, report
        self.options = parse(settings)
        self.objects = objects or objects_of(settings)
        self.cache = RedisCache(settings.redis) if settings.redis else None
        # A week of a busy host takes minutes to read, and the lease has to be renewed meanwhile.
        log = AccessLog(settings.access_logs, since(self.options.grace_seconds), self._hold_lease)
        self.log = log if settings.access_logs else None
        self.attention = False
        self.largest: list[dict[str, t.Any]] = []
        self.uploads: dict[str, float] = {}

    def _hold_lease(self) -> None:
        """Renew it where that is due: a lease replaces the guard when it is taken."""
        self.objects.guard()

    def warn(self, line: str) -> None:
        self.report.warn(line)
        self.attention = True

    @contextlib.contextmanager
    def alone(self, purpose: str) -> t.Iterator[None]:
        """Be the one run that changes the store, of all hosts. Raises KeeperError with the status BUSY where another one is."""
        # Also before: a lease that is taken every five minutes is one that a move has to wait for.
        lock.refuse_if_frozen(self.settings)
        with lock.hold(self.settings.state, purpose), Lease(self.objects, purpose).held():
            lock.refuse_if_frozen(self.settings)
            yield

    def refuse_mirror(self) -> None:
        """Raise KeeperError where the storage is a pull-through cache's, which has what no tag names."""
        if self.objects.head("scheduler-state.json") is not None:
            raise KeeperError("the storage is a mirror's, which removes by itself what it has had for long enough", USAGE)

    def tell_of_killed(self, every: t.Sequence[Run]) -> list[Run]:
        """Runs that did not come to their end: Redis may not know of what they have taken. Raises CacheError and StoreError."""
        killed = [run for run in every if not run.finished]
        for run in killed:
            self.tell(run)
        return killed

    def tell(self, run: Run) -> None:
        """Tell Redis again of everything that a run has taken. Raises CacheError and StoreError."""
        if self.cache is None:
            return
        links = [thing_of(path) for path in run.links()]
        self.cache.forget_layers((name, digest_of(key)) for kind, name, key in links if kind == "layers" and isinstance(key, bytes))
        blobs = [thing_of(path)[2] for path in run.blobs()]
        self.cache.forget_blobs(digest_of(key) for key in blobs if isinstance(key, bytes))

    def mark(self, every: t.Sequence[Run]) -> tuple[Marking, Mark, Rescue]:
        """Mark, with what is in the quarantine. Changes nothing. Raises KeeperError."""
        now = self.objects.now()
        taken = Taken.of(every)
        self.report.progress("listing the store")
        listing = Listing.whole(self.objects)
        protected = self.log.read() if self.log else frozenset()
        self.tags = KnownTags(self.objects, self.log.pushed if self.log else ())
        # Blobs go by the keeper alone: all of them where the last mark has found no tag, and otherwise never.
        if not listing.repositories and not listing.blobs and every and not self.tags.none_before:
            raise KeeperError(f"{self.objects.client.bucket.endpoint}: lists nothing of the registry, which had something before: nothing was done")
        self.compare(listing, Listing.whole(self.objects, version=1, blobs=False), now)
        self.tags.complete(listing)
        self.listing = listing
        taken.without(listing, listing.repositories)
        self.uploads = listing.uploads
        marking = Marking(self.objects, now, self.options.grace_seconds, protected, taken)
        marked = marking.mark(listing, self.report.progress)
        self._say_what_is_hidden({**self.tags.unlisted, **listing.found_unlisted}, marking.unlisted_blobs, now - TAG_AT_REST)
        self.report.add(tags=marked.tags, manifests=marked.kept_manifests, blobs=marked.all_blobs, dangling_tags=marked.dangling)
        self.report.add(repositories=len(listing.repositories), bytes=sum(item.size for item in listing.blobs.values()))
        sizes = {name: sum(listing.blobs[key].size for key in one.layers if key in listing.blobs) for name, one in listing.repositories.items()}
        self.largest = [{"repository": name, "bytes": sizes[name]} for name in sorted(sizes, key=lambda name: (-sizes[name], name))[:LARGEST]]
        return marking, marked, Rescue(marking, marked)

    def _say_what_is_hidden(self, unlisted: t.Mapping[str, float], unlisted_blobs: t.Mapping[bytes, float], before: float) -> None:
        """Say what a list should have had. What was pushed after the store had been listed is not hidden."""
        links = sorted(path for path, written in unlisted.items() if written < before)
        blobs = [key for key, written in unlisted_blobs.items() if written < before]
        self.report.add(hidden=links[:LARGEST], hidden_links=len(links), hidden_blobs=len(blobs))
        if links:
            self.warn(f"tags and manifests that are in no list of the store although they are there: {len(links)}, such as {links[0]}; they are kept")
        elif blobs:
            self.report.say(f"blobs that are in no list of the store although they are there: {len(blobs)}; they are kept")

    def compare(self, first: Listing, second: Listing, now: float) -> None:
        """Raise StoreError where one of two lists has a tag that the other one lacks: what a list lacks would be taken for not needed."""
        for name in first.repositories.keys() | second.repositories.keys():
            one, other = first.get(name).tags, second.get(name).tags
            for tag in one.keys() ^ other.keys():
                item = one.get(tag) or other[tag]
                if item.modified < now - TAG_AT_REST and self.objects.head(tag_path(name, tag)) is not None:
                    raise StoreError(f"{name}:{tag} is in one list of the store and not in another: nothing was done, since more may be missing")

    def keep_summary(self, every: t.Sequence[Run]) -> None:
        """What was found, for the status on all hosts. Raises StoreError."""
        known = {name: self.report.facts[name] for name in ("repositories", "tags", "blobs", "bytes")}
        set_aside = sum(sum(run.blobs().values()) for run in every)
        summary = {"taken": int(self.objects.now()), **known, "largest": self.largest, "set_aside_bytes": set_aside, "open_uploads": len(self.uploads)}
        self.objects.write(SUMMARY, (json.dumps(summary, sort_keys=True) + "\n").encode())

    def problems(self, marked: Mark) -> None:
        """Say what is damaged."""
        unreadable = {name: one.unreadable for name, one in marked.surveys.items() if one.unreadable}
        for name, digests in sorted(unreadable.items()):
            self.warn(f"{name}: cannot read {len(digests)} manifests that are needed, such as {digests[0]}: nothing is collected from this repository")
        missing = marked.missing - marked.rules.protected
        if missing:
            self.warn(f"{len(missing)} blobs are needed, but not there, such as {describe(missing, 1)[0]}")
        for path in sorted(path for one in marked.surveys.values() for path in one.broken):
            self.warn(f"{path}: is no link; push that tag again, or remove it")
        self.report.add(unreadable={name: len(digests) for name, digests in unreadable.items()}, missing=describe(missing), missing_blobs=len(missing))

    def tell_of_damaged(self, rescue: Return) -> None:
        """Say which copies in the quarantine could not come back."""
        for copy, digest in sorted(rescue.damaged.items()):
            self.warn(f"{digest} is needed, and its copy in the quarantine, {copy}, is damaged: delete the images that have it, or push them again")

    def purge(self, due: t.Sequence[Run], rescue: Rescue) -> None:
        """Remove runs for good; the rescue has brought back what is needed. Raises CacheError and StoreError; what is not removed stays."""
        gone: list[str] = []
        blobs = size = 0
        for run in due:
            self.tell(run)
            found = run.blobs()
            for path in found:
                key = thing_of(path)[2]
                if isinstance(key, bytes) and rescue.is_needed(key):
                    rescue.blob_of(run, key)
            if any(run.place(path) in rescue.damaged for path in found):
                continue  # which may be all that is left of what is needed
            # What could come back has to find its content, so the links are forgotten first.
            for name, _item in list(self.objects.list(f"{run.path}links/")):
                self.objects.remove(name)
            for path, length in found.items():
                self.objects.remove(run.place(path))
                blobs, size = blobs + 1, size + length
                self.report.progress(f"removed {blobs} blobs")
            run.remove()
            gone.append(run.name)
        self.report.add(purged_runs=gone, purged_blobs=blobs, purged_bytes=size)


def begun(work: Work) -> list[Run]:
    """All runs, once Redis has been asked and told of those that were killed. Raises KeeperError."""
    try:
        if work.cache is not None:
            work.cache.check()
        every = runs(work.objects)
        killed = work.tell_of_killed(every)
    except CacheError as error:
        raise KeeperError(f"{error}: nothing was done, since a push could then succeed into a hole") from error
    work.report.add(interrupted_runs=[run.name for run in killed])
    return every


def end_killed(work: Work, every: t.Sequence[Run], rescue: Rescue) -> None:
    """Call runs finished that were killed, once what is needed of them has come back. Raises StoreError."""
    for run in every:
        if run.finished:
            continue
        for path in run.links():
            kind, name, tag = thing_of(path)
            if kind == "tags" and isinstance(tag, str):
                rescue.tag_again(run, name, tag)
        run.finish(interrupted=True)
        work.report.say(f"finished run {run.name}, which was interrupted")
