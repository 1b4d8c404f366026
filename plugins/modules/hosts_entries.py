# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give names an address in /etc/hosts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: hosts_entries
short_description: Give names an address in /etc/hosts
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Keeps one block of lines in C(/etc/hosts), between two comments. The rest of the file is not changed, whatever is in it.
  - A name may have several addresses, IPv4 and IPv6. Programs then get all of them.
  - A new block is put at the top. One that is there stays in its place.
  - If a line outside of the block gives one of the names another address, the module warns, since programs get that one as well.
  - The file is replaced in one step, or written in place where it is a mount, as in a container.
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  name:
    description: The name of the block. Each call replaces the whole block of that name.
    type: str
    required: true
  entries:
    description: The lines of the block, in this order. With none of them the block is removed.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: An IPv4 or IPv6 address, without brackets.
        type: str
        required: true
      names:
        description: The names that have it.
        type: list
        elements: str
        required: true
  state:
    description: V(absent) removes the block.
    type: str
    choices: [present, absent]
    default: present
  replaces:
    description:
      - Blocks that another tool made for the same purpose, and that go in the same step. Each is what follows C(# BEGIN) and C(# END) in its comments,
        as M(ansible.builtin.blockinfile) writes them.
    type: list
    elements: str
    default: []
  path:
    description: The file. Where it is a symbolic link, the file it leads to is changed.
    type: path
    default: /etc/hosts
attributes:
  diff_mode:
    details: Shows the file before and after.
"""

EXAMPLES = r"""
- name: Give the registry its addresses, where no DNS knows it
  holdfast.registry.hosts_entries:
    name: registry
    entries:
      - {address: 192.0.2.10, names: [registry.example.org, mirror.example.org]}
      - {address: "2001:db8::10", names: [registry.example.org, mirror.example.org]}

- name: DNS knows it now
  holdfast.registry.hosts_entries:
    name: registry
    state: absent
"""

RETURN = r"""
reason:
  description: What changed. Empty if nothing did.
  returned: success
  type: str
  sample: "/etc/hosts: block changed"
"""

from ansible_collections.holdfast.registry.plugins.module_utils._host import hosts_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Result, run


def work(call: Call) -> Result:
    return hosts_parameters.Asked(call).do()


def main() -> None:
    run(work, hosts_parameters.OPTIONS)


if __name__ == "__main__":
    main()
