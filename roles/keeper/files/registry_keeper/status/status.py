# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the registry is, for people: what it holds, what goes on, and what needs a hand."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import time
import typing as t

from registry_keeper.errors import ATTENTION, BUSY, DONE, KeeperError
from registry_keeper.report import Report, counted, human_bytes, human_seconds
from registry_keeper.s3 import status
from registry_keeper.settings import Settings, mapping, number, section, text, texts
from registry_keeper.status import growth, reserve, running, traffic
from registry_keeper.status.schedule import overdue_after
from registry_keeper.status.vulnerabilities import known_in, version_of
from registry_keeper.storage import inventory

_DAY = 86400
_AHEAD = 3600  # seconds by which the clocks of hosts may differ
Facts = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Limits:
    """The section status of the settings. From when on something needs a hand, in seconds."""

    certificates: tuple[str, ...]
    commands: t.Mapping[str, str]  # with their schedules
    inventory_seconds: float
    full_seconds: float
    certificate_seconds: float
    mirror: bool


def limits_of(settings: Settings) -> Limits:
    """Read the section. Raises KeeperError."""
    known = {
        "certificates": texts(()),
        "commands": (_schedules, {}),
        "inventory_seconds": number(0, default=3600),
        "full_seconds": number(0, default=14 * _DAY),
        "certificate_seconds": number(0, default=14 * _DAY),
        "mirror": (bool, False),
    }
    return Limits(**section(settings.status, "status", known))


def _schedules(value: t.Any) -> dict[str, str]:
    return {name: text()[0](schedule) for name, schedule in mapping()[0](value).items()}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--refresh", action="store_true", help="look at the whole storage now, also if that was done a short while ago")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Say how the registry is. The exit status is 3 if something needs a hand."""
    facts = gather(settings, limits_of(settings), report.progress, refresh=options.refresh)
    report.add(**facts)
    for line in lines(facts):
        report.say(line)
    for reason in facts["needs_a_hand"]:
        report.warn(reason)
    return ATTENTION if facts["needs_a_hand"] else DONE


def gather(settings: Settings, limits: Limits, progress: t.Callable[[str], None], *, refresh: bool = False) -> Facts:
    """Everything that is known. Raises OSError where the storage cannot be read."""
    now = time.time()
    store = status.look(settings, limits.commands) if settings.s3 else None
    registry = running.registry()
    numbers = version_of(registry.version)
    outcomes = {name: _latest(_outcome(settings.state, name), store["outcomes"].get(name) if store else None) for name in limits.commands}
    facts: Facts = {
        "instance": settings.instance,
        "time": int(now),
        "registry": {"up": registry.up, "version": registry.version, "replaced": registry.replaced},
        "vulnerabilities": known_in(numbers, limits.mirror) if numbers else [],
        "space": None if store else _space(settings, int(now)),
        "stored": store["stored"] if store else None,
        "traffic": traffic.of_the_log([path for path in settings.access_logs if os.path.isfile(path)], settings.server_names),
        "redis": _redis(settings),
        "certificates": [{"path": one.path, "ends": one.ends} for one in running.endings(limits.certificates)],
        # Of a mirror nothing is collected, so no first time of that is to come.
        "commands": {name: outcome for name, outcome in outcomes.items() if outcome or not limits.mirror},
        "overdue_after_seconds": {name: after for name, schedule in limits.commands.items() if (after := overdue_after(schedule)) < math.inf},
    }
    if store is None:
        try:
            facts["stored"] = inventory.inventory(settings.storage, settings.state, 0 if refresh else limits.inventory_seconds, progress)
        except KeeperError as error:
            facts["storage_error"] = str(error)
    else:
        facts["store"] = {name: store[name] for name in store if name not in ("stored", "outcomes")}
    facts["collectable_bytes"] = _collectable(settings.state)
    facts["needs_a_hand"] = reasons(facts, limits)
    return facts


def _space(settings: Settings, now: int) -> Facts:
    space = reserve.space_of(settings.storage)
    kept_free = reserve.reserve_of(settings, space)
    rate = growth.rate(growth.remember(settings.state, growth.Sample(now, space.used)))
    return {
        "total": space.total,
        "free": space.free,
        "used": space.used,
        "reserve": kept_free,
        "uploads_refused": reserve.is_short(space, kept_free, False),
        "growth_per_second": rate,
        "seconds_until_full": growth.seconds_until_full(space.free - kept_free, rate),
    }


def _redis(settings: Settings) -> Facts | None:
    if settings.redis is None:
        return None
    try:
        return {"up": True, **traffic.of_redis(settings.redis)}
    except (OSError, ValueError) as error:
        return {"up": False, "error": str(error)}


def _outcome(state: str, command: str) -> Facts | None:
    """What a command has said of its last run; None if there was none."""
    try:
        with open(os.path.join(state, "status", f"{command}.json"), encoding="utf-8") as file:
            found = json.load(file)
        return found if isinstance(found, dict) and isinstance(found.get("began"), int) else None
    except (OSError, ValueError):
        return None


def _latest(here: Facts | None, elsewhere: Facts | None) -> Facts | None:
    """The later one of what a command has said on this host and on any host. One from the future is of a clock that was ahead: the other one is."""
    known = [one for one in (here, elsewhere) if one and isinstance(one.get("began"), int)]
    return max(known, key=lambda one: (int(one["began"]) <= time.time() + _AHEAD, int(one["began"])), default=None)


