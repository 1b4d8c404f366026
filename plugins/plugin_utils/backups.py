# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of a registry's host: what the variables keeper_backup_... of role keeper say, checked, with its files and units."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import as_number, path_problem

DIRECTORY = "/etc/registry-keeper/backup"
_UNITS = "/etc/systemd/system"
_PREFIX = "keeper_backup_"
KEEP = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
_REMOTE = re.compile(r"(?:sftp|s3|rest|b2|azure|gs|swift|rclone):\S+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOST = re.compile(r"[^\s,]+")
_UNIT_FILES = ("registry-keeper-backup.service", "registry-keeper-backup.timer", "registry-keeper-repair.service")
# What the program itself says with every call of restic.
_OURS = ("RESTIC_REPOSITORY", "RESTIC_PASSWORD_FILE", "RESTIC_CACHE_DIR", "RESTIC_PASSWORD", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE")

Backup = t.Mapping[str, t.Any]


def problems(backup: Backup) -> list[str]:
    """What is wrong with the backup. backup has the variables without keeper_backup_. No repository is no backup."""
    repository = backup["repository"]
    if not repository:
        return []
    found = []
    if not _REMOTE.fullmatch(repository) and path_problem("", repository):
        found.append(
            f"{_PREFIX}repository: is neither a directory of the host such as /srv/backup, nor what restic takes for a repository elsewhere, such as "
            "sftp:backup@store.example.org:/srv/registry or s3:https://store.example.org/bucket"
        )
    if len(backup["password"]) < 16 or "\n" in backup["password"]:
        found.append(f"{_PREFIX}password: needs at least 16 characters in one line. Without it nobody reads the backup, and neither do you")
    if not _HOST.fullmatch(backup["host"]):
        found.append(f"{_PREFIX}host: {backup['host']!r} is not a name without blanks and commas")
    for name, value in backup["environment"].items():
        if not _VARIABLE.fullmatch(str(name)) or "\n" in str(value):
            found.append(f"{_PREFIX}environment: {name!r} is not the name of an environment variable with a value of one line")
        elif name in _OURS:
            found.append(f"{_PREFIX}environment: {name} is set by {_PREFIX}repository or {_PREFIX}password")
    found += keep_problems(backup["keep"])
    found += number_problems(backup, ("prune_days", "check_days", "check_parts"))
    for name in ("paths", "configuration_paths"):
        for index, path in enumerate(backup[name]):
            found += path_problem(f"{_PREFIX}{name}[{index}]", path)
    return found


def number_problems(backup: Backup, names: t.Iterable[str]) -> list[str]:
    """What is wrong with those of the variables that are numbers."""
    found = []
    for name in names:
        number, least, most = as_number(backup[name]), 1 if name == "check_parts" else 0, 1000 if name == "check_parts" else 3650
        if number is None or not least <= number <= most:
            found.append(f"{_PREFIX}{name}: {backup[name]!r} is not a number from {least} to {most}")
    return found


def keep_problems(keep: t.Mapping[str, t.Any]) -> list[str]:
    """What is wrong with the rules about which backups stay."""
    found = [f"{_PREFIX}keep.{name}: there is no such key; there are {', '.join(KEEP)}" for name in keep if name not in KEEP]
    found += [f"{_PREFIX}keep.{name}: {value!r} is not a number of backups" for name, value in keep.items() if name in KEEP and as_number(value) is None]
    if not found and not any(as_number(value) for value in keep.values()):
        found.append(f"{_PREFIX}keep: set at least one of {', '.join(KEEP)} to more than 0, or no backup would stay")
    return found


def settings_of(backup: Backup, kept: list[dict[str, t.Any]], others: t.Sequence[dict[str, t.Any]] = ()) -> dict[str, t.Any]:
    """The settings file of the backup. kept are the instances of the role whose images are in it, others those whose status tells of it as well."""
    return {
        **({"told": [{"name": one["name"], "storage": one["storage_directory"], "user": one["user"]} for one in others]} if others else {}),
        "host": backup["host"],
        "repository": backup["repository"],
        "instances": [
            {
                "name": instance["name"],
                "storage": instance["storage_directory"],
                "user": instance["user"],
                "mirror": instance["mirror"],
                "included": not instance["mirror"] or boolean(backup["mirrors"]),
            }
            for instance in kept
        ],
        "state_paths": list(dict.fromkeys(backup["paths"])),
        "configuration_paths": list(dict.fromkeys(backup["configuration_paths"])),
        "keep": {name: as_number(value) for name, value in backup["keep"].items()},
        **{name: as_number(backup[name]) for name in ("prune_days", "check_days", "check_parts")},
    }


def is_local(backup: Backup) -> bool:
    """Whether the repository is a directory of the host."""
    return str(backup["repository"]).startswith("/")


def directories(backup: Backup, kept: list[dict[str, t.Any]], others: t.Sequence[dict[str, t.Any]] = ()) -> list[dict[str, t.Any]]:
    """The directories, as the module files takes them."""
    if not backup["repository"]:
        return []
    return [
        {"path": DIRECTORY, "mode": "0700"},
        # Made here, since the service itself can write nowhere above it.
        *([{"path": backup["repository"], "mode": "0700"}] if is_local(backup) else []),
        *({"path": f"{one['storage_directory']}/keeper", "owner": one["user"], "group": one["group"], "mode": "0750"} for one in (*kept, *others)),
    ]


def files(backup: Backup, kept: list[dict[str, t.Any]], others: t.Sequence[dict[str, t.Any]] = ()) -> list[dict[str, t.Any]]:
    """The settings, the secrets and the units, as the module files takes them."""
    if not backup["repository"]:
        return []
    storages = [instance["storage_directory"] for instance in kept]
    variables = {
        "repository": backup["repository"] if is_local(backup) else "",
        "schedule": backup["schedule"],
        "storages": storages,
        "others": [instance["storage_directory"] for instance in others],
        "mirrors": [instance["name"] for instance in kept if instance["mirror"]],
    }
    environment = "".join(f"{name}={value}\n" for name, value in sorted(backup["environment"].items()))
    found: list[dict[str, t.Any]] = [
        # A repository may have a password in its URL.
        {"content": settings_of(backup, kept, others), "path": f"{DIRECTORY}/settings.json", "mode": "0600", "secret": True},
        # A password that this controller has made anew would not open the repository: the one of the first run stays.
        {"content": f"{backup['password']}\n", "path": f"{DIRECTORY}/password", "mode": "0600", "secret": True, "keep": True},
        {"content": environment, "path": f"{DIRECTORY}/environment", "mode": "0600", "secret": True},
    ]
    for unit in _UNIT_FILES:
        if unit.endswith(".timer") and not backup["schedule"]:
            continue
        found.append({"template": f"units/{unit[len('registry-keeper-') :]}.j2", "path": f"{_UNITS}/{unit}", "vars": variables})
    return found


def absent(backup: Backup) -> list[str]:
    """What is to be removed: of the backup that is not made any more. The repository stays, and so does what is known of it.

    The timer is not among it: the module services has to stop it first.
    """
    if backup["repository"]:
        return []
    units = [f"{_UNITS}/{unit}" for unit in _UNIT_FILES if not unit.endswith(".timer")]
    return [*(f"{DIRECTORY}/{name}" for name in ("settings.json", "password", "environment")), DIRECTORY, *units]


def services(backup: Backup) -> list[dict[str, t.Any]]:
    """The timer, as the module services takes it."""
    return [{"name": "registry-keeper-backup.timer"}] if backup["repository"] and backup["schedule"] else []
