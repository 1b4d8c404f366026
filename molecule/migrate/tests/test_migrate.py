# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images move from files to a store and back while clients push and pull: none is lost, and a kill undoes nothing."""

import base64
import contextlib
import json
import os
import pathlib
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from scenario import hosts, playbook
from scenario.docker import Docker
from scenario.images import MANIFEST, push
from testinfra.host import Host

NAME, PORT, PASSWORD = "registry.holdfast.test", 5443, "a password of alice"
ENDPOINT = f"{NAME}:{PORT}"
CA = f"/etc/docker/certs.d/{ENDPOINT}/holdfast-{NAME}_{PORT}.crt"
CURL = f"--cacert {CA} -u 'alice:{PASSWORD}' https://{ENDPOINT}"
SITE, MIGRATE = hosts.PROJECT / "playbooks/site.yml", hosts.PROJECT / "playbooks/migrate.yml"
TRAFFIC = hosts.SCENARIO / "tests/traffic.py"
SECRET = "0123456789abcdef-of-the-store"
STATE = "/var/lib/holdfast-move/registry"
READ_ONLY = "/etc/holdfast-gateway/read-only"
MOVED = {"to_the_store": True}


@pytest.fixture(scope="module")
def docker(client: Host) -> Iterator[Docker]:
    docker = Docker(client, ENDPOINT)
    assert docker.login("alice", PASSWORD).rc == 0
    yield docker
    docker.close()


@pytest.fixture(scope="module")
def images(docker: Docker, client: Host) -> dict[str, str]:
    """Images of docker with their digests."""
    # Large enough for a copy that can be killed in its middle.
    for number in range(8):
        push(client, CURL, f"large/app{number}", size=30_000_000)
    push(client, CURL, "moved/app")
    # The one that is pushed last is neither first nor last by its name.
    for tag in ("a", "c", "b"):
        push(client, CURL, "kept/app")
        manifest = f"curl -fsS -H 'Accept: {MANIFEST}' {CURL}/v2/kept/app/manifests/1"
        client.check_output(f"{manifest} | curl -fsS -X PUT -H 'Content-Type: {MANIFEST}' --data-binary @- {CURL}/v2/kept/app/manifests/{tag}")
        client.check_output("sleep 1.1")
    return dict(docker.push("team/app") for _time in range(3))


@contextlib.contextmanager
def traffic() -> Iterator[dict[str, Any]]:
    """traffic.py on the client, until the block ends. What happened is in the dictionary afterwards."""
    client, happened = hosts.host("client"), dict[str, Any]()
    client.check_output(f"rm -f /run/traffic.*; echo {base64.b64encode(TRAFFIC.read_bytes()).decode()} | base64 -d >/run/traffic.py")
    command = ["docker", "exec", "-i", hosts.container("client"), "python3", "/run/traffic.py", NAME, str(PORT), CA, "/run/traffic.end"]

    def run() -> None:
        done = subprocess.run(command, input=f"{PASSWORD}\n", capture_output=True, text=True, check=False)
        happened.update(json.loads(done.stdout) if done.returncode == 0 else {"failures": [done.stderr], "pushed": {}, "counts": {}})

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield happened
    finally:
        client.check_output("touch /run/traffic.end")
        thread.join()


def all_there(client: Host, docker: Docker, images: dict[str, str], pushed: dict[str, str]) -> None:
    """Every image of docker is pulled, and every tag of the traffic names what was pushed last, with all its layers."""
    for image, digest in images.items():
        assert digest in docker.ok(f"pull {image}")
        docker.ok(f"image rm {image}")
    for name, digest in pushed.items():
        repository, _colon, tag = name.partition(":")
        manifest = client.check_output(f"curl -fsS -H 'Accept: {MANIFEST}' {CURL}/v2/{repository}/manifests/{tag}")
        assert (
            client.check_output(f"curl -fsS -H 'Accept: {MANIFEST}' {CURL}/v2/{repository}/manifests/{tag} | sha256sum").split()[0] == digest.partition(":")[2]
        ), name
        for layer in json.loads(manifest)["layers"]:
            assert client.check_output(f"curl -fsS {CURL}/v2/{repository}/blobs/{layer['digest']} | sha256sum").split()[0] == layer["digest"][7:]
    for number in range(8):
        manifest = client.check_output(f"curl -fsS -H 'Accept: {MANIFEST}' {CURL}/v2/large/app{number}/manifests/1")
        layer = json.loads(manifest)["layers"][0]["digest"]
        assert client.check_output(f"curl -fsS {CURL}/v2/large/app{number}/blobs/{layer} | sha256sum").split()[0] == layer[7:]


