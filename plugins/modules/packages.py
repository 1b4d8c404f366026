# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install packages, and remove or replace none."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install packages, and remove or replace none
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Installs packages with C(apt-get), without those that are only recommended. A package that is there already keeps its version.
  - Plans first. A plan that would remove or downgrade a package is refused, with the names of those packages, and nothing is changed.
  - Waits for the locks of apt and dpkg while another program holds them, and finishes the work of a dpkg that was killed.
  - Where nothing is missing it asks dpkg and nothing else.
requirements:
  - apt and dpkg
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  names:
    description: Names of the packages. Without any, the module only looks for O(unless_command).
    type: list
    elements: str
    required: true
  keep_stopped:
    description:
      - Units that the packages would start by themselves. They are neither started now nor at boot; whoever wants one starts it.
      - Only where this run brings the unit to the host. One that is there already stays as it is.
    type: list
    elements: str
    default: []
  unless_command:
    description:
      - Where one of these programs is on the host already, and none of O(names) brought it, nothing is installed.
      - They are looked for in C(PATH), C(/usr/local), C(/usr), C(/bin), C(/sbin) and C(/snap/bin).
    type: list
    elements: str
    default: []
  cache_valid_time:
    description: Seconds for which the lists of packages are new enough. They are updated as well where a package is not in them.
    type: int
    default: 86400
  lock_timeout:
    description: Seconds to wait for other programs that install packages.
    type: int
    default: 300
attributes:
  check_mode:
    description: Says which packages would be installed, in which version, and changes nothing. Where the lists are too old it updates a copy of them.
  diff_mode:
    description: Shows a line for each package.
"""

EXAMPLES = r"""
- name: Install Redis, and leave its default instance stopped
  holdfast.registry.packages:
    names: [redis-server]
    keep_stopped: [redis-server.service]

- name: Install the distribution's Docker engine where there is none yet
  holdfast.registry.packages:
    names: [docker.io, iptables]
    unless_command: [dockerd]
"""

RETURN = r"""
changes:
  description: A line for each package that changed, and each unit that was disabled.
  returned: success
  type: list
  elements: str
  sample: ["redis-server 5:8.0.2-3: installed"]
installed:
  description: The packages that were installed, those they depend on included.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the package.
      type: str
      sample: redis-server
    version:
      description: Its version.
      type: str
      sample: 5:8.0.2-3
    previous:
      description: The version before, where a package had to be upgraded for another one.
      type: str
      sample: 5:7.0.15-1
versions:
  description: The versions of those of O(names) that are on the host; in check mode, those that would be.
  returned: success
  type: dict
  sample:
    redis-server: 5:8.0.2-3
skipped_for:
  description: The path of the program of O(unless_command) for which nothing was installed. Empty where there is none.
  returned: success
  type: str
  sample: /usr/bin/dockerd
"""

from ansible_collections.holdfast.registry.plugins.module_utils._host import packages
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result, run

OPTIONS: Options = {
    "names": {"type": "list", "elements": "str", "required": True},
    "keep_stopped": {"type": "list", "elements": "str", "default": []},
    "unless_command": {"type": "list", "elements": "str", "default": []},
    "cache_valid_time": {"type": "int", "default": 86400},
    "lock_timeout": {"type": "int", "default": 300},
}


def work(call: Call) -> Result:
    return packages.install(packages.Wanted.of(call.parameters), call.check_mode)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
