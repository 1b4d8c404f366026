# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Registry credentials in the configuration of local users, for Docker and for podman.

A home belongs to its user, who can put a link wherever root would write. So nothing in a home is looked at or written
before the process has become that user: see as_user().
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import select
import signal
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._docker import podman
from ansible_collections.holdfast.registry.plugins.module_utils._docker.config import PLACES, Plan, make_plan, plan_without_account, user_name
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import check as check_lock
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import atomic_write, make_directories
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint

_TIME_LIMIT = 60


def parse_logins(entries: t.Sequence[t.Mapping[str, t.Any]], default_registry: str | None = None, *, parameter: str = "logins") -> list[Login]:
    """Read the module's list, or a role's. Raises HoldfastError naming the place in it, never repeating a password."""
    logins: list[Login] = []
    places: dict[tuple[str, str, str], str] = {}
    for index, entry in enumerate(entries):
        place = f"{parameter}[{index}]"
        if not re.fullmatch(r"[^\x00-\x1f\x7f/:]+", entry["user"]):
            raise HoldfastError(f"{place}.user: {entry['user']!r} is not the name of a user")
        registry = entry.get("registry") or default_registry
        if not registry:
            raise HoldfastError(f"{place}.registry: is missing; use registry.example.com, here or in registry for all logins")
        parse_endpoint(registry, parameter=f"{place}.registry")
        present = entry.get("state") != "absent"
        if present:
            _check_credentials(place, entry)
        username, password = entry.get("username") or "", entry.get("password") or ""
        login = Login(place, entry["user"], registry, present, username, password, entry.get("client") or "docker")
        first = places.setdefault(login.identity, place)
        if first != place:
            raise HoldfastError(f"{place}: {login.user} and {login.registry} are already in {first}; a user has one login for a registry and a client")
        logins.append(login)
    return logins


def _check_credentials(place: str, entry: t.Mapping[str, t.Any]) -> None:
    for name in ("username", "password"):
        if not entry.get(name):
            raise HoldfastError(f"{place}.{name}: is missing or empty; state present needs a username and a password")
        if re.search(r"[\x00-\x1f\x7f]", entry[name]):
            raise HoldfastError(f"{place}.{name}: must not contain a line break or another control character")
    if ":" in entry["username"]:
        raise HoldfastError(f"{place}.username: must not contain a colon")


class Outcome(t.NamedTuple):
    """What happened to each login, the diffs, warnings, and the identities of those that were written."""

    logins: list[dict[str, t.Any]]
    diffs: list[dict[str, t.Any]]
    warnings: list[str]
    written: list[tuple[str, str, str]]


class Work:
    """The logins of one call. Every file of every user is read and planned before the first is written."""

    def __init__(self, run_program: Run, logins: t.Sequence[Login], *, check_mode: bool) -> None:
        self._run, self._logins = run_program, logins
        self._by_file: dict[tuple[str, str], list[Login]] = {}
        for login in logins:
            self._by_file.setdefault((login.user, login.client), []).append(login)
        self._accounts = {file: _account(theirs, check_mode=check_mode) for file, theirs in self._by_file.items()}
        self._plans = {file: self._visit(file, write=False) for file in self._by_file}

    def write(self) -> None:
        """Bring the files to what the logins say."""
        for file, plan in self._plans.items():
            if any(outcome["changed"] for outcome in plan["outcomes"]):
                self._plans[file] = self._visit(file, write=True)

    @property
    def outcome(self) -> Outcome:
        """What happened, or would happen if write() was not called."""
        plans = self._plans.values()
        found = {(outcome["user"], outcome["client"], outcome["registry"]): outcome for plan in plans for outcome in plan["outcomes"]}
        diffs = [
            {"before_header": plan["outcomes"][0]["path"], "after_header": plan["outcomes"][0]["path"], "before": plan["before"], "after": plan["after"]}
            for plan in plans
            if plan["before"] != plan["after"]
        ]
        keys = {file: plan["written"] for file, plan in self._plans.items()}
        return Outcome(
            [found[login.user, login.client, login.registry] for login in self._logins],
            diffs,
            [warning for plan in plans for warning in plan["warnings"]],
            [login.identity for login in self._logins if login.key in keys[login.user, login.client]],
        )

    def _visit(self, file: tuple[str, str], *, write: bool) -> dict[str, t.Any]:
        account, logins = self._accounts[file], self._by_file[file]

        def work() -> dict[str, t.Any]:
            plan = update(self._run, account.pw_dir, logins, write=write) if account else plan_without_account(logins)
            warnings = podman.unused(account, logins) if account else []
            return {"outcomes": plan.outcomes, "before": plan.before, "after": plan.after, "written": plan.written, "warnings": warnings}

        return as_user(account, work) if account and os.geteuid() == 0 else work()


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


