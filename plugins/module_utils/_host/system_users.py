# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users that services run as: without a home, a shell and a password, and with a group of the same name."""

from __future__ import annotations

import grp
import pwd
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result

_NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # as useradd of Debian and Ubuntu takes it
_HOME, _SHELL = "/nonexistent", "/usr/sbin/nologin"


class Wanted(t.NamedTuple):
    """A user, the groups to join beside those that it is in, and the unit whose processes get their groups when they start."""

    name: str
    groups: list[str]
    unit: str | None


class Step(t.NamedTuple):
    """A command that brings a user into its state, and why."""

    user: Wanted
    reason: str
    command: list[str]
    joins: bool


def read(entries: list[dict[str, t.Any]]) -> list[Wanted]:
    """Read a module's parameter users. Raises HoldfastError for what can be no name."""
    for place, entry in enumerate(entries):
        names = [("name", "user", entry["name"]), *((f"groups[{number}]", "group", group) for number, group in enumerate(entry["groups"]))]
        for where, kind, name in names:
            if not _NAME.fullmatch(name):
                raise HoldfastError(f"users[{place}].{where}: {name!r} is not the name of a {kind}, such as docker-registry")
    return [Wanted(entry["name"], list(dict.fromkeys(entry["groups"])), entry["unit"]) for entry in entries]


def plan(users: list[Wanted], check_mode: bool) -> list[Step]:
    """What is to be done. Raises HoldfastError for a group that the host has not; in check mode a task before may have predicted it."""
    coming = {user.name for user in users}
    steps: list[Step] = []
    for place, user in enumerate(users):
        if not check_mode:
            for number, group in enumerate(user.groups):
                if group not in coming and not _group(group):
                    raise HoldfastError(f"users[{place}].groups[{number}]: this host has no group {group}; make it first")
        steps += _plan_one(user)
    return steps


def _plan_one(user: Wanted) -> list[Step]:
    try:
        there = pwd.getpwnam(user.name)
    except KeyError:
        group = ["--gid", user.name] if _group(user.name) else ["--user-group"]
        groups = ["--groups", ",".join(user.groups)] if user.groups else []
        made = ["useradd", "--system", "--home-dir", _HOME, "--no-create-home", "--shell", _SHELL, *group, *groups, user.name]
        return [Step(user, f"user {user.name}: created", made, bool(groups))]
    steps = []
    if (there.pw_dir, there.pw_shell) != (_HOME, _SHELL):
        steps.append(Step(user, f"user {user.name}: home and shell changed", ["usermod", "--home", _HOME, "--shell", _SHELL, user.name], False))
    joined = [group for group in user.groups if not _is_in(there, group)]
    if joined:
        reason = f"user {user.name}: joined {', '.join(joined)}"
        steps.append(Step(user, reason, ["usermod", "--append", "--groups", ",".join(joined), user.name], True))
    return steps


def apply(run_program: Run, steps: list[Step]) -> None:
    """Do it. Raises HoldfastError with the words of the command that failed."""
    for step in steps:
        answer = run_program(*step.command)
        if answer.code != 0:
            raise HoldfastError(f"users: {step.command[0]} failed for {step.user.name}: {answer.words}")


def result(steps: list[Step]) -> Result:
    """What a module returns of it."""
    reasons = [step.reason for step in steps]
    return {"changed": bool(steps), "changes": reasons, "diff": [{"prepared": "".join(f"{reason}\n" for reason in reasons)}] if steps else []}


def _is_in(user: pwd.struct_passwd, name: str) -> bool:
    group = _group(name)
    return group is not None and (user.pw_gid == group.gr_gid or user.pw_name in group.gr_mem)


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None
