# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials in the Docker client's config.json: the new content of the file, and the reasons."""

from __future__ import annotations

import json
import os
import stat
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._docker import entries
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Change, Entry, Login
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._module import HoldfastError

_SIZE_LIMIT = 1024 * 1024


class Plan(t.NamedTuple):
    """The new content of a configuration file, or None if it does not change."""

    content: bytes | None
    mode: int
    outcomes: list[dict[str, t.Any]]
    before: dict[str, t.Any]
    after: dict[str, t.Any]


class _Configuration:
    """A config.json, as it is and as it becomes."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.content = _read(path)
        self.mode = stat.S_IMODE(os.stat(path).st_mode) if self.content is not None else 0o600
        self._data = _parse(path, self.content or b"")
        self._auths: dict[str, Entry] = _member(path, self._data, "auths")
        for key in self._auths:
            _member(path, self._auths, key)

    def apply(self, login: Login) -> Change:
        if login.present or login.key in self._auths:
            self._refuse_helper(login)
        return entries.apply(self._auths, login)

    def rendered(self) -> bytes:
        self._data["auths"] = self._auths
        return (json.dumps(self._data, indent="\t") + "\n").encode("ascii")

    def _refuse_helper(self, login: Login) -> None:
        """Docker asks a credential helper instead of "auths" where one is configured, unless its name is empty."""
        helpers = _member(self.path, self._data, "credHelpers")
        source = f"credHelpers[{login.key!r}]" if login.key in helpers else "credsStore"
        helper = helpers[login.key] if login.key in helpers else self._data.get("credsStore")
        if helper:
            verb = "login" if login.present else "logout"
            raise HoldfastError(
                f"{self.path}: {source} names the credential helper {helper!r}, which Docker asks instead of this file. "
                f"Run 'docker {verb} {login.registry}' as {login.user}, or remove {source}, or set credHelpers[{login.key!r}] to an empty string"
            )


def make_plan(path: str, logins: t.Sequence[Login]) -> Plan:
    """Compare the file with the logins. Raises HoldfastError where it could not be changed without harm."""
    file = _Configuration(path)
    changes = [file.apply(login) for login in logins]
    rewritten = any(change.reason for change in changes)
    closed = file.mode & 0o600
    tightened = file.mode != closed and (rewritten or any(login.present for login in logins))
    before, after = _shown(change.before for change in changes), _shown(change.after for change in changes)
    why_closed = ""
    if tightened:
        why_closed = f"file mode {file.mode:04o} tightened to {closed:04o}"
        before["mode"], after["mode"] = f"{file.mode:04o}", f"{closed:04o}"
    outcomes = [_outcome(login, change, path, why_closed) for login, change in zip(logins, changes)]
    content = file.rendered() if rewritten else file.content if tightened else None
    return Plan(content, closed, outcomes, before, after)


def plan_without_account(logins: t.Sequence[Login]) -> Plan:
    """The prediction for a user who would be created by an earlier task of the play."""
    auths: dict[str, Entry] = {}
    changes = [entries.apply(auths, login) for login in logins]
    path = f"~{logins[0].user}/.docker/config.json"
    reasons = [f"{change.reason}, once the user exists" if change.reason else "not logged in: there is no such user" for change in changes]
    outcomes = [_said(login, path, reason, bool(change.reason)) for login, change, reason in zip(logins, changes, reasons)]
    return Plan(None, 0o600, outcomes, _shown(change.before for change in changes), _shown(change.after for change in changes))


def _outcome(login: Login, change: Change, path: str, why_closed: str) -> dict[str, t.Any]:
    concerned = why_closed if login.present or change.reason else ""
    reasons = [reason for reason in (change.reason, concerned) if reason]
    return _said(login, path, "; ".join(reasons) or ("up to date" if login.present else "not logged in"), bool(reasons))


def _said(login: Login, path: str, reason: str, changed: bool) -> dict[str, t.Any]:
    return {"user": login.user, "registry": login.registry, "path": path, "changed": changed, "reason": reason}


def _shown(parts: t.Iterable[Entry]) -> dict[str, t.Any]:
    merged = {key: value for part in parts for key, value in part.items()}
    return {"auths": merged} if merged else {}


def _read(path: str) -> bytes | None:
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode) or status.st_size > _SIZE_LIMIT:
        raise HoldfastError(f"{path}: is not a regular file of at most {_SIZE_LIMIT} bytes")
    return read_bytes(path)


def _parse(path: str, content: bytes) -> dict[str, t.Any]:
    """The configuration as data; Docker takes an empty file for an empty configuration."""
    try:
        config = json.loads(content.decode("utf-8"), object_pairs_hook=_without_repeats) if content.strip() else {}
        json.dumps(config, allow_nan=False)  # Python reads NaN and Infinity, JSON knows neither
    except (ValueError, RecursionError):
        raise HoldfastError(f"{path}: is not valid JSON; it is left as it is, correct or remove it") from None
    if not isinstance(config, dict):
        raise HoldfastError(f"{path}: is JSON, but not an object ({{...}}); it is left as it is, correct or remove it")
    return config


def _without_repeats(pairs: list[tuple[str, t.Any]]) -> dict[str, t.Any]:
    members = dict(pairs)
    if len(members) != len(pairs):  # writing it back would drop what stood under the first of the two
        raise ValueError
    return members


def _member(path: str, parent: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    """An object inside an object; Docker takes null for an empty one."""
    member = parent.get(name)
    if member is None:
        return {}
    if not isinstance(member, dict):
        raise HoldfastError(f"{path}: {name!r} is not an object ({{...}}); it is left as it is, correct or remove it")
    return member
