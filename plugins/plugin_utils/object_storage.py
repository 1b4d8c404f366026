# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Object storage of site.yml: what holdfast_storage says to the roles registry and nginx_auth."""

from __future__ import annotations

import typing as t
import urllib.parse

from ansible.module_utils.parsing.convert_bool import boolean


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


def store_of(storage: t.Any, cache_directory: str = "", cache_size: str = "") -> dict[str, str]:
    """What role nginx_auth has to know of the store of a registry: where its redirects lead. Empty where the registry sends none.

    The URL is that of the bucket and the prefix, in the style in which the registry writes it.
    """
    s3 = s3_of(storage)
    if not s3 or not boolean(s3.get("redirect", True), strict=False):
        return {}
    endpoint = urllib.parse.urlsplit(str(s3.get("endpoint") or ""))
    prefix, bucket = str(s3.get("prefix") or "").strip("/"), str(s3.get("bucket") or "")
    path_style = boolean(s3.get("path_style", True), strict=False)
    place = f"{endpoint.netloc}/{bucket}" if path_style else f"{bucket}.{endpoint.netloc}"
    found = {"url": f"{endpoint.scheme}://{place}{'/' if prefix else ''}{prefix}", "ca_certificate": str(s3.get("ca_certificate") or "")}
    cache = {"cache_directory": cache_directory, "cache_size": cache_size}
    return {**found, **{key: value for key, value in cache.items() if value}}
