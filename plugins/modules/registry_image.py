# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copy, tag and delete images in container registries."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_image
short_description: Copy, tag and delete images in container registries
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Copies, promotes and deletes images in registries, many tags in one call. Docker is not needed.
  - An image is copied whole, with all its platforms and byte for byte, so its digest stays. Within a registry, layers are mounted, not sent.
    Between registries they are streamed through the host that runs the module, never kept on its disk, and compared with their digests on the way.
  - A tag is written last, so whoever sees it can pull the image.
  - Nothing is changed before every image in the call has been looked up and found to be possible.
  - The certificate of a registry is always verified, and TLS older than 1.2 is refused. Proxy variables of the environment are ignored.
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  images:
    description:
      - The tags. Tags that are not listed are not changed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The tag, as V(REGISTRY/REPOSITORY:TAG).
        type: str
        required: true
      source:
        description:
          - The image that the tag should be, as V(REGISTRY/REPOSITORY:TAG) or V(REGISTRY/REPOSITORY@DIGEST).
            It may be in the same repository, in another one, or in another registry.
          - Without it the tag has to be there already, and the module fails if it is not.
        type: str
      state:
        description:
          - Whether the tag is there.
        type: str
        choices: [present, absent]
        default: present
      referrers:
        description:
          - Whether to copy along what refers to the image or to one of its platforms, such as signatures, attestations and lists of its contents.
          - They are found by the API of OCI 1.1, by its fallback tag, and by the tags that cosign uses. A registry without that API gets the fallback tag.
        type: bool
        default: false
  delete_other_tags:
    description:
      - Registries before version 3.0 cannot delete a tag, only a manifest together with all tags that name it. If there are others than those that the call
        makes absent or changes, the module fails and names them. With V(true) it deletes them too.
      - A manifest that is one of the platforms of another tag is never deleted.
    type: bool
    default: false
  registries:
    description:
      - How registries are reached. One that is not listed is reached over HTTPS, trusted by the host's system store, with the credentials in O(config_file).
    type: list
    elements: dict
    default: []
    suboptions:
      registry:
        description:
          - The registry as in the names of images, V(HOST) or V(HOST:PORT). V(docker.io) is the Docker Hub.
        type: str
        required: true
      url:
        description:
          - Where it is, such as V(http://127.0.0.1:5000). By default V(https://) and O(registries[].registry).
        type: str
      connect_to:
        description:
          - The address, V(ADDRESS:PORT) or V([IPv6]:PORT), to connect to instead. The certificate is verified for the registry's own name.
        type: str
      unix_socket:
        description:
          - The path of a unix socket to connect to instead.
        type: path
      username:
        description:
          - Username for the registry, or for the server that it has tokens given out by.
        type: str
      password:
        description:
          - Password or access token.
        type: str
      token_hosts:
        description:
          - Hosts, V(HOST) or V(HOST:PORT), other than the registry that may be sent the password in exchange for a token.
        type: list
        elements: str
        default: []
      ca_file:
        description:
          - A file on the host with the PEM certificates of the only CAs to trust. By default the host's system store is trusted.
        type: path
      ca_certificate:
        description:
          - The PEM certificates of the only CAs to trust, as text. A private key in it is refused.
        type: str
      client_cert:
        description:
          - The certificate to present to a server that asks for one, as a PEM file on the host.
        type: path
      client_key:
        description:
          - The key of O(registries[].client_cert), as a PEM file on the host, without a passphrase.
        type: path
  config_file:
    description:
      - The file with the credentials that C(docker login), C(podman login) or M(holdfast.registry.registry_login) has written,
        for registries without O(registries[].username). One that does not exist counts as empty.
    type: path
    default: ~/.docker/config.json
  timeout:
    description:
      - Seconds, from 1 to 3600, that a registry may take without sending or receiving anything.
    type: int
    default: 30
attributes:
  check_mode:
    details: Sends requests that change nothing, among them one to delete a tag that is not there, which shows whether the registry can delete a tag alone.
seealso:
  - module: holdfast.registry.registry_info
  - module: holdfast.registry.registry_login
"""

EXAMPLES = r"""
- name: Promote the image that has been tested, with its signatures
  holdfast.registry.registry_image:
    images:
      - name: registry.example.com/base/debian:stable
        source: registry.example.com/base/debian:trixie
      - name: registry.example.com/production/debian:13
        source: registry.example.com/base/debian:trixie
        referrers: true
    registries: &registries
      - registry: registry.example.com
        username: alice
        password: "{{ alice_password }}"
  register: promoted

- name: Show what the tag is now
  ansible.builtin.debug:
    msg: "{{ promoted.images[1].digest }}"

- name: Check that an image is there
  holdfast.registry.registry_image:
    images:
      - name: registry.example.com/production/debian:13
    registries: *registries

- name: Go back to an earlier image by its digest
  holdfast.registry.registry_image:
    images:
      - name: registry.example.com/production/debian:13
        source: "registry.example.com/base/debian@{{ promoted.images[0].digest }}"
    registries: *registries

- name: Copy an image in a registry on this host, whose address is another one, with the credentials that docker login has written
  holdfast.registry.registry_image:
    images:
      - name: registry.example.com/copies/debian:13
        source: registry.example.com/base/debian:stable
    registries:
      - registry: registry.example.com
        connect_to: 192.0.2.10:443
    config_file: /root/.docker/config.json
  become: true
"""

RETURN = r"""
images:
  description: What happened to each tag, in the order of O(images).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The tag.
      type: str
      sample: registry.example.com/production/debian:13
    digest:
      description: The digest of its manifest or index now. Empty for a tag that is absent.
      type: str
      sample: sha256:2f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c1b0a998877
    previous_digest:
      description: The digest before. Empty for a tag that was absent.
      type: str
      sample: ""
    referrers:
      description: The digests of what was copied along because it refers to the image.
      type: list
      elements: str
      sample: []
    changed:
      description: Whether something was changed, or would be in check mode.
      type: bool
      sample: true
    reason:
      description: Why.
      type: str
      sample: added
  sample:
    - name: registry.example.com/production/debian:13
      digest: sha256:2f1c8d3b5a7e9f60413c2b1a0d9e8f7c6b5a49382716050f4e3d2c1b0a998877
      previous_digest: ""
      referrers: []
      changed: true
      reason: added
"""

from ansible_collections.holdfast.registry.plugins.module_utils._images.access import parse_access
from ansible_collections.holdfast.registry.plugins.module_utils._images.plan import Planner, Step, parse_images, placed
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result, entries, pem, run, show_short

IMAGE: Options = {
    "name": {"type": "str", "required": True},
    "source": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "referrers": {"type": "bool", "default": False},
}
REGISTRY: Options = {
    "registry": {"type": "str", "required": True},
    "url": {"type": "str"},
    "connect_to": {"type": "str"},
    "unix_socket": {"type": "path"},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "token_hosts": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "ca_file": {"type": "path"},
    "ca_certificate": pem(),
    "client_cert": {"type": "path"},
    "client_key": {"type": "path", "no_log": False},
}
OPTIONS: Options = {
    "images": entries(IMAGE),
    "delete_other_tags": {"type": "bool", "default": False},
    "registries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": REGISTRY,
        "mutually_exclusive": [("ca_file", "ca_certificate"), ("connect_to", "unix_socket")],
        "required_together": [("username", "password"), ("client_cert", "client_key")],
    },
    "config_file": {"type": "path", "default": "~/.docker/config.json"},
    "timeout": {"type": "int", "default": 30},
}


def work(call: Call) -> Result:
    parameters = call.parameters
    for entry in parameters["registries"]:
        show_short(call, entry["ca_certificate"])
    wanted = parse_images(parameters["images"])
    find = parse_access(parameters["registries"], parameters["config_file"], parameters["timeout"])
    steps = Planner(find, call.hide).steps(wanted, delete_other_tags=parameters["delete_other_tags"])
    if not call.check_mode:
        for step in steps:
            with placed(step.wanted):
                step.apply()
    by_place = {step.wanted.place: step for step in steps}
    ordered = [by_place[one.place] for one in wanted]
    return {
        "changed": any(step.changed for step in ordered),
        "images": [step.result() for step in ordered],
        "diff": {"before": _shown(ordered, after=False), "after": _shown(ordered, after=True)},
    }


def _shown(steps: list[Step], *, after: bool) -> dict[str, dict[str, list[str]]]:
    """The tags that change, by name: their digest, and what refers to it."""
    digests = {str(step.wanted.name): [step.after, *step.referrers] if after else [step.before] for step in steps if step.changed}
    return {"images": {name: [digest for digest in found if digest] for name, found in digests.items()}} if digests else {}


def main() -> None:
    run(work, OPTIONS)


if __name__ == "__main__":
    main()
