# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backup of a bucket, in another bucket. Names are below the prefix that the backup of one registry has for itself.

    holdfast-backup.json    of which registry it is the backup
    states/STATE.gz         one backup: every link, in the form of storage/links.py; between a line that says what it is, and one that says it is whole
    blobs/sha256/01/01..    blobs, each once, for all states that have it
    lease, check.json       who works on it; when its blobs were read again last

A state is written after its blobs, and removed before them. So what a state names is there, whatever ends the program.
"""

from __future__ import annotations

import calendar
import dataclasses
import gzip
import hashlib
import io
import json
import re
import secrets
import time
import typing as t
import zlib

from registry_keeper.bucket_backup.transfer import PIECE
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.objects import Item, Objects
from registry_keeper.storage.layout import digest_of, is_digest, key_of
from registry_keeper.storage.links import Link, parse

MARKER, LEASE, CHECKED = "holdfast-backup.json", "lease", "check.json"
VERSION = 1
_STATES, _BLOBS = "states/", "blobs/"
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
# How states are told apart that a rule counts, such as keep one of each day.
_PERIODS = {"hourly": "%Y%m%d%H", "daily": "%Y%m%d", "weekly": "%G%V", "monthly": "%Y%m", "yearly": "%Y"}
Header = dict[str, t.Any]


@dataclasses.dataclass
class State:
    """A backup as it is read: what it says of itself, and its links."""

    name: str
    header: Header
    content: bytes

    def links(self) -> t.Iterator[Link]:
        """All links. Raises StoreError where it is not whole."""
        count, whole = 0, False
        try:
            for number, line in enumerate(_lines(self.content)):
                if number == 0:
                    continue
                if whole:
                    raise ValueError("more than it says")
                if line == f"end {count}\n".encode():
                    whole = True
                    continue
                link = parse(line.decode("ascii", "replace"))
                if link is None:
                    raise ValueError(f"line {number + 1} is no link")
                count += 1
                yield link
        except (OSError, ValueError, EOFError, zlib.error) as error:
            raise StoreError(f"the backup {self.name} is damaged: {error}") from error
        if not whole:
            raise StoreError(f"the backup {self.name} is damaged: it has no end")

    def blobs(self) -> set[bytes]:
        """The digests of all its blobs, in their compact form. Raises StoreError."""
        return {key_of(link.digest) for link in self.links()}


def blob_name(key: bytes) -> str:
    """Where a blob is."""
    algorithm, _colon, name = digest_of(key).partition(":")
    return f"{_BLOBS}{algorithm}/{name[:2]}/{name}"


def blobs(objects: Objects, version: int = 2) -> dict[bytes, Item]:
    """The blobs that are there, by their digests in compact form. What has another name is somebody else's. Raises StoreError."""
    found = {}
    for name, item in objects.list(_BLOBS, version):
        algorithm, _slash, rest = name[len(_BLOBS) :].partition("/")
        digest = f"{algorithm}:{rest[3:]}"
        if is_digest(digest) and name == blob_name(key_of(digest)):
            found[key_of(digest)] = item
    return found


def new_name(now: float) -> str:
    """A name for a state. now is in seconds since 1970."""
    return f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}-{secrets.token_hex(2)}"


def listed(objects: Objects) -> dict[str, Item]:
    """All states, oldest first, from both kinds of lists that stores have. Raises StoreError."""
    found = {}
    for version in (2, 1):
        for name, item in objects.list(_STATES, version):
            state = name[len(_STATES) : -len(".gz")]
            if name == _path(state) and _NAME.fullmatch(state):
                found[state] = item
    return {state: found[state] for state in sorted(found)}


def write(objects: Objects, name: str, header: Header, links: t.Iterable[Link]) -> None:
    """Write a state, and read it back. Raises StoreError."""
    count, packed = 0, io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(json.dumps({**header, "version": VERSION}, sort_keys=True).encode() + b"\n")
        for link in links:
            file.write(link.line.encode("ascii"))
            count += 1
        file.write(f"end {count}\n".encode())
    content = packed.getvalue()
    objects.put(_path(name), (content[first : first + PIECE] for first in range(0, len(content), PIECE)))
    if objects.digest(_path(name), len(content), piece=PIECE) != f"sha256:{hashlib.sha256(content).hexdigest()}":
        raise StoreError(f"{_path(name)}: was written, and reads as something else")


def read(objects: Objects, name: str) -> State | None:
    """A state; None where there is none. Raises StoreError where it is none of this program's."""
    item = objects.head(_path(name)) if _NAME.fullmatch(name) else None
    if item is None:
        return None
    content = b"".join(objects.pieces(_path(name), item.size, PIECE))
    try:
        header = json.loads(next(_lines(content), b""))
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise StoreError(f"the backup {name} is damaged: {error}") from error
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise StoreError(f"the backup {name} is of another version of this program")
    return State(name, header, content)


def remove(objects: Objects, name: str) -> None:
    """Remove a state. Raises StoreError."""
    objects.remove(_path(name))


def time_of(name: str) -> float:
    """When a state was begun, in seconds since 1970."""
    return calendar.timegm(time.strptime(name[:16], "%Y%m%dT%H%M%SZ"))


def kept(names: t.Iterable[str], keep: t.Mapping[str, int]) -> set[str]:
    """Which states stay: the last ones, and of so many hours, days, weeks, months and years (in UTC) the last one each."""
    newest_first = sorted(names, reverse=True)
    staying = set(newest_first[: int(keep.get("last", 0))])
    for rule, form in _PERIODS.items():
        periods: dict[str, str] = {}
        for name in newest_first:
            periods.setdefault(time.strftime(form, time.gmtime(time_of(name))), name)
        staying.update(list(periods.values())[: int(keep.get(rule, 0))])
    return staying


def _lines(content: bytes) -> t.Iterator[bytes]:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        yield from file


def _path(name: str) -> str:
    return f"{_STATES}{name}.gz"
