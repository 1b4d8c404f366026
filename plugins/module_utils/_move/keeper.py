# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of registry-keeper, which must not change a place during the last pass: those that run are waited for.

Those that would begin look for the file with which the gateway refuses uploads, once they hold the lock or the lease. It is there before they are
looked for here, so each of them is seen, or sees the file. It stays until site.yml has switched the registry, also over a restart of the host.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._move.files import Files
from ansible_collections.holdfast.registry.plugins.module_utils._move.snapshot import Place
from ansible_collections.holdfast.registry.plugins.module_utils._move.store import Store, seconds_of

# As registry_keeper/s3/lease.py has them.
LEASE = "holdfast-keeper/lease"
LASTS = 300.0  # seconds without renewal, after which nobody has it
_WAIT_SECONDS = 600
_PAUSE = 1.0


@contextlib.contextmanager
def kept_out(places: t.Sequence[Place], waiting: t.Callable[[str], None]) -> t.Iterator[None]:
    """Wait until no command works on these places, and refuse what was done if one has begun meanwhile.

    waiting is told for whom. Raises HoldfastError if one takes too long, or is not kept away by the file.
    """
    with contextlib.ExitStack() as stack:
        for place in places:
            if isinstance(place, Files):
                stack.enter_context(_lock(place, waiting))
            else:
                _wait(place, waiting)
        yield
        for place in places:
            holder = _holder(place) if isinstance(place, Store) else ""
            if holder:
                raise HoldfastError(
                    f"{place.text}: registry-keeper has begun to work on it meanwhile: {holder}. Nothing keeps it from that on its host: "
                    "is it in registry_servers, and has site.yml run there?"
                )


@contextlib.contextmanager
def _lock(place: Files, waiting: t.Callable[[str], None]) -> t.Iterator[None]:
    """The lock that the commands hold alone. It ends with this process."""
    path = os.path.join(place.text, "keeper", "lock")
    if not os.path.exists(path):
        yield
        return
    with open(path, "rb") as file:
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                break
            _pause(place, "a command", until, waiting)
        yield


def _wait(place: Store, waiting: t.Callable[[str], None]) -> None:
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        holder = _holder(place)
        if not holder:
            return
        _pause(place, holder, until, waiting)


def _pause(place: Place, holder: str, until: float, waiting: t.Callable[[str], None]) -> None:
    if time.monotonic() >= until:
        raise HoldfastError(f"{place.text}: registry-keeper has been at work for {_WAIT_SECONDS} s: {holder}; run migrate.yml again when it has ended")
    waiting(f"waiting for registry-keeper: {holder}")
    time.sleep(_PAUSE)


def _holder(place: Store) -> str:
    """Who has the lease of a store; empty where nobody has. Raises StoreError."""
    found = place.beside(LEASE)
    if found is None:
        return ""
    now, written = seconds_of(found.headers.get("date", "")), seconds_of(found.headers.get("last-modified", ""))
    if now is not None and written is not None and now - written >= LASTS:
        return ""
    try:
        known = json.loads(found.content)
        return f"{known['purpose']} on host {known['host']}"
    except (ValueError, KeyError, TypeError):
        return "a command on a host of unknown name"
