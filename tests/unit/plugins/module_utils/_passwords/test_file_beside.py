# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run leaves beside the password file, and what path may be."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._passwords import file as file_module
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.file import Policy, manage
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import User

OLD = b"# old\nalice:$2y$04$jzs8Lm6Iu1lNvNkDw3SCq.erBMIVakxrdCpZvDil6qMJyr3qsUCj2\n"
ALICE = User(b"alice", password_hash=b"$2y$04$" + b"b" * 53)
NEW = b"# old\nalice:" + ALICE.password_hash + b"\n"
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "htpasswd"
    file.write_bytes(OLD)
    file.chmod(0o644)
    return file


def run(path, users=(ALICE,), backup=True, **more):
    return manage(str(path), list(users), Policy(), Ownership(mode=0o640), backup=backup, **more)


def mode(path):
    return os.stat(path).st_mode & 0o7777


def test_a_backup_is_the_old_file_without_what_others_may_do_to_it(file, tmp_path):
    plan = run(file)
    assert re.fullmatch(rf"{re.escape(str(file))}\.[0-9]+\.[0-9-]{{10}}@[0-9:]{{8}}~", plan.backup)
    with open(plan.backup, "rb") as copy:
        assert copy.read() == OLD
    assert (mode(plan.backup), mode(file)) == (0o640, 0o640)
    assert file.read_bytes() == NEW
    assert sorted(os.listdir(tmp_path)) == [".htpasswd.lock", "htpasswd", os.path.basename(plan.backup)]


def test_a_backup_keeps_a_stricter_mode(file):
    file.chmod(0o600)
    assert mode(run(file).backup) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_backup_keeps_owner_and_group(file):
    os.chown(file, 1, 2)
    status = os.stat(run(file).backup)
    assert (status.st_uid, status.st_gid) == (1, 2)


def test_there_is_no_backup_without_a_change_of_content(file, tmp_path):
    kept = User(b"alice", absent=False, password_hash=OLD.split(b":")[1].strip())
    assert run(file, [kept]).file_changes == ["mode 0644 -> 0640"]
    assert run(file, [kept]).backup is None
    assert run(file, check_mode=True).backup is None
    assert run(file, backup=False).backup is None
    assert run(tmp_path / "new").backup is None
    assert sorted(os.listdir(tmp_path)) == [".htpasswd.lock", ".new.lock", "htpasswd", "new"]


def die_at_a_rename(number, path):
    rename, renames = os.replace, []

    def replace(*names, **directories):
        renames.append(names)
        if len(renames) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(*names, **directories)

    os.replace = replace
    run(path)


@pytest.mark.parametrize("number", [1, 2])
def test_a_kill_during_a_backup_leaves_whole_files_and_the_next_run_cleans_up(file, tmp_path, number):
    process = FORK.Process(target=die_at_a_rename, args=(number, str(file)))
    process.start()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
    assert file.read_bytes() == OLD
    assert len(list(tmp_path.glob(".*.holdfast-tmp"))) == 1
    assert run(file).reasons
    assert not list(tmp_path.glob(".*.holdfast-tmp"))
    assert file.read_bytes() == NEW
    for copy in tmp_path.glob("*~"):
        assert copy.read_bytes() == OLD


def test_the_temporary_file_of_a_file_with_a_longer_name_is_left_alone(file, tmp_path):
    others = tmp_path / ".htpasswd.old.abcd1234.holdfast-tmp"
    others.touch()
    leftover = tmp_path / ".htpasswd.abcd1234.holdfast-tmp"
    leftover.touch()
    run(file)
    assert others.exists()
    assert not leftover.exists()


def test_a_symbolic_link_stays_and_its_file_is_replaced_with_lock_and_backup_beside_it(file, tmp_path):
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "users"
    link.symlink_to("../htpasswd")
    plan = run(link)
    assert os.readlink(link) == "../htpasswd"
    assert os.listdir(tmp_path / "links") == ["users"]
    assert file.read_bytes() == NEW
    assert os.path.dirname(plan.backup) == str(tmp_path)
    assert not run(link).reasons


def test_a_symbolic_link_to_nothing_gets_its_file(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("target")
    assert run(link).file_changes == ["created"]
    assert link.is_symlink()
    assert (tmp_path / "target").read_bytes().startswith(b"alice:")


@pytest.mark.parametrize("check_mode", [True, False])
def test_nobody_has_to_be_removed_from_a_directory_that_is_not_there(tmp_path, check_mode):
    plan = run(tmp_path / "missing" / "htpasswd", [User(b"alice", absent=True)], check_mode=check_mode)
    assert (plan.reasons, plan.file_changes, plan.warnings) == ({}, [], [])
    assert os.listdir(tmp_path) == []


@pytest.fixture
def mounted(tmp_path):
    """A file that is a mount point of its own, with a space in its path."""
    (tmp_path / "a b").mkdir()
    path = tmp_path / "a b" / "htpasswd"
    for name in (tmp_path / "source", path):
        name.write_bytes(OLD)
        name.chmod(0o640)
    if os.getuid() or subprocess.run(["mount", "--bind", tmp_path / "source", path], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("may not mount")
    yield path
    subprocess.run(["umount", path], check=True)


@pytest.mark.parametrize("check_mode", [True, False])
def test_a_file_that_is_a_mount_point_cannot_be_replaced_and_the_error_says_why(mounted, check_mode):
    with pytest.raises(HoldfastError, match="^path: .*htpasswd is mounted by itself.*mount the directory it is in$"):
        run(mounted, check_mode=check_mode)
    assert mounted.read_bytes() == OLD
    kept = User(b"alice", password_hash=OLD.split(b":")[1].strip())
    assert not run(mounted, [kept], check_mode=check_mode).reasons


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize("kind", ["directory", "pipe", "loop", "link to a device"])
def test_what_is_no_file_is_refused_before_anything_is_made(tmp_path, kind, check_mode):
    path = tmp_path / "path"
    {
        "directory": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to("path"),
        "link to a device": lambda: path.symlink_to("/dev/null"),
    }[kind]()
    with pytest.raises(HoldfastError, match=r"^path: .* is not a file$"):
        run(path, check_mode=check_mode)
    assert os.listdir(tmp_path) == ["path"]


def test_a_file_that_vanishes_while_it_is_looked_at_is_a_message(file, monkeypatch):
    def vanish(lines, users, policy, path):
        file.unlink()
        return plan(lines, users, policy, path)

    plan = file_module.make_plan
    monkeypatch.setattr(file_module, "make_plan", vanish)
    with pytest.raises(HoldfastError, match="its mode, owner or group cannot be set: No such file"):
        run(file, users=[])