def keeper(server: Host, command: str, status: int = 0) -> str:
    """What the keeper says to a command, which ends with this status."""
    done = server.run(f"registry-keeper {command}")
    assert done.rc == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def newest(server: Host) -> set[str]:
    """The tags of kept/app that the rule keeps, which keeps what was pushed last."""
    planned = json.loads(keeper(server, "--json retain --dry-run"))["tags"]
    return {tag["tag"] for tag in planned if tag["repository"] == "kept/app" and not tag["goes"]}


def wait_for(server: Host, condition: str) -> None:
    server.check_output(f"for i in $(seq 3000); do {condition} && exit 0; sleep 0.1; done; exit 1")


def record(question: str) -> str:
    """A command that asks what the copy has recorded."""
    return f"""python3 -c 'import sqlite3; print(sqlite3.connect("file:{STATE}/record?mode=ro", uri=True).execute("{question}").fetchone()[0])'"""


def flat(output: str) -> str:
    return re.sub(r"\s+", " ", output)


def test_site_yml_leaves_no_images_behind(server: Host, images: dict[str, str]) -> None:
    assert images
    configured = "find /etc/docker/registry /etc/holdfast-gateway -type f -exec sha256sum {} + | sort"
    before = server.check_output(configured)
    for tags in ((), ("--tags", "registry,nginx_auth")):
        refused = playbook.run(SITE, "--limit", "server", *tags, **MOVED)
        assert not refused.succeeded
        assert "its images are in /var/lib/docker-registry, and the settings say https://store.holdfast.test:8333/registry/images" in flat(refused.output)
    assert server.check_output(configured) == before


def test_a_host_at_which_clients_could_push_is_not_left_out(server: Host, tmp_path: pathlib.Path) -> None:
    (tmp_path / "inventory.yml").write_text("registry_servers: {hosts: {another: {}}}")
    refused = playbook.run(MIGRATE, f"--inventory={tmp_path}/inventory.yml", "--limit", "server", **MOVED)
    assert not refused.succeeded
    assert "it leaves out another, where clients could push during the move" in flat(refused.output)
    assert not server.file(STATE).exists


def test_a_copy_with_other_settings_is_neither_followed_nor_ended(server: Host) -> None:
    server.check_output("systemd-run --quiet --collect --unit=holdfast-move-registry-copy sleep 600")
    refused = playbook.run(MIGRATE, **MOVED)
    assert not refused.succeeded
    assert "another run of migrate.yml moves these images with other settings" in flat(refused.output)
    assert not server.file(READ_ONLY).exists
    server.check_output("systemctl is-active holdfast-move-registry-copy && systemctl stop holdfast-move-registry-copy")


def test_a_copy_that_is_killed_says_so_and_keeps_what_it_has_done(server: Host, images: dict[str, str]) -> None:
    ended: list[playbook.Run] = []
    thread = threading.Thread(target=lambda: ended.append(playbook.run(MIGRATE, **MOVED)))
    thread.start()
    # Some blobs are recorded, and others are on their way.
    recorded = (
        f"""python3 -c 'import sqlite3; print(sqlite3.connect("file:{STATE}/record?mode=ro", uri=True).execute("select count(*) from items").fetchone()[0])'"""
    )
    server.check_output(
        f"for i in $(seq 900); do [ $({recorded} 2>/dev/null || echo 0) -gt 1 ] && "
        "systemctl kill -s KILL holdfast-move-registry-copy && exit 0; sleep 0.1; done; exit 1"
    )
    thread.join()
    assert not ended[0].succeeded
    assert "the copy has ended before it was complete. Either it was killed" in flat(ended[0].output)
    assert server.check_output(recorded).strip() != "0"
    assert not server.file(READ_ONLY).exists


