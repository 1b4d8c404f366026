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
      - A C(hosts.toml) in it that this module has not written is never changed. The module fails instead.
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
  description: The certificates in O(content). Empty with O(state=absent).
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

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, pem, run, words
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import read_ca_certificates
from ansible_collections.holdfast.registry.plugins.module_utils._trust.client import ClientPair
from ansible_collections.holdfast.registry.plugins.module_utils._trust.kept import Kept
from ansible_collections.holdfast.registry.plugins.module_utils._trust.registries import RegistryStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.system import SystemStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import Stores, check_name, trust

STORES = ("system", "docker", "containers", "containerd")
OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "content": pem(),
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "stores": words(STORES),
    "only_these_stores": {"type": "bool", "default": False},
    "former_names": {"type": "list", "elements": "str", "default": []},
    "client_certificate_path": {"type": "path"},
    # A path is no secret.
    "client_key_path": {"type": "path", "no_log": False},
    "exclusive": {"type": "bool", "default": False},
    "endpoints": {"type": "list", "elements": "str", "default": []},
    "docker_directory": {"type": "path", "default": "/etc/docker/certs.d"},
    "containers_directory": {"type": "path", "default": "/etc/containers/certs.d"},
    "containerd_directory": {"type": "path", "default": "/etc/containerd/certs.d"},
    "anchors_directory": {"type": "path"},
}


def work(call: Call) -> Result:
    params = call.parameters
    present = params["state"] == "present"
    if params["exclusive"] and not present:
        raise HoldfastError("exclusive: goes with state=present only; use one call with state=absent for each name")
    endpoints = [str(parse_endpoint(text, parameter=f"endpoints[{number}]")) for number, text in enumerate(params["endpoints"])]
    stores = read_stores(params, present, endpoints)
    check_name(params["name"], parameter="name")
    for number, former in enumerate(params["former_names"]):
        check_name(former, parameter=f"former_names[{number}]")
        if former == params["name"]:
            raise HoldfastError(f"former_names[{number}]: {former!r} is the name itself; use a name that is no longer used")
    if len(params["content"] or "") < 40:  # too short for a key: to hide it would make the message unreadable
        call.show(params["content"] or "")
    certificates = read_ca_certificates(call.run_program, params["content"], parameter="content", now=call.now) if present else []
    client = read_client(params, stores) if present else None
    # In check mode a task before this one may have said that it would make them.
    missing = client.missing() if client and call.check_mode else []
    if client and not missing:
        client.check(call.run_program, call.now)
    if certificates:
        call.show(params["content"])
    wanted = Kept(params["name"], certificates, list(dict.fromkeys(endpoints)), client, params["exclusive"], tuple(params["former_names"]))
    result = trust(call.run_program, wanted, stores, check_mode=call.check_mode)
    return {**result, "warnings": [f"{line}; a real run would fail here" for line in missing]}


def read_stores(params: dict[str, t.Any], present: bool, endpoints: list[str]) -> Stores:
    names = params["stores"]
    if names is None:
        names = ["system", "docker"] if endpoints or not present else ["system"]
    if not names:
        raise HoldfastError("stores: is empty; use at least one of system, docker, containers, containerd")
    all_names = STORES if params["only_these_stores"] else names
    by_registry = {name: RegistryStore(absolute(params, f"{name}_directory"), name == "containerd") for name in all_names if name != "system"}
    asked = [name for name in by_registry if name in names]
    if present and asked and not endpoints:
        raise HoldfastError(f"endpoints: is empty, but the stores {', '.join(asked)} keep certificates by endpoint; right: [registry.example.com]")
    anchors = absolute(params, "anchors_directory") if params["anchors_directory"] else None
    in_system = SystemStore.of_this_host(anchors) if "system" in all_names else None
    return Stores(in_system, by_registry, frozenset(all_names) - frozenset(names))


def read_client(params: dict[str, t.Any], stores: Stores) -> ClientPair | None:
    names = PairNames("client_certificate_path", "client_key_path")
    if not any(params[name] for name in names):
        return None
    if not set(stores.by_registry) - stores.left:
        raise HoldfastError(f"{names.certificate}: the store system has no place for it; use one of docker, containers, containerd in stores")
    return ClientPair(Pair(absolute(params, names.certificate), absolute(params, names.key)), names)


def absolute(params: dict[str, t.Any], name: str) -> str:
    path = params[name] or ""
    if not os.path.isabs(path) or os.path.normpath(path) == "/" or not path.isprintable():
        raise HoldfastError(f"{name}: {path!r} is not an absolute path, such as /etc/docker/certs.d")
    return os.path.normpath(path)


def main() -> None:
    run(
        work,
        OPTIONS,
        required_if=[("state", "present", ["content"])],
        required_together=[("client_certificate_path", "client_key_path")],
    )


if __name__ == "__main__":
    main()
