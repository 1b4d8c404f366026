# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to a bucket of an S3 store, each on a connection of its own and in turn to all addresses of the store."""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import itertools
import re
import socket
import ssl
import threading
import time
import typing as t
import xml.etree.ElementTree as xml

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._http import Request, RequestError, Url, opened, parse_url
from ansible_collections.holdfast.registry.plugins.module_utils._names import Endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._s3.signing import Credentials, Unsigned, presigned, signed_headers

_PAUSES = (0.2, 0.6)
_BUSY = (429, 500, 502, 503, 504)
_LIMIT = 16 * 1024 * 1024
# What the store says about who asks, rather than about what is stored. None of it gets better by asking for something else.
_KINDS = {
    "SignatureDoesNotMatch": "credentials",
    "InvalidAccessKeyId": "credentials",
    "InvalidTokenId": "credentials",
    "AccessDenied": "permissions",
    "RequestTimeTooSkewed": "clock",
    "NoSuchBucket": "bucket",
    "AuthorizationHeaderMalformed": "region",
    "PermanentRedirect": "region",
    "InvalidRegion": "region",
}
_MEANS = {
    "SignatureDoesNotMatch": "secret_key is not the secret of access_key",
    "InvalidAccessKeyId": "access_key is not known to the store",
    "NoSuchBucket": "the bucket does not exist; make it first",
    "AuthorizationHeaderMalformed": "the store is in another region",
    "PermanentRedirect": "the bucket is at another endpoint or in another region",
}


