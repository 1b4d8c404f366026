# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Jinja test of directories that are for their owner alone."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.holdfast.registry.plugins.test.private_directory import private_directory


@pytest.mark.parametrize(("mode", "private"), [(0o700, True), (0o750, False), (0o701, False), (0o500, False), (0o1700, False)])
def test_the_mode_decides(tmp_path, mode, private):
    tmp_path.chmod(mode)
    assert private_directory(str(tmp_path)) is private


def test_what_is_no_directory_is_none(tmp_path):
    file = tmp_path / "file"
    file.touch(0o700)
    assert not private_directory(str(file))
    assert not private_directory(f"{file}/below")
    assert not private_directory(str(tmp_path / "missing"))


def test_the_home_directory_can_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "secrets").mkdir(0o700)
    assert private_directory("~/secrets")


def test_a_relative_path_is_none(tmp_path, monkeypatch):
    (tmp_path / "secrets").mkdir(0o700)
    monkeypatch.chdir(tmp_path)
    assert not private_directory("secrets")


def test_a_value_that_is_no_path_is_an_error():
    with pytest.raises(AnsibleFilterError, match=r"private_directory: \['/a'\] is not a path"):
        private_directory(["/a"])
