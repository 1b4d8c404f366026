# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role keeper that cannot work."""

from __future__ import annotations

import re

from ansible_collections.holdfast.registry.plugins.plugin_utils import backups, bucket_backups
from ansible_collections.holdfast.registry.plugins.plugin_utils.keepers import instances, program_module, schedule_problem
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Host, Settings, path_problem, range_problem, secret_problem


def problems(settings: Settings, _host: Host) -> list[str]:
    address = settings["keeper_redis_address"]
    found = []
    if address and not re.fullmatch(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]+", address):
        found.append(f'keeper_redis_address: "{address}" is not ADDRESS:PORT')
    found += secret_problem("keeper_redis_password", settings["keeper_redis_password"])
    found += path_problem("keeper_access_log", settings["keeper_access_log"], may_be_empty=True)
    found += path_problem("keeper_freeze_file", settings["keeper_freeze_file"], may_be_empty=True)
    if settings["keeper_reserve"] and program_module("sizes").size_of(settings["keeper_reserve"]) is None:
        found.append(f'keeper_reserve: "{settings["keeper_reserve"]}" is not a size such as 2GB, 500MB or 5%')
    for index, name in enumerate(settings["keeper_exporters"]):
        if name not in ("nginx", "redis"):
            found.append(f'keeper_exporters[{index}]: "{name}" is neither nginx nor redis')
    if "redis" in settings["keeper_exporters"] and not settings["keeper_redis_address"]:
        found.append("keeper_redis_address: is needed for the exporter redis; give ADDRESS:PORT, or leave redis out of keeper_exporters")
    for name in sorted(name for name in settings if name.endswith("_schedule")):
        found += schedule_problem(name, settings[name])
    for name in ("keeper_collect_grace", "keeper_collect_undo", "keeper_scrub_duration"):
        if program_module("retain/policy").seconds_of(settings[name]) is None:
            found.append(f'{name}: "{settings[name]}" is not a duration such as 36h, 7d or 2w')
    found += range_problem("keeper_scrub_rate", settings["keeper_scrub_rate"], 1, 100_000, " megabytes per second")
    start = "keeper_backup_"
    backup = {name[len(start) :]: value for name, value in settings.items() if name.startswith(start)}
    found += backups.problems(backup)
    kept, wrong = instances(settings)
    return list(dict.fromkeys(found + wrong + bucket_backups.problems(settings["keeper_bucket_backup"], backup, kept)))
