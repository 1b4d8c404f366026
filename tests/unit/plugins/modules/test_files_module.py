# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The modules files and htpasswd with services: what they write is what these run with, in one call. systemctl is a script here."""

from __future__ import annotations

import grp
import os
import pwd

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._host import sent_files, stamps, system_users
from ansible_collections.holdfast.registry.plugins.modules import files, htpasswd

# A service that has run since before any of the files was written. "broken" is a file that makes its restart fail.
SYSTEMCTL = """#!/bin/sh
echo "$*" >>"{path}/done"
case $1 in
  show)
    printf 'LoadState=loaded\\nActiveState=active\\nType=oneshot\\nCanReload=yes\\nInactiveExitTimestampMonotonic=1\\n'
    echo "InvocationID=$(grep -c ^restart "{path}/done")"
    ;;
  is-enabled) echo enabled ;;
  restart) [ ! -e "{path}/broken" ] || {{ echo Job failed. >&2; exit 1; }} ;;
esac
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    for module in (sent_files, stamps):
        monkeypatch.setattr(module, "STATE", str(tmp_path / "state"))
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {"systemctl": SYSTEMCTL.format(path=tmp_path), "journalctl": "#!/bin/sh\necho bad directive\n"}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return tmp_path


def arguments(host, content="maxmemory 1mb\n", **service):
    path = str(host / "cache.conf")
    owner = {"owner": str(os.geteuid()), "group": str(os.getegid())}
    return {"files": [{"path": path, "content": content, **owner}], "services": [{"name": "cache.service", "restart_on": [path], **service}]}


def restarts(host):
    done = host / "done"
    return sum(line.startswith("restart") for line in done.read_text().splitlines()) if done.exists() else 0


def test_a_service_is_restarted_once_with_what_was_written(run, host):
    run(files, **arguments(host, "maxmemory 0\n"))
    changed, again = run(files, **arguments(host)), run(files, **arguments(host))
    assert changed["changed"]
    assert changed["paths"] == [str(host / "cache.conf")]
    assert changed["services"][0]["actions"] == ["restarted"]
    assert next(part["prepared"] for part in changed["diff"] if "prepared" in part).startswith("cache.service: restarted")
    assert not again["changed"]
    assert again["services"][0]["actions"] == []


def test_check_mode_predicts_the_restart_and_does_nothing(run, host):
    run(files, **arguments(host, "maxmemory 0\n"))
    before = restarts(host)
    predicted = run(files, check=True, **arguments(host))
    assert predicted["changed"]
    assert predicted["services"][0]["actions"] == ["restarted"]
    assert (restarts(host), (host / "cache.conf").read_text()) == (before, "maxmemory 0\n")


def test_a_service_that_cannot_be_right_is_refused_before_anything_is_written(run, host):
    refused = run(files, **arguments(host, name="cache"))
    assert refused["msg"].startswith("services[0].name: 'cache' is not the name of a unit")
    assert not (host / "cache.conf").exists()


def test_a_drain_that_cannot_be_right_is_refused_before_anything_is_written(run, host):
    refused = run(files, drain={"file": "drain"}, **arguments(host))
    assert refused["msg"].startswith("drain.file: 'drain' is not an absolute path")
    assert not (host / "cache.conf").exists()


def test_where_a_restart_fails_the_result_says_what_was_written_and_the_next_run_goes_on(run, host):
    run(files, **arguments(host, "maxmemory 0\n"))
    (host / "broken").touch()
    failed = run(files, **arguments(host))
    assert failed["failed"]
    assert "cache.service" in failed["msg"]
    assert failed["paths"] == [str(host / "cache.conf")]
    (host / "broken").unlink()
    mended = run(files, **arguments(host))
    assert (mended["paths"], mended["services"][0]["actions"]) == ([], ["restarted"])


def test_without_services_systemd_is_not_asked(run, host):
    written = run(files, files=arguments(host)["files"])
    assert written["changed"]
    assert "services" not in written
    assert not (host / "done").exists()


def passwords(host, state, **others):
    """The arguments of htpasswd with one user, and a service that is restarted in any case."""
    users = [{"name": "mallory", "state": state, **({"password_hash": "$2y$10$" + "x" * 53} if state == "present" else {})}]
    return {"path": f"{host}/users", "users": users, "services": [{"name": "cache.service", "restart": True, **others}]}


def test_a_user_is_out_whatever_becomes_of_the_services(run, host):
    assert run(htpasswd, **passwords(host, "present"))["services"][0]["actions"] == ["restarted"]
    (host / "broken").touch()
    failed = run(htpasswd, **passwords(host, "absent"))
    assert failed["failed"]
    assert "cache.service" in failed["msg"]
    assert (failed["changed"], failed["removed"]) == (True, ["mallory"])
    assert (host / "users").read_text() == ""


def test_a_service_that_cannot_be_right_is_refused_before_the_users_are_written(run, host):
    assert run(htpasswd, **passwords(host, "present", name="cache"))["msg"].startswith("services[0].name: 'cache' is not the name of a unit")
    assert not (host / "users").exists()


def test_check_mode_predicts_what_the_users_cause(run, host):
    arguments_of = {**passwords(host, "present"), "services": [{"name": "cache.service", "restart_on": [f"{host}/users"]}]}
    predicted = run(htpasswd, check=True, **arguments_of)
    assert predicted["services"][0]["actions"] == ["restarted"]
    assert not (host / "users").exists()


# useradd and usermod only write down what they are told, and a file stands for each user that there is then.
TELL = '#!/bin/sh\necho "${{0##*/}} $*" >>"{path}/users"\n[ ! -e "{path}/full" ] || {{ echo no number left >&2; exit 4; }}\n'


@pytest.fixture
def users(host, monkeypatch):
    """A host with the user docker-registry and the groups docker-registry and adm."""
    there = {"docker-registry": ["docker-registry"]}
    groups = {"docker-registry": 61, "adm": 62}
    for name in ("useradd", "usermod"):
        (host / "bin" / name).write_text(TELL.format(path=host))
        (host / "bin" / name).chmod(0o755)

    def user(name):
        if name not in there:
            raise KeyError(name)
        return pwd.struct_passwd((name, "x", 61, 61, "", "/nonexistent", "/usr/sbin/nologin"))

    def group(name):
        return grp.struct_group((name, "x", groups[name], [user for user, its in there.items() if name in its]))

    monkeypatch.setattr(system_users.pwd, "getpwnam", user)
    monkeypatch.setattr(system_users.grp, "getgrnam", group)
    return there


def told(host):
    return (host / "users").read_text().splitlines() if (host / "users").exists() else []


def test_users_are_made_before_what_they_own_is_written(run, host, users):
    made = run(files, users=[{"name": "gateway", "groups": ["adm", "adm"]}], **arguments(host))
    assert made["changed"]
    assert told(host) == ["useradd --system --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin --user-group --groups adm gateway"]
    assert made["changes"] == ["user gateway: created", f"{host}/cache.conf: added"]
    assert made["paths"] == [f"{host}/cache.conf"]
    assert made["diff"][0] == {"prepared": "user gateway: created\n"}


def test_a_group_of_the_name_of_a_new_user_becomes_its_own(run, host, users):
    run(files, users=[{"name": "adm"}])
    assert told(host) == ["useradd --system --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin --gid adm adm"]


def test_users_in_their_state_are_left_alone(run, host, users):
    there = run(files, users=[{"name": "docker-registry", "groups": ["docker-registry"]}])
    assert not there["changed"]
    assert told(host) == []


def test_a_user_that_joins_a_group_is_named(run, host, users):
    joined = run(files, users=[{"name": "docker-registry", "groups": ["adm"]}])
    assert told(host) == ["usermod --append --groups adm docker-registry"]
    assert joined["changes"] == ["user docker-registry: joined adm"]
    assert joined["joined"] == ["docker-registry"]


def test_a_group_of_a_user_that_comes_before_is_there(run, host, users):
    assert run(files, users=[{"name": "one"}, {"name": "two", "groups": ["one"]}])["joined"] == ["two"]


def test_check_mode_predicts_users_even_with_groups_that_are_to_come(run, host, users):
    predicted = run(files, check=True, users=[{"name": "gateway", "groups": ["registry-cache"]}], **owned_by(host, "gateway"))
    assert predicted["changed"]
    assert predicted["changes"][0] == "user gateway: created"
    assert not [warning for warning in predicted.get("warnings", []) if "gateway" in warning]
    assert told(host) == []


def test_a_group_that_is_missing_is_an_error(run, host, users):
    failed = run(files, users=[{"name": "gateway", "groups": ["adm", "registry-cache"]}], **arguments(host))
    assert failed["msg"] == "users[0].groups[1]: this host has no group registry-cache; make it first"
    assert not (host / "cache.conf").exists()


@pytest.mark.parametrize(
    ("users_parameter", "message"),
    [
        ([{"name": "Gateway"}], "users[0].name: 'Gateway' is not the name of a user, such as docker-registry"),
        ([{"name": "one"}, {"name": "one"}], "users[1].name: one is the name of users[0] too"),
        ([{"name": "two", "groups": ["one"]}, {"name": "one"}], "users[0].groups[0]: this host has no group one; make it first"),
        ([{"name": "gateway", "groups": ["a b"]}], "users[0].groups[0]: 'a b' is not the name of a group, such as docker-registry"),
    ],
)
def test_users_that_cannot_be_made_are_refused(run, host, users, users_parameter, message):
    assert run(files, users=users_parameter, **arguments(host))["msg"] == message
    assert told(host) == []


def test_no_user_is_made_where_something_else_is_wrong(run, host, users):
    failed = run(files, users=[{"name": "gateway"}], files=[{"path": "relative", "content": ""}])
    assert failed["msg"].startswith("files[0]: 'relative' is not an absolute path")
    assert told(host) == []


def test_where_a_user_cannot_be_made_nothing_is_written(run, host, users):
    (host / "full").touch()
    failed = run(files, users=[{"name": "gateway"}], **arguments(host))
    assert failed["msg"] == "users: useradd failed for gateway: no number left"
    assert not (host / "cache.conf").exists()


def test_where_the_second_user_cannot_be_made_the_first_is_said(run, host, users):
    (host / "bin/usermod").write_text("#!/bin/sh\necho locked >&2; exit 1\n")
    failed = run(files, users=[{"name": "gateway"}, {"name": "docker-registry", "groups": ["adm"]}], **arguments(host))
    assert failed["msg"] == "users: usermod failed for docker-registry: locked"
    assert (failed["changed"], failed["changes"]) == (True, ["user gateway: created"])


def test_the_owner_may_be_one_that_is_made_first(run, host, users):
    (host / "full").touch()
    assert run(files, users=[{"name": "gateway"}], **owned_by(host, "gateway"))["msg"] == "users: useradd failed for gateway: no number left"


def test_an_unknown_owner_is_found_before_a_user_is_made(run, host, users):
    failed = run(files, users=[{"name": "gateway"}], **owned_by(host, "nobody-knows"))
    assert "nobody-knows" in failed["msg"]
    assert told(host) == []


def owned_by(host, name):
    return {"files": [{"path": str(host / "cache.conf"), "content": "", "owner": name, "group": name}]}


def test_a_certificate_that_clients_would_refuse_keeps_everything_as_it_is(run, host, users):
    validate = {"directory": str(host), "command": "true", "certificates": [{"path": f"{host}/x.crt", "setting": "gateway_certificate"}, {"path": "/y.crt"}]}
    failed = run(files, users=[{"name": "gateway"}], validate=validate, **arguments(host))
    assert failed["msg"] == f"gateway_certificate: {host}/x.crt: is missing; validate.certificates[1]: /y.crt: is missing"
    assert told(host) == []
    assert not (host / "cache.conf").exists()
