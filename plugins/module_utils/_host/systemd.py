# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd units: their state, and the actions on them."""

from __future__ import annotations

import dataclasses
import os
import re
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole

# Where the administrator's unit files are.
UNIT_FILES = "/etc/systemd/system"

_PROPERTIES = "LoadState,ActiveState,Type,MainPID,InvocationID,FragmentPath,DropInPaths,NeedDaemonReload,CanReload,InactiveExitTimestampMonotonic"
# What a daemon prints of its configuration when it refuses it may hold a password.
_SECRET = re.compile(r"((?:requirepass|passw(?:or)?d|passphrase|secret|token)\w*[\"']?[\s:=]+)\S+", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Unit:
    """A unit at one instant."""

    name: str
    properties: dict[str, str]

    @property
    def exists(self) -> bool:
        return self.properties.get("LoadState") == "loaded"

    @property
    def load_state(self) -> str:
        return self.properties.get("LoadState", "not-found")

    @property
    def state(self) -> str:
        return self.properties.get("ActiveState", "inactive")

    @property
    def is_active(self) -> bool:
        return self.state in ("active", "reloading", "refreshing")

    @property
    def is_stale(self) -> bool:
        """Whether its unit file has changed since systemd read it."""
        return self.properties.get("NeedDaemonReload") == "yes"

    @property
    def can_reload(self) -> bool:
        return self.properties.get("CanReload") == "yes"

    @property
    def process(self) -> int:
        return int(self.properties.get("MainPID") or 0)

    @property
    def invocation(self) -> str:
        return self.properties.get("InvocationID", "")

    @property
    def files(self) -> list[str]:
        """Its unit file and its drop-ins."""
        return [path for path in [self.properties.get("FragmentPath", ""), *self.properties.get("DropInPaths", "").split()] if path]

    @property
    def started(self) -> float:
        """When it started, in seconds since the epoch."""
        fields = _process(str(self.process)) if self.process else None
        if fields:  # since the boot, the time that the machine slept included
            return time.time() - (time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK"))
        return time.time() - (time.monotonic() - int(self.properties.get("InactiveExitTimestampMonotonic") or 0) / 1e6)

    @property
    def error_log(self) -> str:
        """The file that its errors go into, where that is not the journal. systemd itself tells only that there is one."""
        text = "\n".join((whole.read_bytes(path) or b"").decode(errors="replace") for path in self.files)
        found = re.findall(r"^StandardError=(?:append|file|truncate):(.+)$", text, re.MULTILINE)
        return str(found[-1]) if found else ""


class Systemd:
    """The service manager."""

    def __init__(self, run_program: Run) -> None:
        self._run = run_program

    def units(self, names: list[str]) -> dict[str, Unit]:
        """The units as they are now. Units that do not exist are among them."""
        answer = self._run("systemctl", "show", "--property", _PROPERTIES, "--", *names)
        if answer.code != 0:
            raise HoldfastError(f"systemd cannot be asked for {', '.join(names)}: {answer.words}")
        blocks = answer.out.strip("\n").split("\n\n")
        parsed = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
        return {name: Unit(name, properties) for name, properties in zip(names, parsed)}

    def unit(self, name: str) -> Unit:
        return self.units([name])[name]

    def enabled(self, names: list[str]) -> dict[str, str]:
        """What `systemctl is-enabled` says of each."""
        lines = self._run("systemctl", "is-enabled", "--", *names).out.splitlines()
        return dict(zip(names, lines)) if len(lines) == len(names) else {name: self._is_enabled(name) for name in names}

    def _is_enabled(self, name: str) -> str:
        return self._run("systemctl", "is-enabled", "--", name).out.strip() or "not-found"

    def read_unit_files(self) -> None:
        self._do("daemon-reload")

    def forget_failures(self, name: str) -> None:
        """Let a unit start again that failed too often: whether or not its settings are right by now, systemd would refuse."""
        self._run("systemctl", "reset-failed", "--", name)

    def act(self, verb: str, name: str) -> None:
        """Start, stop, restart, reload, enable or disable a unit. Raises HoldfastError with the unit's own words where that fails."""
        answer = self._run("systemctl", verb, "--", name)
        if answer.code != 0:
            raise HoldfastError(f"{name}: systemctl {verb} failed: {answer.words}{self.last_words(self.unit(name))}")

    def last_words(self, unit: Unit) -> str:
        """The last lines of the unit's journal, to append to a message."""
        self._run("journalctl", "--sync")
        options = ("--no-pager", "--quiet", "--lines=12", "--output=cat")
        lines = self._run("journalctl", "--unit", unit.name, *options).out.splitlines()
        heading = f"The last lines of its journal (journalctl -u {unit.name})"
        if unit.error_log and os.path.exists(unit.error_log):
            lines += self._run("tail", "--lines=8", unit.error_log).out.splitlines()
            heading += f" and of {unit.error_log}"
        said = "\n".join("  " + _SECRET.sub(r"\1********", line) for line in lines)
        return f"\n{heading}:\n{said}" if said else ""

    def _do(self, verb: str) -> None:
        answer = self._run("systemctl", verb)
        if answer.code != 0:
            raise HoldfastError(f"systemctl {verb} failed: {answer.words}")


def children(process: int) -> set[tuple[int, int]]:
    """The processes that process has started and that are still there: number and time of start of each."""
    found = set()
    for name in os.listdir("/proc"):
        fields = _process(name) if name.isdecimal() else None
        if fields and int(fields[1]) == process:
            found.add((int(name), int(fields[19])))
    return found


def _process(number: str) -> list[str] | None:
    """What the kernel says of a process, from its state on: its parent is the second field, its start the twentieth."""
    try:
        with open(f"/proc/{number}/stat", encoding="ascii", errors="replace") as handle:
            return handle.read().rpartition(")")[2].split()  # the command before it may hold blanks
    except (FileNotFoundError, ProcessLookupError):
        return None


class Waiting(t.NamedTuple):
    """Patience, so that tests can do without."""

    now: t.Callable[[], float] = time.monotonic
    sleep: t.Callable[[float], None] = time.sleep
