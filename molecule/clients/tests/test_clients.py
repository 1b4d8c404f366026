# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
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
    assert "Pushed, pulled, changed, committed, pushed and pulled again, over verified TLS, from: client" in SUMMARY.read_text()
    assert "Logged in, pushed and pulled from client with: docker, podman, skopeo, buildah, containerd" in SUMMARY.read_text()
    assert client.run(LEFT).stdout == before


@pytest.mark.parametrize("tool", ["podman", "skopeo", "buildah", "containerd"])
def test_the_proof_of_a_tool_fails_where_it_does_not_trust_the_registry(client: Host, registry: Host, tool: str) -> None:
    """By its address, for which the certificate is not."""
    address = registry.check_output("hostname -I").split()[0]
    hosts.write(client, "/run/prove-tool", (hosts.PROJECT / "playbooks/files/prove-tool").read_text())
    tried = client.run(f"printf secret | python3 /run/prove-tool {tool} {address}:5443/holdfast/verify:1 nobody /run/proof; rm -rf /run/proof")
    assert f"{tool}: " in tried.stderr and "x509" in tried.stderr
    assert "secret" not in tried.stderr


def test_a_short_name_is_the_image_that_the_settings_say(client: Host) -> None:
    prepare(client)
    pulled = client.run(f"{STORAGE} podman pull app")
    assert pulled.rc != 0
    assert f"{REGISTRY}/team/app" in pulled.stderr


@pytest.mark.parametrize("names", [["registry.holdfast.test", "mirror.holdfast.test"]])
def test_the_names_have_their_address(client: Host, names: list[str]) -> None:
    for name in names:
        assert client.run(f"getent hosts {name}").rc == 0
