# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run services of systemd with the files they read as they are now."""

from __future__ import annotations

DOCUMENTATION = r"""
module: services
short_description: Run services of systemd with the files they read as they are now
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Starts, restarts or reloads services, each at most once, when something they read at their start has changed since, whoever changed it.
  - Keeps a digest of what a service has read below C(/var/lib/holdfast/services), taken before the restart or reload and written when that
    has taken effect. A file that changes in between, a run that was killed and a certificate that somebody renewed are seen by the next run.
  - A file that was written before the service started counts as read, whoever started it. So an upgrade or a boot is no reason to restart,
    and neither is a service of which nothing is known yet.
  - A restart or reload that did not take effect is an error with the last lines of the service's journal.
  - Unit files and drop-ins count among what needs a restart, and systemd reads them before.
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  services:
    description: The services, handled in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit, with C(.service), C(.socket) or C(.timer) at its end.
        type: str
        required: true
      restart_on:
        description: Files and directories that it reads only when it starts.
        type: list
        elements: path
        default: []
      reload_on:
        description: Files and directories for which a reload is enough.
        type: list
        elements: path
        default: []
      restart:
        description: Restart it whatever has changed. In check mode, where files were not written, this is what makes the prediction right.
        type: bool
        default: false
      reload:
        description: Reload it whatever has changed, unless it is restarted.
        type: bool
        default: false
      enabled:
        description: Whether it starts at boot. Unless given it does where it is to be started, and does not where it is to be stopped.
        type: bool
      state:
        description: Whether it runs now.
        type: str
        choices: [started, stopped]
        default: started
      new_workers:
        description:
          - After a reload wait until the main process has started new processes, as nginx does when it has accepted its configuration.
            If none comes, the module fails.
        type: bool
        default: false
      answers:
        description: Wait until the service answers. One of O(services[].answers.url), O(services[].answers.port) and O(services[].answers.socket).
        type: dict
        suboptions:
          url:
            description: An address that begins with C(http://).
            type: str
          unix_socket:
            description: Ask for the O(services[].answers.url) at this socket.
            type: path
          status:
            description: What the answer's status may be.
            type: list
            elements: int
            default: [200]
          port:
            description: A TCP port that accepts connections.
            type: int
          address:
            description: Where that port is.
            type: str
            default: 127.0.0.1
          socket:
            description: A unix socket that accepts connections.
            type: path
          seconds:
            description: How long to wait for the right answer.
            type: int
            default: 30
attributes:
  check_mode:
    description: Says what would be done, also with units that are not on the host yet, and changes nothing.
  diff_mode:
    description: Shows a line for each service that changes.
"""

EXAMPLES = r"""
- name: Run a cache with its configuration as it is now
  holdfast.registry.services:
    services:
      - name: redis-server@registry.service
        restart_on: [/etc/redis/redis-registry.conf]
        answers: {port: 6380}

- name: Let nginx take up its configuration and its certificate, and see that it does
  holdfast.registry.services:
    services:
      - name: nginx.service
        reload_on: [/etc/nginx, /etc/ssl/private/registry.crt, /etc/ssl/private/registry.key]
        new_workers: true
"""

RETURN = r"""
services:
  description: What was done with each.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the unit.
      type: str
      sample: redis-server@registry.service
    actions:
      description: What was done, out of V(enabled), V(disabled), V(started), V(restarted), V(reloaded) and V(stopped).
      type: list
      elements: str
      sample: [restarted]
    reasons:
      description: Why.
      type: list
      elements: str
      sample: ["/etc/redis/redis-registry.conf: not read by the running service yet"]
reasons:
  description: The reasons, by the unit's name.
  returned: success
  type: dict
  sample:
    redis-server@registry.service: ["/etc/redis/redis-registry.conf: not read by the running service yet"]
"""

from ansible_collections.holdfast.registry.plugins.module_utils._host import services
from ansible_collections.holdfast.registry.plugins.module_utils._host.systemd import Systemd, Waiting
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result, entries, run

ANSWERS: Options = {
    "url": {"type": "str"},
    "unix_socket": {"type": "path"},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "port": {"type": "int"},
    "address": {"type": "str", "default": "127.0.0.1"},
    "socket": {"type": "path"},
    "seconds": {"type": "int", "default": 30},
}
SERVICE: Options = {
    "name": {"type": "str", "required": True},
    "restart_on": {"type": "list", "elements": "path", "default": []},
    "reload_on": {"type": "list", "elements": "path", "default": []},
    "restart": {"type": "bool", "default": False},
    "reload": {"type": "bool", "default": False},
    "enabled": {"type": "bool"},
    "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
    "new_workers": {"type": "bool", "default": False},
    "answers": {"type": "dict", "options": ANSWERS},
}


def work(call: Call) -> Result:
    wanted = [services.Wanted.of(entry, f"services[{place}]") for place, entry in enumerate(call.parameters["services"])]
    return services.manage(wanted, call.check_mode, Systemd(), Waiting())


def main() -> None:
    run(work, {"services": entries(SERVICE)})


if __name__ == "__main__":
    main()
