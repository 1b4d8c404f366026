# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances that the role keeper keeps: what its variables say of each, resolved and checked, with files, units and timers."""

from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
import re
import sys
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.plugin_utils import object_stores
from ansible_collections.holdfast.registry.plugins.plugin_utils.instances import FIRST, files_of_store, storage_of, user_of
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Settings, as_number, path_problem
from ansible_collections.holdfast.registry.plugins.plugin_utils.site_store import s3_of

CONFIGURATION = "/etc/registry-keeper"
LIBRARY = "/usr/local/lib/registry-keeper"
STATES = "/var/lib/registry-keeper"  # of instances whose images are in a store
PROGRAM = "/usr/local/bin/registry-keeper"
_UNITS = "/etc/systemd/system"
_SOURCES = pathlib.Path(__file__).resolve().parents[2] / "roles/keeper/files/registry_keeper"

_KEYS = ("name", "state", "storage", "storage_directory", "user", "redis_database", "mirror", "log_names", "retention")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


@functools.cache
def program_module(name: str) -> t.Any:
    """A module of the program itself, such as retain/policy, so that what it refuses is refused on the controller by the same code."""
    spec = importlib.util.spec_from_file_location(f"holdfast_registry_keeper_{name.replace('/', '_')}", _SOURCES / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{_SOURCES}/{name}.py is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _program() -> list[str]:
    """The files of the program, relative to where its package is."""
    return sorted(path.relative_to(_SOURCES.parent).as_posix() for path in _SOURCES.rglob("*.py"))


def packages() -> list[str]:
    """The directories of the program on the host, each before those below it."""
    return sorted({f"{LIBRARY}/{path.rpartition('/')[0]}" for path in _program()})


def instances(settings: Settings) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The instances that are to be kept, and what is wrong with them and with the rules.

    settings are the role's variables with their prefix keeper_. Each instance has the keys of an entry of keeper_instances with
    their defaults, and place (how a message names it), group and redis (whether it has a database).
    """
    found: list[dict[str, t.Any]] = []
    problems: list[str] = []
    knows_pulls = bool(settings["keeper_access_log"])
    common, wrong = _rules(settings["keeper_retention"], "keeper_retention", knows_pulls)
    problems += wrong
    for number, written in enumerate(settings["keeper_instances"]):
        place = f"keeper_instances[{number}]"
        written = {key: value for key, value in written.items() if value is not None} if isinstance(written, dict) else {}
        name = written.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(f"{place}.name: {name!r} is not a lower-case letter and then at most 15 lower-case letters, digits and _")
            continue
        if written.get("state") == "absent":
            continue
        instance = _resolved(written, name, place, problems)
        if instance["mirror"] and instance["store"]:
            problems.append(f"{place}.storage: is not for a mirror, which keeps what it can fetch again in files")
        if instance["mirror"] and "retention" in written:
            problems.append(f"{place}.retention: is not for a mirror, which has what its upstream has, for a limited time")
        elif "retention" in written:
            rules, wrong = _rules(written["retention"], f"{place}.retention", knows_pulls, instance)
            problems += wrong
            instance["retention"] = rules
        else:
            instance["retention"] = [] if instance["mirror"] else common
            # Rules that are right for files may ask for what is not known of a store.
            problems += _rules(common, "keeper_retention", knows_pulls, instance)[1] if instance["store"] else []
        if instance["redis_database"] is not None and not settings["keeper_redis_address"]:
            problems.append(f"{place}.redis_database: needs keeper_redis_address, the Redis that has the database")
        problems += path_problem(f"{place}.storage_directory", instance["storage_directory"])
        found.append(instance)
    return found, problems + list(_doubles(found))


def _resolved(written: dict[str, t.Any], name: str, place: str, problems: list[str]) -> dict[str, t.Any]:
    first = name == FIRST
    for key in written:
        if key not in _KEYS:
            problems.append(f"{place}.{key}: there is no such key; there are {', '.join(_KEYS)}")
    user = str(written.get("user") or ("docker-registry" if first else user_of(name)))
    if not _USER.fullmatch(user) or user == "root":
        problems.append(f"{place}.user: {user!r} is not the user that owns the images, such as docker-registry")
    store = _store(written, name, place, problems)
    where = f"{STATES}/{name}" if store else "/var/lib/docker-registry" if first else storage_of(name)
    database = written.get("redis_database")
    if database is not None and as_number(database) is None:
        problems.append(f"{place}.redis_database: {database!r} is not a number")
    return {
        "name": name,
        "place": place,
        "user": user,
        "group": user,
        # With a store, it has nothing but what the keeper notes on this host.
        "storage_directory": os.path.normpath(str((None if store else written.get("storage_directory")) or where)),
        "store": store,
        "redis_database": as_number(database),
        "mirror": boolean(written.get("mirror", False), strict=False),
        "log_names": [str(one) for one in written.get("log_names") or [name]],
    }


def _store(written: dict[str, t.Any], name: str, place: str, problems: list[str]) -> dict[str, t.Any] | None:
    """What the program has to know of a store: not the key, which it takes from where the role registry has put it."""
    if not s3_of(written.get("storage")):
        return None
    store, wrong = object_stores.parse(written["storage"], f"{place}.storage")
    problems += wrong
    if store is None:
        return None
    known = {key: store[key] for key in ("endpoint", "bucket", "prefix", "region", "path_style", "encrypt", "key_id")}
    return {**known, **files_of_store("" if name == FIRST else name, store)}


def _rules(written: t.Any, place: str, knows_pulls: bool, instance: dict[str, t.Any] | None = None) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The rules as the program reads them, and what is wrong with them. Numbers may have come as text."""
    in_a_store = bool(instance and instance["store"])
    policy = program_module("retain/policy")
    rules: list[t.Any] = []
    for entry in written if isinstance(written, (list, tuple)) else []:
        kept = {key: value for key, value in entry.items() if value is not None} if isinstance(entry, dict) else entry
        if isinstance(kept, dict) and isinstance(kept.get("keep_newest"), str) and as_number(kept["keep_newest"]) is not None:
            kept["keep_newest"] = as_number(kept["keep_newest"])
        rules.append(kept)
    _parsed, problems = policy.rules_of(
        rules if isinstance(written, (list, tuple)) else written,
        place=place,
        knows_pulls=knows_pulls and not in_a_store,
        # Each host of a store knows only what was pulled from itself.
        log_setting="images in files and keeper_access_log" if in_a_store else "keeper_access_log",
    )
    return rules, list(problems)


def _doubles(found: list[dict[str, t.Any]]) -> t.Iterator[str]:
    """Two keepers of one storage would each take the other's work for a stranger's."""
    for number, instance in enumerate(found):
        for other in found[:number]:
            if instance["name"] == other["name"]:
                yield f"{instance['place']}.name: {instance['name']!r} is the name of another instance as well"
            ours, theirs = f"{instance['storage_directory']}/", f"{other['storage_directory']}/"
            if ours.startswith(theirs) or theirs.startswith(ours):
                yield f"{instance['place']}.storage_directory: {ours[:-1]} and that of instance {other['name']!r}, {theirs[:-1]}, overlap"


def schedule_problem(setting: str, schedule: t.Any) -> list[str]:
    """What is wrong with an OnCalendar expression of systemd; empty is never."""
    if schedule == "" or (isinstance(schedule, str) and _is_calendar(schedule)):
        return []
    return [f'{setting}: "{schedule}" is neither empty nor a time as in systemd.time(7), such as "03:30", "Sun 03:30", "*-*-01 04:00" or "hourly"']


_WORDS = ("minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually")
_DAY = r"(?:mon(?:day)?|tue(?:sday)?|wed(?:nesday)?|thu(?:rsday)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?)"
_DAYS = re.compile(rf"{_DAY}(?:(?:,|\.\.){_DAY})*,?", re.IGNORECASE)
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z]+(?:/[A-Za-z0-9_+-]+)+")


