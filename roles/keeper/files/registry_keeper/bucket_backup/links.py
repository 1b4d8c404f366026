# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""All links of a storage in an S3 store, listed so that whatever a tag leads to is among them, while clients push.

A registry writes an image from the bottom up: blobs, layers, revisions, tags. A store lists in the order of names, which is another one. So
the store is listed three times: tags are taken from the first list and read, revisions from the first two, layers from all three.
"""

from __future__ import annotations

import dataclasses
import typing as t

from registry_keeper.s3.known_tags import KnownTags
from registry_keeper.s3.listing import TREE, Listing
from registry_keeper.s3.objects import Item, Objects
from registry_keeper.s3.rescue import tag_path
from registry_keeper.storage.layout import digest_of, key_of
from registry_keeper.storage.links import Link, parse

_KINDS = ("tag", "index", "revision", "layer")


@dataclasses.dataclass
class Found:
    """The links by repository and kind, each with its digest in compact form; a tag and its history with the tag's name before it."""

    links: dict[str, dict[str, list[tuple[str, bytes]]]] = dataclasses.field(default_factory=dict)
    # the blobs that the last list has
    blobs: dict[bytes, Item] = dataclasses.field(default_factory=dict)
    # when tags were pushed, in seconds since 1970, by the paths of their links
    pushed: dict[str, float] = dataclasses.field(default_factory=dict)

    def keys(self) -> set[bytes]:
        """The digests that links lead to."""
        return {key for kinds in self.links.values() for entries in kinds.values() for _tag, key in entries}

    def all(self, without: t.AbstractSet[bytes] = frozenset()) -> t.Iterator[Link]:
        """The links, but for those to some blobs."""
        for name in sorted(self.links):
            for kind in _KINDS:
                for tag, key in self.links[name][kind]:
                    if key not in without:
                        yield Link(name, kind, digest_of(key), tag)

    def count(self, kind: str) -> int:
        """How many links there are of a kind."""
        return sum(len(kinds[kind]) for kinds in self.links.values())


def find(objects: Objects, compare: t.Callable[[Listing, Listing, float], None], progress: t.Callable[[str], None]) -> Found:
    """List all links. compare raises where two lists do not have the same tags. Raises StoreError."""
    now = objects.now()
    progress("listing the tags")
    first = Listing.whole(objects, blobs=False)
    pushed: dict[str, float] = {}
    for batch in first.batches():
        first.read_tags(batch)
        progress(f"read the tags up to those of {batch[-1]}")
    progress("listing the manifests")
    second = Listing.whole(objects, version=1, blobs=False)
    compare(first, second, now)
    # What is in no list is found by its name: tags here, and below the manifests that they name.
    KnownTags(objects).complete(first)
    tags = {name: _tags(first, name, pushed) for name in sorted(first.repositories)}
    revisions = {name: first.get(name).revisions.keys() | second.get(name).revisions.keys() for name in tags}
    for name, digests in tags.items():
        if any(key not in revisions[name] for key in digests.values()):
            # A tag that was set to another image, while the one that it had named was deleted.
            again = Listing.of(objects, name)
            digests.update(_tags(again, name, pushed))
            revisions[name] |= Listing.of(objects, name).get(name).revisions.keys()
            lacking = set(digests.values()) - revisions[name]
            revisions[name] |= {key for key in lacking if first.unlisted(f"{TREE.revision(name, digest_of(key))}/link") is not None}
    progress("listing the layers")
    third = Listing.whole(objects)
    found = Found(blobs=third.blobs, pushed=pushed)
    for name, digests in tags.items():
        there = revisions[name]
        if parse(Link(name, "tag", f"sha256:{'0' * 64}", "x").line) is None:
            continue  # nothing that a registry could be asked for
        layers = first.get(name).layers.keys() | second.get(name).layers.keys() | third.get(name).layers.keys()
        history = [(tag, key) for tag, keys in sorted(first.get(name).history.items()) for key in sorted(keys) if tag in digests and key in there]
        found.links[name] = {
            "tag": [(tag, key) for tag, key in sorted(digests.items()) if key in there],
            # The history of a tag has what it is: that was written first.
            "index": sorted({*history, *((tag, key) for tag, key in digests.items() if key in there)}),
            "revision": [("", key) for key in sorted(there)],
            "layer": [("", key) for key in sorted(layers)],
        }
    return found


def _tags(listing: Listing, name: str, pushed: dict[str, float]) -> dict[str, bytes]:
    found = {}
    for tag in sorted(listing.get(name).tags):
        path = tag_path(name, tag)
        digest = listing.digest(path)
        if digest is not None and parse(Link(name, "tag", digest, tag).line) is not None:
            found[tag], pushed[path] = key_of(digest), listing.pushed(path)
    return found


def path_of(link: Link) -> str:
    """Where a link is in a storage."""
    return f"{TREE.repositories}/{link.path}"
