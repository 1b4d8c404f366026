# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role docker_client about addresses, mirrors and short names that cannot work."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._short_names import read_short_names
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Settings, endpoint_problem, is_address


def problems(settings: Settings) -> list[str]:
    found = _addresses(settings["docker_client_hosts_address"])
    for place, entry in enumerate(settings["docker_client_mirrors"]):
        where = f"docker_client_mirrors[{place}]"
        found += endpoint_problem(f"{where}.upstream", entry["upstream"]) + endpoint_problem(f"{where}.mirror", entry["mirror"])
        if entry["upstream"].lower() == entry["mirror"].lower():
            found.append(f"{where}.mirror: {entry['mirror']} is the upstream itself; use the mirror's own address")
        if entry["upstream"].lower() == "index.docker.io":
            found.append(f"{where}.upstream: {entry['upstream']!r} is 'docker.io' for clients; write that")
    for place, registry in enumerate(settings["docker_client_search_registries"]):
        found += endpoint_problem(f"docker_client_search_registries[{place}]", registry)
    try:
        read_short_names(settings["docker_client_short_names"], "docker_client_short_names")
    except HoldfastError as error:
        found.append(str(error))
    if "buildkit" in settings["docker_client_clients"] and settings["docker_client_ca_certificate"] and settings["docker_client_ca_stores"] == ["system"]:
        found.append("docker_client_clients: buildkit needs a copy of the CA's certificate in a store other than system in docker_client_ca_stores")
    return found


def _addresses(given: t.Any) -> list[str]:
    name = "docker_client_hosts_address"
    if isinstance(given, str):
        return [] if given == "" or is_address(given) else [f'{name}: "{given}" is not an IP address']
    if not isinstance(given, (list, tuple)):
        return [f"{name}: must be an IP address or a list of them, such as [192.0.2.10, '2001:db8::10']"]
    return [f'{name}[{place}]: "{each}" is not an IP address' for place, each in enumerate(given) if not isinstance(each, str) or not is_address(each)]
