# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The registries behind one gateway: what the variables of the role nginx_auth say of each, resolved and checked."""

from __future__ import annotations

import re
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.decisions import nginx_map, search_rules
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.rules import ACTIONS, NOTHING, ROLE, Variables, read_access
from ansible_collections.holdfast.registry.plugins.plugin_utils.gateway_store import read_store
from ansible_collections.holdfast.registry.plugins.plugin_utils.mirrors import (
    KEYS,
    own_name_problems,
    read_mirror,
    sharing_problems,
    with_servers,
)

# The one registry that the role's own variables describe.
FIRST = "registry"

# The keys of a further registry, and those that default to the role's own variables.
INHERITED = (
    "server_name",
    "port",
    "tls",
    "certificate",
    "certificate_key",
    "client_certificates",
    "rules",
    "administrators",
    "listing",
)
OWN = ("name", "server_aliases", "upstream", "storage_directory", "storage_group", "store", "delete_enabled")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
MAP_WORDS = ("default", "hostnames", "include", "volatile")
# Upstreams of nginx that are not registries, and words of its maps.
_RESERVED = ("passwords", "search", *MAP_WORDS)


def registries(settings: t.Mapping[str, t.Any]) -> tuple[list[dict[str, t.Any]], list[str]]:
    """The registries behind the gateway, the first of which the role's own variables describe.

    settings are the role's variables without their prefix nginx_auth_. Each registry has the keys of INHERITED and OWN,
    server_names (the name and its aliases), place (where it is written), decisions (for nginx), search (for the search
    service), anonymous (whether a rule lets in clients without a password), store (that of read_store), and those of read_mirror
    and with_servers.

    Returns the registries and their problems. If there is any problem, nothing is allowed.
    """
    problems: list[str] = []
    first = {key: settings[key] for key in (*INHERITED, *OWN) if key in settings}
    first.update(read_mirror({}, "")[0])
    found = [_resolved({**first, "name": FIRST}, "nginx_auth_", ROLE, settings, problems)]
    further = settings.get("further_registries") or []
    if not isinstance(further, (list, tuple)):
        return with_servers(found), [
            "nginx_auth_further_registries: must be a list of dictionaries such as {name: mirror, port: 5444, upstream: 127.0.0.1:5001}",
        ]
    for index, written in enumerate(further):
        place = f"nginx_auth_further_registries[{index}]"
        problem = _shape_problem(written)
        if problem:
            problems.append(f"{place}{problem}")
            continue
        # A key without a value says nothing: Ansible fills in those that an argument spec knows.
        written = {key: value for key, value in written.items() if value is not None}
        mirror, wrong = read_mirror(written, place)
        problems += wrong
        defaults = {
            "server_aliases": [],
            "storage_directory": "",
            "storage_group": settings.get("storage_group", ""),
            "store": {},
            "delete_enabled": settings.get("delete_enabled", True),
        }
        entry = {**{key: settings[key] for key in INHERITED}, **defaults, **written, **mirror}
        variables = Variables(
            *(getattr(Variables.within(place) if key in written else ROLE, key) for key in ("rules", "administrators", "listing")),
        )
        found.append(_resolved(entry, f"{place}.", variables, settings, problems))
    problems += _conflicts(found)
    if problems:
        found = [{**registry, "decisions": [], "search": search_rules(NOTHING)} for registry in found]
    # Registries that take their rules from the role's own variables report the same problem.
    return with_servers(found), list(dict.fromkeys(problems))


def _shape_problem(written: t.Any) -> str | None:
    if not isinstance(written, dict):
        return ": must be a dictionary such as {name: mirror, port: 5444, upstream: 127.0.0.1:5001}"
    unknown = [key for key in written if key not in (*OWN, *INHERITED, *KEYS)]
    if unknown:
        return f": unknown key {unknown[0]!r}; there are {', '.join((*OWN, *INHERITED, *KEYS))}"
    if not isinstance(written.get("name"), str) or not _NAME.fullmatch(written["name"]):
        return ".name: must be a lower-case letter and then at most 30 lower-case letters, digits and _"
    if written["name"] in (FIRST, *_RESERVED):
        return f".name: {written['name']!r} is taken; choose another"
    if not written.get("upstream"):
        return ".upstream: is missing; give ADDRESS:PORT or unix:/PATH"
    return None


