# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One user's credentials for one registry, and the entry that Docker or podman keeps for them below "auths"."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import typing as t

_HUB = "https://index.docker.io/v1/"  # the key Docker looks up for the Docker Hub, whatever was typed
_HUB_NAMES = ("docker.io", "index.docker.io")
_PODMAN_HUB = "docker.io"
# Members of an entry which Docker or Podman would use instead of "auth", or which repeat it in clear.
_RIVALS = ("identitytoken", "registrytoken", "username", "password")

Entry = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Login:
    """One user's credentials for one registry. place is where the user of the module wrote it: logins[0].

    client is docker or podman, which keep their credentials in different files.
    """

    place: str
    user: str
    registry: str
    present: bool = True
    username: str = ""
    password: str = dataclasses.field(default="", repr=False)
    client: str = "docker"

    @property
    def is_for_hub(self) -> bool:
        return self.registry.lower() in _HUB_NAMES

    @property
    def key(self) -> str:
        if self.is_for_hub:
            return _PODMAN_HUB if self.client == "podman" else _HUB
        return self.registry

    @property
    def identity(self) -> tuple[str, str, str]:
        """User, client and registry, the Docker Hub under one name: a user has one login for each."""
        return self.user, self.client, _HUB_NAMES[0] if self.is_for_hub else self.registry

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


def apply_beside_helper(auths: dict[str, Entry], login: Login, helper: str, username: str | None, is_right: bool) -> Change:
    """The same where a credential helper keeps the secret: Docker then has an empty entry, podman none.

    username is the one that the helper keeps, or None. is_right: whether it keeps what is wanted.
    """
    shown = {} if username is None else {helper: f"<credentials of {username}>"}
    if not login.present:
        change = _take_out(auths, login)
        before = {**change.before, login.key: {**change.before.get(login.key, {}), **shown}} if shown else change.before
        return Change("removed" if shown else change.reason, before, {})
    old = auths.get(login.key)
    new = {name: value for name, value in (old or {}).items() if name not in (*_RIVALS, "auth")}
    if login.client == "podman" and not new:
        auths.pop(login.key, None)
    else:
        auths[login.key] = new
    reasons = []
    if username is None:
        reasons.append("added")
    elif not is_right:
        reasons.append("password changed" if username == login.username else "credentials changed")
    reasons += [f"{name} removed from the file" for name in ("auth", *_RIVALS) if name in (old or {})]
    if not reasons and old is None and login.client == "docker":
        reasons.append("entry added to the file")
    if not reasons:
        return Change("", {}, {})
    label = f"<credentials of {login.username}>" if is_right or username is None else f"<new credentials of {login.username}>"
    before = {**_masked(old or {}), **shown}
    return Change(", ".join(reasons), {login.key: before} if before or old is not None else {}, {login.key: {helper: label}})


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
