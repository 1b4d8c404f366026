# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the services that a module brings into their states."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  services:
    description: The services, handled in this order.
    type: list
    elements: dict
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
"""
