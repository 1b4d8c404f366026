# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials in Docker's config.json or podman's auth.json: the new content of the file, what a credential helper is told, and the reasons."""

from __future__ import annotations

import copy
import json
import os
import pwd
import stat
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _json_text
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._docker import entries
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Change, Entry, Login
from ansible_collections.holdfast.registry.plugins.module_utils._docker.helpers import Helper, Kept
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes

# No tool writes as much into a file of a user.
SIZE_LIMIT = 1024 * 1024
# Where each client keeps credentials, in the home of its user. podman itself logs in to a file in /run, which a reboot empties.
PLACES = {"docker": ".docker/config.json", "podman": ".config/containers/auth.json"}


class Plan(t.NamedTuple):
    """The new content of a configuration file, or None if it does not change; helpers has what to do before it is written.

    written holds the keys of the registries whose credentials change.
    """

    content: bytes | None
    mode: int
    outcomes: list[dict[str, t.Any]]
    before: dict[str, t.Any]
    after: dict[str, t.Any]
    helpers: list[t.Callable[[], None]]
    written: list[str]


class _Configuration:
    """A config.json or auth.json, as it is and as it becomes."""

    def __init__(self, run_program: Run, path: str) -> None:
        self.path = path
        self.helpers: list[t.Callable[[], None]] = []
        self._run = run_program
        self.content = _read(path)
        self.mode = stat.S_IMODE(os.stat(path).st_mode) if self.content is not None else 0o600
        self._data = _json_text.read_object(path, self.content or b"")
        self._auths: dict[str, Entry] = _member(path, self._data, "auths")
        for key in self._auths:
            _member(path, self._auths, key)
        self._before = copy.deepcopy(self._auths)

    def apply(self, login: Login) -> Change:
        helper = self._helper(login)
        if not helper:
            return entries.apply(self._auths, login)
        if not login.present and not helper.is_there and login.key not in self._auths:
            return Change("", {}, {})
        helper.require()
        kept, wanted = helper.get(login.key), Kept(login.username, login.password)
        change = entries.apply_beside_helper(self._auths, login, f"{helper.source} {helper.name}", kept.username if kept else None, kept == wanted)
        if login.present and kept != wanted:
            self.helpers.append(lambda: helper.store(login.key, wanted))
        elif not login.present and kept:
            self.helpers.append(lambda: helper.erase(login.key))
        return change

    @property
    def differs(self) -> bool:
        return self._auths != self._before

    def rendered(self) -> bytes:
        self._data["auths"] = self._auths
        return (json.dumps(self._data, indent="\t") + "\n").encode("ascii")

    def _helper(self, login: Login) -> Helper | None:
        """The credential helper that is asked instead of "auths" for this registry, unless its name is empty. podman has none for all registries."""
        helpers = _member(self.path, self._data, "credHelpers")
        source = f"credHelpers[{login.key!r}]" if login.key in helpers else "credsStore"
        name = helpers[login.key] if login.key in helpers else self._data.get("credsStore") if login.client == "docker" else None
        return Helper(self._run, self.path, source, name) if name else None


def make_plan(run_program: Run, path: str, logins: t.Sequence[Login]) -> Plan:
    """Compare the file with the logins. Raises HoldfastError where it could not be changed without harm."""
    try:
        return _compared(run_program, path, logins)
    except RecursionError:  # what is read without one is not always copied or written without one
        raise HoldfastError(f"{path}: is nested too deeply; it is left as it is, correct or remove it") from None


def _compared(run_program: Run, path: str, logins: t.Sequence[Login]) -> Plan:
    file = _Configuration(run_program, path)
    changes = [file.apply(login) for login in logins]
    rewritten = file.differs
    closed = file.mode & 0o600
    tightened = file.mode != closed and (rewritten or any(login.present for login in logins))
    before, after = _shown(change.before for change in changes), _shown(change.after for change in changes)
    why_closed = ""
    if tightened:
        why_closed = f"file mode {file.mode:04o} tightened to {closed:04o}"
        before["mode"], after["mode"] = f"{file.mode:04o}", f"{closed:04o}"
    outcomes = [_outcome(login, change, path, why_closed) for login, change in zip(logins, changes)]
    content = file.rendered() if rewritten else file.content if tightened else None
    written = [login.key for login, change in zip(logins, changes) if change.reason]
    return Plan(content, closed, outcomes, before, after, file.helpers, written)


def plan_without_account(logins: t.Sequence[Login]) -> Plan:
    """The prediction for a user who would be created by an earlier task of the play."""
    auths: dict[str, Entry] = {}
    changes = [entries.apply(auths, login) for login in logins]
    path = f"~{logins[0].user}/{PLACES[logins[0].client]}"
    reasons = [f"{change.reason}, once the user exists" if change.reason else "not logged in: there is no such user" for change in changes]
    outcomes = [_said(login, path, reason, bool(change.reason)) for login, change, reason in zip(logins, changes, reasons)]
    return Plan(None, 0o600, outcomes, _shown(change.before for change in changes), _shown(change.after for change in changes), [], [])


def _outcome(login: Login, change: Change, path: str, why_closed: str) -> dict[str, t.Any]:
    concerned = why_closed if login.present or change.reason else ""
    reasons = [reason for reason in (change.reason, concerned) if reason]
    return _said(login, path, "; ".join(reasons) or ("up to date" if login.present else "not logged in"), bool(reasons))


def _said(login: Login, path: str, reason: str, changed: bool) -> dict[str, t.Any]:
    return {"user": login.user, "registry": login.registry, "client": login.client, "path": path, "changed": changed, "reason": reason}


def _shown(parts: t.Iterable[Entry]) -> dict[str, t.Any]:
    merged = {key: value for part in parts for key, value in part.items()}
    return {"auths": merged} if merged else {}


def _read(path: str) -> bytes | None:
    try:
        status = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):  # a home may be no directory, such as /dev/null
        return None
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be read by its user {user_name(os.geteuid())}: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > SIZE_LIMIT:
        raise HoldfastError(f"{path}: is not a regular file of at most {SIZE_LIMIT} bytes")
    if status.st_uid != os.geteuid():
        raise HoldfastError(f"{path}: belongs to the user {user_name(status.st_uid)} and is left as it is; {_put_right(path, status)}")
    return read_bytes(path)


def _put_right(path: str, status: os.stat_result) -> str:
    """What to do about a file of another user. Its directory is the user's, who may have led there to a file that is not to be given away."""
    link = next((part for part in _parts(path) if os.path.islink(part) and os.lstat(part).st_uid != 0), None)
    if link:
        return f"{link} is a symbolic link, which leads to {os.path.realpath(path)!r}; remove {link}"
    if status.st_nlink > 1:
        return f"it has another name elsewhere (a hard link); remove {path}"
    user = user_name(os.geteuid())
    return f"give it to {user} with 'chown -h {user} {path}', or remove it"


def _parts(path: str) -> t.Iterator[str]:
    """The path, and those of the directories that it is in."""
    while path not in ("", "/"):
        yield path
        path = os.path.dirname(path)


def user_name(uid: int) -> str:
    """The name of a user, or the number of one that this host does not know."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _member(path: str, parent: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    """An object inside an object; Docker takes null for an empty one."""
    member = parent.get(name)
    if member is None:
        return {}
    if not isinstance(member, dict):
        raise HoldfastError(f"{path}: {name!r} is not an object ({{...}}); it is left as it is, correct or remove it")
    return member