def _is_calendar(schedule: str) -> bool:
    parts = schedule.split(" ")
    if parts and _ZONE.fullmatch(parts[-1]):
        parts.pop()
    if len(parts) == 1 and parts[0].lower() in _WORDS:
        return True
    if parts and _DAYS.fullmatch(parts[0]):
        parts.pop(0)
        if not parts:
            return True
    if parts and re.fullmatch(r"[0-9*,./~-]+", parts[0]) and _is_date(parts[0]):
        parts.pop(0)
        if not parts:
            return True
    return len(parts) == 1 and _is_time(parts[0])


def _is_date(text: str) -> bool:
    head, tilde, last = text.rpartition("~")
    fields = [*head.split("-"), last] if tilde else text.split("-")
    limits = {3: [(1970, 2199), (1, 12), (1, 31)], 2: [(1, 12), (1, 31)]}.get(len(fields))
    return limits is not None and all(_is_field(field, low, high) for field, (low, high) in zip(fields, limits))


def _is_time(text: str) -> bool:
    fields = text.split(":")
    return len(fields) in (2, 3) and all(_is_field(field, 0, high) for field, high in zip(fields, (23, 59, 59)))


def _is_field(text: str, low: int, high: int) -> bool:
    """A component: `*` or numbers and ranges, each with an optional step."""
    for part in text.split(","):
        matched = re.fullmatch(r"(?:\*|([0-9]{1,4})(?:\.\.([0-9]{1,4}))?)(?:/([0-9]{1,4}))?", part)
        if not matched:
            return False
        numbers = [int(number) for number in matched.groups()[:2] if number]
        if any(not low <= number <= high for number in numbers) or (len(numbers) == 2 and numbers[0] > numbers[1]) or matched[3] == "0":
            return False
    return True


