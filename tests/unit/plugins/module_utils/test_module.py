# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json
import subprocess
import sys

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils import _module
from ansible_collections.holdfast.registry.plugins.module_utils._module import PASSPHRASE, HoldfastError, entries, pem, run, words
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args

OPTIONS = {
    "path": {"type": "path"},
    "state": {"type": "str", "choices": ["present", "absent"]},
    "count": {"type": "int"},
    "text": {"type": "str"},
    "passphrase": PASSPHRASE,
    "certificate": pem(),
    "kinds": words(["one", "two"], default=["one"]),
    "users": {**entries({"name": {"type": "str"}, "password": {"type": "str", "no_log": True}}), "required": False},
}
SECRET = 'correct "horse\\'


@pytest.fixture
def printed(capsys):
    """Run a module with this work. Returns what it prints."""

    def run_it(work, diff=True, check=False, explain=None, **arguments):
        with patch_module_args({**arguments, "_ansible_diff": diff, "_ansible_check_mode": check, "_ansible_verbosity": 5}), pytest.raises(SystemExit):
            run(work, OPTIONS, explain=explain, required_together=[("path", "state")])
        return json.loads(capsys.readouterr().out)

    return run_it


def test_the_work_gets_its_parameters_and_its_result_is_printed(printed):
    seen = []
    result = printed(lambda call: seen.append(call) or {"changed": True, "diff": {"before": "a"}}, check=True, count=3)
    assert (seen[0].parameters["count"], seen[0].parameters["kinds"], seen[0].check_mode) == (3, ["one"], True)
    assert (result["changed"], result["diff"]) == (True, {"before": "a"})
    assert seen[0].now.microsecond == 0 and seen[0].now.utcoffset().total_seconds() == 0


def test_a_diff_is_printed_only_where_it_was_asked_for(printed):
    assert "diff" not in printed(lambda _call: {"changed": True, "diff": {"before": "a"}}, diff=False)


def test_warnings_are_printed_as_warnings(printed, monkeypatch):
    warnings = []
    monkeypatch.setattr(_module.AnsibleModule, "warn", lambda _self, text: warnings.append(text))
    # up to 2.18 a module prints the warnings of those before it in this process
    assert "mind the gap" not in printed(lambda _call: {"changed": False, "warnings": ["mind the gap"]}).get("warnings", [])
    assert warnings == ["mind the gap"]


def test_an_error_is_a_message_with_its_results_and_without_the_parameters(printed):
    def fail(_call):
        raise HoldfastError("path: is wrong", {"status": 404})

    result = printed(fail, text="private")
    assert (result["failed"], result["msg"], result["status"], result["invocation"]) == (True, "path: is wrong", 404, {})
    assert "exception" not in result or not result["exception"]


def test_what_ansible_refuses_is_explained_where_that_is_possible(printed):
    assert printed(lambda _call: {}, explain=lambda params: f"count: {params['count']} is no number", count="many")["msg"] == "count: many is no number"
    assert "cannot be converted to an int" in printed(lambda _call: {}, explain=lambda _params: None, count="many")["msg"]
    assert "required together: path, state" in printed(lambda _call: {}, path="/x")["msg"]


def test_a_value_is_hidden_and_shown_again(printed):
    def work(call):
        call.hide("made-up")
        call.show(call.parameters["certificate"])
        return {"changed": False, "texts": ["made-up", "public", SECRET]}

    result = printed(work, certificate="public", passphrase=SECRET)
    assert result["texts"] == ["VALUE_SPECIFIED_IN_NO_LOG_PARAMETER", "public", "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"]


def test_the_log_holds_paths_numbers_and_choices_and_nothing_that_could_be_a_secret(printed, monkeypatch):
    logged = []
    monkeypatch.setattr("ansible.module_utils.basic.has_journal", False)
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule._log_to_syslog", lambda _self, message: logged.append(message))
    printed(
        lambda _call: {"changed": False},
        path="/etc/x",
        state="present",
        count=3,
        text=SECRET,
        passphrase=SECRET,
        certificate=SECRET,
        users=[{"name": "alice", "password": SECRET}],
    )
    assert logged == ["Invoked path=/etc/x state=present count=3 kinds=['one']"]


def test_a_parameter_can_neither_break_the_log_nor_add_a_line_to_it(printed, monkeypatch):
    logged = []
    monkeypatch.setattr("ansible.module_utils.basic.has_journal", False)
    monkeypatch.setattr("ansible.module_utils.basic.AnsibleModule._log_to_syslog", lambda _self, message: logged.append(message))
    printed(lambda _call: {"changed": False}, path="/etc/\0x\ny", state="present", count=3)
    assert logged == ["Invoked path=/etc/?x?y state=present count=3 kinds=['one']"]


def test_an_old_python_on_the_host_is_told_in_one_line():
    program = "import sys; import ansible.module_utils.basic; sys.version_info = (3, 8, 10); import " + _module.__name__
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join(sys.path)})
    assert done.returncode == 1, done.stderr
    answer = json.loads(done.stdout)
    assert answer["failed"] and answer["msg"].startswith("Python 3.9 or newer is needed on this host; ")
