# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `make site` and `make status` say, with a program in the place of Ansible."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from ansible_collections.holdfast.registry.tests.unit.docs.pages import ROOT

PROOF = "Proven just now"


@pytest.fixture
def make(tmp_path):
    """Run make in a checkout that has the summary of an earlier run. tested says whether this run writes one."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed here")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".cache/collections/ansible_collections/holdfast/registry").mkdir(parents=True)
    (tmp_path / ".cache/summary").write_text(f"{PROOF}, of an earlier run\n")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/site.txt").touch()
    (tmp_path / ".venv/site.done").touch()

    def run(target, tested):
        writes = f'echo "{PROOF}, of this run" >.cache/summary' if tested else ":"
        program = tmp_path / ".venv/bin/ansible-playbook"
        program.write_text(f'#!/bin/sh\necho "called with $*"\n{writes}\n')
        program.chmod(0o755)
        return subprocess.run(["make", target, "INVENTORY=hosts.yml"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout

    return run


def test_a_run_that_tested_nothing_does_not_show_what_an_earlier_one_has_tested(make):
    shown = make("site", tested=False)
    assert PROOF not in shown
    assert "not tested: that is what 'make verify' does" in shown


def test_a_run_that_tested_shows_what(make):
    assert f"{PROOF}, of this run" in make("site", tested=True)


def test_the_state_is_asked_of_the_inventory_that_is_named(make):
    assert "called with -i hosts.yml playbooks/status.yml" in make("status", tested=False)
