# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An image or a repository that somebody names, and which links of a backup belong to it."""

from __future__ import annotations

import re
import typing as t

from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.storage.layout import is_digest
from registry_keeper.storage.links import REPOSITORY, TAG, Link

_IMAGE = re.compile(rf"(?P<repository>{REPOSITORY})(?::(?P<tag>{TAG})|@(?P<digest>[a-z0-9]+:[0-9a-f]+))?", re.ASCII)


def image_of(text: str) -> re.Match[str]:
    """What a person has named, with the groups repository, tag and digest. Raises KeeperError."""
    image = _IMAGE.fullmatch(text)
    if not image or (image["digest"] and not is_digest(image["digest"])):
        raise KeeperError(f"{text!r} is none of REPOSITORY, REPOSITORY:TAG and REPOSITORY@DIGEST, without the registry's name", USAGE)
    return image


def wanted_of(image: re.Match[str], there: t.Sequence[Link], backup: str, parts: t.Callable[[str], t.Iterable[str]]) -> list[Link]:
    """The links that belong to it. there are those of its repository, backup is how a message names it.

    parts gives the digests that a manifest refers to. Raises KeeperError where the backup has no such thing.
    """
    if not there:
        raise KeeperError(f"{backup} has no repository {image['repository']}")
    if not image["tag"] and not image["digest"]:
        return list(there)
    digest = image["digest"] or next((one.digest for one in there if one.kind == "tag" and one.tag == image["tag"]), None)
    if digest is None or not any(one.kind == "revision" and one.digest == digest for one in there):
        raise KeeperError(f"{backup} has no {image[0]}")
    return _of_image(there, digest, image["tag"], parts)


def _of_image(there: t.Sequence[Link], digest: str, tag: str, parts: t.Callable[[str], t.Iterable[str]]) -> list[Link]:
    """The links of one image: its manifests, what they consist of, and what refers to them by a tag sha256-HEX."""
    revisions = {one.digest for one in there if one.kind == "revision"}
    tags = {one.tag: one.digest for one in there if one.kind == "tag"}
    wanted_tags = {tag} if tag else set()
    manifests: set[str] = set()
    blobs: set[str] = set()
    pending = [digest]
    while pending:
        one = pending.pop()
        if one in manifests:
            continue
        manifests.add(one)
        for part in parts(one):
            if part in revisions:
                pending.append(part)
            else:
                blobs.add(part)
        referring = {name: other for name, other in tags.items() if name.partition(".")[0] == one.replace(":", "-", 1)}
        wanted_tags.update(referring)
        pending += referring.values()
    return [
        one
        for one in there
        if (one.kind == "revision" and one.digest in manifests)
        or (one.kind == "layer" and one.digest in blobs)
        or (one.tag in wanted_tags and one.digest in manifests)
    ]
