# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password files for HTTP basic authentication: compare the wanted users with the file, rewrite the file once."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.files import Ownership, atomic_write, back_up, locked, read_bytes, set_ownership
from ansible_collections.holdfast.registry.plugins.module_utils.htpasswd_users import User
from ansible_collections.holdfast.registry.plugins.module_utils.password_hashes import (
    SHA_ROUNDS,
    check_library,
    describe,
    make_hash,
    same_hash,
    scheme_of,
    verify,
)


@dataclass(frozen=True)
class Line:
    """One line. Comments and blank lines have no name. What follows a second colon is ignored by servers, and kept."""

    raw: bytes = field(repr=False)
    name: bytes | None = None
    hashed: bytes = field(default=b"", repr=False)
    rest: bytes = field(default=b"", repr=False)


def parse(content: bytes, path: str) -> list[Line]:
    """The lines of a password file. Raises HoldfastError naming the first line that is none."""
    lines = []
    for number, raw in enumerate(content.split(b"\n"), 1):
        name, colon, value = raw.partition(b":")
        # For nginx, white space in front makes a comment with a colon an entry.
        if not raw.strip() or raw.startswith(b"#") or (raw.lstrip().startswith(b"#") and not colon):
            lines.append(Line(raw))
            continue
        if not colon or not name or name != name.strip():
            # Servers disagree about such a line: whoever wrote it has to say what was meant. Its text may be a secret.
            why = "there is no colon" if not colon else "there is no name before the colon" if not name else "there is white space around the name"
            raise HoldfastError(f"{path}: line {number} is neither 'name:hash' nor a comment: {why}. Nothing was changed")
        hashed, more, rest = value.partition(b":")
        lines.append(Line(raw, name, hashed.removesuffix(b"\r"), more + rest))
    if not lines[-1].raw:
        lines.pop()
    return lines


@dataclass
class Plan:
    """What has to happen to a file, decided without making a single hash."""

    before: list[Line]
    lines: list[Line] = field(default_factory=list)
    write: dict[bytes, User] = field(default_factory=dict)
    added: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    reasons: dict[str, str] = field(default_factory=dict)
    file_changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    backup: str | None = None


@dataclass(frozen=True)
class Policy:
    """How users are written."""

    scheme: str = "bcrypt"
    bcrypt_cost: int = 10
    exclusive: bool = False
    on_create: bool = False

    @property
    def cost(self) -> int | None:
        """What scheme_of() says about a hash written by this policy."""
        return {"bcrypt": self.bcrypt_cost, "sha512-crypt": SHA_ROUNDS}.get(self.scheme)


def make_plan(lines: list[Line], users: list[User], policy: Policy, path: str) -> Plan:
    """Compare the lines of a file with the wanted users. Verifies known passwords on all cores."""
    plan = Plan(lines)
    wanted = {user.name: user for user in users}
    current: dict[bytes, Line] = {}
    for number, line in enumerate(lines, 1):
        if line.name is None:
            plan.lines.append(line)
        elif line.name in current:
            plan.file_changes.append(f"line {number} removed: a duplicate of {show(line.name)}")
            plan.warnings.append(f"{path}: line {number} is a duplicate of {show(line.name)}: nginx and Apache use the first line, the later one is removed")
        else:
            current[line.name] = line
            user = wanted.get(line.name)
            if user.absent if user else policy.exclusive:
                plan.removed.append(show(line.name))
                plan.reasons[show(line.name)] = "state is absent" if user else "not listed, and exclusive is true"
            else:
                plan.lines.append(line)

    present = [user for user in users if not user.absent]
    for user, reason in in_parallel(lambda user: _reason(user, current.get(user.name), policy), present):
        if reason:
            plan.write[user.name] = user
            plan.reasons[show(user.name)] = reason
            (plan.updated if user.name in current else plan.added).append(show(user.name))
    return plan


def render(plan: Plan, policy: Policy) -> bytes:
    """The new content of the file; makes the hashes, on all cores."""
    made = in_parallel(lambda user: user.password_hash or make_hash(user.password, policy.scheme, policy.bcrypt_cost), list(plan.write.values()))
    hashes = {user.name: hashed for user, hashed in made}
    result = []
    for line in plan.lines:
        hashed = hashes.pop(line.name, None)
        result.append(line.raw if hashed is None else line.name + b":" + hashed + line.rest)
    result += [name + b":" + hashed for name, hashed in hashes.items()]
    return b"".join(line + b"\n" for line in result)


def in_parallel(function: t.Callable[[User], t.Any], users: list[User]) -> list[tuple[User, t.Any]]:
    """Each user with the function's answer, computed on all cores: bcrypt and crypt(3) work without Python's global lock."""
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(lambda user: (user, function(user)), users))


