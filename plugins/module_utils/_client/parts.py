# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All that makes a host a client of a registry: its name, trust in its CA, its mirrors, the engine's settings, and engines that have read that."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._docker import daemon_parameters, engine
from ansible_collections.holdfast.registry.plugins.module_utils._host import hosts_parameters, service_parameters, stamps
from ansible_collections.holdfast.registry.plugins.module_utils._host.hosts_file import check_label
from ansible_collections.holdfast.registry.plugins.module_utils._mirrors import parameters as mirrors_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, words
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._trust import parameters as trust_parameters

ENGINES = ("docker", "containerd", "buildkit")
OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "hosts_name": {"type": "str"},
    **{option: hosts_parameters.OPTIONS[option] for option in ("entries", "replaces")},
    **{option: trust_parameters.OPTIONS[option] for option in ("content", "stores", "endpoints", "client_certificate_path", "client_key_path")},
    **{option: mirrors_parameters.OPTIONS[option] for option in ("clients", "mirrors", "short_names", "search_registries")},
    "settings": {"type": "dict", "default": {}},
    "engines": words(ENGINES),
    "former_names": {"type": "list", "elements": "str", "default": []},
    "former_hosts_names": {"type": "list", "elements": "str", "default": []},
}


class Asked:
    """What a module is asked to make of the host."""

    def __init__(self, call: Call) -> None:
        """Read its parameters, those of all parts before the first of them changes anything. Raises HoldfastError for what cannot be right."""
        given = call.parameters
        for secret in engine.credentials(given["settings"]):
            call.hide(secret)
        for number, text in enumerate(given["endpoints"]):
            parse_endpoint(text, parameter=f"endpoints[{number}]")
        self._call = call
        self._present = given["state"] == "present"
        self._engines = (given["engines"] or []) if self._present else list(ENGINES)
        self._trust = self._read_trust()
        self._hosts = self._read_hosts()
        self._mirrors = self._read_mirrors()
        self._daemon = self._read_daemon()

    def do(self) -> Result:
        """Make it so, part after part, or in check mode only say what would be changed. An error has what the parts before have changed."""
        done: dict[str, Result] = {}
        try:
            done["hosts"] = self._hosts.do()
            # Mirrors name a copy of the CA's certificate: a new one has to be there before they do, and an old one until they no longer do.
            if self._trust.keeps and not self._call.check_mode:
                done["trust"] = self._trust.do(leave=False)
            done["mirrors"] = self._mirrors.do()
            done["trust"] = _both(done.get("trust"), self._trust.do())
            if self._daemon:
                done["daemon"] = self._daemon.do()
            done["services"] = self._run_engines(done)
        except HoldfastError as error:
            raise HoldfastError(str(error), {**error.results, **_said(done)}) from None
        diff = [each for result in done.values() for each in (result["diff"] if isinstance(result["diff"], list) else [result["diff"]])]
        return {**_said(done), "unmirrored": done["mirrors"]["unmirrored"], "diff": [each for each in diff if each.get("prepared") != ""]}

    def _part(self, options: Options, **values: t.Any) -> Call:
        """A call of the module that does one part alone, with these parameters."""
        return self._call._replace(parameters={**{name: option.get("default") for name, option in options.items()}, **values})

    def _read_trust(self) -> trust_parameters.Asked:
        given = self._call.parameters
        values: dict[str, t.Any] = {"state": "absent", "stores": given["stores"] if self._present else list(trust_parameters.STORES)}
        if self._present and given["content"]:
            same = ("content", "endpoints", "client_certificate_path", "client_key_path")
            values.update(state="present", **{option: given[option] for option in same})
        return trust_parameters.Asked(
            self._part(trust_parameters.OPTIONS, name=given["name"], former_names=given["former_names"], only_these_stores=True, **values)
        )

    def _read_hosts(self) -> hosts_parameters.Asked:
        given = self._call.parameters
        name = given["name"] if given["hosts_name"] is None else given["hosts_name"]
        check_label(name, "name" if given["hosts_name"] is None else "hosts_name")
        for number, former in enumerate(given["former_hosts_names"]):
            check_label(former, f"former_hosts_names[{number}]")
            if former == name:
                raise HoldfastError(f"former_hosts_names[{number}]: {former!r} is the name of today's block; use a name that is no longer used")
        same = {option: given[option] for option in ("entries", "replaces", "state")}
        return hosts_parameters.Asked(self._part(hosts_parameters.OPTIONS, name=name, **same), former=given["former_hosts_names"])

    def _read_mirrors(self) -> mirrors_parameters.Asked:
        given = self._call.parameters
        same = ("name", "state", "clients", "mirrors", "client_certificate_path", "client_key_path", "short_names", "search_registries")
        values = {option: given[option] for option in same}
        call = self._part(mirrors_parameters.OPTIONS, **values, registries=given["endpoints"], ca_path=self._trust.copy)
        return mirrors_parameters.Asked(call, former=given["former_names"])

    def _read_daemon(self) -> daemon_parameters.Asked | None:
        """None where there is nothing to do: without an engine only what was set under the former names goes."""
        given = self._call.parameters
        if "docker" in self._engines:
            call = self._part(daemon_parameters.OPTIONS, name=given["name"], settings=given["settings"], state=given["state"])
            return daemon_parameters.Asked(call, former=given["former_names"])
        if not given["former_names"]:
            return None
        first, *others = given["former_names"]
        return daemon_parameters.Asked(self._part(daemon_parameters.OPTIONS, name=first, state="absent"), former=others)

    def _run_engines(self, done: dict[str, Result]) -> Result:
        """Start, restart or reload the engines, as far as they have not read what the parts before have written."""
        restart = {daemon: [path] for daemon, path in self._mirrors.configurations.items()}
        reload: dict[str, list[str]] = {}
        changed = [self._mirrors.configurations[daemon] for daemon in done["mirrors"]["restart"]]
        if "daemon" in done:
            marks = done["daemon"]
            restart["docker"], reload["docker"] = [marks["restart_mark"]], [marks["reload_mark"]]
            changed += [marks[f"{marks['action']}_mark"]] if marks["action"] != "none" else []
        # Docker reads its own store of CAs at every connection, and the system's only when it starts.
        if self._present and "docker" in self._engines and "docker" not in self._trust.stores:
            restart["docker"] += self._trust.anchors
            changed += self._trust.anchors[:1] if "docker" in done["trust"]["restart"] else []
        told = ["docker", *self._call.parameters["clients"]] if self._present else []
        # A daemon that is told nothing any longer has to notice once, also where a call before this one has failed before it did.
        left = [*done["mirrors"]["restart"], *(daemon for daemon in ENGINES if stamps.read(f"{daemon}.service"))] if self._present else ENGINES
        entries = [
            {
                "name": f"{daemon}.service",
                "restart_on": restart[daemon],
                "reload_on": reload.get(daemon, []),
                # So that containers survive the very restart that comes with live-restore.
                "reload_before_restart": daemon == "docker",
                "state": "started" if daemon in told else "released",
            }
            for daemon in self._engines
            if daemon in told or daemon in left
        ]
        usual = {option: value.get("default") for option, value in service_parameters.SERVICE.items()}
        call = self._part(service_parameters.OPTIONS, services=[{**usual, **entry} for entry in entries])
        asked = service_parameters.Asked(call)
        return asked.do(changed) if asked else {"changed": False, "services": [], "diff": []}


