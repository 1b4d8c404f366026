# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requests to a bucket of an S3 store, over a connection that stays open.

What is not an answer to the question asked is an error, never "it is not there": a collection would believe it. So an object is missing only
where the store says 404 with NoSuchKey (or to a HEAD, 404), an upload where it says NoSuchUpload, and a list is over only where the store says so.
"""

from __future__ import annotations

import dataclasses
import datetime
import email.utils
import http.client
import re
import ssl
import time
import typing as t
import urllib.parse
import xml.etree.ElementTree as xml

from registry_keeper.errors import FAILED, KeeperError
from registry_keeper.s3.signing import Credentials, Unsigned, signed_headers

_PAUSES = (0.3, 1.0, 3.0)
_BUSY = (429, 500, 502, 503, 504)
_LONGEST = 64 << 20
TIMEOUT = 30  # seconds without progress


class StoreError(KeeperError):
    """The store did not do what it was asked for, or nobody knows whether it did."""

    def __init__(self, message: str) -> None:
        super().__init__(message, FAILED)


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A bucket, and who asks for it. prefix is empty or ends in a slash."""

    endpoint: str
    name: str
    prefix: str
    credentials: Credentials
    ca_file: str = ""
    path_style: bool = True
    encryption: t.Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def shown(self) -> str:
        """For messages."""
        return f"{self.endpoint}/{self.name}/{self.prefix}".rstrip("/")


class Answer(t.NamedTuple):
    """A response. headers have their names in lower case."""

    status: int
    headers: dict[str, str]
    content: bytes

    @property
    def code(self) -> str:
        """The code of an error, such as NoSuchKey; empty where there is none."""
        found = re.search(rb"<Code>([A-Za-z0-9.]{1,60})</Code>", self.content) if self.status >= 300 or b"<Error>" in self.content[:500] else None
        return found[1].decode() if found else ""

    @property
    def date(self) -> float | None:
        """What the store's clock says, in seconds since 1970."""
        return seconds_of(self.headers.get("date", ""))

    def document(self) -> xml.Element:
        """The XML of the answer, without name spaces. Raises StoreError."""
        # A document type could define entities that grow without limit.
        if b"<!DOCTYPE" in self.content or b"<!ENTITY" in self.content:
            raise StoreError("the store's answer is XML with a document type, which no store sends")
        try:
            return xml.fromstring(re.sub(rb'\sxmlns="[^"]*"', b"", self.content, count=1))
        except xml.ParseError:
            raise StoreError(f"the store's answer is no XML, but begins with {self.content[:40]!r}") from None


class Client:
    """One connection. Not for several threads."""

    def __init__(self, bucket: Bucket, timeout: float = TIMEOUT) -> None:
        self.bucket, self.timeout = bucket, timeout
        scheme, _mark, place = canonical(bucket.endpoint).partition("://")
        self._secure = scheme == "https"
        self._host = place if bucket.path_style else f"{bucket.name}.{place}"
        self._context = ssl.create_default_context(cafile=bucket.ca_file or None) if self._secure else None
        self._connection: http.client.HTTPConnection | None = None
        self.requests = 0

    def ask(
        self,
        method: str,
        key: str = "",
        *,
        query: t.Mapping[str, str] | None = None,
        headers: t.Mapping[str, str] | None = None,
        body: bytes = b"",
        expect: t.Collection[int] = (200, 204),
        once: bool = False,
    ) -> Answer:
        """Ask for an object, or for the bucket where key is empty. A store that is busy, or does not answer, is asked again, unless it is to be asked once.

        Raises StoreError for any other status than those expected.
        """
        doing = f"{method} of {key or 'the bucket'}{''.join(f' ?{name}' for name in query or {})}"
        for pause in (None,) if once else (*_PAUSES, None):
            try:
                answer = self._once(method, key, query or {}, headers or {}, body)
                if answer.status not in _BUSY:
                    break
                failure = f"{doing}: status {answer.status} {answer.code}".rstrip()
            except (OSError, http.client.HTTPException) as error:
                self.close()
                failure = f"{doing}: {type(error).__name__}: {error}"
            if pause is None:
                raise StoreError(f"{self.bucket.endpoint}: {failure}")
            time.sleep(pause)
        if answer.status not in expect or (answer.status < 300 and b"<Error>" in answer.content[:500] and method != "GET"):
            raise StoreError(f"{self.bucket.endpoint}: {doing}: status {answer.status} {answer.code}".rstrip())
        if method == "DELETE" and answer.status == 200 and answer.content:
            # A removal has nothing to say. A proxy that asks for a login does.
            raise StoreError(f"{self.bucket.endpoint}: {doing}: status 200 with a page that no store sends, which begins with {answer.content[:40]!r}")
        if answer.status == 404 and method != "HEAD" and answer.code != ("NoSuchUpload" if "uploadId" in (query or {}) else "NoSuchKey"):
            raise StoreError(f"{self.bucket.endpoint}: {doing}: status 404 {answer.code}".rstrip())
        return answer

    def another(self) -> Client:
        """One with a connection of its own, for another thread."""
        return Client(self.bucket, self.timeout)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _once(self, method: str, key: str, query: t.Mapping[str, str], headers: t.Mapping[str, str], body: bytes) -> Answer:
        self.requests += 1
        path = f"/{self.bucket.name}/{key}" if self.bucket.path_style else f"/{key}"
        unsigned = Unsigned(method, self._host, path, query, headers, datetime.datetime.now(datetime.timezone.utc))
        if self._connection is None:
            if self._context is not None:
                self._connection = http.client.HTTPSConnection(self._host, timeout=self.timeout, context=self._context)
            else:
                self._connection = http.client.HTTPConnection(self._host, timeout=self.timeout)
        # Without a body a request of these methods says that it has none.
        self._connection.request(method, unsigned.target, body, signed_headers(unsigned, self.bucket.credentials, body))
        response = self._connection.getresponse()
        content = response.read(_LONGEST)
        if response.length:
            raise http.client.HTTPException(f"{response.length} bytes more than the {len(content)} that were read")
        return Answer(response.status, {name.lower(): value for name, value in response.headers.items()}, content)


def canonical(endpoint: str) -> str:
    """The same endpoint, however it is written: to compare it with others. Its host is as http.client names it, without the port that goes without saying."""
    parts = urllib.parse.urlsplit(endpoint)
    return f"{parts.scheme}://{re.sub(':443$' if parts.scheme == 'https' else ':80$', '', parts.netloc.lower())}"


def seconds_of(text: str) -> float | None:
    """Seconds since 1970 of a date in a header; None for what is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError):
        return None
