# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of the scenario, the ACME server on one of them, and docker."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scenario import hosts
from scenario.docker import Docker
from testinfra.host import Host

NAME = "registry.holdfast.test"
CONFIGURATION = "/etc/holdfast-acme/config.json"
CERTIFICATE, KEY = "/etc/ssl/holdfast-acme/registry.crt", "/etc/ssl/holdfast-acme/registry.key"
UNIT = "holdfast-acme.service"


@pytest.fixture
def docker(client: Host) -> Iterator[Docker]:
    docker = Docker(client, NAME)
    yield docker
    docker.close()


def serial(host: Host, path: str = CERTIFICATE) -> str:
    return str(host.check_output(f"openssl x509 -in {path} -noout -serial"))


def served(host: Host) -> str:
    """The serial number of the certificate that clients see."""
    return str(host.check_output(f"openssl s_client -connect 127.0.0.1:443 -servername {NAME} </dev/null 2>/dev/null | openssl x509 -noout -serial"))


def status(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.check_output("cat /var/lib/holdfast-acme/status.json"))
    return found


@contextlib.contextmanager
def configured(host: Host, **values: Any) -> Iterator[None]:
    """Other values in the configuration for a while. The same file comes back, as old as it was."""
    original = host.check_output(f"cat {CONFIGURATION}")
    host.check_output(f"cp -a {CONFIGURATION} /run/config.json")
    hosts.write(host, CONFIGURATION, json.dumps({**json.loads(original), **values}))
    host.check_output(f"chmod 0644 {CONFIGURATION}")
    try:
        yield
    finally:
        host.check_output(f"cp -a /run/config.json {CONFIGURATION}")


@contextlib.contextmanager
def unreachable(host: Host) -> Iterator[None]:
    """The ACME server cannot be reached."""
    address = hosts.KEPT.joinpath("address").read_text()
    host.check_output(f"ip route add unreachable {address}/32")
    try:
        yield
    finally:
        host.check_output(f"ip route del unreachable {address}/32")


@pytest.fixture
def lead_names_to(client: Host) -> Iterator[Callable[[str], None]]:
    """Lets the ACME server look for the proofs elsewhere."""

    def lead(address: str) -> None:
        client.check_output(f"""curl -fsS -d '{{"ip":"{address}"}}' http://127.0.0.1:8055/set-default-ipv4""")

    yield lead
    lead(hosts.host("server").check_output("hostname -i").split()[0])
