# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a registry holds: repositories, tags, digests, sizes, platforms, and what refers to images."""

from __future__ import annotations

import json
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._http import RequestError
from ansible_collections.holdfast.registry.plugins.module_utils._images.client import Registry
from ansible_collections.holdfast.registry.plugins.module_utils._images.copying import Repository, fallback_tag, listed
from ansible_collections.holdfast.registry.plugins.module_utils._images.manifests import SIZE_LIMIT, Manifest, platform_text

LEVELS = ("repositories", "tags", "images", "referrers")
_AT_ONCE = 8


def contents(registry: Registry, level: str, names: t.Sequence[str] | None) -> list[dict[str, t.Any]]:
    """The repositories named, or all, with as much about each as the level says; each level holds those before it."""
    repositories = [Repository(registry, name) for name in (registry.repositories() if names is None else names)]
    if level == "repositories":
        return [{"name": repository.name} for repository in repositories]
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        tags = list(pool.map(lambda repository: registry.tags(repository.name), repositories))
        if level == "tags":
            return [{"name": repository.name, "tags": [{"name": tag} for tag in found]} for repository, found in zip(repositories, tags)]
        pairs = [(repository, tag) for repository, found in zip(repositories, tags) for tag in found]
        images = list(pool.map(lambda pair: _image(*pair, with_referrers=level == "referrers"), pairs))
    found_images: dict[str, list[dict[str, t.Any]]] = {repository.name: [] for repository in repositories}
    for (repository, _tag), image in zip(pairs, images):
        if image:  # deleted meanwhile
            found_images[repository.name].append(image)
    return [{"name": name, "tags": found} for name, found in found_images.items()]


def _image(repository: Repository, tag: str, *, with_referrers: bool) -> dict[str, t.Any] | None:
    top = repository.manifest(tag)
    if top is None:
        return None
    blobs: dict[str, int] = {}
    platforms = [_platform(repository, manifest, platform, blobs) for manifest, platform in _manifests(repository, top)]
    image = {
        "name": tag,
        "digest": top.digest,
        "media_type": top.media_type,
        "artifact_type": top.artifact_type,
        "size": sum(blobs.values()) + (len(top.content) if top.is_index else 0) + sum(platform.pop("manifest_size") for platform in platforms),
        "platforms": platforms,
    }
    if with_referrers:
        image["referrers"] = [
            {"digest": entry.digest, "artifact_type": entry.artifact_type, "media_type": entry.media_type, "size": entry.size}
            for entry in listed(repository, top.digest)
            if fallback_tag(top.digest) != tag
        ]
    return image


def _manifests(repository: Repository, top: Manifest) -> list[tuple[Manifest, str]]:
    """The manifests of all platforms that are there, with the platform that the index says."""
    if not top.is_index:
        return [(top, "")]
    found = []
    for child in top.children:
        manifest = repository.manifest(child.digest)
        if manifest and not manifest.is_index:
            found.append((manifest, child.platform))
    return found


def _platform(repository: Repository, manifest: Manifest, platform: str, blobs: dict[str, int]) -> dict[str, t.Any]:
    blobs.update({blob.digest: blob.size for blob in manifest.blobs if not blob.elsewhere})
    size = sum({blob.digest: blob.size for blob in manifest.blobs if not blob.elsewhere}.values())
    return {"platform": platform or _configured(repository, manifest), "digest": manifest.digest, "size": size, "manifest_size": len(manifest.content)}


def _configured(repository: Repository, manifest: Manifest) -> str:
    """The platform in the configuration of an image without an index. Other artifacts have none."""
    config = manifest.config
    if config is None or config.size > SIZE_LIMIT or "config" not in config.media_type and "container.image" not in config.media_type:
        return ""
    try:
        with repository.registry.blob(repository.name, config.digest) as response:
            return platform_text(json.loads(response.read(SIZE_LIMIT)))
    except RequestError:
        raise
    except (HoldfastError, ValueError, RecursionError):
        return ""  # a damaged image is still listed
