# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import json
import os
import pathlib
import pwd
import shutil
import tempfile
import time
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import login as registry_login
from ansible_collections.holdfast.registry.plugins.module_utils._docker.login import Work, parse_logins
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not ROOT, reason="only root can become another user")
PASSWORD = "correct-horse"
AUTH = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()

# Keeps credentials in the home, in a file for each registry, and writes down how it was called and what surrounded it.
# Not in Python: that of the tests may be where another user cannot reach it.
HELPER = r"""#!/bin/sh
given=$(cat)
echo "$* $(id -u) ${SECRET_OF_ROOT:-none}" >>~/calls
if [ "$(sed 's/:.*//' ~/says 2>/dev/null)" = "$1" ]; then
  sed 's/^[a-z]*://' ~/says
  if grep -q GIVEN ~/says; then printf '%s\n' "$given"; fi
  exit "$(cat ~/code)"
fi
mkdir -p ~/kept
case $1 in
  store) printf %s "$given" >~/kept/"$(printf %s "$given" | sed 's/.*"ServerURL": "\([^"]*\)".*/\1/')" ;;
  erase) rm ~/kept/"$given" ;;
  get) cat ~/kept/"$given" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
esac
"""


class Home:
    """alice's home, with a helper named test in it."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.uid = 54321 if ROOT else os.geteuid()
        self.account = pwd.struct_passwd(("alice", "x", self.uid, 54321 if ROOT else os.getegid(), "", str(path), "/bin/sh"))
        self.write(".local/bin/docker-credential-test", HELPER, 0o755)

    def write(self, name: str, content: t.Any, mode: int = 0o600) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        path.chmod(mode)
        for part in [path, *path.parents]:
            if part == self.path.parent:
                break
            os.chown(part, self.uid, self.account.pw_gid)

    def read(self, name: str) -> t.Any:
        return json.loads((self.path / name).read_text())

    @property
    def kept(self) -> dict[str, t.Any]:
        return {path.name: json.loads(path.read_text()) for path in (self.path / "kept").iterdir()}

    @property
    def calls(self) -> list[str]:
        return [line.split()[0] for line in (self.path / "calls").read_text().splitlines()]

    def run(self, *entries: dict[str, t.Any], check_mode: bool = False) -> tuple[list[str], t.Any]:
        common = {"user": "alice", "registry": "r.test", "username": "alice", "password": PASSWORD, "state": "present"}
        logins = parse_logins([{**common, **entry} for entry in entries])
        work = Work(run_program, logins, check_mode=check_mode)
        if not check_mode:
            work.write()
        return [outcome["reason"] if outcome["changed"] else f"unchanged: {outcome['reason']}" for outcome in work.outcome.logins], work.outcome.diffs


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> t.Iterator[Home]:
    base = pathlib.Path(tempfile.mkdtemp())
    base.chmod(0o755)
    made = Home(base / "alice")
    monkeypatch.setattr(registry_login.pwd, "getpwnam", {"alice": made.account}.__getitem__)
    monkeypatch.setenv("SECRET_OF_ROOT", "x")
    if not ROOT:  # the module then works in its own surroundings
        monkeypatch.setenv("PATH", f"{base}/alice/.local/bin:{os.environ['PATH']}")
        monkeypatch.setenv("HOME", str(base / "alice"))
    yield made
    shutil.rmtree(base)


@pytest.mark.parametrize("config", [{"credsStore": "test"}, {"credHelpers": {"r.test": "test"}}, {"credsStore": "nosuch", "credHelpers": {"r.test": "test"}}])
def test_the_helper_keeps_the_password_and_the_file_an_empty_entry_as_after_docker_login(home: Home, config: dict[str, t.Any]) -> None:
    home.write(".docker/config.json", config)
    assert home.run({})[0] == ["added"]
    assert home.kept == {"r.test": {"ServerURL": "r.test", "Username": "alice", "Secret": PASSWORD}}
    assert home.read(".docker/config.json") == {**config, "auths": {"r.test": {}}}
    before = (home.path / ".docker/config.json").stat().st_mtime_ns
    assert home.run({})[0] == ["unchanged: up to date"]
    assert (home.path / ".docker/config.json").stat().st_mtime_ns == before
    assert home.calls[-1] == "get"


def test_check_mode_asks_the_helper_and_tells_it_nothing(home: Home) -> None:
    home.write(".docker/config.json", {"credsStore": "test"})
    predicted = home.run({}, check_mode=True)
    assert home.calls == ["get"]
    assert home.read(".docker/config.json") == {"credsStore": "test"}
    assert predicted == home.run({})
    assert predicted[1][0]["after"] == {"auths": {"r.test": {"credsStore test": "<credentials of alice>"}}}


def test_a_password_in_the_file_that_the_helper_hides_goes_and_a_changed_one_is_noticed(home: Home) -> None:
    home.write(".docker/config.json", {"credsStore": "test", "auths": {"r.test": {"auth": AUTH, "email": "kept"}}})
    assert home.run({})[0] == ["added, auth removed from the file"]
    assert home.read(".docker/config.json")["auths"] == {"r.test": {"email": "kept"}}
    reasons, diffs = home.run({"password": "battery-staple"})
    assert reasons == ["password changed"]
    assert diffs[0]["before"] != diffs[0]["after"] and "staple" not in json.dumps(diffs)
    assert home.kept["r.test"]["Secret"] == "battery-staple"
    assert home.run({"username": "bob"})[0] == ["credentials changed"]


def test_absent_has_the_helper_forget(home: Home) -> None:
    home.write(".docker/config.json", {"credsStore": "test"})
    home.run({})
    assert home.run({"state": "absent"})[0] == ["removed"]
    assert (home.kept, home.read(".docker/config.json")["auths"]) == ({}, {})
    assert home.run({"state": "absent"})[0] == ["unchanged: not logged in"]


def test_podman_has_a_helper_for_one_registry_only_and_no_entry_beside_it(home: Home) -> None:
    home.write(".config/containers/auth.json", {"credsStore": "nosuch", "credHelpers": {"r.test": "test"}, "auths": {"r.test": {"auth": AUTH}}})
    assert home.run({"client": "podman"}, {"client": "podman", "registry": "other.test"})[0] == ["added, auth removed from the file", "added"]
    assert home.read(".config/containers/auth.json")["auths"] == {"other.test": {"auth": AUTH}}
    assert home.run({"client": "podman"})[0] == ["unchanged: up to date"]
    assert home.run({"client": "podman", "state": "absent"})[0] == ["removed"]


@as_root
def test_the_helper_runs_as_its_user_and_sees_nothing_of_roots_surroundings(home: Home) -> None:
    home.write(".docker/config.json", {"credsStore": "test"})
    home.run({})
    assert {tuple(line.split()[1:]) for line in (home.path / "calls").read_text().splitlines()} == {(str(home.uid), "none")}


def test_no_password_is_on_the_helpers_command_line(home: Home) -> None:
    home.write(".docker/config.json", {"credsStore": "test"})
    home.run({}, {"registry": "other.test"})
    assert {len(line.split()) for line in (home.path / "calls").read_text().splitlines()} == {3}
    assert PASSWORD not in (home.path / "calls").read_text()


@pytest.mark.parametrize(
    ("says", "code", "message"),
    [
        ("get:pass store is uninitialized", 1, "which cannot be asked: pass store is uninitialized"),
        ("get:no JSON correct-horse", 0, "whose answer to 'get' is not what such helpers give"),
        ('get:{"Username": "alice"}', 0, "whose answer to 'get' is not what such helpers give"),
        ("store:gpg: no public key", 1, "which failed to store the credentials: gpg: no public key"),
        ("store:cannot store GIVEN", 1, "which failed to store the credentials: "),
        ("store:rect-horse is bad", 1, "which failed to store the credentials: its message may hold the password"),
        ("store:not implemented", 1, "not implemented"),
    ],
)
def test_a_helper_that_fails_is_named_without_the_password_and_the_file_stays(home: Home, says: str, code: int, message: str) -> None:
    home.write(".docker/config.json", {"credsStore": "test"})
    home.write("says", says)
    home.write("code", str(code))
    with pytest.raises(HoldfastError) as caught:
        home.run({})
    assert str(caught.value).startswith(f"{home.path}/.docker/config.json: credsStore names the credential helper 'test', ")
    assert message in str(caught.value) and "horse" not in str(caught.value)
    assert home.read(".docker/config.json") == {"credsStore": "test"}


@as_root
def test_a_helper_that_waits_for_somebody_is_ended_with_the_run(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_login, "_TIME_LIMIT", 1)
    home.write(".local/bin/docker-credential-test", "#!/bin/sh\necho $$ >~/pid\nexec sleep 60\n", 0o755)
    home.write(".docker/config.json", {"credsStore": "test"})
    with pytest.raises(HoldfastError, match="a credential helper may wait for somebody to type a passphrase"):
        home.run({})
    number = (home.path / "pid").read_text().strip()
    for _attempt in range(50):
        state = pathlib.Path(f"/proc/{number}/stat")
        if not state.exists() or ") Z" in state.read_text():
            break
        time.sleep(0.1)
    else:
        pytest.fail("it still runs")
