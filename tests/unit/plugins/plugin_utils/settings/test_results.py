# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a playbook registers or sets is no misspelt variable of the inventory for a playbook that runs after it, as in: site.yml verify.yml site.yml."""

from __future__ import annotations

import pathlib

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import site

yaml = pytest.importorskip("yaml")

PLAYBOOKS = pathlib.Path(__file__).parents[5] / "playbooks"


def results(node):
    """The names of all results and facts in a playbook or a file of tasks."""
    if isinstance(node, list):
        for entry in node:
            yield from results(entry)
    if isinstance(node, dict):
        if isinstance(node.get("register"), str):
            yield node["register"]
        yield from node.get("ansible.builtin.set_fact") or {}
        for value in node.values():
            yield from results(value)


# see_inventory.yml is the first play of each of them.
@pytest.mark.parametrize("playbook", sorted({*PLAYBOOKS.glob("*.yml")} - {PLAYBOOKS / "see_inventory.yml"}), ids=lambda path: path.stem)
def test_each_playbook_leaves_a_mark(playbook):
    checks = PLAYBOOKS / "tasks/check-settings.yml"
    set_by = set(results(yaml.safe_load(playbook.read_text())))
    if f"tasks/{checks.name}" in playbook.read_text():
        set_by.update(results(yaml.safe_load(checks.read_text())))
    assert set_by.intersection(site.MARKS_OF_A_RUN)


def test_all_that_the_playbooks_set_is_known():
    files = [*PLAYBOOKS.glob("*.yml"), *PLAYBOOKS.glob("tasks/*.yml")]
    found = {name for path in files for name in results(yaml.safe_load(path.read_text()))}
    assert "holdfast_there" in found
    assert {name for name in found if name.startswith("holdfast_")} <= set(site.RESULTS_OF_A_RUN)
