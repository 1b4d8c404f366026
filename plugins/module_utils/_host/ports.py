# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs that listen on TCP ports, so that a port in use is refused before anything is changed."""

from __future__ import annotations

import dataclasses
import fnmatch
import ipaddress
import os
import re
import socket
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_LISTENING = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_UNIT = re.compile(r"[^/]+\.(?:service|scope|socket)")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A port that a unit is to have, and the setting that says so."""

    port: int
    unit: str
    setting: str
    addresses: list[str]

    @classmethod
    def of(cls, params: dict[str, t.Any], place: str, called: dict[str, str]) -> Wanted:
        """Read one entry of the module's list, with its setting under the name that the user knows. Raises HoldfastError where it can't be right."""
        if not 0 < params["port"] < 65536:
            raise HoldfastError(f"{place}.port: {params['port']} is not a port between 1 and 65535")
        return cls(params["port"], params["unit"], known_name(params["setting"], called), params["addresses"])

    def collides(self, address: str) -> bool:
        """Whether a listener at this address prevents the unit from listening."""
        everywhere = {"0.0.0.0", "::"}
        own = set(self.addresses)
        return not own or bool(own & everywhere) or address in everywhere or address in own


class Listener(t.NamedTuple):
    address: str
    port: int
    inode: str


class Owner(t.NamedTuple):
    """A process that holds a listening socket. The unit is "" where none is known."""

    process: int
    command: str
    unit: str

    @property
    def words(self) -> str:
        return f"{self.command} ({self.unit + ', ' if self.unit else ''}process {self.process})"


def known_name(setting: str, called: dict[str, str]) -> str:
    """The setting as the user wrote it: of the names in called, the longest that it is or begins with is replaced."""
    for name in sorted(called, key=len, reverse=True):
        if setting == name or setting.startswith((f"{name}.", f"{name}[")):
            return called[name] + setting[len(name) :]
    return setting


def problems(run_program: Run, wanted: list[Wanted], proc: str = "/proc") -> list[str]:
    """One line for each port that another program than its unit listens on."""
    ports = {one.port for one in wanted}
    listeners = [listener for listener in _listeners(proc) if listener.port in ports]
    owners = _owners({listener.inode for listener in listeners}, proc) if listeners else {}
    found = []
    for one in wanted:
        for listener in listeners:
            if listener.port == one.port and one.collides(listener.address):
                holders = [_activated(run_program, owner, one.port) for owner in owners.get(listener.inode, [])]
                if not any(fnmatch.fnmatchcase(holder.unit, one.unit) for holder in holders):
                    holder = holders[-1].words if holders else "something that has no process on this host, such as another container or the kernel"
                    found.append(f"{one.setting}: {one.port} on {socket.gethostname()} is taken by {holder}; choose another port or stop it")
                    break
    return found


def _listeners(proc: str) -> list[Listener]:
    found = []
    for name in ("tcp", "tcp6"):
        try:
            with open(f"{proc}/net/{name}", encoding="ascii") as handle:
                rows = [line.split() for line in handle.read().splitlines()[1:]]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for row in rows:
            if row[3] == _LISTENING:
                address, _colon, port = row[1].partition(":")
                found.append(Listener(_address(address), int(port, 16), row[9]))
    return found


def _address(text: str) -> str:
    """An address as the kernel writes it: 32-bit words in the order of this machine's bytes, taken as little-endian."""
    raw = bytes.fromhex(text)
    words = b"".join(raw[start : start + 4][::-1] for start in range(0, len(raw), 4))
    address = ipaddress.ip_address(words)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _owners(inodes: set[str], proc: str) -> dict[str, list[Owner]]:
    """The processes that hold each socket: a main process and its workers hold the same one."""
    found: dict[str, list[Owner]] = {}
    for process in sorted(int(name) for name in os.listdir(proc) if name.isdecimal()):
        try:
            for name in os.listdir(f"{proc}/{process}/fd"):
                match = _SOCKET.fullmatch(os.readlink(f"{proc}/{process}/fd/{name}"))
                if match and match[1] in inodes:
                    found.setdefault(match[1], []).append(Owner(process, _read(f"{proc}/{process}/comm"), _unit(process, proc)))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has ended, or is somebody else's and this is not root
    return {inode: sorted(owners, reverse=True) for inode, owners in found.items()}


def _unit(process: int, proc: str) -> str:
    """The unit that a process belongs to, from its control group: the innermost part that is a unit's name."""
    for line in _read(f"{proc}/{process}/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        units = _UNIT.findall(path)
        if controllers in ("", "name=systemd") and units:
            return str(units[-1])
    return ""


def _activated(run_program: Run, owner: Owner, port: int) -> Owner:
    """If systemd itself listens, for a socket unit, name that unit."""
    if owner.process != 1:
        return owner
    for line in run_program("systemctl", "list-sockets", "--no-legend", "--no-pager").out.splitlines():
        fields = line.split()
        if len(fields) > 1 and fields[0].endswith(f":{port}"):
            return owner._replace(unit=fields[1])
    return owner._replace(unit="")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as handle:
            return handle.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
