# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host trust the CA of a private registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ca_trust
short_description: Make a host trust the CA of a private registry
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Installs, replaces and removes CA certificates in every store that the programs of a host read, in one call.
    For registries that ask their clients for a certificate (mutual TLS), it also installs the certificate and key to present.
  - Returns for each store whether and why it changed, so that a daemon is restarted only if necessary.
  - Needs only Python on the host; the system's store also needs the package C(ca-certificates), a client certificate the command C(openssl).
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  name:
    description:
      - The name the certificates are kept under, in every store. It becomes a file name.
      - Each call replaces everything that is kept under the name.
    type: str
    required: true
  content:
    description:
      - One or several CA certificates as PEM text. Needed with O(state=present), ignored with O(state=absent).
      - Certificates that are broken, expired or not of a CA are refused before anything is changed, and so is anything else, such as a private key.
    type: str
  state:
    description:
      - V(present) to trust the certificates, V(absent) to remove those kept under O(name).
    type: str
    choices: [present, absent]
    default: present
  stores:
    description:
      - The stores to keep the certificates in. Other stores are not changed.
      - Default is V(system) and V(docker), or V(system) alone for O(state=present) without O(endpoints).
      - A file that this module did not write is never removed, and only replaced if it holds the same certificates.
        If it holds others, the module fails before it changes anything.
      - V(system) is what curl, Python and most programs read.
        One certificate becomes C(NAME.crt) in O(anchors_directory), several become one file each, C(NAME-FINGERPRINT.crt), since programs
        that read C(/etc/ssl/certs) do not find a file with several.
        It has no place for a client certificate.
      - V(docker) is read by Docker at each connection, V(containers) by podman, buildah and skopeo,
        V(containerd) by containerd at each pull if its C(config_path) names O(containerd_directory).
        There the certificates are in C(ENDPOINT/NAME.crt), for each of O(endpoints), and trusted for that registry only.
    type: list
    elements: str
    choices: [system, docker, containers, containerd]
  only_these_stores:
    description: Also remove what is kept under O(name) and O(former_names) from the stores that are not in O(stores).
    type: bool
    default: false
  additional:
    description:
      - Trust the certificates in addition to those that are kept under O(name), and remove nothing. Certificates that have expired are not kept.
      - For the time in which a registry gets a certificate of another CA. First let all clients trust the new CA additionally, then let the registry have its
        certificate, then let the clients trust the new CA alone. No client refuses the registry meanwhile.
      - Only with O(state=present), and without O(exclusive), O(only_these_stores) and O(former_names).
    type: bool
    default: false
  former_names:
    description:
      - Names that the certificates were kept under before. What is there goes in the same step, from O(stores), whatever its endpoints.
    type: list
    elements: str
    default: []
  client_certificate_path:
    description:
      - The certificate that this host presents to the registries in O(endpoints), as the absolute path of a PEM file on the host.
        Those of intermediate CAs may follow in it. Needs O(client_key_path).
      - The stores V(docker), V(containers) and V(containerd) get symbolic links C(NAME.cert) and C(NAME.key) to the two files, which stay where they are.
        A renewed certificate is used at once, without another call, and the key stays in one place, with the mode it has there.
      - A certificate that is broken, expired or not for clients (C(clientAuth)) is refused before anything is changed, and so is a key
        that does not match, is encrypted or readable by every user. Check mode accepts missing files, with a warning.
      - Without it, links that an earlier call made are removed.
    type: path
  client_key_path:
    description:
      - The key of O(client_certificate_path), as the absolute path of a PEM file on the host, mode 0600.
      - Ordinary users who run podman, buildah or skopeo must be able to read it; otherwise these programs refuse the registry. Give it a group and mode 0640.
    type: path
  exclusive:
    description:
      - Also remove from O(stores) what this module keeps there under other names. Files of other origin stay. Only with O(state=present).
      - The module recognises its files by their first line.
    type: bool
    default: false
  endpoints:
    description:
      - The registries the certificates are trusted for, as C(HOST), C(HOST:PORT), C([IPv6]) or C([IPv6]:PORT). The store V(system) ignores them.
      - Write them as image references do. Docker, podman and containerd look for a directory of exactly that name,
        so C(registry.example.com) and C(registry.example.com:443) are two endpoints. List both if images are named both ways.
        Docker treats registries on C(127.0.0.0/8) as insecure and reads nothing here for them.
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
      - In a C(hosts.toml) of M(holdfast.registry.registry_mirrors) this module changes only by what the registry itself is trusted, here as in
        O(docker_directory). One of somebody else is never changed. The module fails instead.
    type: path
    default: /etc/containerd/certs.d
  anchors_directory:
    description:
      - The directory from which the host's own command, C(update-ca-certificates) or C(update-ca-trust), reads additional certificates.
      - Default is C(/usr/local/share/ca-certificates), or C(/etc/pki/ca-trust/source/anchors) on the Red Hat family.
    type: path
attributes:
  diff_mode:
    details: Shows every file before and after; of a key, only the target of its link.
"""

EXAMPLES = r"""
- name: Trust the registry's CA, for every program
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"

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

- name: Trust it, and present this host's own certificate to the registry
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

- name: Trust the CA that the registry's next certificate is of, and go on trusting the present one
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    endpoints: [registry.example.com]
    additional: true

- name: Trust it for every program, and restart Docker only if it has to
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

- name: Trust it for podman alone, and no longer for others
  holdfast.registry.ca_trust:
    name: registry.example.com
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    stores: [containers]
    only_these_stores: true
    endpoints: [registry.example.com]

- name: Remove it from all stores
  holdfast.registry.ca_trust:
    name: registry.example.com
    state: absent
    stores: [system, docker, containers, containerd]
"""

RETURN = r"""
stores:
  description: For each of O(stores), and with O(only_these_stores) for the others too, whether it changed, and why.
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
    - The daemons that must be restarted to notice the change, if they run. Empty when the system's store did not change.
    - V(docker) and V(containerd) read that store when they start. Neither is listed when the store of its name, which needs no restart, is in O(stores).
  returned: success
  type: list
  elements: str
  sample: [docker]
certificates:
  description: The certificates in O(content), and with O(additional) those that were kept before. Empty with O(state=absent).
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: Subject of the certificate, in the notation of RFC 4514.
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

from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Result, run
from ansible_collections.holdfast.registry.plugins.module_utils._trust import parameters


def work(call: Call) -> Result:
    return parameters.Asked(call).do()


def main() -> None:
    run(
        work,
        parameters.OPTIONS,
        required_if=[("state", "present", ["content"])],
        required_together=[("client_certificate_path", "client_key_path")],
    )


if __name__ == "__main__":
    main()
