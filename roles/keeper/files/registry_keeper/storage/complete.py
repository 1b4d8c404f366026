# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether images are complete: links that lead to nothing, and manifests that lack a part."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from registry_keeper.storage.layout import Layout, digest_of, key_of, read_link
from registry_keeper.storage.manifest import NotAManifest, References, parse

_KEPT = 10_000
_LONGEST_MANIFEST = 8 << 20


@dataclasses.dataclass(frozen=True)
class Lack:
    """One thing that is wrong: what a person is told, and the files without one of which it goes on being wrong."""

    what: str
    # the digest of the blob that would mend it, if one would
    blob: str = ""
    # whether it is an image that lacks a part, and not a link alone
    image: bool = False
    # the link that has to be there to lack something
    link: str = ""
    # the file that is not there
    path: str = ""


@dataclasses.dataclass(frozen=True)
class Incomplete:
    """What a look at all links found."""

    lacks: tuple[Lack, ...] = ()

    @property
    def images(self) -> list[str]:
        return [lack.what for lack in self.lacks if lack.image]

    @property
    def dangling(self) -> list[str]:
        return [lack.what for lack in self.lacks if not lack.image]

    @property
    def missing(self) -> set[str]:
        """The digests of the blobs that are missing."""
        return {lack.blob for lack in self.lacks if lack.blob}

    @property
    def any(self) -> bool:
        return bool(self.lacks)

    def still(self) -> Incomplete:
        """Without what has been mended or deleted since."""
        return Incomplete(tuple(lack for lack in self.lacks if not os.path.exists(lack.path) and (not lack.link or os.path.exists(lack.link))))

    def kept(self) -> list[dict[str, t.Any]]:
        """For a JSON document."""
        return [dataclasses.asdict(lack) for lack in self.lacks[:_KEPT]]

    @staticmethod
    def loaded(document: t.Any) -> Incomplete:
        """From a JSON document. What is no part of one is left out."""
        names = {field.name for field in dataclasses.fields(Lack)}
        entries = document if isinstance(document, list) else []
        return Incomplete(tuple(Lack(**entry) for entry in entries if isinstance(entry, dict) and set(entry) == names))


def look(layout: Layout) -> Incomplete:
    """Look at every link and every manifest. What a client deletes meanwhile is not reported."""
    return Incomplete(tuple(lack for repository in layout.walk_repositories() for lack in _of_repository(layout, repository))).still()


def _of_repository(layout: Layout, repository: str) -> t.Iterator[Lack]:
    for tag, digest in layout.walk_tags(repository):
        link = f"{layout.tag(repository, tag)}/current/link"
        if digest is None:
            if os.path.exists(link):
                # Its content may come back, not its file.
                yield Lack(f"{repository}:{tag}, whose link is empty or no digest", link=link)
            continue
        revision = f"{layout.revision(repository, digest)}/link"
        if not os.path.exists(revision):
            yield Lack(f"{repository}:{tag}, which names {digest}", link=link, path=revision)
    revisions = [digest for digest in layout.walk_revisions(repository) if read_link(f"{layout.revision(repository, digest)}/link") == digest]
    needed: set[str] = set()
    for digest in revisions:
        link, data = f"{layout.revision(repository, digest)}/link", layout.data(digest)
        found = references_of(layout, digest)
        if found is None:
            if not os.path.exists(data):
                yield Lack(f"{repository}@{digest} lacks its manifest", digest, image=True, link=link, path=data)
            continue
        for key in found.needed:
            part = digest_of(key)
            needed.add(part)
            revision, layer = layout.revision(repository, part), f"{layout.layer(repository, part)}/link"
            if key in found.elsewhere:
                # An index may list platforms that nobody has pushed: those have no directory. One that somebody has deleted has.
                if os.path.isdir(revision) and not os.path.exists(f"{revision}/link"):
                    yield Lack(f"{repository}@{digest} lacks {part}, one of its images", image=True, link=link, path=f"{revision}/link")
            elif not os.path.exists(layout.data(part)):
                yield Lack(f"{repository}@{digest} lacks {part}", part, image=True, link=link, path=layout.data(part))
            elif not os.path.exists(layer) and not os.path.exists(f"{revision}/link"):
                yield Lack(f"{repository}@{digest} lacks the link to {part}", image=True, link=link, path=layer)
    for digest in layout.walk_layers(repository):
        link = f"{layout.layer(repository, digest)}/link"
        if digest not in needed and os.path.exists(link) and not os.path.exists(layout.data(digest)):
            yield Lack(f"{repository}, a link to the blob {digest}", digest, link=link, path=layout.data(digest))


def references_of(layout: Layout, digest: str) -> References | None:
    """What a manifest refers to; None where there is none that can be read, or it is not what its digest says."""
    try:
        with open(layout.data(digest), "rb") as file:
            return parse(file.read(_LONGEST_MANIFEST), key_of(digest))
    except (OSError, NotAManifest):
        return None
