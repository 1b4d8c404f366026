# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The instances of the registry on one host: what the variables of the role registry say of each, resolved and checked."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.plugin_utils import object_stores
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Settings,
    as_number,
    duration_problem,
    own_directory_problem,
    port_problem,
    range_problem,
)
from ansible_collections.holdfast.registry.plugins.plugin_utils.upstreams import parse_upstream, token_hosts, upstream_problems

# The instance that the role's own variables describe.
FIRST = "registry"
PACKAGED = "distribution"

# Options that an entry of registry_instances takes from the role's own variables unless it sets its own.
INHERITED = (
    "version",
    "archive",
    "archive_url",
    "archive_checksum",
    "log_level",
    "delete_enabled",
    "upload_purge_age",
    "upload_purge_interval",
    "drain_timeout",
)
_ARCHIVE = ("archive", "archive_url", "archive_checksum")
OWN = ("name", "state", "remove_images", "socket", "port", "metrics_port", "storage_directory", "storage", "redis_database", "mirror")

_PREFIX = "registry_"
_UNITS = "/etc/systemd/system"
_CONFIGURATION = "/etc/docker/registry"
# The name is part of a user's name, of which Linux allows 32 characters.
_NAME = re.compile(r"[a-z][a-z0-9_]{0,15}")
_SOCKET = re.compile(r"/run/[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:-[a-z0-9.]+)?")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&()*+,;=%{}\[\]-]+")


def user_of(name: str) -> str:
    """The user of a further instance, and its group."""
    return f"docker-registry-{name}"


def socket_of(name: str) -> str:
    """The socket of a further instance, unless it has another one."""
    return f"/run/docker-registry-{name}/registry.sock"


def storage_of(name: str) -> str:
    """The directory of a further instance's images, unless it has another one."""
    return f"/var/lib/docker-registry-{name}"


def instances(settings: Settings) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The instances, the first of which the role's own variables describe, and what is wrong with them.

    settings are the role's variables with their prefix registry_. Each instance has the keys of INHERITED and OWN,
    place (how a message names it), unit, user, group, configuration, program, link, major (None for the package's,
    whose version only the host knows), store (None where the images are files) and images, which says where they are.
    """
    problems: list[str] = []
    settings = {**settings, **_converted(settings, _PREFIX, problems)}
    first = {key: settings[f"{_PREFIX}{key}"] for key in (*INHERITED, "socket", "port", "metrics_port", "storage_directory", "storage", "redis_database")}
    found = [_resolved({**first, "name": FIRST, "state": "present", "mirror": None}, _PREFIX, problems)]
    if not settings["registry_redis_address"] or (found[0]["store"] and not _may_cache(found[0])):
        found[0]["redis_database"] = None
    for index, written in enumerate(settings["registry_instances"]):
        place = f"registry_instances[{index}]"
        name = written.get("name")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.append(f"{place}.name: {name!r} is not a lower-case letter and then at most 15 lower-case letters, digits and _")
            continue
        written = {**written, **_converted(written, f"{place}.", problems)}
        inherited = {key: settings[f"{_PREFIX}{key}"] for key in INHERITED}
        if written.get("version") is not None:
            # The archive of one version is not that of another.
            inherited.update({key: "" for key in _ARCHIVE})
        defaults = {
            **inherited,
            "state": "present",
            "remove_images": False,
            "socket": "" if written.get("port") else socket_of(name),
            "port": 0,
            "metrics_port": 0,
            "storage_directory": storage_of(name),
            "storage": {},
            "redis_database": None,
            "mirror": None,
        }
        entry = {**defaults, **{key: value for key, value in written.items() if value is not None}}
        found.append(_resolved(entry, f"{place}.", problems))
        if written.get("storage_directory") and found[-1]["store"]:
            problems.append(f"{place}.storage_directory: is for images in files, and {place}.storage says that they are in a store; give one of them")
    if problems:
        # A value of the wrong kind cannot be compared.
        return found, problems
    for instance in found:
        problems += _problems(instance, settings)
    if any(instance["mirror"] for instance in found):
        for instance in found:
            if instance["state"] == "present" and not instance["socket"] and instance["port"] == as_number(settings["registry_upstream_port"]):
                problems.append(f"registry_upstream_port: {instance['port']} is {instance['place']}port as well; choose another")
    return found, [*problems, *_conflicts(found), *_other_archives(found)]


def _converted(written: t.Mapping[str, t.Any], place: str, problems: list[str]) -> dict[str, t.Any]:
    """Numbers and booleans that came as text, as from the command line or an INI inventory. place is the beginning of their names."""
    prefix = place if place == _PREFIX else ""
    found: dict[str, t.Any] = {}
    for key in ("port", "metrics_port", "redis_database", "drain_timeout"):
        value = written.get(f"{prefix}{key}")
        if value is not None and as_number(value) is None:
            problems.append(f"{place}{key}: {value!r} is not a number")
        elif value is not None:
            found[f"{prefix}{key}"] = as_number(value)
    for key in ("delete_enabled", "remove_images"):
        value = written.get(f"{prefix}{key}")
        if value is not None:
            try:
                found[f"{prefix}{key}"] = boolean(value)
            except TypeError:
                problems.append(f"{place}{key}: {value!r} is neither true nor false")
    return found


def files_of_store(name: str, store: t.Mapping[str, t.Any]) -> dict[str, str]:
    """Where an instance's host has the key and the CA of its store. name is empty for the first instance."""
    start = f"{_CONFIGURATION}/{f'instance-{name}-' if name else ''}store"
    return {"environment": f"{start}.env", "ca_file": f"{start}-ca.crt" if store["ca_certificate"] else ""}


