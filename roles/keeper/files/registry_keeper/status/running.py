# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The registry that runs as this user, and the files of certificates beside it."""

from __future__ import annotations

import calendar
import contextlib
import os
import re
import subprocess
import time
import typing as t

from registry_keeper.status.vulnerabilities import version_of

_PROGRAMS = ("docker-registry", "registry")
_TIMEOUT = 10
_DELETED = " (deleted)"


class Running(t.NamedTuple):
    """Whether the registry runs, which version it is, and whether its program has been replaced since it was started."""

    up: bool
    version: str = ""
    replaced: bool = False


def registry(proc: str = "/proc", user: int | None = None, configuration: str = "") -> Running:
    """The registry of this user. configuration tells it from others of the same user; empty if there are none."""
    for name in os.listdir(proc):
        if not name.isdigit():
            continue
        path = os.path.join(proc, name)
        with contextlib.suppress(OSError):
            if os.stat(path).st_uid != (os.getuid() if user is None else user):
                continue
            program = os.readlink(os.path.join(path, "exe"))
            replaced = program.endswith(_DELETED)
            bare = program[: -len(_DELETED)] if replaced else program
            with open(os.path.join(path, "cmdline"), "rb") as file:
                words = file.read().split(b"\0")
            if os.path.basename(bare) in _PROGRAMS and b"serve" in words and configuration.encode() in b"\0".join(words):
                # The program that runs, also if there is another one of that name now.
                return Running(True, _version(os.path.join(path, "exe")), replaced)
    return Running(False)


def _version(program: str) -> str:
    try:
        said = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_TIMEOUT, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    numbers = version_of(said.decode("utf-8", "replace"))
    return ".".join(map(str, numbers)) if numbers else ""


class Ending(t.NamedTuple):
    """A certificate or CRL: its file, and when it ends in seconds since 1970; None where the file can't be read as one."""

    path: str
    ends: int | None


def endings(paths: t.Iterable[str]) -> list[Ending]:
    """When each certificate ends, and each CRL has to be renewed. Files that cannot be read are left out."""
    return [Ending(path, _ends(path)) for path in paths if os.access(path, os.R_OK)]


def _ends(path: str) -> int | None:
    command = ["crl", "-nextupdate"] if path.endswith(".crl") else ["x509", "-enddate"]
    try:
        said = subprocess.run(["openssl", *command, "-noout", "-in", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=_TIMEOUT, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(rb"=(\w{3} +[0-9]+ [0-9:]+ [0-9]{4}) GMT", said.stdout)
    return calendar.timegm(time.strptime(" ".join(match[1].decode().split()), "%b %d %H:%M:%S %Y")) if match else None
