# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
name: access_rules
short_description: Check access rules and turn them into what nginx and the search service read
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Checks the rules of the role P(holdfast.registry.nginx_auth#role) and what they refer to. As long as there is a problem, nothing is allowed.
  - Rules only allow. What no rule allows is refused, and their order does not matter.
  - Who may pull without a password may pull with one as well.
options:
  _input:
    description:
      - The rules, each a dictionary. C(users), C(groups) or C(anonymous) says whom it is for. The group C(users) is everyone who has proven who they are.
      - C(repositories) are names or patterns. C(*) stands for any characters within one component, C(**) for any characters, C(/) included; both may
        stand for nothing. C(team-a/**) is everything below C(team-a), but not C(team-a) itself.
        Put patterns in quotes, for YAML means something else by a leading C(*).
      - C(actions) are C(pull), C(push) and C(delete), C(pull) alone unless given. Who may push or delete may pull as well.
    type: raw
    required: true
  groups:
    description: Groups of users, each a name with a list of users.
    type: dict
    default: {}
  administrators:
    description: Users who may do everything.
    type: list
    elements: str
    default: []
  listing:
    description: Who else may list the catalogue and search, as C(users) and C(groups).
    type: dict
    default: {}
  users:
    description: The users with a password, each a dictionary with C(name) and, if wanted, C(state).
    type: list
    elements: dict
    default: []
  certificate_users:
    description: Names of users who have a client certificate and no password.
    type: list
    elements: str
    default: []
  exclusive:
    description: Whether a user who is on neither list is an error.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Refuse wrong rules before anything is changed
  ansible.builtin.assert:
    that: access.problems | length == 0
    fail_msg: "{{ access.problems | join('\n') }}"
  vars:
    access: >-
      {{ nginx_auth_rules | holdfast.registry.access_rules(groups=nginx_auth_groups, administrators=['alice'], users=nginx_auth_users) }}
    nginx_auth_users: [{name: alice}, {name: bob}]
    nginx_auth_groups: {team-a: [bob]}
    nginx_auth_rules:
      - {repositories: ["team-a/**"], groups: [team-a], actions: [pull, push]}
      - {repositories: ["base/*"], anonymous: true}
"""

RETURN = r"""
_value:
  description: What is wrong with the rules, and what they allow.
  type: dict
  contains:
    problems:
      description: The problems, each with its place. Empty when there are none.
      type: list
      elements: str
      sample: ['nginx_auth_rules[2].users[0]: there is no user "bobb" in nginx_auth_users or nginx_auth_certificate_users']
    map:
      description:
        - Regular expressions, one of which matches C(ACTION:USER:REPOSITORY) if that is allowed. ACTION is C(pull), C(push), C(delete) or C(list).
          USER is empty for who has not said who they are, REPOSITORY is empty for C(list).
        - Each can stand between double quotes in a C(map) of nginx, behind C(~). None has capturing groups.
      type: list
      elements: str
      sample: ['\Alist:(?:alice):\z']
    search:
      description: What the search service reads, with regular expressions of Python that match a whole name.
      type: dict
      sample:
        list: {users: [alice], everyone: false, anonymous: false}
        pull: [{users: [alice], everyone: false, anonymous: false, repositories: ["[a-z0-9._/-]*?"]}]
"""

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.access_decisions import nginx_map, search_rules
from ansible_collections.holdfast.registry.plugins.module_utils.access_rules import NOTHING, read_access


def access_rules(
    rules: t.Any,
    groups: t.Any = None,
    administrators: t.Any = None,
    listing: t.Any = None,
    users: t.Any = None,
    certificate_users: t.Any = None,
    exclusive: bool = True,
) -> dict[str, t.Any]:
    access, problems = read_access(rules, groups, administrators, listing, users, certificate_users, exclusive)
    if problems:
        access = NOTHING
    return {"problems": problems, "map": nginx_map(access), "search": search_rules(access)}


class FilterModule:
    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"access_rules": access_rules}