def _resolved(entry: dict[str, t.Any], place: str, problems: list[str]) -> dict[str, t.Any]:
    first = place == _PREFIX
    name, version = entry["name"], str(entry["version"])
    user = "docker-registry" if first else user_of(name)
    packaged = version == PACKAGED
    store, wrong = object_stores.parse(entry["storage"], f"{place}storage")
    problems += wrong
    if store:
        store.update(files_of_store("" if first else name, store))
        entry = {**entry, "storage_directory": ""}
    return {
        **{key: value for key, value in entry.items() if key != "storage"},
        "store": store,
        "images": object_stores.url(store) if store else entry["storage_directory"],
        "version": version,
        "place": place,
        "unit": "docker-registry.service" if first else f"docker-registry@{name}.service",
        "user": user,
        "group": user,
        "configuration": f"{_CONFIGURATION}/config.yml" if first else f"{_CONFIGURATION}/instance-{name}.yml",
        "secret": f"{_CONFIGURATION}/{'http-secret' if first else f'instance-{name}-secret'}.env",
        "program": "/usr/bin/docker-registry" if packaged else f"/opt/holdfast-registry/{name}",
        "runtime": f"holdfast-registry/{name}",
        "major": None if packaged or not _VERSION.fullmatch(version) else int(version.partition(".")[0]),
    }


def _may_cache(instance: dict[str, t.Any]) -> bool:
    """Whether descriptors of a store may be cached. Before 3.1 a registry serves deleted blobs from that cache (CVE-2026-35172)."""
    numbers = instance["version"].partition("-")[0].split(".")
    return instance["major"] is not None and [int(number) for number in numbers[:2]] >= [3, 1]


def _store_problems(instance: dict[str, t.Any], first: bool) -> t.Iterator[str]:
    place, store = instance["place"], instance["store"]
    if instance["state"] == "absent":
        if instance["remove_images"]:
            yield f"{place}remove_images: is not for images in a store; remove the objects below {instance['images']} with a program for S3"
        return
    yield from object_stores.redirect_problems(store, f"{place}storage.s3")
    if instance["mirror"]:
        yield f"{place}storage: is not for a mirror, which keeps what it can fetch again in files"
    if instance["redis_database"] is not None and not first and not _may_cache(instance):
        yield f"{place}redis_database: is not for images in a store before version 3.1.0, which serves deleted blobs from that cache; leave it out"
    if not store["path_style"] and instance["major"] in (None, 2):
        yield f"{place}storage.s3.path_style: must be true with {place}version {instance['version']}, which knows no other style"


