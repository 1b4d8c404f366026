# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Copies of blobs from one store to another: read in pieces, compared with their digest as they are read, and read again at the target.

A copy whose source is not what its digest says never gets its name, so it replaces nothing that is sound.
"""

from __future__ import annotations

import hashlib
import typing as t

from registry_keeper.s3.client import StoreError
from registry_keeper.s3.objects import Objects

PIECE = 16 << 20  # bytes in memory at a time
_MOST_PARTS = 9000  # of the 10,000 that a store takes
Count = t.Callable[[int], None]


class DamagedError(StoreError):
    """What the source gives is not what its digest says."""


def transfer(source: Objects, name: str, target: Objects, copy: str, digest: str, count: Count = lambda _bytes: None) -> int | None:
    """Copy a blob. Returns its bytes, or None where there is no source. Raises DamagedError and StoreError."""
    item = source.head(name)
    if item is None:
        return None
    for attempt in (1, 2):
        try:
            target.put(copy, _checked(source.pieces(name, item.size, _piece(item.size)), digest, count))
            break
        except DamagedError:
            # Once more: it may have been read badly.
            if attempt == 2:
                raise
    if not target.is_sound(copy, digest, item.size):
        raise StoreError(f"{target.client.bucket.endpoint}: gives something else for {copy} than what was written there. It cannot keep images")
    return item.size


def gives_sound(objects: Objects, name: str, digest: str) -> bool:
    """`Objects.is_sound` of what is to be written again otherwise: what the store has and does not give is no better than what is damaged.

    Whether the store can be reached at all shows when that is written. Raises StoreError where it does not even say whether the object is there.
    """
    objects.head(name)
    try:
        return objects.is_sound(name, digest)
    except StoreError:
        return False


def _piece(size: int) -> int:
    return max(PIECE, -(-size // _MOST_PARTS))


def _checked(pieces: t.Iterable[bytes], digest: str, count: Count) -> t.Iterator[bytes]:
    """The same pieces. Raises DamagedError at their end if they are not what the digest says, so that they do not become the copy."""
    calculated = hashlib.new(digest.partition(":")[0])
    for piece in pieces:
        calculated.update(piece)
        count(len(piece))
        yield piece
    if calculated.hexdigest() != digest.partition(":")[2]:
        raise DamagedError(f"{digest} is damaged")
