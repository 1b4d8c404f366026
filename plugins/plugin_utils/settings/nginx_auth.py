# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role nginx_auth that cannot work."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import problems as user_problems
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_crl_url
from ansible_collections.holdfast.registry.plugins.plugin_utils.gateway import MAP_WORDS, registries
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    name_problem,
    own_directory_problem,
    path_problem,
    pem_problem,
    port_problem,
    range_problem,
    said,
)

_PREFIX = "nginx_auth_"
# What may stand in a quoted string of nginx and in a header.
_REALM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:/@()-]*")
_UNIX_SOCKET = re.compile(r"unix:/[A-Za-z0-9/._-]+")
_STATUS_SOCKET = re.compile(r"/run/holdfast-gateway/[a-z]+(?:\.[a-z]+)+")
# What nginx itself has in that directory.
_OURS = ("memory.sock", "nginx.pid")
_GROUP = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
# The unit hides these from nginx, they are no disk, or others need them as they are.
_NO_CACHE = re.compile(r"/(?:dev|etc|home|proc|root|run|sys|tmp|var/tmp|usr)(?:/|\Z)|/(?:var|srv|opt|mnt|var/cache|var/lib)/?\Z")
_RANGES = (
    ("bcrypt_cost", 4, 17, ""),
    ("password_cache_seconds", 1, 300, " seconds"),
    ("attempts_per_minute", 1, 6000, ""),
    ("connections_per_client", 1, 65535, ""),
    ("proxy_timeout", 1, 86400, " seconds"),
    ("hsts_seconds", 0, 2**31 - 1, " seconds"),
    ("store_memory_seconds", 0, 86400, " seconds"),
)


def problems(settings: Settings, _host: Host) -> list[str]:
    """What is wrong with the settings, each with its variable and place."""
    found, wrong = registries({name[len(_PREFIX) :]: value for name, value in settings.items()})
    for registry in found:
        wrong += _of_registry(registry, settings)
    for name, low, high, unit in _RANGES:
        wrong += range_problem(_PREFIX + name, settings[_PREFIX + name], low, high, unit)
    if not _REALM.fullmatch(settings["nginx_auth_realm"]):
        wrong.append("nginx_auth_realm: may have letters, digits, spaces and any of ._:/@()- only, and begins with a letter or digit")
    wrong += path_problem("nginx_auth_client_ca", settings["nginx_auth_client_ca"], may_be_empty=True)
    wrong += path_problem("nginx_auth_client_crl", settings["nginx_auth_client_crl"], may_be_empty=True)
    wrong += own_directory_problem("nginx_auth_log_directory", settings["nginx_auth_log_directory"], "/var/log/holdfast-gateway")
    wrong += path_problem("nginx_auth_challenge_directory", settings["nginx_auth_challenge_directory"], may_be_empty=True)
    wrong += path_problem("nginx_auth_crl_file", settings["nginx_auth_crl_file"], may_be_empty=True)
    wrong += said(check_crl_url, settings["nginx_auth_crl_url"], where="nginx_auth_crl_url")
    for setting in ("nginx_auth_challenge_directory", "nginx_auth_crl_file"):
        taken = [registry["place"] for registry in found if settings[setting] and str(registry["port"]) == "80"]
        wrong += [f"{place}port: 80 is where {setting} is served; choose another" for place in taken]
    wrong += path_problem("nginx_auth_keeper_directory", settings["nginx_auth_keeper_directory"], may_be_empty=True)
    for setting in ("nginx_auth_trusted_proxies", "nginx_auth_metrics_networks", "nginx_auth_health_networks"):
        for index, network in enumerate(settings[setting]):
            wrong += _network_problem(f"{setting}[{index}]", network)
    for index, name in enumerate(settings["nginx_auth_metrics_users"]):
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]*", name):
            wrong.append(f"nginx_auth_metrics_users[{index}]: {name!r} must be the name of a user, of letters, digits, '.', '_', '@' and '-'")
    wrong += _sources(settings["nginx_auth_metrics_sources"], [registry["name"] for registry in found])
    socket = settings["nginx_auth_status_socket"]
    if socket and not _STATUS_SOCKET.fullmatch(socket):
        wrong.append("nginx_auth_status_socket: must be a socket in the gateway's own directory, such as /run/holdfast-gateway/status.sock")
    elif socket.rpartition("/")[2] in _OURS:
        wrong.append(f"nginx_auth_status_socket: {socket.rpartition('/')[2]} is the gateway's own; give another, such as /run/holdfast-gateway/status.sock")
    if (settings["nginx_auth_metrics_networks"] or settings["nginx_auth_metrics_users"]) and not settings["nginx_auth_keeper_directory"]:
        wrong.append("nginx_auth_keeper_directory: must be the directory that the role keeper writes the metrics to, /run/registry-keeper")
    for index, user in enumerate(settings["nginx_auth_users"]):
        # crypt(3) does not have it, so nobody could log in with it.
        if str(user.get("password_hash", "")).startswith("$apr1$"):
            wrong.append(f"nginx_auth_users[{index}].password_hash: is an apr1 (MD5) hash, which the gateway does not accept; make one with htpasswd -B")
    # Each has to bring a password or a hash: nothing makes one up here.
    wrong += user_problems(settings["nginx_auth_users"], parameter="nginx_auth_users")
    return list(dict.fromkeys(wrong))


