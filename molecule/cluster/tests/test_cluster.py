# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hosts are one registry: what is pushed at one is pulled at the other, and one may go while the other serves."""

import shlex
import time

import pytest
from scenario import gateway, hosts, playbook
from scenario.docker import Docker
from several import CA, ENDPOINT, NAME, PORT, SERVERS, SITE, address, load, only, virtual_address
from testinfra.host import Host

VERIFY = hosts.PROJECT / "playbooks/verify.yml"
SUMMARY = hosts.KEPT / "summary"
SOCKET = "/run/docker-registry/registry.sock"


def curl(client: Host, server: str, path: str, user: str = "", *options: str) -> str:
    """The status of a request to one of the hosts."""
    more = " ".join(options)
    login = f"-u {shlex.quote(user)}" if user else ""
    return client.check_output(
        f"curl -sS -o /dev/null -w '%{{http_code}}' --cacert {CA} {login} {more} --resolve {NAME}:{PORT}:{address(server)} https://{ENDPOINT}{path}"
    )


def began(server: str) -> str:
    return hosts.host(server).check_output("systemctl show -p InvocationID --value docker-registry")


@pytest.mark.parametrize(("first", "second"), [SERVERS, SERVERS[::-1]])
def test_what_docker_pushes_at_one_host_docker_and_podman_pull_at_the_other(docker: Docker, client: Host, first: str, second: str) -> None:
    with only(client, first):
        image, digest = docker.push("team/app")
    with only(client, second):
        assert digest in docker.ok(f"pull {image}")
        podman = "podman --root /run/podman --storage-driver vfs"
        client.check_output(f"{podman} pull -q --authfile {docker.config}/config.json {image}")
        client.check_output(f"{podman} rmi {image}")
    docker.ok(f"image rm {image}")


def test_each_host_has_a_certificate_of_its_own_for_the_shared_name_and_of_the_same_ca() -> None:
    certificates = {hosts.host(name).check_output("openssl x509 -in /etc/ssl/holdfast/registry.crt -noout -fingerprint -checkhost " + NAME) for name in SERVERS}
    assert len(certificates) == len(SERVERS)
    assert all("does match certificate" in each for each in certificates)
    assert len({hosts.host(name).file("/etc/ssl/holdfast/ca.crt").content_string for name in SERVERS}) == 1
    assert not hosts.host("two").file("/etc/ssl/holdfast-ca").exists


def test_an_upload_goes_on_at_another_host_only_with_the_same_secret() -> None:
    one, two = hosts.host("one"), hosts.host("two")
    ask = f"curl -sS --unix-socket {SOCKET} -o /dev/null"
    end = "-w '%{http_code}' -X PUT -H 'Content-Type: application/octet-stream' --data-binary x"

    def begin() -> str:
        location = one.check_output(f"{ask} -D - -X POST http://any/v2/team/split/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'")
        return f"'http://any{location.strip()}&digest=sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881'"

    assert two.check_output(f"{ask} {end} {begin()}") == "201"
    env = "/etc/docker/registry/http-secret.env"
    two.check_output(f"cp -p {env} /run/secret; sed -i 's/=./=another/' {env}; systemctl restart docker-registry")
    try:
        assert two.check_output(f"{ask} {end} {begin()}") in ("404", "400")
    finally:
        two.check_output(f"cp -p /run/secret {env}; systemctl restart docker-registry")


def test_a_removed_user_is_refused_at_both_hosts(client: Host) -> None:
    password = (hosts.KEPT / "secrets/users/bob.password").read_text().strip()
    assert [curl(client, server, "/v2/", f"bob:{password}") for server in SERVERS] == ["200", "200"]
    run = playbook.run(SITE, "--tags=users", holdfast_users=[{"name": "alice", "password": "a password of alice"}])
    assert run.succeeded, run.output
    time.sleep(11)  # nginx_auth_password_cache_seconds
    assert [curl(client, server, "/v2/", f"bob:{password}") for server in SERVERS] == ["401", "401"]


def test_while_a_registry_is_killed_and_stopped_the_other_host_serves_and_nothing_acknowledged_is_lost(docker: Docker, client: Host) -> None:
    image, digest = docker.push("team/outage")
    one = hosts.host("one")
    with load() as happened:
        one.check_output("systemctl kill --signal=KILL docker-registry; sleep 4; systemctl stop docker-registry; sleep 4; systemctl start docker-registry")
        # The whole host: docker goes to the next address where a connection is refused.
        one.check_output(f"systemctl kill --signal=KILL {gateway.UNIT}; systemctl stop {gateway.UNIT}")
        try:
            assert curl(client, "two", "/healthz") == "200"
            assert digest in docker.ok(f"pull {image}")
        finally:
            one.check_output(f"systemctl start {gateway.UNIT}")
    docker.ok(f"image rm {image}")
    assert happened["failures"] == [], happened
    assert happened["lost"] == []
    assert happened["pushes"] > 0
    assert happened["requests without an answer"] > 0


