# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Link, Remove, RemoveDirectory, SetMode, Write, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership

OPEN = Ownership(mode=0o644)


def done(changes):
    """Apply the changes, and return their reasons and what a diff shows."""
    apply(changes)
    return [change.why for change in changes], [(change.diff.get("before"), change.diff.get("after")) for change in changes]


def test_a_file_is_added_replaced_and_left_alone(tmp_path):
    path = str(tmp_path / "new/file")
    assert done(Write.plan(path, b"one", OPEN)) == (["added"], [("", "one")])
    assert done(Write.plan(path, b"two", OPEN)) == (["content changed"], [("one", "two")])
    assert Write.plan(path, b"two", OPEN) == []
    assert (tmp_path / "new/file").read_bytes() == b"two" and os.stat(path).st_mode & 0o777 == 0o644


def test_planning_changes_nothing(tmp_path):
    changes = Write.plan(str(tmp_path / "new/file"), b"one", OPEN) + Link.plan(str(tmp_path / "link"), "x")
    assert [change.reason for change in changes] == [f"{tmp_path}/new/file: added", f"{tmp_path}/link: added"]
    assert os.listdir(tmp_path) == []


def test_a_file_with_the_right_content_gets_its_mode(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    path.chmod(0o666)
    changes = Write.plan(str(path), b"one", OPEN)
    assert changes == [SetMode(str(path), "mode 0666 -> 0644", OPEN)]
    assert changes[0].diff == {"prepared": f"{path}: mode 0666 -> 0644\n"}
    apply(changes)
    assert Write.plan(str(path), b"one", OPEN) == [] == SetMode.plan(str(tmp_path / "none"), OPEN)


def test_a_diff_shows_what_it_may(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"secret")
    [change] = Write.plan(str(path), b"other secret", OPEN, show=lambda content: f"{len(content)} bytes\n", why="key changed")
    [gone] = Remove.plan(str(path), show=lambda content: f"{len(content)} bytes\n")
    assert (change.diff["before"], change.diff["after"], change.why) == ("6 bytes\n", "12 bytes\n", "key changed")
    assert (gone.diff["before"], gone.diff["after_header"]) == ("6 bytes\n", f"{path} (absent)")
    assert "secret" not in repr(change) + repr(gone)


def test_a_link_is_added_and_led_elsewhere(tmp_path):
    path = str(tmp_path / "link")
    assert done(Link.plan(path, "/one")) == (["added"], [("", "link to /one\n")])
    assert done(Link.plan(path, "/two")) == (["points to /two instead of /one"], [("link to /one\n", "link to /two\n")])
    assert Link.plan(path, "/two") == []
    assert os.readlink(path) == "/two"


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    path, target = tmp_path / "link", tmp_path / "target"
    target.write_bytes(b"kept")
    path.symlink_to(target)
    assert done(Remove.plan(str(path))) == (["removed"], [(f"link to {target}\n", "")])
    assert not path.is_symlink() and target.read_bytes() == b"kept"
    assert Remove.plan(str(path)) == []


def test_what_a_killed_run_left_goes_with_the_write(tmp_path):
    (tmp_path / ".file.abc123.holdfast-tmp").write_bytes(b"half")
    apply(Write.plan(str(tmp_path / "file"), b"whole", OPEN))
    assert os.listdir(tmp_path) == ["file"]


def test_an_empty_directory_goes_and_a_full_one_stays(tmp_path):
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full/file").write_bytes(b"")
    apply([RemoveDirectory(str(tmp_path / name), "empty") for name in ("empty", "full", "none")])
    assert os.listdir(tmp_path) == ["full"]
    with pytest.raises(HoldfastError, match="file: cannot be removed: Not a directory"):
        RemoveDirectory(str(tmp_path / "full/file"), "empty").apply()
