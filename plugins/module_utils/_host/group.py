# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of a group, and which of them were added under which name."""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import remembered, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The users who shall be members of the group, as far as the caller of this name is concerned."""

    group: str
    users: list[str]
    name: str


class _Plan(t.NamedTuple):
    """Who enters and who leaves, the members before, and the record during and after that."""

    add: list[str]
    remove: list[str]
    changes: list[str]
    members: list[str]
    during: remembered.Record
    after: remembered.Record
    warnings: list[str]


def check(wanted: Wanted) -> None:
    """Raise HoldfastError for what cannot be a user, a group or a caller's name."""
    for place, user in enumerate(wanted.users):
        _check_name(user, f"users[{place}]", "a user")
    _check_name(wanted.group, "group", "a group")
    if not wanted.name or not wanted.name.isprintable():
        raise HoldfastError(f"name: {wanted.name!r} is no name; use the name of the play that adds these users, such as my_playbook")


def manage(run_program: Run, wanted: Wanted, record: str, *, check_mode: bool) -> dict[str, t.Any]:
    """Make the users members, and end the membership of those who were added under the name and are no longer wanted.

    record is the path of the file that remembers who was added. Returns the module's result.
    """
    plan = _plan(wanted, record, check_mode=check_mode)
    if check_mode or not (plan.changes or plan.after != remembered.read(record)):
        return _result(plan)
    whole.make_directories(os.path.dirname(record), 0o755)
    with locked(record):
        plan = _plan(wanted, record, check_mode=False)
        # Before the first is added: who was added by a run that is killed is known to the next one.
        if plan.changes and plan.during != remembered.read(record):
            remembered.write(record, plan.during)
        for user in plan.add:
            _gpasswd(run_program, "--add", user, wanted.group)
        for user in plan.remove:
            _gpasswd(run_program, "--delete", user, wanted.group)
        if plan.after != plan.during:
            remembered.write(record, plan.after)
    return _result(plan)


def _plan(wanted: Wanted, path: str, *, check_mode: bool) -> _Plan:
    record = remembered.read(path)
    number, members, warnings = _look_up(wanted, check_mode=check_mode)
    before = _added(record, wanted.name, wanted.group)
    by_others = {user: name for name in record if name != wanted.name for user in _added(record, name, wanted.group)}
    add: list[str] = []
    remove: list[str] = []
    changes: list[str] = []
    ours = [user for user in before if user in wanted.users]
    for place, user in enumerate(dict.fromkeys(wanted.users)):
        if user not in members and _primary_group(user, f"users[{place}]", check_mode) != number:
            add.append(user)
            changes.append(f"{user}: added")
        elif user in by_others and user not in ours:
            changes.append(f"{user}: was added under the name {by_others[user]}, and is kept for this one too")
        else:
            continue
        if user not in ours:
            ours.append(user)
    for user in before:
        if user in wanted.users:
            continue
        if user in by_others:
            changes.append(f"{user}: stays for the name {by_others[user]}")
        elif user in members:
            remove.append(user)
            changes.append(f"{user}: removed")
        else:
            changes.append(f"{user}: is no member any more, forgotten")
    gone = [user for user in before if user not in ours]
    return _Plan(add, remove, changes, members, _with(record, wanted, [*ours, *gone]), _with(record, wanted, ours), warnings)


def _look_up(wanted: Wanted, *, check_mode: bool) -> tuple[int | None, list[str], list[str]]:
    """The number and the members of the group."""
    try:
        found = grp.getgrnam(wanted.group)
    except KeyError:
        problem = f"group: there is no group {wanted.group!r} on this host"
        if not wanted.users:
            return None, [], []
        if not check_mode:
            raise HoldfastError(f"{problem}; use one that a package or an earlier task has made") from None
        return None, [], [f"{problem}; a real run fails unless a task before makes it"]
    return found.gr_gid, list(found.gr_mem), []


def _primary_group(user: str, where: str, check_mode: bool) -> int | None:
    try:
        return pwd.getpwnam(user).pw_gid
    except KeyError:
        if check_mode:  # a task before may be about to make it
            return None
        raise HoldfastError(f"{where}: there is no user {user!r} on this host") from None


def _added(record: remembered.Record, name: str, group: str) -> list[str]:
    users = record.get(name, {}).get(group)
    return [user for user in users if isinstance(user, str)] if isinstance(users, list) else []


def _with(record: remembered.Record, wanted: Wanted, users: list[str]) -> remembered.Record:
    groups = {group: added for group, added in record.get(wanted.name, {}).items() if group != wanted.group}
    if users:
        groups[wanted.group] = sorted(users)
    return {**{name: made for name, made in record.items() if name != wanted.name}, **({wanted.name: groups} if groups else {})}


def _gpasswd(run_program: Run, verb: str, user: str, group: str) -> None:
    done = run_program("gpasswd", verb, user, group)
    if done.code:
        raise HoldfastError(f"gpasswd {verb} {user} {group} failed: {done.words}")


def _check_name(name: str, where: str, kind: str) -> None:
    if not re.fullmatch(r"[^-\s/:,][^\s/:,]*", name) or not name.isprintable():
        raise HoldfastError(f"{where}: {name!r} is not the name of {kind}")


def _result(plan: _Plan) -> dict[str, t.Any]:
    after = [user for user in plan.members if user not in plan.remove] + plan.add
    diff = {"before": "".join(f"{user}\n" for user in plan.members), "after": "".join(f"{user}\n" for user in after)}
    return {
        "changed": bool(plan.changes),
        "added": plan.add,
        "removed": plan.remove,
        "changes": plan.changes,
        "warnings": plan.warnings,
        "diff": [diff] if plan.add or plan.remove else [],
    }
