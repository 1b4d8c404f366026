# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a host a client of a registry."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_client
short_description: Make a host a client of a registry
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Does in one task what the modules M(holdfast.registry.hosts_entries), M(holdfast.registry.ca_trust), M(holdfast.registry.registry_mirrors),
    M(holdfast.registry.docker_daemon) and M(holdfast.registry.services) do one after the other, in this order.
    Gives the registry's names addresses in C(/etc/hosts), trusts its CA, sets up its mirrors, merges settings into C(daemon.json), and runs the engines
    with what they read.
  - Everything is kept under O(name). Each call replaces everything that is kept under it, and removes what is no longer wanted.
  - All parameters are checked before the first change. If a part fails, those before it have been changed, the result names what, and the next run goes on
    from there.
  - Files and directories are where the engines look for them by default. For others, use the single modules.
  - Logins are the subject of M(holdfast.registry.registry_login), and signatures that of M(holdfast.registry.signature_policy).
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  name:
    description:
      - The name that certificates, mirrors and settings are kept under. It becomes a file name.
    type: str
    required: true
  state:
    description:
      - V(absent) removes what is kept under O(name), O(hosts_name) and the former names, and lets the engines go on without it. They are restarted or reloaded
        where they have read it, and are neither started nor stopped otherwise. Other options are checked, and have no effect then.
    type: str
    choices: [present, absent]
    default: present
  hosts_name:
    description: The name of the block in C(/etc/hosts). Default is O(name).
    type: str
  entries:
    description: The lines of that block, in this order. With none of them the block is removed.
    type: list
    elements: dict
    default: []
    suboptions:
      address:
        description: An IPv4 or IPv6 address, without brackets.
        type: str
        required: true
      names:
        description: The names that have it.
        type: list
        elements: str
        required: true
  replaces:
    description: Blocks of other tools in C(/etc/hosts) that go in the same step, as in M(holdfast.registry.hosts_entries).
    type: list
    elements: str
    default: []
  content:
    description: One or several CA certificates as PEM text. Without it, none is kept.
    type: str
  stores:
    description:
      - The stores to keep the certificates in, as in M(holdfast.registry.ca_trust). They are removed from the others.
      - Default is V(system) and V(docker), or V(system) alone without O(endpoints).
    type: list
    elements: str
    choices: [system, docker, containers, containerd]
  endpoints:
    description: The registries that the certificates are trusted for, as C(HOST), C(HOST:PORT), C([IPv6]) or C([IPv6]:PORT). The first is the registry itself.
    type: list
    elements: str
    default: []
  client_certificate_path:
    description: The certificate that this host presents to the registries and mirrors, as the absolute path of a PEM file. Needs O(client_key_path).
    type: path
  client_key_path:
    description: The key of O(client_certificate_path), as the absolute path of a PEM file, mode 0600, or 0640 with a group.
    type: path
  clients:
    description: The clients to tell of mirrors, as in M(holdfast.registry.registry_mirrors). What is kept under O(name) for others is removed.
    type: list
    elements: str
    choices: [docker, containers, containerd, buildkit]
    default: [docker, containers]
  mirrors:
    description: The mirrors, in the order in which they are asked. An upstream may have several entries. O(content) vouches for them too.
    type: list
    elements: dict
    default: []
    suboptions:
      upstream:
        description: The registry that the mirror stands for, as image names begin, such as V(docker.io).
        type: str
        required: true
      mirror:
        description: The mirror, as C(HOST) or C(HOST:PORT). It is reached over TLS.
        type: str
        required: true
  short_names:
    description:
      - Names without a registry and the images that podman, skopeo and buildah take them for, such as V({"app":"registry.example.org/team/app"}).
    type: dict
    default: {}
  search_registries:
    description: Registries in which podman, skopeo and buildah look for other names without a registry.
    type: list
    elements: str
    default: []
  settings:
    description: Settings for C(daemon.json), merged as by M(holdfast.registry.docker_daemon). Ignored unless V(docker) is in O(engines).
    type: dict
    default: {}
  engines:
    description:
      - The engines that the host has, to be run with what they read. By default none of them is run, and C(daemon.json) is left alone.
      - V(docker) is restarted or reloaded for O(settings), as far as they need it, and restarted for a CA certificate only if the store V(docker) is not used.
      - V(containerd) and V(buildkit) are run if they are in O(clients), or if their configuration changes. They are restarted for their configuration.
    type: list
    elements: str
    choices: [docker, containerd, buildkit]
  former_names:
    description:
      - Names that another call used as O(name), such as that of a former registry. What is kept under them goes in the same step, so that an engine is
        restarted once.
    type: list
    elements: str
    default: []
  former_hosts_names:
    description: Names that another call used as O(hosts_name). Their blocks in C(/etc/hosts) go in the same step.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Predicts what would be done, including units that are not on the host yet, and changes nothing.
  diff_mode:
    details: Shows the files before and after, without the credentials in URLs, and a line for each service that changes.
