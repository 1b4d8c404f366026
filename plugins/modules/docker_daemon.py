# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Merge settings into the Docker engine's daemon.json."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Merge settings into the Docker engine's daemon.json
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Merges settings into C(daemon.json), and takes them out again. What others have in the file stays.
  - Objects are merged member by member. Lists are merged item by item, those of O(settings) first.
  - Remembers below C(/var/lib/holdfast/docker) what it has set for each O(name), and what was there before. A setting that is no longer in
    O(settings) goes, and what it had replaced comes back, unless somebody has changed it since.
  - The engine validates the new file, with the options that it runs with, before it takes the old one's place.
    An engine without C(--validate) (before 23.0) is asked in another way.
  - A file that is not valid JSON, has a key twice or a comment, or is a symbolic link to nothing is reported with the place and not changed.
    Where a symbolic link leads to a file, that file is changed.
  - A new file has mode V(0600). One that is there keeps its mode, but where O(settings) have a URL with a user name or password, other users no longer read it.
    They do again when that is taken out.
  - Does not restart or reload the engine, but says which of the two is needed. The module M(holdfast.registry.services) does it, also after
    a run that was killed.
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  name:
    description:
      - Whose settings these are. Each call replaces all settings of the name.
      - Two names may set the same value, or add items to the same list. Two values for one setting are refused.
    type: str
    required: true
  settings:
    description:
      - The settings, as in C(daemon.json). Needed with O(state=present).
      - Members that are null and lists that are empty set nothing.
    type: dict
  state:
    description: V(present) to have O(settings) in the file, V(absent) to take out all that was set for O(name).
    type: str
    choices: [present, absent]
    default: present
  path:
    description: The file.
    type: path
    default: /etc/docker/daemon.json
  unit:
    description: The unit of the engine. Its options are used to validate the file.
    type: str
    default: docker.service
attributes:
  check_mode:
    description: Predicts the new file and has the engine validate it. Without an engine on the host, there is a warning.
  diff_mode:
    description: Shows the file before and after, without the credentials in URLs.
"""

EXAMPLES = r"""
- name: Keep containers running while the engine restarts, and limit their logs
  holdfast.registry.docker_daemon:
    name: defaults
    settings:
      live-restore: true
      log-opts: {max-size: 10m}
  register: daemon

- name: Let the engine notice
  holdfast.registry.services:
    services:
      - name: docker.service
        restart_on: ["{{ daemon.restart_mark }}"]
        reload_on: ["{{ daemon.reload_mark }}"]
        reload_before_restart: true

- name: Take the settings out again
  holdfast.registry.docker_daemon:
    name: defaults
    state: absent
"""

RETURN = r"""
action:
  description:
    - What a running engine needs to notice this change, out of V(restart), V(reload) and V(none).
    - It is reloaded for settings that it can take up while it runs. A setting that is removed may need a restart all the same.
  returned: success
  type: str
  sample: reload
reasons:
  description: A line for each change, with the names of the settings.
  returned: success
  type: list
  elements: str
  sample: ["/etc/docker/daemon.json: changed: live-restore, log-opts"]
restart_mark:
  description: A file that changes whenever the engine has to be restarted, for C(restart_on) of the module M(holdfast.registry.services).
  returned: success
  type: str
  sample: /var/lib/holdfast/docker/0d9f0c9a52d1c8f3.restart.pending
reload_mark:
  description:
    - A file that changes whenever it has to be reloaded, for C(reload_on).
    - Also when C(live-restore) comes with a setting that needs a restart, for C(reload_before_restart), so that containers survive this restart already.
  returned: success
  type: str
  sample: /var/lib/holdfast/docker/0d9f0c9a52d1c8f3.reload.pending
"""

from ansible_collections.holdfast.registry.plugins.module_utils._docker import daemon_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Result, run


def work(call: Call) -> Result:
    return daemon_parameters.Asked(call).do()


def main() -> None:
    run(work, daemon_parameters.OPTIONS, required_if=[("state", "present", ["settings"])])


if __name__ == "__main__":
    main()
