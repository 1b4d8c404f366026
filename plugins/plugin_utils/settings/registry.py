# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role registry that cannot work."""

from __future__ import annotations

import re

from ansible_collections.holdfast.registry.plugins.module_utils._names import host_problem
from ansible_collections.holdfast.registry.plugins.plugin_utils.instances import instances
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    own_directory_problem,
    port_problem,
    range_problem,
    secret_problem,
)

RESULTS = ("registry_moves",)  # set by tasks/move_find.yml for those who come after it


def problems(settings: Settings, _host: Host) -> list[str]:
    found = own_directory_problem("registry_log_directory", settings["registry_log_directory"], "/var/log/docker-registry", may_be_empty=True)
    found += secret_problem("registry_http_secret", settings["registry_http_secret"])
    found += secret_problem("registry_redis_password", settings["registry_redis_password"])
    address = settings["registry_redis_address"]
    if address and not re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]+", address):
        found.append(f'registry_redis_address: "{address}" is not ADDRESS:PORT')
    found += range_problem("registry_redis_database", settings["registry_redis_database"], 0, 1023)
    found += range_problem("registry_restart_seconds", settings["registry_restart_seconds"], 0, 3600, " seconds")
    found += range_problem("registry_start_limit_burst", settings["registry_start_limit_burst"], 1, 10000)
    found += range_problem("registry_start_limit_interval", settings["registry_start_limit_interval"], 1, 86400, " seconds")
    found += port_problem("registry_upstream_port", settings["registry_upstream_port"])
    if any(entry.get("mirror") for entry in settings["registry_instances"]) and host_problem(settings["registry_upstream_name"] or ""):
        found.append(f'registry_upstream_name: "{settings["registry_upstream_name"]}" is not the name of a host')
    proxy = settings["registry_upstream_proxy"]
    if proxy and not re.fullmatch(r"http://[A-Za-z0-9.-]+(:[0-9]+)?/?", proxy):
        # Not repeated: a password may be in it, which the unit would show to all.
        found.append("registry_upstream_proxy: is neither empty nor a proxy such as http://proxy.example.org:3128, without a password")
    return list(dict.fromkeys(found + instances(settings)[1]))
