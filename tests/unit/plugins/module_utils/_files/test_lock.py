# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os
import pathlib
import select

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import lock
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership


def test_the_lock_removes_what_killed_runs_left_of_this_file_and_nothing_else(tmp_path):
    mine, others = tmp_path / ".file.abc123.holdfast-tmp", tmp_path / ".file2.abc123.holdfast-tmp"
    for path in (mine, others):
        path.write_bytes(b"half")
    with locked(str(tmp_path / "file")):
        assert not mine.exists()
    assert others.exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / ".file.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(HoldfastError, match="its lock cannot be made"), locked(str(tmp_path / "file")):
        pass
    assert not (tmp_path / "victim").exists()


def test_the_lock_shuts_others_out_until_its_holder_ends(tmp_path):
    path = str(tmp_path / "file")
    (go, begin), (answer, say) = os.pipe(), os.pipe()
    child = os.fork()  # before the lock is held: a child that inherits it holds it too
    if child == 0:
        os.read(go, 1)
        with locked(path):
            os.write(say, b"in")
        os._exit(0)
    with locked(path):
        os.write(begin, b"x")
        assert not select.select([answer], [], [], 0.1)[0]
    assert select.select([answer], [], [], 10)[0]
    os.waitpid(child, 0)
    for end in (go, begin, answer, say):
        os.close(end)


def test_a_missing_directory_is_a_message(tmp_path):
    with pytest.raises(HoldfastError, match="its lock cannot be made in .*/none: No such file"), locked(str(tmp_path / "none/file")):
        pass


def test_a_lock_that_somebody_else_holds_stops_nobody_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "TIME_LIMIT", 0.1)
    path = str(tmp_path / "file")
    with locked(path):
        with pytest.raises(HoldfastError, match=r"/\.file\.lock: gave up after 0 seconds, since another process holds this lock"), locked(path):
            pass
        assert os.path.exists(tmp_path / ".file.lock")
    with locked(path):
        pass


def test_the_file_stays_the_one_that_was_locked_whatever_takes_the_place_of_its_directory(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/file").write_bytes(b"theirs")
    with locked(str(tmp_path / "ours/file")) as file:
        os.rename(tmp_path / "ours", tmp_path / "moved")
        os.symlink(tmp_path / "theirs", tmp_path / "ours")
        assert file.read() is None
        file.write(b"ours", Ownership())
    assert (tmp_path / "moved/file").read_bytes() == b"ours"
    assert (tmp_path / "theirs/file").read_bytes() == b"theirs"


def test_a_copy_is_beside_the_file_and_closed_to_others(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o664)
    (tmp_path / "link").symlink_to(path)
    with locked(str(tmp_path / "link")) as file:
        copy = file.back_up(b"old")
    assert os.path.dirname(copy) == str(tmp_path) and os.path.basename(copy).startswith("file.")
    assert (os.stat(copy).st_mode & 0o777, pathlib.Path(copy).read_bytes()) == (0o660, b"old")
