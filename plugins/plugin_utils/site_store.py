# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object storage of site.yml: what holdfast_storage says to the roles registry and nginx_auth."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.plugin_utils import object_stores


def s3_of(storage: t.Any) -> dict[str, t.Any]:
    """The keys of an S3 store, or none for storage in files. storage is registry_storage, or that of an instance."""
    s3 = storage.get("s3") if isinstance(storage, dict) else None
    return s3 if isinstance(s3, dict) else {}


def below(storage: t.Any, name: str) -> dict[str, t.Any]:
    """The same store for another registry, which keeps what it has below a prefix of its own. Empty for storage in files."""
    s3 = s3_of(storage)
    if not s3:
        return {}
    prefix = "/".join(part for part in (str(s3.get("prefix") or "").strip("/"), name) if part)
    return {"s3": {**s3, "prefix": prefix}}


def store_of(storage: t.Any, cache_directory: str, cache_size: str) -> dict[str, str]:
    """What role nginx_auth has to know of the store of a registry: where its redirects lead. Empty where the registry sends none."""
    store, _problems = object_stores.parse(storage or {}, "")
    if not store or store["redirect"] is not True:
        return {}
    cache = {"cache_directory": cache_directory, "cache_size": cache_size}
    return {"url": object_stores.url(store), "ca_certificate": store["ca_certificate"], **{key: value for key, value in cache.items() if value}}
