# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: requests_as_wanted
short_description: Refuse signing requests that differ from the inventory
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Compares certificate signing requests, which come from a host, with the certificates that the inventory defines for it. A request for other names
    or another common name is an error.
  - Lifetime and usages are taken from the inventory; what the host sends is ignored.
  - Runs on the controller and needs its Python library cryptography, which ansible-core depends on.
positional: certificates
options:
  _input:
    description: The requests, as M(holdfast.registry.certificate_request) returns them.
    type: list
    elements: dict
    required: true
  certificates:
    description: The certificates as the inventory defines them, as M(holdfast.registry.certificate_request) takes them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Sign the host's requests, if they agree with the inventory
  holdfast.registry.certificate_sign:
    directory: /etc/ssl/holdfast-ca
    requests: "{{ requested.requests | holdfast.registry.requests_as_wanted(certificates) }}"
  delegate_to: ca.example.org
"""

RETURN = r"""
_value:
  description: The requests for M(holdfast.registry.certificate_sign).
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError


def requests_as_wanted(requests: list[dict[str, t.Any]], certificates: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
    from ansible_collections.holdfast.registry.plugins.plugin_utils.signing import as_wanted

    try:
        return as_wanted(requests, certificates)
    except HoldfastError as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"requests_as_wanted": requests_as_wanted}
