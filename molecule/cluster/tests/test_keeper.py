# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts keep one store, while clients push and pull at both: one at a time, and where its host dies in the middle, the other goes on."""

import concurrent.futures
import json
import time
from collections.abc import Iterator

import pytest
from scenario import hosts
from scenario.docker import Docker
from scenario.images import MANIFEST
from several import CA, ENDPOINT, NAME, PORT, SERVERS, address, load, only
from testinfra.backend.base import CommandResult
from testinfra.host import Host

SETTINGS, OUTPUT = "/run/keeper-of-the-test.json", "/run/keeper-of-the-test.out"
GRACE = 6
LEASE_LASTS = 300
DONE, BUSY = 0, 4


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Host, Host]]:
    """The hosts, with settings whose grace period ends soon; without runs of the timers in between."""
    found = hosts.host("one"), hosts.host("two")
    for host in found:
        settings = json.loads(host.check_output("cat /etc/registry-keeper/registry.json"))
        settings["collect"].update(grace_seconds=GRACE, settle_seconds=1)
        hosts.write(host, SETTINGS, json.dumps(settings))
        host.check_output("systemctl stop 'registry-keeper-*.timer'")
    yield found
    for host in found:
        host.run(f"rm -f {SETTINGS} {OUTPUT}; systemctl start --all 'registry-keeper-*.timer'")


def keeper(host: Host, *words: str) -> CommandResult:
    return host.run(f"registry-keeper --settings {SETTINGS} {' '.join(words)}")


def collected(host: Host) -> dict:
    done = keeper(host, "--json", "collect")
    assert done.rc == DONE, done.stdout + done.stderr
    return dict(json.loads(done.stdout))


def answers(client: Host, docker: Docker, repository: str, digest: str) -> list[str]:
    """The status that each host of the registry answers for a manifest."""
    login = json.loads(client.check_output(f"cat {docker.config}/config.json"))["auths"][ENDPOINT]["auth"]
    ask = f"curl -sS -o /dev/null -w '%{{http_code}}' --cacert {CA} -H 'Authorization: Basic {login}' -H 'Accept: {MANIFEST}'"
    url = f"https://{ENDPOINT}/v2/{repository}/manifests/{digest}"
    return [client.check_output(f"{ask} --resolve {NAME}:{PORT}:{address(server)} {url}") for server in SERVERS]


def push_twice(docker: Docker, repository: str) -> tuple[str, str]:
    """A tag that names another image now. Returns the image, and the digest that nothing names any more."""
    image = docker.build(repository)
    digest = docker.ok(f"push {image}").split("digest: ")[1].split()[0]
    other = docker.build(repository)
    docker.ok(f"tag {other} {image}")
    assert digest not in docker.ok(f"push {image}")
    docker.ok(f"image rm {other} {image}")
    return image, digest


def test_each_host_has_the_timers_and_the_same_settings(both: tuple[Host, Host]) -> None:
    settings = [json.loads(host.check_output("cat /etc/registry-keeper/registry.json")) for host in both]
    assert settings[0]["storage"] == settings[1]["storage"]
    for host in both:
        assert host.check_output("systemctl is-enabled registry-keeper-collect@registry.timer") == "enabled"


def test_they_collect_in_turn_under_load_and_what_one_has_taken_the_other_brings_back(both: tuple[Host, Host], docker: Docker, client: Host) -> None:
    image, gone = push_twice(docker, "keep/app")
    with load() as happened, concurrent.futures.ThreadPoolExecutor() as pool:
        for turn in range(4):
            time.sleep(GRACE / 2)
            collected(both[turn % 2])
        at_once = sorted(done.rc for done in pool.map(lambda host: keeper(host, "collect"), both))
    assert at_once == [DONE, BUSY]
    assert happened["failures"] == [], happened
    assert happened["lost"] == []
    assert happened["pushes"] > 0
    assert answers(client, docker, "keep/app", gone) == ["404", "404"]

    brought = keeper(both[1], "undo", "--image", f"keep/app@{gone}")
    assert brought.rc == DONE, brought.stdout + brought.stderr
    for server in SERVERS:
        with only(client, server):
            for name in (f"{ENDPOINT}/keep/app@{gone}", image):
                docker.ok(f"pull {name}")
                docker.ok(f"image rm {name}")


def test_a_host_that_dies_in_the_middle_keeps_the_other_waiting_until_its_lease_ends(both: tuple[Host, Host], docker: Docker, client: Host) -> None:
    one, two = both
    image, gone = push_twice(docker, "keep/dying")
    time.sleep(GRACE)
    collected(one)
    time.sleep(GRACE)
    with load() as happened:
        # It waits two seconds between taking the lease and its first change.
        one.check_output(f"registry-keeper --settings {SETTINGS} collect >{OUTPUT} 2>&1 & sleep 3; kill -KILL $!")
        died = time.monotonic()
        refused = keeper(two, "collect")
        assert refused.rc == BUSY, refused.stdout + refused.stderr
        assert "collect on host" in refused.stderr
        while keeper(two, "collect").rc == BUSY:
            assert time.monotonic() - died < LEASE_LASTS + 60
            time.sleep(5)
        assert time.monotonic() - died > LEASE_LASTS / 2
        time.sleep(GRACE)
        collected(two)
    assert happened["failures"] == [], happened
    assert happened["lost"] == []
    assert answers(client, docker, "keep/dying", gone) == ["404", "404"]
    docker.ok(f"pull {image}")
    docker.ok(f"image rm {image}")
