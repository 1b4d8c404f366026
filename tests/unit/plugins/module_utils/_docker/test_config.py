# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import json
import os
import pathlib
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import config as logic
from ansible_collections.holdfast.registry.plugins.module_utils._docker.config import Plan, plan_without_account
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import no_program

PASSWORD = "correct-horse"
AUTH = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()


def login(registry: str = "registry.test", **values: t.Any) -> Login:
    return Login("logins[0]", "alice", registry, **{"username": "alice", "password": PASSWORD, **values})


def absent(registry: str = "registry.test") -> Login:
    return Login("logins[0]", "alice", registry, present=False)


def make_plan(path: str, logins: list[Login]) -> Plan:
    return logic.make_plan(no_program, path, logins)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "config.json"


def write(path: pathlib.Path, content: t.Any, mode: int = 0o600) -> None:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)


def written(plan: Plan) -> t.Any:
    assert plan.content is not None
    return json.loads(plan.content)


def reasons(plan: Plan) -> list[str]:
    return [outcome["reason"] if outcome["changed"] else f"unchanged: {outcome['reason']}" for outcome in plan.outcomes]


def test_a_file_that_is_missing_or_empty_gets_the_entry_as_docker_writes_it(path: pathlib.Path) -> None:
    expected = b'{\n\t"auths": {\n\t\t"registry.test": {\n\t\t\t"auth": "' + AUTH.encode() + b'"\n\t\t}\n\t}\n}\n'
    assert make_plan(str(path), [login()]).content == expected
    write(path, "\n")
    assert make_plan(str(path), [login()]).content == expected


def test_what_is_as_it_should_be_is_left_alone(path: pathlib.Path) -> None:
    write(path, {"auths": {"registry.test": {"auth": AUTH}}})
    plan = make_plan(str(path), [login(), absent("other.test")])
    assert (plan.content, plan.before, plan.after) == (None, {}, {})
    assert reasons(plan) == ["unchanged: up to date", "unchanged: not logged in"]


def test_everything_else_in_the_file_is_kept_in_its_order(path: pathlib.Path) -> None:
    other = {
        "z": [1.5, None, "é"],
        "auths": {"b.test": {"auth": "Yjpi", "email": "b@b.test"}, "a.test": {}},
        "HttpHeaders": {"X": "y"},
        "a": 12345678901234567890,
    }
    write(path, other)
    config = written(make_plan(str(path), [login()]))
    assert list(config) == ["z", "auths", "HttpHeaders", "a"]
    assert list(config["auths"]) == ["b.test", "a.test", "registry.test"]
    del config["auths"]["registry.test"]
    assert config == other


def test_a_new_password_or_username_is_told_apart(path: pathlib.Path) -> None:
    for old, reason in ((f"alice:{PASSWORD}-old", "password changed"), (f"bob:{PASSWORD}", "credentials changed"), ("no colon", "credentials changed")):
        write(path, {"auths": {"registry.test": {"auth": base64.b64encode(old.encode()).decode(), "email": "kept"}}})
        plan = make_plan(str(path), [login()])
        assert reasons(plan) == [reason]
        assert written(plan)["auths"]["registry.test"] == {"email": "kept", "auth": AUTH}
        assert plan.before != plan.after


@pytest.mark.parametrize("rival", ["identitytoken", "registrytoken", "username", "password"])
def test_what_docker_would_use_instead_of_the_password_is_removed(path: pathlib.Path, rival: str) -> None:
    write(path, {"auths": {"registry.test": {rival: "old-secret", "auth": AUTH}}})
    plan = make_plan(str(path), [login()])
    assert written(plan)["auths"]["registry.test"] == {"auth": AUTH}
    assert reasons(plan) == [f"{rival} removed"]
    assert plan.before["auths"]["registry.test"] == {rival: "<secret>", "auth": "<credentials of alice>"}


def test_the_docker_hub_gets_the_key_docker_looks_up(path: pathlib.Path) -> None:
    assert list(written(make_plan(str(path), [login("docker.io")]))["auths"]) == ["https://index.docker.io/v1/"]
    assert list(written(make_plan(str(path), [login("docker.io", client="podman")]))["auths"]) == ["docker.io"]


