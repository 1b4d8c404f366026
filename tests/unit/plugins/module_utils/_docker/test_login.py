# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import pathlib
import pwd
import shutil
import stat
import tempfile
import time
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import login as registry_login
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login
from ansible_collections.holdfast.registry.plugins.module_utils._docker.login import Outcome, Work, as_user, parse_logins
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root can become another user")
as_other = pytest.mark.skipif(ROOT, reason="root may write to every home")


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[dict[str, pwd.struct_passwd]]:
    """alice and bob with homes of their own: two unused numbers when root runs this, else both are who runs it."""
    base = pathlib.Path(tempfile.mkdtemp())
    base.chmod(0o755)
    made = {}
    for number, name in enumerate(("alice", "bob")):
        home = base / name
        home.mkdir()
        uid, gid = (54321 + number, 54321 + number) if ROOT else (os.geteuid(), os.getegid())
        os.chown(home, uid, gid)
        made[name] = pwd.struct_passwd((name, "x", uid, gid, "", str(home), "/bin/sh"))
    monkeypatch.setattr(registry_login.pwd, "getpwnam", made.__getitem__)
    yield made
    for account in made.values():
        pathlib.Path(account.pw_dir).chmod(0o700)
    shutil.rmtree(base)


def entry(user: str = "alice", registry: str = "registry.test", **values: t.Any) -> dict[str, t.Any]:
    return {"user": user, "registry": registry, "username": user, "password": "correct-horse", "state": "present", **values}


def config_of(account: pwd.struct_passwd) -> pathlib.Path:
    return pathlib.Path(account.pw_dir, ".docker", "config.json")


def converge(logins: list[Login], *, check_mode: bool) -> Outcome:
    work = Work(run_program, logins, check_mode=check_mode)
    if not check_mode:
        work.write()
    return work.outcome


def run(*entries: dict[str, t.Any], check_mode: bool = False) -> list[tuple[bool, str]]:
    outcomes = converge(parse_logins(entries), check_mode=check_mode).logins
    return [(outcome["changed"], outcome["reason"]) for outcome in outcomes]


def tree(account: pwd.struct_passwd) -> list[tuple[str, int, int]]:
    paths = [pathlib.Path(account.pw_dir), *sorted(pathlib.Path(account.pw_dir).rglob("*"))]
    return [(str(path), path.lstat().st_mode, path.lstat().st_mtime_ns) for path in paths]


def test_check_mode_says_what_a_run_does_and_writes_nothing(accounts: dict[str, pwd.struct_passwd]) -> None:
    entries = [entry(), entry("bob"), entry(registry="other.test", state="absent")]
    before = tree(accounts["alice"]), tree(accounts["bob"])
    predicted = converge(parse_logins(entries), check_mode=True)
    assert (tree(accounts["alice"]), tree(accounts["bob"])) == before
    assert predicted == converge(parse_logins(entries), check_mode=False)
    assert [outcome["changed"] for outcome in predicted[0]] == [True, True, False]


def test_a_second_run_changes_nothing_at_all(accounts: dict[str, pwd.struct_passwd]) -> None:
    run(entry())
    before = tree(accounts["alice"])
    assert run(entry()) == [(False, "up to date")]
    assert tree(accounts["alice"]) == before


def test_what_is_made_belongs_to_the_user_alone(accounts: dict[str, pwd.struct_passwd]) -> None:
    run(entry())
    config = config_of(accounts["alice"])
    for path, mode in ((config.parent, 0o700), (config, 0o600)):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert (path.stat().st_uid, path.stat().st_gid) == (accounts["alice"].pw_uid, accounts["alice"].pw_gid)


def test_the_mode_of_a_directory_that_was_there_is_left(accounts: dict[str, pwd.struct_passwd]) -> None:
    directory = config_of(accounts["alice"]).parent
    directory.mkdir()
    os.chown(directory, accounts["alice"].pw_uid, accounts["alice"].pw_gid)
    directory.chmod(0o755)
    run(entry())
    assert stat.S_IMODE(directory.stat().st_mode) == 0o755


