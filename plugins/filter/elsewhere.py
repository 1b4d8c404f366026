# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves at a glance which images would be left behind, for site.yml."""

from __future__ import annotations

DOCUMENTATION = r"""
name: elsewhere
short_description: Tell which registries may have their images elsewhere than the settings say
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Compares what a host's configurations say of the place of their images with the variables of the role P(holdfast.registry.registry#role).
    The filter P(holdfast.registry.moves#filter) says exactly what is where.
options:
  _input:
    description: The instances, as the filter P(holdfast.registry.instances#filter) gives them.
    type: list
    elements: dict
    required: true
  lines:
    description: For each configuration a line with any word, its path, and the directory, or the endpoint, bucket and prefix of the store.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Say which images are elsewhere
  ansible.builtin.debug:
    msg: "{{ [instance] | holdfast.registry.elsewhere([':images /etc/docker/registry/config.yml /var/lib/docker-registry']) }}"
  vars:
    instance:
      name: registry
      mirror: {}
      store: {}
      configuration: /etc/docker/registry/config.yml
      storage_directory: /srv/images
"""

RETURN = r"""
_value:
  description: The names of the instances.
  type: list
  elements: str
  sample: [registry]
"""

import typing as t


def elsewhere(present: list[dict[str, t.Any]], lines: list[str]) -> list[str]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.plugin_utils import moves as resolver

    return resolver.elsewhere(present, lines)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"elsewhere": elsewhere}
