# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Module ca_trust: its documentation, its parameters and main()."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_trust
short_description: Make a host trust the CA of a private registry
version_added: 1.0.0
author:
  - holdfast.registry contributors (@holdfast)
description:
  - Puts CA certificates into every store the programs of a host read, replaces them and removes them, in one call.
    Beside them, where a registry asks its clients for a certificate (mutual TLS), the certificate and key to show.
  - Says for each store whether and why it changed, so that a daemon is restarted only where it must be.
  - Needs nothing on the host but Python, and for the system's store the package C(ca-certificates).
options:
  name:
    description:
      - The name the certificates are kept under, in every store. It becomes a file name.
      - What is kept under a name is exactly what the last call for that name said.
    type: str
    required: true
  content:
    description:
      - One or several CA certificates as PEM text. Needed with O(state=present), ignored with O(state=absent).
      - Refused, before anything is changed, are a certificate that is broken, expired or no CA's, and anything that is no certificate, such as a private key.
    type: str
  state:
    description:
      - V(present) to trust the certificates, V(absent) to trust what was kept under O(name) no longer.
    type: str
    choices: [present, absent]
    default: present
  stores:
    description:
      - The stores to keep the certificates in. Stores not listed are left as they are.
      - V(system) is what curl, Python and most programs read.
        One certificate becomes C(NAME.crt) in O(anchors_directory), replacing a file of that name;
        several become a file each, C(NAME-FINGERPRINT.crt), for a file with several is not found by programs that read C(/etc/ssl/certs).
        It has no place for a client certificate.
      - V(docker) is read by Docker at each connection, V(containers) by podman, buildah and skopeo,
        V(containerd) by containerd at each pull if its C(config_path) names O(containerd_directory).
        There the certificates are in C(ENDPOINT/NAME.crt), for each of O(endpoints), and trusted for that registry only.
    type: list
    elements: str
    choices: [system, docker, containers, containerd]
    default: [system, docker]
  client_certificate_path:
    description:
      - The certificate this host shows to the registries in O(endpoints), as the absolute path of a PEM file on the host.
        Those of intermediate CAs may follow in it. Needs O(client_key_path).
      - The stores V(docker), V(containers) and V(containerd) get symbolic links C(NAME.cert) and C(NAME.key) to the two files, which stay where they are.
        A renewed certificate is used at once, without another call, and the key lies in one place, with the mode it has there.
      - Refused, before anything is changed, are a certificate that is broken, expired or not for clients (C(clientAuth)),
        and a key that is another's, encrypted or open to every user. Check mode accepts files that are not there yet, with a warning.
      - Left out, links that an earlier call made are removed.
    type: path
  client_key_path:
    description:
      - The key of O(client_certificate_path), as the absolute path of a PEM file on the host, mode 0600.
      - Ordinary users who run podman, buildah or skopeo must be able to read it, or these refuse the registry. Give it a group and mode 0640.
    type: path
  exclusive:
    description:
      - Also remove from O(stores) what this module keeps there under other names. What others put there stays. Only with O(state=present).
      - The module knows its own by the first line of their files.
    type: bool
    default: false
  endpoints:
    description:
      - The registries the certificates are trusted for, as C(HOST), C(HOST:PORT), C([IPv6]) or C([IPv6]:PORT). The store V(system) has no use for them.
      - Write them as image references do. Docker, podman and containerd look for a directory of exactly that name,
        so C(registry.example.com) and C(registry.example.com:443) are two endpoints. List both if images are named both ways.
        Docker takes registries at C(127.0.0.0/8) for insecure and reads nothing here for them.
        An IPv6 address keeps its brackets, for Docker and containerd; podman, buildah and skopeo may accept no such image reference.
      - With O(state=present) this is the whole list for O(name). The certificates are removed from endpoints that are no longer in it.
      - With O(state=absent) the certificates are removed from these endpoints only, or from all if there are none.
    type: list
    elements: str
    default: []
  docker_directory:
    description: The directory of the store V(docker).
    type: path
    default: /etc/docker/certs.d
  containers_directory:
    description:
      - The directory of the store V(containers).
      - A registry's directory here hides the one of the same name in C(/etc/docker/certs.d) from podman, buildah and skopeo.
    type: path
    default: /etc/containers/certs.d
  containerd_directory:
    description:
      - The directory of the store V(containerd).
      - A C(hosts.toml) in it that this module has not written is never changed. The module fails instead.
    type: path
    default: /etc/containerd/certs.d
  anchors_directory:
    description:
      - The directory the host's own command, C(update-ca-certificates) or C(update-ca-trust), takes further certificates from.
      - Default is C(/usr/local/share/ca-certificates), or C(/etc/pki/ca-trust/source/anchors) on the Red Hat family.
    type: path
