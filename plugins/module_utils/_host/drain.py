# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a host out of service before a service of it is restarted, so that clients go to another host meanwhile."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host import stamps
from ansible_collections.holdfast.registry.plugins.module_utils._host.systemd import Systemd, Waiting

# What the file says. One with other words is somebody else's, who has drained the host by hand and will let it serve again by hand.
WORDS = "drained by a run of the playbook\n"


class Drain:
    """Done once, before the first service that needs it is stopped or restarted."""

    def __init__(self, params: t.Mapping[str, t.Any], systemd: Systemd, waiting: Waiting) -> None:
        """Read the module's parameter. Raises HoldfastError where it can't be right."""
        if not params["file"].startswith("/"):
            raise HoldfastError(f"drain.file: {params['file']!r} is not an absolute path")
        if not 0 <= params["seconds"] <= 3600:
            raise HoldfastError(f"drain.seconds: {params['seconds']} is not between 0 and 3600")
        self._file, self._seconds, self._stop, self._refused = params["file"], params["seconds"], params["stop"], params["refused"]
        self._systemd, self._waiting = systemd, waiting
        self.done = False

    def before(self, name: str, check_mode: bool) -> None:
        """Drain the host, unless it is. Raises HoldfastError where it must not go out of service now; then nothing has been done."""
        serving = [unit.name for unit in self._systemd.units(self._stop).values() if unit.is_active] if self._stop else []
        if self.done or (self._stop and not serving):
            return  # where nothing serves clients, none is cut off
        if self._refused:
            raise HoldfastError(f"{name}: has to be restarted, but this host must not go out of service now: {self._refused}")
        self.done = True
        if check_mode:
            return
        if not os.path.exists(self._file):
            whole.make_directories(stamps.directory(), 0o700)
            with locked(os.path.join(stamps.directory(), "drain")):
                whole.remove_leftovers(self._file)
                whole.atomic_write(self._file, WORDS.encode(), Ownership(mode=0o644))
            self._waiting.sleep(self._seconds)
        for unit in serving:
            self._systemd.act("stop", unit)
