# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings of one instance: /etc/registry-keeper/INSTANCE.json.

A command parses its own section, with the functions below, and refuses what it does not know:

    options = section(settings.collect, "collect", {"grace_seconds": number(default=86400, least=0), ...})
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import typing as t

from registry_keeper.errors import USAGE, KeeperError

DIRECTORY = "/etc/registry-keeper"
FIRST_INSTANCE = "registry"
INSTANCE = re.compile(r"[a-z][a-z0-9_]{0,15}")
Check = t.Callable[[t.Any], t.Any]


@dataclasses.dataclass(frozen=True)
class Redis:
    """Where the registry keeps descriptors."""

    host: str
    port: int
    database: int
    password: str | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a settings file says. Sections are as they were read: the command that they belong to checks them."""

    instance: str
    storage: str
    redis: Redis | None = None
    access_logs: tuple[str, ...] = ()
    server_names: tuple[str, ...] = ()
    collect: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    retention: t.Sequence[t.Any] = ()
    scrub: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    backup: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    reserve: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    status: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    # Where the images are in an S3 store; storage then has only what the keeper notes on this host.
    s3: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    # Where a backup of that store goes.
    bucket_backup: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    # While this file is there, no command changes what the registry has stored.
    freeze_file: str = ""

    @property
    def state(self) -> str:
        """The keeper's own directory: in the storage, so that a rename can move things there, but beside what the registry walks."""
        return os.path.join(self.storage, "keeper")


class Wrong(ValueError):
    """What is wrong with a value; the caller adds where it is."""


def number(least: float = 0, most: float = float("inf"), default: t.Any = ...) -> tuple[Check, t.Any]:
    """A check: a number, such as of seconds."""

    def check(value: t.Any) -> t.Any:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise Wrong(f"must be a number from {least:g}" + ("" if most == float("inf") else f" to {most:g}"))
        return value

    return check, default


def text(pattern: str = r".+", default: t.Any = ...) -> tuple[Check, t.Any]:
    """A check: a string that matches a pattern as a whole."""

    def check(value: t.Any) -> t.Any:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise Wrong(f"must be a string that matches {pattern}")
        return value

    return check, default


def texts(default: t.Any = ...) -> tuple[Check, t.Any]:
    """A check: a list of strings; gives a tuple."""

    def check(value: t.Any) -> t.Any:
        if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
            raise Wrong("must be a list of strings")
        return tuple(value)

    return check, default


def mapping(default: t.Any = ...) -> tuple[Check, t.Any]:
    """A check: an object; what is in it is checked elsewhere."""

    def check(value: t.Any) -> t.Any:
        if not isinstance(value, dict):
            raise Wrong("must be an object")
        return value

    return check, default


def true_or_false(value: t.Any) -> t.Any:
    """A check: a truth value."""
    if not isinstance(value, bool):
        raise Wrong("must be true or false")
    return value


def section(values: t.Any, where: str, known: t.Mapping[str, tuple[Check, t.Any]]) -> dict[str, t.Any]:
    """The values of an object with its defaults. Raises KeeperError for what is unknown, missing or wrong, by name."""
    if not isinstance(values, dict):
        raise KeeperError(f"{where or 'the settings'}: must be an object, not {type(values).__name__}", USAGE)
    prefix = f"{where}." if where else ""
    for name in values:
        if name not in known:
            raise KeeperError(f"{prefix}{name}: there is no such setting; known here: {', '.join(sorted(known))}", USAGE)
    result = {}
    for name, (check, default) in known.items():
        if name not in values:
            if default is ...:
                raise KeeperError(f"{prefix}{name}: is missing", USAGE)
            result[name] = default
            continue
        try:
            result[name] = check(values[name])
        except Wrong as wrong:
            raise KeeperError(f"{prefix}{name}: {wrong}, not {json.dumps(values[name])}", USAGE) from None
    return result


def _redis(value: t.Any) -> Redis | None:
    if value is None:
        return None
    known = {"host": text(), "port": number(1, 65535), "database": number(0, default=0), "password": (lambda given: given, None)}
    return Redis(**section(value, "redis", known))


def _anything(value: t.Any) -> t.Any:
    return value


def parse(document: t.Any) -> Settings:
    """Settings from a decoded JSON document. Raises KeeperError."""
    known = {
        "instance": text(INSTANCE.pattern),
        "storage": text(r"/.*"),
        "redis": (_redis, None),
        "access_logs": texts(()),
        "server_names": texts(()),
        "collect": mapping({}),
        "retention": (_anything, ()),
        "scrub": mapping({}),
        "backup": mapping({}),
        "reserve": mapping({}),
        "status": mapping({}),
        "s3": mapping({}),
        "bucket_backup": mapping({}),
        "freeze_file": text(r"|/.*", ""),
    }
    return Settings(**section(document, "", known))


def path_of(instance: str) -> str:
    """The settings file of an instance. Raises KeeperError for what cannot be an instance's name."""
    if not INSTANCE.fullmatch(instance):
        raise KeeperError(f"--instance: {instance!r} is not the name of an instance", USAGE)
    return os.path.join(DIRECTORY, f"{instance}.json")


def load(path: str) -> Settings:
    """Read a settings file. Raises KeeperError, with the file's name."""
    try:
        with open(path, encoding="utf-8") as file:
            return parse(json.load(file))
    except PermissionError as error:
        raise KeeperError(f"{path}: {error.strerror}; run registry-keeper as root", USAGE) from error
    except OSError as error:
        raise KeeperError(f"{path}: {error.strerror}", USAGE) from error
    except ValueError as error:
        raise KeeperError(f"{path}: not JSON: {error}", USAGE) from error
    except KeeperError as error:
        raise KeeperError(f"{path}: {error}", error.status) from error
