# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Further registries and mirrors of site.yml: what the roles registry, nginx_auth, pki and docker_client have to know of each."""

from __future__ import annotations

import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import Endpoint
from ansible_collections.holdfast.registry.plugins.plugin_utils import site_store, upstreams
from ansible_collections.holdfast.registry.plugins.plugin_utils.instances import INHERITED, socket_of, storage_of, user_of
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import as_number, endpoint_problem

REGISTRIES, MIRRORS = "holdfast_registries", "holdfast_mirrors"
# Of the first registry. The inventory may have it instead of holdfast_storage, so the playbook has the last word about its name.
STORAGE = "registry_storage"

# Keys of an entry, by the role that reads them. Those of a mirror's upstream are in upstreams.KEYS.
_OF_THE_INSTANCE = ("storage_directory", "storage", "redis_database", *(key for key in INHERITED if key != "storage"))
_OF_THE_GATEWAY = ("rules", "administrators", "listing")
_OF_THE_KEEPER = ("retention",)
_OF_A_REGISTRY = ("server_name", "server_aliases", "port", "client_certificates", "networks", "certificate", "certificate_key")
# Keys that all mirrors have from settings of their own.
_MIRROR_SETTINGS = {
    "server_name": "holdfast_mirror_name",
    "port": "holdfast_mirror_port",
    "networks": "holdfast_mirror_networks",
    "client_certificates": "holdfast_mirror_client_certificates",
}
# Where keys of a store in role nginx_auth come from: what they are called in the registry's storage, and settings of their own.
_OF_A_STORE = {"url": "s3.endpoint", "ca_certificate": "s3.ca_certificate"}
_OF_A_CACHE = {"cache_directory": "holdfast_cache_directory", "cache_size": "holdfast_cache_size"}
_KEPT = ("name", "state", "storage_directory", "redis_database")
_ALWAYS = ("name", "state", "remove_images")
_OF_A_MIRROR = (*upstreams.KEYS, "namespace")


class Site(t.NamedTuple):
    """What site.yml says of the first registry and of the address of the mirrors."""

    server_name: str
    port: int
    names: tuple[str, ...]
    mirror_name: str
    mirror_port: int
    mirror_anonymous: bool
    mirror_networks: tuple[str, ...]
    mirror_client_certificates: str
    storage: dict[str, t.Any]
    cache_directory: str
    cache_size: str
    keeps_stores: bool


def site_of(settings: t.Mapping[str, t.Any]) -> Site:
    """Read the settings of site.yml, whose defaults are those of settings.site.SPEC."""
    certificates = settings.get("holdfast_mirror_client_certificates", "off")
    return Site(
        server_name=str(settings.get("holdfast_server_name", "")),
        port=_port(settings.get("holdfast_port"), 443),
        names=_list(settings.get("holdfast_extra_names")),
        mirror_name=str(settings.get("holdfast_mirror_name") or settings.get("holdfast_server_name", "")),
        mirror_port=_port(settings.get("holdfast_mirror_port"), 5444),
        mirror_anonymous=boolean(settings.get("holdfast_mirror_anonymous", False), strict=False),
        mirror_networks=_list(settings.get("holdfast_mirror_networks")),
        # YAML reads an unquoted off as false.
        mirror_client_certificates="off" if certificates in (False, "False") else str(certificates),
        storage={"s3": s3} if (s3 := site_store.s3_of(settings.get("holdfast_storage"))) else {},
        cache_directory=str(settings.get("holdfast_cache_directory") or ""),
        cache_size=str(settings.get("holdfast_cache_size") or ""),
        keeps_stores=boolean(settings.get("holdfast_keeper") or False, strict=False),
    )


def _list(value: t.Any) -> tuple[str, ...]:
    """A list, or what Ansible makes one of: a single text."""
    return tuple(value.split(",")) if isinstance(value, str) and value else tuple(value) if isinstance(value, (list, tuple)) else ()


