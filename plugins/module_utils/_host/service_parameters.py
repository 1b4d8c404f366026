# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services and what is to be done with them, read from the parameters of a module that brings them into their states."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._host import services
from ansible_collections.holdfast.registry.plugins.module_utils._host.drain import Drain
from ansible_collections.holdfast.registry.plugins.module_utils._host.systemd import Systemd, Waiting
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, Options, Result

_ANSWERS: Options = {
    "url": {"type": "str"},
    "unix_socket": {"type": "path"},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "port": {"type": "int"},
    "address": {"type": "str", "default": "127.0.0.1"},
    "socket": {"type": "path"},
    "seconds": {"type": "int", "default": 30},
}
SERVICE: Options = {
    "name": {"type": "str", "required": True},
    "restart_on": {"type": "list", "elements": "path", "default": []},
    "reload_on": {"type": "list", "elements": "path", "default": []},
    "restart": {"type": "bool", "default": False},
    "reload": {"type": "bool", "default": False},
    "stop_first": {"type": "bool", "default": False},
    "reload_before_restart": {"type": "bool", "default": False},
    "enabled": {"type": "bool"},
    "state": {"type": "str", "choices": ["started", "stopped", "released"], "default": "started"},
    "new_workers": {"type": "bool", "default": False},
    "answers": {"type": "dict", "options": _ANSWERS},
    "drains": {"type": "bool", "default": False},
}
_DRAIN: Options = {
    "file": {"type": "path", "required": True},
    "seconds": {"type": "int", "default": 0},
    "stop": {"type": "list", "elements": "str", "default": []},
    "refused": {"type": "str", "default": ""},
}
OPTIONS: Options = {
    "services": {"type": "list", "elements": "dict", "options": SERVICE},
    "drain": {"type": "dict", "options": _DRAIN},
    "remove_others": {"type": "list", "elements": "str", "default": []},
}


class Asked:
    """What a module is asked to do with services."""

    def __init__(self, call: Call) -> None:
        """Read its parameters. Raises HoldfastError for what cannot be right."""
        given = call.parameters
        self._check_mode, self._systemd, self._waiting = call.check_mode, Systemd(call.run_program), Waiting()
        self._wanted = [services.Wanted.of(entry, f"services[{place}]") for place, entry in enumerate(given["services"] or [])]
        self._remove_others = given["remove_others"]
        self._drain = Drain(given["drain"], self._systemd, self._waiting) if given["drain"] else None

    def __bool__(self) -> bool:
        return bool(self._wanted or self._remove_others)

    def do(self, pending: t.Sequence[str]) -> Result:
        """Bring the services into their states. pending are paths that a run in check mode has not written."""
        return services.manage(
            self._wanted, self._check_mode, self._systemd, self._waiting, remove_others=self._remove_others, pending=pending, drain=self._drain
        )
