# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module files: templates are rendered, and all files go to the host in one task."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import lookup_loader
from ansible.release import __version__ as core_version

SOURCES = ("template", "src", "content")


class _Variables(dict[str, t.Any]):
    """Variables that the lookup adds its own to: it copies them to the last leaf first, which takes longer than to render most templates."""

    def __deepcopy__(self, _memo: t.Any) -> dict[str, t.Any]:
        return dict(self)


class ActionModule(ActionBase):
    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        try:
            files = [self._file(entry, f"files[{number}]", task_vars or {}) for number, entry in enumerate(self._task.args.get("files") or [])]
        except AnsibleError as error:
            return {**result, "failed": True, "msg": str(error)}
        arguments = {**self._task.args, "files": files}
        result.update(self._execute_module("holdfast.registry.files", module_args=arguments, task_vars=task_vars))
        return result

    def _file(self, entry: t.Any, place: str, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """An entry of files with its content in place of where that comes from."""
        if not isinstance(entry, dict):
            raise AnsibleError(f"{place}: must be a dictionary with path and one of {', '.join(SOURCES)}")
        given = [source for source in SOURCES if entry.get(source) is not None]
        if len(given) != 1:
            raise AnsibleError(f"{place}: must have one of {', '.join(SOURCES)}, and has {' and '.join(given) or 'none'}")
        if entry.get("vars") is not None and not isinstance(entry["vars"], dict):
            raise AnsibleError(f"{place}.vars: must be a dictionary")
        try:
            content = getattr(self, f"_from_{given[0]}")(entry, variables)
        except (AnsibleError, UnicodeDecodeError) as error:
            raise AnsibleError(f"{place}.{given[0]}: {_said(entry, given[0])}{error}") from error
        kept = {key: value for key, value in entry.items() if key not in (*SOURCES, "vars")}
        return {**kept, "content": _text(content)}

    def _from_template(self, entry: dict[str, t.Any], variables: dict[str, t.Any]) -> t.Any:
        self._find_needle("templates", entry["template"])  # says where it looked, which the lookup does not
        lookup = lookup_loader.get("ansible.builtin.template", loader=self._loader, templar=self._templar)
        variables = _Variables({**variables, **(entry.get("vars") or {}), "ansible_search_path": list(self._task.get_search_path())})
        # Up to 2.18 the lookup would turn text that looks like JSON into data; from 2.19 on it never does.
        options = {"convert_data": False} if _version() < (2, 19) else {}
        return lookup.run([entry["template"]], variables=variables, **options)[0]

    def _from_src(self, entry: dict[str, t.Any], _variables: dict[str, t.Any]) -> str:
        with open(self._loader.get_real_file(self._find_needle("files", entry["src"])), encoding="utf-8", newline="") as handle:
            return handle.read()

    def _from_content(self, entry: dict[str, t.Any], _variables: dict[str, t.Any]) -> t.Any:
        return entry["content"]


def _text(content: t.Any) -> str:
    return json.dumps(content) if isinstance(content, (dict, list)) else str(content)


def _said(entry: dict[str, t.Any], source: str) -> str:
    return "" if source == "content" else f"{os.path.basename(str(entry[source]))}: "


def _version() -> tuple[int, ...]:
    return tuple(int(part) for part in core_version.split(".")[:2])
