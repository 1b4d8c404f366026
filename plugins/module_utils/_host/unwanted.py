# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units that are not declared any more: stopped, disabled, and their unit files removed."""

from __future__ import annotations

import fnmatch
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._host import stamps
from ansible_collections.holdfast.registry.plugins.module_utils._host.systemd import UNIT_FILES, Systemd

# Whoever writes units that may be removed marks them so. systemd ignores keys that begin with X-.
MARK = re.compile(rb"^X-ManagedBy=holdfast\.registry$", re.MULTILINE)


def stop(systemd: Systemd, patterns: t.Sequence[str], wanted: t.Container[str], check_mode: bool) -> list[dict[str, str]]:
    """Stop and disable the units in the administrator's directory that match a pattern, have the MARK and are not wanted.

    Returns each with its description, for remove(). A run that ends in between is completed by the next, which returns them again.
    Raises HoldfastError where a unit cannot be stopped.
    """
    found = []
    names = whole.names_in(UNIT_FILES) if patterns and os.path.isdir(UNIT_FILES) else []
    for name in sorted(name for name in names if any(fnmatch.fnmatch(name, pattern) for pattern in patterns) and name not in wanted):
        path = os.path.join(UNIT_FILES, name)
        content = whole.read_bytes(path) or b""
        if not MARK.search(content):
            continue
        described = re.search(rb"^Description=(.*)$", content, re.MULTILINE)
        found.append({"name": name, "description": described[1].decode(errors="replace") if described else ""})
    if not check_mode:
        in_order = _in_order(found)
        for name in in_order:
            systemd.act("stop", name)
        for name in in_order:
            # Once more, since a service that was stopped may have started another.
            systemd.act("stop", name)
            systemd.act("disable", name)
    return found


def remove(systemd: Systemd, stopped: t.Sequence[t.Mapping[str, str]]) -> None:
    """Remove the files of units that stop() has returned: the last of all, since what their descriptions say may not have been seen before."""
    names = _in_order(stopped)
    for name in names:
        stamps.forget(name)
        whole.remove(os.path.join(UNIT_FILES, name))
    if names:
        systemd.read_unit_files()
    for name in names:
        # systemd would list it for ever.
        systemd.forget_failures(name)


def _in_order(units: t.Sequence[t.Mapping[str, str]]) -> list[str]:
    # Timers first, or they start again what was stopped, and fail where their service has gone.
    return sorted((unit["name"] for unit in units), key=lambda name: not name.endswith(".timer"))
