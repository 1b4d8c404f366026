# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of packages as people write them: 28.3.2 for 5:28.3.2-1~debian.13~trixie."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError


def check(wanted: str, parameter: str) -> None:
    """Raise HoldfastError for what is neither a version nor latest."""
    if wanted != "latest" and not re.fullmatch(r"[0-9][A-Za-z0-9.+:~-]*", wanted):
        raise HoldfastError(f"{parameter}: {wanted!r} is not a version such as 28.3.2, nor latest")


def fits(version: str, wanted: str) -> bool:
    """Whether a version is the wanted one, or begins with it: 28 and 28.3.2 fit 5:28.3.2-1, and 28.3 does not fit 28.30."""
    upstream = version.rpartition(":")[2]
    return version == wanted or bool(re.match(rf"{re.escape(wanted)}([.+~-]|$)", upstream))


def find(run_program: Run, name: str, wanted: str, options: t.Sequence[str] = ()) -> str:
    """The newest version that fits, or "" if there is none. The latest is the one that apt would choose."""
    if wanted == "latest":
        found = re.search(r"^  Candidate: (\S+)$", run_program("apt-cache", *options, "policy", name).out, re.MULTILINE)
        return found[1] if found and found[1] != "(none)" else ""
    return next((version for version in known(run_program, name, options) if fits(version, wanted)), "")


def known(run_program: Run, name: str, options: t.Sequence[str] = ()) -> list[str]:
    """The versions in the repositories, the newest first."""
    lines = run_program("apt-cache", *options, "madison", name).out.splitlines()
    return [line.split("|")[1].strip() for line in lines if line.count("|") == 2]
