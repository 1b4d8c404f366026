# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs on a host imports nothing of Ansible that only the controller has, wherever in the code it does so.

ansible-test units finds that out in CI, on a Python without the rest; here it is found at once.
"""

from __future__ import annotations

import pathlib
import re

import pytest

PLUGINS = pathlib.Path(__file__).parents[3] / "plugins"
SENT = ("ansible.module_utils", "ansible_collections.holdfast.registry.plugins.module_utils")
IMPORT = re.compile(r"^[ \t]*(?:from|import)[ \t]+(ansible[\w.]*|\.[\w.]*)", re.MULTILINE)


def missing_on_a_host(source):
    return [name for name in IMPORT.findall(source) if not name.startswith(SENT)]


def test_a_module_needs_only_what_is_sent_along():
    files = [path for directory in ("modules", "module_utils") for path in (PLUGINS / directory).rglob("*.py")]
    assert len(files) > 100
    assert {str(path): found for path in files if (found := missing_on_a_host(path.read_text()))} == {}


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