def as_user(account: pwd.struct_passwd, work: t.Callable[[], dict[str, t.Any]]) -> dict[str, t.Any]:
    """Do the work in a child process that has become the user for good, and return its result.

    The kernel keeps a process that has changed its user from being inspected by that user, so what the child inherited
    in its memory stays there. A user who stops the child, or holds the lock, delays the caller for _TIME_LIMIT seconds.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        _work_in_child(account, work, writer)
    os.close(writer)
    try:
        answer = _read_all(reader)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)  # not yet waited for, so the number is still its own
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # a credential helper that waits for somebody
        os.waitpid(child, 0)
    if answer is None:
        raise HoldfastError(
            f"{account.pw_dir}: gave up after {_TIME_LIMIT} seconds; another process of {account.pw_name} may hold the lock of the file with the credentials, "
            "or a credential helper may wait for somebody to type a passphrase"
        )
    try:
        result: dict[str, t.Any] = json.loads(answer)
    except ValueError:
        raise HoldfastError(f"{account.pw_dir}: the process working as {account.pw_name} ended early") from None
    if "error" in result:
        raise HoldfastError(result["error"])
    return result


def _work_in_child(account: pwd.struct_passwd, work: t.Callable[[], dict[str, t.Any]], writer: int) -> t.NoReturn:
    try:
        try:
            os.initgroups(account.pw_name, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
            _feel_at_home(account)
            result = work()
        except HoldfastError as error:
            result = {"error": str(error)}
        except OSError as error:
            result = {"error": f"{account.pw_dir}: {error.strerror}, working as {account.pw_name}"}
        with os.fdopen(writer, "wb") as pipe:
            pipe.write(json.dumps(result).encode("ascii"))
    finally:
        os._exit(0)  # nothing of the caller's may run twice: no cleanup, no output


def _feel_at_home(account: pwd.struct_passwd) -> None:
    """Give credential helpers the surroundings of a login of their user, and nothing of the caller's."""
    runtime = f"/run/user/{account.pw_uid}"
    os.environ.clear()
    os.environ.update(HOME=account.pw_dir, USER=account.pw_name, LOGNAME=account.pw_name, PATH=f"{account.pw_dir}/.local/bin:{account.pw_dir}/bin")
    if os.path.isdir(runtime):
        os.environ["XDG_RUNTIME_DIR"] = runtime
    if os.path.exists(f"{runtime}/bus"):
        os.environ["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={runtime}/bus"
    with contextlib.suppress(OSError):
        os.chdir(account.pw_dir)


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


def update(run_program: Run, home: str, logins: t.Sequence[Login], *, write: bool) -> Plan:
    """Plan the changes to one file in a home, and make them if write is true. Runs as the owner of the home. All logins are for the same client."""
    path = os.path.join("/", home, PLACES[logins[0].client])  # as login does for a home that is no absolute path
    directory = os.path.dirname(path)
    if not os.path.isdir(home) and any(login.present for login in logins):
        raise HoldfastError(f"{logins[0].place}.user: the home directory {home} of {logins[0].user!r} does not exist")
    plan = make_plan(run_program, path, logins)
    if plan.content is None and not plan.helpers:
        return plan
    if plan.content is not None:
        _check_writable(path)
    if write:
        make_directories(directory, 0o700)
        with locked(path):
            plan = make_plan(run_program, path, logins)  # another run may have been here before the lock was ours
            for act in plan.helpers:
                act()
            if plan.content is not None:
                atomic_write(path, plan.content, Ownership(plan.mode, os.geteuid(), os.getegid()))
    return plan


def _check_writable(path: str) -> None:
    """Let check mode, and the run before it writes the first file, see what would stop it."""
    where = os.path.dirname(path)
    is_there = os.path.lexists(where)
    if is_there:
        where = os.path.dirname(os.path.realpath(path))
    else:
        while not os.path.lexists(where):
            where = os.path.dirname(where)
    if not os.path.isdir(where) or not os.access(where, os.W_OK | os.X_OK):
        raise HoldfastError(f"{path}: cannot be written: {where} is no directory that its user {user_name(os.geteuid())} may write to")
    if is_there:
        check_lock(path)
