# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's side of the module registry_release: archives of the controller are sent to the hosts that need them."""

from __future__ import annotations

import typing as t

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    TRANSFERS_FILES = False  # mostly there is nothing to send

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        sent: dict[int, str] = {}
        try:
            answer = self._ask(sent, task_vars)
            while answer.get("needs"):  # it never asks for one that it was told of, so this ends
                sent.update({number: self._send(number) for number in answer["needs"]})
                answer = self._ask(sent, task_vars)
        except AnsibleError as error:
            return {**result, "failed": True, "msg": str(error)}
        result.update(answer)
        return result

    def _ask(self, sent: dict[int, str], variables: dict[str, t.Any] | None) -> dict[str, t.Any]:
        """Run the module, with the places of the archives that were sent, and "" for the others."""
        releases = self._task.args.get("releases")
        if isinstance(releases, list):
            releases = [
                {**entry, "archive": sent.get(number, "")} if isinstance(entry, dict) and entry.get("archive") else entry
                for number, entry in enumerate(releases)
            ]
        arguments = {**self._task.args, "releases": releases}
        answer: dict[str, t.Any] = self._execute_module("holdfast.registry.registry_release", module_args=arguments, task_vars=variables)
        return answer

    def _send(self, number: int) -> str:
        """Send an archive to the host. Returns where it is there."""
        entry = self._task.args["releases"][number]
        try:
            archive = self._loader.get_real_file(self._find_needle("files", str(entry["archive"])), decrypt=False)
        except AnsibleError as error:
            name = (entry.get("called") or {}).get("archive") or f"releases[{number}].archive"
            raise AnsibleError(f"{name}: {error}") from error
        shell = self._connection._shell
        if shell.tmpdir is None:
            self._make_tmp_path()
        path = str(shell.join_path(shell.tmpdir, f"archive-{number}"))
        self._transfer_file(archive, path)
        # The module may run as another user than the one who is logged in.
        self._fixup_perms2((shell.tmpdir, path))
        return path
