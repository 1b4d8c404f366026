# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the settings of docker_client list, and no longer list: logins, members of the group docker, images that must be signed.

podman, skopeo and buildah accept what is signed, and nothing else, where the settings say so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scenario import hosts, playbook
from scenario.docker import Docker
from testinfra.backend.base import CommandResult
from testinfra.host import Host
from tools import REGISTRY, STORAGE, prepare

PASSWORD = "a password of alice"
COSIGN = "cd /root/signing && COSIGN_PASSWORD=x DOCKER_CONFIG={config} cosign"
POLICY = "/etc/containers/policy.json"


LISTED = "listed"  # a user of the client


@pytest.fixture(scope="module")
def before(client: Host) -> str:
    """The policy of the distribution."""
    return client.file(POLICY).content_string


@pytest.fixture(scope="module")
def has_cosign(client: Host) -> bool:
    """Debian 12 has none, and nothing that several keys for one scope could be tried with."""
    return client.run("command -v cosign || apt-get install -qq --no-install-recommends cosign").rc == 0


@pytest.fixture
def cosign(has_cosign: bool) -> None:
    if not has_cosign:
        pytest.skip("this distribution has no cosign")


@pytest.fixture(scope="module", autouse=True)
def images(client: Host, before: str, has_cosign: bool) -> Iterator[dict[str, str]]:
    """An image signed with our key, one signed with another and one without a signature; settings that require ours, and let users in."""
    client.check_output("rm -rf /root/signing; mkdir -m 700 /root/signing")
    docker = Docker(client, REGISTRY)
    assert docker.login("alice", PASSWORD).rc == 0
    cosign = COSIGN.format(config=docker.config)
    names = {}
    for key in ("ours", "others"):
        plain = f"cd /root/signing; openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 | openssl pkey -pubout -out {key}.pub"
        client.check_output(f"{cosign} generate-key-pair --output-key-prefix {key}" if has_cosign else plain)
    for title in ("ours", "others", "nobody"):
        names[title], digest = docker.push(f"signed/{title}")
        if title != "nobody" and has_cosign:
            signed = client.run(f"{cosign} sign --yes --tlog-upload=false --key {title}.key {names[title].rpartition(':')[0]}@{digest}")
            assert signed.rc == 0, signed.stderr
    client.check_output(f"for user in {LISTED} member; do id $user || useradd --create-home $user; done; gpasswd --add member docker")
    playbook.converged(
        "--tags",
        "docker_client",
        docker_client_signature_policy=policies(client),
        docker_client_users=[LISTED, "member"],
        docker_client_logins=[{"user": LISTED, "username": "alice", "password": PASSWORD}, {"user": "nosuch", "state": "absent"}],
    )
    prepare(client)
    login = f"{STORAGE} podman login --username alice --password-stdin {REGISTRY}"
    client.check_output(f"printf %s '{PASSWORD}' | {login}")
    yield names
    docker.close()
    client.check_output(f"rm -rf /root/signing && userdel --force --remove {LISTED} && userdel --force --remove member")


def policies(client: Host) -> list[dict[str, Any]]:
    key = client.file("/root/signing/ours.pub").content_string
    return [{"scope": f"{REGISTRY}/signed", "keys": [key]}, {"scope": f"{REGISTRY}/signed/closed", "type": "reject"}]


def pull_as_listed(client: Host, image: str) -> CommandResult:
    return client.run(f"su - {LISTED} -c 'docker pull -q {image} && docker image rm {image}'")


@pytest.fixture(params=["podman pull {}", "skopeo copy docker://{} dir:/run/clients/copy", "buildah pull {}"], ids=["podman", "skopeo", "buildah"])
def pull(request: pytest.FixtureRequest, client: Host) -> Callable[[str], str]:
    """What the tool says of an image; empty where it accepts it."""

    def pull(image: str) -> str:
        done = client.run(f"{STORAGE} {request.param.format(image)}")
        return "" if done.rc == 0 else done.stderr

    return pull


def test_an_image_that_is_signed_with_our_key_is_accepted(images: dict[str, str], cosign: None, pull: Callable[[str], str]) -> None:
    assert pull(images["ours"]) == ""


def test_one_that_is_not_signed_is_refused(images: dict[str, str], pull: Callable[[str], str]) -> None:
    assert "no signature exists" in pull(images["nobody"])


