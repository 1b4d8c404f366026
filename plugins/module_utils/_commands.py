# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host's own programs, run without a shell and in the C locale, so that their output can be read.

A module gets the function that runs them in its Call, and hands it as first argument to what needs it. Tests hand in their own.
"""

from __future__ import annotations

import os
import typing as t


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


class Run(t.Protocol):
    """The function that runs a program."""

    def __call__(self, *command: str, environment: dict[str, str] | None = None, given: bytes = b"", descriptors: t.Sequence[int] = ()) -> Result:
        """Run a program to its end. One that cannot be run is exit status 127, as in a shell.

        given is its standard input, which is empty otherwise. environment is added to the module's own. The program inherits
        the open files in descriptors.
        """


def runner(run_command: t.Callable[..., tuple[int, str, str]]) -> Run:
    """Run programs with the method run_command of AnsibleModule."""

    def run(*command: str, environment: dict[str, str] | None = None, given: bytes = b"", descriptors: t.Sequence[int] = ()) -> Result:
        with open(os.devnull, "rb") as empty:  # without data, run_command lets a program read the module's own standard input
            os.dup2(empty.fileno(), 0)
        try:
            done = run_command(
                list(command),
                data=given,
                binary_data=True,
                environ_update={"LC_ALL": "C.UTF-8", "LANGUAGE": "", "PATH": search_path(), **(environment or {})},
                pass_fds=descriptors,
                errors="replace",
                expand_user_and_vars=False,
                handle_exceptions=False,
            )
        except OSError as error:
            return Result(127, "", f"{command[0]}: {error.strerror}")
        return Result(*done)

    return run


def search_path() -> str:
    """Where programs are looked for: a connection without a login shell often lacks the directories of the administrator's."""
    return ":".join([os.environ.get("PATH", ""), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin"]).strip(":")