def test_absent_removes_the_entry_under_every_key_docker_may_have_used(path: pathlib.Path) -> None:
    keys = ["registry.test", "https://registry.test", "http://registry.test/v1/"]
    others = ["registry.test:5000", "https://other.registry.test", "registry.test/project"]
    write(path, {"auths": {key: {"auth": AUTH} for key in keys + others}})
    plan = make_plan(str(path), [absent()])
    assert list(written(plan)["auths"]) == others
    assert list(plan.before["auths"]) == keys
    assert (plan.after, reasons(plan)) == ({}, ["removed"])


def test_absent_does_not_make_a_file(path: pathlib.Path) -> None:
    assert make_plan(str(path), [absent()]).content is None


def test_several_logins_are_one_content(path: pathlib.Path) -> None:
    write(path, {"auths": {"gone.test": {"auth": AUTH}}})
    plan = make_plan(str(path), [login("a.test"), absent("gone.test"), login("b.test")])
    assert list(written(plan)["auths"]) == ["a.test", "b.test"]
    assert reasons(plan) == ["added", "removed", "added"]


@pytest.mark.parametrize(("mode", "tight"), [(0o644, 0o600), (0o640, 0o600), (0o700, 0o600), (0o444, 0o400)])
def test_a_wider_mode_is_tightened_and_says_so(path: pathlib.Path, mode: int, tight: int) -> None:
    write(path, {"auths": {"registry.test": {"auth": AUTH}}}, mode)
    plan = make_plan(str(path), [login()])
    assert (plan.content, plan.mode) == (path.read_bytes(), tight)
    assert reasons(plan) == [f"file mode {mode:04o} tightened to {tight:04o}"]
    assert (plan.before, plan.after) == ({"mode": f"{mode:04o}"}, {"mode": f"{tight:04o}"})


def test_absent_leaves_the_mode_of_a_file_it_does_not_change(path: pathlib.Path) -> None:
    write(path, {}, 0o644)
    assert make_plan(str(path), [absent()]).content is None


def test_no_secret_is_in_outcomes_or_diff(path: pathlib.Path) -> None:
    old = {"auth": base64.b64encode(b"bob:battery-staple").decode(), "identitytoken": "battery-token", "password": "battery-plain"}
    write(path, {"auths": {"registry.test": old, "other.test": old}, "proxies": {"default": {"httpProxy": "http://u:battery@proxy"}}}, 0o644)
    for entry in (login(), absent()):
        plan = make_plan(str(path), [entry])
        shown = json.dumps([plan.outcomes, plan.before, plan.after])
        for secret in ("battery", old["auth"], PASSWORD, AUTH):
            assert secret not in shown


def test_a_password_is_not_in_the_login_s_repr() -> None:
    assert PASSWORD not in repr(login())


@pytest.mark.parametrize(
    "content",
    [
        "{",
        '{"auths": {}} // a comment',
        '{"auths": {},}',
        "[]",
        '"text"',
        '{"auths": []}',
        '{"auths": {"registry.test": "x"}}',
        '{"auths": {"other.test": 1}}',
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": 1e999}',
    ]
    + ["\ufeff{}", "[" * 100000],
)
def test_a_file_that_cannot_be_changed_without_harm_is_named_and_left(path: pathlib.Path, content: str) -> None:
    write(path, content)
    for entry in (login(), absent()):
        with pytest.raises(HoldfastError) as caught:
            make_plan(str(path), [entry])
        assert str(caught.value).startswith(f"{path}: ")
    assert path.read_text() == content


def test_a_file_is_either_read_or_named_however_deeply_it_is_nested(path: pathlib.Path) -> None:
    named = 0
    for depth in [*range(100, 1000, 15), 20000]:
        write(path, f'{{"auths": {{"other.test": {{"x": {"[" * depth}{"]" * depth}}}}}}}')
        try:
            make_plan(str(path), [login()])
        except HoldfastError as error:
            assert str(error) == f"{path}: is nested too deeply; it is left as it is, correct or remove it"
            named += 1
    assert named


