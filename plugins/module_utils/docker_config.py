# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials in the Docker client's config.json: what the file must become, and what to say about it."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import os
import re
import stat
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.files import read_bytes

_HUB = "https://index.docker.io/v1/"  # the key Docker looks up for the Docker Hub, whatever was typed
_HUB_NAMES = ("docker.io", "index.docker.io")
# Members of an entry which Docker or Podman would use instead of "auth", or which repeat it in clear.
_RIVALS = ("identitytoken", "registrytoken", "username", "password")
_SIZE_LIMIT = 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Login:
    """One user's credentials for one registry. place is where the user of the module wrote it: logins[0]."""

    place: str
    user: str
    registry: str
    present: bool = True
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)

    @property
    def key(self) -> str:
        return _HUB if self.registry in _HUB_NAMES else self.registry

    @property
    def auth(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode("utf-8", "surrogateescape")).decode("ascii")


class Plan(t.NamedTuple):
    """What a configuration file must become. content is None where it stays as it is."""

    content: bytes | None
    mode: int
    outcomes: list[dict[str, t.Any]]
    before: dict[str, t.Any]
    after: dict[str, t.Any]


class _Change(t.NamedTuple):
    """What happened to one registry's entry. An empty reason means nothing; before and after are fit for a diff."""

    reason: str
    before: dict[str, t.Any]
    after: dict[str, t.Any]


def make_plan(path: str, logins: t.Sequence[Login]) -> Plan:
    """Compare the file with the logins. Raises HoldfastError where it could not be changed without harm."""
    current = _read(path)
    mode = stat.S_IMODE(os.stat(path).st_mode) if current is not None else 0o600
    config = _parse(path, current or b"")
    auths = _member(path, config, "auths")
    for key in auths:
        _member(path, auths, key)
    changes = []
    for login in logins:
        if login.present or login.key in auths:
            _refuse_helper(path, config, login)
        changes.append(_set(auths, login) if login.present else _unset(auths, login))
    rewritten = any(change.reason for change in changes)
    tightened = mode & ~0o600 != 0 and (rewritten or any(login.present for login in logins))

    outcomes = []
    for login, change in zip(logins, changes):
        open_to_others = [f"file mode {mode:04o} tightened to {mode & 0o600:04o}"] if tightened and (login.present or change.reason) else []
        reasons = ([change.reason] if change.reason else []) + open_to_others
        outcomes.append(_outcome(login, path, "; ".join(reasons) or ("up to date" if login.present else "not logged in"), bool(reasons)))
    content = None
    if rewritten:
        config["auths"] = auths
        content = (json.dumps(config, indent="\t") + "\n").encode("ascii")
    elif tightened:
        content = current
    before, after = _shown(change.before for change in changes), _shown(change.after for change in changes)
    if tightened:
        before["mode"], after["mode"] = f"{mode:04o}", f"{mode & 0o600:04o}"
    return Plan(content, mode & 0o600, outcomes, before, after)


def plan_without_account(logins: t.Sequence[Login]) -> Plan:
    """What a run would do for a user whom an earlier task of the same play has yet to make."""
    auths: dict[str, t.Any] = {}
    changes = [_set(auths, login) if login.present else _unset(auths, login) for login in logins]
    path = f"~{logins[0].user}/.docker/config.json"
    reasons = [f"{change.reason}, once the user exists" if change.reason else "not logged in: there is no such user" for change in changes]
    outcomes = [_outcome(login, path, reason, bool(change.reason)) for login, change, reason in zip(logins, changes, reasons)]
    return Plan(None, 0o600, outcomes, _shown(change.before for change in changes), _shown(change.after for change in changes))


def _outcome(login: Login, path: str, reason: str, changed: bool) -> dict[str, t.Any]:
    return {"user": login.user, "registry": login.registry, "path": path, "changed": changed, "reason": reason}


def _shown(entries: t.Iterable[dict[str, t.Any]]) -> dict[str, t.Any]:
    merged = {key: value for entry in entries for key, value in entry.items()}
    return {"auths": merged} if merged else {}


def _set(auths: dict[str, t.Any], login: Login) -> _Change:
    old = auths.get(login.key) or {}
    new = {name: value for name, value in old.items() if name not in _RIVALS}
    new["auth"] = login.auth
    if new == old:
        return _Change("", {}, {})
    auths[login.key] = new
    label = f"<credentials of {login.username}>"
    if not old:
        return _Change("added", {}, {login.key: {"auth": label}})
    reasons = []
    if old.get("auth") != login.auth:
        reasons.append("password changed" if _username(old) == login.username else "credentials changed")
        label = f"<new credentials of {login.username}>"
    reasons += [f"{name} removed" for name in _RIVALS if name in old]
    return _Change(", ".join(reasons), {login.key: _masked(old)}, {login.key: {"auth": label}})


def _unset(auths: dict[str, t.Any], login: Login) -> _Change:
    # As "docker logout" does: older clients wrote the scheme, and sometimes a path, into the key.
    keys = [key for key in auths if key == login.key or re.sub(r"^https?://([^/]*).*", r"\1", key) == login.key]
    before = {key: _masked(auths.pop(key) or {}) for key in keys}
    return _Change("removed" if keys else "", before, {})


def _masked(entry: dict[str, t.Any]) -> dict[str, str]:
    """An entry as a diff may show it: names, never values; members that are kept are left out."""
    username = _username(entry)
    shown = {name: "<secret>" for name in _RIVALS if name in entry}
    if "auth" in entry:
        shown["auth"] = "<credentials>" if username is None else f"<credentials of {username}>"
    return shown


def _username(entry: dict[str, t.Any]) -> str | None:
    try:
        username, colon, _password = base64.b64decode(entry.get("auth", ""), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, TypeError, ValueError):
        return None
    return username if colon else None


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
        raise HoldfastError(f"{path}: is not valid JSON; it is left as it is, mend or remove it") from None
    if not isinstance(config, dict):
        raise HoldfastError(f"{path}: is JSON, but not an object ({{...}}); it is left as it is, mend or remove it")
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
        raise HoldfastError(f"{path}: {name!r} is not an object ({{...}}); it is left as it is, mend or remove it")
    return member


def _refuse_helper(path: str, config: dict[str, t.Any], login: Login) -> None:
    """Docker asks a credential helper instead of "auths" where one is configured, unless its name is empty."""
    helpers = _member(path, config, "credHelpers")
    source = f"credHelpers[{login.key!r}]" if login.key in helpers else "credsStore"
    helper = helpers[login.key] if login.key in helpers else config.get("credsStore")
    if helper:
        verb = "login" if login.present else "logout"
        raise HoldfastError(
            f"{path}: {source} names the credential helper {helper!r}, which Docker asks instead of this file. "
            f"Run 'docker {verb} {login.registry}' as {login.user}, or remove {source}, or set credHelpers[{login.key!r}] to an empty string"
        )
