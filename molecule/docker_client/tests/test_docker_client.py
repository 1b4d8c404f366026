# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role docker_client alone."""

import json
import pathlib

import pytest
from scenario import playbook
from testinfra.host import Host


def test_the_user_talks_to_the_engine_without_being_root(host: Host) -> None:
    assert host.run("su alice -c 'docker version'").rc == 0
    assert host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups docker version").rc != 0


def test_the_ca_is_trusted_by_openssl_and_python_and_given_to_docker(host: Host) -> None:
    assert host.run("openssl verify -CApath /etc/ssl/certs /root/ca.crt").rc == 0
    assert host.run("find /etc/ssl/certs -xtype l | grep -q .").rc != 0
    loaded = "import ssl; print([c for c in ssl.create_default_context().get_ca_certs() if 'A CA of their own' in str(c)] != [])"
    assert host.check_output(f'python3 -c "{loaded}"') == "True"
    wanted = host.file("/root/ca.crt").content_string
    assert wanted in host.check_output("cat /etc/docker/certs.d/images.holdfast.test:5000/*.crt") + "\n"


def test_the_name_has_its_address(host: Host) -> None:
    assert "192.0.2.10" in host.check_output("getent hosts images.holdfast.test")


def test_the_credentials_are_the_users_own(host: Host) -> None:
    config = host.file("/home/alice/.docker/config.json")
    assert (config.user, config.mode) == ("alice", 0o600)
    assert "images.holdfast.test:5000" in json.loads(config.content_string)["auths"]
    assert host.run("setpriv --reuid=nobody --regid=nogroup --clear-groups cat /home/alice/.docker/config.json").rc != 0


def test_docker_shows_the_clients_certificate_to_a_registry_that_asks_for_one(host: Host) -> None:
    directory = "/etc/docker/certs.d/images.holdfast.test:5000"
    assert host.file(f"{directory}/holdfast-images.holdfast.test_5000.key").linked_to == "/root/build.key"
    assert host.file("/root/build.key").mode == 0o600
    assert host.run("openssl verify -purpose sslclient -CAfile /root/ca.crt %s/*.cert", directory).rc == 0


@pytest.mark.parametrize("setting", [{"docker_client_users": ["nosuch"]}, {"docker_client_logins": [{"user": "nosuch", "username": "a", "password": "b"}]}])
def test_a_user_whom_the_host_does_not_have_is_refused_before_anything_is_changed(setting: dict[str, object]) -> None:
    refused = playbook.converge(**setting)
    assert not refused.succeeded
    assert "client has no user nosuch; make it first" in refused.output
    assert refused.changed == 0


# As in a playbook in which the address is a fact of another host, which changes it once the settings have been checked.
LATER = """
- hosts: client
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: holdfast.registry.docker_client, tasks_from: apply}
      vars:
        docker_client_registry: images.holdfast.test:5000
        docker_client_hosts_address: "192.0.2.10 images.holdfast.test\\n192.0.2.66 deb.debian.org"
"""


def test_an_address_that_is_more_than_that_does_not_get_into_the_hosts_file(host: Host, tmp_path: pathlib.Path) -> None:
    (tmp_path / "later.yml").write_text(LATER)
    refused = playbook.run(tmp_path / "later.yml")
    assert not refused.succeeded
    assert "docker_client_hosts_address: is not an IP address" in refused.output
    assert "deb.debian.org" not in host.file("/etc/hosts").content_string


# Below, each test starts from what the one before has left.


def test_a_further_name_is_trusted_and_has_the_address(host: Host) -> None:
    playbook.converged(docker_client_registry_aliases=["pictures.holdfast.test"])
    assert "192.0.2.10" in host.check_output("getent hosts pictures.holdfast.test")
    wanted = host.file("/root/ca.crt").content_string
    for name in ("images", "pictures"):
        assert wanted in host.check_output(f"cat /etc/docker/certs.d/{name}.holdfast.test:5000/*.crt") + "\n"
    playbook.converged()
    assert host.run("getent hosts pictures.holdfast.test").rc != 0
    assert not host.file("/etc/docker/certs.d/pictures.holdfast.test:5000").exists


def test_a_former_registry_leaves_nothing_behind_but_a_login_that_root_had_before(host: Host) -> None:
    logins = [{"user": user, "username": "alice", "password": "alice has a password"} for user in ("alice", "root")]
    playbook.module("client", "registry_login", registry="images.holdfast.test:5000", logins=logins[1:], check_credentials=False)
    playbook.converged(
        docker_client_registry="pictures.holdfast.test:5000", docker_client_former_registries=["images.holdfast.test:5000"], docker_client_logins=logins
    )
    assert "images.holdfast.test" not in host.file("/etc/hosts").content_string
    assert host.check_output("ls /etc/docker/certs.d") == "pictures.holdfast.test:5000"
    assert host.check_output("ls /usr/local/share/ca-certificates") == "holdfast-pictures.holdfast.test_5000.crt"
    assert list(json.loads(host.file("/home/alice/.docker/config.json").content_string)["auths"]) == ["pictures.holdfast.test:5000"]
    assert sorted(json.loads(host.file("/root/.docker/config.json").content_string)["auths"]) == ["images.holdfast.test:5000", "pictures.holdfast.test:5000"]
