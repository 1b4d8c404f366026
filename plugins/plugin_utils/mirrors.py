# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Registries behind the gateway that are mirrors: the upstreams they answer for, and which of them share a server.

A client tells the mirrors of one server apart by a namespace, the name that it has for the upstream, such as docker.io.
"""

from __future__ import annotations

import ipaddress
import typing as t

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import Endpoint, kind_of, parse_endpoint

# Keys of a further registry that the first registry has no variables for.
KEYS = ("mirror", "namespaces", "networks")

# Docker's registry-mirrors ask for it without saying so.
UNNAMED = "docker.io"

# Names of the same upstream that no client sends.
_ALIASES = ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
# In a key of a map, with the name of a registry before it.
_MAX_LENGTH = 128
# A request may have these as they are, or encoded.
_ENCODED = {".": "[.]", ":": "(?::|%3[aA])", "[": r"(?:\[|%5[bB])", "]": r"(?:\]|%5[dD])"}
# What the registries of one server have in common, since nginx reads it before it knows which of them is asked.
_OF_THE_SERVER = ("certificate", "certificate_key", "client_certificates")

Registry = dict[str, t.Any]


def read_mirror(written: t.Mapping[str, t.Any], place: str) -> tuple[dict[str, t.Any], list[str]]:
    """What the KEYS of a further registry say, and what is wrong with them. place is where the registry is written.

    Networks are written as nginx wants them, without bits of a host.
    """
    problems: list[str] = []
    try:
        mirror = boolean(written.get("mirror", False))
    except TypeError:
        mirror = False
        problems.append(f"{place}.mirror: must be true or false")
    namespaces = list(_items(written.get("namespaces", []), f"{place}.namespaces", "upstreams such as docker.io", _namespace, problems))
    if namespaces and not mirror and not problems:
        problems.append(f"{place}.namespaces: only a mirror answers for upstreams; set {place}.mirror to true, or leave it out")
    networks = list(_items(written.get("networks", []), f"{place}.networks", "networks such as 192.0.2.0/24", _network, problems))
    if written.get("networks") in ([], ()):
        problems.append(f"{place}.networks: is empty; give networks such as 192.0.2.0/24, or leave it out")
    return {"mirror": mirror, "namespaces": namespaces, "networks": networks}, problems


def own_name_problems(registry: Registry) -> t.Iterator[str]:
    """A mirror that answers for itself would send its clients round in a circle."""
    for namespace in registry["namespaces"]:
        endpoint = parse_endpoint(namespace, parameter="")
        if endpoint.host in _names(registry) and str(endpoint.port or 443) == str(registry["port"]):
            yield f"{registry['place']}namespaces: {namespace!r} is the name of this mirror itself; name an upstream"


def sharing_problems(registry: Registry, other: Registry) -> t.Iterator[str]:
    """Why a registry cannot share a server name and a port with another one, which is written before it."""
    place, before = registry["place"], other["place"]
    if _names(registry) != _names(other):
        yield f"{place}server_aliases: must be the same as {before}server_aliases, whose server name and port it shares"
    for key in _OF_THE_SERVER:
        if registry[key] != other[key]:
            yield f"{place}{key}: must be the same as {before}{key}, whose server name and port it shares"
    for namespace in registry["namespaces"]:
        if namespace in other["namespaces"]:
            yield f"{place}namespaces: {namespace!r} is in {before}namespaces as well, at the same server name and port; remove one of them"


def with_servers(found: list[Registry]) -> list[Registry]:
    """The registries, each with the keys server, tokens, asked and unnamed.

    server is the name of the registry whose server in nginx it is reached by, its own unless it shares one. tokens says
    whether clients of that server are asked for a token. A registry whose server leads to mirrors by namespace has in asked,
    for each namespace, what tells nginx which of them a request is for, and in unnamed the name of the registry for a
    request that does not need to say it.
    """
    together: dict[t.Any, list[Registry]] = {}
    for registry in found:
        together.setdefault(_address(registry), []).append(registry)
    resolved = []
    for registry in found:
        members = together[_address(registry)]
        unnamed = [member["name"] for member in members if UNNAMED in member["namespaces"]]
        resolved.append(
            {
                **registry,
                "server": members[0]["name"],
                "tokens": any(member["anonymous"] for member in members),
                "asked": [asked for member in members for asked in _asked(member)] if members[0] is registry else [],
                "unnamed": (unnamed or [registry["name"]])[0],
            }
        )
    return resolved


def _address(registry: Registry) -> t.Any:
    """Equal for registries that share a server."""
    return (_names(registry), str(registry["port"])) if registry["namespaces"] else registry["place"]


def _names(registry: Registry) -> frozenset[str]:
    return frozenset(str(name).lower() for name in registry["server_names"])


def _asked(registry: Registry) -> t.Iterator[dict[str, str]]:
    """Regular expressions for a namespace in a query and at the beginning of a path. Repositories have no colon in their names."""
    for namespace in registry["namespaces"]:
        in_query = "".join(_ENCODED.get(character, character) for character in namespace)
        yield {"namespace": namespace, "registry": registry["name"], "in_query": in_query, "in_path": "" if ":" in namespace else in_query}


def _items(value: t.Any, place: str, wanted: str, read: t.Callable[[str, str], str], problems: list[str]) -> t.Iterator[str]:
    if not isinstance(value, (list, tuple)):
        problems.append(f"{place}: must be a list of {wanted}, not {kind_of(value)}")
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        at = f"{place}[{index}]"
        if not isinstance(item, str):
            problems.append(f"{at}: must be a string, not {kind_of(item)}: put it in quotes")
            continue
        try:
            found = read(item, at)
        except HoldfastError as error:
            problems.append(str(error))
            continue
        if found in seen:
            problems.append(f"{at}: {item!r} is there twice; remove one")
        seen.add(found)
        yield found


def _namespace(text: str, place: str) -> str:
    endpoint: Endpoint = parse_endpoint(text, parameter=place)
    if text != text.lower():
        raise HoldfastError(f"{place}: {text!r} must be in lower case, as clients send it: {text.lower()!r}")
    if text in _ALIASES:
        raise HoldfastError(f"{place}: {text!r} is {UNNAMED!r} for clients; write that")
    if endpoint.port is None and "." not in endpoint.host:
        raise HoldfastError(f"{place}: {text!r} is no upstream for clients but a repository: use a name with a dot or a port, such as docker.io")
    if len(text) > _MAX_LENGTH:
        raise HoldfastError(f"{place}: {text!r} has more than {_MAX_LENGTH} characters")
    return str(text)


def _network(text: str, place: str) -> str:
    try:
        if "%" not in text:
            return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        pass
    raise HoldfastError(f'{place}: "{text}" is not an address or a network such as 192.0.2.0/24')