def show(name: bytes) -> str:
    """A name from a file, fit for output whatever bytes it consists of."""
    return name.decode("utf-8", "backslashreplace")


def _reason(user: User, line: Line | None, policy: Policy) -> str | None:
    """Why this user's line has to be written, or None."""
    if line is None:
        return "missing"
    if policy.on_create:
        return None
    if user.password_hash is not None:
        return None if same_hash(user.password_hash, line.hashed) else "password_hash differs"
    scheme, cost = scheme_of(line.hashed)
    if scheme != policy.scheme:
        # It is rewritten in any case: a missing library for the old scheme must not stop that.
        try:
            verdict = verify(user.password, line.hashed)
        except HoldfastError:
            verdict = None
        return ("password changed, " if verdict is False else "") + f"scheme {scheme} -> {policy.scheme}"
    verdict = verify(user.password, line.hashed)
    if verdict is False:
        return "password changed"
    if cost and (verdict is None or cost < policy.cost):
        return f"{'cost' if scheme == 'bcrypt' else 'rounds'} {cost} -> {policy.cost}"
    return None


def manage(path: str, users: list[User], policy: Policy, ownership: Ownership, check_mode: bool = False, backup: bool = False) -> Plan:
    """Bring the file at path in line with the users and the ownership; in check mode, only say what that would do."""
    no_directory = _check_path(path)
    if no_directory and not check_mode:
        raise HoldfastError(f"{no_directory}: make it first")
    with contextlib.nullcontext() if check_mode else locked(path):
        content = read_bytes(path)
        plan = make_plan(parse(content or b"", path), users, policy, path)
        if check_mode:
            plan.warnings += [f"{problem}: this fails unless that is put right before" for problem in (no_directory, _no_library(plan, policy)) if problem]
        if content is None:
            if plan.write:
                plan.file_changes.append("created")
        else:
            plan.file_changes += _ownership_changes(path, ownership)
        if not check_mode:
            if plan.write or plan.lines != plan.before:
                new = render(plan, policy)
                if backup and content is not None:
                    plan.backup = back_up(path, content)
                atomic_write(path, new, ownership)
            elif content is not None:
                set_ownership(path, ownership)
    return plan


def _check_path(path: str) -> str | None:
    """Refuse a path that no password file can have. Returns what is missing about one that can."""
    if "\0" in path:
        raise HoldfastError("path: must not contain a NUL character")
    target = os.path.realpath(path)
    if os.path.lexists(target) and not os.path.isfile(target):
        raise HoldfastError(f"path: {target} is not a file")
    directory = os.path.dirname(target)
    return None if os.path.isdir(directory) else f"path: the directory {directory} does not exist"


def _no_library(plan: Plan, policy: Policy) -> str | None:
    if all(user.password is None for user in plan.write.values()):
        return None
    try:
        check_library(policy.scheme)
    except HoldfastError as error:
        return str(error)
    return None


def diff(plan: Plan, policy: Policy) -> tuple[str, str]:
    """The content of the file before and after, as a diff may show it: descriptions in place of hashes."""
    after = []
    added = dict(plan.write)
    for line in plan.lines:
        user = added.pop(line.name, None)
        after.append(_show_line(line) if user is None else _show_user(user, policy, line))
    after += [_show_user(user, policy) for user in added.values()]
    return "".join(_show_line(line) + "\n" for line in plan.before), "".join(line + "\n" for line in after)


def _show_line(line: Line) -> str:
    if line.name is not None:
        return f"{show(line.name)}:<{describe(*scheme_of(line.hashed))}>"
    # A comment with a colon may be an entry somebody switched off.
    return "# <a comment with a colon, not shown>" if b":" in line.raw else show(line.raw)


def _show_user(user: User, policy: Policy, line: Line | None = None) -> str:
    new = describe(policy.scheme, policy.cost) if user.password_hash is None else describe(*scheme_of(user.password_hash))
    changed = ", password changed" if line and new == describe(*scheme_of(line.hashed)) else ""
    return f"{show(user.name)}:<{new}{changed}>"


def _ownership_changes(path: str, wanted: Ownership) -> list[str]:
    status = os.stat(path)
    mode = stat.S_IMODE(status.st_mode)
    changes = [] if wanted.mode in (None, mode) else [f"mode {mode:04o} -> {wanted.mode:04o}"]
    for part, old, new in (("owner", status.st_uid, wanted.uid), ("group", status.st_gid, wanted.gid)):
        if new not in (None, old):
            changes.append(f"{part} {old} -> {new}")
    return changes
