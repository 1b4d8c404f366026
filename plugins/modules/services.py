# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run systemd services with the current state of the files they read."""

from __future__ import annotations

DOCUMENTATION = r"""
module: services
short_description: Run systemd services with the current state of the files they read
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Starts, restarts or reloads services, each at most once, if a file that they read has changed since they read it, by whatever means.
  - Keeps digests of the files that a service has read below C(/var/lib/holdfast/services), computed before the restart or reload and written once that
    has taken effect. So the next run notices a file that changed in between, a run that was killed and a certificate that was renewed.
  - A file that was written before the service started counts as read. So neither an upgrade nor a boot causes a restart,
    and neither does a service without a record.
  - If a restart or reload does not take effect, the module fails with the last lines of the service's journal.
  - Changed unit files and drop-ins cause a restart too, after systemd has read them again.
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
        description: Name of the unit, including C(.service), C(.socket) or C(.timer).
        type: str
        required: true
      restart_on:
        description: Files and directories that the service reads only when it starts.
        type: list
        elements: path
        default: []
      reload_on:
        description: Files and directories for which a reload is enough.
        type: list
        elements: path
        default: []
      restart:
        description: Restart it in any case. Use this in check mode, where the files have not been written, to make the prediction right.
        type: bool
        default: false
      reload:
        description: Reload it in any case, unless it is restarted.
        type: bool
        default: false
      stop_first:
        description:
          - If it has to be restarted, stop it before any other service of the list is started. For services that must not run at the same time, one with
            its former settings and another with its new ones.
        type: bool
        default: false
      reload_before_restart:
        description:
          - If it has to be restarted, and a file of O(services[].reload_on) has changed too, reload it first. For a service that takes up by a
            reload how it is to be restarted, such as Docker with C(live-restore).
        type: bool
        default: false
      enabled:
        description: Whether it starts at boot. By default true with O(services[].state=started) and false with O(services[].state=stopped).
        type: bool
      state:
        description:
          - Whether it runs now.
          - V(released) hands a service back. If it runs and has not read a change yet, it is restarted or reloaded a last time. It is neither started nor
            stopped, enabled nor disabled, and its record is removed.
        type: str
        choices: [started, stopped, released]
        default: started
      new_workers:
        description:
          - After a reload wait until the main process has started new processes, as nginx does when it has accepted its configuration.
            If none comes, the module fails.
        type: bool
        default: false
      drains:
        description: Whether the host has to be out of service while it is stopped or restarted. See O(drain).
        type: bool
        default: false
        version_added: 1.0.0
      answers:
        description: Wait until the service responds. One of O(services[].answers.url), O(services[].answers.port) and O(services[].answers.socket).
        type: dict
        suboptions:
          url:
            description: A URL that begins with C(http://).
            type: str
          unix_socket:
            description: Request O(services[].answers.url) through this socket.
            type: path
          status:
            description: Accepted statuses of the response.
            type: list
            elements: int
            default: [200]
          port:
            description: A TCP port that accepts connections.
            type: int
          address:
            description: Address of that port.
            type: str
            default: 127.0.0.1
          socket:
            description: A unix socket that accepts connections.
            type: path
          seconds:
            description: How long to wait for the response.
            type: int
            default: 30
  drain:
    description:
      - For a host that is one of several that do the same. Before the first service with O(services[].drains) is stopped or restarted, the host is taken
        out of service, so that clients go to the other hosts.
      - Whoever calls the module lets the host serve again, by removing O(drain.file) and starting the units in O(drain.stop).
      - Without it, and where nothing has to be stopped or restarted, nothing of it is done.
    type: dict
    version_added: 1.0.0
    suboptions:
      file:
        description:
          - The file by which the host says that it is to be left alone, to a load balancer for example. It is made unless it is there.
          - Its content is C(drained by a run of the playbook), so that a file that somebody made by hand can be told from it.
        type: path
        required: true
      seconds:
        description: How long to wait then, for those who look at the file now and then. Not where the file was there before.
        type: int
        default: 0
      stop:
        description:
          - Units to stop after that, in this order, such as the server that clients connect to. systemd waits until they have finished.
          - If none of them runs, nobody is served, and nothing of this is done.
        type: list
        elements: str
        default: []
      refused:
        description: Why the host must not go out of service now. If it is not empty, the module fails with it before anything is stopped or restarted.
        type: str
        default: ""
  remove_others:
    description:
      - Patterns of units, such as V(app@*.service). Those in C(/etc/systemd/system) that match and are not in O(services) are stopped and disabled, before
        anything else is done, and their unit files are removed.
      - Only units whose file has the line C(X-ManagedBy=holdfast.registry) are removed.
    type: list
    elements: str
    default: []
  pending:
    description:
      - Paths that an earlier task of the play has written, or would have written in check mode. They make the prediction right. Otherwise they have no effect.
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Predicts what would be done, including units that are not on the host yet, and changes nothing.
  diff_mode:
    description: Shows a line for each service that changes.
"""

EXAMPLES = r"""
- name: Run a cache with its current configuration
  holdfast.registry.services:
    services:
      - name: redis-server@registry.service
        restart_on: [/etc/redis/redis-registry.conf]
        answers: {port: 6380}

- name: Make nginx apply its configuration and certificate, and check that it did
  holdfast.registry.services:
    services:
      - name: nginx.service
        reload_on: [/etc/nginx, /etc/ssl/private/registry.crt, /etc/ssl/private/registry.key]
        new_workers: true
"""

RETURN = r"""
drained:
  description: Whether the host was taken out of service by O(drain), or would have been in check mode.
  returned: success
  type: bool
  sample: false
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
removed:
  description: The units of O(remove_others) that were removed.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the unit.
      type: str
      sample: app@old.service
    description:
      description: Its description, from the unit file.
      type: str
      sample: Application old, data in /srv/old
reasons:
  description: The reasons, by the unit's name.
  returned: success
  type: dict
  sample:
    redis-server@registry.service: ["/etc/redis/redis-registry.conf: not read by the running service yet"]
"""

from ansible_collections.holdfast.registry.plugins.module_utils._host import services
from ansible_collections.holdfast.registry.plugins.module_utils._host.drain import Drain
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
    "stop_first": {"type": "bool", "default": False},
    "reload_before_restart": {"type": "bool", "default": False},
    "enabled": {"type": "bool"},
    "state": {"type": "str", "choices": ["started", "stopped", "released"], "default": "started"},
    "new_workers": {"type": "bool", "default": False},
    "answers": {"type": "dict", "options": ANSWERS},
    "drains": {"type": "bool", "default": False},
}
DRAIN: Options = {
    "file": {"type": "path", "required": True},
    "seconds": {"type": "int", "default": 0},
    "stop": {"type": "list", "elements": "str", "default": []},
    "refused": {"type": "str", "default": ""},
}


def work(call: Call) -> Result:
    wanted = [services.Wanted.of(entry, f"services[{place}]") for place, entry in enumerate(call.parameters["services"])]
    others, pending = call.parameters["remove_others"], call.parameters["pending"]
    systemd, waiting = Systemd(call.run_program), Waiting()
    drain = Drain(call.parameters["drain"], systemd, waiting) if call.parameters["drain"] else None
    return services.manage(wanted, call.check_mode, systemd, waiting, remove_others=others, pending=pending, drain=drain)


def main() -> None:
    run(
        work,
        {
            "services": entries(SERVICE),
            "drain": {"type": "dict", "options": DRAIN},
            "remove_others": {"type": "list", "elements": "str", "default": []},
            "pending": {"type": "list", "elements": "path", "default": []},
        },
    )


if __name__ == "__main__":
    main()