def test_one_user_s_broken_file_stops_the_run_before_another_s_is_written(accounts: dict[str, pwd.struct_passwd]) -> None:
    config = config_of(accounts["bob"])
    config.parent.mkdir()
    config.write_text("{")
    os.chown(config, accounts["bob"].pw_uid, -1)
    with pytest.raises(HoldfastError, match="bob/.docker/config.json: line 1, column 2: not valid JSON"):
        run(entry(), entry("bob"))
    assert not config_of(accounts["alice"]).parent.exists()
    assert config.read_text() == "{"


def test_a_missing_user_stops_a_run_and_is_foreseen_in_check_mode(accounts: dict[str, pwd.struct_passwd]) -> None:
    with pytest.raises(HoldfastError, match=r"^logins\[1\]\.user: there is no user 'carol'"):
        run(entry(), entry("carol"))
    assert not config_of(accounts["alice"]).parent.exists()
    assert run(entry("carol"), check_mode=True) == [(True, "added, once the user exists")]
    assert run(entry("carol", state="absent")) == [(False, "not logged in: there is no such user")]


def test_a_missing_home_stops_a_run_but_nobody_is_logged_in_there(accounts: dict[str, pwd.struct_passwd]) -> None:
    pathlib.Path(accounts["bob"].pw_dir).rmdir()
    for check_mode in (True, False):
        with pytest.raises(HoldfastError, match=r"^logins\[1\]\.user: the home directory .*/bob of 'bob' does not exist"):
            run(entry(), entry("bob"), check_mode=check_mode)
    assert not config_of(accounts["alice"]).parent.exists()
    assert run(entry("bob", state="absent")) == [(False, "not logged in")]
    pathlib.Path(accounts["bob"].pw_dir).mkdir()


def test_a_home_that_cannot_be_written_to_is_seen_in_check_mode_too(accounts: dict[str, pwd.struct_passwd]) -> None:
    pathlib.Path(accounts["alice"].pw_dir).chmod(0o500)
    for check_mode in (True, False):
        with pytest.raises(HoldfastError, match="cannot be written: .*/alice is no directory that its user .+ may write to"):
            run(entry(), check_mode=check_mode)


def prepare_link_to_nothing(home: pathlib.Path) -> None:
    (home / ".docker").symlink_to("nowhere")


def prepare_file_linked_below_nothing(home: pathlib.Path) -> None:
    (home / ".docker").mkdir()
    (home / ".docker/config.json").symlink_to("../nowhere/config.json")


def prepare_file_in_place_of_the_directory(home: pathlib.Path) -> None:
    (home / ".docker").touch()


def prepare_directory_in_place_of_the_lock(home: pathlib.Path) -> None:
    (home / ".docker/.config.json.lock").mkdir(parents=True)


def prepare_link_in_place_of_the_lock(home: pathlib.Path) -> None:
    (home / ".docker").mkdir()
    (home / ".docker/.config.json.lock").symlink_to(home / "other")


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (prepare_link_to_nothing, r"\.docker/config\.json: cannot be written: .*/nowhere is no directory that its user .+ may write to"),
        (prepare_file_linked_below_nothing, r"\.docker/config\.json: cannot be written: .*/nowhere is no directory that its user .+ may write to"),
        (prepare_file_in_place_of_the_directory, r"\.docker/config\.json: cannot be written: .*/\.docker is no directory"),
        (prepare_directory_in_place_of_the_lock, r"\.docker/config\.json: its lock cannot be made in .*/\.docker: Is a directory"),
        (prepare_link_in_place_of_the_lock, r"\.docker/config\.json: its lock cannot be made in .*/\.docker: Too many levels"),
    ],
    ids=lambda each: each.__name__[len("prepare_") :] if callable(each) else "",
)
def test_what_keeps_a_file_from_being_written_stops_the_run_before_another_is(
    accounts: dict[str, pwd.struct_passwd], prepare: t.Callable[[pathlib.Path], None], message: str
) -> None:
    prepare(pathlib.Path(accounts["bob"].pw_dir))
    for path in pathlib.Path(accounts["bob"].pw_dir).rglob("*"):
        os.chown(path, accounts["bob"].pw_uid, -1, follow_symlinks=False)
    for check_mode in (True, False):
        with pytest.raises(HoldfastError, match=message):
            run(entry(), entry("bob"), check_mode=check_mode)
    assert not config_of(accounts["alice"]).parent.exists()


