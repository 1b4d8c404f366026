# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The registries on the host, spoken to without a gateway."""

import json
import shlex
from typing import Any

from testinfra.host import Host

FIRST = "--unix-socket /run/docker-registry/registry.sock http://first"
TEAM = "--unix-socket /run/docker-registry-team/registry.sock http://team"
ARCHIVE = "http://127.0.0.1:5002"
UNITS = {FIRST: "docker-registry", TEAM: "docker-registry@team", ARCHIVE: "docker-registry@archive"}


def status(host: Host, at: str, path: str) -> str:
    # Without it 2.8 would make a manifest of schema 1.
    accept = "-H 'Accept: application/vnd.docker.distribution.manifest.v2+json'"
    return host.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' {accept} {at}{path}")


def processes(host: Host) -> dict[str, str]:
    """The main process of each registry."""
    return {unit: host.check_output(f"systemctl show -p MainPID --value {unit}") for unit in UNITS.values()}


def redis(host: Host, database: int, *command: str) -> list[str]:
    words = " ".join(map(shlex.quote, command))
    out = host.check_output(f"REDISCLI_AUTH=0123456789abcdef-of-the-cache redis-cli --no-auth-warning -p 6380 -n {database} {words}")
    return [line for line in out.splitlines() if line]


def catalogue(host: Host, at: str) -> list[str]:
    found: dict[str, Any] = json.loads(host.check_output(f"curl -fsS {at}/v2/_catalog"))
    return list(found["repositories"])
