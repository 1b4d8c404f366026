# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import os

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result, runner
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils import programs


@pytest.fixture(params=["of a module", "of the tests"])
def run_program(request):
    """Both run programs alike, so what the tests find holds for modules."""
    if request.param == "of the tests":
        return programs.run_program
    with patch_module_args({}):
        return runner(AnsibleModule(argument_spec={}).run_command)


def test_the_exit_code_and_both_outputs_are_told_apart(run_program):
    assert run_program("sh", "-c", "echo out; echo err >&2; exit 3") == Result(3, "out\n", "err\n")
    assert run_program("sh", "-c", "kill -9 $$").code == -9


def test_a_program_that_cannot_be_run_is_exit_status_127_with_the_reason(run_program, tmp_path):
    assert run_program("no-such-program") == Result(127, "", "no-such-program: No such file or directory")
    (tmp_path / "closed").touch(0o600)
    assert run_program(str(tmp_path / "closed")) == Result(127, "", f"{tmp_path}/closed: Permission denied")


def test_a_program_reads_what_it_is_given_and_otherwise_nothing(run_program):
    assert run_program("od", "-An", "-tx1", given=b"\xff\x00\n").out == " ff 00 0a\n"
    reader, writer = os.pipe()
    kept = os.dup(0)
    try:
        os.write(writer, b"of the module\n")
        os.dup2(reader, 0)
        assert run_program("cat") == Result(0, "", "")
    finally:
        os.dup2(kept, 0)
        for descriptor in (reader, writer, kept):
            os.close(descriptor)


def test_the_environment_is_that_of_the_module_in_the_c_locale_and_with_the_administrators_programs(run_program, monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("OF_THE_MODULE", "kept")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    told = run_program("sh", "-c", 'echo "$LC_ALL $OF_THE_MODULE $MORE $PATH"', environment={"MORE": "added"}).out
    assert told == "C.UTF-8 kept added /usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin\n"


def test_arguments_reach_the_program_as_they_are(run_program):
    assert run_program("printf", "%s\n", "$HOME", "~", "*", "a b").out == "$HOME\n~\n*\na b\n"


def test_output_that_is_no_utf_8_is_still_shown(run_program):
    assert run_program("printf", r"a\377b").out == "a\ufffdb"


def test_only_the_descriptors_that_are_named_are_inherited(run_program):
    reader, writer = os.pipe()
    try:
        shown = 'readlink "/proc/$$/fd/$0"'
        assert run_program("sh", "-c", shown, str(writer), descriptors=[writer]).out == os.readlink(f"/proc/self/fd/{writer}") + "\n"
        assert run_program("sh", "-c", shown, str(writer)).out == ""
    finally:
        os.close(reader)
        os.close(writer)
