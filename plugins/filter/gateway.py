# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves the registries of the role nginx_auth for its templates."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gateway
short_description: Resolve the registries behind the gateway, and what their access rules allow
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Turns the variables of the role P(holdfast.registry.nginx_auth#role) into what its templates read.
  - It fails if anything is wrong with them, and says what. Otherwise a registry would be configured that nobody can use.
options:
  _input:
    description: The variables of the role, without the prefix C(nginx_auth_).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the port of each registry
  ansible.builtin.debug:
    msg: "{{ gateway.registries | items2dict(key_name='name', value_name='port') }}"
  vars:
    gateway: >-
      {{ {'server_name': 'registry.example.org', 'port': 443, 'tls': false, 'certificate': '', 'certificate_key': '', 'client_certificates': 'off',
          'upstream': '127.0.0.1:5000', 'rules': [], 'administrators': [], 'listing': {}} | holdfast.registry.gateway }}
"""

RETURN = r"""
_value:
  description: The registries.
  type: dict
  contains:
    registries:
      description:
        - The registries, with the settings of each and those inherited from the role's variables.
        - C(decisions) are regular expressions, each with the label of its rule. If one of them matches C(REGISTRY:ACTION:USER:REPOSITORY), that is
          allowed. Each can be used between double quotes in a C(map) of nginx, after C(~). None has capturing groups.
        - C(search) is for the search service, with Python regular expressions that match a whole name.
      type: list
      elements: dict
      sample: [{name: registry, port: 443, server_names: [registry.example.org]}]
    groups:
      description: The groups that may read the images on the host, or use the registries' sockets.
      type: list
      elements: str
      sample: [docker-registry]
    ports:
      description: The ports that the gateway listens on, each with the variable that sets it.
      type: list
      elements: dict
      sample: [{port: 443, setting: nginx_auth_port}]
    certificates:
      description: The certificates that the gateway presents, with the names each has to cover, as M(holdfast.registry.certificate_info) reads them.
      type: list
      elements: dict
      sample: [{path: /etc/ssl/holdfast/registry.crt, key: /etc/ssl/holdfast/registry.key, server_names: [registry.example.org]}]
"""

import typing as t

from ansible.errors import AnsibleFilterError


def gateway(settings: dict[str, t.Any]) -> dict[str, t.Any]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.plugin_utils.gateway import registries

    found, problems = registries(settings)
    if problems:
        raise AnsibleFilterError("; ".join(problems))
    ports = {registry["port"]: f"{registry['place']}port" for registry in reversed(found)}
    groups = [registry.get("storage_group") for registry in found if registry.get("storage_directory") or str(registry.get("upstream")).startswith("unix:")]
    names: dict[tuple[str, str], list[str]] = {}
    for registry in (registry for registry in found if registry["tls"]):
        names.setdefault((registry["certificate"], registry["certificate_key"]), []).extend(registry["server_names"])
    return {
        "registries": found,
        "groups": list(dict.fromkeys(group for group in groups if group)),
        "ports": [{"port": int(port), "setting": setting} for port, setting in reversed(ports.items()) if str(port).isdecimal()],
        "certificates": [{"path": path, "key": key, "server_names": sorted(set(server_names))} for (path, key), server_names in names.items()],
    }


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"gateway": gateway}
