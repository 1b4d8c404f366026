# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password files for HTTP basic authentication: compare the wanted users with the file, rewrite the file once."""

from __future__ import annotations

import contextlib
import os
import re
import typing as t
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes, status_of
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.hashes import Scheme, check_library, make_hash, same_hash, scheme_of, verify
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import User

_T = t.TypeVar("_T")


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
            # Servers disagree about such a line, so it must be corrected. Its text may be a secret and is not repeated.
            why = "there is no colon" if not colon else "there is no name before the colon" if not name else "there is white space around the name"
            raise HoldfastError(f"{path}: line {number} is neither 'name:hash' nor a comment: {why}. Nothing was changed")
        hashed, more, rest = value.partition(b":")
        lines.append(Line(raw, name, hashed.removesuffix(b"\r"), more + rest))
    if not lines[-1].raw:
        lines.pop()
    return lines


@dataclass
class Plan:
    """The changes to a file, decided without computing a hash."""

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

    bcrypt_cost: int = 10
    exclusive: bool = False
    on_create: bool = False


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
    made = in_parallel(lambda user: user.password_hash or make_hash(user.password or b"", policy.bcrypt_cost), list(plan.write.values()))
    hashes = {user.name: hashed for user, hashed in made}
    result = []
    for line in plan.lines:
        hashed = hashes.pop(line.name, None) if line.name is not None else None
        result.append(line.raw if line.name is None or hashed is None else line.name + b":" + hashed + line.rest)
    result += [name + b":" + hashed for name, hashed in hashes.items()]
    return b"".join(line + b"\n" for line in result)


def in_parallel(function: t.Callable[[User], _T], users: list[User]) -> list[tuple[User, _T]]:
    """Each user with the function's result, computed on all cores: bcrypt runs without Python's global lock."""
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
    scheme = scheme_of(line.hashed)
    if scheme.name != "bcrypt":
        return f"scheme {scheme.name} -> bcrypt"
    fits = verify(user.password or b"", line.hashed)
    if fits is False:
        return "password changed"
    too_cheap = scheme.cost is not None and scheme.cost < policy.bcrypt_cost
    return f"cost {scheme.cost} -> {policy.bcrypt_cost}" if fits is None or too_cheap else None


def manage(path: str, users: list[User], policy: Policy, ownership: Ownership, *, check_mode: bool = False, backup: bool = False) -> Plan:
    """Bring the file at path in line with the users and the ownership; in check mode, only say what that would do."""
    no_directory = _check_path(path)
    if no_directory and not check_mode:
        if any(not user.absent for user in users):
            raise HoldfastError(f"{no_directory}: make it first")
        return Plan([])
    with contextlib.nullcontext() if check_mode else locked(path) as file:
        content = file.read() if file else read_bytes(path)
        status = file.status() if file else status_of(path)
        plan = make_plan(parse(content or b"", path), users, policy, path)
        changed = bool(plan.write) or plan.lines != plan.before
        if content is not None and changed and _is_mounted(path):
            raise HoldfastError(
                f"path: {path} is mounted by itself, as a single file given to a container is, and so cannot be replaced in one step; "
                "mount the directory it is in"
            )
        if content is None and plan.write:
            plan.file_changes.append("created")
        elif content is not None and status:
            plan.file_changes += ownership.differences(status)
        if not file:
            plan.warnings += [f"{problem}: this fails unless that is put right before" for problem in _problems_to_come(plan, no_directory)]
        elif changed:
            new = render(plan, policy)
            if backup and content is not None:
                plan.backup = file.back_up(content)
            file.write(new, ownership)
        elif content is not None:
            file.set_ownership(ownership)
    return plan


def _is_mounted(path: str) -> bool:
    """Whether a file is a mount point. os.path.ismount() does not see one within a file system."""
    target = re.sub(r"[\\\s]", lambda match: f"\\{ord(match[0]):03o}", os.path.realpath(path))
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
            return any(line.split(" ")[4] == target for line in mounts)
    except OSError:  # not Linux
        return False


def _check_path(path: str) -> str | None:
    """Refuse a path that no password file can have. Returns what is missing about one that can."""
    if "\0" in path:
        raise HoldfastError("path: must not contain a NUL character")
    target = os.path.realpath(path)
    if os.path.lexists(target) and not os.path.isfile(target):
        raise HoldfastError(f"path: {target} is not a file")
    directory = os.path.dirname(target)
    return None if os.path.isdir(directory) else f"path: the directory {directory} does not exist"


def _problems_to_come(plan: Plan, no_directory: str | None) -> list[str]:
    """Why a real run would fail, unless an earlier task of the play corrects it."""
    found = [no_directory] if no_directory and plan.write else []
    if any(user.password is not None for user in plan.write.values()):
        try:
            check_library()
        except HoldfastError as error:
            found.append(str(error))
    return found


def diff(plan: Plan, policy: Policy) -> tuple[str, str]:
    """The content of the file before and after, as a diff may show it: descriptions in place of hashes."""
    after = []
    added = dict(plan.write)
    for line in plan.lines:
        user = added.pop(line.name, None) if line.name is not None else None
        after.append(_show_line(line) if user is None else _show_user(user, policy, line))
    after += [_show_user(user, policy) for user in added.values()]
    return "".join(_show_line(line) + "\n" for line in plan.before), "".join(line + "\n" for line in after)


def _show_line(line: Line) -> str:
    if line.name is not None:
        return f"{show(line.name)}:<{scheme_of(line.hashed)}>"
    # A comment with a colon may be an entry somebody switched off.
    return "# <a comment with a colon, not shown>" if b":" in line.raw else show(line.raw)


def _show_user(user: User, policy: Policy, line: Line | None = None) -> str:
    new = Scheme("bcrypt", policy.bcrypt_cost) if user.password_hash is None else scheme_of(user.password_hash)
    changed = ", password changed" if line and new == scheme_of(line.hashed) else ""
    return f"{show(user.name)}:<{new}{changed}>"
