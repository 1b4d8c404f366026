# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lease: an object in the store that says which host may change it. One run at a time, of all hosts.

A store that honours If-None-Match and If-Match lets one writer win. Where it does not, or lets two win, who wrote last is who has it after a
wait, and the other finds out before its next change. Ages are by the store's clock, from its own headers; how long ago this run renewed
its lease, by a clock of this host that goes on while the host sleeps.

A run that was stopped (SIGSTOP, a paused machine) between its look at the lease and its change can still make that one change. So nothing in
collect.py relies on the lease to lose no image: it saves work, and keeps an undo from meeting a purge.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import socket
import time
import typing as t

from registry_keeper.errors import BUSY, FAILED, KeeperError
from registry_keeper.s3.client import Answer, StoreError, seconds_of
from registry_keeper.s3.objects import UNMET, Objects

NAME = "holdfast-keeper/lease"
LASTS = 300.0  # seconds without renewal, after which another host may take it
WAIT, WAIT_UNCONDITIONAL = 2.0, 60.0  # before the first change; the second for stores that know no conditions
LOOK = 5.0


class LeaseLostError(KeeperError):
    """Another run may have the lease: nothing may be changed any more, not even to put something right."""

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: this run has stopped; nothing is lost, and the next run finishes it", FAILED)


def clock() -> float:
    """Seconds, which go on while the host sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """The lease of one run."""

    def __init__(self, objects: Objects, purpose: str, name: str = NAME) -> None:
        self._objects = objects
        self._key = objects.client.bucket.prefix + name
        self._holder = {"host": socket.gethostname(), "purpose": purpose, "run": secrets.token_hex(8)}
        self._renewed = self._looked = 0.0
        self._tag = ""

    @contextlib.contextmanager
    def held(self) -> t.Iterator[None]:
        """Have it, and let it guard all changes. Raises KeeperError with the status BUSY where another run has it."""
        self._take()
        self._objects.guard = self.check
        try:
            yield
        finally:
            self._release()

    def _take(self) -> None:
        found = self._read()
        if found is not None:
            age = self._age(found)
            if age is None or age < LASTS:
                raise KeeperError(f"{_holder(found)} works on this store; this run has done nothing", BUSY)
        condition = {"if-none-match": "*"} if found is None else {"if-match": found.headers.get("etag", "")}
        began = clock()
        if not self._write(condition) and not self._is_ours(self._read()):
            raise KeeperError("another run has just begun to work on this store; this run has done nothing", BUSY)
        # What is written is what is there already, so it does no harm where the condition is ignored.
        honoured = not self._write({"if-none-match": "*"})
        time.sleep(WAIT if honoured else WAIT_UNCONDITIONAL)
        self._renewed = began
        self._look(KeeperError("another run has just begun to work on this store; this run has done nothing", BUSY))

    def check(self) -> None:
        """Raise LeaseLostError unless this run has the lease; renew it where that is due. Cheap if it was asked a moment ago."""
        now = clock()
        if now - self._renewed > LASTS / 2:
            raise LeaseLostError("the lease could not be renewed in time")
        if now - self._looked < LOOK:
            return
        self._look(LeaseLostError("another run has taken the lease"))
        if now - self._renewed > LASTS / 10:
            if not self._write({"if-match": self._tag}):
                self._look(LeaseLostError("another run has taken the lease"))
            self._renewed = now

    def _look(self, otherwise: KeeperError) -> None:
        now, found = clock(), self._read()
        if not self._is_ours(found):
            raise otherwise
        self._looked, self._tag = now, found.headers.get("etag", "") if found else ""

    def _release(self) -> None:
        # It ends by itself where this does not work.
        with contextlib.suppress(StoreError):
            if clock() - self._renewed < LASTS / 2 and self._is_ours(self._read()):
                self._objects.client.ask("DELETE", self._key, headers={"if-match": self._tag} if self._tag else {}, expect=(200, 204, 404, 412))

    def _read(self) -> Answer | None:
        answer = self._objects.client.ask("GET", self._key, expect=(200, 404))
        return answer if answer.status == 200 else None

    def _write(self, condition: t.Mapping[str, str]) -> bool:
        """Whether the condition was met, or the store does not know any."""
        body = json.dumps(self._holder, sort_keys=True).encode()
        headers = {**condition, **self._objects.client.bucket.encryption}
        return self._objects.client.ask("PUT", self._key, headers=headers, body=body, expect=(200, 204, *UNMET)).status not in UNMET

    def _is_ours(self, found: Answer | None) -> bool:
        return found is not None and _decoded(found).get("run") == self._holder["run"]

    @staticmethod
    def _age(found: Answer) -> float | None:
        written = seconds_of(found.headers.get("last-modified", ""))
        return None if written is None or found.date is None else found.date - written


def _decoded(found: Answer) -> dict[str, t.Any]:
    try:
        document = json.loads(found.content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _holder(found: Answer) -> str:
    known = _decoded(found)
    return f"{known.get('purpose', 'a run')} on host {known.get('host', 'of unknown name')}"
