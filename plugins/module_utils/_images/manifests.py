# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Manifests and indexes: what they refer to."""

from __future__ import annotations

import hashlib
import json
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._images.names import is_digest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_INDEXES = (OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
ACCEPTED = ", ".join(_INDEXES + _MANIFESTS)
# A registry takes no larger one.
SIZE_LIMIT = 4 * 1024 * 1024


class Descriptor(t.NamedTuple):
    """How a manifest refers to content. elsewhere: a registry does not have it itself."""

    digest: str
    size: int
    media_type: str
    platform: str = ""
    artifact_type: str = ""
    elsewhere: bool = False


class Manifest(t.NamedTuple):
    """A manifest or an index as the registry sent it, and what it refers to."""

    digest: str
    media_type: str
    content: bytes
    children: tuple[Descriptor, ...]
    blobs: tuple[Descriptor, ...]
    artifact_type: str
    subject: str

    @property
    def is_index(self) -> bool:
        return self.media_type in _INDEXES

    @property
    def config(self) -> Descriptor | None:
        return None if self.is_index else self.blobs[0]


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def parse_manifest(content: bytes, media_type: str, what: str) -> Manifest:
    """Read a manifest. Raises HoldfastError beginning with what where it is none of those that can be copied."""
    try:
        data = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise HoldfastError(f"{what}: its manifest is not valid JSON") from None
    if not isinstance(data, dict):
        raise HoldfastError(f"{what}: its manifest is not a JSON object")
    media_type = media_type.partition(";")[0].strip() or str(data.get("mediaType"))
    if media_type not in _INDEXES + _MANIFESTS:
        raise HoldfastError(f"{what}: its manifest is of the type {media_type!r}; an index or a manifest of OCI or Docker's version 2 is needed")
    children: tuple[Descriptor, ...] = ()
    blobs: tuple[Descriptor, ...] = ()
    if media_type in _INDEXES:
        children = _descriptors(data, "manifests", what)
    else:
        blobs = _descriptors({"config": [data.get("config")]}, "config", what) + _descriptors(data, "layers", what)
    config: t.Any = data.get("config")
    fallback = config.get("mediaType") if isinstance(config, dict) else ""
    subject = data.get("subject")
    return Manifest(
        digest_of(content),
        media_type,
        content,
        children,
        blobs,
        str(data.get("artifactType") or fallback or ""),
        subject["digest"] if isinstance(subject, dict) and is_digest(subject.get("digest")) else "",
    )


def _descriptors(data: dict[str, t.Any], name: str, what: str) -> tuple[Descriptor, ...]:
    found = data.get(name)
    if not isinstance(found, list):
        raise HoldfastError(f"{what}: its manifest has no list {name!r}")
    return tuple(descriptor(entry, f"{what}: {name}[{index}] of its manifest") for index, entry in enumerate(found))


def descriptor(entry: t.Any, what: str) -> Descriptor:
    """Read a descriptor. Raises HoldfastError beginning with what."""
    if not isinstance(entry, dict) or not is_digest(entry.get("digest")):
        raise HoldfastError(f"{what} has no SHA-256 digest")
    size = entry.get("size")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise HoldfastError(f"{what} has no size")
    media_type = str(entry.get("mediaType") or "")
    elsewhere = bool(entry.get("urls")) or "nondistributable" in media_type or "foreign" in media_type
    return Descriptor(entry["digest"], size, media_type, platform_text(entry.get("platform")), str(entry.get("artifactType") or ""), elsewhere)


def platform_text(platform: t.Any) -> str:
    """A platform as people write it: linux/arm64/v8. Empty where there is none."""
    if not isinstance(platform, dict):
        return ""
    parts = [platform.get(key) for key in ("os", "architecture", "variant")]
    return "/".join(str(part) for part in parts if part)
