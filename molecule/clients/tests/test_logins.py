# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is logged in on the client, where that is kept, and what real tools make of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from scenario import playbook
from scenario.docker import Docker
from testinfra.host import Host
from tools import REGISTRY

PASSWORD = "a password of alice"
LOGIN: dict[str, Any] = {"user": "builder", "registry": REGISTRY, "username": "alice", "password": PASSWORD}
# As helpers of the distribution do: JSON through standard input, kept where only the user reads it.
HELPER = r"""#!/bin/sh
umask 077
given=$(cat) kept=$HOME/.kept
case $1 in
  store) printf %s "$given" >"$kept" ;;
  erase) rm "$kept" ;;
  get) cat "$kept" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
  list) echo '{}' ;;
esac
"""


@pytest.fixture(scope="module", autouse=True)
def builder(client: Host) -> Iterator[None]:
    """A user of the client, who can talk to the engine, and a credential helper."""
    client.check_output("id builder || useradd --create-home --groups docker builder")
    client.check_output(f"cat >/usr/local/bin/docker-credential-lab <<'END'\n{HELPER}END\nchmod 755 /usr/local/bin/docker-credential-lab")
    yield
    client.check_output("userdel --force --remove builder && rm /usr/local/bin/docker-credential-lab")


@pytest.fixture(scope="module")
def image(client: Host) -> Iterator[str]:
    """An image at the registry, of which the client keeps no copy."""
    docker = Docker(client, REGISTRY)
    assert docker.login("alice", PASSWORD).rc == 0
    name, _digest = docker.push("team/logins")
    yield name
    docker.close()


@pytest.fixture
def pulls(client: Host, image: str) -> Callable[[str], str]:
    """What builder's docker or skopeo says of the image; empty where it gets it."""
    commands = {
        "docker": f"docker pull -q {image}; code=$?; docker image rm {image} >/dev/null 2>&1; exit $code",
        # podman has no storage for ordinary users inside a container. skopeo reads the same files with the same code.
        "podman": f"skopeo login --get-login {REGISTRY} && skopeo inspect --raw docker://{image}",
    }

    def pulls(tool: str) -> str:
        done = client.run("su - builder -c %s", commands[tool])
        return "" if done.rc == 0 else done.stdout + done.stderr

    return pulls


def log_in(**values: Any) -> dict[str, Any]:
    return playbook.module("client", "registry_login", logins=[{**LOGIN, **values}])


def config(client: Host, path: str) -> Any:
    return json.loads(client.file(f"/home/builder/{path}").content_string)


def test_docker_uses_what_is_written_for_it_until_it_is_removed(client: Host, pulls: Callable[[str], str]) -> None:
    assert "no basic auth credentials" in pulls("docker")
    assert log_in()["changed"]
    assert pulls("docker") == ""
    file = client.file("/home/builder/.docker/config.json")
    assert (file.user, file.mode) == ("builder", 0o600)
    assert log_in(state="absent")["changed"]
    assert "no basic auth credentials" in pulls("docker")


def test_what_is_written_for_podman_is_used_until_it_is_removed(client: Host, pulls: Callable[[str], str]) -> None:
    assert pulls("podman") != ""
    assert log_in(client="podman")["logins"][0]["path"] == "/home/builder/.config/containers/auth.json"
    assert pulls("podman") == ""
    assert not client.file("/home/builder/.docker/config.json").exists or config(client, ".docker/config.json")["auths"] == {}
    log_in(client="podman", state="absent")
    assert pulls("podman") != ""


@pytest.mark.parametrize(
    ("tool", "path", "helper"),
    [
        ("docker", ".docker/config.json", {"credsStore": "lab"}),
        ("docker", ".docker/config.json", {"credHelpers": {REGISTRY: "lab"}}),
        ("podman", ".config/containers/auth.json", {"credHelpers": {REGISTRY: "lab"}}),
    ],
    ids=["docker-store", "docker-helper", "podman-helper"],
)
def test_a_credential_helper_keeps_the_password_and_the_tool_asks_it(
    client: Host, pulls: Callable[[str], str], tool: str, path: str, helper: dict[str, Any]
) -> None:
    client.check_output("su - builder -c %s", f"rm -f .kept; mkdir -p $(dirname {path}); echo '{json.dumps(helper)}' >{path}")
    assert log_in(client=tool)["changed"]
    assert pulls(tool) == ""
    assert not [entry for entry in config(client, path).get("auths", {}).values() if entry]
    assert not log_in(client=tool)["changed"]
    assert log_in(client=tool, state="absent")["changed"]
    assert pulls(tool) != ""
    assert not client.file("/home/builder/.kept").exists
    client.check_output("rm /home/builder/%s", path)


def test_a_password_that_the_registry_refuses_is_not_written(client: Host) -> None:
    with pytest.raises(AssertionError, match="does not accept this password for 'alice'. Nothing was written"):
        log_in(password="another password")
    assert not client.file("/home/builder/.docker/config.json").exists


def test_who_has_no_home_is_refused_by_name_before_anything_is_changed(client: Host) -> None:
    login = {"user": "nobody", "username": "alice", "password": PASSWORD}
    settings = {"docker_client_users": ["nobody"], "docker_client_registry_aliases": ["another.holdfast.test"]}
    refused = playbook.converge("--tags", "docker_client", docker_client_logins=[login], **settings)
    assert not refused.succeeded
    assert "docker_client_logins: client has no home directory for nobody (/nonexistent); make it first" in " ".join(refused.output.split())
    assert refused.changed == 0
    assert "another.holdfast.test" not in client.file("/etc/hosts").content_string
