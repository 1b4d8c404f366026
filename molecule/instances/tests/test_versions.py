# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of upstream: installed side by side, and back with one run. What one version has stored the other serves.

The releases are made of the package's own program, under two version numbers. HOLDFAST_REGISTRY_ARCHIVE=FILE names a real
one, registry_VERSION_linux_ARCH.tar.gz, for the tests of version 3.
"""

import hashlib
import os
import pathlib
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from registries import FIRST, TEAM, redis, status
from scenario import hosts, playbook
from scenario.images import push
from testinfra.host import Host

MAKE = hosts.PROJECT / "tests/integration/targets/setup_registry/files/make_release.py"
GIVEN = os.environ.get("HOLDFAST_REGISTRY_ARCHIVE", "")
RUNS = "readlink /proc/$(systemctl show -p MainPID --value docker-registry)/exe"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    yield hosts.host("server")
    playbook.converged()


@pytest.fixture(scope="module")
def archives(host: Host) -> dict[str, dict[str, Any]]:
    """Two releases, and what the role is told of each."""
    hosts.write(host, "/run/make_release.py", MAKE.read_text())
    packaged = host.check_output("docker-registry --version").split()[-1].lstrip("v").partition("+")[0]
    told = {}
    for last in ("8", "9"):
        version = f"{packaged[:-1]}{last}"
        file = hosts.KEPT / f"registry_{version}.tar.gz"
        file.parent.mkdir(parents=True, exist_ok=True)
        host.check_output(f"python3 /run/make_release.py {version} /run/{file.name}")
        # It is in memory there, where docker cp does not look.
        file.write_bytes(subprocess.run(["docker", "exec", hosts.container("server"), "cat", f"/run/{file.name}"], check=True, capture_output=True).stdout)
        told[version] = _told(version, file)
    return told


def _told(version: str, file: pathlib.Path) -> dict[str, Any]:
    return {"first_version": version, "first_archive": str(file), "first_checksum": f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"}


def test_versions_are_side_by_side_and_one_run_goes_back(host: Host, archives: dict[str, dict[str, Any]]) -> None:
    older, newer = sorted(archives)
    stored = push(host, FIRST, "versions/packaged")
    team = host.check_output("systemctl show -p MainPID --value docker-registry@team")
    for version in (older, newer):
        predicted = playbook.converged("--check", **archives[version])
        assert predicted.changed > 0
        playbook.converged(**archives[version])
        assert playbook.converged(**archives[version]).changed == 0
        assert host.check_output(RUNS) == f"/opt/holdfast-registry/releases/{version}/registry"
        assert status(host, FIRST, f"/v2/versions/packaged/blobs/{stored}") == "200"
    pathlib.Path(archives[older]["first_archive"]).rename(hosts.KEPT / "aside")
    try:
        playbook.converged(**archives[older])
    finally:
        (hosts.KEPT / "aside").rename(archives[older]["first_archive"])
    assert host.check_output(RUNS) == f"/opt/holdfast-registry/releases/{older}/registry"
    playbook.converged()
    assert host.check_output(RUNS) == "/usr/bin/docker-registry"
    assert host.check_output("systemctl show -p MainPID --value docker-registry@team") == team, "another instance was restarted"


def test_a_wrong_archive_is_refused_before_anything_is_changed(host: Host, archives: dict[str, dict[str, Any]], tmp_path: pathlib.Path) -> None:
    older, newer = sorted(archives)
    before = host.check_output(f"{RUNS}; ls /opt/holdfast-registry/releases; find /etc/docker/registry -printf '%p %T@\\n' | sort")
    for told, said in (
        ({**archives[older], "first_version": newer}, "registry_archive"),
        ({**archives[older], "first_version": "9.9.9"}, "registry_archive"),
        ({**archives[older], "first_version": "9.9.9", "first_checksum": ""}, "registry_archive_checksum"),
        ({**archives[older], "first_version": "9.9.9", "first_checksum": f"sha256:{'0' * 64}"}, "registry_archive"),
        ({**archives[older], "first_version": "9.9.9", "first_archive": str(tmp_path / "none")}, "registry_archive"),
    ):
        refused = playbook.converge(**told)
        assert not refused.succeeded, told
        assert said in refused.output, refused.output
    assert host.check_output(f"{RUNS}; ls /opt/holdfast-registry/releases; find /etc/docker/registry -printf '%p %T@\\n' | sort") == before


@pytest.mark.skipif(not GIVEN, reason="HOLDFAST_REGISTRY_ARCHIVE is not set")
def test_what_one_major_version_has_stored_the_other_serves(host: Host) -> None:
    file = pathlib.Path(GIVEN)
    matched = re.fullmatch(r"registry_([0-9.]+)_linux_[a-z0-9]+\.tar\.gz", file.name)
    assert matched, "it has to be called registry_VERSION_linux_ARCH.tar.gz"
    told = _told(matched[1], file)
    by_package = push(host, FIRST, "major/package")
    of_team = push(host, TEAM, "major/team")
    playbook.converged(**told)
    assert playbook.converged(**told).changed == 0
    assert host.check_output(RUNS) == f"/opt/holdfast-registry/releases/{matched[1]}/registry"
    assert status(host, FIRST, f"/v2/major/package/blobs/{by_package}") == "200"
    assert status(host, FIRST, "/v2/major/package/manifests/1") == "200"
    by_release = push(host, FIRST, "major/release")
    assert status(host, FIRST, f"/v2/major/release/blobs/{by_release}") == "200"
    assert [key for key in redis(host, 0, "KEYS", "*") if "major/" in key], "the cache is not in use"
    playbook.converged()
    assert status(host, FIRST, f"/v2/major/release/blobs/{by_release}") == "200"
    assert status(host, FIRST, "/v2/major/release/manifests/1") == "200"
    assert status(host, TEAM, f"/v2/major/team/blobs/{of_team}") == "200"
