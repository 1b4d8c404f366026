# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make users members of a group, and end memberships that are no longer wanted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: group_members
short_description: Make users members of a group, and end memberships that are no longer wanted
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Makes any number of users members of a group in one call, with C(gpasswd).
  - Remembers on the host whom it has added, under O(name). A user who is taken off O(users) leaves the group again.
  - Users who were members before stay, and so do users whom other calls have added under another name.
requirements:
  - gpasswd, which is in the package C(passwd) or C(shadow-utils)
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.record
options:
  group:
    description: The group. It must exist, unless O(users) is empty.
    type: str
    required: true
  users:
    description:
      - All users who are members of the group for O(name). They must exist.
      - With an empty list, all users whom this module has added under O(name) leave the group.
    type: list
    elements: str
    required: true
attributes:
  check_mode:
    details: A user or group that does not exist is assumed to be created by an earlier task of the play.
notes:
  - Processes that run already keep their groups. A user has to log in again.
  - The record is C(/var/lib/holdfast/group_members.json).
"""

EXAMPLES = r"""
- name: Let users talk to the Docker engine
  holdfast.registry.group_members:
    group: docker
    users: [alice, bob]
    name: my_playbook
  become: true

- name: Let nobody do so any longer whom the task above has added
  holdfast.registry.group_members:
    group: docker
    users: []
    name: my_playbook
  become: true
"""

RETURN = r"""
added:
  description: The users who were added.
  returned: success
  type: list
  elements: str
  sample: [alice]
removed:
  description: The users whose membership was ended.
  returned: success
  type: list
  elements: str
  sample: [mallory]
changes:
  description: A line for each user for whom something changed.
  returned: success
  type: list
  elements: str
  sample: ["alice: added", "mallory: removed"]
"""

import os

from ansible_collections.holdfast.registry.plugins.module_utils._host.group import Wanted, check, manage
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result, run

OPTIONS: Options = {
    "group": {"type": "str", "required": True},
    "users": {"type": "list", "elements": "str", "required": True},
    "name": {"type": "str", "required": True},
}


def work(call: Call) -> Result:
    wanted = Wanted(call.parameters["group"], call.parameters["users"], call.parameters["name"])
    check(wanted)
    return manage(call.run_program, wanted, os.path.join(STATE, "group_members.json"), check_mode=call.check_mode)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
