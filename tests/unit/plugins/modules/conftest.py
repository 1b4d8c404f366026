# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import contextlib
import json
import subprocess

import pytest
from ansible_collections.holdfast.registry.tests.unit.module_arguments import patch_module_args


@pytest.fixture(autouse=True)
def on_a_host(monkeypatch):
    """Return warnings, as on a host. Plain pytest tests the lookup in the same process, and a controller shows them itself."""
    with contextlib.suppress(AttributeError, ImportError):  # ansible-core before 2.19
        monkeypatch.setattr("ansible.module_utils._internal.is_controller", False)


class Popen(subprocess.Popen):
    """Without the function that Ansible wants called between fork and exec, which does nothing here. For it Python would copy the memory of all the tests."""

    def __init__(self, *arguments, preexec_fn=None, **keywords):
        super().__init__(*arguments, **keywords)


@pytest.fixture(autouse=True)
def quick_programs(monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", Popen)


@pytest.fixture
def run(capsys):
    """Run a module as Ansible does, once. Returns what it prints."""

    def run_module(module, check=False, **args):
        with patch_module_args({**args, "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_verbosity": 5}), pytest.raises(SystemExit):
            module.main()
        captured = capsys.readouterr()
        assert "PRIVATE KEY" not in captured.out + captured.err
        assert "correct horse" not in captured.out + captured.err
        return json.loads(captured.out)

    return run_module
