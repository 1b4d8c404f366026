# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_login
short_description: Registry credentials in the Docker client configuration of local users
version_added: 1.0.0
description:
  - Writes what C(docker login) writes into C(~/.docker/config.json), for many users and registries in one call.
  - Neither Docker nor the registry is needed, and whether the password is right is not asked.
    Podman, skopeo and buildah read the same file.
  - Everything else in the file is kept, and so is its order.
  - All work in a home is done as its user, never as root. Without root, a user's own configuration can be changed.
  - Nothing is written for anybody before every user's file has been read and found to be in order.
author:
  - holdfast.registry contributors (@holdfast)
options:
  logins:
    description:
      - The logins that must be there, or must not be there. Logins which are not listed stay as they are.
    type: list
    elements: dict
    required: true
    suboptions:
      user:
        description:
          - The user of the host whose configuration it is.
        type: str
        required: true
      registry:
        description:
          - The registry as it stands in image names, V(HOST) or V(HOST:PORT). V(docker.io) is the Docker Hub.
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
notes:
  - The file holds the passwords readably, as C(docker login) leaves them. It is made with mode V(0600), and a wider mode is tightened.
  - Where a credential helper is configured (C(credsStore), C(credHelpers)), Docker asks that one instead of the file.
    The module fails then, rather than write credentials nobody reads.
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying the target.
    support: full
    details: A user who does not exist is taken for one whom an earlier task of the play would make.
  diff_mode:
    description: Returns details on what has changed in diff mode.
    support: full
    details: Shows the changed entries, with C(<credentials of NAME>) in place of each secret.
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

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.registry_login import converge, parse_logins
from ansible_collections.holdfast.registry.plugins.module_utils.secret_module import SecretModule

ARGUMENT_SPEC = {
    "logins": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "user": {"type": "str", "required": True},
            "registry": {"type": "str", "required": True},
            "username": {"type": "str"},
            "password": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
}


def main() -> None:
    module = SecretModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        logins = parse_logins(module.params["logins"])
        module.no_log_values.update(login.auth for login in logins if login.present)
        outcomes, diffs = converge(logins, check_mode=module.check_mode)
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    result = {"changed": any(outcome["changed"] for outcome in outcomes), "logins": outcomes}
    if module._diff:
        result["diff"] = diffs
    module.exit_json(**result)


if __name__ == "__main__":
    main()
