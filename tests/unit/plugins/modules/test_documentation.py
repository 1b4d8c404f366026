# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the documentation of all modules has in common."""

from __future__ import annotations

import ast
import pathlib
import re

import pytest

yaml = pytest.importorskip("yaml")

MODULES = sorted((pathlib.Path(__file__).parents[4] / "plugins/modules").glob("*.py"))
ORDER = [
    "module",
    "short_description",
    "version_added",
    "author",
    "description",
    "requirements",
    "extends_documentation_fragment",
    "options",
    "attributes",
    "notes",
    "seealso",
]
each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)


def constants(path):
    """The strings that a module defines, by name, and its docstring."""
    tree = ast.parse(path.read_text())
    assigned = {node.targets[0].id: node.value.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)}
    return assigned, ast.get_docstring(tree)


@each_module
def test_its_keys_come_in_one_order_and_its_header_is_whole(path):
    documented, docstring = constants(path)
    documentation = yaml.safe_load(documented["DOCUMENTATION"])
    assert list(documentation) == [key for key in ORDER if key in documentation]
    assert documentation["module"] == path.stem and docstring == f"{documentation['short_description']}."
    assert path.read_text().splitlines()[2] == "# SPDX-License" + "-Identifier: GPL-3.0-or-later"  # in two parts, since `reuse lint` reads it, too
    assert any(name.startswith("holdfast.registry.attributes") for name in documentation["extends_documentation_fragment"])


def test_the_examples_of_every_module_are_run_as_they_are():
    tasks = yaml.safe_load((MODULES[0].parents[2] / "tests/integration/targets/examples/tasks/main.yml").read_text())
    assert sorted(tasks[0]["vars"]["modules"]) == [path.stem for path in MODULES]


@each_module
def test_its_examples_use_no_result_that_no_example_before_has_registered(path):
    registered = set()
    for task in yaml.safe_load(constants(path)[0]["EXAMPLES"]):
        expressions = re.findall(r"{{(.*?)}}", str(task)) + [str(task.get("when", "")), str(task.get("failed_when", ""))]
        for name, field in re.findall(r"\b([a-z]+)\.([a-z]+)\b", re.sub(r"'[^']*'", "", " ".join(expressions))):
            assert name in registered | {"item", task.get("register")}, f"{task['name']}: {name}.{field}"
        registered.add(task.get("register"))