def test_one_that_is_signed_by_another_is_refused(images: dict[str, str], cosign: None, pull: Callable[[str], str]) -> None:
    assert "cryptographic signature verification failed" in pull(images["others"])


def test_an_image_of_a_scope_out_of_use_is_refused_and_others_are_accepted(images: dict[str, str], client: Host, pull: Callable[[str], str]) -> None:
    closed, free = (f"{REGISTRY}/{repository}:1" for repository in ("signed/closed", "unsigned/app"))
    for copy in (closed, free):
        plain = f"skopeo copy --insecure-policy docker://{images['nobody']} docker://{copy}"
        copied = client.run(f"{STORAGE} {plain}")
        assert copied.rc == 0, copied.stderr
    assert "is rejected by policy" in pull(closed)
    assert pull(free) == ""


def test_who_is_listed_is_in_the_group_and_logged_in(images: dict[str, str], client: Host) -> None:
    assert client.user(LISTED).groups == [LISTED, "docker"]
    pulled = pull_as_listed(client, images["ours"])
    assert pulled.rc == 0, pulled.stderr


def test_docker_has_no_such_policy_and_pulls_what_nobody_has_signed(images: dict[str, str], client: Host) -> None:
    docker = Docker(client, REGISTRY)
    assert docker.login("alice", PASSWORD).rc == 0
    docker.ok(f"pull {images['nobody']}")
    docker.ok(f"image rm {images['nobody']}")
    docker.close()


def test_the_same_again_changes_nothing(images: dict[str, str], client: Host) -> None:
    name = json.loads(client.file("/var/lib/holdfast/signature_policy.json").content_string).popitem()[0]
    assert playbook.module("client", "signature_policy", name=name, policies=policies(client))["changed"] is False


def test_a_signature_by_any_of_two_keys_is_enough(images: dict[str, str], cosign: None, client: Host) -> None:
    keys = [client.file(f"/root/signing/{title}.pub").content_string for title in ("ours", "others")]
    playbook.module("client", "signature_policy", name="both", policies=[{"scope": f"{REGISTRY}/signed/others", "keys": keys}])
    pulled = client.run(f"{STORAGE} podman pull {images['others']}")
    playbook.module("client", "signature_policy", name="both", policies=[])
    assert pulled.rc == 0, pulled.stderr


@pytest.fixture(scope="module")
def no_longer(images: dict[str, str]) -> None:
    """The settings of the scenario, which list nothing of that."""
    playbook.converged("--tags", "docker_client")


def test_the_policy_is_as_it_was_once_nothing_is_listed(images: dict[str, str], client: Host, before: str, no_longer: None) -> None:
    assert client.file(POLICY).content_string == before
    assert not client.file("/etc/containers/registries.d/holdfast.yaml").exists
    pulled = client.run(f"{STORAGE} podman pull {images['nobody']}")
    assert pulled.rc == 0, pulled.stderr


def test_what_was_written_beside_the_same_policy_of_somebody_else_goes_too(client: Host, before: str, no_longer: None) -> None:
    playbook.module("client", "signature_policy", name="somebody", policies=policies(client))
    theirs = client.file(POLICY).content_string
    playbook.module("client", "signature_policy", name="somebody", policies=[])
    client.check_output("rm -f /var/lib/holdfast/signature_policy.json")
    hosts.write(client, POLICY, theirs)
    playbook.converged("--tags", "docker_client", docker_client_signature_policy=policies(client))
    looked_up = client.file("/etc/containers/registries.d/holdfast.yaml").exists
    playbook.converged("--tags", "docker_client")
    assert looked_up
    assert not client.file("/etc/containers/registries.d/holdfast.yaml").exists
    assert client.file(POLICY).content_string == theirs
    hosts.write(client, POLICY, before)


def test_who_is_no_longer_listed_is_out_but_not_who_was_in_before(images: dict[str, str], client: Host, no_longer: None) -> None:
    assert client.user(LISTED).groups == [LISTED]
    assert client.user("member").groups == ["member", "docker"]
    assert json.loads(client.file(f"/home/{LISTED}/.docker/config.json").content_string)["auths"] == {}
    assert client.run("grep -r holdfast-registry /var/lib/holdfast/*.json").rc != 0


def test_no_password_is_in_the_log_of_the_host(client: Host, no_longer: None) -> None:
    assert client.run("journalctl --no-pager | grep -F %s", PASSWORD).rc == 1
