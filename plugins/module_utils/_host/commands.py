# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own programs, run without a shell and in the C locale, so that their output can be read."""

from __future__ import annotations

import os
import subprocess
import typing as t

STATE = "/var/lib/holdfast"  # state that must survive a killed run: unfinished work, and stamps of services


class Result(t.NamedTuple):
    """Exit code and output of a program."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Its error message, on one line."""
        lines = [line.strip() for line in (self.err or self.out).splitlines() if line.strip()]
        return "; ".join(lines[-6:]) or f"exit status {self.code}"


Run = t.Callable[..., Result]


def run(*command: str, environment: dict[str, str] | None = None) -> Result:
    """Run a program to its end. A program that is not on the host is exit status 127, as in a shell."""
    settings = {**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": "", "PATH": search_path(), **(environment or {})}
    try:
        done = subprocess.run(command, env=settings, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    except (FileNotFoundError, PermissionError) as error:
        return Result(127, "", f"{command[0]}: {error.strerror}")
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def search_path() -> str:
    """Where programs are looked for: a connection without a login shell often lacks the directories of the administrator's."""
    return ":".join([os.environ.get("PATH", ""), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"]).strip(":")
