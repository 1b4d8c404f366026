# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Manage registry credentials in the Docker or podman configuration of local users."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_login
short_description: Manage registry credentials in the Docker or podman configuration of local users
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Writes what C(docker login) writes into C(~/.docker/config.json), for many users and registries in one call,
    or what podman, skopeo and buildah read from C(~/.config/containers/auth.json).
  - Neither Docker nor podman is needed.
  - If the file names a credential helper for the registry (C(credHelpers), for Docker also C(credsStore)), the password is kept by the helper, as
    after C(docker login), and not in the file. A helper that is missing is an error.
  - As C(docker login) does, it asks the registry first whether it accepts the password, unless O(check_credentials=false).
  - Everything else in the file is kept, and so is its order.
  - All work in a home directory is done as its user, never as root. Without root, a user's own configuration can be changed.
  - Nothing is written before every user's file has been read and checked. A file that belongs to another user is an error.
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
          - Default is O(registry).
        type: str
      username:
        description:
          - The username at the registry. Required with O(logins[].state=present).
        type: str
      password:
        description:
          - The password or access token. Required with O(logins[].state=present).
        type: str
      client:
        description:
          - Whose file it is. V(docker) is C(~/.docker/config.json), which podman, skopeo and buildah read as well unless one of their own
            files has the registry.
          - V(podman) is C(~/.config/containers/auth.json). C(podman login) itself writes into a file below C(/run), which is preferred
            but gone after the next boot; if it has other credentials, the module warns. So it does if C(credential-helpers) in C(registries.conf)
            keeps podman from reading any of these files.
        type: str
        choices: [docker, podman]
        default: docker
      state:
        description:
          - Whether the user is logged in to the registry. With V(absent), a user who does not exist is no error.
        type: str
        choices: [present, absent]
        default: present
  registry:
    description: The registry of all O(logins) that name none.
    type: str
  check_credentials:
    description:
      - Whether to ask each registry over HTTPS about each login with O(logins[].state=present) before anything is written.
        Existing logins are checked too, so a password that was changed or removed at the registry is noticed.
      - If the registry rejects a password, the module fails and writes nothing. In check mode it warns,
        since an earlier task of the play may be the one to set the password.
      - If the registry does not respond or its CA is not trusted, the module warns.
      - The registry is trusted as the client trusts it, through the system's CAs and those in O(docker_directory), for podman in
        O(containers_directory) if the registry is there, and is presented with the client certificates there.
    type: bool
    default: true
  docker_directory:
    description: Directory of Docker's certificates by registry, as written by M(holdfast.registry.ca_trust) for example. Only for O(check_credentials).
    type: path
    default: /etc/docker/certs.d
  containers_directory:
    description: Directory of the certificates of podman, skopeo and buildah. Only for O(check_credentials).
    type: path
    default: /etc/containers/certs.d
  name:
    description:
      - What the record of the logins that this module has written is kept under, for O(exclusive). Give each playbook or role a name of its own.
        Needs root.
    type: str
  exclusive:
    description:
      - Also log users out where an earlier call has logged them in under O(name), if the login is not in O(logins) any more.
      - A login that was there before, or that another call has written under another name, stays.
    type: bool
    default: false
attributes:
  check_mode:
    details: A user who does not exist is assumed to be created by an earlier task of the play.
  diff_mode:
    details: Shows the changed entries, with C(<credentials of NAME>) in place of each secret.
notes:
  - Without a credential helper the file holds the passwords in readable form, as after C(docker login). It is created with mode V(0600), and a wider mode is
    restricted.
  - A credential helper runs as the user, with the user's home and without a terminal. One that waits for a passphrase is ended after a minute.
  - The record is C(/var/lib/holdfast/registry_login.json). It holds no secret.
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

- name: Log a user in for podman, and nobody else any longer whom a run before has logged in
  holdfast.registry.registry_login:
    logins:
      - user: alice
        registry: registry.example.com
        client: podman
        username: alice
        password: "{{ alice_password }}"
    name: my_playbook
    exclusive: true
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
  description: What happened to each login, in the order of O(logins). Those that O(exclusive) removes follow.
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
    client:
      description: The client, V(docker) or V(podman).
      type: str
      sample: docker
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
      client: docker
      path: /home/alice/.docker/config.json
      changed: true
      reason: password changed
"""

import os

from ansible_collections.holdfast.registry.plugins.module_utils._docker.check import check
from ansible_collections.holdfast.registry.plugins.module_utils._docker.login import parse_logins
from ansible_collections.holdfast.registry.plugins.module_utils._docker.owned import log_in
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, entries, run

LOGIN: Options = {
    "user": {"type": "str", "required": True},
    "registry": {"type": "str"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "client": {"type": "str", "choices": ["docker", "podman"], "default": "docker"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
OPTIONS: Options = {
    "logins": entries(LOGIN),
    "registry": {"type": "str"},
    "check_credentials": {"type": "bool", "default": True},
    "docker_directory": {"type": "path", "default": "/etc/docker/certs.d"},
    "containers_directory": {"type": "path", "default": "/etc/containers/certs.d"},
    "name": {"type": "str"},
    "exclusive": {"type": "bool", "default": False},
}


def work(call: Call) -> Result:
    params = call.parameters
    if params["name"] is not None and not (params["name"] and params["name"].isprintable()):
        raise HoldfastError(f"name: {params['name']!r} is no name; use the name of the play that logs these users in, such as my_playbook")
    if params["exclusive"] and not params["name"]:
        raise HoldfastError("exclusive: needs name, under which the logins that may go are recorded; use name: my_playbook")
    logins = parse_logins(params["logins"], params["registry"])
    for login in logins:
        if login.present:
            call.hide(login.auth)
    warnings: list[str] = []
    if params["check_credentials"]:
        docker, containers = params["docker_directory"], params["containers_directory"]
        refused, warnings = check(logins, {"docker": [docker], "podman": [containers, docker]})
        if refused and not call.check_mode:
            raise HoldfastError(f"{'; '.join(refused)}. Nothing was written; use the current password, or check_credentials: false")
        warnings = [f"{line}; a real run fails here unless that is put right before" for line in refused] + warnings
    record = os.path.join(STATE, "registry_login.json")
    outcome = log_in(call.run_program, logins, params["name"], record, exclusive=params["exclusive"], check_mode=call.check_mode)
    return {
        "changed": any(entry["changed"] for entry in outcome.logins),
        "logins": outcome.logins,
        "diff": outcome.diffs,
        "warnings": warnings + outcome.warnings,
    }


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
