# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket as parameters and jobs say it."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._http import parse_url
from ansible_collections.holdfast.registry.plugins.module_utils._s3.client import Bucket
from ansible_collections.holdfast.registry.plugins.module_utils._s3.signing import Credentials
from ansible_collections.holdfast.registry.plugins.module_utils._tls import trusting_context

_ON_THIS_HOST = ("127.0.0.1", "::1", "localhost")


def bucket_of(entry: t.Mapping[str, t.Any], place: str) -> Bucket:
    """The bucket of an entry of the parameter stores, which has all its keys. Raises HoldfastError, which names the place and the key."""
    try:
        endpoint = parse_url(entry["endpoint"].rstrip("/") + "/")
    except HoldfastError as error:
        raise HoldfastError(f"{place}.endpoint: {str(error).partition(': ')[2]}") from None
    if endpoint.target != "/":
        raise HoldfastError(f"{place}.endpoint: {endpoint.text!r} has a path; the bucket and the prefix are parameters of their own")
    if endpoint.scheme == "http" and endpoint.host not in _ON_THIS_HOST:
        raise HoldfastError(f"{place}.endpoint: {endpoint.text!r} must begin with https://, since it is not on this host")
    try:
        context = trusting_context(None, entry["ca_certificate"] or None) if endpoint.scheme == "https" else None
    except HoldfastError as error:
        raise HoldfastError(f"{place}.{error}") from None
    encryption = {}
    if entry["encrypt"]:
        encryption["x-amz-server-side-encryption"] = "aws:kms" if entry["key_id"] else "AES256"
        if entry["key_id"]:
            encryption["x-amz-server-side-encryption-aws-kms-key-id"] = entry["key_id"]
    credentials = Credentials(entry["access_key"], entry["secret_key"], entry["region"])
    return Bucket(endpoint, entry["bucket"], entry["prefix"].strip("/"), credentials, context, entry["path_style"], encryption)
