# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves the further registries and the mirrors of site.yml for the roles."""

from __future__ import annotations

DOCUMENTATION = r"""
name: further
short_description: Resolve the further registries and the mirrors of site.yml
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Turns C(holdfast_registries) and C(holdfast_mirrors) into what the roles P(holdfast.registry.registry#role), P(holdfast.registry.nginx_auth#role),
    P(holdfast.registry.keeper#role), P(holdfast.registry.pki#role) and P(holdfast.registry.docker_client#role) have to know.
positional: instances_before, registries_before
options:
  _input:
    description: The settings of site.yml, with their prefix C(holdfast_), and the inventory's C(registry_instances) and C(nginx_auth_further_registries).
    type: dict
    required: true
  instances_before:
    description: How many entries of C(registry_instances) come before, for the places in messages.
    type: int
    default: 0
  registries_before:
    description: How many entries of C(nginx_auth_further_registries) come before.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Show by which addresses clients reach the mirrors
  ansible.builtin.debug:
    msg: "{{ (settings | holdfast.registry.further).endpoints }}"
  vars:
    settings:
      holdfast_server_name: registry.example.org
      holdfast_mirrors: [{name: hub, upstream: docker.io}]
"""

RETURN = r"""
_value:
  description: What the roles get.
  type: dict
  contains:
    instances:
      description: Entries of C(registry_instances). Those of mirrors have the passwords of their upstreams.
      type: list
      elements: dict
      sample: [{name: hub, mirror: {upstream: docker.io}}]
    registries:
      description: Entries of C(nginx_auth_further_registries).
      type: list
      elements: dict
      sample: [{name: hub, mirror: true, namespaces: [docker.io], server_name: registry.example.org, port: 5444}]
    kept:
      description: Entries of C(keeper_instances).
      type: list
      elements: dict
      sample: [{name: hub, mirror: true}]
    names:
      description: Names that the certificate has to cover.
      type: list
      elements: str
      sample: [registry.example.org]
    endpoints:
      description: Addresses that clients have to trust.
      type: list
      elements: str
      sample: ["registry.example.org:5444"]
    mirrors:
      description: What clients ask before the upstreams, as entries of C(docker_client_mirrors).
      type: list
      elements: dict
      sample: [{upstream: docker.io, mirror: "registry.example.org:5444"}]
    places:
      description: The user's names for what messages of the roles name.
      type: dict
      sample: {"registry_instances[0]": "holdfast_mirrors[0]"}
    store:
      description: O(holdfast.registry.nginx_auth#role:main:nginx_auth_store) of the first registry. Empty without C(holdfast_storage).
      type: dict
      sample: {url: "https://store.example.org/registry", ca_certificate: ""}
"""

import typing as t


def further(settings: dict[str, t.Any], instances_before: int = 0, registries_before: int = 0) -> dict[str, t.Any]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.plugin_utils import further as resolver

    return resolver.further(settings, instances_before, registries_before)._asdict()


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"further": further}
