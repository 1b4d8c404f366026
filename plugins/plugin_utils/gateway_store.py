# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The object store of a registry behind the gateway: the only place to which nginx follows the registry's redirects."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._names import dns_problem, kind_of

DEFAULTS = {"url": "", "ca_certificate": "", "cache_directory": "/var/cache/holdfast-gateway", "cache_size": "10g"}

_CONFIGURATION = "/etc/holdfast-gateway"
_SYSTEM_CAS = "/etc/ssl/certs/ca-certificates.crt"
_EXAMPLE = "https://store.example.org:8333/BUCKET/PREFIX or https://BUCKET.store.example.org/PREFIX"
_URL = re.compile(r"https://(?P<host>[^/:@?#]+)(?::(?P<port>[1-9][0-9]{0,4}))?(?P<path>(?:/[A-Za-z0-9._~-]+)*)/?")
_SIZE = re.compile(r"(?P<number>[1-9][0-9]{0,5})(?P<unit>[mg])")
# A layer of many slices has to fit, or it would push out its own beginning.
_LEAST_MB = 64


def read_store(written: t.Any, place: str, name: str) -> tuple[dict[str, t.Any], list[str]]:
    """What a registry's store means for nginx, and what is wrong with it. No store is an empty dictionary.

    place is where it is written, and name the registry's. A store has DEFAULTS' keys and: server (HOST:PORT), host (the
    name in its certificate), authority (the header Host, as presigned URLs are signed with it), path (before the registry's
    own directories), pattern (a regular expression for the beginning of its URLs), trusted (a file of CA certificates),
    files and directories (for the module files).
    """
    if not written:
        return {}, []
    if not isinstance(written, dict):
        return {}, [f"{place}: must be a dictionary such as {{url: https://store.example.org:8333/BUCKET}}, not {kind_of(written)}"]
    # A key without a value says nothing: Ansible fills in those that an argument spec knows.
    written = {key: value for key, value in written.items() if value is not None}
    if not written:
        return {}, []
    unknown = [key for key in written if key not in DEFAULTS]
    if unknown:
        return {}, [f"{place}: unknown key {unknown[0]!r}; there are {', '.join(DEFAULTS)}"]
    store: dict[str, t.Any] = {**DEFAULTS, **written}
    problems = [f"{place}.{key}: must be a string, not {kind_of(value)}" for key, value in store.items() if not isinstance(value, str)]
    if problems:
        return {}, problems
    problems = [*_url_problems(store["url"], f"{place}.url"), *_size_problems(store["cache_size"], f"{place}.cache_size")]
    return ({}, problems) if problems else (_resolved(store, name), [])


def _url_problems(url: str, place: str) -> t.Iterator[str]:
    if not url:
        yield f"{place}: is missing; give where the registry's objects begin, {_EXAMPLE}"
        return
    found = _URL.fullmatch(url)
    if not found:
        # It may hold a password, so it is not repeated.
        yield f"{place}: is not the https URL of a bucket, without user, query and other characters in its path than letters, digits and ._~-: {_EXAMPLE}"
    elif dns_problem(found["host"]) or found["host"] != found["host"].lower():
        yield f"{place}: {found['host']!r} must be a DNS name in lower case, since nginx verifies no addresses in certificates"
    elif int(found["port"] or 443) > 65535:
        yield f"{place}: {found['port']} is not a port between 1 and 65535"
    elif {".", ".."} & set(found["path"].split("/")):
        yield f"{place}: has . or .. in its path; write the path without"


def _size_problems(size: str, place: str) -> t.Iterator[str]:
    found = _SIZE.fullmatch(size)
    if not found:
        yield f'{place}: "{size}" is not a size such as 512m or 10g'
    elif int(found["number"]) * {"m": 1, "g": 1024}[found["unit"]] < _LEAST_MB:
        yield f'{place}: "{size}" is too small for a layer; give at least {_LEAST_MB}m'


def _resolved(store: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    found = _URL.fullmatch(store["url"])
    if not found:
        raise ValueError(store["url"])
    host, port, path = found["host"], int(found["port"] or 443), found["path"]
    file = f"{_CONFIGURATION}/store-{name}.pem"
    # The port that https has anyway is not signed, and a URL may have it or not.
    written_port = "(?::443)?" if port == 443 else f":{port}"
    return {
        **store,
        "server": f"{host}:{port}",
        "host": host,
        "authority": host if port == 443 else f"{host}:{port}",
        "path": path,
        "pattern": f"https://{host}{written_port}{path}".replace(".", "[.]"),
        "trusted": file if store["ca_certificate"] else _SYSTEM_CAS,
        "files": [{"path": file, "content": store["ca_certificate"].strip() + "\n"}] if store["ca_certificate"] else [],
        # It belongs to root: in a directory of its own, a worker could replace the cache by a link, which nginx follows as root.
        "directories": [{"path": store["cache_directory"].rstrip("/")}],
        "cache": f"{store['cache_directory'].rstrip('/')}/{name}",
    }
