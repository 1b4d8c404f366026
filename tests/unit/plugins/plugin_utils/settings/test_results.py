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


def test_all_that_the_playbooks_set_is_known():
    files = [*PLAYBOOKS.glob("*.yml"), *PLAYBOOKS.glob("tasks/*.yml")]
    found = {name for path in files for name in results(yaml.safe_load(path.read_text()))}
    assert "holdfast_there" in found
    assert {name for name in found if name.startswith("holdfast_")} <= set(site.RESULTS_OF_A_RUN)
