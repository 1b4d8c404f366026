# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tags that are there although no list of the store has them.

A store may answer for an object by its name and show it in no list: SeaweedFS 4.48 loses the entry of a directory where the process that
writes it is killed. An image whose tag is in no list would be taken for one that nobody needs. So tags are looked at by their names that

- earlier runs have found (a record in the store; who removes a tag leaves an answer 404, and it is forgotten),
- the gateway's log has pushes of,
- have a history, which is in another directory.
"""

from __future__ import annotations

import gzip
import json
import typing as t
import zlib

from registry_keeper.s3.client import seconds_of
from registry_keeper.s3.listing import TREE, Listing
from registry_keeper.s3.objects import Item, Objects

NAME = "holdfast-keeper/tags.json.gz"


class KnownTags:
    """The tags to look for; and the links of those that a list lacked, with when they were written. pushed are repositories and tags of the log."""

    def __init__(self, objects: Objects, pushed: t.Iterable[tuple[str, str]] = ()) -> None:
        self._objects = objects
        self.none_before = False  # the last mark has left a record, and has found no tag
        self._known = self._read()
        for name, tag in pushed:
            self._known.setdefault(name, set()).add(tag)
        self.unlisted: dict[str, float] = {}

    def _read(self) -> dict[str, set[str]]:
        content = self._objects.read(NAME)
        try:
            document = json.loads(gzip.decompress(content)) if content is not None else {}
        except (OSError, ValueError, EOFError, zlib.error):
            return {}  # the next record is made of the lists
        if not isinstance(document, dict):
            return {}
        self.none_before = content is not None and not document
        return {name: {tag for tag in tags if isinstance(tag, str)} for name, tags in document.items() if isinstance(tags, list)}

    def complete(self, listing: Listing) -> None:
        """Add to a list of everything the tags that it lacks. Raises StoreError."""
        places = [
            f"{TREE.tag(name, tag)}/current/link"
            for name in self._known.keys() | listing.repositories.keys()
            for tag in (self._known.get(name, set()) | listing.get(name).history.keys()) - listing.get(name).tags.keys()
        ]
        for path, answer in self._objects.several(sorted(places)):
            modified = seconds_of(answer.headers.get("last-modified", "")) if answer is not None else None
            if answer is not None and modified is not None:
                self.unlisted[path] = modified
                listing.add(path, Item(len(answer.content), modified))

    def write(self, listing: Listing) -> None:
        """Keep all tags of a list for the next run. Raises StoreError."""
        document = {name: sorted(one.tags) for name, one in sorted(listing.repositories.items()) if one.tags}
        self._objects.write(NAME, gzip.compress(json.dumps(document).encode(), mtime=0))
