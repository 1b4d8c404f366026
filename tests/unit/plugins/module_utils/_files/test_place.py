# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import contextlib
import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.place import opened
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import atomic_write, make_directories, read_bytes, remove, set_ownership

STRANGER = 4321
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make what belongs to others")


@pytest.fixture
def victim(tmp_path):
    """A file that nobody but root may write to."""
    path = tmp_path / "victim"
    path.write_bytes(b"root's")
    return path


@pytest.fixture
def theirs(tmp_path):
    """A directory that somebody else may write to, below one that only root may."""
    path = tmp_path / "theirs"
    path.mkdir(mode=0o777)
    path.chmod(0o777)
    return path


def link(path, target, owner=STRANGER):
    path.symlink_to(target)
    os.lchown(path, owner, owner)
    return str(path)


def take_lock(path):
    with locked(path):
        pass


@pytest.mark.parametrize(
    "act",
    [
        read_bytes,
        take_lock,
        lambda path: atomic_write(path, b"stranger's", Ownership()),
        lambda path: set_ownership(path, Ownership(mode=0o666)),
    ],
    ids=["read", "lock", "write", "mode"],
)
def test_a_link_that_a_stranger_put_there_is_not_followed(theirs, victim, act):
    path = link(theirs / "htpasswd", victim)
    before = victim.stat()
    with pytest.raises(
        HoldfastError, match=rf"theirs/htpasswd is a symbolic link of the user with the number {STRANGER}, in a directory that others may write to"
    ):
        act(path)
    assert (victim.read_bytes(), victim.stat().st_mode, victim.stat().st_ino) == (b"root's", before.st_mode, before.st_ino)
    assert os.listdir(theirs) == ["htpasswd"]


def test_nor_one_in_the_place_of_a_directory(tmp_path, theirs):
    (tmp_path / "elsewhere").mkdir()
    path = link(theirs / "directory", tmp_path / "elsewhere")
    with pytest.raises(HoldfastError, match="theirs/directory is a symbolic link"):
        atomic_write(f"{path}/file", b"", Ownership())
    with pytest.raises(HoldfastError, match="theirs/directory is a symbolic link"):
        make_directories(f"{path}/below/it", 0o755)
    assert os.listdir(tmp_path / "elsewhere") == []


def test_a_directory_of_a_stranger_is_open_to_its_owner(tmp_path, victim):
    directory = tmp_path / "home"
    directory.mkdir()
    os.chown(directory, STRANGER, STRANGER)
    with pytest.raises(HoldfastError, match="home/file is a symbolic link"):
        read_bytes(link(directory / "file", victim))


def test_a_link_of_root_is_followed_anywhere_and_one_of_others_where_only_root_may_write(tmp_path, theirs, victim):
    assert read_bytes(link(theirs / "link", victim, owner=0)) == b"root's"
    assert read_bytes(link(tmp_path / "link", victim)) == b"root's"


def test_a_link_is_removed_whoever_put_it_there(theirs, victim):
    path = link(theirs / "link", victim)
    assert remove(path) is True
    assert not os.path.lexists(path) and victim.exists()


def test_a_link_that_is_swapped_while_the_file_is_locked_changes_nothing(theirs, victim):
    path = theirs / "file"
    path.write_bytes(b"old")
    with locked(str(path)) as file:
        path.unlink()
        link(path, victim)
        with pytest.raises(HoldfastError, match="cannot be read: Too many levels of symbolic links"):
            file.read()
        file.write(b"new", Ownership())
    assert (path.is_symlink(), path.read_bytes(), victim.read_bytes()) == (False, b"new", b"root's")


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("a/file", "a/file"),
        ("a/./b/../file", "a/file"),
        ("to-a/file", "a/file"),
        ("a/up/file", "file"),
        ("to-file", "a/new"),
        ("a//file/", "a/file"),
    ],
)
def test_paths_lead_where_the_kernel_says(tmp_path, path, real):
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "to-a").symlink_to("a")
    (tmp_path / "a/up").symlink_to("..")
    (tmp_path / "to-file").symlink_to(tmp_path / "a/new")
    with opened(f"{tmp_path}/{path}") as place:
        assert place.real == str(tmp_path / real) == os.path.realpath(f"{tmp_path}/{path}")
        assert os.path.samestat(os.fstat(place.directory), os.stat(os.path.dirname(place.real)))


def test_a_path_without_a_slash_begins_where_the_process_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    atomic_write("file", b"here", Ownership())
    assert (tmp_path / "file").read_bytes() == b"here"


def test_a_loop_ends(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(HoldfastError, match="one: cannot be read: Too many levels"):
        read_bytes(str(tmp_path / "one"))


def test_a_file_on_the_way_is_a_message(victim):
    with pytest.raises(HoldfastError, match="cannot be read: Not a directory"):
        read_bytes(str(victim / "below"))


def test_no_descriptor_stays_open(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    before = os.listdir("/proc/self/fd")
    for path in ("link/file", "a/../a/none/file", "link/../link/file"):
        for act in (read_bytes, remove, lambda path: atomic_write(path, b"", Ownership())):
            with contextlib.suppress(HoldfastError):
                act(str(tmp_path / path))
    assert len(os.listdir("/proc/self/fd")) == len(before)
