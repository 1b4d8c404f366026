# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The upstreams of pull-through mirrors: what is known of the public ones, and what is wrong with a setting."""

from __future__ import annotations

import re
import ssl
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import dns_problem, parse_endpoint, text_problem
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import as_number, duration_problem

KEYS = ("upstream", "username", "password", "ca_certificate", "token_hosts", "tag_seconds", "timeout_seconds", "ttl")

# Docker Hub is the one registry that is served under another name than its own, and its tokens come from a third.
_DOCKER_HUB = "docker.io"
_ORIGINS = {_DOCKER_HUB: "https://registry-1.docker.io"}
_TOKEN_HOSTS = {_DOCKER_HUB: ["auth.docker.io"], "registry.gitlab.com": ["gitlab.com"]}
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)")


class Upstream(t.NamedTuple):
    """An upstream registry: the name that its images begin with, and the origin that is asked."""

    namespace: str
    origin: str


def parse_upstream(text: t.Any, parameter: str) -> Upstream:
    """Read HOST, HOST:PORT or URL without a path. docker.io is Docker Hub.

    Raises HoldfastError naming the parameter.
    """
    if not isinstance(text, str) or not text:
        raise HoldfastError(f"{parameter}: is missing; give docker.io, ghcr.io, or the address of another registry")
    match = _SCHEME.fullmatch(text)
    scheme, rest = (match[1].lower(), match[2].rstrip("/")) if match else ("https", text)
    if "@" in rest:
        raise HoldfastError(f"{parameter}: must be HOST, HOST:PORT or a URL, without a username or password")
    if scheme not in ("https", "http"):
        raise HoldfastError(f"{parameter}: {text!r} begins with {scheme}://, and a registry is reached by https:// or http://")
    endpoint = str(parse_endpoint(rest, parameter=parameter)).lower()
    namespace = endpoint[: -len(":443")] if scheme == "https" and endpoint.endswith(":443") else endpoint
    return Upstream(namespace, _ORIGINS.get(namespace, f"{scheme}://{namespace}") if scheme == "https" else f"http://{namespace}")


def token_hosts(mirror: t.Mapping[str, t.Any]) -> list[str]:
    """The hosts besides the upstream itself that may ask for its credentials to make a token of them."""
    return list(mirror.get("token_hosts") or _TOKEN_HOSTS.get(parse_upstream(mirror["upstream"], "upstream").namespace, []))


def upstream_problems(mirror: t.Any, place: str, major: int | None) -> t.Iterator[str]:
    """What is wrong with the mirror of an instance. major is that of the registry's version, None for the package's."""
    if not isinstance(mirror, dict):
        yield f"{place}: must be a dictionary such as {{upstream: docker.io}}"
        return
    for key in mirror:
        if key not in KEYS:
            yield f"{place}.{key}: is no key of a mirror; there are {', '.join(KEYS)}"
    try:
        origin = parse_upstream(mirror.get("upstream"), f"{place}.upstream").origin
    except HoldfastError as error:
        yield str(error)
        return
    yield from _credentials(mirror, place, origin)
    yield from _ca_certificate(mirror.get("ca_certificate"), f"{place}.ca_certificate")
    hosts = mirror.get("token_hosts") or []
    if not isinstance(hosts, (list, tuple)):
        yield f"{place}.token_hosts: must be a list of hosts such as [auth.example.org]"
        hosts = []
    for number, host in enumerate(hosts):
        problem = dns_problem(str(host))
        if problem:
            yield f"{place}.token_hosts[{number}]: {host!r} {problem}"
    for key, low, high in (("tag_seconds", 0, 86400), ("timeout_seconds", 1, 300)):
        value = mirror.get(key)
        number_of_seconds = as_number(value)
        if value is not None and (number_of_seconds is None or not low <= number_of_seconds <= high):
            yield f"{place}.{key}: {value!r} is not a number of seconds between {low} and {high}"
    if mirror.get("ttl"):
        yield from duration_problem(f"{place}.ttl", str(mirror["ttl"]), "168h")
        if (major or 2) < 3:
            yield f"{place}.ttl: needs version 3 or newer; 2.8, which the package has, keeps what it fetched for 168h"


def _ca_certificate(certificate: t.Any, setting: str) -> t.Iterator[str]:
    if not certificate:
        return
    try:
        if "-----BEGIN CERTIFICATE-----" not in str(certificate):
            raise ValueError
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=str(certificate))
    except (ssl.SSLError, ValueError):
        yield f"{setting}: is not a PEM certificate (it begins with -----BEGIN CERTIFICATE-----)"


def _credentials(mirror: t.Mapping[str, t.Any], place: str, origin: str) -> t.Iterator[str]:
    given = [key for key in ("username", "password") if mirror.get(key)]
    if len(given) == 1:
        yield f"{place}.username and {place}.password: give both or neither"
    for key in given:
        problem = text_problem(mirror[key])
        if problem:
            yield f"{place}.{key}: {problem}"
    if "username" in given and isinstance(mirror["username"], str) and ":" in mirror["username"]:
        yield f"{place}.username: must not contain a colon"
    if given and origin.startswith("http://"):
        yield f"{place}.upstream: is asked without TLS, over which a password is not sent; use https://, with ca_certificate if its CA is a private one"