def _port(value: t.Any, default: int) -> int:
    """A port, or the default for what is none: the checks of the settings name that."""
    number = as_number(value)
    return default if number is None else number


class Further(t.NamedTuple):
    """What the roles get."""

    instances: list[dict[str, t.Any]]  # for role registry
    registries: list[dict[str, t.Any]]  # for role nginx_auth
    kept: list[dict[str, t.Any]]  # for role keeper
    names: list[str]  # that the certificate has to cover
    endpoints: list[str]  # that clients have to trust
    mirrors: list[dict[str, str]]  # that clients ask first
    places: dict[str, str]  # how the user knows what the roles' messages name
    store: dict[str, str]  # of the first registry, for role nginx_auth


def further(settings: t.Mapping[str, t.Any], instances_before: int = 0, registries_before: int = 0) -> Further:
    """Resolve holdfast_registries and holdfast_mirrors. Entries that make no sense are left out: problems() names them.

    The numbers before say how many entries of the roles' own lists come first, for the places in messages.
    """
    site = site_of(settings)
    store = site_store.store_of(site.storage, site.cache_directory, site.cache_size)
    found = Further([], [], _kept_already(settings, site.keeps_stores), [], [], [], {}, store)
    if site.storage:
        # The registry that the role's own variables describe comes first.
        found.places.update({**_places_of_store("nginx_auth_store", STORAGE), **({"keeper_instances[0].storage": STORAGE} if site.keeps_stores else {})})
    for setting, is_mirror in ((REGISTRIES, False), (MIRRORS, True)):
        for number, entry in enumerate(_entries(settings, setting)):
            if not entry.get("name") or (is_mirror and list(_upstream(entry, "", site))):
                continue
            place = f"{setting}[{number}]"
            stored_at = f"{place}.storage" if entry.get("storage") is not None or is_mirror or not site.storage else STORAGE
            kept = {key: value for key, value in entry.items() if value is not None}
            if site.storage:
                # A mirror is a cache: each host has its own, in files.
                kept = {"storage": {} if is_mirror else site_store.below(site.storage, str(entry["name"])), **kept}
            instance_place = f"registry_instances[{instances_before + len(found.instances)}]"
            if is_mirror:
                found.places[f"{instance_place}.mirror"] = place
            found.places[f"{instance_place}.storage"] = stored_at
            found.places[instance_place] = place
            found.instances.append(_instance(kept, is_mirror))
            if site.keeps_stores or not site_store.s3_of(kept.get("storage")):
                # The registry that the role's own variables describe comes first, unless its images are in an object store that is not kept.
                keeper_place = f"keeper_instances[{(0 if site.storage and not site.keeps_stores else 1) + len(found.kept)}]"
                found.places.update({f"{keeper_place}.storage": stored_at, keeper_place: place})
                found.kept.append({"mirror": is_mirror, **{key: kept[key] for key in (*_KEPT, *_OF_THE_KEEPER) if key in kept}, **_stored(kept)})
            if kept.get("state") == "absent":
                continue
            registry_place = f"nginx_auth_further_registries[{registries_before + len(found.registries)}]"
            if is_mirror:
                for key, known in _MIRROR_SETTINGS.items():
                    found.places[f"{registry_place}.{key}"] = known
                upstream = f"{place}.{'namespace' if entry.get('namespace') else 'upstream'}"
                found.places.update({f"{registry_place}.namespaces[0]": upstream, f"{registry_place}.namespaces": upstream})
            else:
                found.places.update(_places_of_store(f"{registry_place}.store", stored_at))
            found.places[registry_place] = place
            registry = _registry(kept, site, is_mirror)
            found.registries.append(registry)
            names = [registry.get("server_name", site.server_name), *_list(registry.get("server_aliases"))]
            found.names.extend(str(name) for name in names if name not in found.names)
            endpoints = [_endpoint(str(name), _port(registry.get("port"), site.port)) for name in names if not str(name).startswith("*")]
            found.endpoints.extend(endpoint for endpoint in endpoints if endpoint not in found.endpoints)
            if is_mirror:
                found.mirrors.extend({"upstream": upstream, "mirror": endpoints[0]} for upstream in registry["namespaces"] if endpoints)
    return found