def _collectable(state: str) -> int | None:
    """The bytes that a collection would have freed when one last only looked; None if there was one since, or never such a look."""
    try:
        with open(os.path.join(state, "status", "would_take.json"), encoding="utf-8") as file:
            would = json.load(file)
        return int(would["bytes"]) if would["time"] > (_outcome(state, "collect") or {"began": 0})["began"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def reasons(facts: Facts, limits: Limits) -> list[str]:
    """Why somebody has to do something, in words; nothing where all is well."""
    found = []
    now, registry, space = facts["time"], facts["registry"], facts["space"]
    if not registry["up"]:
        found.append("the registry does not run")
    elif registry["replaced"]:
        found.append("the registry's program has been replaced since it was started; restart it")
    if not facts.get("store", {}).get("up", True):
        found.append(f"the store does not do what it is asked for: {facts['store']['error']}")
    if "storage_error" in facts:
        found.append(facts["storage_error"])
    if space and space["uploads_refused"]:
        found.append(f"uploads are refused: {human_bytes(space['free'])} are free, less than the reserve of {human_bytes(space['reserve'])}")
    elif space and space["seconds_until_full"] is not None and space["seconds_until_full"] < limits.full_seconds:
        found.append(f"at the present rate the disk is full in {human_seconds(space['seconds_until_full'])}")
    if facts["redis"] and not facts["redis"]["up"]:
        found.append(f"Redis does not answer: {facts['redis']['error']}")
    for one in facts["certificates"]:
        if one["ends"] is None:
            found.append(f"{one['path']}: cannot be read as a certificate")
        elif one["ends"] - now < limits.certificate_seconds:
            ended = one["ends"] < now
            what = "is due to be renewed" if one["path"].endswith(".crl") else "ends"
            left = human_seconds(max(0, one["ends"] - now))
            found.append(f"{one['path']}: {'has ended' if ended else f'{what} in {left}'}; run site.yml")
    for name, outcome in facts["commands"].items():
        found += _of_command(name, outcome, now, facts["overdue_after_seconds"].get(name, math.inf))
    return found


def _of_command(name: str, outcome: Facts | None, now: int, overdue: float) -> list[str]:
    if outcome is None:
        return []  # its first time is still to come
    ago = human_seconds(max(0, now - outcome["began"]))
    if outcome.get("exit_status") not in (DONE, BUSY):
        said = outcome.get("error") or "; ".join(outcome.get("warnings") or []) or "see its journal"
        return [f"{name}, {ago} ago: {said}"]
    return [f"{name}: the last run was {ago} ago"] if now - outcome["began"] > overdue else []


def lines(facts: Facts) -> t.Iterator[str]:
    """The facts for people, without what needs a hand."""
    registry, space, stored, now = facts["registry"], facts["space"], facts["stored"], facts["time"]
    version = f"version {registry['version']}" if registry["version"] else "of unknown version"
    yield f"registry {facts['instance']}: {version + ', running' if registry['up'] else 'not running'}"
    if facts["vulnerabilities"]:
        yield f"  known vulnerabilities of this version, which the gateway closes (docs/vulnerabilities.md): {', '.join(facts['vulnerabilities'])}"
    if space:
        yield _space_line(space)
    if "store" in facts:
        holder = facts["store"]["lease"]
        at_work = f", {holder.get('purpose')} on host {holder.get('host')} works on it" if holder else ""
        yield f"store: {facts['store']['endpoint']}{at_work}"
    if stored:
        age = human_seconds(max(0, now - stored["taken"]))
        held = f"{counted(stored['blobs'], 'blob')}, {counted(stored['repositories'], 'repository')}, {counted(stored['tags'], 'tag')}"
        yield f"stored ({age} ago): {human_bytes(stored['bytes'])} in {held}"
        for one in stored["largest"][:5]:
            yield f"  {human_bytes(one['bytes']):>10}  {one['repository']}"
        if stored["set_aside_bytes"]:
            yield f"set aside by collections, and freed later: {human_bytes(stored['set_aside_bytes'])}"
    if facts["collectable_bytes"] is not None:
        yield f"a collection would free: {human_bytes(facts['collectable_bytes'])}"
    if facts["traffic"]:
        seen = facts["traffic"]
        yield f"last {human_seconds(seen['seconds'])}: {seen['requests']} requests, {seen['refused']} refused, {seen['errors']} failed"
    ratios = {**(facts["traffic"] or {}).get("hit_ratios", {}), **({"redis": facts["redis"]["hit_ratio"]} if (facts["redis"] or {}).get("up") else {})}
    known = [f"{name} {ratio:.0%}" for name, ratio in ratios.items() if ratio is not None]
    if known:
        yield f"found in caches: {', '.join(known)}"
    for one in facts["certificates"]:
        if one["ends"] is not None:
            yield f"{one['path']}: {max(0, one['ends'] - now) // _DAY} days left"
    for name, outcome in facts["commands"].items():
        yield f"{name}: " + (f"{human_seconds(max(0, now - outcome['began']))} ago, exit status {outcome.get('exit_status')}" if outcome else "not run yet")


def _space_line(space: Facts) -> str:
    full, rate = space["seconds_until_full"], space["growth_per_second"]
    when = f", full in {human_seconds(full)} at the present rate" if full is not None else ", not growing" if rate is not None else ""
    return f"space: {human_bytes(space['free'])} of {human_bytes(space['total'])} free, reserve {human_bytes(space['reserve'])}{when}"