@pytest.mark.parametrize("home", ["/dev/null", "", "relative"])
def test_nobody_is_logged_in_where_no_home_can_be(accounts: dict[str, pwd.struct_passwd], home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    account = accounts["bob"]
    elsewhere = pwd.struct_passwd(("bob", "x", account.pw_uid, account.pw_gid, "", home, "/bin/sh"))
    monkeypatch.setattr(registry_login.pwd, "getpwnam", {**accounts, "bob": elsewhere}.__getitem__)
    monkeypatch.chdir(accounts["alice"].pw_dir)  # where a path that is not absolute would lead to
    run(entry())
    for check_mode in (True, False):
        assert run(entry("bob", state="absent"), check_mode=check_mode) == [(False, "not logged in")]


@as_other
def test_without_root_only_the_own_configuration_is_written(accounts: dict[str, pwd.struct_passwd], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_login.pwd, "getpwnam", lambda name: pwd.getpwuid(0))
    with pytest.raises(HoldfastError, match=r"^logins\[0\]\.user: only root may write the configuration of 'root'"):
        run(entry("root"))


@as_root
@pytest.mark.parametrize("link", [".docker", ".docker/config.json", ".docker/.config.json.lock"])
def test_a_link_in_a_home_does_not_lead_root_to_another_s_file(accounts: dict[str, pwd.struct_passwd], tmp_path: pathlib.Path, link: str) -> None:
    (tmp_path / "config.json").write_text("{}")
    path = pathlib.Path(accounts["alice"].pw_dir, link)
    if path.parent.name == ".docker":
        path.parent.mkdir()
        os.chown(path.parent, accounts["alice"].pw_uid, accounts["alice"].pw_gid)
    path.symlink_to(tmp_path if link == ".docker" else tmp_path / "config.json")
    with pytest.raises(HoldfastError, match=r"\.docker/config\.json: "):
        run(entry())
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("config.json", "{}")]


@as_root
def test_the_work_is_done_with_the_user_s_rights_for_good(accounts: dict[str, pwd.struct_passwd]) -> None:
    alice = accounts["alice"]

    def work() -> dict[str, t.Any]:
        status = pathlib.Path("/proc/self/status").read_text().splitlines()
        return {line.split(":")[0]: line.split()[1:] for line in status if line.startswith(("Uid", "Gid", "Groups"))}

    assert as_user(alice, work) == {"Uid": [str(alice.pw_uid)] * 4, "Gid": [str(alice.pw_gid)] * 4, "Groups": [str(alice.pw_gid)]}
    assert os.geteuid() == 0


@as_root
@pytest.mark.parametrize("mode", [0o644, 0o600], ids=["readable", "unreadable"])
@pytest.mark.parametrize("state", ["present", "absent"])
def test_a_file_of_another_in_the_user_s_directory_is_named_with_its_owner_and_left(accounts: dict[str, pwd.struct_passwd], mode: int, state: str) -> None:
    config = config_of(accounts["alice"])
    config.parent.mkdir()
    os.chown(config.parent, accounts["alice"].pw_uid, -1)
    content = '{"auths": {"theirs.test": {}, "registry.test": {"auth": "YTpi"}}}'
    config.write_text(content)
    config.chmod(mode)
    uid = accounts["alice"].pw_uid
    message = rf"alice/\.docker/config\.json: belongs to the user root and is left as it is; give it to {uid} with 'chown -h {uid} /"
    for check_mode in (True, False):
        with pytest.raises(HoldfastError, match=message):
            run(entry(state=state), check_mode=check_mode)
    assert (config.stat().st_uid, stat.S_IMODE(config.stat().st_mode), config.read_text()) == (0, mode, content)


