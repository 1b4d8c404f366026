# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.modules import hosts_entries

ENTRIES = [{"address": "192.0.2.1", "names": ["registry.example.org"]}]


@pytest.mark.parametrize("check", [True, False])
def test_a_path_that_no_file_can_have_is_named(run, tmp_path, check):
    result = run(hosts_entries, check=check, name="ours", path=f"{tmp_path}/a\0b", entries=ENTRIES)
    assert result["msg"].startswith("path: ") and result["msg"].endswith("must not contain a NUL character")


def test_a_missing_directory_is_an_error_that_check_mode_warns_of(run, tmp_path):
    path = tmp_path / "none/hosts"
    problem = f"path: the directory {tmp_path}/none does not exist; make it first"
    predicted = run(hosts_entries, check=True, name="ours", path=str(path), entries=ENTRIES)
    assert predicted["changed"] and f"{problem}: this fails unless that is put right before" in str(predicted["warnings"])
    assert run(hosts_entries, name="ours", path=str(path), entries=ENTRIES)["msg"] == problem
    assert run(hosts_entries, name="ours", path=str(path), state="absent")["changed"] is False
    path.parent.mkdir()
    assert run(hosts_entries, name="ours", path=str(path), entries=ENTRIES)["changed"] is True
    assert "192.0.2.1 registry.example.org" in path.read_text()
