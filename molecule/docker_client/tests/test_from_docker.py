# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An engine from Docker's own repository, which a repository on the host itself stands for, with a signing key of its own."""

import pathlib
from typing import Any

import pytest
from scenario import hosts, playbook
from testinfra.host import Host

REPOSITORY = "/srv/apt"
SERVICE = """[Unit]
Description=stands for Docker

[Service]
ExecStart=/usr/bin/dockerd -H fd://
ExecReload=/bin/true

[Install]
WantedBy=multi-user.target
"""
DOCKERD = '#!/bin/sh\ncase "$*" in *--validate*) exit 0 ;; esac\nexec sleep infinity\n'
PLAY = """
- hosts: bare
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: holdfast.registry.docker_client}
      vars:
        docker_client_registry: images.holdfast.test
        docker_client_engine_url: http://127.0.0.1:8099
        docker_client_engine_suite: trixie
"""
SETTINGS = {"docker_client_engine": "docker", "docker_client_engine_version": "1.0", "docker_client_engine_hold": True, "docker_client_daemon": {"mtu": 1400}}


@pytest.fixture(scope="module")
def host() -> Host:
    host = hosts.host("bare")
    script = hosts.PROJECT / "tests/integration/targets/setup_apt/files/make_repository.sh"
    hosts.write(host, "/root/make_repository.sh", script.read_text())
    host.check_output("apt-get update -qq && apt-get install -qq --yes --no-install-recommends gpg gpg-agent >/dev/null 2>&1")
    tree = "/root/files/docker-ce/usr"
    host.check_output(f"mkdir -p {tree}/bin {tree}/lib/systemd/system")
    hosts.write(host, f"{tree}/bin/dockerd", DOCKERD)
    hosts.write(host, f"{tree}/lib/systemd/system/docker.service", SERVICE)
    host.check_output(f"chmod 755 {tree}/bin/dockerd; chmod 644 {tree}/lib/systemd/system/docker.service")
    packages = "docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin"
    host.check_output(f"test -e {REPOSITORY}/gpg || sh /root/make_repository.sh {REPOSITORY} '{packages}' /root/files")
    host.check_output(f"systemctl is-active apt-server || systemd-run --unit=apt-server python3 -m http.server --bind 127.0.0.1 --directory {REPOSITORY} 8099")
    host.check_output("for i in $(seq 50); do curl -fsS -o /dev/null http://127.0.0.1:8099/gpg && break; sleep 0.1; done")
    return host


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("docker") / "play.yml"
    path.write_text(PLAY)
    return path


def fingerprint(host: Host, name: str = "gpg") -> dict[str, Any]:
    return {"docker_client_engine_fingerprints": [host.file(f"{REPOSITORY}/{name}.fingerprint").content_string.strip()]}


def test_a_key_with_another_fingerprint_is_refused_before_the_source_is_written(host: Host, play: pathlib.Path) -> None:
    refused = playbook.run(play, **SETTINGS)  # Docker's own fingerprint
    assert not refused.succeeded
    assert "key_url: holds the key" in refused.output
    assert not host.file("/etc/apt/sources.list.d/holdfast-docker.sources").exists
    assert host.run("dpkg -s docker-ce").rc != 0


def test_the_engine_is_installed_in_the_version_asked_for_and_held(host: Host, play: pathlib.Path) -> None:
    host.check_output("echo 'deb [trusted=yes] http://127.0.0.1:8099 trixie stable' >/etc/apt/sources.list.d/docker.list")
    run = playbook.run(play, **SETTINGS, **fingerprint(host))
    assert run.succeeded, run.output
    assert host.check_output("dpkg-query -W -f '${Version}' docker-ce") == "5:1.0-1~test"
    assert "docker-ce" in host.check_output("apt-mark showhold").split()
    assert "mtu" in host.file("/etc/docker/daemon.json").content_string
    assert host.run("apt-get update").rc == 0
    again = playbook.run(play, **SETTINGS, **fingerprint(host))
    assert (again.succeeded, again.changed) == (True, 0), again.output


def test_the_latest_version_takes_its_place_and_the_hold_is_undone(host: Host, play: pathlib.Path) -> None:
    run = playbook.run(play, **{**SETTINGS, "docker_client_engine_version": "latest", "docker_client_engine_hold": False}, **fingerprint(host))
    assert run.succeeded, run.output
    assert host.check_output("dpkg-query -W -f '${Version}' docker-ce") == "5:2.0-1~test"
    assert host.check_output("apt-mark showhold") == ""


def test_taken_back_the_engine_stays_and_the_list_of_others_is_as_it_was(host: Host, play: pathlib.Path) -> None:
    run = playbook.run(play, docker_client_state="absent")
    assert run.succeeded, run.output
    assert host.check_output("dpkg-query -W -f '${Version}' docker-ce") == "5:2.0-1~test"
    assert "holdfast" not in host.check_output("ls /etc/apt/sources.list.d")
    assert host.file("/etc/apt/sources.list.d/docker.list").content_string == "deb [trusted=yes] http://127.0.0.1:8099 trixie stable\n"
    assert not host.file("/etc/docker/daemon.json").exists
    assert not host.file("/etc/apt/keyrings/holdfast-docker.gpg").exists
    assert host.run("systemctl is-active docker").stdout.strip() == "active"