@as_root
@pytest.mark.parametrize("link", [".docker", ".docker/config.json", "hard"])
def test_nobody_is_told_to_give_away_what_a_user_has_linked_to(accounts: dict[str, pwd.struct_passwd], tmp_path: pathlib.Path, link: str) -> None:
    alice, bob = accounts["alice"], accounts["bob"]
    run(entry("bob"))
    for path in (pathlib.Path(bob.pw_dir), config_of(bob).parent):
        path.chmod(0o755)
    theirs, config = config_of(bob), config_of(alice)
    if link == ".docker":
        config.parent.symlink_to(theirs.parent)
        os.chown(config.parent, alice.pw_uid, -1, follow_symlinks=False)
    else:
        config.parent.mkdir()
        os.chown(config.parent, alice.pw_uid, -1)
        (os.link if link == "hard" else os.symlink)(theirs, config)
        os.chown(config, bob.pw_uid if link == "hard" else alice.pw_uid, -1, follow_symlinks=False)
    with pytest.raises(HoldfastError, match=rf"belongs to the user {bob.pw_uid} and is left as it is") as caught:
        run(entry())
    assert "chown" not in str(caught.value)
    assert f"remove {config.parent if link == '.docker' else config}" in str(caught.value)
    assert ("another name" if link == "hard" else repr(str(theirs))) in str(caught.value)


@as_root
def test_an_error_in_the_child_reaches_the_caller_in_words() -> None:
    def refuse() -> dict[str, t.Any]:
        raise HoldfastError("config.json: is broken")

    def full() -> dict[str, t.Any]:
        raise OSError(28, "No space left on device")

    def end() -> dict[str, t.Any]:
        os._exit(3)

    for work, words in ((refuse, "^config.json: is broken$"), (full, "No space left on device, working as "), (end, "ended early")):
        with pytest.raises(HoldfastError, match=words):
            as_user(pwd.getpwuid(0), work)


@as_root
def test_a_user_who_holds_the_lock_does_not_hang_the_run(accounts: dict[str, pwd.struct_passwd], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_login, "_TIME_LIMIT", 1)
    run(entry())
    with config_of(accounts["alice"]).with_name(".config.json.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = time.monotonic()
        with pytest.raises(HoldfastError, match="gave up after 1 seconds"):
            run(entry(password="new"))
        assert time.monotonic() - started < 3
    assert run(entry(password="new")) == [(True, "password changed")]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_parallel_runs_lose_no_login(accounts: dict[str, pwd.struct_passwd]) -> None:
    context = multiprocessing.get_context("fork")
    runs = [context.Process(target=run, args=(entry(registry=f"registry-{number}.test"),)) for number in range(8)]
    for process in runs:
        process.start()
    for process in runs:
        process.join()
    assert [process.exitcode for process in runs] == [0] * 8
    assert sorted(json.loads(config_of(accounts["alice"]).read_text())["auths"]) == [f"registry-{number}.test" for number in range(8)]
    assert sorted(os.listdir(config_of(accounts["alice"]).parent)) == [".config.json.lock", "config.json"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"user": ""}, "user: '' is not the name"),
        ({"user": "../bob"}, "user: '../bob' is not the name"),
        ({"user": "bo\0b"}, "user: "),
        ({"registry": "https://registry.test/v2/"}, "registry: .*without a scheme"),
        ({"registry": "registry.test:0"}, "registry: "),
        ({"username": None}, "username: is missing or empty"),
        ({"username": "al:ice"}, "username: must not contain a colon"),
        ({"password": ""}, "password: is missing or empty"),
        ({"password": "correct-horse\n"}, "password: must not contain a line break"),
    ],
)
def test_a_wrong_login_is_refused_by_its_place_and_without_its_password(values: dict[str, t.Any], message: str) -> None:
    with pytest.raises(HoldfastError, match=rf"^logins\[1\]\.{message}") as caught:
        parse_logins([entry("bob"), entry(**values)])
    assert "horse" not in str(caught.value)


@pytest.mark.parametrize(("first", "second"), [("registry.test", "registry.test"), ("docker.io", "index.docker.io")])
def test_the_same_login_twice_is_refused(first: str, second: str) -> None:
    with pytest.raises(HoldfastError, match=r"^logins\[1\]: alice and .* already in logins\[0\]"):
        parse_logins([entry(registry=first), entry(registry=second, state="absent")])


def test_absent_needs_no_credentials() -> None:
    entries = [entry(state="absent", username=None, password=None)]
    assert parse_logins(entries) == [Login("logins[0]", "alice", "registry.test", present=False)]
