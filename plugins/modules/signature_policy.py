# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have podman, skopeo and CRI-O refuse images that are not signed."""

from __future__ import annotations

DOCUMENTATION = r"""
module: signature_policy
short_description: Have podman, skopeo and CRI-O refuse images that are not signed
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Requires signatures of the images of registries and repositories, and has them looked for there.
  - It merges its entries into C(policy.json) and keeps a file of its own, C(holdfast.yaml), in C(registries.d). Other entries stay as they are,
    and so does the default for all other images.
  - Remembers on the host what it has written, under O(name). What is taken off O(policies) is removed again.
  - podman, buildah, skopeo and CRI-O read these files each time. The Docker engine reads neither, and has nothing like them.
extends_documentation_fragment:
  - holdfast.registry.attributes
  - holdfast.registry.record
options:
  policies:
    description:
      - All that is required under O(name). An empty list removes all requirements that were there under it.
    type: list
    elements: dict
    required: true
    suboptions:
      scope:
        description:
          - The images, by the beginning of their names, such as V(registry.example.com), V(registry.example.com:5000/team), V(registry.example.com/team/app)
            or V(*.example.com). The longest scope that fits an image is the only one that counts for it.
          - An entry of other origin for the same scope is never replaced. If it says something else, the module fails before it changes anything.
        type: str
        required: true
      type:
        description:
          - V(sigstore) to require a signature as C(cosign sign --key) makes it, which is kept in the registry next to the image.
          - V(gpg) to require one as C(skopeo copy --sign-by) makes it (simple signing).
          - V(reject) to accept no image of the scope at all.
        type: str
        choices: [sigstore, gpg, reject]
        default: sigstore
      keys:
        description:
          - The public keys as text, such as the content of C(cosign.pub). A signature by any of them is enough.
          - For V(gpg) as C(gpg --armor --export) prints them.
          - Several keys of V(sigstore) for one scope need podman 5.3, buildah 1.38 and skopeo 1.17, where they are installed.
        type: list
        elements: str
        default: []
      lookaside:
        description: For V(gpg), the URL below which the signatures are, since a registry does not keep them.
        type: str
  directory:
    description: The directory of C(policy.json) and C(registries.d).
    type: path
    default: /etc/containers
attributes:
  diff_mode:
    details: Shows both files before and after.
notes:
  - A user's own C(~/.config/containers/policy.json) is used instead of this one.
  - A missing C(policy.json) is made, and accepts all other images. It stays when the entries are removed, since podman does not work without one.
  - The record is C(/var/lib/holdfast/signature_policy.json).
"""

EXAMPLES = r"""
- name: Run nothing from the registry that is not signed
  holdfast.registry.signature_policy:
    name: my_playbook
    policies:
      - scope: registry.example.com
        keys: ["{{ lookup('ansible.builtin.file', 'cosign.pub') }}"]

- name: Require it of some repositories only, and accept nothing from another
  holdfast.registry.signature_policy:
    name: my_playbook
    policies:
      - scope: registry.example.com/base
        keys: ["{{ lookup('ansible.builtin.file', 'cosign.pub') }}"]
      - scope: registry.example.com/old
        type: reject

- name: Require nothing any longer that the tasks above did
  holdfast.registry.signature_policy:
    name: my_playbook
    policies: []
"""

RETURN = r"""
changes:
  description: A line for each scope and file that changed.
  returned: success
  type: list
  elements: str
  sample: ["registry.example.com: added, sigstore", "/etc/containers/registries.d/holdfast.yaml: added"]
"""

import os

from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, entries, run
from ansible_collections.holdfast.registry.plugins.module_utils._trust.policy import Wanted, manage
from ansible_collections.holdfast.registry.plugins.module_utils._trust.requirements import parse

POLICY: Options = {
    "scope": {"type": "str", "required": True},
    "type": {"type": "str", "choices": ["sigstore", "gpg", "reject"], "default": "sigstore"},
    # A private key may have been pasted.
    "keys": {"type": "list", "elements": "str", "default": [], "no_log": True},
    "lookaside": {"type": "str"},
}
OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "policies": entries(POLICY),
    "directory": {"type": "path", "default": "/etc/containers"},
}


def work(call: Call) -> Result:
    name, directory = call.parameters["name"], call.parameters["directory"]
    if not name or not name.isprintable():
        raise HoldfastError(f"name: {name!r} is no name; use the name of the play that requires this, such as my_playbook")
    if not os.path.isabs(directory) or not directory.isprintable():
        raise HoldfastError(f"directory: {directory!r} is not an absolute path; use /etc/containers")
    wanted = Wanted(name, parse(call.parameters["policies"], parameter="policies"), os.path.normpath(directory))
    return manage(call.run_program, wanted, os.path.join(STATE, "signature_policy.json"), check_mode=call.check_mode)


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
