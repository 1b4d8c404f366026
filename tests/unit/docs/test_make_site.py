# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What `make site` and `make status` say, with a program in the place of Ansible."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
from ansible_collections.holdfast.registry.tests.unit.docs.pages import ROOT

PROOF = "Proven just now"
# The file of the summary is in its arguments. If told to, it waits until another run is over.
ANSIBLE = f"""#!/bin/sh
echo "called with $*"
for word; do case $word in holdfast_summary_file=*) summary=${{word#*=}};; esac; done
[ -e tests-nothing ] || echo "{PROOF}, for $2" >"$summary"
[ "$2" != waits.yml ] || until [ -e go ]; do sleep 0.05; done
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the summary of an earlier run."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed here")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".cache/collections/ansible_collections/holdfast/registry").mkdir(parents=True)
    (tmp_path / ".cache/summary-1").write_text(f"{PROOF}, of an earlier run\n")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/site.txt").touch()
    (tmp_path / ".venv/site.done").touch()
    program = tmp_path / ".venv/bin/ansible-playbook"
    program.write_text(ANSIBLE)
    program.chmod(0o755)
    return tmp_path


def start(checkout, target, inventory="hosts.yml"):
    return subprocess.Popen(["make", target, f"INVENTORY={inventory}"], cwd=checkout, stdout=subprocess.PIPE, text=True)


def shown(process):
    said, _none = process.communicate(timeout=60)
    assert process.returncode == 0
    return said


def test_a_run_that_tested_nothing_does_not_show_what_an_earlier_one_has_tested(checkout):
    (checkout / "tests-nothing").touch()
    said = shown(start(checkout, "site"))
    assert PROOF not in said
    assert "not tested: that is what 'make verify' does" in said


@pytest.mark.parametrize("target", ["site", "verify"])
def test_a_run_that_tested_shows_what_and_leaves_no_summary(checkout, target):
    assert f"{PROOF}, for hosts.yml" in shown(start(checkout, target))
    assert [path.name for path in (checkout / ".cache").glob("summary*")] == ["summary-1"]


def test_two_runs_at_once_show_each_its_own_summary(checkout):
    waiting = start(checkout, "site", "waits.yml")
    first = waiting.stdout.readline()
    while "called with" not in first:
        first += waiting.stdout.readline()
    time.sleep(0.2)  # it writes its summary next
    other = shown(start(checkout, "site", "other.yml"))
    (checkout / "go").touch()
    first += shown(waiting)
    assert f"{PROOF}, for other.yml" in other and "for waits.yml" not in other
    assert f"{PROOF}, for waits.yml" in first and "for other.yml" not in first


def test_the_state_is_asked_of_the_inventory_that_is_named(checkout):
    assert "called with -i hosts.yml playbooks/status.yml" in shown(start(checkout, "status"))
