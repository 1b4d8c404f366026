# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse TCP ports that another program listens on."""

from __future__ import annotations

DOCUMENTATION = r"""
module: free_ports
short_description: Refuse TCP ports that another program listens on
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Fails and names the program if a port is in use by anything but the unit that is meant to use it. Changes nothing.
extends_documentation_fragment:
  - holdfast.registry.attributes.read_only
options:
  ports:
    description: The ports.
    type: list
    elements: dict
    required: true
    suboptions:
      port:
        description: TCP port.
        type: int
        required: true
      unit:
        description: systemd unit that may listen on the port.
        type: str
        required: true
      setting:
        description: Setting that the error message names.
        type: str
        required: true
      addresses:
        description: Addresses that the unit listens on. All by default.
        type: list
        elements: str
        default: []
  called:
    description: Settings that the user knows under another name, for the messages. M(holdfast.registry.check_settings) returns it.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Check that the ports are free
  holdfast.registry.free_ports:
    ports:
      - {port: 5443, unit: holdfast-gateway.service, setting: nginx_auth_port}
      - {port: 6380, unit: redis-server@registry.service, setting: redis_port, addresses: [127.0.0.1]}
"""

RETURN = r"""
problems:
  description: One line for each port that is taken. Empty if the module does not fail.
  returned: always
  type: list
  elements: str
  sample: ["nginx_auth_port: 443 on web1 is taken by apache2 (apache2.service, process 812); choose another port or stop it"]
"""

from ansible_collections.holdfast.registry.plugins.module_utils._host import ports
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, entries, run

PORT: Options = {
    "port": {"type": "int", "required": True},
    "unit": {"type": "str", "required": True},
    "setting": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
}


def work(call: Call) -> Result:
    wanted = [ports.Wanted.of(entry, f"ports[{place}]", call.parameters["called"]) for place, entry in enumerate(call.parameters["ports"])]
    problems = ports.problems(call.run_program, wanted)
    if problems:
        raise HoldfastError("; ".join(problems), {"problems": problems})
    return {"changed": False, "problems": []}


def main() -> None:
    run(work, {"ports": entries(PORT), "called": {"type": "dict", "default": {}}})


if __name__ == "__main__":
    main()