def _problems(instance: dict[str, t.Any], settings: Settings) -> t.Iterator[str]:
    place = instance["place"]
    if instance["name"] in (FIRST, "releases") and place != _PREFIX:
        # One is the instance that the role's own variables describe, the other the directory of upstream's releases.
        yield f"{place}name: {instance['name']!r} is taken; choose another name"
    if instance["store"]:
        yield from _store_problems(instance, place == _PREFIX)
    elif instance["state"] == "present" or instance["remove_images"]:
        yield from own_directory_problem(f"{place}storage_directory", instance["storage_directory"], "/srv/images")
    if instance["state"] == "absent":
        return
    if instance["metrics_port"]:
        yield from port_problem(f"{place}metrics_port", instance["metrics_port"])
        if not instance["socket"] and instance["metrics_port"] == instance["port"]:
            yield f"{place}metrics_port: {instance['port']} is {place}port as well; choose another"
    if instance["socket"] and place != _PREFIX and not instance["socket"].startswith("/run/docker-registry"):
        yield f'{place}socket: "{instance["socket"]}" is not in a directory whose name begins with /run/docker-registry, which no other program has'
    elif instance["socket"] and not _SOCKET.fullmatch(instance["socket"]):
        yield f'{place}socket: "{instance["socket"]}" is neither empty nor a path such as /run/docker-registry/registry.sock'
    if not instance["socket"]:
        yield from port_problem(f"{place}port", instance["port"])
    if instance["redis_database"] is not None:
        yield from range_problem(f"{place}redis_database", instance["redis_database"], 0, 1023)
        if instance["mirror"]:
            yield f"{place}redis_database: is not for a mirror, which has to look for each blob itself, since blobs expire"
        if not settings["registry_redis_address"]:
            yield f"{place}redis_database: needs registry_redis_address, the Redis that has the database"
    for key, example in (("upload_purge_age", "168h"), ("upload_purge_interval", "24h")):
        yield from duration_problem(f"{place}{key}", instance[key], f"{example} or 90m")
    yield from range_problem(f"{place}drain_timeout", instance["drain_timeout"], 1, 86400, " seconds")
    yield from _of_version(instance)
    if instance["mirror"] is not None:
        yield from upstream_problems(instance["mirror"], f"{place}mirror", instance["major"])


def _of_version(instance: dict[str, t.Any]) -> t.Iterator[str]:
    place, version = instance["place"], instance["version"]
    given = [key for key in _ARCHIVE if instance[key]]
    if version == PACKAGED:
        if given:
            yield f"{place}{given[0]}: has no effect without {place}version, such as 3.1.1"
        return
    if not _VERSION.fullmatch(version):
        yield f'{place}version: "{version}" is neither "{PACKAGED}", the package, nor a release such as 3.1.1'
    if instance["archive_checksum"] and not _CHECKSUM.fullmatch(instance["archive_checksum"]):
        yield f'{place}archive_checksum: "{instance["archive_checksum"]}" is not sha256: and 64 hexadecimal digits'
    if instance["archive_url"] and not _URL.fullmatch(instance["archive_url"]):
        yield f'{place}archive_url: "{instance["archive_url"]}" is not a URL such as https://mirror.example.org/registry_{{version}}_linux_{{arch}}.tar.gz'
    if instance["archive"] and instance["archive_url"]:
        yield f"{place}archive and {place}archive_url: give one of them"


