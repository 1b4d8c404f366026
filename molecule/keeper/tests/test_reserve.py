# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A small disk that is nearly full: uploads are refused, everything else goes on, and nothing is damaged."""

import json
import shlex
import time
from collections.abc import Callable, Iterator

import pytest
from scenario import hosts
from scenario.docker import Docker
from testinfra.host import Host

NAME, PORT = "registry.holdfast.test", 5445
STORAGE = "/var/lib/docker-registry-team"
FILLER = f"{STORAGE}/filler"
CURL = f"curl -s --cacert /etc/ssl/holdfast/ca.crt --resolve {NAME}:{PORT}:127.0.0.1 -u 'alice:a password of alice'"
CODE = "-o /dev/null -w '%{http_code}'"
URL = f"https://{NAME}:{PORT}/v2"
DELETED = "small/deleted"


@pytest.fixture(scope="module")
def server() -> Iterator[Host]:
    """The registry team on a file system of 96 MB."""
    server = hosts.host("server")
    # Each sees the mounts of when it was started.
    units = "registry-keeper@team docker-registry@team holdfast-gateway"
    server.check_output(
        f"systemctl stop {units}; mount -t tmpfs -o size=96m,mode=$(stat -c %a {STORAGE}),uid=$(stat -c %u {STORAGE}),gid=$(stat -c %g {STORAGE}) "
        f"small {STORAGE}; systemctl start {units}"
    )
    until(lambda: status(server, "GET", "/") == 200)
    yield server
    server.check_output(f"systemctl stop {units}; umount -l {STORAGE}; systemctl start {units}")


@pytest.fixture(scope="module")
def docker(server: Host) -> Iterator[Docker]:
    docker = Docker(hosts.host("client"), f"{NAME}:{PORT}")
    login = docker.login("alice", "a password of alice")
    assert login.rc == 0, login.stderr
    yield docker
    docker.close()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """How many seconds it took until something was so."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.2)
    return time.monotonic() - began


def status(server: Host, method: str, path: str) -> int:
    return int(server.check_output(f"{CURL} {CODE} -X {method} '{URL}{path}'"))


def refused(server: Host) -> bool:
    return status(server, "POST", "/small/app/blobs/uploads/") == 403


def until_taken(server: Host) -> float:
    """How many seconds it took until uploads are taken, by whichever of nginx's workers: each looks for the flag once a second."""
    seconds = until(lambda: not refused(server))
    time.sleep(1)
    return seconds


@pytest.fixture(scope="module")
def image(docker: Docker) -> tuple[str, str]:
    """An image from before, by name and digest."""
    return docker.push("small/app")


@pytest.fixture(scope="module")
def full(server: Host, image: tuple[str, str], docker: Docker) -> Iterator[tuple[str, str]]:
    """The disk nearly full, while an upload has been begun. Gives where that upload is to be sent, and the digest of an image to delete."""
    _name, digest = docker.push(DELETED)
    begun = server.check_output(f"{CURL} -D - -o /dev/null -X POST {URL}/small/app/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'")
    server.check_output(f"fallocate -l 80M {FILLER}")
    until(lambda: refused(server))
    yield begun, digest
    server.check_output(f"rm -f {FILLER}")


def test_uploads_are_refused_in_the_registrys_own_format(server: Host, full: tuple[str, str]) -> None:
    for method, path in (("POST", "/small/app/blobs/uploads/"), ("PUT", "/small/app/manifests/2"), ("POST", "/new/repository/blobs/uploads/")):
        answer = server.check_output(f"{CURL} -i -X {method} -d x {URL}{path}").lower()
        assert "http/1.1 403" in answer and "content-type: application/json" in answer
        (error,) = json.loads(answer.splitlines()[-1])["errors"]
        assert error["code"] == "denied" and "disk of the registry is nearly full" in error["message"]


def test_an_upload_that_was_begun_before_is_not_gone_on_with(server: Host, full: tuple[str, str]) -> None:
    begun, _digest = full
    place = begun if begun.startswith("https://") else f"https://{NAME}:{PORT}{begun}"
    assert "nearly full" in server.check_output(f"{CURL} -X PATCH -d x '{place}'")
    # It can be ended.
    assert server.check_output(f"{CURL} {CODE} -X DELETE '{place}'") == "204"


