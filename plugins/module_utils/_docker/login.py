# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Registry credentials in the Docker client configuration of local users.

A home belongs to its user, who can put a link wherever root would write. So nothing in a home is looked at or written
before the process has become that user: see as_user().
"""

from __future__ import annotations

import json
import os
import pwd
import re
import select
import signal
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._docker.config import Plan, make_plan, plan_without_account
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import atomic_write, make_directories
from ansible_collections.holdfast.registry.plugins.module_utils._module import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint

_TIME_LIMIT = 60


def parse_logins(entries: t.Sequence[t.Mapping[str, t.Any]]) -> list[Login]:
    """Read the module's list. Raises HoldfastError naming the place in it, never repeating a password."""
    logins: list[Login] = []
    places: dict[tuple[str, str], str] = {}
    for index, entry in enumerate(entries):
        place = f"logins[{index}]"
        if not re.fullmatch(r"[^\x00-\x1f\x7f/:]+", entry["user"]):
            raise HoldfastError(f"{place}.user: {entry['user']!r} is not the name of a user")
        parse_endpoint(entry["registry"], parameter=f"{place}.registry")
        present = entry["state"] == "present"
        if present:
            _check_credentials(place, entry)
        login = Login(place, entry["user"], entry["registry"], present, entry["username"] or "", entry["password"] or "")
        first = places.setdefault((login.user, login.key), place)
        if first != place:
            raise HoldfastError(f"{place}: {login.user} and {login.registry} are already in {first}; a user has one login for a registry")
        logins.append(login)
    return logins


def _check_credentials(place: str, entry: t.Mapping[str, t.Any]) -> None:
    for name in ("username", "password"):
        if not entry[name]:
            raise HoldfastError(f"{place}.{name}: is missing or empty; state present needs a username and a password")
        if re.search(r"[\x00-\x1f\x7f]", entry[name]):
            raise HoldfastError(f"{place}.{name}: must not contain a line break or another control character")
    if ":" in entry["username"]:
        raise HoldfastError(f"{place}.username: must not contain a colon")


def converge(logins: t.Sequence[Login], *, check_mode: bool) -> tuple[list[dict[str, t.Any]], list[dict[str, t.Any]]]:
    """Bring every user's configuration to what the logins say. Returns what happened to each login, and the diffs.

    Every file of every user is read and planned before the first is written.
    """
    by_user: dict[str, list[Login]] = {}
    for login in logins:
        by_user.setdefault(login.user, []).append(login)
    accounts = {user: _account(theirs, check_mode=check_mode) for user, theirs in by_user.items()}
    plans = {user: _visit(accounts[user], theirs, write=False) for user, theirs in by_user.items()}
    if not check_mode:
        for user, theirs in by_user.items():
            if any(outcome["changed"] for outcome in plans[user]["outcomes"]):
                plans[user] = _visit(accounts[user], theirs, write=True)

    found = {(outcome["user"], outcome["registry"]): outcome for plan in plans.values() for outcome in plan["outcomes"]}
    diffs = [
        {"before_header": plan["outcomes"][0]["path"], "after_header": plan["outcomes"][0]["path"], "before": plan["before"], "after": plan["after"]}
        for plan in plans.values()
        if plan["before"] != plan["after"]
    ]
    return [found[login.user, login.registry] for login in logins], diffs


def _account(logins: t.Sequence[Login], *, check_mode: bool) -> pwd.struct_passwd | None:
    """The account of the user these logins are for; None where it may be missing."""
    user, place = logins[0].user, logins[0].place
    try:
        account = pwd.getpwnam(user)
    except KeyError:
        if check_mode or not any(login.present for login in logins):
            return None
        raise HoldfastError(f"{place}.user: there is no user {user!r} on this host") from None
    if os.geteuid() not in (0, account.pw_uid):
        raise HoldfastError(f"{place}.user: only root may write the configuration of {user!r}; run the task with become: true")
    return account


def _visit(account: pwd.struct_passwd | None, logins: t.Sequence[Login], *, write: bool) -> dict[str, t.Any]:
    def work() -> dict[str, t.Any]:
        plan = update(account.pw_dir, logins, write=write) if account else plan_without_account(logins)
        return {"outcomes": plan.outcomes, "before": plan.before, "after": plan.after}

    return as_user(account, work) if account and os.geteuid() == 0 else work()


def as_user(account: pwd.struct_passwd, work: t.Callable[[], dict[str, t.Any]]) -> dict[str, t.Any]:
    """Do the work in a child process that has become the user for good, and return its result.

    The kernel keeps a process that has changed its user from being inspected by that user, so what the child inherited
    in its memory stays there. A user who stops the child, or holds the lock, delays the caller for _TIME_LIMIT seconds.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _work_in_child(account, work, writer)
    os.close(writer)
    try:
        answer = _read_all(reader)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # not yet waited for, so the number is still its own
        os.waitpid(child, 0)
    if answer is None:
        raise HoldfastError(f"{account.pw_dir}/.docker: gave up after {_TIME_LIMIT} seconds; another process of {account.pw_name} may hold the lock")
    try:
        result: dict[str, t.Any] = json.loads(answer)
    except ValueError:
        raise HoldfastError(f"{account.pw_dir}/.docker: the process working as {account.pw_name} ended early") from None
    if "error" in result:
        raise HoldfastError(result["error"])
    return result


def _work_in_child(account: pwd.struct_passwd, work: t.Callable[[], dict[str, t.Any]], writer: int) -> t.NoReturn:
    try:
        try:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            result = work()
        except HoldfastError as error:
            result = {"error": str(error)}
        except OSError as error:
            result = {"error": f"{account.pw_dir}/.docker: {error.strerror}, working as {account.pw_name}"}
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(result).encode("ascii"))
    finally:
        os._exit(0)  # nothing of the caller's may run twice: no cleanup, no output


def _read_all(reader: int) -> bytes | None:
    """Everything from the pipe, or None when the time limit comes first."""
    deadline = time.monotonic() + _TIME_LIMIT
    parts: list[bytes] = []
    while select.select([reader], [], [], max(0, deadline - time.monotonic()))[0]:
        part = os.read(reader, 65536)
        if not part:
            return b"".join(parts)
        parts.append(part)
    return None


def update(home: str, logins: t.Sequence[Login], *, write: bool) -> Plan:
    """Plan the changes to one home's configuration, and make them if write is true. Runs as the owner of the home."""
    directory = os.path.join(home, ".docker")
    path = os.path.join(directory, "config.json")
    if not os.path.isdir(home) and any(login.present for login in logins):
        raise HoldfastError(f"{logins[0].place}.user: the home directory {home} of {logins[0].user!r} does not exist")
    plan = make_plan(path, logins)
    if plan.content is None:
        return plan
    _check_writable(path)
    if write:
        make_directories(directory, 0o700)
        with locked(path):
            plan = make_plan(path, logins)  # another run may have been here before the lock was ours
            if plan.content is not None:
                atomic_write(path, plan.content, Ownership(plan.mode, os.geteuid(), os.getegid()))
    return plan


def _check_writable(path: str) -> None:
    """Let check mode see what would stop a real run."""
    directory = os.path.dirname(path)
    where = os.path.dirname(os.path.realpath(path)) if os.path.lexists(directory) else os.path.dirname(directory)
    if not os.path.isdir(where) or not os.access(where, os.W_OK | os.X_OK):
        raise HoldfastError(f"{path}: cannot be written: {where} is no directory that its user may write to")
