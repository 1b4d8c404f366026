# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role redis alone: bounded, evicting, closed without its password, nothing on disk."""

from collections.abc import Iterator

import pytest
from testinfra.host import Host

CLI = "redis-cli -p 6380"
WITH_PASSWORD = f"REDISCLI_AUTH=sixteen-characters-at-least {CLI}"


def test_it_needs_the_password(server: Host) -> None:
    assert "NOAUTH" in server.run(f"{CLI} ping").stdout
    assert server.check_output(f"{WITH_PASSWORD} ping") == "PONG"


@pytest.fixture
def neighbour(server: Host) -> Iterator[str]:
    """What runs a command as another host would: in a network of its own, with a cable to the server."""
    server.check_output(
        "set -e; ip netns add neighbour; ip link add near type veth peer name far netns neighbour;"
        " ip address add 198.51.100.1/30 dev near; ip link set near up; ip -n neighbour address add 198.51.100.2/30 dev far;"
        " ip -n neighbour link set lo up; ip -n neighbour link set far up; ip -n neighbour route add default via 198.51.100.1"
    )
    yield "ip netns exec neighbour"
    server.check_output("ip netns delete neighbour")


def test_another_host_reaches_it_with_the_password_only(server: Host, neighbour: str) -> None:
    address = server.interface("eth0").addresses[0]

    def ask(*lines: str) -> str:
        sent = "".join(f"{line}\\r\\n" for line in lines)
        talk = f"exec 3<>/dev/tcp/{address}/6380; printf '{sent}' >&3; timeout 2 head -n {len(lines)} <&3"
        return str(server.check_output(f'{neighbour} bash -c "{talk}"'))

    assert "NOAUTH" in ask("PING")
    assert "PONG" in ask("AUTH sixteen-characters-at-least", "PING")
    assert server.run(f"{neighbour} bash -c '</dev/tcp/127.0.0.1/6380'").rc != 0, "that is no other host"


def test_it_evicts_rather_than_refuse_or_grow(server: Host) -> None:
    server.check_output("redis-benchmark -p 6380 -a sixteen-characters-at-least -t set -n 4000 -r 1000000 -d 32768 -q")
    used = server.check_output(f"{WITH_PASSWORD} info memory | tr -d '\\r' | sed -n 's/^used_memory:\\([0-9]*\\)$/\\1/p'")
    assert int(used) < 70 * 1024 * 1024
    assert int(server.check_output(f"{WITH_PASSWORD} info stats | tr -d '\\r' | sed -n 's/^evicted_keys://p'")) > 500
    server.check_output(f"{WITH_PASSWORD} flushall")


def test_nothing_is_written_to_disk(server: Host) -> None:
    server.check_output(f"{WITH_PASSWORD} set kept no")
    server.check_output("systemctl restart redis-server@cache")
    assert server.check_output(f"{WITH_PASSWORD} exists kept") == "0"
    assert server.check_output("find /var/lib/redis -name '*.rdb' -o -name '*.aof'") == ""


def test_an_upgrade_of_the_package_starts_no_redis_of_its_own(server: Host) -> None:
    """Which would have no password, and run at every boot from then on. This runs what the package runs at its end."""
    said = server.check_output("DPKG_ROOT= DEBIAN_FRONTEND=noninteractive dpkg-reconfigure redis-server 2>&1")
    own = server.service("redis-server")
    assert not own.is_enabled and not own.is_running, said
    assert server.check_output(f"{WITH_PASSWORD} ping") == "PONG"


def test_only_the_asked_for_instance_runs(server: Host) -> None:
    assert server.service("redis-server@cache").is_running
    assert server.service("redis-server@cache").is_enabled
    assert not server.socket("tcp://127.0.0.1:6379").is_listening
