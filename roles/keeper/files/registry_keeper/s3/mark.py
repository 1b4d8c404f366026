# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mark in an S3 store: the same rules as on files (storage/survey.py), read from lists.

A store leaves no trace of what was removed: no empty directory, and no time. So a manifest, layer or blob is a candidate only once earlier
runs have found it not needed for a while as well (`Known`), besides being old. That also covers a list that lacked something once.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import math
import typing as t
import zlib

from registry_keeper.collect.mark import Candidate, Mark
from registry_keeper.s3.listing import TREE, Listing
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.quarantine import Run
from registry_keeper.storage.layout import digest_of, is_digest, thing_of
from registry_keeper.storage.survey import Cache, Quarantined, Rules, Survey, survey

NAME = "holdfast-keeper/unneeded.json.gz"
_OF_ALL = ""  # the repository under which blobs are that no repository links to
Since = dict[str, dict[str, float]]


@dataclasses.dataclass
class Taken:
    """What is in the quarantine and not in its place. Digests are in their compact form; each with the run that has it."""

    layers: dict[str, dict[bytes, Run]] = dataclasses.field(default_factory=dict)
    revisions: dict[str, dict[bytes, Run]] = dataclasses.field(default_factory=dict)
    tags: dict[str, dict[str, tuple[Run, str]]] = dataclasses.field(default_factory=dict)
    blobs: dict[bytes, Run] = dataclasses.field(default_factory=dict)
    trees: tuple[str, ...] = ()

    @classmethod
    def of(cls, runs: t.Sequence[Run]) -> Taken:
        found = cls(trees=tuple(run.tree for run in reversed(runs)))
        for run in runs:
            for path, digest in run.links().items():
                found.add(run, path, digest)
            for path in run.blobs():
                found.add(run, path, "")
        return found

    def add(self, run: Run, path: str, digest: str) -> None:
        kind, name, thing = thing_of(path)
        if isinstance(thing, str):
            self.tags.setdefault(name, {})[thing] = (run, digest)
        elif kind == "blobs":
            self.blobs[thing] = run
        elif kind:
            self.links(kind, name)[thing] = run

    def links(self, kind: str, name: str) -> dict[bytes, Run]:
        return (self.layers if kind == "layers" else self.revisions).setdefault(name, {})

    def without(self, listing: Listing, names: t.Iterable[str]) -> None:
        """Forget what is in its place."""
        for name in names:
            there = listing.get(name)
            for kind, present in (("layers", there.layers), ("revisions", there.revisions)):
                entries = self.links(kind, name)
                for key in [key for key in entries if key in present]:
                    del entries[key]
            for tag in [tag for tag in self.tags.get(name, {}) if tag in there.tags]:
                del self.tags[name][tag]
        for key in [key for key in self.blobs if key in listing.blobs]:
            del self.blobs[key]

    def quarantined(self, name: str) -> Quarantined:
        return Quarantined(self.layers.get(name, {}).keys(), self.revisions.get(name, {}).keys(), self.trees)


class Known:
    """Since when runs have found things not needed, without one in between that found otherwise."""

    def __init__(self, objects: Objects, now: float, grace: float) -> None:
        self._objects, self._now = objects, now
        # Half of it, so that a run each week counts with a grace period of a week.
        self._for = grace / 2
        self._grace = grace
        self._before = self._read()
        self.found: Since = {}

    def _read(self) -> Since:
        content = self._objects.read(NAME)
        if content is None:
            return {}
        try:
            document = json.loads(gzip.decompress(content))
        except (OSError, ValueError, EOFError, zlib.error):
            return {}  # then all things have to wait again
        found: Since = {}
        for name, entries in document.items() if isinstance(document, dict) else ():
            if isinstance(entries, dict):
                found[name] = {digest: float(since) for digest, since in entries.items() if is_digest(digest) and isinstance(since, (int, float))}
        return found

    def write(self) -> None:
        """Keep what this run has found, for the next ones. Raises StoreError."""
        self._objects.write(NAME, gzip.compress(json.dumps(self.found, sort_keys=True).encode(), mtime=0))

    def note(self, name: str, key: bytes) -> bool:
        """Note that something is not needed; returns whether it has not been for long enough."""
        digest = digest_of(key)
        since = min(self._before.get(name, {}).get(digest, self._now), self._now)
        self.found.setdefault(name, {})[digest] = since
        return since <= self._now - self._for

    def for_survey(self) -> Since:
        """For `Rules.untagged`, which are compared with the whole grace period."""
        return {name: {digest: since - (self._grace - self._for) for digest, since in entries.items()} for name, entries in self._before.items()}


class Marking:
    """Surveys of repositories, by the rules and the record of one run."""

    def __init__(self, objects: Objects, now: float, grace: float, protected: t.AbstractSet[bytes], taken: Taken) -> None:
        self.objects, self.taken = objects, taken
        self.known = Known(objects, now, grace)
        self.rules = Rules(now, grace, protected, self.known.for_survey())
        self.unlisted_blobs: dict[bytes, float] = {}  # needed, in no list and there after all; with when they were written
        self._read: dict[str, Cache] = {}  # manifests of repositories that are looked at again

    def look(self, listing: Listing, name: str, protected: t.AbstractSet[bytes] | None = None) -> Survey:
        """What a repository needs; candidates are only those that have not been needed for long enough. Raises StoreError."""
        rules = self.rules if protected is None else dataclasses.replace(self.rules, protected=protected)
        cache = self._read.get(name) or Cache(math.inf)
        one = survey(TREE, name, rules, self.taken.quarantined(name), cache, listing)
        if one.revisions or one.layers or one.tags:
            self._read[name] = cache
        for key in one.lately:
            self.known.note(name, key)
        going: set[bytes] = set()
        for key in list(one.revisions):
            if self.known.note(name, key):
                going.update(cache[key].needed if key in cache else ())
            else:
                self._not_yet(one, one.revisions, key)
        for key in list(one.layers):
            # What a manifest needs that goes has waited with it.
            if not self.known.note(name, key) and key not in going:
                self._not_yet(one, one.layers, key)
        return one

    @staticmethod
    def _not_yet(one: Survey, candidates: dict[bytes, int], key: bytes) -> None:
        one.linked.add(key)
        del candidates[key]

    def mark(self, listing: Listing, progress: t.Callable[[str], None]) -> Mark:
        """Look at everything. Raises StoreError: nothing may be collected then."""
        result = Mark(self.rules)
        looked_at = 0
        for batch in listing.batches():
            listing.read_ahead(batch)
            for name in batch:
                result.add(self.look(listing, name))
            looked_at += len(batch)
            progress(f"looked at {looked_at} of {len(listing.repositories)} repositories")
        missing = result.needed - result.elsewhere - listing.blobs.keys() - self.taken.blobs.keys()
        # A list may lack what is there.
        for key in missing:
            item = self.objects.head(TREE.data(digest_of(key)))
            if item is not None:
                self.unlisted_blobs[key] = item.modified
        result.missing = missing - self.unlisted_blobs.keys()
        result.all_blobs = len(listing.blobs)
        going = {key for one in result.surveys.values() for key in (*one.layers, *one.revisions)}
        for key, item in listing.blobs.items():
            if key in result.needed or key in result.linked or key in self.rules.protected or self.rules.young(item.modified):
                continue
            # What links to it goes as well, and has waited.
            if key in going or self.known.note(_OF_ALL, key):
                result.blobs[key] = Candidate(item.size, item.modified)
        return result
