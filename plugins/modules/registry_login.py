# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry credentials in the Docker client configuration of local users."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_login
short_description: Registry credentials in the Docker client configuration of local users
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Writes what C(docker login) writes into C(~/.docker/config.json), for many users and registries in one call.
  - Docker is not needed. Podman, skopeo and buildah read the same file.
  - As C(docker login) does, it asks the registry first whether it accepts the password, unless O(check_credentials=false).
  - Everything else in the file is kept, and so is its order.
  - All work in a home directory is done as its user, never as root. Without root, a user's own configuration can be changed.
  - Nothing is written before every user's file has been read and checked.
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  logins:
    description:
      - The logins to add or remove. Logins that are not listed are not changed.
    type: list
    elements: dict
    required: true
    suboptions:
      user:
        description:
          - The user of the host who is logged in.
        type: str
        required: true
      registry:
        description:
          - The registry as written in image names, V(HOST) or V(HOST:PORT). V(docker.io) is the Docker Hub.
        type: str
        required: true
      username:
        description:
          - The username at the registry. Required with O(logins[].state=present).
        type: str
      password:
        description:
          - The password or access token. Required with O(logins[].state=present).
        type: str
      state:
        description:
          - Whether the user is logged in to the registry.
        type: str
        choices: [present, absent]
        default: present
  check_credentials:
    description:
      - Whether to ask each registry over HTTPS about each login with O(logins[].state=present) before anything is written.
        Existing logins are checked too, so a password that was changed or removed at the registry is noticed.
      - If the registry rejects a password, the module fails and writes nothing. In check mode it warns,
        since an earlier task of the play may be the one to set the password.
      - If the registry does not respond or its CA is not trusted, the module warns.
      - The registry is trusted as Docker trusts it, through the system's CAs and those in O(docker_directory),
        and is presented with the client certificates there.
    type: bool
    default: true
  docker_directory:
    description: Directory of Docker's certificates by registry, as written by M(holdfast.registry.ca_trust) for example. Only for O(check_credentials).
    type: path
    default: /etc/docker/certs.d
attributes:
  check_mode:
    details: A user who does not exist is assumed to be created by an earlier task of the play.
  diff_mode:
    details: Shows the changed entries, with C(<credentials of NAME>) in place of each secret.
notes:
  - The file holds the passwords in readable form, as after C(docker login). It is created with mode V(0600), and a wider mode is restricted.
  - If a credential helper is configured (C(credsStore), C(credHelpers)), Docker uses it instead of the file.
    The module then fails, rather than write credentials that nothing reads.
"""

EXAMPLES = r"""
- name: Log users in to the registry
  holdfast.registry.registry_login:
    logins:
      - user: alice
        registry: registry.example.com
        username: alice
        password: "{{ alice_password }}"
      - user: root
        registry: registry.example.com
        username: deploy
        password: "{{ deploy_password }}"
  become: true

- name: Log a user in with a generated password before the registry is set up
  holdfast.registry.registry_login:
    logins:
      - user: alice
        registry: registry.example.com
        username: alice
        password: "{{ lookup('holdfast.registry.secret', '~/.config/holdfast/alice') }}"
    check_credentials: false
  become: true

- name: Log a user out
  holdfast.registry.registry_login:
    logins:
      - user: bob
        registry: registry.example.com:5000
        state: absent
  become: true
"""

RETURN = r"""
logins:
  description: What happened to each login, in the order of O(logins).
  returned: success
  type: list
  elements: dict
  contains:
    user:
      description: The user of the host.
      type: str
      sample: alice
    registry:
      description: The registry.
      type: str
      sample: registry.example.com
    path:
      description: The configuration file. For a user who does not exist it begins with V(~).
      type: str
      sample: /home/alice/.docker/config.json
    changed:
      description: Whether something was changed, or would be in check mode.
      type: bool
      sample: true
    reason:
      description: Why.
      type: str
      sample: password changed
  sample:
    - user: alice
      registry: registry.example.com
      path: /home/alice/.docker/config.json
      changed: true
      reason: password changed
"""

from ansible_collections.holdfast.registry.plugins.module_utils._docker.check import check
from ansible_collections.holdfast.registry.plugins.module_utils._docker.login import converge, parse_logins
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, entries, run

LOGIN: Options = {
    "user": {"type": "str", "required": True},
    "registry": {"type": "str", "required": True},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
OPTIONS: Options = {
    "logins": entries(LOGIN),
    "check_credentials": {"type": "bool", "default": True},
    "docker_directory": {"type": "path", "default": "/etc/docker/certs.d"},
}


def work(call: Call) -> Result:
    logins = parse_logins(call.parameters["logins"])
    for login in logins:
        if login.present:
            call.hide(login.auth)
    warnings: list[str] = []
    if call.parameters["check_credentials"]:
        refused, warnings = check(logins, call.parameters["docker_directory"])
        if refused and not call.check_mode:
            raise HoldfastError(f"{'; '.join(refused)}. Nothing was written; right would be the current password, or check_credentials: false")
        warnings = [f"{line}; a real run fails here unless that is put right before" for line in refused] + warnings
    outcomes, diffs = converge(logins, check_mode=call.check_mode)
    return {"changed": any(outcome["changed"] for outcome in outcomes), "logins": outcomes, "diff": diffs, "warnings": warnings}


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
