# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the container tools of a host ask mirrors first."""

from __future__ import annotations

DOCUMENTATION = r"""
module: registry_mirrors
short_description: Make the container tools of a host ask mirrors first
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Tells Docker, podman and similar tools, containerd and BuildKit of mirrors, each in its own way, in one call.
    The upstream itself is asked if a mirror cannot be reached or refuses.
  - What others have written stays. It is merged where the program can merge it. Otherwise the module names the file and fails before it changes anything.
  - Everything it writes is kept under O(name), found again by its mark and removed again when it is no longer wanted.
  - It neither installs trust in the mirrors nor logs in to them. For that see M(holdfast.registry.ca_trust) and M(holdfast.registry.registry_login).
extends_documentation_fragment:
  - holdfast.registry.attributes
options:
  name:
    description:
      - The name that everything is kept under. It becomes a file name.
      - Each call replaces everything that is kept under the name.
    type: str
    required: true
  state:
    description: V(absent) removes what is kept under O(name) for all clients.
    type: str
    choices: [present, absent]
    default: present
  mirrors:
    description: The mirrors, in the order in which they are asked. An upstream may have several entries.
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
  clients:
    description:
      - The clients to tell. What is kept under O(name) for others is removed.
      - V(docker) gets C(hosts.toml) in O(docker_directory), which Docker reads from version 29 on if it has the containerd image store. An older Docker
        knows mirrors of Docker Hub only, from C(registry-mirrors) in C(daemon.json), which this module does not write.
      - V(containers) is podman, skopeo and buildah. They get C(registries.conf.d/NAME.conf) in O(containers_directory). If another file has a table for the
        same upstream, its settings and mirrors are repeated behind those of this module, since the table hides it. Upstreams with a port are left out;
        RV(unmirrored) names them.
      - V(containerd) gets C(hosts.toml) in O(containerd_directory), and C(config_path) in O(containerd_config) if the plugin CRI is not disabled.
      - V(buildkit) gets a block at the end of O(buildkit_config), which also trusts O(registries).
    type: list
    elements: str
    choices: [docker, containers, containerd, buildkit]
    default: [docker, containers]
  ca_path:
    description: The CA certificate that the mirrors are trusted by, as the path of a PEM file on the host, for V(docker), V(containerd) and V(buildkit).
    type: path
  client_certificate_path:
    description: The certificate to present to the mirrors, as the path of a PEM file on the host. Needs O(client_key_path).
    type: path
  client_key_path:
    description: The key of O(client_certificate_path).
    type: path
  registries:
    description: Registries that BuildKit trusts by O(ca_path), besides the mirrors, as C(HOST) or C(HOST:PORT). BuildKit reads no C(certs.d).
    type: list
    elements: str
    default: []
  short_names:
    description:
      - Names without a registry and the images that podman, skopeo and buildah take them for, such as V({"app":"registry.example.org/team/app"}).
    type: dict
    default: {}
  search_registries:
    description:
      - Registries in which podman, skopeo and buildah look for other names without a registry. Those that another file names are searched after them.
      - If empty, none are configured.
    type: list
    elements: str
    default: []
  docker_directory:
    description: Docker's directory for registries.
    type: path
    default: /etc/docker/certs.d
  containers_directory:
    description: The directory of C(registries.conf) and C(registries.conf.d).
    type: path
    default: /etc/containers
  containerd_directory:
    description: Containerd's directory for registries.
    type: path
    default: /etc/containerd/certs.d
  containerd_config:
    description: Containerd's configuration, in version 1, 2 or 3 of its form.
    type: path
    default: /etc/containerd/config.toml
  buildkit_config:
    description: BuildKit's configuration.
    type: path
    default: /etc/buildkit/buildkitd.toml
attributes:
  diff_mode:
    details: Shows every file before and after.
"""

EXAMPLES = r"""
- name: Use the mirrors of the company
  holdfast.registry.registry_mirrors:
    name: company
    mirrors:
      - {upstream: docker.io, mirror: "mirror.example.org:5444"}
      - {upstream: ghcr.io, mirror: "mirror.example.org:5444"}
    clients: [docker, containers]

- name: Use them on the node of a cluster, with its certificate
  holdfast.registry.registry_mirrors:
    name: company
    mirrors:
      - {upstream: docker.io, mirror: "mirror.example.org:5444"}
    clients: [containerd]
    ca_path: /etc/ssl/holdfast/ca.crt
    client_certificate_path: /etc/ssl/holdfast/node.crt
    client_key_path: /etc/ssl/holdfast/node.key
  register: mirrors

- name: Restart containerd if it has to
  ansible.builtin.service:
    name: containerd
    state: restarted
  when: "'containerd' in mirrors.restart"

- name: Use no mirror any longer
  holdfast.registry.registry_mirrors:
    name: company
    state: absent
"""

RETURN = r"""
clients:
  description: For each client, whether its files changed, and why.
  returned: success
  type: dict
  sample:
    docker: {changed: false, reasons: []}
    containers: {changed: true, reasons: ["/etc/containers/registries.conf.d/company.conf: added"]}
    containerd: {changed: false, reasons: []}
    buildkit: {changed: false, reasons: []}
restart:
  description: The daemons that must be restarted to notice the change, if they run. Docker and podman never must.
  returned: success
  type: list
  elements: str
  sample: [containerd]
unmirrored:
  description: Upstreams for which podman, skopeo and buildah go past the mirrors, since they have a port.
  returned: success
  type: list
  elements: str
  sample: ["registry.example.org:5000"]
"""

from ansible_collections.holdfast.registry.plugins.module_utils._mirrors import parameters
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Result, run


def work(call: Call) -> Result:
    return parameters.Asked(call).do()


def main() -> None:
    run(work, parameters.OPTIONS, required_together=[("client_certificate_path", "client_key_path")])


if __name__ == "__main__":
    main()
