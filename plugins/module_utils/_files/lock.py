# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One run at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.place import Place, opened
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import File

TIME_LIMIT = 300.0  # seconds: several runs that make hundreds of hashes may wait for each other
_PAUSE = 0.02


class LockedFile(File):
    """A file that this run alone may change. A child process that inherits the descriptor holds the lock too, until it ends."""

    def __init__(self, place: Place, descriptor: int) -> None:
        super().__init__(place)
        self.descriptor = descriptor


@contextlib.contextmanager
def locked(path: str) -> t.Iterator[LockedFile]:
    """Hold the one lock for path while the block runs, waiting for it for TIME_LIMIT seconds at most.

    The kernel drops the lock (flock) when its holder ends in whatever way, so a killed run blocks nobody. With the lock
    held, temporary files that killed runs left beside the target are removed. The lock file itself, 0600 and empty,
    stays: removing it would let two runs hold "the" lock at once.

    Raises HoldfastError where it can't be made, or where somebody else does not let go of it.
    """
    with _opened_lock(path, os.O_CREAT) as (place, descriptor):
        _wait_for(descriptor, os.path.join(os.path.dirname(place.real), f".{place.name}.lock"))
        file = LockedFile(place, descriptor)
        file.remove_leftovers()
        yield file


def check(path: str) -> None:
    """Raise HoldfastError where something is in the place of the lock for path that locked() could not open. Changes nothing."""
    with contextlib.suppress(FileNotFoundError), _opened_lock(path, 0):
        pass


@contextlib.contextmanager
def _opened_lock(path: str, flags: int) -> t.Iterator[tuple[Place, int]]:
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(opened(path))
            descriptor = os.open(f".{place.name}.lock", os.O_RDWR | flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=place.directory)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and not flags:
                raise
            raise HoldfastError(f"{path}: its lock cannot be made in {os.path.dirname(os.path.realpath(path))}: {error.strerror}") from error
        stack.callback(os.close, descriptor)
        yield place, descriptor


def _wait_for(descriptor: int, lock: str) -> None:
    deadline = time.monotonic() + TIME_LIMIT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise HoldfastError(
                    f"{lock}: gave up after {TIME_LIMIT:.0f} seconds, since another process holds this lock; see which one with: fuser -v {lock}"
                ) from None
            time.sleep(_PAUSE)
        else:
            return
