# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds where a host meets a virtual address."""

from __future__ import annotations

DOCUMENTATION = r"""
name: meets_address
short_description: Find the interface and address of a host in the network of a virtual address
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Searches the facts of a host for an address in the network of a virtual address, for the role P(holdfast.registry.virtual_address#role).
options:
  _input:
    description:
      - Variables of the host, such as C(hostvars['web']).
      - C(virtual_address_interface) and C(virtual_address_source) win over what is in C(ansible_facts).
    type: dict
    required: true
  virtual:
    description: The virtual address with the prefix length of its network.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show where this host meets a virtual address
  ansible.builtin.debug:
    msg: "{{ {'ansible_facts': facts} | holdfast.registry.meets_address('192.0.2.10/24') }}"
  vars:
    facts:
      eth0: {device: eth0, ipv4: {address: 192.0.2.1, netmask: 255.255.255.0}}
"""

RETURN = r"""
_value:
  description: Empty where there is none.
  type: dict
  contains:
    interface:
      description: Name of the interface.
      type: str
      sample: eth0
    address:
      description: The host's own address there.
      type: str
      sample: 192.0.2.1
"""

import typing as t


def meets_address(variables: t.Mapping[str, t.Any], virtual: str) -> dict[str, str]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.plugin_utils import virtual_addresses

    return virtual_addresses.meeting(variables, virtual)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"meets_address": meets_address}