def _both(first: Result | None, second: Result) -> Result:
    """What two steps have done to the stores."""
    if first is None:
        return second
    changed = {"changed": first["changed"] or second["changed"], "restart": sorted({*first["restart"], *second["restart"]})}
    # A file that names certificates may change twice, for the same reason. Stores that are left come only second.
    before = {name: each["reasons"] for name, each in first["stores"].items()}
    stores = {name: {"reasons": list(dict.fromkeys([*before.get(name, []), *each["reasons"]]))} for name, each in second["stores"].items()}
    return {**second, **changed, "stores": stores, "diff": [*first["diff"], *second["diff"]]}


def _said(done: dict[str, Result]) -> Result:
    """What the parts have changed, and why."""
    parts = {name: {"changed": result["changed"], "reasons": _reasons(result)} for name, result in done.items()}
    warnings = [line for result in done.values() for line in result.get("warnings", [])]
    return {"changed": any(part["changed"] for part in parts.values()), **parts, "warnings": warnings}


def _reasons(result: Result) -> list[str]:
    if "services" in result:
        return [f"{each['name']}: {', '.join(each['actions'])} ({'; '.join(each['reasons'])})" for each in result["services"] if each["actions"]]
    below = result.get("stores") or result.get("clients")
    if below:
        return [line for each in below.values() for line in each["reasons"]]
    return list(result["reasons"]) if "reasons" in result else [result["reason"]] if result["reason"] else []
