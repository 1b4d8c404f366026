"""Each client of a host is trusted, logs in, pushes and pulls; verify.yml proves it and leaves nothing."""

from __future__ import annotations

import pytest
from scenario import hosts, playbook
from testinfra.host import Host
from tools import REGISTRY, STORAGE, prepare

SUMMARY = hosts.KEPT / "summary"
LEFT = (
    "ls -d /run/holdfast-verify*; ctr namespaces list --quiet | grep verify; docker images --all --quiet; docker ps --all --quiet;"
    " podman images --all --quiet; grep -rl holdfast-verify /root/.docker /run/containers"
)


def test_every_client_of_the_host_is_proven_and_nothing_is_left(client: Host) -> None:
    before = client.run(LEFT).stdout
    run = playbook.run(hosts.PROJECT / "playbooks/verify.yml", holdfast_summary_file=str(SUMMARY))
    assert run.succeeded, run.output
    assert run.changed == 0
    assert "Logged in, pushed and pulled from client with: docker, podman, skopeo, buildah, containerd" in SUMMARY.read_text()
    assert client.run(LEFT).stdout == before


def test_a_client_that_does_not_trust_the_registry_is_named(client: Host) -> None:
    client.check_output("mkdir /root/aside && mv /etc/containerd/certs.d/registry* /root/aside/ && mkdir /etc/containerd/certs.d/registry.holdfast.test:5443")
    client.check_output("echo '[host]' >/etc/containerd/certs.d/registry.holdfast.test:5443/hosts.toml")
    client.check_output("mv /usr/local/share/ca-certificates/holdfast* /root/aside/ && update-ca-certificates --fresh")
    try:
        run = playbook.run(hosts.PROJECT / "playbooks/verify.yml", holdfast_summary_file=str(SUMMARY))
    finally:
        client.check_output("rm -r /etc/containerd/certs.d/registry*; mv /root/aside/registry* /etc/containerd/certs.d/")
        client.check_output("mv /root/aside/*.crt /usr/local/share/ca-certificates/; rmdir /root/aside; update-ca-certificates --fresh")
    assert not run.succeeded
    assert "containerd: " in run.output and "x509: certificate signed by unknown authority" in run.output
    assert "a password" not in run.output


def test_a_short_name_is_the_image_that_the_settings_say(client: Host) -> None:
    prepare(client)
    pulled = client.run(f"{STORAGE} podman pull app")
    assert pulled.rc != 0
    assert f"{REGISTRY}/team/app" in pulled.stderr


@pytest.mark.parametrize("names", [["registry.holdfast.test", "mirror.holdfast.test"]])
def test_the_names_have_their_address(client: Host, names: list[str]) -> None:
    for name in names:
        assert client.run(f"getent hosts {name}").rc == 0
