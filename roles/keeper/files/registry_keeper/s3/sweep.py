# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sweep in an S3 store, while registries on several hosts run.

What is taken is in the quarantine, whole and verified, before it is removed from its place, and is looked at right before: a request each,
so that some milliseconds are left in which a registry can write what is then removed. D is a layer or manifest that is about to go.

| the client or registry                       | the sweep meanwhile   | what becomes of it                                                      |
| -------------------------------------------- | --------------------- | ----------------------------------------------------------------------- |
| HEAD D: found, in this host's log            | about to take D       | D is protected; it comes back if it has gone                            |
| HEAD D: found, at another host               | link taken            | the manifest is refused, the client pushes again and uploads D (weaker  |
|                                              |                       | than on files)                                                          |
| PUT manifest that needs D: D was looked for, | link or blob taken    | accepted; the look at the repository after settle_seconds finds the     |
| and found                                    |                       | manifest, and brings D back; if it is later still, the next run does    |
| PUT of the manifest D itself, with a tag     | link of D removed     | the tag is written after it, and found by the look: D comes back        |
| the same, without a tag                      | link of D removed,    | gone until something names it; an index that does is refused, and the   |
|                                              | after it was written  | client pushes again (weaker than on files)                              |
| upload of D: the registry finds the blob,    | blob taken in between | the manifest is refused; the link is found by the look or by the next   |
| drops the upload and writes a link           |                       | run, and brings D back                                                  |
| a tag is set                                 | it is being taken     | the registry writes the tag's history first: the look finds it there,   |
|                                              |                       | and sets the tag to what it says                                        |
| any of these                                 | killed                | all that was taken is in the quarantine: the next run tells Redis,      |
|                                              |                       | marks, and brings back what is needed                                   |