def test_site_yml_does_not_change_the_storage_before_all_is_there(server: Host) -> None:
    refused = playbook.run(SITE, "--limit", "server", "--tags", "registry", **MOVED)
    assert not refused.succeeded
    assert "are being moved to https://store.holdfast.test:8333/registry/images, and not all are there" in flat(refused.output)
    assert "filesystem" in server.file("/etc/docker/registry/config.yml").content_string


def test_a_last_pass_that_fails_takes_uploads_again_and_loses_nothing(
    server: Host, client: Host, store: Host, docker: Docker, images: dict[str, str], moves: dict[str, Any]
) -> None:
    ended: list[playbook.Run] = []
    # Killed, since it goes on serving for half a minute after it was asked to stop. systemd starts it again.
    again = "systemctl kill --signal=KILL seaweedfs"
    other = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=another -keyout server.key -out server.crt"
    with traffic() as happened:
        thread = threading.Thread(target=lambda: ended.append(playbook.run(MIGRATE, **MOVED)))
        thread.start()
        wait_for(server, f"[ -e {READ_ONLY} ]")
        # The store goes away, and comes back with the certificate of somebody else.
        store.check_output(f"cd /etc/seaweedfs && cp -p server.crt server.key /run && {other} 2>/dev/null && {again}")
        thread.join()
        assert not ended[0].succeeded
        store.check_output(f"cp -p /run/server.crt /run/server.key /etc/seaweedfs && rm /run/server.* && {again}")
        # Long enough for pushes afterwards.
        client.check_output("sleep 3")
        image, digest = docker.push("team/app")
    said = flat(ended[0].output)
    assert "https://store.holdfast.test:8333/registry/images: tls: " in said, said
    assert "Uploads are accepted again, and nothing is lost: the registry uses the old place as before" in said
    assert not server.file(READ_ONLY).exists
    assert "filesystem" in server.file("/etc/docker/registry/config.yml").content_string
    assert happened["failures"] == []
    assert happened["counts"]["refused"] > 0
    assert happened["counts"]["pushed"] > 10
    assert newest(server) == {"1", "b"}
    keeper(server, "collect")
    # The next test is the next run, after which all of these are in the store.
    images[image] = digest
    moves["pushed"] = happened["pushed"]


def test_everything_arrives_in_the_store_while_clients_push_and_pull(
    server: Host, client: Host, store: Host, docker: Docker, images: dict[str, str], moves: dict[str, Any]
) -> None:
    # Damage a blob that was copied before the kill, without the registry's help: another content of the same length.
    blob = server.check_output(record("select path from items limit 1")).strip()
    size = server.file(f"/var/lib/docker-registry/docker/registry/v2/{blob}").size
    path = f"/buckets/registry/images/docker/registry/v2/{blob}"
    damage = f"head -c {size} /dev/zero >/run/damage; curl -fsS -o /dev/null -X PUT --data-binary @/run/damage http://localhost:8888{path}; rm /run/damage"
    store.check_output(damage)
    before = server.check_output("find /var/lib/docker-registry/docker -name data -not -path '*/_uploads/*' | wc -l")
    with traffic() as happened:
        moved = playbook.run(MIGRATE, **MOVED)
        assert moved.succeeded, moved.output
        assert "Run site.yml now" in flat(moved.output)
        assert SECRET not in moved.output
        assert server.file(READ_ONLY).exists
        moves["refused"] = docker.run(f"push {docker.build('team/refused')}").stderr
        for command in ("collect", "retain"):
            assert "the images are being moved; this run has done nothing" in keeper(server, command, status=4)
        partly = playbook.run(SITE, "--limit", "server", "--tags", "nginx_auth", **MOVED)
        assert not partly.succeeded
        assert "Registry and gateway change together" in flat(partly.output)
        # Another administrator's inventory has a third place, to which nobody has moved them.
        elsewhere = playbook.run(SITE, "--limit", "server", holdfast_storage={"s3": "{{ s3 | combine({'prefix': 'elsewhere'}) }}"})
        assert not elsewhere.succeeded
        assert "and the settings say https://store.holdfast.test:8333/registry/elsewhere" in flat(elsewhere.output)
        assert server.file(READ_ONLY).exists
        again = playbook.run(SITE, "--limit", "server", **MOVED)
        assert again.succeeded, again.output
        # Long enough for pushes to the store.
        client.check_output("sleep 5")
    assert happened["failures"] == []
    assert happened["counts"]["pushed"] > 10
    assert happened["counts"]["refused"] > 0
    assert happened["counts"]["pulled"] > 30
    assert "are being moved: uploads and deletes are refused" in moves["refused"]
    copied = [int(number) for number in re.findall(r"pass \d+: (\d+) blobs", server.check_output("journalctl --no-pager -u 'holdfast-move-registry-*'"))]
    assert sum(copied) > 0
    assert int(before) > 0
    assert "s3:" in server.file("/etc/docker/registry/config.yml").content_string
    assert not server.file(READ_ONLY).exists
    assert not server.file(STATE).exists
    assert server.run(f"grep -rlF -- {SECRET} /run /var/lib/holdfast-move /usr/local/lib 2>/dev/null | grep -v /run/udev").stdout == ""
    assert server.run(f"journalctl --no-pager | grep -F -- {SECRET} | grep -v grep").stdout == ""
    moves["pushed"] = {**moves.get("pushed", {}), **happened["pushed"]}
    all_there(client, docker, images, moves["pushed"])
    assert newest(server) == {"1", "b"}
    keeper(server, "collect")


