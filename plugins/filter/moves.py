# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolves what has to be moved on a host, for the tasks of the role registry that do it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: moves
short_description: Tell which images are elsewhere than the settings say
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Compares where the configuration of a host says that the images of its registries are with where the variables of the role
    P(holdfast.registry.registry#role) say that they belong.
options:
  _input:
    description: The instances, as the filter P(holdfast.registry.instances#filter) gives them.
    type: list
    elements: dict
    required: true
  files:
    description: The content of the host's files by their paths. Without it the filter says which files it has to know.
    type: dict
  over:
    description: Whether what others have written at a target may go.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say which files tell where the images are
  ansible.builtin.debug:
    msg: "{{ [instance] | holdfast.registry.moves }}"
  vars:
    instance:
      name: registry
      unit: docker-registry.service
      configuration: /etc/docker/registry/config.yml
"""

RETURN = r"""
_value:
  description: The files, or C(moves), C(notes) about what is not moved, C(problems), and the C(directories) and C(files) of the moves.
  type: raw
  sample:
    moves: [{name: registry, source: /var/lib/docker-registry, target: "https://store.example.org:8333/registry"}]
    notes: []
    problems: []
    directories: [{path: /var/lib/holdfast-move/registry, mode: "0750", owner: docker-registry, group: docker-registry}]
    files: [{path: /run/holdfast-move/registry.json, mode: "0400", owner: docker-registry, group: docker-registry}]
"""

import typing as t


def moves(present: list[dict[str, t.Any]], files: dict[str, str] | None = None, over: bool = False) -> t.Any:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.plugin_utils import moves as resolver

    return resolver.files_to_read(present) if files is None else resolver.moves(present, files, over)


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"moves": moves}
