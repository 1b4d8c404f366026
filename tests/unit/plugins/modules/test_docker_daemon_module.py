# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import daemon as logic
from ansible_collections.holdfast.registry.plugins.module_utils._docker import remembered
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.modules import docker_daemon

# Accepts what has no key "bogus", as an engine from 23.0 on; keys beside an option of its unit are refused.
DOCKERD = """#!/bin/sh
for file; do :; done
case "$*" in *--validate*) ;; *) exit 9 ;; esac
if grep -q bogus "$file"; then echo "file $file: the following directives don't match any configuration option: bogus" >&2; exit 1; fi
if grep -q '"hosts"' "$file"; then
  case "$*" in *"-H fd://"*) echo "hosts: specified both as a flag and in the configuration file" >&2; exit 1 ;; esac
fi
echo "configuration OK" >&2
"""
# As an engine before 23.0, which does not know --validate.
OLD_DOCKERD = """#!/bin/sh
for file; do :; done
case "$*" in *--validate*) echo "unknown flag: --validate" >&2; exit 125 ;; esac
if grep -q bogus "$file"; then echo "the following directives don't match any configuration option: bogus" >&2; exit 1; fi
echo "unable to parse logging level: $(sed 's/.*"log-level": "\\([^"]*\\)".*/\\1/' "$file")" >&2
exit 1
"""
SYSTEMCTL = """#!/bin/sh
echo MainPID=0
echo 'ExecStart={ path=/usr/sbin/dockerd ; argv[]=/usr/sbin/dockerd -H fd:// $DOCKER_OPTS ; ignore_errors=no ; pid=0 }'
"""


