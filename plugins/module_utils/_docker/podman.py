# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps podman, skopeo and buildah from using a login that is in their auth.json."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import stat
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _toml
from ansible_collections.holdfast.registry.plugins.module_utils._docker.config import PLACES, SIZE_LIMIT
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole

# Where registries.conf and registries.conf.d are that all users share.
SYSTEM = "/etc/containers"
# Below it are files that "podman login" writes.
VOLATILE = "/run"
# How credential-helpers names the files with credentials, auth.json and config.json.
_FILES = "containers-auth.json"


def unused(account: pwd.struct_passwd, logins: t.Sequence[Login]) -> list[str]:
    """A line for each of podman's logins that it does not use. Runs as the user."""
    ours = [login for login in logins if login.client == "podman" and login.present]
    return [*_overruled(account, ours), *_unread(account, ours)] if ours else []


def _overruled(account: pwd.struct_passwd, logins: t.Sequence[Login]) -> t.Iterator[str]:
    """podman prefers what "podman login" has written until the next boot."""
    for path in (f"{VOLATILE}/user/{account.pw_uid}/containers/auth.json", f"{VOLATILE}/containers/{account.pw_uid}/auth.json"):
        with contextlib.suppress(HoldfastError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            auths = json.loads(_content(path) or b"{}")["auths"]
            for login in logins:
                name = login.registry
                if (auths.get(login.key) or {}).get("auth", login.auth) != login.auth:
                    yield f"{login.place}: podman uses other credentials of {name}, in {path}, until 'podman logout {name}' or the next boot"


def _unread(account: pwd.struct_passwd, logins: t.Sequence[Login]) -> t.Iterator[str]:
    """podman asks only what credential-helpers names, where that is set. The last file that sets it counts."""
    named, place = [], ""
    for path in _configurations(account.pw_dir):
        # One that cannot be read or is not valid stops podman itself, which then names it.
        with contextlib.suppress(HoldfastError):
            content = _content(path)
            helpers = _toml.parse(content, path).at(("credential-helpers",)) if content is not None else None
            if isinstance(helpers, list):
                named, place = helpers, path
    if named and _FILES not in named:
        for login in logins:
            yield (
                f"{login.place}: podman does not read {os.path.join(account.pw_dir, PLACES['podman'])}, where the credentials of {login.registry} are: "
                f"credential-helpers in {place} does not name {_FILES}; add it there"
            )


def _content(path: str) -> bytes | None:
    """What is in a file. None for a pipe, which would be waited for, and for what is too large to be read in time: whoever it is of may wish for that."""
    try:
        status = os.stat(path)
    except OSError:  # it may also go at any time
        return None
    return whole.read_bytes(path) if stat.S_ISREG(status.st_mode) and status.st_size <= SIZE_LIMIT else None


def _configurations(home: str) -> t.Iterator[str]:
    """The files in the order in which podman reads them. A registries.conf of the user stands in for all that the system has."""
    own = os.path.join(home, os.path.dirname(PLACES["podman"]))
    replaced = os.path.isfile(os.path.join(own, "registries.conf"))
    yield os.path.join(own if replaced else SYSTEM, "registries.conf")
    for directory in (own,) if replaced else (SYSTEM, own):
        drop_ins = os.path.join(directory, "registries.conf.d")
        with contextlib.suppress(HoldfastError):
            yield from (os.path.join(drop_ins, name) for name in whole.names_in(drop_ins) if name.endswith(".conf"))
