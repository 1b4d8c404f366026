# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs on a host imports nothing of Ansible that only the controller has, wherever in the code it does so."""

from __future__ import annotations

import ast
import pathlib

import pytest

PLUGINS = pathlib.Path(__file__).parents[3] / "plugins"
SENT = ("ansible.module_utils", "ansible_collections.holdfast.registry.plugins.module_utils")
FILES = sorted(path for directory in ("modules", "module_utils") for path in (PLUGINS / directory).rglob("*.py"))


def imported(source):
    """The full names of what is imported, in functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{each.name}" for each in node.names)


def missing_on_a_host(source):
    return [name for name in imported(source) if name.startswith(("ansible", ".")) and not name.startswith(SENT)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_a_module_needs_only_what_is_sent_along(path):
    assert missing_on_a_host(path.read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "import ansible.plugins.loader",
        "from ansible.parsing import vault",
        "from ansible_collections.holdfast.registry.plugins import plugin_utils",
        "from . import x",
    ],
)
def test_what_only_the_controller_has_is_found_in_a_function_as_well(line):
    assert len(missing_on_a_host(f"def late():\n    {line}\n")) == 1
