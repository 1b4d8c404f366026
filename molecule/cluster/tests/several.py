# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the scenario, which host the client reaches, and a load on both hosts."""

import base64
import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from typing import Any

from scenario import hosts
from testinfra.host import Host

NAME, PORT, ALICES_PASSWORD = "registry.holdfast.test", 5443, "a password of alice"
ENDPOINT = f"{NAME}:{PORT}"
CA = f"/etc/docker/certs.d/{ENDPOINT}/holdfast-{NAME}_{PORT}.crt"
SITE = hosts.PROJECT / "playbooks/site.yml"
SERVERS = ("one", "two")
LOAD = hosts.PROJECT / "tests/cluster/load.py"


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


def virtual_address() -> str:
    """The address that moves between the hosts."""
    found = re.search(r"virtual_ipaddress \{\s+([0-9.]+)/32", hosts.host("one").file("/etc/holdfast-virtual-address/keepalived.conf").content_string)
    assert found
    return found[1]


def holders() -> list[str]:
    """Which hosts have it now."""
    return [name for name in SERVERS if hosts.host(name).check_output(f"ip -o address show to {virtual_address()}")]


def seconds_until_moved_to(server: str, began: float) -> float:
    """Seconds from began until only this host has it."""
    while holders() != [server]:
        assert time.monotonic() - began < 30, f"{holders()} have it"
        time.sleep(0.1)
    return time.monotonic() - began


@contextlib.contextmanager
def through_the_virtual_address(client: Host) -> Iterator[None]:
    """The registry's name leads the client nowhere else."""
    client.check_output(f"cp /etc/hosts /run/hosts; {{ grep -v {NAME} /run/hosts; echo {virtual_address()} {NAME}; }} >/etc/hosts")
    try:
        yield
    finally:
        client.check_output("cat /run/hosts >/etc/hosts")


@contextlib.contextmanager
def load() -> Iterator[dict[str, Any]]:
    """tests/cluster/load.py on the client, until the block ends. What happened is in the dictionary afterwards."""
    client = hosts.host("client")
    happened: dict[str, Any] = {}
    script = base64.b64encode(LOAD.read_bytes()).decode()
    client.check_output(f"rm -f /run/load.*; echo {script} | base64 -d >/run/load.py")
    arguments = ["--name", NAME, "--port", str(PORT), "--ca", CA, "--user", "alice", "--until", "/run/load.end", "--started", "/run/load.begun"]
    command = ["docker", "exec", "-i", hosts.container("client"), "python3", "/run/load.py", *arguments]

    def run() -> None:
        done = subprocess.run(command, input=ALICES_PASSWORD + "\n", capture_output=True, text=True, check=False)
        happened.update(json.loads(done.stdout) if done.returncode == 0 else {"failures": [done.stderr], "lost": []})

    thread = threading.Thread(target=run)
    thread.start()
    try:
        client.run("timeout 60 sh -c 'until test -e /run/load.begun; do sleep 0.2; done'")
        yield happened
    finally:
        client.check_output("touch /run/load.end")
        thread.join()