def _conflicts(found: list[dict[str, t.Any]]) -> t.Iterator[str]:
    """What two instances must not share: one of them would fail to start, or serve what belongs to the other."""
    names: dict[t.Any, str] = {}
    taken: dict[t.Any, str] = {}
    storages: list[tuple[list[str], dict[str, t.Any]]] = []
    for instance in found:
        place, store = instance["place"], instance["store"]
        if names.setdefault(instance["name"], place) != place:
            yield f"{place}name: {instance['name']!r} is the name of another instance as well"
        if instance["state"] == "absent" and not instance["remove_images"]:
            continue
        shared = (
            {}
            if instance["state"] == "absent"
            else {
                "socket": instance["socket"] or None,
                "port": None if instance["socket"] else instance["port"],
                "metrics_port": instance["metrics_port"] or None,
                "redis_database": instance["redis_database"],
            }
        )
        for key, value in shared.items():
            if value is not None and taken.setdefault((key, value), place) != place:
                yield f"{place}{key}: {value} is used by {_name_of(found, taken[key, value])} as well; each instance needs its own"
        socket_directory = instance["socket"].rpartition("/")[0]
        if shared and socket_directory and taken.setdefault(("directory", socket_directory), place) != place:
            yield f"{place}socket: is in the directory of another instance's socket, {socket_directory}, which goes when that instance stops"
        areas = _areas(instance)
        for its, other in storages:
            if any(one.startswith(another) or another.startswith(one) for one in areas for another in its):
                key = "storage.s3.prefix" if store else "storage_directory"
                yield (
                    f"{place}{key}: {instance['images'].rstrip('/')} and that of instance {other['name']!r}, {other['images'].rstrip('/')}, overlap; "
                    "each instance needs its own"
                )
        storages.append((areas, instance))


def _areas(instance: dict[str, t.Any]) -> list[str]:
    """Below what names nobody else may have anything: a purge of the keeper removes what it finds among its own."""
    store = instance["store"]
    if not store:
        return [instance["images"].rstrip("/") + "/"]
    # A bucket can be written in several ways.
    place = f"{object_stores.bucket_of(store)}/{store['prefix']}".rstrip("/")
    return [f"{place}/docker/registry/", f"{place}/holdfast-keeper/"]


def _other_archives(found: list[dict[str, t.Any]]) -> t.Iterator[str]:
    """One version is installed once, so it has one archive."""
    first: dict[str, dict[str, t.Any]] = {}
    for instance in (instance for instance in found if instance["state"] == "present"):
        same = first.setdefault(instance["version"], instance)
        for key in _ARCHIVE:
            if instance[key] != same[key]:
                yield f"{instance['place']}{key}: differs from {same['place']}{key}, and both are of version {instance['version']}"


def _name_of(found: list[dict[str, t.Any]], place: str) -> str:
    return next(f"instance {instance['name']!r}" for instance in found if instance["place"] == place)


def mirrors(present: list[dict[str, t.Any]]) -> dict[str, dict[str, t.Any]]:
    """What the program registry-upstream has to know of each mirror. It has the upstreams' passwords."""
    return {
        instance["name"]: {
            "user": instance["user"],
            "upstream": parse_upstream(instance["mirror"]["upstream"], "upstream").origin,
            "username": instance["mirror"].get("username") or "",
            "password": instance["mirror"].get("password") or "",
            "ca_certificate": instance["mirror"].get("ca_certificate") or "",
            "token_hosts": token_hosts(instance["mirror"]),
            "tag_seconds": int(instance["mirror"].get("tag_seconds") or 0),
            "timeout_seconds": int(instance["mirror"].get("timeout_seconds") or 10),
        }
        for instance in present
        if instance["mirror"]
    }


