# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refuse the settings of a role that cannot work, before anything is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: check_settings
short_description: Refuse the settings of a role that cannot work, before anything is changed
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Checks the variables of a role of this collection on the controller. Types, choices and required variables are in the role's argument
    spec, the rest is checked by the collection's own code. Fails with a list of all problems.
  - Warns about inventory variables that begin with the role's name and do not exist, since a misspelt one would go unnoticed.
extends_documentation_fragment:
  - holdfast.registry.attributes.read_only
options:
  role:
    description: Name of the role. V(site) checks the settings of C(site.yml) and the host itself.
    type: str
    required: true
    choices: [acme, docker_client, keeper, nginx_auth, pki, redis, registry, site, virtual_address]
  called:
    description:
      - Variables of the role that the user knows under another name, for the messages.
      - A variable that the inventory sets keeps its own name. C(site.yml) does the same for all roles with the variable C(holdfast_called).
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Check the settings of the cache
  holdfast.registry.check_settings:
    role: redis
"""

RETURN = r"""
problems:
  description: The problems. Empty if the module does not fail.
  returned: always
  type: list
  elements: str
  sample: ["redis_port: 70000 is not a port between 1 and 65535"]
called:
  description: Variables of the role that the user knows under another name, for what checks them on the host.
  returned: success
  type: dict
  sample: {nginx_auth_port: holdfast_port}
"""
