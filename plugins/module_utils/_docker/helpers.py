# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credential helpers: programs docker-credential-NAME that keep credentials for Docker and podman, asked over standard input."""

from __future__ import annotations

import json
import re
import shutil
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run, search_path
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_NOT_FOUND = "credentials not found"


class Kept(t.NamedTuple):
    """What a helper keeps for a registry."""

    username: str
    secret: str


class Helper:
    """A helper, and where the configuration file names it: source, such as credsStore. Nothing secret is in its errors."""

    def __init__(self, run_program: Run, path: str, source: str, name: t.Any) -> None:
        self.source, self.name = source, name
        self._run, self._where = run_program, f"{path}: {source} names the credential helper {name!r}"
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
            raise HoldfastError(f"{self._where}, which cannot be the end of a program's name; use one such as 'pass' or 'secretservice'")
        self._program = f"docker-credential-{name}"

    @property
    def is_there(self) -> bool:
        return shutil.which(self._program, path=search_path()) is not None

    def require(self) -> None:
        """Raise HoldfastError where the program is missing: Docker and podman could not log in either."""
        if not self.is_there:
            raise HoldfastError(f"{self._where}, but there is no program {self._program} on this host; install it, or remove {self.source} from the file")

    def get(self, key: str) -> Kept | None:
        """What it keeps under this key, or None."""
        done = self._run(self._program, "get", given=key.encode())
        if done.code:
            if _NOT_FOUND in (done.out + done.err).lower():
                return None
            raise HoldfastError(f"{self._where}, which cannot be asked: {done.words[:300]}")
        try:
            answer = json.loads(done.out)
            return Kept(str(answer["Username"]), str(answer["Secret"]))
        except (ValueError, KeyError, TypeError):  # not repeated: there may be a password in it
            raise HoldfastError(f"{self._where}, whose answer to 'get' is not what such helpers give; see what is wrong with it, or remove it") from None

    def store(self, key: str, kept: Kept) -> None:
        given = json.dumps({"ServerURL": key, "Username": kept.username, "Secret": kept.secret}).encode()
        self._do("store", given, kept.secret)

    def erase(self, key: str) -> None:
        self._do("erase", key.encode())

    def _do(self, verb: str, given: bytes, secret: str = "") -> None:
        done = self._run(self._program, verb, given=given)
        if done.code:
            said = done.words.replace(secret, "<secret>") if secret else done.words
            # A helper may have echoed what it was given, in JSON's spelling or cut off.
            said = "its message may hold the password" if secret and _could_hold(said, secret) else said[:300]
            raise HoldfastError(f"{self._where}, which failed to {verb} the credentials: {said}")


def _could_hold(said: str, secret: str) -> bool:
    spelt = json.dumps(secret)[1:-1]
    return spelt in said or "Secret" in said or any(secret[start : start + 6] in said for start in range(max(1, len(secret) - 5)))
