# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container tools on a host, each with storage and credentials of its own."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from testinfra.backend.base import CommandResult
from testinfra.host import Host

REGISTRY, MIRROR, UPSTREAM = "registry.holdfast.test:5443", "mirror.holdfast.test:5444", "upstream.holdfast.test"
NAME = "holdfast-registry.holdfast.test_5443"
STORAGE = "CONTAINERS_STORAGE_CONF=/run/clients/storage.conf REGISTRY_AUTH_FILE=/run/clients/auth.json"


def prepare(host: Host) -> None:
    host.check_output(
        'rm -rf /run/clients; mkdir -p -m 700 /run/clients; printf \'[storage]\\ndriver = "vfs"\\ngraphroot = "/run/clients/storage"\\n'
        'runroot = "/run/clients/run"\\n\' >/run/clients/storage.conf; echo "{}" >/run/clients/auth.json'
    )


def _docker(host: Host, image: str) -> CommandResult:
    host.run(f"docker image rm {image}")
    return host.run(f"timeout 90 docker pull {image}")


def _podman(host: Host, image: str) -> CommandResult:
    prepare(host)
    return host.run(f"{STORAGE} timeout 90 podman pull {image}")


def _skopeo(host: Host, image: str) -> CommandResult:
    prepare(host)
    return host.run(f"{STORAGE} timeout 90 skopeo copy docker://{image} oci:/run/clients/layout:1")


def _buildah(host: Host, image: str) -> CommandResult:
    prepare(host)
    return host.run(f"{STORAGE} timeout 90 buildah pull {image}")


def _containerd(host: Host, image: str) -> CommandResult:
    return host.run(f"timeout 90 ctr --namespace test content fetch --hosts-dir /etc/containerd/certs.d {image}")


PULL: dict[str, Callable[[Host, str], CommandResult]] = {
    "docker": _docker,
    "podman": _podman,
    "skopeo": _skopeo,
    "buildah": _buildah,
    "containerd": _containerd,
}


def served(registry: Host, repository: str) -> int:
    """How many requests for this repository the gateway of the mirrors has answered with content."""
    return int(registry.run(f"grep -c {shlex.quote(repository)} /var/log/holdfast-gateway/access.log").stdout.strip() or 0)