class StoreError(HoldfastError):
    """A request got no response, or one that says why it was not done.

    kind is that of RequestError (dns, connect, tls, timeout, http), or credentials, permissions, clock, bucket, region
    or unavailable (status 429, 500, 502, 503 or 504).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Answer(t.NamedTuple):
    """A response. headers have their names in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    def texts(self, path: str) -> list[str]:
        """The texts of all elements of an XML document at a path such as Contents/Key. Raises StoreError for what is no XML."""
        return [element.text or "" for element in self._document().findall(path)]

    def rows(self, path: str) -> list[dict[str, str]]:
        """The elements at a path, each with the texts of what is in it."""
        return [{child.tag: child.text or "" for child in element} for element in self._document().findall(path)]

    def _document(self) -> xml.Element:
        # A document type could define entities that grow without limit.
        if b"<!DOCTYPE" in self.content or b"<!ENTITY" in self.content:
            raise StoreError("http", "the answer is XML with a document type, which no store sends")
        try:
            return xml.fromstring(re.sub(rb'\sxmlns="[^"]*"', b"", self.content, count=1))
        except xml.ParseError:
            raise StoreError("http", f"the answer is no XML, but begins with {self.content[:40]!r}") from None


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A bucket and who asks for it. context is None for plain HTTP. prefix has no slash at either end."""

    endpoint: Url
    name: str
    prefix: str
    credentials: Credentials
    context: ssl.SSLContext | None
    path_style: bool = True
    encryption: t.Mapping[str, str] = dataclasses.field(default_factory=dict)


class Client:
    """Requests to a bucket. Threads may share one. timeout is in seconds without progress, deadline by the monotonic clock."""

    def __init__(self, bucket: Bucket, timeout: int, deadline: float) -> None:
        self.bucket = bucket
        self.timeout = timeout
        self.deadline = deadline
        self.requests = 0
        self.repeated = 0
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._addresses: list[str] = []
        endpoint = bucket.endpoint
        host = endpoint.host if bucket.path_style else f"{bucket.name}.{endpoint.host}"
        self._url = parse_url(f"{endpoint.scheme}://{Endpoint(host, endpoint.port)}/")

    def find_addresses(self) -> list[str]:
        """Look the store's addresses up, and return those that do not accept connections: they are left out.

        Raises StoreError if there is none that does.
        """
        try:
            found = socket.getaddrinfo(self._url.host, self._url.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise StoreError("dns", f"the name {self._url.host} cannot be resolved: {error.strerror}") from None
        every = list(dict.fromkeys(str(address[0]) for _family, _kind, _protocol, _name, address in found))
        refused = {address: said for address, said in ((address, self._refusal(address)) for address in every) if said}
        if len(refused) == len(every):
            raise StoreError("connect", "; ".join(f"{address} port {self._url.port}: {said}" for address, said in refused.items()))
        self._addresses = [address for address in every if address not in refused]
        return list(refused)

    def _refusal(self, address: str) -> str:
        try:
            socket.create_connection((address, self._url.port), timeout=min(5, self.timeout)).close()
        except socket.timeout:
            return "no answer"
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def ask(
        self,
        method: str,
        key: str = "",
        query: t.Mapping[str, str] | None = None,
        headers: t.Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        in_url: bool = False,
    ) -> Answer:
        """Send a request for an object, or for the bucket where key is empty. in_url signs the URL, as for a redirect.

        A store that is busy or fails, and failed connections, are asked again. Any other status is returned, but for those that say something
        about who asks. Raises StoreError for these, and if there is no response until the deadline.
        """
        attempt, doing = 0, f"{method} of {key or 'the bucket'}{''.join(f' ?{name}' for name in query or {})}"
        while True:
            try:
                answer = self._once(method, key, query or {}, headers or {}, body, in_url)
                if answer.status not in _BUSY:
                    return answer if in_url else self._unless_about_us(answer, doing)
                error = StoreError("unavailable", f"status {code_of(answer)} to {doing}, and to {len(_PAUSES)} further attempts")
            except RequestError as failed:
                error = StoreError(failed.kind, _without_query(str(failed)))
            if attempt == len(_PAUSES):
                raise error
            time.sleep(_PAUSES[attempt])
            attempt += 1
            with self._lock:
                self.repeated += 1

    def _once(self, method: str, key: str, query: t.Mapping[str, str], headers: t.Mapping[str, str], body: bytes, in_url: bool) -> Answer:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise StoreError("timeout", "the time for the probe is over")
        path = f"/{self.bucket.name}/{key}" if self.bucket.path_style else f"/{key}"
        now = datetime.datetime.now(datetime.timezone.utc)
        unsigned = Unsigned(method, self._url.host_header, path, query, headers, now)
        if in_url:
            unsigned = presigned(unsigned, self.bucket.credentials, 300)
            sent = dict(headers)
        else:
            sent = signed_headers(unsigned, self.bucket.credentials, body)
        url = parse_url(f"{self._url.scheme}://{self._url.host_header}{unsigned.target}")
        with self._lock:
            self.requests += 1
            to = Endpoint(self._addresses[next(self._count) % len(self._addresses)], self._url.port) if self._addresses else None
        timeout = max(1, min(self.timeout, int(left)))
        with opened(Request(url, method, sent, to, context=self.bucket.context, timeout=timeout, body=body or None)) as response:
            content = response.read(_LIMIT)
            if response.length and method != "HEAD":
                raise RequestError("http", f"{url.text}: the answer ends {response.length} bytes early")
            return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)

    def _unless_about_us(self, answer: Answer, doing: str) -> Answer:
        code = _code_of(answer)
        # A HEAD has no body to say more.
        kind = _KINDS.get(code) or ("permissions" if answer.status in (401, 403) else "")
        if not kind and answer.status in (301, 302, 303, 307, 308):
            kind, code = "region", "PermanentRedirect"
        if not kind:
            return answer
        if kind == "clock":
            raise StoreError(kind, f"the clocks of this host and the store differ by {_skew(answer)} seconds")
        means = _MEANS.get(code, f"the key is not allowed to do this: {doing}")
        raise StoreError(kind, f"{means} (status {answer.status}{_code_of(answer, ', {}')})")


def _code_of(answer: Answer, form: str = "{}") -> str:
    """The code of an error, such as NoSuchKey. Empty where there is none."""
    found = re.search(rb"<Code>([A-Za-z0-9.]{1,60})</Code>", answer.content) if answer.status >= 300 else None
    return form.format(found[1].decode()) if found else ""


def code_of(answer: Answer) -> str:
    """The status of a response with the code of the error, such as 404 (NoSuchKey)."""
    return f"{answer.status}{_code_of(answer, ' ({})')}"


def _skew(answer: Answer) -> str:
    theirs = email.utils.parsedate_to_datetime(answer.headers.get("date", "")) if answer.headers.get("date") else None
    return str(round(abs((datetime.datetime.now(datetime.timezone.utc) - theirs).total_seconds()))) if theirs else "many"


def _without_query(text: str) -> str:
    """A message without the query of a URL in it, which may be a signature."""
    return re.sub(r"\?[^\s]*", "", text)