def test_a_playbook_that_is_killed_during_the_last_pass_leaves_all_as_it_is_until_the_move_goes_on_or_is_given_up(
    server: Host, client: Host, docker: Docker, images: dict[str, str]
) -> None:
    # What the directory has is older: this tag has moved since.
    push(client, CURL, "moved/app")
    refused = playbook.run(MIGRATE)
    assert not refused.succeeded
    assert "has what the source has not" in flat(refused.output)
    assert not server.file(READ_ONLY).exists
    running = playbook.started(MIGRATE, holdfast_migrate_over=True)
    wait_for(server, "systemctl --quiet is-active holdfast-move-registry-finish")
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    # The copy goes on. Nobody has recorded that it is complete, and nothing changes meanwhile.
    wait_for(server, "! systemctl --quiet is-active holdfast-move-registry-finish")
    assert server.file(READ_ONLY).exists
    assert "being moved" in docker.run(f"push {docker.build('team/refused')}").stderr
    assert "being moved" in client.check_output(f"curl -sS -X DELETE {CURL}/v2/moved/app/blobs/sha256:{64 * 'a'}")
    assert "are being moved" in keeper(server, "collect", status=4)
    docker.ok(f"pull {next(iter(images))}")
    # As if it had been complete, and then somebody had accepted uploads again.
    server.check_output(f"echo earlier >{STATE}/complete; echo later >{READ_ONLY}")
    refused = playbook.run(SITE, "--limit", "server", "--tags", "registry")
    assert not refused.succeeded
    assert "not all are there" in flat(refused.output)
    given_up = playbook.run(MIGRATE, holdfast_migrate="cancel")
    assert given_up.succeeded, given_up.output
    assert server.run(f"ls -d {STATE} {READ_ONLY} /run/holdfast-move").stdout == ""
    keeper(server, "collect")


def test_they_go_back_to_files_whose_directory_has_an_older_state(
    server: Host, client: Host, docker: Docker, images: dict[str, str], moves: dict[str, Any]
) -> None:
    image, digest = docker.push("team/app")
    images[image] = digest
    with traffic() as happened:
        moved = playbook.run(MIGRATE, holdfast_migrate_over=True)
        assert moved.succeeded, moved.output
        back = playbook.run(SITE, "--limit", "server")
        assert back.succeeded, back.output
    assert happened["failures"] == []
    assert "filesystem" in server.file("/etc/docker/registry/config.yml").content_string
    all_there(client, docker, images, {**moves.get("pushed", {}), **happened["pushed"]})
    assert newest(server) == {"1", "b"}
    again = playbook.run(SITE, "--limit", "server")
    assert again.succeeded and again.changed == 0, again.output


@pytest.fixture(scope="module")
def moves() -> dict[str, Any]:
    return {}
