# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves the instances of the role keeper for its tasks and templates."""

from __future__ import annotations

DOCUMENTATION = r"""
name: keepers
short_description: Resolve what the role keeper keeps
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Turns the variables of the role P(holdfast.registry.keeper#role) into what its tasks and templates read.
  - It fails if anything is wrong with them, and says what, unless the keeper is to be removed.
options:
  _input:
    description: The variables of the role, with their prefix C(keeper_).
    type: dict
    required: true
  commands:
    description: The commands of the program that have units, each with C(name) and C(schedule).
    type: list
    elements: dict
    required: true
  sections:
    description: Further sections of the settings file of each instance.
    type: dict
    required: true
  backup:
    description: The variables of the role about the backup, without C(keeper_backup_). By default there is none.
    type: dict
"""

EXAMPLES = r"""
- name: Show the timers
  ansible.builtin.debug:
    msg: "{{ (settings | holdfast.registry.keepers(commands=[{'name': 'collect', 'schedule': 'daily'}], sections={})).services }}"
  vars:
    settings:
      keeper_state: present
      keeper_instances: [{name: registry}]
      keeper_redis_address: ""
      keeper_redis_password: ""
      keeper_access_log: ""
      keeper_retention: []
"""

RETURN = r"""
_value:
  description: What the role writes and runs.
  type: dict
  contains:
    instances:
      description: The instances.
      type: list
      elements: dict
      sample: [{name: registry, user: docker-registry, storage_directory: /var/lib/docker-registry}]
    directories:
      description: The directories, as M(holdfast.registry.files) takes them.
      type: list
      elements: dict
      sample: [{path: /etc/registry-keeper, mode: "0755", purge: "*.json"}]
    files:
      description: The program, its settings and its units, as M(holdfast.registry.files) takes them.
      type: list
      elements: dict
      sample: [{src: registry-keeper, path: /usr/local/bin/registry-keeper, mode: "0755"}]
    absent:
      description: What is to be removed.
      type: list
      elements: str
      sample: []
    services:
      description: The timers, as M(holdfast.registry.services) takes them.
      type: list
      elements: dict
      sample: [{name: registry-keeper-collect@registry.timer}]
"""

import typing as t

from ansible.errors import AnsibleFilterError


def keepers(
    settings: dict[str, t.Any], commands: list[dict[str, t.Any]], sections: dict[str, t.Any], backup: dict[str, t.Any] | None = None
) -> dict[str, t.Any]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.plugin_utils import backups, bucket_backups
    from ansible_collections.holdfast.registry.plugins.plugin_utils import keepers as resolving

    kept, problems = resolving.instances(settings)
    present = settings["keeper_state"] == "present"
    # The images of a store have a backup of their own, with the same rules about which backups stay.
    bucket = settings.get("keeper_bucket_backup") or {}
    if not present or not backup:
        backup, bucket = {"repository": ""}, {}
    problems += [*backups.problems(backup), *bucket_backups.problems(bucket, backup, kept)]
    if present and problems:
        raise AnsibleFilterError("; ".join(problems))
    units = {"path": "/etc/systemd/system", "purge": "registry-keeper-*@*.service"}
    directories = [
        {"path": resolving.CONFIGURATION, "purge": "*.json"},
        {"path": resolving.LIBRARY},
        *({"path": path, "purge": "*.py"} for path in resolving.packages()),
    ]
    # restic has the files of the host, and no images that are in a store.
    in_files, in_stores = [one for one in kept if not one["store"]], [one for one in kept if one["store"]]

    def sections_of(name: str) -> dict[str, t.Any]:
        return {"bucket_backup": bucket_backups.section_of(bucket, backup, name)} if bucket else {}

    return {
        "instances": kept,
        "directories": [units, *directories, *resolving.state_directories(kept), *backups.directories(backup, in_files, in_stores)] if present else [units],
        "files": resolving.files(settings, kept, commands, sections, sections_of) + backups.files(backup, in_files, in_stores) + bucket_backups.files(bucket)
        if present
        else [],
        "absent": bucket_backups.absent(bucket) + backups.absent(backup) + ([] if present else resolving.leftovers(kept)),
        "services": resolving.services(kept, commands) + backups.services(backup) if present else [],
    }


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"keepers": keepers}