attributes:
  check_mode:
    description: Says what a real run would change, and changes nothing.
    support: full
  diff_mode:
    description: Shows every file before and after, of a key only where its link points.
    support: full
"""

EXAMPLES = r"""
- name: Trust the registry's CA, for every program and for Docker
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    endpoints: [registry.example.com]

- name: Trust it for Docker and podman, for these two endpoints alone
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    stores: [docker, containers]
    endpoints:
      - registry.example.com
      - "[2001:db8::5]:5000"

- name: Trust it, and show the registry this host's own certificate
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    endpoints: [registry.example.com]
    client_certificate_path: /etc/holdfast/tls/client.crt
    client_key_path: /etc/holdfast/tls/client.key

- name: Trust it, and no CA that this module put there under another name
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    endpoints: [registry.example.com]
    exclusive: true

- name: Trust it for every program, and restart Docker only where it has to notice
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    stores: [system]
  register: ca

- name: Restart Docker
  ansible.builtin.service:
    name: docker
    state: restarted
  when: "'docker' in ca.restart"

- name: Trust it no longer, wherever it was trusted
  holdfast.registry.ca_trust:
    name: registry.example.com
    state: absent
    stores: [system, docker, containers, containerd]
"""

RETURN = r"""
stores:
  description: For each of the stores asked for, whether it changed, and why.
  returned: success
  type: dict
  contains:
    changed:
      description: Whether this store changed.
      type: bool
      sample: true
    reasons:
      description: A line for each change.
      type: list
      elements: str
      sample: ["/etc/docker/certs.d/registry.example.com/registry.example.com.crt: added"]
  sample:
    system:
      changed: false
      reasons: []
    docker:
      changed: true
      reasons: ["/etc/docker/certs.d/registry.example.com/registry.example.com.crt: added"]
restart:
  description:
    - The daemons that must be restarted to notice the change, where they run. Empty when the system's store did not change.
    - V(docker) and V(containerd) read that store when they start. Neither is listed when the store of its name, which needs no restart, is in O(stores).
  returned: success
  type: list
  elements: str
  sample: [docker]
certificates:
  description: The certificates in O(content). Empty with O(state=absent).
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: Whom the certificate names.
      type: str
      sample: CN=Example Registry CA
    fingerprint_sha256:
      description: The SHA-256 fingerprint in hexadecimal.
      type: str
      sample: 6e4a0f4a6f1a3b8f5f0f7f6d6e4f5b1f6c1de0c7b1b9a7c4f3f2a1e0d9c8b7a6
    not_after:
      description: When it expires.
      type: str
      sample: "2036-11-20T12:00:00Z"
  sample:
    - subject: CN=Example Registry CA
      fingerprint_sha256: 6e4a0f4a6f1a3b8f5f0f7f6d6e4f5b1f6c1de0c7b1b9a7c4f3f2a1e0d9c8b7a6
      not_after: "2036-11-20T12:00:00Z"
"""

import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.registry.plugins.module_utils.ca_trust import Request, trust
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            # Masked until it is known to be certificates and nothing else: somebody will paste a private key here.
            "content": {"type": "str", "no_log": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "stores": {"type": "list", "elements": "str", "choices": ["system", "docker", "containers", "containerd"], "default": ["system", "docker"]},
            "client_certificate_path": {"type": "path"},
            # A path is no secret.
            "client_key_path": {"type": "path", "no_log": False},
            "exclusive": {"type": "bool", "default": False},
            "endpoints": {"type": "list", "elements": "str", "default": []},
            "docker_directory": {"type": "path", "default": "/etc/docker/certs.d"},
            "containers_directory": {"type": "path", "default": "/etc/containers/certs.d"},
            "containerd_directory": {"type": "path", "default": "/etc/containerd/certs.d"},
            "anchors_directory": {"type": "path"},
        },
        required_if=[("state", "present", ["content"])],
        required_together=[("client_certificate_path", "client_key_path")],
        supports_check_mode=True,
    )
    try:
        request = Request.of(module.params, datetime.datetime.now(datetime.timezone.utc), check_mode=module.check_mode)
        if request.wanted.certificates:
            module.no_log_values.discard(module.params["content"])
        result = trust(request, check_mode=module.check_mode)
    except HoldfastError as error:
        module.fail_json(msg=str(error))
    for warning in request.warnings:
        module.warn(warning)
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