seealso:
  - module: holdfast.registry.hosts_entries
  - module: holdfast.registry.ca_trust
  - module: holdfast.registry.registry_mirrors
  - module: holdfast.registry.docker_daemon
  - module: holdfast.registry.services
"""

EXAMPLES = r"""
- name: Make the host a client of a registry with a CA of its own
  holdfast.registry.registry_client:
    name: company
    entries:
      - {address: 192.0.2.10, names: [registry.example.com]}
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    endpoints: [registry.example.com]
    engines: [docker]

- name: Use its mirror of Docker Hub too, and limit the logs of containers
  holdfast.registry.registry_client:
    name: company
    entries:
      - {address: 192.0.2.10, names: [registry.example.com]}
    content: "{{ lookup('ansible.builtin.file', 'ca.crt') }}"
    endpoints: [registry.example.com]
    mirrors:
      - {upstream: docker.io, mirror: "registry.example.com:5444"}
    settings:
      registry-mirrors: ["https://registry.example.com:5444"]
      log-opts: {max-size: 10m}
    engines: [docker]

- name: Use another registry in its place, which a public CA has signed
  holdfast.registry.registry_client:
    name: elsewhere
    endpoints: [images.example.org]
    engines: [docker]
    former_names: [company]
    former_hosts_names: [company]

- name: Be a client of none
  holdfast.registry.registry_client:
    name: elsewhere
    state: absent
"""

RETURN = r"""
hosts:
  description: Whether C(/etc/hosts) changed, and why.
  returned: success, and where a later part fails
  type: dict
  contains:
    changed:
      description: Whether this part changed something.
      type: bool
      sample: true
    reasons:
      description: A line for each change.
      type: list
      elements: str
      sample: ["/etc/hosts: block changed"]
trust:
  description: The same for the stores of CA certificates.
  returned: success, and where a later part fails
  type: dict
  sample: {changed: true, reasons: ["/etc/docker/certs.d/registry.example.com/company.crt: added"]}
mirrors:
  description: The same for mirrors and short names.
  returned: success, and where a later part fails
  type: dict
  sample: {changed: false, reasons: []}
daemon:
  description: The same for C(daemon.json).
  returned: with V(docker) in O(engines), with O(former_names) or with O(state=absent)
  type: dict
  sample: {changed: true, reasons: ["/etc/docker/daemon.json: changed: log-opts"]}
services:
  description: The same for the engines.
  returned: success
  type: dict
  sample:
    changed: true
    reasons: ["docker.service: restarted (/var/lib/holdfast/docker/0d9f0c9a52d1c8f3.restart.pending: not read by the running service yet)"]
unmirrored:
  description: Upstreams for which podman, skopeo and buildah go past the mirrors, since they have a port.
  returned: success
  type: list
  elements: str
  sample: ["registry.example.org:5000"]
"""

from ansible_collections.holdfast.registry.plugins.module_utils._client import parts
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Result, run


def work(call: Call) -> Result:
    return parts.Asked(call).do()


def main() -> None:
    run(work, parts.OPTIONS, required_together=[("client_certificate_path", "client_key_path")])


if __name__ == "__main__":
    main()
