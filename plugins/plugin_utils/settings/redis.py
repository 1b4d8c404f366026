# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role redis that cannot work."""

from __future__ import annotations

import re

from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    is_address,
    port_problem,
    range_problem,
    secret_problem,
)


def problems(settings: Settings, _host: Host) -> list[str]:
    found = []
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", settings["redis_instance"]):
        found.append(f'redis_instance: "{settings["redis_instance"]}" is not a name of lower case letters, digits, - and _')
    found += port_problem("redis_port", settings["redis_port"])
    found += _memory_limit(settings["redis_memory_limit"])
    found += range_problem("redis_databases", settings["redis_databases"], 1, 1024)
    found += secret_problem("redis_password", settings["redis_password"])
    return found + _addresses(settings["redis_bind_addresses"], bool(settings["redis_password"]))


def _memory_limit(limit: str) -> list[str]:
    if not re.fullmatch(r"[1-9][0-9]*(kb|mb|gb)|[1-9][0-9]?%", limit, re.IGNORECASE):
        return [f'redis_memory_limit: "{limit}" is neither a size such as 64mb or 1gb nor a share of RAM from 1% to 99%']
    return []


def _addresses(addresses: list[str], has_password: bool) -> list[str]:
    if not addresses:
        return ["redis_bind_addresses: is empty; 127.0.0.1 is the usual address"]
    found = [f'redis_bind_addresses[{place}]: "{address}" is not an IP address' for place, address in enumerate(addresses) if not is_address(address)]
    open_ones = [address for address in addresses if not (address.startswith("127.") or address == "::1")]
    if open_ones and not has_password:
        found.append("redis_password: must be set when redis_bind_addresses has an address other hosts can reach")
    return found
