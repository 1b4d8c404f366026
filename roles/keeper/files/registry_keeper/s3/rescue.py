# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring back what is needed after all, from the quarantine in an S3 store. Content comes before what names it."""

from __future__ import annotations

import typing as t

from registry_keeper.collect.mark import Mark
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.listing import TREE, Listing
from registry_keeper.s3.mark import Marking, Taken
from registry_keeper.s3.objects import Item, Objects
from registry_keeper.s3.quarantine import Run
from registry_keeper.storage.layout import digest_of
from registry_keeper.storage.survey import Survey, subject_of

History = t.Mapping[bytes, Item]
TAG_AT_REST = 60.0  # a tag that was set within so many seconds before a run began is not taken


def link_path(kind: str, name: str, key: bytes) -> str:
    """Where a link is: kind is "layers" or "revisions"."""
    return (TREE.layer(name, digest_of(key)) if kind == "layers" else TREE.revision(name, digest_of(key))) + "/link"


def tag_path(name: str, tag: str) -> str:
    return f"{TREE.tag(name, tag)}/current/link"


def blob_path(key: bytes) -> str:
    return TREE.data(digest_of(key))


def _newest_of_new(history: History, before: History) -> bytes | None:
    """What a tag was set to last, of what is not as it was before; None where nothing is new. Lists of two kinds may differ in parts of a second."""
    new = {key: item for key, item in history.items() if key not in before or before[key].second != item.second}
    return max(new, key=lambda key: new[key].modified, default=None)


class Return:
    """Brings single things back, and counts them."""

    def __init__(self, objects: Objects, taken: Taken) -> None:
        self.objects, self.taken = objects, taken
        self.back = 0
        self.blobs_back = 0
        self.damaged: dict[str, str] = {}  # copies in the quarantine that are needed and not what their digests say, with these

    def blob(self, key: bytes) -> bool:
        """Bring back a blob; False where no run has it, it is there, or the copy is damaged. Raises StoreError."""
        run = self.taken.blobs.pop(key, None)
        return run is not None and self.blob_of(run, key)

    def blob_of(self, run: Run, key: bytes) -> bool:
        """The same of the copy that one run has."""
        path, digest, copy = blob_path(key), digest_of(key), run.place(blob_path(key))
        if copy in self.damaged or self.objects.head(path) is not None:
            return False
        try:
            size = self.objects.copy(copy, path, digest)
        except StoreError:
            # What was copied and is not what its digest says would be taken for the blob.
            if self.objects.is_damaged(path, digest):
                self.objects.remove(path)
            if not self.objects.is_damaged(copy, digest):
                self.taken.blobs[key] = run
                raise
            self.damaged[copy] = digest
            return False
        if size is None:
            return False
        self.blobs_back += 1
        return True

    def link(self, kind: str, name: str, key: bytes) -> bool:
        """Bring back a link, and its content before it. False where that is gone for good, or the link is there. Raises StoreError."""
        run = self.taken.links(kind, name).pop(key, None)
        if run is None:
            return False
        self.blob(key)
        return self.objects.head(blob_path(key)) is not None and self._write(run, link_path(kind, name, key), digest_of(key))

    def tag(self, name: str, tag: str) -> bool:
        """Bring back a tag, unless it has been set again, or its manifest is not there. Raises StoreError."""
        run, digest = self.taken.tags.get(name, {}).pop(tag, (None, ""))
        if run is None or self.objects.head(TREE.revision(name, digest) + "/link") is None:
            return False
        before = self._history(name, tag)
        if not self._write(run, tag_path(name, tag), digest):
            return False
        # A store that ignores conditions has it written over what was set in the milliseconds since it was looked at.
        written = self.objects.head(tag_path(name, tag))
        old = {key: item for key, item in before.items() if written is not None and item.modified < written.modified - TAG_AT_REST}
        newest = _newest_of_new(self._history(name, tag), old)
        if newest is not None and digest_of(newest) != digest and self.objects.read(tag_path(name, tag)) == digest.encode():
            self.objects.write(tag_path(name, tag), digest_of(newest).encode())
        return True

    def _history(self, name: str, tag: str) -> History:
        """What a tag has named: the registry writes that first, and then the tag. Raises StoreError."""
        found = Listing(self.objects)
        for path, item in self.objects.list(f"{TREE.tag(name, tag)}/index/"):
            found.add(path, item)
        return found.get(name).history.get(tag, {})

    def tag_again(self, run: Run, name: str, tag: str, before: History | None = None) -> bool:
        """Set a tag that a run has taken to what its history says, if that was written since the run began, and the tag is not there.

        before is the history when the tag was taken: what differs now was written since, whatever the clocks of the store's parts say. Who does not
        know it goes by the time: whatever had been written by then was older than TAG_AT_REST. Raises StoreError.
        """
        there = Listing.of(self.objects, name).get(name)
        history = there.history.get(tag, {})
        if before is None:
            before = {key: item for key, item in history.items() if item.modified < run.began - TAG_AT_REST}
        newest = _newest_of_new(history, before)
        if newest is None or tag in there.tags:
            return False
        self.taken.tags.get(name, {}).pop(tag, None)
        return self._write(run, tag_path(name, tag), digest_of(newest))

    def _write(self, run: Run, path: str, digest: str) -> bool:
        if not self.objects.write_new(path, digest.encode()):
            return False
        run.note("back", [path])
        self.back += 1
        return True