def test_a_host_is_not_restarted_while_the_other_is_away() -> None:
    before = [began(server) for server in SERVERS]
    two = hosts.host("two")
    two.check_output(f"systemctl stop {gateway.UNIT}")
    try:
        run = playbook.run(SITE, "--tags=registry", registry_upload_purge_age="99h")
    finally:
        two.check_output(f"systemctl start {gateway.UNIT}")
    assert not run.succeeded
    assert "docker-registry.service: has to be restarted, but this host must not go out of service now: two does not serve the registry" in run.output
    assert [began(server) for server in SERVERS] == before


def test_hosts_are_restarted_one_by_one_and_no_push_or_pull_fails(docker: Docker, client: Host) -> None:
    before = [began(server) for server in SERVERS]
    image, _digest = docker.push("team/rolling")
    push_and_pull = f"export DOCKER_CONFIG={docker.config}; n=0; while [ ! -e /run/rolled ]; do n=$((n+1)); "
    push_and_pull += (
        f"docker pull -q {image} >/dev/null && docker tag {image} {ENDPOINT}/team/rolled:$n && docker push -q {ENDPOINT}/team/rolled:$n >/dev/null "
    )
    push_and_pull += f"&& docker rmi -f {image} {ENDPOINT}/team/rolled:$n >/dev/null || echo failed $n; done >/run/rolling 2>&1; echo $n >>/run/rolling"
    client.check_output("rm -f /run/rolled /run/rolling /run/asked")
    # A request that is cut off by a move is made once more, as clients do.
    once_more = f"curl -s -m 5 --retry 1 --retry-all-errors --cacert {CA} -o /dev/null -w '%{{http_code}} '"
    ask = f"{once_more} --resolve {NAME}:{PORT}:{virtual_address()} https://{ENDPOINT}/_ping"
    client.check_output(f"systemd-run --unit=asking --collect sh -c {shlex.quote(f'while [ ! -e /run/rolled ]; do {ask}; sleep 0.1; done >/run/asked')}")
    client.check_output(f"systemd-run --unit=rolling --collect sh -c {shlex.quote(push_and_pull)}")
    with load() as happened:
        # another value than an earlier run of these tests on the same hosts has left
        age = "101h" if "100h" in hosts.host("one").file("/etc/docker/registry/config.yml").content_string else "100h"
        run = playbook.run(SITE, "--tags=registry,nginx_auth", registry_upload_purge_age=age)
        client.check_output("touch /run/rolled; while systemctl is-active -q rolling; do sleep 0.2; done")
    assert run.succeeded, run.output
    assert all(now != then for now, then in zip([began(server) for server in SERVERS], before, strict=True))
    assert happened["failures"] == [], happened
    assert happened["lost"] == []
    rounds = client.file("/run/rolling").content_string.split()
    assert len(rounds) == 1, rounds
    assert int(rounds[0]) > 3
    assert set(client.file("/run/asked").content_string.split()) == {"200"}, "the virtual address has not moved before the restart"
    assert [curl(client, server, "/healthz") for server in SERVERS] == ["200", "200"]


def test_a_run_that_changes_nothing_drains_nobody() -> None:
    age = hosts.host("one").check_output("sed -n 's/^ *age: //p' /etc/docker/registry/config.yml")
    changed = playbook.run(SITE, "--tags=registry,nginx_auth", registry_upload_purge_age=age)
    assert changed.succeeded, changed.output
    assert changed.changed == 0


@pytest.mark.controller
def test_several_hosts_without_a_store_are_refused_before_anything_is_changed() -> None:
    refused = playbook.run(SITE, holdfast_storage={})
    assert not refused.succeeded
    assert "holdfast_storage: registry_servers has 2 hosts, one, two, which can share only what is in an object store" in refused.output
    assert refused.changed == 0


def test_verify_pushes_at_one_host_and_pulls_at_the_other() -> None:
    run = playbook.run(VERIFY, holdfast_summary_file=str(SUMMARY))
    assert run.succeeded, run.output
    assert run.changed == 0
    assert "Its hosts are one registry: an upload begun at one was ended at two, and pulled at each of: one, two" in SUMMARY.read_text()
    assert f"One of them has the address {virtual_address()}, and all reach the registry at it." in SUMMARY.read_text()
