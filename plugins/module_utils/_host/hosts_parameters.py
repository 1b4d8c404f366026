# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A block of /etc/hosts, read from a module's parameters."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._host.hosts_file import Wanted, apply, check_label, label, missing_directory, plan, read_entries
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result
from ansible_collections.holdfast.registry.plugins.module_utils._names import check_no_nul

OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "entries": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"address": {"type": "str", "required": True}, "names": {"type": "list", "elements": "str", "required": True}},
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "replaces": {"type": "list", "elements": "str", "default": []},
    "path": {"type": "path", "default": "/etc/hosts"},
}


class Asked:
    """What a module is asked to have in the file. former are blocks of this kind that go in the same step."""

    def __init__(self, call: Call, *, former: t.Sequence[str] = ()) -> None:
        """Read its parameters. Raises HoldfastError for what cannot be right."""
        params = call.parameters
        check_label(params["name"], "name")
        for number, each in enumerate(params["replaces"]):
            check_label(each, f"replaces[{number}]")
        check_no_nul(params["path"], "path")
        entries = read_entries(params["entries"])
        replaces = (*params["replaces"], *(label(name) for name in former))
        self._wanted = Wanted(params["name"], entries if params["state"] == "present" else (), replaces)
        self._path, self._check_mode = params["path"], call.check_mode

    def do(self) -> Result:
        """Change the file, or in check mode only say what would be changed."""
        todo = plan(self._path, self._wanted)
        problem = missing_directory(self._path) if todo.change else ""
        if problem and not self._check_mode:
            raise HoldfastError(problem)
        if todo.change and not self._check_mode:
            todo = apply(self._path, self._wanted)
        change = todo.change
        return {
            "changed": change is not None,
            "reason": change.reason if change else "",
            "warnings": todo.warnings + ([f"{problem}: this fails unless that is put right before"] if problem else []),
            "diff": [change.diff] if change else [],
        }