class Rescue(Return):
    """Brings back what a mark, or a look at a repository, finds to be needed."""

    def __init__(self, marking: Marking, mark: Mark) -> None:
        super().__init__(marking.objects, marking.taken)
        self.marking, self.mark = marking, mark
        self.protected: set[bytes] = set(mark.rules.protected)

    def is_needed(self, key: bytes) -> bool:
        """Whether somebody needs, links to or has asked for a blob."""
        return key in self.mark.needed or key in self.mark.linked or key in self.protected

    def all(self) -> None:
        """Bring back what the mark has found to be needed, whichever run has it. Raises StoreError."""
        for name in sorted(name for name, one in self.mark.surveys.items() if one.wanted or one.wanted_revisions):
            self.repository(name)
        for key in [key for key in self.taken.blobs if self.is_needed(key)]:
            self.blob(key)

    def repository(self, name: str, version: int = 2) -> tuple[Listing, Survey]:
        """List a repository, until nothing that it needs is in the quarantine. Returns the list, and what the repository needs. Raises StoreError."""
        while True:
            listing = Listing.of(self.objects, name, version)
            self.taken.without(listing, [name])
            one = self.marking.look(listing, name, self.protected)
            back = [self.link("revisions", name, key) for key in one.wanted_revisions]
            back += [self.link("layers", name, key) for key in one.wanted]
            back += [self.tag(name, tag) for tag in list(self.taken.tags.get(name, {})) if subject_of(tag) in one.needed]
            self.mark.needed |= one.needed
            self.mark.linked |= one.linked
            # A link that is there needs its blob, whether anybody needs the link or not.
            linked = one.needed | one.linked | listing.get(name).layers.keys() | listing.get(name).revisions.keys()
            back += [self.blob(key) for key in linked & self.taken.blobs.keys()]
            if not any(back):
                return listing, one

    def asked_for(self, keys: t.Iterable[bytes]) -> None:
        """Clients have asked for these: whatever has been taken of them comes back. Raises StoreError."""
        new = {key for key in keys if key not in self.protected}
        self.protected |= new
        for key in new & self.taken.blobs.keys():
            self.blob(key)
        for kind, every in (("revisions", self.taken.revisions), ("layers", self.taken.layers)):
            for name, entries in list(every.items()):
                for key in new & entries.keys():
                    self.link(kind, name, key)
