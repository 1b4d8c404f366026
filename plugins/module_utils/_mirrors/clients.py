# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All clients of a host in one plan."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._files import changes, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors import buildkit, containerd, containers, hosts_toml
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors.wanted import Wanted

CLIENTS = ("docker", "containers", "containerd", "buildkit")


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the clients of a host read their settings."""

    docker: str
    containers: str
    containerd: str
    containerd_config: str
    buildkit_config: str


class _Part(t.NamedTuple):
    """The files of one client, under one lock."""

    lock: str
    plan: t.Callable[[], list[Change]]


def keep(run_program: Run, wanted: Wanted, clients: t.Collection[str], places: Places, *, check_mode: bool) -> dict[str, t.Any]:
    """Make the clients know what is wanted, and those that are not among clients nothing of this name.

    Returns the module's result. Everything that can be refused is refused before the first change.
    """
    parts = _parts(run_program, wanted, clients, places)
    planned = {name: part.plan() for name, part in parts.items()}
    if not check_mode:
        for name, part in parts.items():
            if planned[name]:
                planned[name] = _apply(part)
    reasons = {name: [change.reason for change in found] for name, found in planned.items()}
    said = {client: reasons[client] + (reasons["config"] if client == "containerd" else []) for client in CLIENTS}
    return {
        "changed": any(said.values()),
        "clients": {client: {"changed": bool(lines), "reasons": lines} for client, lines in said.items()},
        # What is read at every pull takes no restart.
        "restart": [daemon for daemon, part in (("containerd", "config"), ("buildkit", "buildkit")) if reasons[part]],
        "unmirrored": containers.unmirrored(wanted) if "containers" in clients else [],
        "diff": [change.diff for found in planned.values() for change in found],
    }


def _parts(run_program: Run, wanted: Wanted, clients: t.Collection[str], places: Places) -> dict[str, _Part]:
    told = {client: wanted if client in clients else wanted.nothing() for client in CLIENTS}
    config_path = places.containerd if "containerd" in clients else None
    return {
        "docker": _Part(places.docker, lambda: hosts_toml.plan(places.docker, told["docker"])),
        "containers": _Part(os.path.join(places.containers, "registries.conf.d"), lambda: containers.plan(places.containers, told["containers"])),
        "containerd": _Part(places.containerd, lambda: hosts_toml.plan(places.containerd, told["containerd"], trusted=True)),
        "config": _Part(places.containerd_config, lambda: containerd.plan(run_program, places.containerd_config, wanted, config_path)),
        "buildkit": _Part(places.buildkit_config, lambda: buildkit.plan(places.buildkit_config, told["buildkit"])),
    }


def _apply(part: _Part) -> list[Change]:
    whole.make_directories(os.path.dirname(part.lock), 0o755)
    with locked(part.lock):
        found = part.plan()
        changes.apply(found)
    return found
