# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copy images with everything that belongs to them: between repositories of a registry, and between registries."""

from __future__ import annotations

import hashlib
import http.client
import json
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._images.client import Registry
from ansible_collections.holdfast.registry.plugins.module_utils._images.manifests import (
    OCI_INDEX,
    Descriptor,
    Manifest,
    descriptor,
    parse_manifest,
)

_CHUNK = 1024 * 1024
_MANIFESTS = 2000
_DEPTH = 8


class Repository(t.NamedTuple):
    """A repository of a registry."""

    registry: Registry
    name: str

    def __str__(self) -> str:
        return f"{self.registry.access.registry}/{self.name}"

    def digest(self, reference: str) -> str | None:
        return self.registry.digest(self.name, reference)

    def manifest(self, reference: str) -> Manifest | None:
        return self.registry.manifest(self.name, reference)


Tree = list[Manifest]  # each manifest once, after those that it refers to; the last one refers to all others


def gather(source: Repository, top: Manifest, depth: int = _DEPTH, seen: set[str] | None = None) -> Tree:
    """A manifest with those of all its platforms. Raises HoldfastError where one is missing."""
    seen = set() if seen is None else seen
    tree: Tree = []
    if depth == 0 or len(seen) > _MANIFESTS:
        raise HoldfastError(f"{source}@{top.digest}: has more than {_MANIFESTS} manifests, or indexes within more than {_DEPTH} indexes")
    seen.add(top.digest)
    for child in top.children:
        if child.digest not in seen:
            manifest = source.manifest(child.digest)
            if manifest is None:
                raise HoldfastError(f"{source}@{top.digest}: its part {child.digest} ({child.platform or child.media_type}) is missing at the source")
            tree += gather(source, manifest, depth - 1, seen)
    return [*tree, top]


def copy_tree(tree: Tree, source: Repository, target: Repository, reference: str) -> None:
    """Copy a tree, the last manifest last and under this tag or digest."""
    if (source.registry, source.name) != (target.registry, target.name):
        done: set[str] = set()
        for manifest in tree:
            for blob in manifest.blobs:
                if blob.digest not in done and not blob.elsewhere:
                    done.add(blob.digest)
                    _copy_blob(blob, source, target)
            if manifest is not tree[-1]:
                target.registry.put_manifest(target.name, manifest.digest, manifest)
    target.registry.put_manifest(target.name, reference, tree[-1])


def _copy_blob(blob: Descriptor, source: Repository, target: Repository) -> None:
    if target.registry.has_blob(target.name, blob.digest):
        return
    if source.registry is target.registry:
        place = target.registry.mount(target.name, blob.digest, source.name)
        if place is None:
            return
    else:
        place = target.registry.start_upload(target.name)
    with source.registry.blob(source.name, blob.digest) as response:
        target.registry.upload(target.name, place, blob, _checked(response, blob, f"{source}@{blob.digest}"))


def _checked(response: http.client.HTTPResponse, blob: Descriptor, what: str) -> t.Iterator[bytes]:
    """The content of a blob. The last part is only given away when everything is what the digest says."""
    seen, size, held = hashlib.sha256(), 0, b""
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise HoldfastError(f"{what}: the source broke off: {error}") from None
        if not chunk:
            break
        seen.update(chunk)
        size += len(chunk)
        if held:
            yield held
        held = chunk
    if (size, f"sha256:{seen.hexdigest()}") != (blob.size, blob.digest):
        raise HoldfastError(f"{what}: the source sent {size} bytes with the digest sha256:{seen.hexdigest()} instead, and {blob.size} bytes are right")
    if held:
        yield held


# What refers to an image: signatures, lists of its parts, attestations


def fallback_tag(digest: str) -> str:
    """The tag of the list of what refers to a manifest, at a registry that keeps no such list itself."""
    return digest.replace(":", "-")


def listed(repository: Repository, digest: str) -> list[Descriptor]:
    """What refers to a manifest."""
    found = repository.registry.referrers(repository.name, digest)
    if found is not None:
        return found
    manifest = repository.manifest(fallback_tag(digest))
    return list(manifest.children) if manifest and manifest.is_index else []


class Referrers(t.NamedTuple):
    """What is to be copied along: trees by the digest that they refer to, and tags by convention, such as cosign's."""

    trees: list[tuple[str, Tree]]
    tags: list[tuple[str, Tree]]

    @property
    def digests(self) -> list[str]:
        return sorted({tree[-1].digest for _subject, tree in self.trees + self.tags})


def missing_referrers(tree: Tree, source: Repository, target: Repository) -> Referrers:
    """What refers to the manifests of a tree, or to that in turn, and is not at the target."""
    found = Referrers([], [])
    subjects, seen = [manifest.digest for manifest in tree], set()
    names = source.registry.tags(source.name)
    while subjects:
        subject = subjects.pop()
        if subject in seen:
            continue
        seen.add(subject)
        there = {entry.digest for entry in listed(target, subject)}
        for entry in listed(source, subject):
            subjects.append(entry.digest)
            if entry.digest not in there:
                found.trees.append((subject, _whole(source, entry.digest)))
        for name in names:
            if name.startswith(f"{fallback_tag(subject)}."):
                copied = _whole(source, name)
                subjects.append(copied[-1].digest)
                if target.digest(name) != copied[-1].digest:
                    found.tags.append((name, copied))
    return found


def _whole(source: Repository, reference: str) -> Tree:
    manifest = source.manifest(reference)
    if manifest is None:
        raise HoldfastError(f"{source}: {reference} refers to the image, but is missing at the source")
    return gather(source, manifest)


def copy_referrers(referrers: Referrers, source: Repository, target: Repository) -> None:
    """Copy what refers to an image. A registry that keeps no list of it gets one under the fallback tag."""
    for _subject, tree in referrers.trees:
        copy_tree(tree, source, target, tree[-1].digest)
    for name, tree in referrers.tags:
        copy_tree(tree, source, target, name)
    for subject in sorted({subject for subject, _tree in referrers.trees}):
        if target.registry.referrers(target.name, subject) is None:
            _list_under_fallback_tag(target, subject, [tree[-1] for about, tree in referrers.trees if about == subject])


def _list_under_fallback_tag(target: Repository, subject: str, added: list[Manifest]) -> None:
    before = target.manifest(fallback_tag(subject))
    index: dict[str, t.Any] = json.loads(before.content) if before and before.is_index else {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    there = {descriptor(entry, f"{target}:{fallback_tag(subject)}").digest for entry in index["manifests"]}
    index["manifests"] += [_entry(manifest) for manifest in added if manifest.digest not in there]
    content = json.dumps(index, separators=(",", ":")).encode()
    target.registry.put_manifest(target.name, fallback_tag(subject), parse_manifest(content, OCI_INDEX, fallback_tag(subject)))


def _entry(manifest: Manifest) -> dict[str, t.Any]:
    data = json.loads(manifest.content)
    entry = {"mediaType": manifest.media_type, "digest": manifest.digest, "size": len(manifest.content)}
    if manifest.artifact_type:
        entry["artifactType"] = manifest.artifact_type
    if data.get("annotations"):
        entry["annotations"] = data["annotations"]
    return entry