def releases(present: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The releases of upstream that are needed, each once, as the module registry_release takes them."""
    found: dict[str, dict[str, t.Any]] = {}
    for instance in present:
        if instance["version"] != PACKAGED:
            source = {key: instance[f"archive{suffix}"] for key, suffix in (("url", "_url"), ("archive", ""), ("checksum", "_checksum"))}
            names = {"version": "version", "url": "archive_url", "archive": "archive", "checksum": "archive_checksum"}
            called = {key: f"{instance['place']}{name}" for key, name in names.items()}
            given = {key: value for key, value in source.items() if value}
            found.setdefault(instance["version"], {"version": instance["version"], "called": called, **given})
    return list(found.values())


def files(present: list[dict[str, t.Any]], keep_secret: bool) -> list[dict[str, t.Any]]:
    """The files of the instances, as the module files takes them: secret, configuration and unit of each."""
    found = []
    for instance in present:
        first = instance["place"] == _PREFIX
        # Of a mirror they say only that it is one; the upstream and its password are for another program.
        store = instance["store"]
        mirror = {"ttl": instance["mirror"].get("ttl")} if instance["mirror"] else {}
        variables = {"instance": {**instance, "mirror": mirror, "store": object_stores.open_part(store)}}
        if store:
            # Quoted twice: the registry reads the values as YAML, in which a key of digits would be a number.
            lines = [f"REGISTRY_STORAGE_S3_{key.replace('_', '').upper()}='\"{store[key]}\"'\n" for key in object_stores.SECRETS]
            found.append({"content": "".join(lines), "path": store["environment"], "mode": "0600", "secret": True})
        if store and store["ca_file"]:
            found.append({"content": store["ca_certificate"].rstrip("\n") + "\n", "path": store["ca_file"]})
        found += [
            {"template": "http-secret.env.j2", "path": instance["secret"], "mode": "0600", "secret": True, "keep": keep_secret},
            {
                "template": "config.yml.j2",
                "path": instance["configuration"],
                "group": instance["group"],
                "mode": "0640",
                "vars": variables,
                # Of a registry that somebody set up by hand, or the package's own.
                **({"original": f"{instance['configuration']}.original"} if first else {}),
            },
            {
                "template": "units/drop-in.conf.j2" if first else "units/instance.service.j2",
                "path": f"{_UNITS}/{instance['unit']}.d/holdfast.conf" if first else f"{_UNITS}/{instance['unit']}",
                "vars": variables,
            },
        ]
    return found


def directories(present: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The directories of the images, as the module files takes them."""
    return [
        {"path": instance["storage_directory"], "owner": instance["user"], "group": instance["group"], "mode": "0750"}
        for instance in present
        if not instance["store"]
    ]


def absent(present: list[dict[str, t.Any]]) -> list[str]:
    """Files of a store that the first instance does not use any more. Those of others are removed by their names."""
    used = {file["path"] for file in files(present, keep_secret=True)}
    return [path for path in (f"{_CONFIGURATION}/store.env", f"{_CONFIGURATION}/store-ca.crt") if path not in used]


def services(present: list[dict[str, t.Any]], secrets: str) -> list[dict[str, t.Any]]:
    """The services, as the module of that name takes them. secrets is the file with the password of Redis."""
    cached = [instance["name"] for instance in present if instance["redis_database"] is not None]
    return [
        {
            "name": instance["unit"],
            "restart_on": [
                instance["configuration"],
                instance["secret"],
                # The package restarts only its own service when it is upgraded.
                *([instance["program"]] if instance["version"] == PACKAGED else []),
                *([secrets] if instance["name"] in cached else []),
                *([instance["store"]["environment"]] if instance["store"] else []),
                *([instance["store"]["ca_file"]] if instance["store"] and instance["store"]["ca_file"] else []),
            ],
            # Databases of Redis may change hands: the former owner, which may have none now, must not write to one while the next takes it.
            "stop_first": bool(cached) and len(present) > 1,
            "answers": {"url": "http://127.0.0.1/v2/", "unix_socket": instance["socket"]}
            if instance["socket"]
            else {"url": f"http://127.0.0.1:{instance['port']}/v2/"},
        }
        for instance in present
    ]
