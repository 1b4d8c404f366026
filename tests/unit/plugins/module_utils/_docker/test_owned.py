# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import os
import pathlib
import pwd
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import login as registry_login
from ansible_collections.holdfast.registry.plugins.module_utils._docker import podman
from ansible_collections.holdfast.registry.plugins.module_utils._docker.login import Outcome, Work, parse_logins
from ansible_collections.holdfast.registry.plugins.module_utils._docker.owned import log_in
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import no_program


class Machine:
    """A host on which alice, who is whoever runs the tests, is logged in by several callers."""

    def __init__(self, path: pathlib.Path) -> None:
        self.home, self.record = path / "alice", path / "state/registry_login.json"
        self.home.mkdir()
        self.account = pwd.struct_passwd(("alice", "x", os.geteuid(), os.getegid(), "", str(self.home), "/bin/sh"))

    def run(self, *registries: str, name: str | None = "play", exclusive: bool = True, check_mode: bool = False, **values: t.Any) -> Outcome:
        common = {"user": "alice", "username": "alice", "password": "correct-horse", "state": "present", **values}
        logins = parse_logins([{**common, "registry": registry} for registry in registries])
        return log_in(no_program, logins, name, str(self.record), exclusive=exclusive, check_mode=check_mode)

    def changes(self, *registries: str, **options: t.Any) -> list[tuple[str, str]]:
        return [(outcome["registry"], outcome["reason"]) for outcome in self.run(*registries, **options).logins if outcome["changed"]]

    @property
    def auths(self) -> list[str]:
        return sorted(json.loads((self.home / ".docker/config.json").read_text())["auths"])


@pytest.fixture
def machine(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    monkeypatch.setattr(registry_login.pwd, "getpwnam", {"alice": made.account}.__getitem__)
    return made


def test_a_login_that_is_no_longer_listed_is_removed_and_the_record_holds_no_secret(machine: Machine) -> None:
    machine.run("a.test", "b.test")
    assert json.loads(machine.record.read_text()) == {"play": {"alice": [["docker", "a.test"], ["docker", "b.test"]]}}
    assert machine.changes("b.test") == [("a.test", "removed")]
    assert machine.auths == ["b.test"]
    assert machine.changes() == [("b.test", "removed")]
    assert (machine.auths, machine.record.exists()) == ([], False)


def test_another_name_of_the_docker_hub_is_no_other_login(machine: Machine) -> None:
    machine.run("index.docker.io")
    assert machine.changes("docker.io") == machine.changes("Docker.io") == []
    assert machine.auths == ["https://index.docker.io/v1/"]
    assert machine.changes() == [("docker.io", "removed")]


def test_without_exclusive_it_stays_and_is_still_known(machine: Machine) -> None:
    machine.run("a.test", "b.test")
    assert machine.changes("b.test", exclusive=False) == []
    assert machine.changes() == [("a.test", "removed"), ("b.test", "removed")]


def test_a_login_that_was_there_before_is_not_ours_to_remove(machine: Machine) -> None:
    machine.run("a.test", name=None, exclusive=False)
    assert machine.changes("a.test") == []
    assert machine.changes() == []
    assert machine.auths == ["a.test"]


def test_two_callers_do_not_log_out_each_others_users(machine: Machine) -> None:
    machine.run("a.test", name="first")
    assert machine.changes("b.test", name="second") == [("b.test", "added")]
    assert machine.changes("a.test", name="second") == [("b.test", "removed")]
    assert machine.changes(name="first") == []
    assert machine.auths == ["a.test"]
    assert machine.changes(name="second") == [("a.test", "removed")]


def test_check_mode_says_what_the_run_does_and_leaves_the_record(machine: Machine) -> None:
    machine.run("a.test")
    before = machine.record.read_bytes()
    predicted = machine.run("b.test", check_mode=True)
    assert (machine.record.read_bytes(), machine.auths) == (before, ["a.test"])
    assert predicted == machine.run("b.test")


def test_a_run_that_is_killed_after_the_first_file_is_known_to_the_next(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        real = Work.write

        def write_and_die(work: Work) -> None:
            real(work)
            raise KeyboardInterrupt

        patched.setattr(Work, "write", write_and_die)
        with pytest.raises(KeyboardInterrupt):
            machine.run("a.test")
    assert machine.auths == ["a.test"]
    assert machine.changes() == [("a.test", "removed")]


def test_a_user_who_was_deleted_is_forgotten(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.run("a.test")
    monkeypatch.setattr(registry_login.pwd, "getpwnam", {}.__getitem__)
    assert machine.changes() == []
    assert not machine.record.exists()


def test_one_login_for_docker_and_one_for_podman_are_two(machine: Machine) -> None:
    machine.run("a.test")
    assert machine.changes("a.test", client="podman") == [("a.test", "added"), ("a.test", "removed")]
    assert machine.auths == []
    assert list(json.loads((machine.home / ".config/containers/auth.json").read_text())["auths"]) == ["a.test"]


def test_a_login_of_podman_that_another_overrules_is_a_warning(machine: Machine, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    volatile = tmp_path / f"run/containers/{os.geteuid()}/auth.json"
    volatile.parent.mkdir(parents=True)
    volatile.write_text('{"auths": {"a.test": {"auth": "b3RoZXI="}, "b.test": null}}')
    monkeypatch.setattr(podman, "VOLATILE", str(tmp_path / "run"))
    warnings = machine.run("a.test", "b.test", client="podman").warnings
    assert len(warnings) == 1 and f"logins[0]: podman uses other credentials of a.test, in {volatile}" in warnings[0]
    assert machine.run("a.test", "b.test").warnings == []


def test_a_file_that_its_user_links_to_another_of_theirs_stays_a_link(machine: Machine) -> None:
    (machine.home / "dotfiles").mkdir()
    (machine.home / "dotfiles/config.json").write_text('{"detachKeys": "ctrl-x"}')
    (machine.home / ".docker").mkdir()
    (machine.home / ".docker/config.json").symlink_to("../dotfiles/config.json")
    machine.run("a.test")
    assert (machine.home / ".docker/config.json").is_symlink()
    assert json.loads((machine.home / "dotfiles/config.json").read_text())["detachKeys"] == "ctrl-x"
    assert machine.auths == ["a.test"]


def test_a_damaged_record_is_named_before_anything_is_written(machine: Machine) -> None:
    machine.record.parent.mkdir()
    machine.record.write_text("{")
    with pytest.raises(HoldfastError, match=r"registry_login\.json: is damaged; remove it"):
        machine.run("a.test")
    assert not (machine.home / ".docker").exists()
