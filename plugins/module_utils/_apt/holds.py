# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packages that apt leaves as they are (apt-mark hold), and which of them this collection holds."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE


class Holds:
    """The held packages of this host."""

    def __init__(self, run_program: Run) -> None:
        self._run = run_program
        self._record = os.path.join(STATE, "apt", "held")

    def ours(self) -> set[str]:
        """What this collection holds, from a record, since apt keeps no reasons."""
        return set((whole.read_bytes(self._record) or b"").decode(errors="replace").split())

    def of_others(self) -> set[str]:
        return self._all() - self.ours()

    def _all(self) -> set[str]:
        return set(self._run("apt-mark", "showhold").out.split())

    def bring(self, names: list[str], held: list[str], changed: t.Container[str], check_mode: bool) -> list[str]:
        """Hold some of these names, and let go of the others that are ours. Returns a line for each. What others hold stays as it is.

        apt itself has let go of those that it has changed. They are held again without a line.
        """
        ours = self.ours()
        free = [name for name in names if name in ours and name not in held]
        there = self._all() if held or free else set()
        new = [name for name in held if name not in there]
        gone = [name for name in free if name in there]
        if not check_mode and (new or free):
            # The record comes first, and forgets last, so that a killed run leaves no hold that nobody remembers.
            self._write(ours | set(new))
            for verb, some in (("hold", new), ("unhold", gone)):
                answer = self._run("apt-mark", verb, *some) if some else None
                if answer and answer.code != 0:
                    raise HoldfastError(f"apt-mark {verb} {' '.join(some)} failed: {answer.words}")
            self._write((ours | set(new)) - set(free))
        return [f"{name}: held" for name in new if not (name in ours and name in changed)] + [f"{name}: no longer held" for name in gone]

    def _write(self, names: set[str]) -> None:
        if not names:
            whole.remove(self._record)
            return
        whole.make_directories(os.path.dirname(self._record), 0o700)
        with locked(self._record) as record:
            record.write("".join(f"{name}\n" for name in sorted(names)).encode(), Ownership(mode=0o600))
