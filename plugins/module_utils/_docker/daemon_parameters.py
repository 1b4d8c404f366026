# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a name wants in daemon.json, read from a module's parameters."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._docker import daemon, engine
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result
from ansible_collections.holdfast.registry.plugins.module_utils._names import check_no_nul

OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "settings": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "path": {"type": "path", "default": "/etc/docker/daemon.json"},
    "unit": {"type": "str", "default": "docker.service"},
}


class Asked:
    """What a module is asked to have in the file. What was set for the former names goes in the same step."""

    def __init__(self, call: Call, *, former: t.Sequence[str] = ()) -> None:
        """Read its parameters. Raises HoldfastError for what cannot be right."""
        params = call.parameters
        settings = (params["settings"] or {}) if params["state"] == "present" else {}
        for secret in engine.credentials(params["settings"] or {}):
            call.hide(secret)
        if not params["name"] or not params["name"].isprintable():
            raise HoldfastError(f"name: {params['name']!r} is not a name, such as defaults")
        check_no_nul(params["path"], "path")
        if not os.path.isabs(params["path"]) or params["path"].endswith("/"):
            raise HoldfastError(f"path: {params['path']!r} is not the absolute path of a file, such as /etc/docker/daemon.json")
        self._wanted = daemon.Wanted(params["name"], os.path.normpath(params["path"]), params["unit"], settings, tuple(former))
        self._run_program, self._check_mode = call.run_program, call.check_mode

    def do(self) -> Result:
        """Change the file, or in check mode only say what would be changed."""
        return daemon.configure(self._run_program, self._wanted, check_mode=self._check_mode)
