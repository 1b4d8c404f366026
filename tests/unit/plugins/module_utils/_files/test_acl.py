# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who may read a file is the same after it is written anew, where an access control list says who."""

from __future__ import annotations

import errno
import os
import stat
import struct

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership

ACCESS, DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
OWNER, USER, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY, WEB = 0xFFFFFFFF, 33


def entries(user=4, group=0, mask=4):
    return [(OWNER, 6, NOBODY), (USER, user, WEB), (GROUP, group, NOBODY), (MASK, mask, NOBODY), (OTHER, 0, NOBODY)]


def set_acl(path, given, attribute=ACCESS):
    try:
        os.setxattr(path, attribute, struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in given))
    except (OSError, AttributeError):
        pytest.skip("this file system keeps no access control lists")


def acl_of(path):
    try:
        return list(struct.iter_unpack("<HHI", os.getxattr(path, ACCESS)[4:]))
    except OSError:
        return None


def mode(path):
    return stat.S_IMODE(os.stat(path).st_mode)


@pytest.fixture
def path(tmp_path):
    """A file that the user WEB may read, and its group may not."""
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o600)
    set_acl(file, entries())
    assert mode(file) == 0o640
    return str(file)


def test_a_file_that_is_written_anew_keeps_its_acl_and_its_group_gains_nothing(path):
    whole.atomic_write(path, b"new", Ownership())
    assert (whole.read_bytes(path), acl_of(path), mode(path)) == (b"new", entries(), 0o640)


def test_a_mode_limits_all_that_the_acl_names_whether_the_content_changes_or_not(path):
    whole.atomic_write(path, b"new", Ownership(mode=0o600))
    assert acl_of(path) == entries(mask=0)
    whole.set_ownership(path, Ownership(mode=0o640))
    assert acl_of(path) == entries()
    whole.atomic_write(path, b"newer", Ownership(mode=0o660))
    assert acl_of(path) == entries(mask=6)


def test_nobody_else_may_read_before_the_mode_is_set(path, monkeypatch):
    seen = []
    change = os.fchmod

    def fchmod(descriptor, wanted):
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        change(descriptor, wanted)

    monkeypatch.setattr(whole.os, "fchmod", fchmod)
    whole.atomic_write(path, b"new", Ownership(mode=0o600))
    assert seen == [0o600]


def test_a_file_without_an_acl_gets_none_from_its_directory(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o640)
    set_acl(tmp_path, [(tag, 6 if tag == OWNER else 4, number) for tag, _permissions, number in entries()], DEFAULT)
    whole.atomic_write(str(file), b"new", Ownership())
    assert (acl_of(file), mode(file)) == (None, 0o640)


def test_a_backup_gives_nobody_more_than_the_file_does(path, tmp_path):
    with locked(path) as file:
        copy = file.back_up(b"old")
    assert (acl_of(copy), mode(copy)) == (None, 0o600)
    set_acl(path, entries(group=4, mask=6))
    assert whole.ownership_of_copy(path).mode == 0o640
    assert whole.ownership_of_copy(str(tmp_path / "none")) == Ownership()


def test_an_acl_that_cannot_be_kept_is_an_error_and_the_file_stays(path, monkeypatch):
    def refuse(*_arguments):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(whole.os, "setxattr", refuse)
    with pytest.raises(HoldfastError, match=f"{path}: cannot be written with the ACL that it has: Invalid argument"):
        whole.atomic_write(path, b"new", Ownership())
    assert (whole.read_bytes(path), os.listdir(os.path.dirname(path))) == (b"old", ["file"])
