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
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")  # one that exists, of which somebody else chose the name
_HOME, _SHELL = "/nonexistent", "/usr/sbin/nologin"


class Wanted(t.NamedTuple):
    """A user, and the groups to join beside those that it is in."""

    name: str
    groups: list[str]


class Step(t.NamedTuple):
    """A command that brings a user into its state, and why."""

    user: Wanted
    reason: str
    command: list[str]
    joins: bool

    @property
    def result(self) -> Result:
        """What a module returns of it."""
        return {"changed": True, "changes": [self.reason], "joined": [self.user.name] if self.joins else [], "diff": [{"prepared": f"{self.reason}\n"}]}


def read(entries: list[dict[str, t.Any]]) -> list[Wanted]:
    """Read a module's parameter users. Raises HoldfastError for what can be no name, and for a name that is there twice."""
    names = [entry["name"] for entry in entries]
    for place, entry in enumerate(entries):
        if not _NAME.fullmatch(entry["name"]):
            raise HoldfastError(f"users[{place}].name: {entry['name']!r} is not the name of a user, such as docker-registry")
        if entry["name"] in names[:place]:
            raise HoldfastError(f"users[{place}].name: {entry['name']} is the name of users[{names.index(entry['name'])}] too")
        for number, group in enumerate(entry["groups"]):
            if not _GROUP.fullmatch(group):
                raise HoldfastError(f"users[{place}].groups[{number}]: {group!r} is not the name of a group, such as docker-registry")
    return [Wanted(entry["name"], list(dict.fromkeys(entry["groups"]))) for entry in entries]


def plan(users: list[Wanted], check_mode: bool) -> list[Step]:
    """What is to be done. Raises HoldfastError for a group that the host has not; in check mode a task before may have predicted it."""
    coming: list[str] = []
    steps: list[Step] = []
    for place, user in enumerate(users):
        for number, group in enumerate(user.groups):
            if not (check_mode or group in coming or _group(group)):
                raise HoldfastError(f"users[{place}].groups[{number}]: this host has no group {group}; make it first")
        coming.append(user.name)
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


def apply(run_program: Run, step: Step) -> None:
    """Do it. Raises HoldfastError with the words of the command that failed."""
    answer = run_program(*step.command)
    if answer.code != 0:
        raise HoldfastError(f"users: {step.command[0]} failed for {step.user.name}: {answer.words}")


def _is_in(user: pwd.struct_passwd, name: str) -> bool:
    group = _group(name)
    return group is not None and (user.pw_gid == group.gr_gid or user.pw_name in group.gr_mem)


def _group(name: str) -> grp.struct_group | None:
    try:
        return grp.getgrnam(name)
    except KeyError:
        return None
