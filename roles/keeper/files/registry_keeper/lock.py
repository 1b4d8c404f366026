# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run at a time on a storage, and none while it is being moved."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t

from registry_keeper.errors import BUSY, KeeperError
from registry_keeper.settings import Settings

_held: set[int] = set()


def leave_to_parent() -> None:
    """In a process that was forked while the lock was held: the lock ends with the parent, also if this process lives on for a moment."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


def refuse_if_frozen(settings: Settings) -> None:
    """Raise KeeperError with the status BUSY while the images must stay as they are.

    Asked once the lock is held, and the lease: who makes the file and then finds neither of them held knows that nothing is changed from then on.
    """
    if settings.freeze_file and os.path.exists(settings.freeze_file):
        raise KeeperError(f"{settings.freeze_file}: is there, since the images are being moved; this run has done nothing", BUSY)


def _holder(file: t.TextIO) -> str:
    """Who holds the lock. A backup or restore shares it (backup/host_lock.py) and writes nothing, so the name in the file is that of an earlier run."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return file.read(200).strip() or "another run"
    return "a backup or restore"


@contextlib.contextmanager
def alone(settings: Settings, purpose: str) -> t.Iterator[None]:
    """Be the one run that changes images in files. Raises KeeperError with the status BUSY, and OSError."""
    with hold(settings.state, purpose):
        refuse_if_frozen(settings)
        yield


@contextlib.contextmanager
def hold(state: str, purpose: str, wait: float = 0.0) -> t.Iterator[None]:
    """Hold the storage's lock, which ends with the process, however that ends.

    purpose is what others are told meanwhile, such as "collect". wait is how many seconds to wait for another run.
    Raises KeeperError with the status BUSY, and OSError.
    """
    os.makedirs(state, mode=0o750, exist_ok=True)
    deadline = time.monotonic() + wait
    with open(os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT, 0o640), "r+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise KeeperError(f"{state}: {_holder(file)} works on this storage; this run has done nothing", BUSY) from None
            time.sleep(0.1)
        with contextlib.suppress(OSError):  # who holds it is only for people: a full disk does not matter
            file.seek(0)
            file.truncate()
            file.write(f"{purpose} (process {os.getpid()})\n")
            file.flush()
        _held.add(file.fileno())
        try:
            yield
        finally:
            _held.discard(file.fileno())