def files(
    settings: Settings,
    kept: list[dict[str, t.Any]],
    commands: list[dict[str, t.Any]],
    sections: dict[str, t.Any],
    of_stores: t.Callable[[str], dict[str, t.Any]] = lambda _name: {},
) -> list[dict[str, t.Any]]:
    """The program, the settings of each instance and its units, as the module files takes them.

    of_stores gives the sections that an instance in a store has besides, by its name.
    """
    found: list[dict[str, t.Any]] = [
        *({"src": path, "path": f"{LIBRARY}/{path}"} for path in _program()),
        {"src": "registry-keeper", "path": PROGRAM, "mode": "0755"},
    ]
    for instance in kept:
        found.append(
            {
                "content": {**settings_of(settings, instance, sections), **(of_stores(instance["name"]) if instance["store"] else {})},
                "path": f"{CONFIGURATION}/{instance['name']}.json",
                "group": instance["group"],
                "mode": "0640",
                # the password of Redis, and what sections may have
                "secret": True,
            }
        )
        for command in _commands_of(instance, commands):
            variables = {"instance": instance, "command": command}
            if command.get("always"):
                found.append({"template": "units/watch.service.j2", "path": f"{_UNITS}/{_always(instance)}", "vars": variables})
                continue
            unit = f"{_UNITS}/registry-keeper-{command['name']}@{instance['name']}"
            found.append({"template": "units/command.service.j2", "path": f"{unit}.service", "vars": variables})
            if command.get("schedule"):
                found.append({"template": "units/command.timer.j2", "path": f"{unit}.timer", "vars": variables})
    return found


def _commands_of(instance: dict[str, t.Any], commands: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Those that the instance has. One that always runs has a service, and no time; there is none where nothing is asked of it."""
    return [
        command
        for command in commands
        if (not instance["mirror"] or command.get("mirrors"))
        and (command.get("stores") if instance["store"] else command.get("files", True))
        and boolean(command.get("wanted", True), strict=False)
        and boolean(command.get("always", True), strict=False)
    ]


def _always(instance: dict[str, t.Any]) -> str:
    return f"registry-keeper@{instance['name']}.service"


def settings_of(settings: Settings, instance: dict[str, t.Any], sections: dict[str, t.Any]) -> dict[str, t.Any]:
    """The settings file of an instance. In sections, a duration such as 7d under a key that ends in _seconds becomes a number."""
    policy = program_module("retain/policy")
    host, _colon, port = settings["keeper_redis_address"].rpartition(":")
    redis = {"host": host.strip("[]"), "port": as_number(port), "database": instance["redis_database"], "password": settings["keeper_redis_password"] or None}
    document = {
        "instance": instance["name"],
        "storage": instance["storage_directory"],
        "redis": redis if host and instance["redis_database"] is not None else None,
        # Rotated files too, whose names logrotate makes of a number or a date.
        "access_logs": [f"{settings['keeper_access_log']}{suffix}" for suffix in ("", ".*", "-*")] if settings["keeper_access_log"] else [],
        "server_names": instance["log_names"],
        "retention": instance["retention"],
        **({"s3": instance["store"]} if instance["store"] else {}),
        **({"freeze_file": settings["keeper_freeze_file"]} if settings.get("keeper_freeze_file") else {}),
        **{
            section: {
                **({"mirror": instance["mirror"]} if section == "status" else {}),
                **{key: policy.seconds_of(value) if key.endswith("_seconds") and isinstance(value, str) else value for key, value in values.items()},
            }
            for section, values in sections.items()
        },
    }
    if "scrub" in document:
        document["scrub"]["mirror"] = instance["mirror"]
    return document


def services(kept: list[dict[str, t.Any]], commands: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The timers and what always runs, as the module services takes them."""
    timers = [
        {"name": f"registry-keeper-{command['name']}@{instance['name']}.timer"}
        for instance in kept
        for command in _commands_of(instance, commands)
        if command.get("schedule")
    ]
    program = [PROGRAM, *(f"{LIBRARY}/{path}" for path in _program())]
    always = [
        {"name": _always(instance), "restart_on": [*program, f"{CONFIGURATION}/{instance['name']}.json"]}
        for instance in kept
        for command in _commands_of(instance, commands)
        if command.get("always")
    ]
    return timers + always


def state_directories(kept: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Where instances with a store note what is of this host only. The program becomes their owner."""
    found = [
        {"path": instance["storage_directory"], "owner": instance["user"], "group": instance["group"], "mode": "0750"} for instance in kept if instance["store"]
    ]
    return [{"path": STATES}, *found] if found else []


def leftovers(kept: list[dict[str, t.Any]]) -> list[str]:
    """What there is to remove when nothing is to be kept any more: files, and directories that are empty by then."""
    modules = [f"{LIBRARY}/{path}" for path in _program()]
    configuration = [f"{CONFIGURATION}/{instance['name']}.json" for instance in kept]
    return [PROGRAM, *modules, *reversed(packages()), LIBRARY, *configuration, CONFIGURATION]
