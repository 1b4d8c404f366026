# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import grp
import json
import pwd

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import group as logic
from ansible_collections.holdfast.registry.plugins.module_utils._host.group import Wanted


class Machine:
    """A host with the users alice, bob and carol, and a group docker whose program is counted."""

    def __init__(self, record):
        self.record, self.members, self.commands, self.failing = record, [], [], ""

    def getgrnam(self, name):
        if name != "docker":
            raise KeyError(name)
        return grp.struct_group(("docker", "x", 990, list(self.members)))

    def getpwnam(self, name):
        if name not in ("alice", "bob", "carol"):
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 1000, 990 if name == "carol" else 1000, "", "/", "/bin/sh"))

    def run_program(self, *command, **_keywords):
        self.commands.append(" ".join(command))
        _program, verb, user, _group = command
        if user == self.failing:
            return Result(3, "", f"gpasswd: {user}: cannot lock /etc/group")
        if verb == "--add":
            self.members.append(user)
        else:
            self.members.remove(user)
        return Result(0, "", "")

    def want(self, *users, name="play", check_mode=False, group="docker"):
        wanted = Wanted(group, list(users), name)
        logic.check(wanted)
        return logic.manage(self.run_program, wanted, str(self.record), check_mode=check_mode)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    made = Machine(tmp_path / "state/group_members.json")
    monkeypatch.setattr(logic.grp, "getgrnam", made.getgrnam)
    monkeypatch.setattr(logic.pwd, "getpwnam", made.getpwnam)
    return made


def test_a_user_who_is_no_longer_wanted_leaves_again(machine):
    assert machine.want("alice", "bob")["added"] == ["alice", "bob"]
    assert machine.want("bob")["changes"] == ["alice: removed"]
    assert machine.members == ["bob"]
    assert machine.want()["removed"] == ["bob"]
    assert not machine.record.exists()


def test_who_was_a_member_before_stays_one(machine):
    machine.members = ["alice", "bob"]
    assert machine.want("alice")["changed"] is False
    assert machine.want()["changed"] is False
    assert (machine.members, machine.commands) == (["alice", "bob"], [])


def test_a_second_run_changes_nothing_and_runs_nothing(machine):
    machine.want("alice")
    before, machine.commands = machine.record.stat().st_mtime_ns, []
    assert machine.want("alice", "alice")["changed"] is False
    assert (machine.commands, machine.record.stat().st_mtime_ns) == ([], before)


def test_check_mode_says_what_the_run_does_and_does_nothing(machine):
    machine.want("bob")
    before = machine.record.read_text()
    predicted = machine.want("alice", check_mode=True)
    assert (machine.members, machine.record.read_text()) == (["bob"], before)
    assert predicted == machine.want("alice")
    assert predicted["diff"] == [{"before": "bob\n", "after": "alice\n"}]


def test_whom_another_caller_has_added_stays_for_that_one(machine):
    machine.want("alice", name="first")
    assert machine.want("alice", name="second")["changes"] == ["alice: was added under the name first, and is kept for this one too"]
    assert machine.want("alice", name="second")["changed"] is False
    assert machine.want(name="first")["changes"] == ["alice: stays for the name second"]
    assert machine.members == ["alice"]
    machine.want(name="second")
    assert machine.members == []


def test_a_caller_never_takes_out_whom_another_has_added(machine):
    machine.want("alice", name="first")
    assert machine.want(name="second")["changed"] is False
    assert machine.members == ["alice"]


def test_a_run_that_ends_after_the_first_user_is_known_to_the_next(machine):
    machine.failing = "bob"
    with pytest.raises(HoldfastError, match="gpasswd --add bob docker failed: gpasswd: bob: cannot lock"):
        machine.want("alice", "bob")
    assert machine.members == ["alice"]
    machine.failing = ""
    machine.want("bob")
    assert machine.members == ["bob"]


def test_who_left_by_other_means_is_added_again_or_forgotten(machine):
    machine.want("alice", "bob")
    machine.members.clear()
    assert machine.want("alice")["changes"] == ["alice: added", "bob: is no member any more, forgotten"]
    assert json.loads(machine.record.read_text()) == {"play": {"docker": ["alice"]}}


def test_who_has_it_as_primary_group_is_a_member_already(machine):
    assert machine.want("carol")["changed"] is False
    assert machine.commands == []


def test_a_missing_user_is_refused_before_the_first_is_added(machine):
    with pytest.raises(HoldfastError, match=r"^users\[1\]: there is no user 'mallory'"):
        machine.want("alice", "mallory")
    assert (machine.commands, machine.record.exists()) == ([], False)
    assert machine.want("mallory", check_mode=True)["added"] == ["mallory"]


def test_a_user_who_was_deleted_is_no_hindrance_to_leave(machine):
    machine.want("alice")
    machine.members = ["alice"]
    logic.pwd.getpwnam = {}.__getitem__
    assert machine.want()["removed"] == ["alice"]


def test_a_missing_group_is_refused_unless_nobody_shall_be_in_it(machine):
    with pytest.raises(HoldfastError, match="there is no group 'podman' on this host"):
        machine.want("alice", group="podman")
    assert machine.want(group="podman")["changed"] is False
    assert "a real run fails unless" in machine.want("alice", group="podman", check_mode=True)["warnings"][0]


@pytest.mark.parametrize("user", ["", "-d", "a b", "a,b", "a:b", "../a", "a\nb", "a\x00"])
def test_what_is_no_name_of_a_user_never_reaches_the_program(machine, user):
    with pytest.raises(HoldfastError, match=r"users\[0\]: .* is not the name of a user"):
        machine.want(user)
    assert machine.commands == []


@pytest.mark.parametrize("content", ["{", "[]", "\x00", '{"play": 1}', '{"other": []}'])
def test_a_damaged_record_is_named(machine, content):
    machine.record.parent.mkdir()
    machine.record.write_text(content)
    with pytest.raises(HoldfastError, match=r"group_members\.json: is damaged; remove it"):
        machine.want("alice")
    assert machine.commands == []


@pytest.mark.parametrize("content", ['{"play": {"docker": 1}}', '{"play": {"docker": [1]}}'])
def test_a_record_that_holds_something_else_takes_nobody_out(machine, content):
    machine.record.parent.mkdir()
    machine.record.write_text(content)
    machine.members = ["bob"]
    assert machine.want("alice")["changes"] == ["alice: added"]
    assert machine.members == ["bob", "alice"]
