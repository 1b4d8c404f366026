# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The objects of a registry in an S3 store. Names are relative to the registry's prefix, such as docker/registry/v2/blobs/...

Each request asks the guard first, which is the lease: it is renewed meanwhile, and raises where another host may be the leader now.
"""

from __future__ import annotations

import calendar
import concurrent.futures
import contextlib
import hashlib
import itertools
import re
import time
import typing as t
import urllib.parse

from registry_keeper.s3.client import Answer, Client, StoreError, seconds_of

PART = 64 << 20  # bytes that are copied or read by one request: none may take longer than a timeout
ALWAYS_READ = 8 << 20  # copies up to so many bytes are read again, whatever the store says of them
READERS = 8  # connections that read many small objects at once
# A condition is not met, another write has come in between, or there is nothing any more that could match. Amazon S3 says each of them.
UNMET = (412, 409, 404)
_AT_ONCE = 64  # small objects that are read between two looks at the lease
_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?Z")


class Item(t.NamedTuple):
    """An object: its bytes, when it was written (seconds since 1970, by the store's clock), and its tag."""

    size: int
    modified: float
    tag: str = ""

    @property
    def second(self) -> int:
        """Lists have parts of a second, and headers have not."""
        return int(self.modified)


class Objects:
    """What is below the registry's prefix."""

    def __init__(self, client: Client, readers: int = READERS) -> None:
        self.client = client
        self.guard: t.Callable[[], None] = _free
        self._prefix = client.bucket.prefix
        self._readers, self._others = readers, list[Client]()

    @property
    def requests(self) -> int:
        """How many there have been."""
        return sum(client.requests for client in (self.client, *self._others))

    # --- reading

    def now(self) -> float:
        """The time: the store's, unless this host's is earlier. What is young by either of them is young. Raises StoreError."""
        answer = self.client.ask("GET", query={"prefix": f"{self._prefix}holdfast-keeper/", "max-keys": "1", "list-type": "2"})
        return min(time.time(), time.time() if answer.date is None else answer.date)

    def list(self, prefix: str, version: int = 2) -> t.Iterator[tuple[str, Item]]:
        """All objects whose names begin so. Raises StoreError where the list may lack something."""
        query = {"prefix": self._prefix + prefix, **({"list-type": "2"} if version == 2 else {})}
        step = "continuation-token" if version == 2 else "marker"
        while True:
            self.guard()
            document = self.client.ask("GET", query=query).document()
            rows = [{child.tag: child.text or "" for child in element} for element in document.findall("Contents")]
            for row in rows:
                yield self._row(row, prefix)
            count, truncated = document.findtext("KeyCount"), document.findtext("IsTruncated")
            if document.tag != "ListBucketResult" or truncated not in ("true", "false") or (count is not None and int(count) != len(rows)):
                raise StoreError(f"a list of {prefix} has {len(rows)} objects, says {count or 'not'} how many, and {truncated or 'not'} whether there are more")
            if truncated == "false":
                return
            following = document.findtext("NextContinuationToken" if version == 2 else "NextMarker") or (rows[-1]["Key"] if rows and version == 1 else "")
            if not following or following == query.get(step):
                raise StoreError(f"a list of {prefix} goes on, and does not say where")
            query[step] = following

    def _row(self, row: t.Mapping[str, str], prefix: str) -> tuple[str, Item]:
        key, modified = row.get("Key", ""), moment_of(row.get("LastModified", ""))
        if not key.startswith(self._prefix + prefix) or not row.get("Size", "").isdecimal() or modified is None:
            raise StoreError(f"a list of {prefix} has {dict(row)!r}, which is no object of it")
        return key[len(self._prefix) :], Item(int(row["Size"]), modified, row.get("ETag", "").strip('"'))

    def head(self, name: str) -> Item | None:
        """An object; None where there is none. Raises StoreError."""
        self.guard()
        answer = self.client.ask("HEAD", self._prefix + name, expect=(200, 404))
        if answer.status == 404:
            return None
        size, modified = answer.headers.get("content-length", ""), seconds_of(answer.headers.get("last-modified", ""))
        if not size.isdecimal() or modified is None:
            raise StoreError(f"HEAD of {name} does not say how long it is, or since when")
        return Item(int(size), modified, answer.headers.get("etag", "").strip('"'))

    def read(self, name: str) -> bytes | None:
        """The content of an object; None where there is none. For what is small. Raises StoreError."""
        answer = self.get(name)
        return None if answer is None else answer.content

    def get(self, name: str) -> Answer | None:
        """The same with its headers."""
        self.guard()
        return self._get(self.client, name)

    def _get(self, client: Client, name: str) -> Answer | None:
        answer = client.ask("GET", self._prefix + name, expect=(200, 404))
        return None if answer.status == 404 else answer

    def several(self, names: t.Sequence[str]) -> t.Iterator[tuple[str, Answer | None]]:
        """The same of many, with several connections at once: a store answers each of them in milliseconds, and there may be a million. Raises StoreError."""
        if self._readers < 2 or len(names) < 2:
            yield from ((name, self.get(name)) for name in names)
            return
        while len(self._others) < self._readers - 1:
            self._others.append(self.client.another())
        clients = (self.client, *self._others)
        with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
            for first in range(0, len(names), _AT_ONCE):
                # Here, since the guard has this connection, and no thread has it now.
                self.guard()
                some = names[first : first + _AT_ONCE]
                shares = [some[number :: len(clients)] for number in range(len(clients))]
                for found in pool.map(lambda client, share: [(name, self._get(client, name)) for name in share], clients, shares):
                    yield from found

    def digest(self, name: str, size: int, algorithm: str = "sha256", count: t.Callable[[int], None] = lambda _bytes: None, piece: int | None = None) -> str:
        """The digest of an object of so many bytes, read in pieces; count gets the bytes of each. Raises StoreError."""
        hashed = hashlib.new(algorithm)
        for content in self.pieces(name, size, piece or PART):
            hashed.update(content)
            count(len(content))
        return f"{algorithm}:{hashed.hexdigest()}"

    def pieces(self, name: str, size: int, piece: int) -> t.Iterator[bytes]:
        """An object of so many bytes, in pieces; the last one may be shorter. Raises StoreError, also where it has fewer bytes."""
        for first, last in _ranges(size, piece):
            self.guard()
            answer = self.client.ask("GET", self._prefix + name, headers={"range": f"bytes={first}-{last}"}, expect=(206,))
            if len(answer.content) != last - first + 1:
                raise StoreError(f"{name}: bytes {first} to {last} came as {len(answer.content)} bytes")
            yield answer.content

    def is_sound(self, name: str, digest: str, size: int | None = None) -> bool:
        """Whether an object is there, is of that size, and is what its digest says. It is read as a whole. Raises StoreError."""
        item = self.head(name)
        if item is None or size not in (None, item.size):
            return False
        return self.digest(name, item.size, digest.partition(":")[0]) == digest

    def is_damaged(self, name: str, digest: str) -> bool:
        """Whether an object is there, and is not what its digest says. One read says nothing: it may have gone wrong. Raises StoreError."""
        return not any(self.is_sound(name, digest) for _attempt in range(2)) and self.head(name) is not None

    # --- changing

    def write(self, name: str, content: bytes, known: t.Mapping[str, str] | None = None) -> None:
        """Write a small object, and read it back. known are headers x-amz-meta-... that the store keeps with it. Raises StoreError."""
        self.guard()
        self.client.ask("PUT", self._prefix + name, headers={**self.client.bucket.encryption, **(known or {})}, body=content)
        if self.read(name) != content:
            raise StoreError(f"{name}: was written, and reads as something else")

    def write_new(self, name: str, content: bytes) -> bool:
        """Write a small object where there is none; False where somebody else has written there meanwhile. Raises StoreError."""
        if self.head(name) is not None:
            return False
        headers = {"if-none-match": "*", **self.client.bucket.encryption}
        self.client.ask("PUT", self._prefix + name, headers=headers, body=content, expect=(200, 204, *UNMET))
        found = self.read(name)
        if found is None:
            raise StoreError(f"{name}: was written, and is not there")
        return found == content

    def put(self, name: str, pieces: t.Iterable[bytes]) -> None:
        """Write an object from pieces of at least 5 MB, but for the last. Where they end with an error, it is as it was. Raises StoreError."""
        left = iter(pieces)
        first, second = next(left, b""), next(left, None)
        if second is not None:
            self._in_parts(name, ({"body": piece} for piece in itertools.chain((first, second), left)))
            return
        self.guard()
        self.client.ask("PUT", self._prefix + name, headers=self.client.bucket.encryption, body=first)

    def remove(self, name: str) -> None:
        """Remove an object; one that has gone already is no error. Raises StoreError.

        The store is asked once: what is there when it is asked again may be something new.
        """
        self.guard()
        self.client.ask("DELETE", self._prefix + name, expect=(200, 204), once=True)

    def copy(self, source: str, target: str, digest: str) -> int | None:
        """Copy an object within the store and verify the copy, whose digest is known. Returns its size, or None where there is no source.

        Raises StoreError, and then there may be something at the target that nobody may rely on.
        """
        item = self.head(source)
        if item is None:
            return None
        self.guard()
        origin = {"x-amz-copy-source": urllib.parse.quote(f"{self.client.bucket.name}/{self._prefix}{source}")}
        if item.size <= PART:
            self.client.ask("PUT", self._prefix + target, headers={**origin, **self.client.bucket.encryption})
        else:
            ranges = (f"bytes={first}-{last}" for first, last in _ranges(item.size, PART))
            self._in_parts(target, ({"headers": {**origin, "x-amz-copy-source-range": one}} for one in ranges))
        self.verify(target, item, digest)
        return item.size

    def verify(self, name: str, item: Item, digest: str) -> None:
        """Raise StoreError unless an object is what another was, whose digest is known."""
        found = self.head(name)
        if found is None or found.size != item.size:
            raise StoreError(f"{name}: a copy of {item.size} bytes has {'nothing' if found is None else found.size}")
        # A tag with a dash is not of the content alone.
        same = found.tag == item.tag and re.fullmatch(r"[0-9a-f]{32}", found.tag) is not None
        if (not same or item.size <= ALWAYS_READ) and self.digest(name, item.size, digest.partition(":")[0]) != digest:
            raise StoreError(f"{name}: is not what its digest says")

    def _in_parts(self, target: str, requests: t.Iterable[t.Mapping[str, t.Any]]) -> None:
        """Write an object by a request for each part, which has headers or a body. Where they end with an error, there is no object."""
        key = self._prefix + target
        begun = self.client.ask("POST", key, query={"uploads": ""}, headers=self.client.bucket.encryption).document().findtext("UploadId")
        if not begun:
            raise StoreError(f"{target}: the store began an upload without a name")
        rows = []
        try:
            for number, request in enumerate(requests, start=1):
                self.guard()
                part = self.client.ask("PUT", key, query={"partNumber": str(number), "uploadId": begun}, **request)
                # A part that was copied says it in its document.
                tag = part.headers.get("etag") or part.document().findtext("ETag")
                rows.append(f"<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>")
            document = f'<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{"".join(rows)}</CompleteMultipartUpload>'
            self.client.ask("POST", key, query={"uploadId": begun}, headers={"content-type": "application/xml"}, body=document.encode())
        except BaseException:
            # What is said is why it has ended. An upload that stays takes space, and is no object.
            with contextlib.suppress(StoreError):
                self.client.ask("DELETE", key, query={"uploadId": begun}, expect=(200, 204, 404))
            raise


def moment_of(text: str) -> float | None:
    """Seconds since 1970 of a time in the store's XML, such as 2026-01-31T12:00:00.000Z; None for any other text."""
    found = _TIME.fullmatch(text)
    return calendar.timegm(tuple(int(part) for part in found.groups()[:6])) + float(found[7] or 0) if found else None


def _ranges(size: int, piece: int) -> t.Iterator[tuple[int, int]]:
    for first in range(0, size, piece):
        yield first, min(first + piece, size) - 1


def _free() -> None:
    """Before there is a lease."""
