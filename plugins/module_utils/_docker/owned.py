# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logins that were written under a name, and that go when they are no longer wanted under it."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login
from ansible_collections.holdfast.registry.plugins.module_utils._docker.login import Outcome, Work
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import remembered, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked

_Key = tuple[str, str, str]  # as Login.identity


def log_in(run_program: Run, logins: t.Sequence[Login], name: str | None, record: str, *, exclusive: bool, check_mode: bool) -> Outcome:
    """Bring every user's configuration to what the logins say, or in check mode only say what that would change.

    With a name, what is written is remembered in the file record, and with exclusive what an earlier call has written under
    the name and is not in logins is removed.
    """
    if name is None:
        work = Work(run_program, logins, check_mode=check_mode)
        if not check_mode:
            work.write()
        return work.outcome
    if os.geteuid() != 0 and not os.access(os.path.dirname(record), os.W_OK):
        raise HoldfastError("name: only root may keep the record of the logins; run the task with become: true, or leave name out")
    recorded = _Recorded(logins, name, record, exclusive)
    outcome = recorded.work(run_program, check_mode=check_mode).outcome
    if check_mode or not (any(entry["changed"] for entry in outcome.logins) or recorded.is_outdated(outcome)):
        return outcome
    whole.make_directories(os.path.dirname(record), 0o755)
    with locked(record):
        recorded = _Recorded(logins, name, record, exclusive)
        work = recorded.work(run_program, check_mode=False)
        # Before the files: what a run that is killed has written is known to the next one.
        recorded.remember(work.outcome, during=True)
        work.write()
        recorded.remember(work.outcome, during=False)
        return work.outcome


class _Recorded:
    """The record of one name, and the logins that it adds to those that are wanted."""

    def __init__(self, logins: t.Sequence[Login], name: str, path: str, exclusive: bool) -> None:
        self._path, self._name = path, name
        self._record = remembered.read(path)
        self._before = _keys(self._record, name)
        self._others = {key for other in self._record if other != name for key in _keys(self._record, other)}
        self._wanted = {login.identity: login for login in logins}
        gone = [key for key in self._before if exclusive and key not in self._wanted]
        self._forgotten = {key for key in gone if key in self._others}
        self._removed = [Login("a recorded login", user, registry, present=False, client=client) for user, client, registry in gone]
        self._removed = [login for login in self._removed if login.identity not in self._others]

    def work(self, run_program: Run, *, check_mode: bool) -> Work:
        return Work(run_program, [*self._wanted.values(), *self._removed], check_mode=check_mode)

    def is_outdated(self, outcome: Outcome) -> bool:
        return self._after(outcome, during=False) != self._record

    def remember(self, outcome: Outcome, *, during: bool) -> None:
        record = self._after(outcome, during=during)
        if record != remembered.read(self._path):
            remembered.write(self._path, record)

    def _after(self, outcome: Outcome, *, during: bool) -> remembered.Record:
        """The record with what is written by this run, what another name has written too, and what was ours before and still is."""
        ours = [key for key in self._before if key not in self._forgotten]
        ours += [key for key, login in self._wanted.items() if login.present and (key in outcome.written or key in self._others)]
        if not during:
            gone = {login.identity for login in self._removed} | {key for key, login in self._wanted.items() if not login.present}
            ours = [key for key in ours if key not in gone]
        users: dict[str, list[list[str]]] = {}
        for user, client, registry in sorted(set(ours)):
            users.setdefault(user, []).append([client, registry])
        return {name: made for name, made in {**self._record, self._name: users}.items() if made}


def _keys(record: remembered.Record, name: str) -> list[_Key]:
    found = []
    for user, entries in record.get(name, {}).items():
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, list) and len(entry) == 2 and entry[0] in ("docker", "podman") and isinstance(entry[1], str):
                found.append((user, entry[0], entry[1]))
    return found
