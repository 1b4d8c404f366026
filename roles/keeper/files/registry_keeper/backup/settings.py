# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of the backup: /etc/registry-keeper/backup/settings.json. It is of the whole host, and so are backup, restore and repair."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import typing as t

from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.settings import INSTANCE, number, section, text, texts

DIRECTORY = "/etc/registry-keeper/backup"
STATE = "/var/lib/registry-keeper-backup"
KEEP = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclasses.dataclass(frozen=True)
class Source:
    """An instance whose images are in the backup."""

    name: str
    storage: str
    # who owns the images; None: whoever owns the storage
    user: str | None = None
    # A mirror's images are in its upstream too.
    mirror: bool = False
    # False: its images are not in the backup, only what scrub finds is dealt with.
    included: bool = True


@dataclasses.dataclass(frozen=True)
class BackupSettings:
    """What the settings file says, with where it is."""

    host: str
    repository: str = dataclasses.field(repr=False)
    instances: tuple[Source, ...] = ()
    # Whose images are elsewhere, and whose `status` tells of the backup all the same.
    told: tuple[Source, ...] = ()
    # What `restore --everything` brings back.
    state_paths: tuple[str, ...] = ()
    # What site.yml writes anew: only there to look at.
    configuration_paths: tuple[str, ...] = ()
    keep: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    # days between two prunes, and between two checks; 0: never
    prune_days: float = 7
    check_days: float = 7
    # Each check reads another one of so many parts of the data.
    check_parts: int = 20
    # how long a collection may hold up a backup
    wait_seconds: float = 3600
    directory: str = DIRECTORY
    state: str = STATE

    @property
    def password_file(self) -> str:
        return os.path.join(self.directory, "password")

    @property
    def environment_file(self) -> str:
        return os.path.join(self.directory, "environment")

    @property
    def shown_repository(self) -> str:
        """The repository for messages: without a password that is part of its URL."""
        return re.sub(r"//[^/@]*@", "//", self.repository)

    @property
    def included(self) -> tuple[Source, ...]:
        return tuple(source for source in self.instances if source.included)

    def source(self, name: str) -> Source:
        """The instance of that name. Raises KeeperError."""
        for source in self.instances:
            if source.name == name:
                return source
        raise KeeperError(f"--instance: {name!r} is none of {', '.join(source.name for source in self.instances)}", USAGE)


def _flag(value: t.Any) -> bool:
    return bool(value)


def _instances(value: t.Any) -> tuple[Source, ...]:
    known = {
        "name": text(INSTANCE.pattern),
        "storage": text(r"/.+"),
        "user": text(default=None),
        "mirror": (_flag, False),
        "included": (_flag, True),
    }
    entries = value if isinstance(value, list) else [value]
    return tuple(Source(**section(entry, f"instances[{index}]", known)) for index, entry in enumerate(entries))


def _keep(value: t.Any) -> dict[str, int]:
    found = section(value, "keep", {name: number(0, default=0) for name in KEEP})
    kept = {name: int(count) for name, count in found.items() if count}
    if not kept:
        # restic would keep everything without a word, or nothing.
        raise KeeperError(f"keep: set at least one of {', '.join(KEEP)} to more than 0", USAGE)
    return kept


def load(directory: str = DIRECTORY) -> BackupSettings:
    """Read the settings file in a directory. Raises KeeperError, also where there is no backup."""
    path = os.path.join(directory, "settings.json")
    known = {
        "host": text(r"[^\s,]+"),
        "repository": text(r"\S.*"),
        "instances": (_instances, ()),
        "told": (_instances, ()),
        "state_paths": texts(()),
        "configuration_paths": texts(()),
        "keep": (_keep, {"last": 3, "daily": 14, "weekly": 8, "monthly": 12}),
        "prune_days": number(0, default=7),
        "check_days": number(0, default=7),
        "check_parts": number(1, 1000, default=20),
        "wait_seconds": number(0, default=3600),
        "state": text(r"/.+", default=STATE),
    }
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        return BackupSettings(**section(document, "", known), directory=directory)
    except FileNotFoundError:
        raise KeeperError(f"no backup is set up on this host: there is no {path} (keeper_backup_repository)", USAGE) from None
    except OSError as error:
        raise KeeperError(f"{path}: {error.strerror}; run it as root", USAGE) from error
    except ValueError as error:
        raise KeeperError(f"{path}: not JSON: {error}", USAGE) from error
    except KeeperError as error:
        raise KeeperError(f"{path}: {error}", error.status) from error


def read_environment(path: str) -> dict[str, str]:
    """The variables of a file of lines NAME=VALUE, such as AWS_SECRET_ACCESS_KEY=...; none without the file. Raises KeeperError."""
    found = {}
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
    except FileNotFoundError:
        return {}
    for index, line in enumerate(lines, 1):
        name, equals, value = line.partition("=")
        if not line or line.startswith("#"):
            continue
        if not equals or not _VARIABLE.fullmatch(name):
            raise KeeperError(f"{path}: line {index} is not NAME=VALUE", USAGE)
        found[name] = value
    return found