def test_a_layer_that_fills_up_the_disk_while_it_is_sent_damages_nothing(server: Host, docker: Docker, image: tuple[str, str], full: tuple[str, str]) -> None:
    """It began before the reserve was reached, so nothing stops it before the disk is full."""
    server.check_output(f"rm {FILLER}")
    until_taken(server)
    begun = server.check_output(f"{CURL} -D - -o /dev/null -X POST {URL}/small/app/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'")
    place = begun if begun.startswith("https://") else f"https://{NAME}:{PORT}{begun}"
    sent = f"head -c 120M /dev/zero | {CURL} {CODE} -X PATCH -H 'Content-Type: application/octet-stream' -T - '{place}'"
    assert int(server.run(f"timeout 60 sh -c {shlex.quote(sent)}").stdout or 0) not in (200, 201, 202)
    assert int(server.check_output(f"stat -f -c %f {STORAGE}")) * 4096 < 1_000_000
    until(lambda: refused(server))
    name, digest = image
    docker.run(f"image rm {name}")
    assert digest in docker.ok(f"pull {name}")
    assert server.check_output(f"find {STORAGE}/docker -name link -empty") == ""
    # The upload is gone with what it took.
    server.check_output(f"rm -r {STORAGE}/docker/registry/v2/repositories/small/app/_uploads")
    # The registry may still have its file open.
    server.check_output("systemctl restart docker-registry@team.service")
    # Otherwise a look from before the disk is filled again can end the refusal after it was seen.
    until(lambda: not refused(server))
    server.check_output(f"fallocate -l 80M {FILLER}")
    until(lambda: refused(server))


def test_docker_prints_why_at_once(docker: Docker, full: tuple[str, str]) -> None:
    image = docker.build("small/other")
    began = time.monotonic()
    pushed = docker.run(f"push {image}")
    assert pushed.rc != 0 and "the disk of the registry is nearly full" in pushed.stderr, pushed.stderr
    assert time.monotonic() - began < 10


def test_pulls_and_deletes_go_on(server: Host, docker: Docker, image: tuple[str, str], full: tuple[str, str]) -> None:
    name, digest = image
    assert digest in docker.ok(f"pull {name}")
    assert status(server, "GET", f"/small/app/manifests/{digest}") == 200
    assert status(server, "DELETE", f"/{DELETED}/manifests/{full[1]}") == 202


def test_the_log_names_the_reason(server: Host, full: tuple[str, str]) -> None:
    assert server.run('grep -q \'"why":"disk nearly full"\' /var/log/holdfast-gateway/access.log').rc == 0


def test_other_registries_take_uploads(server: Host, full: tuple[str, str]) -> None:
    first = f"--resolve {NAME}:5443:127.0.0.1 https://{NAME}:5443/v2"
    assert server.check_output(f"{CURL} {CODE} -X POST {first}/small/app/blobs/uploads/") == "202"


def test_uploads_are_taken_again_within_seconds_and_nothing_is_damaged(server: Host, docker: Docker, image: tuple[str, str], full: tuple[str, str]) -> None:
    server.check_output(f"rm -f {FILLER}")
    assert until_taken(server) < 5
    name, digest = image
    docker.run(f"image rm {name}")
    assert digest in docker.ok(f"pull {name}")
    docker.push("small/app")
    blobs = f"find {STORAGE}/docker -path '*/blobs/sha256/*' -name data"
    server.check_output(f"for file in $({blobs}); do echo $(basename $(dirname $file)) $file; done | sha256sum --check --quiet")
    assert server.check_output(f"find {STORAGE}/docker -name link -empty") == ""


def test_without_the_keeper_uploads_are_taken(server: Host) -> None:
    server.check_output(f"fallocate -l 80M {FILLER}")
    until(lambda: refused(server))
    # However it ends.
    server.check_output("systemctl kill --signal=KILL registry-keeper@team; systemctl stop registry-keeper@team")
    until(lambda: not refused(server), 5)
    server.check_output(f"systemctl start registry-keeper@team; rm {FILLER}")
