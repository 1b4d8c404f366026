# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that run with the current state of their files: started, restarted or reloaded only if something has changed."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import stamps, unwanted
from ansible_collections.holdfast.registry.plugins.module_utils._host.answers import Question
from ansible_collections.holdfast.registry.plugins.module_utils._host.drain import Drain
from ansible_collections.holdfast.registry.plugins.module_utils._host.systemd import UNIT_FILES, Systemd, Unit, Waiting, children

_DONE = {"start": "started", "restart": "restarted", "reload": "reloaded", "stop": "stopped"}
_WORKERS_SECONDS = 15
_SETTLING_SECONDS = 1.0  # a simple service counts as started before its program has read a line


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The wanted state of a service."""

    name: str
    restart_on: list[str]
    reload_on: list[str]
    restart: bool
    reload: bool
    stop_first: bool
    reload_before_restart: bool
    enabled: bool
    stopped: bool
    released: bool
    new_workers: bool
    answers: Question | None
    drains: bool

    @classmethod
    def of(cls, params: dict[str, t.Any], place: str) -> Wanted:
        """Read one entry of the module's list. Raises HoldfastError where it can't be right."""
        if not re.fullmatch(r"[A-Za-z0-9:_.\\@-]+\.(service|socket|timer|path|target)", params["name"]):
            raise HoldfastError(f"{place}.name: {params['name']!r} is not the name of a unit, such as nginx.service")
        for parameter in ("restart_on", "reload_on"):
            for number, path in enumerate(params[parameter]):
                if not path.startswith("/"):
                    raise HoldfastError(f"{place}.{parameter}[{number}]: {path!r} is not an absolute path")
        stopped = params["state"] == "stopped"
        return cls(
            name=params["name"],
            restart_on=params["restart_on"],
            reload_on=params["reload_on"],
            restart=params["restart"],
            reload=params["reload"],
            stop_first=params["stop_first"],
            reload_before_restart=params["reload_before_restart"],
            enabled=not stopped if params["enabled"] is None else params["enabled"],
            stopped=stopped,
            released=params["state"] == "released",
            new_workers=params["new_workers"],
            answers=Question.of(params["answers"], f"{place}.answers") if params["answers"] else None,
            drains=params["drains"],
        )


@dataclasses.dataclass(frozen=True)
class Plan:
    """The action on a service, and the reasons. The stamp has the digests from before the action."""

    verb: str  # start, restart, reload, stop, or "" for nothing
    enable: str  # enable, disable or ""
    reasons: list[str]
    stamp: stamps.Stamp
    reload_first: bool = False


def manage(
    services: list[Wanted],
    check_mode: bool,
    systemd: Systemd,
    waiting: Waiting,
    *,
    remove_others: t.Sequence[str] = (),
    pending: t.Sequence[str] = (),
    drain: Drain | None = None,
) -> dict[str, t.Any]:
    """Bring services into their states, in order. Returns what the module returns.

    pending are paths that check mode has left unwritten, and remove_others patterns of units that are removed if they are not among services.
    drain is what has to be done before a service that drains is stopped or restarted.
    """
    names = [wanted.name for wanted in services]
    removed = unwanted.stop(systemd, remove_others, names, check_mode)
    units = systemd.units(names)
    if not check_mode and any(unit.is_stale or not unit.exists for unit in units.values()):
        systemd.read_unit_files()
        units = systemd.units(names)
    enabled = systemd.enabled(names)
    paths = list(pending) if check_mode else []
    # Planned before the first of them is stopped, and so with the reasons for it.
    early = {
        wanted.name: _Service(wanted, units[wanted.name], enabled[wanted.name], systemd, waiting, paths, drain) for wanted in services if wanted.stop_first
    }
    stopped = {name: service for name, service in early.items() if service.stop_for_restart(check_mode)}
    results: list[dict[str, t.Any]] = []
    for wanted in services:
        # An action on an earlier unit may have changed this one, such as the service of a socket.
        before = any(result["actions"] for result in results) and not check_mode
        unit = systemd.unit(wanted.name) if before else units[wanted.name]
        service = stopped.get(wanted.name) or _Service(wanted, unit, enabled[wanted.name], systemd, waiting, paths, drain)
        results.append(service.manage(check_mode))
    if not check_mode:
        unwanted.remove(systemd, removed)
    lines = [f"{gone['name']}: removed" for gone in removed]
    lines += [f"{result['name']}: {', '.join(result['actions'])} ({'; '.join(result['reasons'])})" for result in results if result["actions"]]
    return {
        "changed": bool(lines),
        "services": results,
        "removed": removed,
        "reasons": {result["name"]: result["reasons"] for result in results},
        "drained": bool(drain and drain.done),
        "diff": {"prepared": "".join(f"{line}\n" for line in lines)},
    }


class _Service:
    def __init__(self, wanted: Wanted, unit: Unit, enabled: str, systemd: Systemd, waiting: Waiting, pending: list[str], drain: Drain | None) -> None:
        self._wanted, self._unit, self._enabled = wanted, unit, enabled
        self._systemd, self._waiting, self._pending, self._drain = systemd, waiting, pending, drain
        self._plan_before: Plan | None = None

    def stop_for_restart(self, check_mode: bool) -> bool:
        """Stop it if it has to be restarted, and say whether. The restart itself is left to manage()."""
        if not self._unit.exists:
            return False
        plan = self._plan()
        if plan.verb != "restart":
            return False
        self._plan_before = plan
        self._drained_for(plan, check_mode)
        if not check_mode:
            self._systemd.act("stop", self._wanted.name)
        return True

    def manage(self, check_mode: bool) -> dict[str, t.Any]:
        gone = (self._wanted.stopped or self._wanted.released) and self._unit.load_state == "not-found"
        if not self._unit.exists and not check_mode and not gone:
            raise HoldfastError(f"{self._wanted.name}: {_absence(self._unit)}")
        plan = self._plan_before or self._plan()
        if not self._plan_before:
            self._drained_for(plan, check_mode)
        if not check_mode:
            self._carry_out(plan)
        done = ([f"{plan.enable}d"] if plan.enable else []) + ([_DONE[plan.verb]] if plan.verb else [])
        return {"name": self._wanted.name, "actions": done, "reasons": plan.reasons}

    def _drained_for(self, plan: Plan, check_mode: bool) -> None:
        if self._drain and self._wanted.drains and plan.verb in ("restart", "stop"):
            self._drain.before(self._wanted.name, check_mode)

    def _plan(self) -> Plan:
        wanted, unit = self._wanted, self._unit
        stamp = stamps.Stamp(stamps.digests(wanted.restart_on + unit.files), stamps.digests(wanted.reload_on))
        enable, reasons = self._plan_enabling()
        if wanted.stopped:
            return Plan("stop" if unit.is_active or unit.state == "activating" else "", enable, reasons + (["it runs"] if unit.is_active else []), stamp)
        if not unit.is_active and wanted.released:
            return Plan("", "", [], stamp)
        if not unit.is_active:
            why = "its unit is not on the host yet" if not unit.exists else f"it is {unit.state}"
            # A start would join one that is in progress, with the old settings.
            return Plan("restart" if unit.state == "activating" else "start", enable, [*reasons, why], stamp)
        restart, reload = self._unread(stamp)
        restart += self._still_to_be_written(wanted.restart_on, with_unit=True)
        reload += self._still_to_be_written(wanted.reload_on, with_unit=False)
        if wanted.restart:
            restart.append("asked for by the play")
        if wanted.reload:
            reload.append("asked for by the play")
        verb = "restart" if restart else "reload" if reload else ""
        if verb == "reload" and not unit.can_reload:
            raise HoldfastError(f"{wanted.name}: cannot be reloaded, its unit has no ExecReload; name the files in restart_on instead of reload_on")
        first = verb == "restart" and bool(reload) and wanted.reload_before_restart and unit.can_reload
        return Plan(verb, enable, reasons + list(dict.fromkeys(restart + reload)), stamp, first)

    def _plan_enabling(self) -> tuple[str, list[str]]:
        if self._wanted.released:
            return "", []
        is_on = self._enabled in ("enabled", "enabled-runtime", "alias")
        if self._wanted.enabled and not is_on and self._enabled not in ("static", "indirect", "generated", "transient"):
            return "enable", ["it is not enabled"]
        if not self._wanted.enabled and is_on:
            return "disable", ["it is enabled"]
        return "", []

    def _unread(self, now: stamps.Stamp) -> tuple[list[str], list[str]]:
        """The reasons for a restart, and for a reload: files that the running service has not read."""
        known = stamps.read(self._wanted.name)
        if known is None and self._wanted.released:
            return [], []  # it was never ours, and what others have changed is theirs to let it read
        known = known or stamps.Stamp({}, {})
        started = self._unit.started
        return stamps.unread(known.restart, now.restart, started), stamps.unread(known.reload, now.reload, started)

    def _still_to_be_written(self, paths: list[str], *, with_unit: bool) -> list[str]:
        """The reasons that check mode knows only from the tasks before: files, files in directories, and with_unit unit files and drop-ins."""
        if self._wanted.released and stamps.read(self._wanted.name) is None:
            return []
        own = f"{UNIT_FILES}/{self._wanted.name}"
        directories = tuple(f"{path}/" for path in [*paths, *([f"{own}.d"] if with_unit else [])])
        files = {*paths, *([own] if with_unit else [])}
        return [f"{path}: not read by the running service yet" for path in self._pending if path in files or path.startswith(directories)]

    def _carry_out(self, plan: Plan) -> None:
        name = self._wanted.name
        if plan.enable:
            self._systemd.act(plan.enable, name)
        if plan.reload_first:
            self._reload()
            self._waiting.sleep(_SETTLING_SECONDS)  # systemd sends a signal, and does not wait for what the service makes of it
        if plan.verb in ("start", "restart"):
            self._systemd.forget_failures(name)
            self._systemd.act(plan.verb, name)
            self._settle(plan.verb)
        elif plan.verb == "reload":
            self._reload()
        elif plan.verb == "stop":
            self._systemd.act("stop", name)
        if self._wanted.stopped or self._wanted.released:
            stamps.forget(name)
            return
        self._await_answer()
        if stamps.read(name) != plan.stamp:
            stamps.write(name, plan.stamp)

    def _settle(self, verb: str) -> None:
        """Check that a new process was started and keeps running."""
        before, deadline = self._unit, self._waiting.now() + (0 if self._wanted.answers else _SETTLING_SECONDS)
        while True:
            unit = self._systemd.unit(self._wanted.name)
            if not unit.is_active and not self._ended_well(unit):
                raise HoldfastError(f"{unit.name}: did not stay up after its {verb}: it is {unit.state}{self._systemd.last_words(unit)}")
            if before.is_active and unit.invocation == before.invocation:
                raise HoldfastError(f"{unit.name}: is still the one from before its {verb}{self._systemd.last_words(unit)}")
            if unit.properties.get("Type") not in ("simple", "exec") or self._waiting.now() >= deadline:
                return
            self._waiting.sleep(0.2)

    @staticmethod
    def _ended_well(unit: Unit) -> bool:
        return unit.properties.get("Type") == "oneshot" and unit.state == "inactive"

    def _reload(self) -> None:
        name = self._wanted.name
        before = children(self._unit.process) if self._wanted.new_workers else set()
        self._systemd.act("reload", name)
        deadline = self._waiting.now() + _WORKERS_SECONDS
        while self._wanted.new_workers and not children(self._unit.process) - before:
            if self._waiting.now() >= deadline:
                unit = self._systemd.unit(name)
                raise HoldfastError(
                    f"{name}: did not take up its new configuration: no new process after the reload, so what ran before goes on"
                    f"{self._systemd.last_words(unit)}"
                )
            self._waiting.sleep(0.05)
        unit = self._systemd.unit(name)
        if not unit.is_active:
            raise HoldfastError(f"{name}: did not survive its reload: it is {unit.state}{self._systemd.last_words(unit)}")

    def _await_answer(self) -> None:
        question = self._wanted.answers
        if question is None:
            return
        deadline = self._waiting.now() + question.seconds
        while True:
            problem = question.problem()
            if not problem:
                return
            unit = self._systemd.unit(self._wanted.name)
            if unit.state == "failed":
                raise HoldfastError(f"{unit.name}: failed; {problem}{self._systemd.last_words(unit)}")
            if self._waiting.now() >= deadline:
                raise HoldfastError(f"{unit.name}: does not answer within {question.seconds} seconds; {problem}{self._systemd.last_words(unit)}")
            self._waiting.sleep(0.2)


def _absence(unit: Unit) -> str:
    if unit.load_state == "masked":
        return f"is masked; systemctl unmask {unit.name} lets it start"
    if unit.load_state == "not-found":
        return "there is no such unit on this host"
    return f"systemd cannot load its unit file ({unit.load_state}); systemctl status {unit.name} says why"
