# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bucket of an S3 store that has a registry's images, as the source or the target of a move."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import re
import secrets
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._move.files import Found, Gone
from ansible_collections.holdfast.registry.plugins.module_utils._move.tree import ROOT, link_of
from ansible_collections.holdfast.registry.plugins.module_utils._s3.client import Answer, Bucket, Client, StoreError, code_of

PART = 8 * 1024 * 1024  # bytes, of the 16 MB that a response may have
_MOST_PARTS = 9000  # of the 10,000 that a store takes
# What passes by itself: the store restarts, the network is away.
_PASSING = ("dns", "connect", "timeout", "unavailable", "http")
_PAUSES = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60)
_YEAR = 365 * 86400
PUSHED = "x-amz-meta-holdfast-pushed"  # seconds since 1970


class Store:
    """A bucket. Requests that fail for a reason that passes are repeated for five minutes."""

    workers = 8

    def __init__(self, bucket: Bucket, text: str, say: t.Callable[[str], None]) -> None:
        self.text = text
        self._bucket = bucket
        self._root = f"{bucket.prefix}/{ROOT}".lstrip("/")
        self._say = say
        self._client = Client(bucket, timeout=60, deadline=time.monotonic() + 10 * _YEAR)
        self._pauses: t.Sequence[float] = _PAUSES

    def prepare(self) -> None:
        """Look the addresses of the store up, and leave out those that refuse connections. Raises StoreError."""
        self._client.find_addresses()

    def refuse_other(self) -> None:
        """Refuse what answers and is no S3 store, such as a web server: nothing that it says about a lease is true. Raises StoreError."""
        answer = self._ask("GET", query={**self._query("blobs/"), "max-keys": "1"})
        with contextlib.suppress(StoreError):
            if answer.texts("IsTruncated"):
                return
        raise StoreError("http", f"{self.text}: is no S3 store: it answers a list with {answer.content[:60]!r}")

    def blobs(self) -> t.Iterator[Found]:
        """All objects of blobs."""
        return self._list("blobs/")

    def links(self, _kind: str) -> t.Iterator[Found]:
        """All links: a store cannot be asked for those of a kind."""
        for found in self._list("repositories/"):
            if link_of(found.path):
                yield found

    def _list(self, below: str) -> t.Iterator[Found]:
        more: dict[str, str] = {}
        while True:
            answer = self._ask("GET", query={**self._query(below), **more})
            for row in answer.rows("Contents"):
                yield Found(row["Key"][len(self._root) + 1 :], int(row["Size"]), row.get("ETag", "").strip('"'))
            truncated, token = answer.texts("IsTruncated"), answer.texts("NextContinuationToken")
            if truncated == ["false"]:
                return
            # What a list lacks would not be moved, and nobody would know.
            if truncated != ["true"] or not token or not token[0] or token[0] == more.get("continuation-token"):
                raise StoreError("list", f"{self.text}: a list of {below} does not say whether it ends, or where it goes on")
            more = {"continuation-token": token[0]}

    def _query(self, below: str) -> dict[str, str]:
        return {"list-type": "2", "prefix": f"{self._root}/{below}"}

    def read(self, path: str, size: int) -> t.Iterator[bytes]:
        """The content in pieces. Raises Gone."""
        for content, _mark in self._pieces(path, size):
            yield content

    def content(self, path: str) -> tuple[bytes, str]:
        """The content of a link, and its mark. Raises Gone."""
        answer = self._get(path, {})
        return answer.content, _mark(answer)

    def pushed(self, path: str) -> float:
        """When a tag was pushed, in seconds since 1970. Raises Gone."""
        headers = self._get(path, {}).headers
        with contextlib.suppress(ValueError):
            return float(headers.get(PUSHED, ""))
        return seconds_of(headers.get("last-modified", "")) or time.time()

    def beside(self, name: str) -> Answer | None:
        """An object below the prefix that is none of the registry's; None where there is none."""
        answer = self._ask("GET", key=f"{self._bucket.prefix}/{name}".lstrip("/"), allowed=(404,))
        return answer if answer.status == 200 else None

    def is_also(self, other: Store) -> bool:
        """Whether the other one is this place under another name: what is written here is there as well."""
        name = f"holdfast-move-{secrets.token_hex(8)}"
        key = f"{self._bucket.prefix}/{name}".lstrip("/")
        self._ask("PUT", key=key, headers=self._bucket.encryption, body=name.encode())
        try:
            found = other.beside(name)
            return found is not None and found.content == name.encode()
        finally:
            self._ask("DELETE", key=key, allowed=(404,))

    def digest(self, path: str, algorithm: str, size: int) -> tuple[str, str]:
        """The digest of what the store gives, and the mark of what was read. Raises Gone."""
        calculated, marks = hashlib.new(algorithm), []
        for content, mark in self._pieces(path, size):
            calculated.update(content)
            marks.append(mark)
        if len(set(marks)) != 1:
            raise Gone(f"{self.text}: {path} was replaced while it was read")
        return f"{algorithm}:{calculated.hexdigest()}", marks[0]

    def _pieces(self, path: str, size: int) -> t.Iterator[tuple[bytes, str]]:
        """The content from the first byte to that at size, and nothing where the object ends before."""
        if size <= PART:
            yield self.content(path)
            return
        for first in range(0, size, PART):
            answer = self._get(path, {"Range": f"bytes={first}-{min(first + PART, size) - 1}"})
            if answer.status == 200:
                raise StoreError("http", f"the store gives all of {path} to a request for a part of it")
            yield answer.content, _mark(answer)

    def _get(self, path: str, headers: t.Mapping[str, str]) -> Answer:
        answer = self._ask("GET", path, headers=headers, allowed=(404, 416))
        if answer.status in (404, 416):
            raise Gone(f"{self.text}: {path} is not there any more")
        return answer

    def put(self, path: str, pieces: t.Iterable[bytes], size: int, pushed: float | None = None) -> None:
        """Write an object, in parts where it is large. Where the pieces end with an error, there is none.

        pushed is when the tag was pushed: a store knows only when this object was written. registry_keeper/s3/listing.py reads it.
        """
        if size <= PART:
            known = {} if pushed is None else {PUSHED: f"{pushed:.6f}"}
            self._ask("PUT", path, headers={**self._bucket.encryption, **known}, body=b"".join(pieces))
            return
        begun = self._ask("POST", path, query={"uploads": ""}, headers=self._bucket.encryption)
        upload = (begun.texts("UploadId") or [""])[0]
        if not upload:
            raise StoreError("http", f"the store begins an upload of {path} without an UploadId")
        try:
            tags = [
                self._ask("PUT", path, query={"partNumber": str(number), "uploadId": upload}, body=part).headers.get("etag", "")
                for number, part in enumerate(_parts(pieces, max(PART, -(-size // _MOST_PARTS))), start=1)
            ]
            listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>" for number, tag in enumerate(tags, start=1))
            body = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
            done = self._ask("POST", path, query={"uploadId": upload}, body=body)
            if b"<Error>" in done.content:
                raise StoreError("unavailable", f"the store cannot complete the upload of {path}: {done.content[:200]!r}")
        except BaseException:
            with contextlib.suppress(StoreError):
                self._client.ask("DELETE", self._key(path), query={"uploadId": upload})
            raise

    def remove(self, path: str) -> None:
        """Remove an object."""
        self._ask("DELETE", path, allowed=(404,))

    def settle(self) -> None:
        """A store has on its disks what it has acknowledged."""

    def finish(self) -> None:
        """There is nothing to tidy up."""

    def refuse_if_short(self, wanted: int, files: int) -> None:
        """Nobody can ask a store for its free space."""

    def _key(self, path: str) -> str:
        return f"{self._root}/{path}" if path else ""

    def _ask(
        self,
        method: str,
        path: str = "",
        query: t.Mapping[str, str] | None = None,
        headers: t.Mapping[str, str] | None = None,
        body: bytes = b"",
        allowed: t.Sequence[int] = (),
        key: str = "",
    ) -> Answer:
        """A request that has to succeed, or to be answered with one of the allowed statuses. Raises StoreError."""
        attempt = 0
        while True:
            try:
                answer = self._client.ask(method, key or self._key(path), query, headers, body)
            except StoreError as error:
                if not _passes(error) or attempt == len(self._pauses):
                    raise StoreError(error.kind, f"{self.text}: {error.kind}: {error}") from None
                self._say(f"the store does not do it now, the next attempt is in {self._pauses[attempt]} s: {error}")
                time.sleep(self._pauses[attempt])
                attempt += 1
                with contextlib.suppress(StoreError):
                    self._client.find_addresses()
                continue
            if answer.status >= 300 and answer.status not in allowed:
                raise StoreError("http", f"{self.text}: the store answers {code_of(answer)} to {method} of {key or path or 'the bucket'}")
            return answer


def _parts(pieces: t.Iterable[bytes], size: int) -> t.Iterator[bytes]:
    """The same bytes in parts of this size; the last one may be shorter."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) >= size:
            yield bytes(held[:size])
            del held[:size]
    if held:
        yield bytes(held)


def _passes(error: StoreError) -> bool:
    # A store that restarts may end a handshake with an alert, or without a word. What is wrong with certificates and versions stays so.
    return error.kind in _PASSING or (error.kind == "tls" and not re.search("certificate|version", str(error)))


def seconds_of(text: str) -> float | None:
    """Seconds since 1970 of a date in a header; None for what is none."""
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, IndexError):
        return None


def _mark(answer: Answer) -> str:
    return answer.headers.get("etag", "").strip('"')
