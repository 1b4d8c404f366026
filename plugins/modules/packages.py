# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Install packages without removing or replacing any."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: Install packages without removing or replacing any
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Installs packages with C(apt-get), without recommended ones. A package that is already installed keeps its version.
  - If apt would have to remove or downgrade a package, the module names it, fails and changes nothing.
  - Waits for the locks of apt and dpkg while another program holds them, and completes the work of a dpkg that was killed.
  - If nothing is missing, only dpkg is queried.
requirements:
  - apt and dpkg
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  names:
    description:
      - Names of the packages. With an empty list, the module only looks for O(unless_command).
      - A virtual name, which only other packages provide, is refused, and the message names those.
    type: list
    elements: str
    required: true
  keep_stopped:
    description:
      - Units that the packages would start by themselves. They are neither started now nor enabled at boot, nor by a later upgrade of the package.
      - Applies only to units that this run installs. Existing units are neither stopped nor disabled.
    type: list
    elements: str
    default: []
  unless_command:
    description:
      - If one of these programs is on the host already, and does not come from one of O(names), nothing is installed.
      - They are searched in C(PATH), C(/usr/local), C(/usr), C(/bin), C(/sbin) and C(/snap/bin).
    type: list
    elements: str
    default: []
  install:
    description: V(false) installs nothing. The module then looks for O(unless_command), whether the packages are installed or not, and applies O(hold).
    type: bool
    default: true
  versions:
    description:
      - The version of some of O(names), by name. V(28.3.2) stands for any package of that version, V(28.3) for the newest of those that begin so.
        V(latest) upgrades at each run.
      - Without it, a missing package is installed in the version that apt chooses, and an installed one keeps its own. A downgrade is refused.
    type: dict
    default: {}
  hold:
    description:
      - V(true) holds those of O(names) that are installed (C(apt-mark hold)), so that upgrades of the host leave them as they are. If one of
        O(unless_command) is there instead, nothing is held.
      - V(false) releases those of O(names) that this module holds. What others hold stays held.
    type: bool
  release:
    description: Other packages, which this module may hold from an earlier call, and which it now lets go.
    type: list
    elements: str
    default: []
  cache_valid_time:
    description: Maximum age of the package lists in seconds. They are also updated if a package is not in them.
    type: int
    default: 86400
  lock_timeout:
    description: Seconds to wait for other programs that install packages.
    type: int
    default: 300
attributes:
  check_mode:
    description: Predicts which packages would be installed, in which version, and changes nothing. If the lists are too old, a copy of them is updated.
  diff_mode:
    description: Shows a line for each package.
"""

EXAMPLES = r"""
- name: Install Redis, and leave its default instance stopped
  holdfast.registry.packages:
    names: [redis-server]
    keep_stopped: [redis-server.service]

- name: Install the distribution's Docker engine, unless there is an engine
  holdfast.registry.packages:
    names: [docker.io, iptables]
    unless_command: [dockerd]

- name: Have Redis 8.0 or a later 8, and leave it at that
  holdfast.registry.packages:
    names: [redis-server]
    versions: {redis-server: "8"}
    hold: true
"""

RETURN = r"""
changes:
  description: A line for each package that changed, and each unit that was disabled.
  returned: success
  type: list
  elements: str
  sample: ["redis-server 5:8.0.2-3: installed"]
installed:
  description: The packages that were installed, including dependencies.
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
      description: The previous version, if a package had to be upgraded for another one.
      type: str
      sample: 5:7.0.15-1
versions:
  description: The installed versions of O(names); in check mode, the predicted ones.
  returned: success
  type: dict
  sample:
    redis-server: 5:8.0.2-3
skipped_for:
  description: The path of the program of O(unless_command) that was found, so that nothing was installed. Empty if there is none.
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
    "install": {"type": "bool", "default": True},
    "versions": {"type": "dict", "default": {}},
    "hold": {"type": "bool"},
    "release": {"type": "list", "elements": "str", "default": []},
    "cache_valid_time": {"type": "int", "default": 86400},
    "lock_timeout": {"type": "int", "default": 300},
}


def work(call: Call) -> Result:
    return packages.install(call.run_program, packages.Wanted.of(call.parameters), call.check_mode)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
