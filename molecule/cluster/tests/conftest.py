"""The hosts of the scenario, docker on the client, and a load on both hosts."""

import base64
import contextlib
import json
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from scenario import hosts
from scenario.docker import Docker
from testinfra.host import Host

NAME, PORT, ALICES_PASSWORD = "registry.holdfast.test", 5443, "a password of alice"
ENDPOINT = f"{NAME}:{PORT}"
CA = f"/etc/docker/certs.d/{ENDPOINT}/holdfast-{NAME}-{PORT}.crt"
SITE = hosts.PROJECT / "playbooks/site.yml"
SERVERS = ("one", "two")
LOAD = hosts.PROJECT / "tests/cluster/load.py"


@pytest.fixture
def client() -> Host:
    return hosts.host("client")


@pytest.fixture
def docker(client: Host) -> Iterator[Docker]:
    docker = Docker(client, ENDPOINT)
    assert docker.login("alice", ALICES_PASSWORD).rc == 0
    yield docker
    docker.close()


def address(name: str) -> str:
    return str(hosts.host(name).interface("eth0").addresses[0])


@contextlib.contextmanager
def only(client: Host, server: str) -> Iterator[None]:
    """The client reaches no other of the registry's hosts than this one: connections to the others are refused."""
    others = [address(name) for name in SERVERS if name != server]
    rule = "OUTPUT -p tcp --dport {port} -d {address} -j REJECT --reject-with tcp-reset"
    for other in others:
        client.check_output(f"iptables -I {rule.format(port=PORT, address=other)}")
    try:
        yield
    finally:
        for other in others:
            client.check_output(f"iptables -D {rule.format(port=PORT, address=other)}")


class Load:
    """tests/cluster/load.py on the client, until the block ends; then `result` says what happened."""

    def __init__(self) -> None:
        self.result: dict[str, Any] = {}

    def __enter__(self) -> "Load":
        client = hosts.host("client")
        script = base64.b64encode(LOAD.read_bytes()).decode()
        client.check_output(f"rm -f /run/load.*; echo {script} | base64 -d >/run/load.py")
        arguments = ["--name", NAME, "--port", str(PORT), "--ca", CA, "--user", "alice", "--until", "/run/load.end", "--started", "/run/load.begun"]
        command = ["docker", "exec", "-i", hosts.container("client"), "python3", "/run/load.py", *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        begun = client.run("timeout 60 sh -c 'until test -e /run/load.begun; do sleep 0.2; done'")
        assert begun.rc == 0, self.result
        return self

    def _read(self) -> None:
        output, errors = self._process.communicate(input=ALICES_PASSWORD + "\n")
        self.result = json.loads(output) if self._process.returncode == 0 else {"failures": [errors]}

    def __exit__(self, *_: object) -> None:
        hosts.host("client").check_output("touch /run/load.end")
        self._reader.join()
