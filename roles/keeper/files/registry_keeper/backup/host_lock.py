# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Locks of the backup: one run at a time on a host, and no collection of a storage that is being read."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t

from registry_keeper.errors import BUSY, KeeperError
from registry_keeper.owner import as_owner

_PAUSE = 0.5


@contextlib.contextmanager
def host_lock(state: str) -> t.Iterator[None]:
    """Hold the lock of backup, restore and repair. Raises KeeperError if another one of them runs. It ends with the process, however that ends."""
    os.makedirs(state, mode=0o700, exist_ok=True)
    handle = os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KeeperError("another backup, restore or repair runs on this host", BUSY) from None
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def storage_lock(storage: str, user: str | None, wait_seconds: float, waiting: t.Callable[[], None] = lambda: None) -> t.Iterator[None]:
    """Keep collections of a storage from starting, and wait for one that runs. Raises KeeperError when it takes too long.

    It is the lock that collections hold alone; see lock.py.
    """
    path = os.path.join(storage, "keeper", "lock")
    if not os.path.exists(path):
        as_owner(storage, user, lambda: _make(path))
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        until = time.monotonic() + wait_seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise KeeperError(f"{storage}: a collection has been running for {wait_seconds:.0f} seconds; the next backup tries again", BUSY) from None
                waiting()
                time.sleep(_PAUSE)
        yield
    finally:
        os.close(handle)


def _make(path: str) -> None:
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o640))
