# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Signatures of requests to an S3 store, version 4, in a header or in the URL."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import hmac
import typing as t
import urllib.parse

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNSIGNED = "UNSIGNED-PAYLOAD"


@dataclasses.dataclass(frozen=True)
class Credentials:
    """A key of a store, and the region that requests are signed for."""

    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    region: str


@dataclasses.dataclass(frozen=True)
class Unsigned:
    """A request as it is signed: the path is not quoted yet. now is in UTC."""

    method: str
    host: str
    path: str
    query: t.Mapping[str, str]
    headers: t.Mapping[str, str]
    now: datetime.datetime

    @property
    def target(self) -> str:
        """The path and the query, as they are sent."""
        return quoted(self.path) + (f"?{query_text(self.query)}" if self.query else "")

    @property
    def time(self) -> str:
        return self.now.strftime("%Y%m%dT%H%M%SZ")


def quoted(path: str) -> str:
    return urllib.parse.quote(path, safe="/-_.~")


def query_text(query: t.Mapping[str, str]) -> str:
    """The parameters in the order and the spelling that are signed."""
    pairs = sorted((urllib.parse.quote(name, safe="-_.~"), urllib.parse.quote(value, safe="-_.~")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)


def signed_headers(request: Unsigned, credentials: Credentials, body: bytes) -> dict[str, str]:
    """The headers of the request with its signature and the digest of its body among them. Host is left to who sends it."""
    digest = hashlib.sha256(body).hexdigest()
    headers = {**request.headers, "x-amz-content-sha256": digest, "x-amz-date": request.time}
    names, signature = _signature(dataclasses.replace(request, headers=headers), credentials, digest)
    scope = _scope(request, credentials)
    authorization = f"{_ALGORITHM} Credential={credentials.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {**headers, "Authorization": authorization}


def presigned(request: Unsigned, credentials: Credentials, seconds: int) -> Unsigned:
    """The request with its signature in the query. It is valid for this many seconds, for anybody, and without any header."""
    query = {
        **request.query,
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{credentials.access_key}/{_scope(request, credentials)}",
        "X-Amz-Date": request.time,
        "X-Amz-Expires": str(seconds),
        "X-Amz-SignedHeaders": "host",
    }
    bare = dataclasses.replace(request, query=query, headers={})
    return dataclasses.replace(bare, query={**query, "X-Amz-Signature": _signature(bare, credentials, _UNSIGNED)[1]})


def _scope(request: Unsigned, credentials: Credentials) -> str:
    return f"{request.time[:8]}/{credentials.region}/s3/aws4_request"


def _signature(request: Unsigned, credentials: Credentials, digest: str) -> tuple[str, str]:
    """The names of the headers that are signed, and the signature."""
    headers = {"host": request.host, **{name.lower(): " ".join(value.split()) for name, value in request.headers.items()}}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = "\n".join([request.method, quoted(request.path), query_text(request.query), lines, names, digest])
    to_sign = "\n".join([_ALGORITHM, request.time, _scope(request, credentials), hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret_key}".encode()
    for part in _scope(request, credentials).split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return names, hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
