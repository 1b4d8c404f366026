# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os
import select
import stat

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils import files
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.files import Ownership


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def fail(*_args, **_keywords):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, step, fail)
    with pytest.raises(HoldfastError, match=f"{path}: cannot be written: No space left on device"):
        files.atomic_write(str(path), b"new", Ownership())
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["file"])


def test_a_new_file_is_private_unless_told_otherwise_and_an_old_one_keeps_its_mode(tmp_path):
    path = str(tmp_path / "file")
    files.atomic_write(path, b"one", Ownership())
    assert mode(path) == 0o600
    os.chmod(path, 0o644)
    files.atomic_write(path, b"two", Ownership())
    assert mode(path) == 0o644


def test_a_link_stays_and_the_file_it_points_to_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere/file", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    files.atomic_write(str(link), b"new", Ownership())
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert os.listdir(tmp_path / "elsewhere") == ["file"]


def test_a_missing_directory_is_a_message(tmp_path):
    path = str(tmp_path / "none/file")
    with pytest.raises(HoldfastError, match="cannot be written: No such file"):
        files.atomic_write(path, b"", Ownership())
    with pytest.raises(HoldfastError, match="its lock cannot be made in"), files.locked(path):
        pass


def test_what_is_no_file_is_a_message(tmp_path):
    with pytest.raises(HoldfastError, match="cannot be read: Is a directory"):
        files.read_bytes(str(tmp_path))
    with pytest.raises(HoldfastError, match="cannot be removed"):
        files.remove(str(tmp_path))
    assert files.read_bytes(str(tmp_path / "none")) is None
    assert files.remove(str(tmp_path / "none")) is False


def test_the_lock_removes_what_killed_runs_left_of_this_file_and_nothing_else(tmp_path):
    mine, others = tmp_path / ".file.abc123.holdfast-tmp", tmp_path / ".file2.abc123.holdfast-tmp"
    for path in (mine, others):
        path.write_bytes(b"half")
    with files.locked(str(tmp_path / "file")):
        assert not mine.exists()
    assert others.exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / ".file.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(HoldfastError, match="its lock cannot be made"), files.locked(str(tmp_path / "file")):
        pass
    assert not (tmp_path / "victim").exists()


def test_a_directory_is_made_once_with_its_mode(tmp_path):
    path = tmp_path / "directory"
    assert files.make_directory(str(path), Ownership(mode=0o750)) is True
    assert mode(path) == 0o750
    assert files.make_directory(str(path), Ownership(mode=0o750)) is False
    assert files.make_directory(str(path), Ownership(mode=0o700)) is True
    assert mode(path) == 0o700


@pytest.mark.parametrize("make", [lambda path: files.make_directory(path, Ownership()), lambda path: files.make_directories(path, 0o755)])
def test_a_file_in_the_place_of_a_directory_is_a_message(tmp_path, make):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HoldfastError, match="exists and is not a directory"):
        make(str(tmp_path / "file"))
    with pytest.raises(HoldfastError, match=r"exists and is not a directory|cannot be made"):
        make(str(tmp_path / "file/below"))


def test_missing_parents_are_made_open_and_the_directory_with_its_mode_whatever_the_umask(tmp_path):
    old = os.umask(0o077)
    try:
        assert files.make_directories(str(tmp_path / "one/two"), 0o700) is True
    finally:
        os.umask(old)
    assert (mode(tmp_path / "one"), mode(tmp_path / "one/two")) == (0o755, 0o700)
    assert files.make_directories(str(tmp_path / "one/two"), 0o755) is False


def test_a_mode_that_cannot_be_set_is_a_message(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert files.set_ownership(str(path), Ownership(mode=mode(path))) is False
    monkeypatch.setattr(files.os, "fchmod", fail)
    with pytest.raises(HoldfastError, match="its mode, owner or group cannot be set"):
        files.set_ownership(str(path), Ownership(mode=0o601))


def test_owner_and_group_are_given_by_name_or_number():
    assert Ownership.of("0640", "root", "0") == Ownership(0o640, 0, 0)
    assert Ownership.of(None, None, None) == Ownership()


@pytest.mark.parametrize(("name", "leftover_of"), [(".a.crt.x1_y.holdfast-tmp", "a.crt"), (".a.crt.lock", None), ("a.x.holdfast-tmp", None)])
def test_a_temporary_file_tells_what_it_was_made_for(name, leftover_of):
    assert files.leftover_of(name) == leftover_of


def test_the_lock_shuts_others_out_until_its_holder_ends(tmp_path):
    path = str(tmp_path / "file")
    (go, begin), (answer, say) = os.pipe(), os.pipe()
    child = os.fork()  # before the lock is held: a child that inherits it holds it too
    if child == 0:
        os.read(go, 1)
        with files.locked(path):
            os.write(say, b"in")
        os._exit(0)
    with files.locked(path):
        os.write(begin, b"x")
        assert not select.select([answer], [], [], 0.1)[0]
    assert select.select([answer], [], [], 10)[0]
    os.waitpid(child, 0)
    for end in (go, begin, answer, say):
        os.close(end)
