# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Units that a package would start by itself, kept stopped while it is installed and disabled afterwards."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE

_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
# Debian's packages take a mask away that one of them has set; which one that is stands here.
_MASKED_BY_A_PACKAGE = "/var/lib/systemd/deb-systemd-helper-masked"
_PACKAGES_UNITS = _UNITS[-2:]
# Which links enable a unit, as packages note it when they enable one. One without a note is new to them: an upgrade enables and starts it.
_NOTES = "/var/lib/systemd/deb-systemd-helper-enabled"


class QuietUnits:
    """Masks units for the time of an installation. A mark outlives a killed run, and the next run finishes the work."""

    def __init__(self, run_program: Run, root: str = "") -> None:
        self._run, self._root = run_program, root

    def is_unfinished(self, unit: str) -> bool:
        """Whether a run that was killed has left the unit masked or enabled."""
        return os.path.exists(self._mark(unit))

    def is_unnoted(self, unit: str) -> bool:
        """Whether the next upgrade of the unit's package would enable and start it, although it was installed long ago.

        A package notes nothing of a unit that is masked. Versions of this collection before 1.0 left it at that.
        """
        notes = self._root + _NOTES
        if not os.path.isdir(notes) or os.path.exists(os.path.join(notes, f"{unit}.dsh-also")):
            return False
        contents = (whole.read_bytes(os.path.join(self._root + directory, unit)) for directory in _PACKAGES_UNITS)
        return any(b"[Install]" in content for content in contents if content)

    def note(self, units: list[str]) -> None:
        """Let packages know the units, so that those that are disabled stay so when their packages are upgraded. Raises HoldfastError."""
        for unit in units:
            # It works for packages only, and goes by this variable.
            done = self._run("deb-systemd-helper", "update-state", unit, environment={"DPKG_MAINTSCRIPT_PACKAGE": "holdfast"})
            if done.code not in (0, 127):
                raise HoldfastError(f"deb-systemd-helper update-state {unit}: {done.words}")

    @contextlib.contextmanager
    def kept_stopped(self, units: list[str]) -> t.Iterator[None]:
        """Keep those of the units stopped that are not on the host yet, or that a killed run has begun with."""
        new = [unit for unit in units if self.is_unfinished(unit) or not self._is_there(unit)]
        for unit in new:
            self._mask(unit)
        yield  # where the installation fails the mask stays, and so does the mark: the next run goes on from here
        self.finish(new)

    def finish(self, units: list[str]) -> None:
        """Remove the masks again, and leave the units disabled."""
        for unit in units:
            path = self._mask_path(unit)
            if os.path.exists(self._mark(unit)) and _is_mask(path):
                os.unlink(path)
        if units:
            self._run("systemctl", "daemon-reload")
        for unit in units:
            if os.path.exists(self._mark(unit)):
                self.note([unit])
                self._run("systemctl", "disable", unit)
                whole.remove(self._mark(unit))

    def _mask(self, unit: str) -> None:
        path = self._mask_path(unit)
        by_package = os.path.join(self._root + _MASKED_BY_A_PACKAGE, unit)
        if _is_mask(path) and not self.is_unfinished(unit) and not os.path.exists(by_package):
            return  # an administrator's own mask stays
        whole.make_directories(os.path.dirname(self._mark(unit)), 0o700)
        whole.atomic_write(self._mark(unit), b"", Ownership(mode=0o600))
        whole.remove(by_package)
        if not os.path.lexists(path):
            whole.make_directories(os.path.dirname(path), 0o755)
            os.symlink("/dev/null", path)

    def _is_there(self, unit: str) -> bool:
        paths = [os.path.join(self._root + directory, unit) for directory in _UNITS]
        return any(os.path.lexists(path) and not _is_mask(path) for path in paths)

    def _mask_path(self, unit: str) -> str:
        return os.path.join(self._root + _UNITS[0], unit)

    def _mark(self, unit: str) -> str:
        return os.path.join(self._root + STATE, "packages", f"{unit}.kept-stopped")


def _is_mask(path: str) -> bool:
    return os.path.islink(path) and os.readlink(path) == "/dev/null"
