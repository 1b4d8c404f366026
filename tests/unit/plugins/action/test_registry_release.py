# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import types

import pytest
from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.holdfast.registry.plugins.action.registry_release import ActionModule

WITH_ARCHIVE = {"version": "3.1.2", "archive": "registry.tar.gz"}
FROM_URL = {"version": "2.8.3"}


class Shell:
    tmpdir = None

    def join_path(self, *parts):
        return "/".join(parts)


@pytest.fixture
def action(monkeypatch):
    """The action, on a host whose module answers what answers holds. calls and sent are what it did."""
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    found = ActionModule.__new__(ActionModule)
    found._connection = types.SimpleNamespace(_shell=Shell())
    found._loader = types.SimpleNamespace(get_real_file=lambda path, decrypt: path)
    found.calls, found.sent, found.answers = [], [], []

    def make():
        found._connection._shell.tmpdir = "/tmp/remote"

    def needle(directory, name):
        if name == "missing":
            raise AnsibleError(f"Could not find {name}")
        return f"/controller/{directory}/{name}"

    def execute(_name, module_args, task_vars):
        found.calls.append(module_args)
        return dict(found.answers.pop(0))

    monkeypatch.setattr(found, "_make_tmp_path", make)
    monkeypatch.setattr(found, "_find_needle", needle)
    monkeypatch.setattr(found, "_transfer_file", lambda local, remote: found.sent.append((local, remote)))
    monkeypatch.setattr(found, "_fixup_perms2", found.sent.append)
    monkeypatch.setattr(found, "_execute_module", execute)
    return found


def run(action, *releases, answers):
    action._task = types.SimpleNamespace(args={"releases": list(releases), "prune": True})
    action.answers = answers
    return action.run(task_vars={})


def test_nothing_is_sent_that_the_host_does_not_need(action):
    assert run(action, FROM_URL, WITH_ARCHIVE, answers=[{"changed": False}]) == {"changed": False}
    assert action.sent == []
    assert action.calls == [{"releases": [FROM_URL, {**WITH_ARCHIVE, "archive": ""}], "prune": True}]


def test_an_archive_that_is_needed_is_sent_and_the_module_asked_again(action):
    result = run(action, FROM_URL, WITH_ARCHIVE, answers=[{"changed": False, "needs": [1]}, {"changed": True, "installed": ["3.1.2"]}])
    assert result == {"changed": True, "installed": ["3.1.2"]}
    path = "/tmp/remote/archive-1"
    assert action.sent == [("/controller/files/registry.tar.gz", path), ("/tmp/remote", path)]
    assert action.calls[1]["releases"] == [FROM_URL, {**WITH_ARCHIVE, "archive": path}]


def test_one_that_is_needed_only_the_second_time_is_sent_too(action):
    result = run(action, WITH_ARCHIVE, {**WITH_ARCHIVE, "version": "3.1.1"}, answers=[{"needs": [0]}, {"needs": [1]}, {"changed": True}])
    assert result == {"changed": True}
    assert [entry["archive"] for entry in action.calls[2]["releases"]] == ["/tmp/remote/archive-0", "/tmp/remote/archive-1"]


@pytest.mark.parametrize(("called", "name"), [({}, "releases[0].archive"), ({"called": {"archive": "registry_archive"}}, "registry_archive")])
def test_an_archive_that_the_controller_does_not_have_is_named(action, called, name):
    result = run(action, {"version": "3.1.2", "archive": "missing", **called}, answers=[{"needs": [0]}])
    assert result == {"failed": True, "msg": f"{name}: Could not find missing"}


def test_an_archive_of_a_release_that_is_installed_need_not_be_there_any_longer(action):
    assert not run(action, {"version": "3.1.2", "archive": "missing"}, answers=[{"changed": False}]).get("failed")


@pytest.mark.parametrize("releases", [None, "x", [1], {}])
def test_what_is_no_list_of_dictionaries_is_left_to_the_module(action, releases):
    action._task = types.SimpleNamespace(args={"releases": releases})
    action.answers = [{"failed": True, "msg": "wrong"}]
    assert action.run(task_vars={})["msg"] == "wrong"
    assert action.calls == [{"releases": releases}]
