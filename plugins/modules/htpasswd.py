# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage all users of a password file for HTTP basic authentication."""

from __future__ import annotations

DOCUMENTATION = r"""
module: htpasswd
short_description: Manage all users of a password file for HTTP basic authentication
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Adds, updates and removes any number of users of one password file in one call.
  - The file is locked, read once and replaced in one step. Servers see the old file or the new one, even if the run is killed.
    The lock is an empty file next to it, C(.NAME.lock), which is kept.
  - Passwords are stored as bcrypt hashes, C($2y$), which every server reads.
  - Comments and blank lines stay where they are, and so do users that are not listed, whatever their hashes, unless O(exclusive=true).
  - A line that is neither an entry nor a comment, or an entry with white space around its name, is an error that names the line.
    The file is then not changed.
  - If a user has several lines, nginx and Apache use the first one, a registry that reads the file itself the last one.
    The module keeps the first, removes the others, and warns.
  - Passwords are verified and hashed on all cores.
  - With O(services) it does afterwards what M(holdfast.registry.services) does, which saves a task. If that fails, the file has been written.
requirements:
  - python3-bcrypt, if O(users[].password) is given and crypt(3) does not support bcrypt (it does since Debian 11, Ubuntu 20.04 and RHEL 8)
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.ownership
  - holdfast.registry.services
options:
  pending:
    description: Paths for O(services), as O(holdfast.registry.services#module:pending).
    type: list
    elements: path
    default: []
  path:
    description:
      - The password file. It is created when there is a user to write to it; its directory must exist.
      - A file that is mounted by itself into a container cannot be replaced in one step and is refused. Mount its directory instead.
      - If this is a symbolic link, the file it points to is changed, and the link is kept.
    type: path
    required: true
  users:
    description: The users, each listed once.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The user's name. At most 255 bytes; no colon, no control characters, no C(#) in front, no white space around it.
          - A number or a boolean is refused, since YAML may read it differently than it was written; put it in quotes.
        type: raw
        required: true
      password:
        description:
          - The password, in quotes if YAML would read a number. No control characters; at most 72 bytes in UTF-8, as bcrypt reads no more.
          - A user with O(users[].state=present) needs either this or O(users[].password_hash).
        type: raw
      password_hash:
        description:
          - A hash, as C(htpasswd -nB -C 12 alice) prints it after the colon; it is written unchanged.
          - bcrypt (C($2y$), C($2b$), C($2a$)), sha512-crypt (C($6$)) or apr1 (C($apr1$)).
          - A hash that differs from the one in the file only by C($2b$) in place of C($2y$) is the same.
        type: str
      state:
        description: Whether the user is in the file.
        type: str
        choices: [present, absent]
        default: present
  exclusive:
    description:
      - Whether users that are not listed are removed.
      - Comments and blank lines are kept.
    type: bool
    default: false
  update_password:
    description:
      - V(always) rewrites an entry if its password or hash differs, if O(users[].password) is given and the entry is not a bcrypt hash,
        or if its cost is below O(bcrypt_cost).
      - V(on_create) never changes an existing entry.
    type: str
    choices: [always, on_create]
    default: always
  bcrypt_cost:
    description:
      - The cost of bcrypt, from 4 to 17. Each step doubles the time of a guess, and of every verification by the server.
      - The default is the minimum that OWASP recommends. nginx and Apache by themselves verify the password on every request,
        which takes a core about 50 ms with V(10) and 200 ms with V(12), and so limits the number of requests a server can handle.
      - Choose V(12) or more where passwords are verified less often, such as behind nginx with C(auth_request) and C(proxy_cache),
        which cache the result for some seconds.
      - An entry with a higher cost is kept until its password changes.
    type: int
    default: 10
  mode:
    default: "0640"
  group:
    description: The group, by name or number. Unchanged by default. The server's group must be able to read the file.
  backup:
    description:
      - Whether to keep a copy of the old file when its content changes.
      - The copy has the owner, group and mode of the file, except that it is never readable by others and has no ACL.
      - It contains the hashes of changed passwords and removed users, so delete it when it is no longer needed.
      - In check mode no copy is made.
    type: bool
    default: false
attributes:
  diff_mode:
    details: Shows the lines of the file with a description in place of each hash.
seealso:
  - module: holdfast.registry.services
"""

EXAMPLES = r"""
- name: Exactly these users
  holdfast.registry.htpasswd:
    path: /etc/nginx/registry.htpasswd
    group: www-data
    exclusive: true
    users:
      - name: alice
        password: "{{ alice_password }}"
      - name: bob
        password_hash: $2y$10$K7dXsHgJjtJlQF8mmnWwO.AvT3EaAM0EfvYFhEJSrESSit3N//gp.

- name: Remove one user, leave the others alone
  holdfast.registry.htpasswd:
    path: /etc/nginx/registry.htpasswd
    users:
      - name: bob
        state: absent

- name: Stronger hashes for everybody whose password is known, and keep the old file
  holdfast.registry.htpasswd:
    path: /etc/nginx/registry.htpasswd
    bcrypt_cost: 12
    backup: true
    users:
      - name: alice
        password: "{{ alice_password }}"

- name: A first password that the user may change later
  holdfast.registry.htpasswd:
    path: /etc/nginx/registry.htpasswd
    update_password: on_create
    users:
      - name: alice
        password: "{{ lookup('holdfast.registry.secret', 'secrets/alice') }}"
"""

