# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import pathlib
import shutil
import sys

import pytest
from ansible_collections.holdfast.registry.tests.unit.roles.programs import loaded

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from acme_hosts import CA, EC, bring, configured, issued, shell, umask

SCRIPT = pathlib.Path(__file__).parents[4] / "roles/acme/files/registry-acme"


@pytest.fixture(scope="module")
def program():
    with loaded(SCRIPT) as module:
        yield module


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A CA, and another one."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl")
    path = tmp_path_factory.mktemp("authority")
    for name in ("ca", "other"):
        shell(path, f"openssl req -x509 {EC} -keyout {name}.key -out {name}.crt -days 30 -subj /CN={name} {CA}")
    return path


@pytest.fixture
def host(tmp_path, authority, program, monkeypatch):
    """A configuration, and nothing that runs."""
    (tmp_path / "state").mkdir()
    monkeypatch.setattr(program, "fetch", lambda *_arguments: {})
    # The permissions of those who run it in turn are tested in molecule/acme.
    with umask(0o022):
        yield configured(tmp_path, authority)


@pytest.fixture(scope="module")
def in_use(tmp_path_factory, authority, program):
    """The files of a host with a certificate in use, which none of them names. Each test has a copy: to make them takes many runs of openssl."""
    path = tmp_path_factory.mktemp("in-use")
    (path / "state").mkdir()
    host = configured(path, authority)
    with umask(0o022):
        program.prepare(host)
        bring(host, issued(host, authority))
        program.install(host)
    return path


@pytest.fixture
def running(host, in_use, tmp_path):
    """A certificate in use."""
    shutil.copytree(in_use, tmp_path, dirs_exist_ok=True)
    os.umask(0o077)  # as the program leaves it
    return host