@pytest.fixture
def file(monkeypatch, tmp_path):
    """The daemon.json of a host whose engine is a script."""
    monkeypatch.setattr(remembered, "STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    for name, script in (("dockerd", DOCKERD), ("systemctl", SYSTEMCTL)):
        (tmp_path / "bin" / name).write_text(script)
        (tmp_path / "bin" / name).chmod(0o755)
    (tmp_path / "docker").mkdir()
    return tmp_path / "docker" / "daemon.json"


@pytest.fixture
def put(run, file):
    """Run the module with settings, or with None for absent, and check that check mode predicts it and a second run does nothing."""

    def call(settings, name="ours"):
        arguments = {"name": name, "path": str(file), **({"state": "absent"} if settings is None else {"settings": settings})}
        before = file.read_bytes() if file.exists() else None
        predicted = run(docker_daemon, check=True, **arguments)
        assert (file.read_bytes() if file.exists() else None) == before
        real = run(docker_daemon, **arguments)
        assert predicted == real
        if real.get("failed"):
            assert (file.read_bytes() if file.exists() else None) == before
        else:
            assert run(docker_daemon, **arguments)["changed"] is False
        return real

    return call


def content(file):
    return json.loads(file.read_text())


THEIRS = '{\n    "log-driver": "local",\n    "dns": ["192.0.2.53"],\n    "log-opts": {"max-file": "3"}\n}'


def test_settings_are_merged_and_go_again_without_a_trace(put, file):
    file.write_text(THEIRS)
    file.chmod(0o640)
    result = put(
        {"debug": True, "dns": ["192.0.2.1", "192.0.2.53"], "log-opts": {"max-size": "10m"}, "log-driver": "json-file", "runtimes": {"a": {"path": "/a"}}}
    )
    assert content(file) == {
        "log-driver": "json-file",
        "dns": ["192.0.2.1", "192.0.2.53"],
        "log-opts": {"max-file": "3", "max-size": "10m"},
        "debug": True,
        "runtimes": {"a": {"path": "/a"}},
    }
    assert '\n    "' in file.read_text()
    assert (result["action"], file.stat().st_mode & 0o777) == ("restart", 0o640)
    put(None)
    assert file.read_text() == THEIRS
    assert not os.path.exists(remembered.Places.of(str(file)).record)


PROXY = {"proxies": {"https-proxy": "http://user:secret@192.0.2.1:3128"}}


def mode(file):
    return file.stat().st_mode & 0o777


def test_a_password_is_not_for_other_users_of_the_host(put, file):
    file.write_text(THEIRS)
    file.chmod(0o644)
    assert put(PROXY)["reasons"] == [f"{file}: changed: proxies; closed to other users, since it has a password"]
    assert mode(file) == 0o640
    assert put({**PROXY, "debug": True}, name="another")["reasons"] == [f"{file}: changed: debug"]
    put(None)
    assert mode(file) == 0o640, "another has set it too"
    put({"debug": True}, name="another")
    assert mode(file) == 0o644
    put(None, name="another")
    assert (file.read_text(), mode(file)) == (THEIRS, 0o644)


def test_a_mode_that_somebody_has_set_since_stays(put, file):
    file.write_text(THEIRS)
    file.chmod(0o644)
    put(PROXY)
    file.chmod(0o600)
    put(None)
    assert (file.read_text(), mode(file)) == (THEIRS, 0o600)


def test_what_an_earlier_version_left_open_is_closed_without_a_restart(put, file):
    file.write_text(THEIRS)
    put(PROXY)
    file.chmod(0o604)
    result = put(PROXY)
    assert (result["action"], result["reasons"]) == ("none", [f"{file}: closed to other users, since it has a password"])
    assert mode(file) == 0o600


def test_a_password_of_somebody_else_is_for_them_to_close(put, file):
    file.write_text(json.dumps(PROXY))
    file.chmod(0o644)
    put({"debug": True})
    assert mode(file) == 0o644


@pytest.mark.parametrize("text", ['{"registry-mirrors": null}\n', '{"proxies": {"https-proxy": null}}', '{"proxies": null, "debug": true}'])
def test_null_comes_back(put, file, text):
    file.write_text(text)
    put({"registry-mirrors": ["https://mirror.test"], **PROXY})
    put(None)
    assert file.read_text() == text


def test_a_file_that_was_not_there_goes_again(put, file):
    put({"debug": True, "labels": ["a=b"]})
    assert file.stat().st_mode & 0o777 == 0o600
    put(None)
    assert not file.exists()


def test_a_changed_setting_changes_and_one_that_is_no_longer_wanted_goes(put, file):
    file.write_text('{"debug": false, "mtu": 1400}')
    put({"debug": True, "labels": ["a=1", "b=2"], "mtu": 1450})
    put({"labels": ["b=2", "c=3"], "mtu": 1500})
    assert content(file) == {"debug": False, "mtu": 1500, "labels": ["b=2", "c=3"]}
    put({})
    assert content(file) == {"debug": False, "mtu": 1400}


def test_what_others_added_or_changed_since_stays(put, file):
    put({"debug": True, "labels": ["a=1"], "mtu": 1500, "log-opts": {"max-size": "1m"}})
    data = content(file)
    file.write_text(json.dumps({**data, "mtu": 1400, "labels": ["a=1", "theirs=1"], "log-opts": {"max-size": "1m", "tag": "x"}, "icc": False}))
    put(None)
    assert content(file) == {"mtu": 1400, "labels": ["theirs=1"], "log-opts": {"tag": "x"}, "icc": False}


def test_what_was_there_in_the_same_words_stays(put, file):
    file.write_text('{"debug": true, "labels": ["a=1"]}')
    assert put({"debug": True, "labels": ["a=1"]})["changed"] is False
    put(None)
    assert content(file) == {"debug": True, "labels": ["a=1"]}


def test_two_names_share_a_value_and_an_item_and_the_last_one_takes_them_out(put, file):
    file.write_text('{"mtu": 1400}')
    put({"mtu": 1500, "labels": ["a=1", "b=1"]}, name="one")
    put({"mtu": 1500, "labels": ["b=1"]}, name="two")
    put(None, name="one")
    assert content(file) == {"mtu": 1500, "labels": ["b=1"]}
    put(None, name="two")
    assert content(file) == {"mtu": 1400}


def test_two_names_do_not_take_turns_to_be_the_first_in_a_list(put, file):
    file.write_text('{"labels": ["theirs=1"]}')
    put({"labels": ["a=1", "both=1"]}, name="one")
    put({"labels": ["both=1", "b=1"]}, name="two")
    assert put({"labels": ["a=1", "both=1"]}, name="one")["changed"] is False
    assert put({"labels": ["both=1", "b=1"]}, name="two")["changed"] is False
    assert content(file)["labels"][-1] == "theirs=1"


def test_two_values_for_one_setting_are_refused(put, file):
    put({"mtu": 1500}, name="one")
    refused = put({"mtu": 1400}, name="two")
    assert refused["msg"] == f"settings.mtu: 'one' has set another value in {file}; leave it out of one"


@pytest.mark.parametrize(
    ("before", "settings", "action"),
    [
        ("{}", {"debug": True}, "reload"),
        ('{"debug": false}', {"debug": True}, "reload"),
        ("{}", {"live-restore": True, "registry-mirrors": ["https://m.example"]}, "reload"),
        ("{}", {"max-concurrent-downloads": 5}, "reload"),
        ("{}", {"features": {"containerd-snapshotter": True}}, "restart"),
        ("{}", {"debug": True, "mtu": 1500}, "restart"),
        ('{"mtu": 1500}', {"mtu": 1500}, "none"),
    ],
    ids=["added", "changed", "several", "download-limit", "features", "one-of-two", "the-same"],
)
def test_the_engine_is_restarted_only_for_what_needs_it(put, file, before, settings, action):
    file.write_text(before)
    assert put(settings)["action"] == action


@pytest.mark.parametrize(("settings", "action"), [({"debug": True}, "restart"), ({"max-download-attempts": 3}, "reload")], ids=["kept", "reset"])
def test_a_setting_that_goes_needs_a_restart_where_a_reload_would_keep_it(put, settings, action):
    put(settings)
    assert put({})["action"] == action


def test_the_mark_of_what_is_needed_changes_and_the_other_does_not(put):
    first = put({"mtu": 1500})
    with open(first["restart_mark"], "rb") as handle:
        mark = handle.read()
    second = put({"mtu": 1500, "debug": True})
    with open(first["restart_mark"], "rb") as handle:
        assert handle.read() == mark
    assert os.path.exists(second["reload_mark"])


def test_live_restore_with_something_that_needs_a_restart_changes_both_marks(put):
    result = put({"mtu": 1500, "live-restore": True})
    assert result["action"] == "restart"
    assert os.path.exists(result["restart_mark"])
    assert os.path.exists(result["reload_mark"])


BROKEN = {
    "a comma too many": ('{\n  "debug": true,\n}', ["line 2|line 3", "a comma with nothing after it|Expecting property name"]),
    "no comma": ('{\n  "debug": true\n  "mtu": 1}', ["line 3, column 3", "not valid JSON"]),
    "a comment": ('{\n  // ours\n  "debug": true\n}', ["line 2, column 3", "a comment, which JSON does not have"]),
    "a comment with a hash": ('# ours\n{"debug": true}', ["line 1, column 1", "a comment"]),
    "a key twice": ('{\n"debug": true,\n"debug": false}', ["the key 'debug' is there twice", "(lines 2, 3)"]),
    "a key twice inside": ('{"log-opts": {"tag": "a",\n"tag": "b"}}', ["the key 'tag' is there twice", "(lines 1, 2)"]),
    "a list": ("[]", ["is a list, and must be an object"]),
    "a number": ("7", ["is a number, and must be an object"]),
    "text after it": ('{"debug": true}\n{}', ["line 2, column 1"]),
    "half of it": ('{"debug": tr', ["line 1, column 11"]),
    "no UTF-8": (b'{\n"labels": ["a=\xff"]}', ["line 2 is not UTF-8"]),
    "no number": ('{"mtu": NaN}', ["NaN is no number in JSON"]),
    "a string for a list": ('{"labels": "a=1"}', ["labels is a string, and settings has a list for it"]),
    "a list for an object": ('{"log-opts": []}', ["log-opts is a list, and settings has an object for it"]),
    "an object for a value": ('{"debug": {}}', ["debug is an object, and settings has a boolean for it"]),
}


def test_a_broken_file_is_nobodys_business_while_there_is_nothing_to_set(put, file):
    file.write_text("{ // broken")
    assert put({})["changed"] is put(None)["changed"] is False
    assert not os.path.exists(os.path.dirname(remembered.Places.of(str(file)).record))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_reported_with_the_place_and_left_as_it_is(put, file, name):
    text, words = BROKEN[name]
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    message = put({"debug": True, "labels": ["b=1"], "log-opts": {"max-size": "1m"}})["msg"]
    assert message.startswith(f"{file}: ")
    for word in words:
        assert any(one in message for one in word.split("|")), message


UNUSUAL = {"none": None, "empty": "", "blank": " \n", "object": "{}", "bom": "\ufeff{}", "returns": "{\r\n}\r\n", "null": '{"labels": null}'}


@pytest.mark.parametrize("before", UNUSUAL.values(), ids=list(UNUSUAL))
def test_unusual_files_that_the_engine_takes_are_taken(put, file, before):
    if before is not None:
        file.write_bytes(before.encode())
    put({"labels": ["b=1"]})
    assert content(file) == {"labels": ["b=1"]}
    put(None)
    assert (file.read_bytes().decode() if file.exists() else None) == before or before == '{"labels": null}'


def test_the_file_that_a_link_leads_to_is_changed_and_the_link_stays(put, file):
    real = file.with_name("real.json")
    real.write_text('{"mtu": 1400}')
    file.symlink_to("real.json")
    put({"debug": True})
    assert file.is_symlink()
    assert content(real) == {"mtu": 1400, "debug": True}
    put(None)
    assert (file.is_symlink(), real.read_text()) == (True, '{"mtu": 1400}')


def test_a_link_to_nothing_a_directory_and_a_pipe_are_refused(put, file):
    file.symlink_to("nowhere.json")
    assert "is a symbolic link to nowhere.json, which is not there" in put({"debug": True})["msg"]
    file.unlink()
    file.mkdir()
    arguments = {"name": "ours", "wanted": {"debug": True}}
    for make in (lambda: None, lambda: (file.rmdir(), os.mkfifo(file))):
        make()
        with pytest.raises(HoldfastError, match="is not a plain file"):
            logic.configure(None, logic.Wanted(arguments["name"], str(file), "docker.service", arguments["wanted"]), check_mode=False)


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_a_file_that_cannot_be_read_is_reported(put, file):
    file.write_text("{}")
    file.chmod(0)
    with pytest.raises(HoldfastError, match="cannot be read: Permission denied"):
        logic.configure(None, logic.Wanted("ours", str(file), "docker.service", {"debug": True}), check_mode=False)


@pytest.mark.parametrize("script", [DOCKERD, OLD_DOCKERD], ids=["validate", "before-23"])
def test_what_the_engine_would_refuse_is_refused_in_its_words(put, file, tmp_path, script):
    (tmp_path / "bin/dockerd").write_text(script)
    file.write_text('{"debug": false}')
    message = put({"bogus": 1})["msg"]
    assert message.startswith(f"{file}: the engine would refuse it, so nothing was changed. dockerd says: ")
    assert "the following directives don't match any configuration option: bogus" in message
    assert put({"debug": True})["changed"] is True


def test_a_key_that_is_an_option_of_the_unit_is_refused(put):
    assert "hosts: specified both as a flag and in the configuration file" in put({"hosts": ["unix:///run/other.sock"]})["msg"]


def test_another_file_that_the_unit_names_is_pointed_out(put, tmp_path):
    (tmp_path / "bin/systemctl").write_text(SYSTEMCTL.replace("-H fd://", "--config-file=/srv/daemon.json"))
    assert "use /srv/daemon.json" in put({"debug": True})["msg"]


def test_without_an_engine_there_is_a_warning(run, file, monkeypatch, tmp_path):
    monkeypatch.setattr(logic.engine, "validate", lambda *_args: f"{file}: cannot be validated, there is no dockerd on this host yet")
    assert "no dockerd" in str(run(docker_daemon, name="ours", path=str(file), settings={"debug": True})["warnings"])


def test_the_password_of_a_proxy_is_shown_nowhere(put, file):
    file.write_text('{"proxies": {"http-proxy": "http://me:battery@proxy.example"}}')
    result = put({"proxies": {"https-proxy": "http://me:staple@proxy.example"}, "debug": True})
    assert "staple" not in json.dumps(result)
    assert "battery" not in json.dumps(result)
    assert "staple" in file.read_text()
    (file.parent / "x").touch()
    assert "staple" not in json.dumps(put({"proxies": {"https-proxy": "http://me:staple@proxy.example"}, "bogus": 1}))


def test_a_password_with_an_at_sign_is_shown_nowhere_and_no_part_of_it_hides_other_words(put, file):
    file.write_text('{"proxies": {"http-proxy": "http://me:fi@rst-battery@proxy.example", "no-proxy": "x"}}')
    result = put({"proxies": {"https-proxy": "http://me:fi@rst-staple@proxy.example", "ftp-proxy": "me:sta@ple@proxy.example"}, "dns": ["192.0.2.5"]})
    shown = json.dumps(result)
    for part in ("rst-battery", "rst-staple", "me:", "ple@"):
        assert part not in shown
    assert "http://********@proxy.example" in result["diff"][0]["after"]
    (file.parent / "x").touch()
    message = put({"proxies": {"https-proxy": "http://me:fi@rst-staple@proxy.example"}, "bogus": 1})["msg"]
    assert "configuration option" in message


def test_a_value_that_a_killed_run_left_is_still_known_as_ours(put, file, monkeypatch):
    file.write_text('{"mtu": 1400}')
    put({"mtu": 1500, "labels": ["a=1"]})

    def killed(*_args):
        raise KeyboardInterrupt

    wanted = logic.Wanted("ours", str(file), "docker.service", {"mtu": 1600, "labels": ["b=1"]})
    with monkeypatch.context() as patch:
        patch.setattr(logic.Write, "apply", killed)
        patch.setattr(logic.engine, "validate", lambda *_args: "")
        patch.setattr(logic.engine, "arguments", lambda *_args: [])
        with pytest.raises(KeyboardInterrupt):
            logic.configure(None, wanted, check_mode=False)
    assert content(file) == {"mtu": 1500, "labels": ["a=1"]}
    put(None)
    assert content(file) == {"mtu": 1400}


def test_a_path_that_no_file_can_have_is_named(run, file):
    message = run(docker_daemon, name="ours", path=f"{file}\0", settings={"debug": True})["msg"]
    assert message.startswith("path: ") and message.endswith("must not contain a NUL character")


def test_a_record_that_is_broken_is_named(put, file):
    put({"debug": True})
    record = remembered.Places.of(str(file)).record
    with open(record, "w") as handle:
        handle.write("{}")
    assert f"{record}: is not the record of this module" in put({"debug": False})["msg"]
