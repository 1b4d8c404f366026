# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import os
import sys

import pytest
from ansible_collections.holdfast.registry.plugins.modules import htpasswd
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args

HASH = "$2y$04$jzs8Lm6Iu1lNvNkDw3SCq.erBMIVakxrdCpZvDil6qMJyr3qsUCj2"
SECRET = "correct-horse"


@pytest.fixture
def run(tmp_path, capfd, monkeypatch):
    """Run the module in this process; no secret may be in what it prints. Returns its result."""
    warnings = []
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.log", lambda *_args, **_kwargs: None)
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.warn", lambda _self, warning: warnings.append(warning))

    def call(users, check_mode=False, **params):
        arguments = {"path": str(tmp_path / "htpasswd"), "users": users, "bcrypt_cost": 4, "_ansible_check_mode": check_mode, "_ansible_diff": True, **params}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            htpasswd.main()
        output = capfd.readouterr()
        assert SECRET not in output.out + output.err
        assert "$2" not in output.out.replace("($2y$, $2b$ or $2a$", "")
        return {**json.loads(output.out), "warnings": warnings}

    return call


def listing(directory):
    return {entry.name: entry.read_bytes() for entry in directory.iterdir()}


def test_a_check_mode_run_foretells_exactly_what_the_run_does_and_a_second_run_does_nothing(run, tmp_path):
    (tmp_path / "htpasswd").write_text(f"# by hand\nmallory:x\nbob:{HASH}\n")
    before = listing(tmp_path)
    users = [{"name": "alice", "password": SECRET}, {"name": "bob", "password": SECRET}]
    forecast = run(users, check_mode=True, exclusive=True)
    assert listing(tmp_path) == before
    result = run(users, exclusive=True)
    for key in ("changed", "added", "updated", "removed", "reasons", "file_changes", "diff"):
        assert result[key] == forecast[key]
    assert result["reasons"] == {"alice": "missing", "bob": "password changed", "mallory": "not listed, and exclusive is true"}
    assert (result["added"], result["updated"], result["removed"]) == (["alice"], ["bob"], ["mallory"])

    written = listing(tmp_path)
    second = run(users, exclusive=True)
    assert listing(tmp_path) == written
    assert (second["changed"], second["reasons"], second["file_changes"]) == (False, {}, [])
    assert second["diff"][0]["before"] == second["diff"][0]["after"]


def test_a_new_file_is_readable_for_its_group_only(run, tmp_path):
    result = run([{"name": "alice", "password_hash": HASH}])
    assert result["changed"]
    assert result["file_changes"] == ["created"]
    assert os.stat(tmp_path / "htpasswd").st_mode & 0o7777 == 0o640


def test_the_backup_is_named_when_there_is_one_and_never_in_check_mode(run, tmp_path):
    users = [{"name": "alice", "password_hash": HASH}]
    assert "backup_file" not in run(users, backup=True)
    (tmp_path / "htpasswd").write_text("alice:x\n")
    assert "backup_file" not in run(users, check_mode=True, backup=True)
    result = run(users, backup=True)
    with open(result["backup_file"]) as copy:
        assert copy.read() == "alice:x\n"
    assert "backup_file" not in run(users, backup=True)


def test_duplicates_in_the_file_are_a_warning(run, tmp_path):
    (tmp_path / "htpasswd").write_text("bob:x\nbob:y\n")
    result = run([])
    assert "line 2 is a duplicate of bob" in str(result["warnings"])
    assert result["changed"]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ([{"name": "alice", "passwrd": SECRET}], "users[0]: unknown key 'passwrd'"),
        (["alice:" + SECRET], "dictionary requested"),
        ([{"name": "bob", "password_hash": HASH}, {"password": SECRET}], "users[1].name: is missing"),
        ([{"name": "alice", "password": SECRET, "state": "gone"}], "users[0].state: must be present or absent"),
        ([{"name": "alice"}], "users[0]: needs a password or a password_hash"),
        ([{"name": "alice", "password": None}], "users[0]: needs a password or a password_hash"),
        ([{"name": "alice", "password_hash": SECRET}], "users[0].password_hash: is not a hash"),
        ([{"name": "alice", "password": 7007007}], "users[0].password: must be a string, not a number: put it in quotes"),
        ([{"name": True, "password": SECRET}], "users[0].name: must be a string, not a boolean: put it in quotes"),
        ([{"name": "alice", "password": SECRET + "\n"}], "users[0].password: must not contain control characters"),
    ],
)
def test_wrong_users_are_refused_with_their_place_before_anything_is_written(run, tmp_path, users, message):
    result = run(users)
    assert result["failed"]
    assert message in result["msg"]
    assert "7007007" not in result["msg"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mode": 416}, "mode: write it in octal and in quotes"),
        ({"mode": "rw"}, "mode: 'rw' is not an octal number"),
        ({"bcrypt_cost": 3}, "bcrypt_cost: 3 is not between 4 and 17"),
        ({"owner": "no-such-user"}, "owner: there is no user 'no-such-user'"),
        ({"group": "no-such-group"}, "group: there is no group 'no-such-group'"),
        ({"owner": "4294967295"}, "owner: 4294967295 is too large"),
        ({"scheme": "apr1"}, "Unsupported parameters"),
        ({"path": "/tmp/no\0where"}, "path: must not contain a NUL character"),
        ({"path": "/tmp"}, "path: /tmp is not a file"),
        ({"path": "/dev/null/htpasswd"}, "path: the directory /dev/null does not exist"),
    ],
)
def test_other_wrong_parameters_are_refused_by_name_before_anything_is_written(run, tmp_path, params, message):
    result = run([{"name": "alice", "password_hash": HASH}], **params)
    assert result["failed"]
    assert message in result["msg"]
    assert not list(tmp_path.iterdir())


def test_check_mode_on_a_host_without_the_servers_user_warns_and_foretells_a_change(run):
    result = run([{"name": "alice", "password_hash": HASH}], check_mode=True, group="no-such-group")
    assert result["changed"]
    assert "there is no group 'no-such-group'" in str(result["warnings"])


def test_no_password_reaches_the_system_log_however_it_is_spelt(tmp_path, monkeypatch, capfd):
    messages = []
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule.log", lambda _self, msg, log_args=None: messages.append(f"{msg} {log_args}"))
    arguments = {"path": str(tmp_path / "htpasswd"), "users": [{"name": "alice", "password": "hunter2\"'\\ä"}], "bcrypt_cost": 4}
    with patch_module_args(arguments), pytest.raises(SystemExit):
        htpasswd.main()
    assert messages
    assert "hunter2" not in str(messages) + capfd.readouterr().out


def test_a_missing_library_is_a_message_and_no_traceback(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    monkeypatch.setattr("ansible_collections.holdfast.registry.plugins.module_utils._passwords.hashes._crypt_r", lambda: None)
    result = run([{"name": "alice", "password": SECRET}])
    assert result["failed"]
    assert "python3-bcrypt" in result["msg"]
    assert not (tmp_path / "htpasswd").exists()
    forecast = run([{"name": "alice", "password": SECRET}], check_mode=True)
    assert forecast["changed"]
    assert "python3-bcrypt" in str(forecast["warnings"])
