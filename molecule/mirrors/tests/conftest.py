# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, what is at the upstream, and clients of the mirrors."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator

import pytest
from mirrors import ALICE, MIRROR, PASSWORD, UPSTREAM, admit
from scenario import hosts
from scenario.docker import Docker
from testinfra.host import Host


@pytest.fixture(scope="session")
def author(client: Host, upstream: Host) -> Iterator[Docker]:
    """Docker on the client, as the user of the upstream who pushes images there."""
    address = upstream.check_output("hostname -I").split()[0]
    client.check_output(f"grep -q upstream.holdfast.test /etc/hosts || echo {address} upstream.holdfast.test >>/etc/hosts")
    hosts.write(client, "/run/upstream-ca.crt", (hosts.KEPT / "upstream-ca.crt").read_text())
    client.check_output(f"install -D -m 644 /run/upstream-ca.crt /etc/docker/certs.d/{UPSTREAM}/ca.crt")
    docker = Docker(client, UPSTREAM)
    login = docker.login("robot", PASSWORD)
    assert login.rc == 0, login.stderr
    yield docker
    docker.close()


@pytest.fixture
def image(author: Docker) -> Callable[[], tuple[str, str]]:
    """A fresh image at the upstream, as REPOSITORY:TAG and digest. Each has a repository of its own."""

    def image(repository: str = "") -> tuple[str, str]:
        pushed, digest = author.push(repository or f"library/app-{author.host.check_output('date +%s%N')}")
        return pushed.removeprefix(f"{UPSTREAM}/"), digest

    return image


@pytest.fixture
def away(upstream: Host) -> Iterator[Callable[[str], None]]:
    """Make the upstream fail in a way: refuse connections, hang, or answer with an error."""
    ways = {
        "refuses connections": ("systemctl stop holdfast-gateway", "systemctl start holdfast-gateway"),
        "hangs": ("systemctl kill --signal=STOP --kill-whom=all holdfast-gateway", "systemctl kill --signal=CONT --kill-whom=all holdfast-gateway"),
        "answers with 503": ("systemctl stop docker-registry", "systemctl start docker-registry"),
    }
    back: list[str] = []

    def away(how: str) -> None:
        upstream.check_output(ways[how][0])
        back.append(ways[how][1])

    yield away
    for command in back:
        upstream.check_output(command)


@pytest.fixture(scope="module")
def hub_mirror(client: Host) -> Iterator[None]:
    """The engine has a mirror of Docker Hub."""
    client.check_output("test ! -e /etc/docker/daemon.json")
    hosts.write(client, "/etc/docker/daemon.json", f'{{"registry-mirrors": ["https://{MIRROR}"]}}')
    client.check_output("systemctl restart docker")
    yield
    client.check_output("rm /etc/docker/daemon.json; systemctl restart docker")


@pytest.fixture
def open_to_clients(client: Host) -> Iterator[None]:
    """The mirrors admit the client's network without a login."""
    address = client.check_output("ip -4 route get 192.0.2.1").partition(" src ")[2].split()[0]
    admit(holdfast_mirror_networks=[f"{address}/32"])
    yield
    admit()


@pytest.fixture(scope="session")
def hostile(upstream: Host, registry: Host) -> Iterator[Callable[[], str]]:
    """A hostile upstream. Returns what it was asked, as lines of JSON."""
    # Not renamed: inside a container the file is a mount.
    named = "sed '/hostile.holdfast.test/s/$/ thief.holdfast.test/' /etc/hosts >/run/hosts && cat /run/hosts >/etc/hosts"
    registry.check_output(f"grep -q thief.holdfast.test /etc/hosts || {{ {named}; }}")
    hosts.write(upstream, "/run/hostile.py", pathlib.Path(__file__).with_name("hostile.py").read_text())
    upstream.check_output("systemd-run --unit hostile --property StandardOutput=append:/run/hostile.log python3 /run/hostile.py 6443")
    upstream.check_output("for i in $(seq 50); do ss -Hltn sport = :6443 | grep -q . && exit; sleep 0.1; done; exit 1")
    yield lambda: upstream.check_output("cat /run/hostile.log")
    upstream.check_output("systemctl stop hostile")


@pytest.fixture
def curl(client: Host) -> Callable[..., str]:
    """curl on the client, as alice, at the mirrors."""

    def curl(path: str, *options: str, user: str = ALICE, then: str = "") -> str:
        login = f"--user '{user}'" if user else ""
        kinds = "-H 'Accept: application/vnd.docker.distribution.manifest.v2+json' -H 'Accept: application/vnd.oci.image.manifest.v1+json'"
        certificate = f"--cacert /etc/docker/certs.d/{MIRROR}/holdfast-registry.holdfast.test_5443.crt"
        return client.check_output(f"curl -sS {certificate} {login} {kinds} {' '.join(options)} 'https://{MIRROR}{path}' {then}")

    return curl
