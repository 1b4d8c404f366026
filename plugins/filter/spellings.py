# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives the ways to write a registry."""

from __future__ import annotations

DOCUMENTATION = r"""
name: spellings
short_description: Give the ways to write a registry, with the usual port and without
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Clients take V(registry.example.org) and V(registry.example.org:443) for two names, of one registry.
options:
  _input:
    description: The registry as written in image names, V(HOST), V(HOST:PORT) or V([IPv6]:PORT).
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Show both
  ansible.builtin.debug:
    msg: "{{ 'registry.example.org' | holdfast.registry.spellings }}"
"""

RETURN = r"""
_value:
  description: The one with a port first. With another port than 443 there is no other.
  type: list
  elements: str
  sample: [registry.example.org:443, registry.example.org]
"""

import typing as t


def spellings(registry: str) -> list[str]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.module_utils import _names

    return _names.spellings(registry)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"spellings": spellings}
