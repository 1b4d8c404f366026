# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import os
import pathlib
import tempfile

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._host import releases
from ansible_collections.holdfast.registry.plugins.modules import registry_release
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._host import archives

LINKS = [{"name": "first", "version": "3.1.2"}]


@pytest.fixture
def place(monkeypatch):
    """A directory that users without rights may enter, as they may enter /opt."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        monkeypatch.setattr(releases, "STATE", f"{path}/state")
        yield pathlib.Path(path)


@pytest.fixture
def arguments(place):
    checksum = archives.release(place / "archive", "3.1.2")
    return {"directory": str(place / "opt"), "releases": [{"version": "3.1.2", "archive": str(place / "archive"), "checksum": checksum}], "links": LINKS}


def test_a_release_is_installed_in_the_way_that_check_mode_foretold(run, place, arguments):
    predicted = run(registry_release, check=True, **arguments)
    assert not (place / "opt").exists()
    result = run(registry_release, **arguments)
    assert (predicted["changes"], predicted["diff"], predicted["versions"]) == (result["changes"], result["diff"], result["versions"])
    assert result["installed"] == ["3.1.2"] and result["linked"] == ["first"] and result["versions"] == {"first": 3}
    assert result["diff"][-1]["after"] == "link to releases/3.1.2/registry\n"
    assert (place / "opt/first").resolve() == place / "opt/releases/3.1.2/registry"
    assert not run(registry_release, **arguments)["changed"]


def test_what_is_refused_is_said_by_the_parameter(run, place, arguments):
    arguments["releases"][0]["checksum"] = f"sha256:{'0' * 64}"
    result = run(registry_release, **arguments)
    assert result["failed"] and result["msg"].startswith("releases[0].checksum: the archive has the checksum sha256:")
    assert not (place / "opt").exists()


def test_an_archive_that_was_not_sent_yet_is_asked_for(run, arguments):
    arguments["releases"][0]["archive"] = ""
    assert run(registry_release, **arguments)["needs"] == [0]


def test_names_for_messages_are_names_of_parameters(run, arguments):
    arguments["releases"][0]["called"] = {"checksums": "x"}
    assert "checksums" in run(registry_release, **arguments)["msg"]
