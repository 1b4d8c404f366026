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
_SERVICE: Options = {
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
    "services": {"type": "list", "elements": "dict", "options": _SERVICE},
    "drain": {"type": "dict", "options": _DRAIN},
    "remove_others": {"type": "list", "elements": "str", "default": []},
}


def read(call: Call) -> list[services.Wanted]:
    """The wanted services. Raises HoldfastError for what cannot be right."""
    return [services.Wanted.of(entry, f"services[{place}]") for place, entry in enumerate(call.parameters["services"] or [])]


def manage(call: Call, wanted: list[services.Wanted], pending: t.Sequence[str]) -> Result:
    """Bring them into their states. pending are paths that a run in check mode has not written."""
    systemd, waiting = Systemd(call.run_program), Waiting()
    drain = Drain(call.parameters["drain"], systemd, waiting) if call.parameters["drain"] else None
    return services.manage(wanted, call.check_mode, systemd, waiting, remove_others=call.parameters["remove_others"], pending=pending, drain=drain)
