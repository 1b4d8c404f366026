# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One user's credentials for one registry, and the entry that the Docker client keeps for them below "auths"."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import typing as t

_HUB = "https://index.docker.io/v1/"  # the key Docker looks up for the Docker Hub, whatever was typed
_HUB_NAMES = ("docker.io", "index.docker.io")
# Members of an entry which Docker or Podman would use instead of "auth", or which repeat it in clear.
_RIVALS = ("identitytoken", "registrytoken", "username", "password")

Entry = dict[str, t.Any]


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
    def is_for_hub(self) -> bool:
        return self.registry in _HUB_NAMES

    @property
    def key(self) -> str:
        return _HUB if self.is_for_hub else self.registry

    @property
    def auth(self) -> str:
        return base64.b64encode(f"{self.username}:{self.password}".encode("utf-8", "surrogateescape")).decode("ascii")


class Change(t.NamedTuple):
    """The change to the entries of one registry. An empty reason means none; before and after are for the diff."""

    reason: str
    before: Entry
    after: Entry


def apply(auths: dict[str, Entry], login: Login) -> Change:
    """Put a login into the entries, or take it out."""
    return _put(auths, login) if login.present else _take_out(auths, login)


def _put(auths: dict[str, Entry], login: Login) -> Change:
    old = auths.get(login.key) or {}
    new = {name: value for name, value in old.items() if name not in _RIVALS}
    new["auth"] = login.auth
    if new == old:
        return Change("", {}, {})
    auths[login.key] = new
    if not old:
        return Change("added", {}, {login.key: {"auth": f"<credentials of {login.username}>"}})
    reasons, label = [], f"<credentials of {login.username}>"
    if old.get("auth") != login.auth:
        reasons.append("password changed" if _username(old) == login.username else "credentials changed")
        label = f"<new credentials of {login.username}>"
    reasons += [f"{name} removed" for name in _RIVALS if name in old]
    return Change(", ".join(reasons), {login.key: _masked(old)}, {login.key: {"auth": label}})


def _take_out(auths: dict[str, Entry], login: Login) -> Change:
    # As "docker logout" does: older clients wrote the scheme, and sometimes a path, into the key.
    keys = [key for key in auths if key == login.key or re.sub(r"^https?://([^/]*).*", r"\1", key) == login.key]
    before = {key: _masked(auths.pop(key) or {}) for key in keys}
    return Change("removed" if keys else "", before, {})


def _masked(entry: Entry) -> dict[str, str]:
    """An entry as a diff may show it: names, never values; members that are kept are left out."""
    username = _username(entry)
    shown = {name: "<secret>" for name in _RIVALS if name in entry}
    if "auth" in entry:
        shown["auth"] = "<credentials>" if username is None else f"<credentials of {username}>"
    return shown


def _username(entry: Entry) -> str | None:
    try:
        username, colon, _password = base64.b64decode(entry.get("auth", ""), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, TypeError, ValueError):
        return None
    return username if colon else None