def _places_of_store(place: str, stored_at: str) -> dict[str, str]:
    """How the user knows the keys of a store of role nginx_auth, and that store."""
    keys = {**{key: f"{stored_at}.{name}" for key, name in _OF_A_STORE.items()}, **_OF_A_CACHE}
    return {**{f"{place}.{key}": known for key, known in keys.items()}, place: stored_at}


def _kept_already(settings: t.Mapping[str, t.Any], keeps_stores: bool) -> list[dict[str, t.Any]]:
    """What role keeper has to know of the instances that the inventory gives role registry itself."""
    gateways = _entries(settings, "nginx_auth_further_registries")
    kept = []
    for entry in _entries(settings, "registry_instances"):
        if site_store.s3_of(entry.get("storage")) and not keeps_stores:
            continue
        storage = entry.get("storage_directory") or storage_of(str(entry.get("name")))
        names = [gateway.get("name") for gateway in gateways if gateway.get("storage_directory") == storage]
        known = {key: entry[key] for key in _KEPT if entry.get(key) is not None}
        kept.append({"mirror": bool(entry.get("mirror")), **known, **_stored(entry), **({"log_names": names} if names else {})})
    return kept


def _stored(entry: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The store of an instance, for role keeper; nothing for files."""
    return {"storage": entry["storage"]} if site_store.s3_of(entry.get("storage")) else {}


def _instance(entry: dict[str, t.Any], is_mirror: bool) -> dict[str, t.Any]:
    instance = {key: entry[key] for key in (*_ALWAYS, *_OF_THE_INSTANCE) if key in entry}
    if is_mirror:
        instance["mirror"] = {key: entry[key] for key in upstreams.KEYS if key in entry}
    return instance


def _registry(entry: dict[str, t.Any], site: Site, is_mirror: bool) -> dict[str, t.Any]:
    name = entry["name"]
    in_a_store = bool(site_store.s3_of(entry.get("storage")))
    store = site_store.store_of(entry.get("storage"), site.cache_directory, site.cache_size)
    registry = {
        "name": name,
        "upstream": f"unix:{socket_of(name)}",
        "storage_directory": "" if in_a_store else entry.get("storage_directory", storage_of(name)),
        **({"store": store} if store else {}),
        "storage_group": user_of(name),
        **{key: entry[key] for key in (*_OF_THE_GATEWAY, "delete_enabled") if key in entry},
    }
    if not is_mirror:
        return {**registry, **{key: entry[key] for key in _OF_A_REGISTRY if key in entry}}
    pull: list[dict[str, t.Any]] = [{"name": "mirror", "repositories": ["**"], "groups": ["users"]}]
    if site.mirror_anonymous or site.mirror_networks:
        pull.append({"name": "mirror without a login", "repositories": ["**"], "anonymous": True})
    return {
        "rules": pull,
        **registry,
        "mirror": True,
        "namespaces": [str(entry.get("namespace") or upstreams.parse_upstream(entry["upstream"], "upstream").namespace).lower()],
        "server_name": site.mirror_name,
        "port": site.mirror_port,
        "client_certificates": site.mirror_client_certificates,
        # They limit anonymous rules, which the mirror's own rules may lack.
        **({"networks": list(site.mirror_networks)} if site.mirror_networks and _is_anonymous(registry.get("rules", pull)) else {}),
    }


def _is_anonymous(rules: t.Any) -> bool:
    return isinstance(rules, list) and any(isinstance(rule, dict) and rule.get("anonymous") for rule in rules)


def _endpoint(name: str, port: int) -> str:
    return str(Endpoint(name.lower(), None if port == 443 else port))


def problems(settings: t.Mapping[str, t.Any], redis_databases: int) -> t.Iterator[str]:
    """What is wrong with holdfast_registries and holdfast_mirrors, as far as the roles do not check it themselves."""
    site = site_of(settings)
    yield from _storage(settings)
    yield from _shapes(settings, REGISTRIES, (*_ALWAYS, *_OF_THE_INSTANCE, *_OF_THE_GATEWAY, *_OF_THE_KEEPER, *_OF_A_REGISTRY))
    of_the_instance = [key for key in _OF_THE_INSTANCE if key != "redis_database"]
    yield from _shapes(settings, MIRRORS, (*_ALWAYS, *of_the_instance, *_OF_THE_GATEWAY, *_OF_A_MIRROR))
    for number, entry in enumerate(_entries(settings, REGISTRIES)):
        if entry.get("state") != "absent" and not entry.get("server_name") and not entry.get("port"):
            yield f"{REGISTRIES}[{number}]: needs a server_name or a port of its own, by which clients reach it"
        database = entry.get("redis_database")
        if isinstance(database, int) and database >= redis_databases:
            yield f"{REGISTRIES}[{number}].redis_database: {database} is not below redis_databases, {redis_databases}"
    for number, entry in enumerate(_entries(settings, MIRRORS)):
        yield from _upstream(entry, f"{MIRRORS}[{number}].upstream", site)
        if entry.get("namespace"):
            yield from endpoint_problem(f"{MIRRORS}[{number}].namespace", str(entry["namespace"]))


def _entries(settings: t.Mapping[str, t.Any], setting: str) -> list[dict[str, t.Any]]:
    """The entries of a list, empty where one is no dictionary."""
    entries = settings.get(setting) or []
    return [entry if isinstance(entry, dict) else {} for entry in entries] if isinstance(entries, list) else []


def _storage(settings: t.Mapping[str, t.Any]) -> t.Iterator[str]:
    """What is wrong with the shape of holdfast_storage. What is in it is checked by role registry."""
    storage = settings.get("holdfast_storage") or {}
    if not isinstance(storage, dict) or (storage and (list(storage) != ["s3"] or not site_store.s3_of(storage))):
        yield (
            "holdfast_storage: is neither {}, for files, nor a store such as "
            "{s3: {endpoint: 'https://store.example.org', bucket: registry, access_key: ..., secret_key: ...}}"
        )
    for key in ("holdfast_cache_directory", "holdfast_cache_size"):
        if settings.get(key) and not storage:
            yield f"{key}: has no effect without holdfast_storage: it is the gateway's cache of what is in the store"


def _shapes(settings: t.Mapping[str, t.Any], setting: str, known: tuple[str, ...]) -> t.Iterator[str]:
    example = "{name: hub, upstream: docker.io}" if setting == MIRRORS else "{name: team, port: 5445}"
    for number, entry in enumerate(settings.get(setting) or []):
        if not isinstance(entry, dict):
            yield f"{setting}[{number}]: must be a dictionary such as {example}"
            continue
        if not entry.get("name"):
            yield f"{setting}[{number}].name: is missing"
        for key in entry:
            if key not in known:
                yield f"{setting}[{number}].{key}: is no key of it; there are {', '.join(known)}"


def _upstream(entry: dict[str, t.Any], setting: str, site: Site) -> t.Iterator[str]:
    if entry.get("state") == "absent":
        return
    try:
        namespace = upstreams.parse_upstream(entry.get("upstream"), setting).namespace
    except HoldfastError as error:
        yield str(error)
        return
    ours = {_endpoint(name, site.mirror_port) for name in (site.mirror_name, site.server_name, *site.names)}
    if namespace in ours:
        yield f"{setting}: {namespace} is the address of the mirror itself, which would ask itself without end"
