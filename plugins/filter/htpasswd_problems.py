# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Report what is wrong with a list of users before anything is changed."""

from __future__ import annotations

DOCUMENTATION = r"""
name: htpasswd_problems
short_description: Report what is wrong with a list of users before anything is changed
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Checks a list of users by the same rules as M(holdfast.registry.htpasswd).
  - A user may lack both C(password) and C(password_hash) here, so that a playbook can generate passwords afterwards, unless O(secret_required=true).
    One of them without a value, as from a variable that is not set, is always a problem.
  - The result never contains a password or a hash.
positional: parameter
options:
  _input:
    description: The list of users, each a dictionary with C(name) and, if wanted, C(password) or C(password_hash), and C(state).
    type: raw
    required: true
  parameter:
    description: The variable the messages name.
    type: str
    default: users
  secret_required:
    description: Whether a user who is not absent needs C(password) or C(password_hash), as for the module.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Refuse a wrong list of users before anything is changed
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    problems: "{{ holdfast_users | holdfast.registry.htpasswd_problems(parameter='holdfast_users') }}"
"""

RETURN = r"""
_value:
  description: The problems, each with its place. Empty when there are none.
  type: list
  elements: str
  sample: ["holdfast_users[2].name: 'al:ice' must not contain a colon"]
"""

import typing as t


def htpasswd_problems(users: t.Any, parameter: str = "users", *, secret_required: bool = False) -> list[str]:
    # Here and not above: Ansible imports all filters of a collection for one of them, in each process that uses it.
    from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import problems

    return problems(_decrypted(users), parameter=parameter, secret_required=secret_required)


def _decrypted(value: t.Any) -> t.Any:
    """Up to ansible-core 2.18 a value encrypted with Ansible Vault reaches a filter as an object that is no string."""
    if isinstance(value, dict):
        return {key: _decrypted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_decrypted(item) for item in value]
    return str(value) if hasattr(value, "__ENCRYPTED__") else value


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"htpasswd_problems": htpasswd_problems}
