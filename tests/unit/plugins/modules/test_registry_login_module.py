# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import json
import os
import pathlib
import pwd
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import login as logic
from ansible_collections.holdfast.registry.plugins.module_utils._docker.check import Answers
from ansible_collections.holdfast.registry.plugins.modules import registry_login
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args

SECRETS = ["correct-horse", "battery-staple"]


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> pathlib.Path:
    """The configuration of alice, who is whoever runs the tests."""
    account = pwd.struct_passwd(("alice", "x", os.geteuid(), os.getegid(), "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(logic.pwd, "getpwnam", {"alice": account}.__getitem__)
    return tmp_path / ".docker" / "config.json"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> t.Callable[..., dict[str, t.Any]]:
    def run_module(*logins: dict[str, t.Any], check: bool = False, **options: t.Any) -> dict[str, t.Any]:
        options = {"check_credentials": False, **options}
        arguments = {"logins": list(logins), **options, "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_verbosity": 5}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            registry_login.main()
        output = capsys.readouterr()
        for secret in SECRETS:
            assert secret not in output.out + output.err
            assert base64.b64encode(f"alice:{secret}".encode()).decode() not in output.out + output.err
        return json.loads(output.out)

    return run_module


def login(**values: t.Any) -> dict[str, t.Any]:
    return {"user": "alice", "registry": "registry.test:5000", "username": "alice", "password": SECRETS[0], **values}


def test_a_check_run_says_what_the_run_does_and_a_second_run_nothing(run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path) -> None:
    predicted = run(login(), check=True)
    assert not config.parent.exists()
    real = run(login())
    assert (predicted, real["changed"]) == (real, True)
    assert real["logins"] == [{"user": "alice", "registry": "registry.test:5000", "client": "docker", "path": str(config), "changed": True, "reason": "added"}]
    again = run(login())
    assert (again["changed"], again["diff"], again["logins"][0]["reason"]) == (False, [], "up to date")


def test_the_diff_shows_a_new_password_without_showing_it(run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path) -> None:
    run(login())
    result = run(login(password=SECRETS[1]))
    assert result["diff"] == [
        {
            "before_header": str(config),
            "after_header": str(config),
            "before": {"auths": {"registry.test:5000": {"auth": "<credentials of alice>"}}},
            "after": {"auths": {"registry.test:5000": {"auth": "<new credentials of alice>"}}},
        }
    ]
    assert json.loads(config.read_text())["auths"]["registry.test:5000"]["auth"] == base64.b64encode(b"alice:battery-staple").decode()


def test_absent_takes_the_login_away_once(run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path) -> None:
    run(login())
    gone = {"user": "alice", "registry": "registry.test:5000", "state": "absent"}
    assert [run(gone, check=True)["changed"], run(gone)["changed"], run(gone)["changed"]] == [True, True, False]
    assert json.loads(config.read_text()) == {"auths": {}}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"user": "carol"}, "logins[1].user: there is no user 'carol' on this host"),
        ({"password": None}, "logins[1].password: is missing or empty; state present needs a username and a password"),
        ({"registry": f"alice:{SECRETS[0]}@registry.test"}, "logins[1].registry: must be HOST or HOST:PORT, without a username or password"),
    ],
)
def test_a_wrong_login_fails_with_one_sentence_and_changes_nothing(
    run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path, wrong: dict[str, t.Any], message: str
) -> None:
    result = run(login(registry="other.test"), login(**wrong))
    assert (result["failed"], result["msg"]) == (True, message)
    assert not config.parent.exists()


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Answers]:
    """What the registries answer, one run after the other."""
    prepared: list[Answers] = []
    monkeypatch.setattr(registry_login, "check", lambda _logins, _directory: prepared.pop(0))
    return prepared


def test_a_password_the_registry_refuses_is_not_written(run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path, answers: list[Answers]) -> None:
    answers += [Answers(["logins[0]: refused"], [])] * 2
    result = run(login(), check_credentials=True)
    assert result["failed"] and result["msg"].startswith("logins[0]: refused. Nothing was written")
    assert not config.parent.exists()
    predicted = run(login(), check_credentials=True, check=True)
    assert predicted["changed"] and "logins[0]: refused; a real run fails here" in str(predicted["warnings"])


def test_a_password_that_is_there_already_is_asked_about_too(run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path, answers: list[Answers]) -> None:
    answers += [Answers([], []), Answers(["logins[0]: refused"], [])]
    assert run(login(), check_credentials=True)["changed"]
    assert run(login(), check_credentials=True)["failed"]


def test_a_registry_that_cannot_be_asked_is_a_warning(run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path, answers: list[Answers]) -> None:
    answers.append(Answers([], ["logins[0]: unknown"]))
    result = run(login(), check_credentials=True)
    assert result["changed"] and "logins[0]: unknown" in str(result["warnings"])
    assert config.exists()


def test_no_logins_is_no_change(run: t.Callable[..., dict[str, t.Any]]) -> None:
    assert run()["changed"] is False


@pytest.mark.parametrize("password", ["hunter2\"'", "hunter2\\", "hunter2ä"])
def test_no_password_reaches_the_system_log_however_it_is_spelt(
    run: t.Callable[..., dict[str, t.Any]], config: pathlib.Path, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    logged: list[str] = []
    monkeypatch.setattr("ansible.module_utils.basic.has_journal", False)
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule._log_to_syslog", lambda _self, message: logged.append(message))
    assert run(login(password=password))["changed"]
    assert len(logged) == 1 and logged[0].startswith("Invoked") and "hunter2" not in logged[0]


def test_a_password_below_a_misspelt_key_is_not_repeated(run: t.Callable[..., dict[str, t.Any]]) -> None:
    result = run({"user": "alice", "registry": "registry.test:5000", "username": "alice", "passwrd": SECRETS[0]})
    assert result["failed"] and "passwrd" in result["msg"]
