# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What others have written is merged or named, and the programs that read it agree. More of them are among the unit tests."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest
from scenario import hosts, playbook
from testinfra.host import Host
from tools import MIRROR, NAME, REGISTRY, STORAGE, prepare

ARGUMENTS = {"name": NAME, "mirrors": [{"upstream": "docker.io", "mirror": MIRROR}], "clients": ["containers", "containerd"]}
DROP_INS, CERTS = "/etc/containers/registries.conf.d", "/etc/containerd/certs.d"
CA = f"/etc/docker/certs.d/{REGISTRY}/{NAME}.crt"
KEPT = "/etc/containers /etc/containerd /etc/docker /etc/hosts"


@pytest.fixture(autouse=True)
def etc(client: Host) -> Iterator[None]:
    """What is in /etc, as before."""
    client.check_output(f"rm -rf /run/kept.tar; tar -cf /run/kept.tar {KEPT} 2>/dev/null")
    yield
    client.run("umount /etc/containers/registries.conf.d 2>/dev/null")
    client.check_output(
        "rm -rf /etc/containers /etc/containerd /etc/docker/certs.d; tar -C / -xf /run/kept.tar etc/containers etc/containerd etc/docker/certs.d"
    )
    client.check_output("tar -C /run -xf /run/kept.tar etc/hosts && cat /run/etc/hosts >/etc/hosts; rm -rf /run/etc")


def refused(client: Host, **arguments: object) -> str:
    """What the module says, which changes nothing."""
    before = client.check_output(f"find {KEPT} -type f ! -name '*.lock' | sort | xargs -d '\\n' sha256sum")
    with pytest.raises(AssertionError) as caught:
        playbook.module("client", "registry_mirrors", **{**ARGUMENTS, **arguments})
    assert client.check_output(f"find {KEPT} -type f ! -name '*.lock' | sort | xargs -d '\\n' sha256sum") == before
    return str(caught.value)


def test_podman_has_our_mirror_before_that_of_others(client: Host) -> None:
    hosts.write(client, f"{DROP_INS}/50-others.conf", '[[registry]]\nlocation = "docker.io"\n[[registry.mirror]]\nlocation = "others.holdfast.test"\n')
    playbook.module("client", "registry_mirrors", **ARGUMENTS)
    prepare(client)
    known = json.loads(client.check_output(f"{STORAGE} podman info --format '{{{{json .Registries}}}}'"))
    assert [mirror["Location"] for mirror in known["docker.io"]["Mirrors"]] == [f"{MIRROR}/docker.io", "others.holdfast.test"]
    client.check_output(f"rm {DROP_INS}/50-others.conf")
    playbook.module("client", "registry_mirrors", **ARGUMENTS)
    known = json.loads(client.check_output(f"{STORAGE} podman info --format '{{{{json .Registries}}}}'"))
    assert [mirror["Location"] for mirror in known["docker.io"]["Mirrors"]] == [f"{MIRROR}/docker.io"]


def test_a_drop_in_that_podman_cannot_read_is_named_with_its_line(client: Host) -> None:
    hosts.write(client, f"{DROP_INS}/50-others.conf", "[[registry]]\nlocation = docker.io\n")
    prepare(client)
    assert client.run(f"{STORAGE} podman info").rc != 0
    assert f"{DROP_INS}/50-others.conf: line 2 is not valid TOML" in refused(client)


def test_a_hosts_toml_of_others_is_named_and_stays(client: Host) -> None:
    client.check_output(f"mkdir -p {CERTS}/quay.io")
    hosts.write(client, f"{CERTS}/quay.io/hosts.toml", 'server = "https://quay.io"\n')
    said = refused(client, mirrors=[{"upstream": "quay.io", "mirror": MIRROR}])
    assert f"{CERTS}/quay.io/hosts.toml: exists and was not written by this module" in said


def test_containerd_accepts_its_whole_default_configuration_with_config_path(client: Host) -> None:
    client.check_output("containerd config default >/etc/containerd/config.toml")
    before = client.file("/etc/containerd/config.toml").content_string
    playbook.module("client", "registry_mirrors", **ARGUMENTS)
    assert f'config_path = "{CERTS}"' in client.check_output("containerd config dump")
    playbook.module("client", "registry_mirrors", name=NAME, state="absent")
    assert client.file("/etc/containerd/config.toml").content_string == before


def test_a_directory_that_cannot_be_written_is_named(client: Host) -> None:
    client.check_output(f"mount --bind {DROP_INS} {DROP_INS} && mount -o remount,ro,bind {DROP_INS}")
    with pytest.raises(AssertionError, match="Read-only file system"):
        playbook.module("client", "registry_mirrors", **{**ARGUMENTS, "short_names": {"other": f"{REGISTRY}/team/other"}})


def test_a_link_in_the_place_of_our_file_is_not_followed(client: Host) -> None:
    client.check_output(f"mv {DROP_INS}/{NAME}.conf /run/elsewhere.conf && ln -s /run/elsewhere.conf {DROP_INS}/{NAME}.conf")
    assert f"{DROP_INS}/{NAME}.conf: exists and was not written by this module" in refused(client)


LEFT = (
    "ls -d /etc/*/certs.d/* /etc/containers/registries.conf.d/holdfast*; ls /usr/local/share/ca-certificates;"
    " grep -l holdfast.registry. /etc/containerd/config.toml /etc/buildkit/buildkitd.toml; grep -c 'BEGIN holdfast.registry' /etc/hosts"
)


def test_a_ca_that_is_no_longer_needed_goes_with_what_an_earlier_version_did_and_then_all_of_it(client: Host, as_before: None) -> None:
    """The earlier version had one block and one name, without the port."""
    old = "holdfast-registry.holdfast.test"
    client.check_output(f"cp {CA} /usr/local/share/ca-certificates/{old}.crt && cp {CA} /etc/docker/certs.d/{REGISTRY}/{old}.crt && update-ca-certificates")
    lines = ["# BEGIN holdfast.registry registry.holdfast.test", "192.0.2.9 registry.holdfast.test", "# END holdfast.registry registry.holdfast.test"]
    client.check_output(f"printf '%s\\n' {' '.join(shlex.quote(line) for line in lines)} >>/etc/hosts")
    playbook.converged("--tags", "docker_client", docker_client_mirrors=[], docker_client_short_names={}, docker_client_ca_certificate="")
    assert "192.0.2.9" not in client.file("/etc/hosts").content_string
    # the CA and the address of the upstream are the test's own
    assert client.run(LEFT).stdout.split() == ["elsewhere.crt", "/etc/containerd/config.toml", "2"]
    assert MIRROR not in client.run("cat /etc/docker/daemon.json").stdout
    playbook.converged("--tags", "docker_client", docker_client_state="absent")
    assert client.run(LEFT).stdout.split() == ["elsewhere.crt", "1"]