def _resolved(entry: dict[str, t.Any], place: str, variables: Variables, settings: t.Mapping[str, t.Any], problems: list[str]) -> dict[str, t.Any]:
    access, wrong = read_access(
        entry["rules"],
        settings.get("groups"),
        entry.get("administrators"),
        entry.get("listing"),
        settings.get("users"),
        settings.get("certificate_users"),
        settings.get("users_exclusive", True),
        variables,
        # Rules for all registries may say more than there is to do in a mirror.
        ("pull",) if entry["mirror"] and variables.rules != ROLE.rules else ACTIONS,
    )
    problems += wrong
    if entry["mirror"]:
        access = access.only_pull()
    store = _store(entry, place, problems)
    aliases = entry.get("server_aliases") or []
    if not isinstance(aliases, (list, tuple)):
        problems.append(f"{place}server_aliases: must be a list of names")
        aliases = []
    anonymous = any(rule.subjects.anonymous for rule in access.rules)
    if entry["networks"] and not anonymous and not wrong:
        problems.append(f"{place}networks: limits rules with anonymous: true, and there is none for this registry; add one, or leave networks out")
    return {
        **entry,
        # As Ansible would read them: YAML takes an unquoted off for false, and a quoted false is a string.
        "client_certificates": "off" if entry["client_certificates"] in (False, "False") else entry["client_certificates"],
        "tls": boolean(entry["tls"], strict=False),
        "delete_enabled": boolean(entry.get("delete_enabled", True), strict=False),
        "place": place,
        "server_names": [entry["server_name"], *aliases],
        "decisions": [decision._asdict() for decision in nginx_map(access, entry["name"], variables)],
        # A mirror has but what somebody happened to pull, which is no answer to a search.
        "search": search_rules(NOTHING if entry["mirror"] else access),
        "anonymous": anonymous,
        "store": store,
    }


def _store(entry: dict[str, t.Any], place: str, problems: list[str]) -> dict[str, t.Any]:
    store, wrong = read_store(entry.get("store"), f"{place}store", entry["name"])
    problems += wrong
    if store and entry.get("storage_directory"):
        problems.append(f"{place}storage_directory: must be empty where {place}store is set, since a registry keeps its images in one of the two")
    if store and entry["mirror"]:
        problems.append(f"{place}store: is not for a mirror, which keeps its images in files; leave it out")
    return store


def _conflicts(found: list[dict[str, t.Any]]) -> t.Iterator[str]:
    """Two registries of one name, or of one server name at one port: nginx would serve the first and ignore the other.

    Mirrors may share both if their clients name the upstream. What listens at a port has TLS for all names there or for none.
    """
    names: dict[str, str] = {}
    ports: dict[str, dict[str, t.Any]] = {}
    servers: dict[tuple[str, str], list[dict[str, t.Any]]] = {}
    for registry in found:
        place = registry["place"]
        if names.setdefault(registry["name"], place) != place:
            yield f"{place}name: {registry['name']!r} is the name of another registry as well"
        before = ports.setdefault(str(registry["port"]), registry)
        if before["tls"] != registry["tls"]:
            yield f"{place}tls: must be the same as {before['place']}tls, whose port it shares; set both alike, or choose another port"
        yield from own_name_problems(registry)
        for server_name in registry["server_names"]:
            here = servers.setdefault((str(server_name).lower(), str(registry["port"])), [])
            for other in (other for other in here if other["place"] != place):
                if registry["namespaces"] and other["namespaces"]:
                    yield from sharing_problems(registry, other)
                else:
                    also = ", or give both their namespaces" if registry["mirror"] and other["mirror"] else ""
                    yield f"{place}server_name: {server_name} at port {registry['port']} leads to another registry as well; choose another name or port{also}"
            here.append(registry)
