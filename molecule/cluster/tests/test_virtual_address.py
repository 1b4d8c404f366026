# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients that know nothing but the virtual address: it moves from a host whose gateway is gone, or that is drained, and docker goes on."""

import json
import pathlib
import shlex
import time
from collections.abc import Iterator

import pytest
from scenario import gateway, hosts, playbook
from scenario.docker import Docker
from several import ENDPOINT, SERVERS, SITE, holders, seconds_until_moved_to, through_the_virtual_address
from testinfra.host import Host

DRAIN = "/etc/holdfast-gateway/drain"


@pytest.fixture
def moving(client: Host) -> Iterator[tuple[str, str]]:
    """The host that has the address, and the other one, while both serve."""
    for _try in range(100):
        found = holders()
        if len(found) == 1:
            break
        time.sleep(0.2)
    (holder,) = found
    with through_the_virtual_address(client):
        (other,) = set(SERVERS) - {holder}
        yield holder, other


def test_the_address_moves_from_a_host_whose_gateway_is_killed_and_docker_pulls_at_the_other(docker: Docker, moving: tuple[str, str]) -> None:
    holder, other = moving
    image, digest = docker.push("team/moving")
    server = hosts.host(holder)
    began = time.monotonic()
    server.check_output(f"systemctl kill --signal=KILL {gateway.UNIT}; systemctl stop {gateway.UNIT}")
    try:
        assert seconds_until_moved_to(other, began) < 5
        assert digest in docker.ok(f"pull {image}")
        _image, pushed = docker.push("team/moved")
        assert pushed
    finally:
        server.check_output(f"systemctl start {gateway.UNIT}")
    docker.ok(f"image rm {image}")
    time.sleep(4)
    assert holders() == [other], "a host that serves again takes it back, and cuts off what runs"
    assert f"{ENDPOINT}/team/moving" in image


def test_the_address_moves_from_a_drained_host_and_no_pull_fails(docker: Docker, client: Host, moving: tuple[str, str]) -> None:
    holder, other = moving
    image, _digest = docker.push("team/drained")
    pulls = f"docker pull -q {image} && docker rmi -f {image} || echo failed $n >&2"
    pulls = f"export DOCKER_CONFIG={docker.config}; n=0; while [ ! -e /run/moved ]; do n=$((n+1)); {pulls}; done"
    client.check_output("rm -f /run/moved /run/moving")
    client.check_output(f"systemd-run --unit=moving --collect sh -c {shlex.quote(f'({pulls}; echo $n >&2) 2>/run/moving >/dev/null')}")
    time.sleep(1)
    server = hosts.host(holder)
    began = time.monotonic()
    server.check_output(f"touch {DRAIN}")
    try:
        assert seconds_until_moved_to(other, began) < 5
        time.sleep(2)
    finally:
        client.check_output("touch /run/moved; while systemctl is-active -q moving; do sleep 0.2; done")
        server.check_output(f"rm {DRAIN}")
    rounds = client.file("/run/moving").content_string.split()
    assert len(rounds) == 1, rounds
    assert int(rounds[0]) > 3


@pytest.mark.controller
def test_hosts_with_different_settings_are_refused_before_anything_is_changed(tmp_path: pathlib.Path) -> None:
    more = {"all": {"children": {"registry_servers": {"hosts": {"two": {"nginx_auth_rules": []}}}}}}
    (tmp_path / "more.yml").write_text(json.dumps(more))
    refused = playbook.run(SITE, "--inventory", str(tmp_path / "more.yml"))
    assert not refused.succeeded
    assert "nginx_auth_rules: is set for two and not for one, which are one registry; give it once for all of them" in refused.output
    assert refused.changed == 0
