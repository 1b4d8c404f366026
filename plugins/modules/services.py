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
  - holdfast.registry.services
options:
  services:
    required: true
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

from ansible_collections.holdfast.registry.plugins.module_utils._host import service_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Result, run


def work(call: Call) -> Result:
    return service_parameters.Asked(call).do(call.parameters["pending"])


def main() -> None:
    options = {**service_parameters.OPTIONS, "pending": {"type": "list", "elements": "path", "default": []}}
    options["services"] = {**options["services"], "required": True}
    run(work, options)


if __name__ == "__main__":
    main()
