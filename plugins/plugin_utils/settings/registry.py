# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role registry that cannot work."""

from __future__ import annotations

import re

from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    path_problem,
    port_problem,
    range_problem,
    secret_problem,
)

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


def problems(settings: Settings, _host: Host) -> list[str]:
    found = port_problem("registry_port", settings["registry_port"])
    socket = settings["registry_socket"]
    if socket and not re.fullmatch(rf"/run/{_NAME}/{_NAME}", socket):
        found.append(f'registry_socket: "{socket}" is neither empty nor a path such as /run/docker-registry/registry.sock')
    found += path_problem("registry_storage_directory", settings["registry_storage_directory"])
    found += path_problem("registry_log_directory", settings["registry_log_directory"], may_be_empty=True)
    found += secret_problem("registry_http_secret", settings["registry_http_secret"])
    found += secret_problem("registry_redis_password", settings["registry_redis_password"])
    address = settings["registry_redis_address"]
    if address and not re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]+", address):
        found.append(f'registry_redis_address: "{address}" is not ADDRESS:PORT')
    found += range_problem("registry_redis_database", settings["registry_redis_database"], 0, 1023)
    for name, example in (("registry_upload_purge_age", "168h"), ("registry_upload_purge_interval", "24h")):
        if not re.fullmatch(r"([0-9]+[hms])+", settings[name]):
            found.append(f'{name}: "{settings[name]}" is not a duration such as {example} or 90m')
    found += range_problem("registry_drain_timeout", settings["registry_drain_timeout"], 1, 86400, " seconds")
    found += range_problem("registry_restart_seconds", settings["registry_restart_seconds"], 0, 3600, " seconds")
    found += range_problem("registry_start_limit_burst", settings["registry_start_limit_burst"], 1, 10000)
    return found + range_problem("registry_start_limit_interval", settings["registry_start_limit_interval"], 1, 86400, " seconds")
