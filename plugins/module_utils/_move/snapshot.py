# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source has at one time: links, each of which leads to what was there as well, and the blobs they need."""

from __future__ import annotations

import dataclasses
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._move.files import Files, Found, Gone
from ansible_collections.holdfast.registry.plugins.module_utils._move.record import Row
from ansible_collections.holdfast.registry.plugins.module_utils._move.store import Store
from ansible_collections.holdfast.registry.plugins.module_utils._move.tree import blob_of, digest_in, link_of

Place = t.Union[Files, Store]


class Named(t.NamedTuple):
    """A link that is to be copied: its kind, its content, and its mark at the source."""

    kind: str
    digest: str
    mark: str


@dataclasses.dataclass
class Snapshot:
    """links are those to be copied, by their paths. seen are the paths of all, also of those that lead to nothing."""

    links: dict[str, Named] = dataclasses.field(default_factory=dict)
    seen: set[str] = dataclasses.field(default_factory=set)
    # sizes in bytes by digests
    blobs: dict[str, int] = dataclasses.field(default_factory=dict)
    # blobs that a link names and that are not there
    missing: set[str] = dataclasses.field(default_factory=set)
    # links without a digest in them
    broken: list[str] = dataclasses.field(default_factory=list)


def snapshot(source: Place, known: t.Mapping[str, Row]) -> Snapshot:
    """List the source while clients push and delete. known says what tags named when their marks were seen last.

    Tags first, then revisions, layers, and after all links the blobs. A registry writes the other way round, so whatever is named was there.
    """
    found = Snapshot()
    for wanted in ("tag", "revision", "layer"):
        for one in source.links(wanted):
            link = link_of(one.path)
            if not link or (link.kind if link.kind != "index" else "tag") != wanted:
                continue
            found.seen.add(one.path)
            try:
                digest = _content(source, one, link.digest, known.get(one.path))
            except Gone:
                continue
            if digest:
                found.links[one.path] = Named(link.kind, digest, one.mark)
            else:
                found.broken.append(one.path)
    _drop_tags_without_a_revision(found)
    needed = {one.digest for one in found.links.values()}
    for one in source.blobs():
        blob = blob_of(one.path)
        if blob in needed:
            found.blobs[str(blob)] = one.size
    found.missing = needed - set(found.blobs)
    return found


def _content(source: Place, one: Found, implied: str, row: Row | None) -> str:
    """The digest that a link has in it; empty where it has none, or another one than its path says."""
    if implied and one.size == len(implied):
        return implied
    if row and row.target and row.source == one.mark and one.mark:
        return row.digest
    digest = digest_in(source.content(one.path)[0])
    return digest if not implied or digest == implied else ""


def _drop_tags_without_a_revision(found: Snapshot) -> None:
    """An image that is being deleted: its revision had gone before the list came to it."""
    revisions = set()
    for path, one in found.links.items():
        link = link_of(path)
        if link and link.kind == "revision":
            revisions.add((link.repository, one.digest))
    for path in [path for path, one in found.links.items() if one.kind in ("tag", "index")]:
        link = link_of(path)
        if link and link.kind == "tag" and (link.repository, found.links[path].digest) not in revisions:
            del found.links[path]