So no image that a tag names can be lost before a purge, which comes days later and marks before.
"""

from __future__ import annotations

import time
import typing as t

from registry_keeper.collect.access_log import AccessLog
from registry_keeper.collect.mark import Mark
from registry_keeper.report import Report
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.listing import Listing
from registry_keeper.s3.objects import Item, Objects
from registry_keeper.s3.quarantine import Run
from registry_keeper.s3.rescue import TAG_AT_REST, History, Rescue, blob_path, link_path, tag_path
from registry_keeper.storage.layout import digest_of
from registry_keeper.storage.redis_cache import RedisCache

LINKS_AT_ONCE = 200
BLOBS_AT_ONCE = 32
LOOK_EVERY = 60.0  # seconds between looks at all repositories while blobs go
Link = tuple[str, str, bytes]  # kind, repository, digest


class Sweep:
    """One sweep."""

    def __init__(self, run: Run, rescue: Rescue, log: AccessLog | None, cache: RedisCache | None, settle: float, report: Report) -> None:
        self.run, self.rescue, self.log, self.cache, self.settle, self.report = run, rescue, log, cache, settle, report
        self.objects: Objects = run.objects
        self.taken = rescue.taken
        self.mark: Mark = rescue.mark
        self.taken.trees = (run.tree, *self.taken.trees)
        self.links: list[Link] = []
        self.tags: dict[tuple[str, str], History] = {}  # that were taken, each with what it had named by then
        self.blobs: dict[bytes, int] = {}
        self.damaged: list[bytes] = []  # blobs that nothing needs, and that are not what their digest says
        self._looked = 0.0

    # --- links

    def sweep_links(self) -> None:
        """Take tags of subjects that are gone, manifests and layer links. Raises StoreError and CacheError; then restore() is due."""
        names = sorted(name for name, one in self.mark.surveys.items() if one.tags or one.revisions or one.layers)
        for number, name in enumerate(names):
            self._sweep_repository(name)
            self.report.progress(f"swept {number + 1} of {len(names)} repositories, {len(self.links)} links")
        if not self.links and not self.tags:
            return
        self._look_at(names)
        if self.cache is not None:
            self.cache.forget_taken([link for link in self.still_taken() if link[0] == "layers"], self._is_taken, self._listen)
            self._look_at(names)

    def _sweep_repository(self, name: str) -> None:
        """List a repository again, in the other way of two that stores have, and take what both lists say is not needed."""
        self._listen()
        first = self.mark.surveys[name]
        listing, one = self.rescue.repository(name, version=1)
        there = listing.get(name)
        self.take_tags([(name, tag) for tag in one.tags if tag in first.tags and tag in there.tags], listing)
        links: list[tuple[Link, Item]] = []
        for kind, both, items in (("revisions", (first.revisions, one.revisions), there.revisions), ("layers", (first.layers, one.layers), there.layers)):
            links += [((kind, name, key), items[key]) for key, moment in both[1].items() if both[0].get(key) == moment]
        for begin in range(0, len(links), LINKS_AT_ONCE):
            self._listen()
            batch = [(link, item) for link, item in links[begin : begin + LINKS_AT_ONCE] if link[2] not in self.rescue.protected]
            if begin:
                # What was pushed while the batch before was taken.
                one = self.rescue.repository(name)[1]
                batch = [(link, item) for link, item in batch if link[2] in (one.revisions if link[0] == "revisions" else one.layers)]
            if batch:
                self._take_links(batch)

    def _take_links(self, batch: t.Sequence[tuple[Link, Item]]) -> None:
        self.run.note("links", {link_path(*link): digest_of(link[2]) for link, _item in batch})
        for link, item in batch:
            path = link_path(*link)
            if self._unchanged(path, item):
                # Before it goes: whatever happens now, it is known to be in the quarantine.
                self.taken.links(link[0], link[1])[link[2]] = self.run
                self.links.append(link)
                self.objects.remove(path)

    def take_tags(self, tags: t.Sequence[tuple[str, str]], listing: Listing, expected: t.Mapping[tuple[str, str], str] | None = None) -> int:
        """Take tags as they are in a list; those that were set a moment ago, or name something else than expected, stay. Returns how many went."""
        rest = self.run.began - TAG_AT_REST
        batch = []
        for name, tag in tags:
            item, path = listing.get(name).tags[tag], tag_path(name, tag)
            written = [item.modified, *(one.modified for one in listing.get(name).history.get(tag, {}).values())]
            digest = listing.digest(path)
            if digest is not None and max(written) < rest and (expected is None or expected[name, tag] == digest):
                batch.append((name, tag, path, item, digest))
        if not batch:
            return 0
        self.run.note("links", {path: digest for _name, _tag, path, _item, digest in batch})
        count = 0
        for name, tag, path, item, digest in batch:
            if self._unchanged(path, item):
                self.taken.tags.setdefault(name, {})[tag] = (self.run, digest)
                self.tags[name, tag] = listing.get(name).history.get(tag, {})
                self.objects.remove(path)
                count += 1
        return count

    def _unchanged(self, path: str, item: Item) -> bool:
        now = self.objects.head(path)
        return now is not None and (now.size, now.second) == (item.size, item.second)

    def still_taken(self) -> list[Link]:
        """The links that this run has taken and not brought back."""
        return [link for link in self.links if self._is_taken(link)]

    def _is_taken(self, link: Link) -> bool:
        kind, name, key = link
        return self.taken.links(kind, name).get(key) is self.run

    def _look_at(self, names: t.Iterable[str]) -> None:
        self._wait()
        self._listen()
        for name in names:
            self.rescue.repository(name)
        self.look_at_tags()

    def look_later_at_tags(self) -> None:
        """The same, once requests have ended that had begun before. Raises StoreError."""
        if self.tags:
            self._wait()
            self.look_at_tags()

    def look_at_tags(self) -> None:
        """Set tags again that were set while they were taken: their history says to what. Raises StoreError."""
        for name, tag in self.tags_taken:
            self.rescue.tag_again(self.run, name, tag, self.tags[name, tag])

    @property
    def tags_taken(self) -> list[tuple[str, str]]:
        """The tags that this run has taken and not brought back."""
        return [(name, tag) for name, tag in self.tags if self.taken.tags.get(name, {}).get(tag, (None, ""))[0] is self.run]

    def _listen(self) -> None:
        if self.log is not None:
            self.rescue.asked_for(self.log.follow())

    def _wait(self) -> None:
        """Let requests end that had begun before."""
        time.sleep(self.settle)

    # --- blobs

    def sweep_blobs(self) -> None:
        """Take blobs that nothing links to. Raises StoreError and CacheError; then restore() is due."""
        if not self.mark.blobs and not self.links:
            return
        self.look()
        candidates = sorted(key for key in self.mark.blobs if not self.rescue.is_needed(key))
        for begin in range(0, len(candidates), BLOBS_AT_ONCE):
            self._listen()
            self._take_blobs([key for key in candidates[begin : begin + BLOBS_AT_ONCE] if not self.rescue.is_needed(key)])
            if time.monotonic() - self._looked > LOOK_EVERY:
                self.look()
            self.report.progress(f"swept {len(self.blobs)} of {len(candidates)} blobs")
        if not self.blobs:
            return
        self._wait()
        if self.cache is not None:
            self.cache.forget_blobs(digest_of(key) for key in self.blobs)
        self.look()
        # A registry that had looked for a manifest's layers long before may have written it only now.
        for name in sorted({name for _kind, name, _key in self.links}):
            self.rescue.repository(name)

    def _take_blobs(self, keys: t.Sequence[bytes]) -> None:
        if self.cache is not None:
            self.cache.forget_blobs(map(digest_of, keys))
        for key in keys:
            known, path = self.mark.blobs[key], blob_path(key)
            expected = Item(known.size, known.modified)
            if not self._unchanged(path, expected) or not self._copied(key, path):
                continue
            if self._unchanged(path, expected):
                self.taken.blobs[key] = self.run
                self.blobs[key] = known.size
                self.objects.remove(path)
        if self.cache is not None:
            self.cache.forget_blobs(map(digest_of, keys))

    def _copied(self, key: bytes, path: str) -> bool:
        """Whether the quarantine has a blob now. A damaged one stays where it is: nothing that is not sound may be relied on there. Raises StoreError."""
        try:
            return self.objects.copy(path, self.run.place(path), digest_of(key)) is not None
        except StoreError:
            if not self.objects.is_damaged(path, digest_of(key)):
                raise
        self.objects.remove(self.run.place(path))
        self.damaged.append(key)
        return False

    def look(self) -> None:
        """List all repositories for links to what has been taken, or is about to be; bring back what is linked again. Raises StoreError."""
        self._listen()
        listing = Listing.whole(self.objects, version=1, blobs=False)
        for there in listing.repositories.values():
            self.mark.linked.update(there.layers, there.revisions)
        for key in [key for key in self.taken.blobs if key in self.mark.linked]:
            self.rescue.blob(key)
        self._looked = time.monotonic()

    # --- where the cache cannot be told, or the store does not do it

    def restore(self) -> None:
        """Bring back everything that this run has taken. Raises StoreError."""
        for key in [key for key in self.blobs if self.taken.blobs.get(key) is self.run]:
            self.rescue.blob(key)
        # What a thing needs before it.
        for kind, name, key in reversed(self.still_taken()):
            self.rescue.link(kind, name, key)
        for name, tag in self.tags_taken:
            self.rescue.tag(name, tag)

    @property
    def freed(self) -> tuple[int, int]:
        """The number of blobs in the quarantine, and their bytes."""
        sizes = [size for key, size in self.blobs.items() if self.taken.blobs.get(key) is self.run]
        return len(sizes), sum(sizes)
