# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves the instances of the role registry for its tasks and templates."""

from __future__ import annotations

DOCUMENTATION = r"""
name: instances
short_description: Resolve the instances of the registry on a host
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Turns the variables of the role P(holdfast.registry.registry#role) into what its tasks and templates read. The role's own variables describe the first
    instance.
  - It fails if anything is wrong with them, and says what. Otherwise a registry would be left without its configuration.
options:
  _input:
    description: The variables of the role, with their prefix C(registry_).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the unit of each instance
  ansible.builtin.debug:
    msg: "{{ (settings | holdfast.registry.instances).instances | items2dict(key_name='name', value_name='unit') }}"
  vars:
    settings:
      registry_version: distribution
      registry_archive: ""
      registry_archive_url: ""
      registry_archive_checksum: ""
      registry_log_level: info
      registry_delete_enabled: true
      registry_upload_purge_age: 168h
      registry_upload_purge_interval: 24h
      registry_drain_timeout: 60
      registry_socket: ""
      registry_port: 5000
      registry_metrics_port: 0
      registry_storage_directory: /var/lib/docker-registry
      registry_storage: {}
      registry_redis_address: ""
      registry_redis_database: 0
      registry_http_secret: ""
      registry_upstream_port: 5099
      registry_instances: [{name: team}]
"""

RETURN = r"""
_value:
  description: The instances.
  type: dict
  contains:
    instances:
      description: The instances that are to run, each with its settings, unit, user, configuration and program.
      type: list
      elements: dict
      sample: [{name: team, unit: docker-registry@team.service}]
    unwanted:
      description: Those with C(state=absent).
      type: list
      elements: dict
      sample: []
    ports:
      description: The TCP ports they listen on, as M(holdfast.registry.free_ports) takes them.
      type: list
      elements: dict
      sample: [{port: 5000, unit: docker-registry*.service, setting: registry_port, addresses: [127.0.0.1]}]
    files:
      description: The files of the instances, as M(holdfast.registry.files) takes them.
      type: list
      elements: dict
      sample: [{template: config.yml.j2, path: /etc/docker/registry/instance-team.yml, group: docker-registry-team, mode: "0640"}]
    directories:
      description: The directories of the images, as M(holdfast.registry.files) takes them.
      type: list
      elements: dict
      sample: [{path: /var/lib/docker-registry-team, owner: docker-registry-team, group: docker-registry-team, mode: "0750"}]
    absent:
      description: The files that are not needed, as M(holdfast.registry.files) takes them.
      type: list
      elements: str
      sample: [/etc/docker/registry/store.env]
    stores:
      description: The S3 stores to probe, as M(holdfast.registry.object_store_probe) takes them. They have their secrets.
      type: list
      elements: dict
      sample: [{name: registry, endpoint: "https://store.example.org:8333", bucket: registry}]
    services:
      description: The services, as M(holdfast.registry.services) takes them.
      type: list
      elements: dict
      sample: [{name: docker-registry@team.service, restart_on: [/etc/docker/registry/instance-team.yml]}]
    mirrors:
      description: The configuration of the program that asks the upstreams, by the instance's name. It has their passwords.
      type: dict
      sample: {hub: {upstream: "https://registry-1.docker.io", token_hosts: [auth.docker.io]}}
    releases:
      description: The releases to install, as M(holdfast.registry.registry_release) reads them.
      type: list
      elements: dict
      sample: [{version: 3.1.1, called: {version: registry_version}}]
    links:
      description: The links to their programs, as M(holdfast.registry.registry_release) reads them.
      type: list
      elements: dict
      sample: [{name: registry, version: 3.1.1}]
"""

import typing as t

from ansible.errors import AnsibleFilterError


def instances(settings: dict[str, t.Any]) -> dict[str, t.Any]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.plugin_utils import instances as resolver
    from ansible_collections.holdfast.registry.plugins.plugin_utils import object_stores

    found, problems = resolver.instances(settings)
    if problems:
        raise AnsibleFilterError("; ".join(problems))
    present = [instance for instance in found if instance["state"] == "present"]
    return {
        "instances": present,
        "unwanted": [instance for instance in found if instance["state"] == "absent"],
        "ports": [
            {"port": instance["port"], "unit": "docker-registry*.service", "setting": f"{instance['place']}port", "addresses": ["127.0.0.1"]}
            for instance in present
            if not instance["socket"]
        ],
        "files": resolver.files(present, keep_secret=not settings["registry_http_secret"]),
        "directories": resolver.directories(present),
        "absent": resolver.absent(present),
        "stores": object_stores.probes((instance["name"], instance["store"]) for instance in present if instance["store"]),
        "services": resolver.services(present, "/etc/docker/registry/secrets.env"),
        "mirrors": resolver.mirrors(present),
        "releases": resolver.releases(present),
        "links": [{"name": instance["name"], "version": instance["version"]} for instance in present if instance["version"] != resolver.PACKAGED],
    }


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"instances": instances}
