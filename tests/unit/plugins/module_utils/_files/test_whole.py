# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os
import stat

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


def fail(*_args, **_keywords):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("step", ["fsync", "replace", "fchmod"])
def test_a_write_that_fails_leaves_the_old_file_and_no_temporary_one(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(whole.os, step, fail)
    with pytest.raises(HoldfastError, match=f"{path}: cannot be written: No space left on device"):
        whole.atomic_write(str(path), b"new", Ownership())
    assert (path.read_bytes(), os.listdir(tmp_path)) == (b"old", ["file"])


def test_a_new_file_is_private_unless_told_otherwise_and_an_old_one_keeps_its_mode(tmp_path):
    path = str(tmp_path / "file")
    whole.atomic_write(path, b"one", Ownership())
    assert mode(path) == 0o600
    os.chmod(path, 0o644)
    whole.atomic_write(path, b"two", Ownership())
    assert mode(path) == 0o644


def test_a_link_stays_and_the_file_it_points_to_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere/file", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    whole.atomic_write(str(link), b"new", Ownership())
    assert link.is_symlink() and target.read_bytes() == b"new"
    assert os.listdir(tmp_path / "elsewhere") == ["file"]


def test_a_missing_directory_is_a_message(tmp_path):
    path = str(tmp_path / "none/file")
    with pytest.raises(HoldfastError, match="cannot be written: No such file"):
        whole.atomic_write(path, b"", Ownership())


def test_what_is_no_file_is_a_message(tmp_path):
    with pytest.raises(HoldfastError, match="cannot be read: Is a directory"):
        whole.read_bytes(str(tmp_path))
    with pytest.raises(HoldfastError, match="cannot be removed"):
        whole.remove(str(tmp_path))
    assert whole.read_bytes(str(tmp_path / "none")) is None
    assert whole.remove(str(tmp_path / "none")) is False


def test_a_file_in_the_place_of_a_directory_is_a_message(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HoldfastError, match="exists and is not a directory"):
        whole.make_directories(str(tmp_path / "file"), 0o755)
    with pytest.raises(HoldfastError, match=r"exists and is not a directory|cannot be made"):
        whole.make_directories(str(tmp_path / "file/below"), 0o755)


def test_missing_parents_are_made_open_and_the_directory_with_its_mode_whatever_the_umask(tmp_path):
    old = os.umask(0o077)
    try:
        assert whole.make_directories(str(tmp_path / "one/two"), 0o700) is True
    finally:
        os.umask(old)
    assert (mode(tmp_path / "one"), mode(tmp_path / "one/two")) == (0o755, 0o700)
    assert whole.make_directories(str(tmp_path / "one/two"), 0o755) is False


def test_a_mode_that_cannot_be_set_is_a_message(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"")
    assert whole.set_ownership(str(path), Ownership(mode=mode(path))) is False
    monkeypatch.setattr(whole.os, "fchmod", fail)
    with pytest.raises(HoldfastError, match="its mode, owner or group cannot be set"):
        whole.set_ownership(str(path), Ownership(mode=0o601))


@pytest.mark.parametrize(("name", "leftover_of"), [(".a.crt.x1_y.holdfast-tmp", "a.crt"), (".a.crt.lock", None), ("a.x.holdfast-tmp", None)])
def test_a_temporary_file_tells_what_it_was_made_for(name, leftover_of):
    assert whole.leftover_of(name) == leftover_of


def test_what_is_neither_file_nor_directory_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HoldfastError, match="pipe: cannot be read: Is not a plain file"):
        whole.read_bytes(str(tmp_path / "pipe"))


def test_a_label_stays_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(whole, "_LABEL", "user.holdfast")
    path = str(tmp_path / "file")
    whole.atomic_write(path, b"old", Ownership())
    try:
        os.setxattr(path, "user.holdfast", b"label")
    except OSError:
        pytest.skip("this file system keeps no attributes")
    whole.atomic_write(path, b"new", Ownership())
    assert (whole.read_bytes(path), os.getxattr(path, "user.holdfast")) == (b"new", b"label")