def _of_registry(registry: dict[str, t.Any], settings: Settings) -> t.Iterator[str]:
    place, tls = registry["place"], registry["tls"]
    yield from name_problem(f"{place}server_name", registry["server_name"])
    for index, alias in enumerate(registry["server_aliases"] or []):
        yield from name_problem(f"{place}server_aliases[{index}]", alias, wildcard=True)
    yield from _number(f"{place}port", registry["port"], port_problem)
    if not _is_upstream(str(registry["upstream"])):
        yield f'{place}upstream: "{registry["upstream"]}" is neither ADDRESS:PORT nor unix:/PATH'
    if not _GROUP.fullmatch(str(registry["storage_group"])):
        yield f'{place}storage_group: "{registry["storage_group"]}" is not the name of a group'
    yield from path_problem(f"{place}storage_directory", registry["storage_directory"], may_be_empty=True)
    if registry["store"]:
        yield from path_problem(f"{place}store.cache_directory", registry["store"]["cache_directory"])
        if _NO_CACHE.match(registry["store"]["cache_directory"]):
            yield f"{place}store.cache_directory: is no place for a cache on the disk; choose one such as /var/cache/NAME"
        yield from pem_problem(f"{place}store.ca_certificate", registry["store"]["ca_certificate"])
    for name, what in (("certificate", "a certificate"), ("certificate_key", "a private key")):
        if tls and not registry[name]:
            yield f"{place}{name}: must be the path of {what} on the host, or {place}tls false"
        else:
            yield from path_problem(f"{place}{name}", registry[name], may_be_empty=True)
    yield from _of_client_certificates(place, registry, settings)


def _is_upstream(text: str) -> bool:
    if _UNIX_SOCKET.fullmatch(text):
        return True
    try:
        return parse_endpoint(text, parameter="").port is not None
    except HoldfastError:
        return False


def _sources(sources: list[dict[str, t.Any]], taken: list[str]) -> t.Iterator[str]:
    places: dict[str, str] = {}
    for index, source in enumerate(sources):
        place = f"nginx_auth_metrics_sources[{index}]"
        name, address = str(source.get("name")), str(source.get("address"))
        port = re.fullmatch(r"127\.0\.0\.1:([0-9]{1,5})", address)
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,30}", name) or name in taken:
            yield f"{place}.name: {name!r} must be a lower-case letter and then at most 30 lower-case letters, digits and _, and no registry's name"
        elif name in MAP_WORDS:
            yield f"{place}.name: {name!r} is taken; choose another"
        elif places.setdefault(name, place) != place:
            yield f"{place}.name: {name!r} is the name of another source as well; choose another"
        if not port or not 0 < int(port[1]) < 65536:
            yield f"{place}.address: {address!r} is not 127.0.0.1:PORT"


def _of_client_certificates(place: str, registry: dict[str, t.Any], settings: Settings) -> t.Iterator[str]:
    setting, value = f"{place}client_certificates", registry["client_certificates"]
    if value not in ("off", "alternative", "required"):
        yield f'{setting}: "{value}" is not "off", "alternative" or "required"'
    elif value != "off" and not (settings["nginx_auth_client_ca"] and registry["tls"]):
        yield f"nginx_auth_client_ca: must be the path of the CA of the client certificates on the host, and {place}tls true, for {setting} is {value}"


def _number(setting: str, value: t.Any, check: t.Callable[[str, int], list[str]]) -> list[str]:
    return check(setting, int(value)) if str(value).isdecimal() else [f'{setting}: "{value}" is not a number']


def _network_problem(setting: str, network: t.Any) -> list[str]:
    address, slash, length = str(network).partition("/")
    try:
        known = ipaddress.ip_network(network, strict=False)
    except ValueError:
        known = None
    if known is None or "%" in address:
        return [f'{setting}: "{network}" is not an address or a network such as 192.0.2.0/24']
    return [f'{setting}: "{network}" has a mask that nginx does not know; write {known}'] if slash and not length.isdecimal() else []
