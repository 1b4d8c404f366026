# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the settings of a role on the controller, before anything is changed on a host."""

from __future__ import annotations

import difflib
import importlib
import pathlib
import re
import typing as t

from ansible import constants
from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.yaml import yaml_load
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import kinds
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import UNSET, Host
from jinja2.exceptions import UndefinedError

ROLES = pathlib.Path(__file__).resolve().parents[2] / "roles"
SETTINGS = "ansible_collections.holdfast.registry.plugins.plugin_utils.settings"
PREFIXES = {"site": "holdfast"}

display = Display()


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        _validation, arguments = self.validate_argument_spec(
            argument_spec={"role": {"type": "str", "required": True, "choices": _roles()}, "called": {"type": "dict", "default": {}}}
        )
        role, prefix = arguments["role"], PREFIXES.get(arguments["role"], arguments["role"])
        checks = importlib.import_module(f"{SETTINGS}.{role}")
        spec = _spec(role, checks)
        own = _inventory(variables)
        # A problem of several hosts names what any of them has.
        named = own.union(*(_inventory({**variables, "inventory_hostname": each}) for each in _servers(variables))) if role == "site" else own
        found = self._problems(spec, checks, variables)
        # A play that sets variables of roles defines once, for all roles, their names for the user.
        known_by = {**_plain(self._templar.template(variables.get("holdfast_called", {}))), **arguments["called"]}
        called = _called(known_by, named)
        for warning in _unknown(prefix, spec, own, _results(checks, own)):
            display.warning(f"{variables.get('inventory_hostname')}: {warning}")
        result.update({"changed": False, "problems": _as_known(found, called)})
        if found:
            result.update({"failed": True, "msg": "; ".join(result["problems"])})
        else:
            result["called"] = called
        return result

    def _problems(self, spec: dict[str, t.Any], checks: t.Any, variables: dict[str, t.Any]) -> list[str]:
        given: dict[str, t.Any] = {}
        found = []
        for name in spec:
            if name in variables:
                try:
                    given[name] = _plain(self._templar.template(variables[name]))
                except AnsibleError as error:
                    found.append(f"{name}: {error}")
        # Of what the validation below converts, the role reads what was written.
        found = found or list(kinds.problems(spec, given))
        if found:
            return found
        validated = ArgumentSpecValidator(spec).validate(given, validate_role_argument_spec=True)
        if validated.error_messages:
            return list(validated.error_messages)
        host = Host(
            name=variables.get("inventory_hostname", ""),
            facts=_plain(variables.get("ansible_facts", {})),
            facts_become_variables=bool(getattr(constants, "INJECT_FACTS_AS_VARS", False)),
            groups=_plain(variables.get("groups", {})),
            check_mode=bool(self._task.check_mode),
            setting_of=_setting_of(variables),
        )
        return list(checks.problems(_as_written(validated.validated_parameters, given), host))


def _roles() -> list[str]:
    return ["site", *sorted(path.parent.parent.name for path in ROLES.glob("*/meta/argument_specs.yml"))]


def _spec(role: str, checks: t.Any) -> dict[str, t.Any]:
    if role == "site":
        return dict(checks.SPEC)
    document = yaml_load((ROLES / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return dict(document["argument_specs"]["main"]["options"])


def _inventory(variables: dict[str, t.Any]) -> set[str]:
    """The inventory's variables of the host, without those of the play and the role's defaults."""
    hostvars = variables.get("hostvars")
    host = variables.get("inventory_hostname")
    return set(hostvars[host]) if hostvars is not None and host in hostvars else set()


def _setting_of(variables: dict[str, t.Any]) -> t.Callable[[str, str], t.Any]:
    """What the inventory has for a host and a setting. What cannot be resolved counts as not set: the check of that host itself says so."""
    hostvars = variables.get("hostvars") or {}

    def setting_of(host: str, name: str) -> t.Any:
        try:
            own = hostvars[host]
            return _plain(own[name]) if name in own else UNSET
        except (AnsibleError, UndefinedError, KeyError):
            return UNSET

    return setting_of


def _servers(variables: dict[str, t.Any]) -> list[str]:
    return list(variables.get("groups", {}).get("registry_servers", []))


def _results(checks: t.Any, own: set[str]) -> tuple[str, ...]:
    """Names that are set, but not by the inventory. There many would be misspelt settings, so they count only after a playbook that sets them."""
    later: tuple[str, ...] = getattr(checks, "RESULTS_OF_A_RUN", ()) if own.intersection(getattr(checks, "MARKS_OF_A_RUN", ())) else ()
    return (*getattr(checks, "RESULTS", ()), *later)


def _unknown(prefix: str, spec: dict[str, t.Any], own: set[str], results: t.Iterable[str]) -> list[str]:
    """A line for each inventory variable that begins with the role's name and does not exist."""
    found = []
    for name in sorted(own - set(spec) - set(results)):
        if name.startswith(f"{prefix}_"):
            words = name[len(prefix) + 1 :]
            close = difflib.get_close_matches(words, [known[len(prefix) + 1 :] for known in spec if known.startswith(prefix)], n=1, cutoff=0)
            found.append(f"{name}: is no variable of holdfast.registry and has no effect; the closest is {prefix}_{close[0]}")
    return found


def _called(known_by: dict[str, str], own: set[str]) -> dict[str, str]:
    """The user's names for what roles name, without the variables that the inventory has itself, and keys of theirs."""
    return {name: known for name, known in known_by.items() if name.partition(".")[0] not in own}


def _as_known(problems: list[str], called: dict[str, str]) -> list[str]:
    """The problems under the user's names. Several registries may have the same one from one setting."""
    return list(dict.fromkeys(_renamed(problem, called) for problem in problems))


def _renamed(problem: str, called: dict[str, str]) -> str:
    for name, known in called.items():
        problem = re.sub(rf"(?<![A-Za-z0-9_]){re.escape(name)}(?![A-Za-z0-9_])", known, problem)
    return problem


def _as_written(validated: t.Any, given: t.Any) -> t.Any:
    """The validated values, without the empty ones that the validation adds for keys that were not set."""
    if isinstance(validated, dict) and isinstance(given, dict):
        return {key: _as_written(value, given.get(key)) for key, value in validated.items() if value is not None or key in given}
    if isinstance(validated, list) and isinstance(given, list) and len(validated) == len(given):
        return [_as_written(value, one) for value, one in zip(validated, given)]
    return validated


def _plain(value: t.Any) -> t.Any:
    """Lists and dictionaries of their own. Up to 2.18 a value encrypted with Ansible Vault is an object that is no string."""
    if isinstance(value, t.Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if hasattr(value, "__ENCRYPTED__") else value