RETURN = r"""
path:
  description: The password file.
  returned: success
  type: str
  sample: /etc/nginx/registry.htpasswd
added:
  description: The users that were not in the file.
  returned: success
  type: list
  elements: str
  sample: [alice]
updated:
  description: The users whose entry was rewritten.
  returned: success
  type: list
  elements: str
  sample: [bob]
removed:
  description: The users that are no longer in the file.
  returned: success
  type: list
  elements: str
  sample: [mallory]
reasons:
  description: Why each of these users was added, updated or removed.
  returned: success
  type: dict
  sample:
    alice: missing
    bob: scheme apr1 -> bcrypt
    mallory: not listed, and exclusive is true
file_changes:
  description: What else changed about the file, besides its users.
  returned: success
  type: list
  elements: str
  sample: [mode 0644 -> 0640]
services:
  description: What was done with each service. This and the following are described with M(holdfast.registry.services).
  returned: with O(services) or O(remove_others)
  type: list
  elements: dict
removed_units:
  description: The units of O(remove_others) that were removed, there as RV(holdfast.registry.services#module:removed).
  returned: with O(services) or O(remove_others)
  type: list
  elements: dict
drained:
  description: Whether the host was taken out of service by O(drain).
  returned: with O(services) or O(remove_others)
  type: bool
backup_file:
  description: The copy of the old file.
  returned: when O(backup=true) and the content of a file was changed, not in check mode
  type: str
  sample: /etc/nginx/registry.htpasswd.4711.2026-01-31@12:00:00~
"""

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host import service_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, entries, run
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.file import Policy, diff, manage
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import check_cost, checked_users, problems

USER: Options = {
    "name": {"type": "raw", "required": True},
    "password": {"type": "raw", "no_log": True},
    "password_hash": {"type": "str", "no_log": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
OPTIONS: Options = {
    "path": {"type": "path", "required": True},
    "users": entries(USER),
    "exclusive": {"type": "bool", "default": False},
    "update_password": {"type": "str", "choices": ["always", "on_create"], "default": "always", "no_log": False},
    "bcrypt_cost": {"type": "int", "default": 10},
    "mode": {"type": "raw", "default": "0640"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "backup": {"type": "bool", "default": False},
    "pending": {"type": "list", "elements": "path", "default": []},
    **service_parameters.OPTIONS,
}


def explain(params: dict[str, t.Any]) -> str | None:
    """Name the place in users, which Ansible's own validation does not."""
    return "; ".join(problems(_given(params.get("users"))))


def _given(users: t.Any) -> t.Any:
    """The users without the keys that Ansible adds to each."""
    if not isinstance(users, list):
        return users
    return [{key: value for key, value in user.items() if value is not None} if isinstance(user, dict) else user for user in users]


def work(call: Call) -> Result:
    params = call.parameters
    services = service_parameters.Asked(call)
    check_cost(params["bcrypt_cost"])
    users = checked_users(_given(params["users"]))
    policy = Policy(params["bcrypt_cost"], params["exclusive"], params["update_password"] == "on_create")
    warnings = []
    try:
        ownership = Ownership.of(params["mode"], params["owner"], params["group"])
    except HoldfastError as error:
        if not call.check_mode:
            raise
        # On a fresh host the package that brings the server's user is not installed yet.
        ownership = Ownership.of(params["mode"], None, None)
        warnings.append(f"{error}: this fails unless it is made before")

    plan = manage(params["path"], users, policy, ownership, check_mode=call.check_mode, backup=params["backup"])
    before, after = diff(plan, policy)
    shown = [{"before_header": params["path"], "after_header": params["path"], "before": before, "after": after}]
    if plan.file_changes:
        shown.append({"prepared": "".join(f"{params['path']}: {change}\n" for change in plan.file_changes)})
    written: Result = {
        "changed": bool(plan.reasons or plan.file_changes),
        "path": params["path"],
        "added": plan.added,
        "updated": plan.updated,
        "removed": plan.removed,
        "reasons": plan.reasons,
        "file_changes": plan.file_changes,
        **({"backup_file": plan.backup} if plan.backup else {}),
        "diff": shown,
        "warnings": warnings + plan.warnings,
    }
    return _with_services(services, written, params["pending"]) if services else written


def _with_services(services: service_parameters.Asked, written: Result, pending: list[str]) -> Result:
    try:
        done = services.do([*pending, *([written["path"]] if written["changed"] else [])])
    except HoldfastError as error:
        raise HoldfastError(str(error), {**error.results, **{name: value for name, value in written.items() if name != "diff"}}) from None
    about = {"services": done["services"], "removed_units": done["removed"], "drained": done["drained"]}
    return {**written, **about, "changed": written["changed"] or done["changed"], "diff": [*written["diff"], done["diff"]]}


def main() -> None:
    run(work, OPTIONS, explain=explain)


if __name__ == "__main__":
    main()