def test_bytes_that_are_no_utf_8_are_malformed(path: pathlib.Path) -> None:
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(HoldfastError, match="line 1 is not UTF-8"):
        make_plan(str(path), [login()])


@pytest.mark.parametrize(
    ("config", "source"),
    [
        ({"credsStore": "nosuch"}, "credsStore"),
        ({"credHelpers": {"registry.test": "nosuch"}}, r"credHelpers\['registry.test'\]"),
        ({"credsStore": "", "credHelpers": {"registry.test": "nosuch"}}, r"credHelpers\['registry.test'\]"),
    ],
)
def test_a_credential_helper_that_is_missing_is_named_with_what_to_do(path: pathlib.Path, config: dict[str, t.Any], source: str) -> None:
    write(path, {**config, "auths": {"registry.test": {}}})
    for entry in (login(), absent()):
        with pytest.raises(
            HoldfastError, match=f"{source} names .*'nosuch', but there is no program docker-credential-nosuch on this host; install it, or remove"
        ):
            make_plan(str(path), [entry])
    assert json.loads(path.read_text()) == {**config, "auths": {"registry.test": {}}}


def test_a_missing_helper_is_no_hindrance_where_nobody_is_logged_in(path: pathlib.Path) -> None:
    write(path, {"credsStore": "nosuch"})
    assert reasons(make_plan(str(path), [absent()])) == ["unchanged: not logged in"]


@pytest.mark.parametrize("name", ["../evil", "a b", ["pass"], "/bin/sh", "-x"])
def test_what_cannot_be_the_name_of_a_helper_is_never_run(path: pathlib.Path, name: t.Any) -> None:
    write(path, {"credsStore": name})
    with pytest.raises(HoldfastError, match="which cannot be the end of a program's name"):
        make_plan(str(path), [login()])


def test_credential_helpers_that_docker_could_not_read_are_refused(path: pathlib.Path) -> None:
    write(path, {"credHelpers": "pass"})
    with pytest.raises(HoldfastError, match="'credHelpers' is not an object"):
        make_plan(str(path), [login()])


@pytest.mark.parametrize("config", [{"credsStore": ""}, {"credHelpers": {"other.test": "pass"}}, {"credsStore": "pass", "credHelpers": {"registry.test": ""}}])
def test_a_helper_docker_would_not_ask_is_no_hindrance(path: pathlib.Path, config: dict[str, t.Any]) -> None:
    write(path, config)
    assert written(make_plan(str(path), [login()]))["auths"]["registry.test"] == {"auth": AUTH}


def test_null_is_taken_for_an_empty_object_as_docker_does(path: pathlib.Path) -> None:
    write(path, '{"auths": null, "credHelpers": null}')
    assert reasons(make_plan(str(path), [login()])) == ["added"]
    write(path, '{"auths": {"registry.test": null}}')
    assert reasons(make_plan(str(path), [absent()])) == ["removed"]


def test_what_is_no_regular_file_is_not_opened(path: pathlib.Path) -> None:
    os.mkfifo(path)
    with pytest.raises(HoldfastError, match="not a regular file"):
        make_plan(str(path), [login()])


def test_a_file_of_absurd_size_is_not_read(path: pathlib.Path) -> None:
    with path.open("wb") as handle:
        handle.truncate(2**40)
    with pytest.raises(HoldfastError, match="at most"):
        make_plan(str(path), [login()])


def test_the_plan_for_a_user_yet_to_be_made_adds_and_removes_nothing() -> None:
    plan = plan_without_account([login(), absent("other.test")])
    assert reasons(plan) == ["added, once the user exists", "unchanged: not logged in: there is no such user"]
    assert plan.outcomes[0]["path"] == "~alice/.docker/config.json"
    assert (
        plan_without_account([Login("logins[0]", "alice", "r.test", True, "alice", PASSWORD, "podman")]).outcomes[0]["path"]
        == "~alice/.config/containers/auth.json"
    )
    assert plan.after == {"auths": {"registry.test": {"auth": "<credentials of alice>"}}}
