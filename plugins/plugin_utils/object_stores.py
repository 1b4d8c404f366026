# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage in an S3 store: what a setting such as registry_storage says, resolved and checked."""

from __future__ import annotations

import difflib
import re
import typing as t
import urllib.parse

from ansible.module_utils.parsing.convert_bool import boolean
from ansible_collections.holdfast.registry.plugins.module_utils._names import dns_problem, parse_endpoint
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import as_number, pem_problem, said

# The keys of s3 and their defaults. None is a key that has to be given.
DEFAULTS: dict[str, t.Any] = {
    "endpoint": None,
    "region": "us-east-1",
    "bucket": None,
    "prefix": "",
    "access_key": None,
    "secret_key": None,
    "ca_certificate": "",
    "path_style": True,
    "encrypt": False,
    "key_id": "",
    "chunk_mb": 10,
    "redirect": True,
    "probe": True,
}
_EXAMPLE = "{endpoint: https://store.example.org:8333, bucket: registry, access_key: ..., secret_key: ...}"
_EXAMPLES = {"endpoint": "https://store.example.org:8333", "bucket": "registry", "access_key": "the name of a key", "secret_key": "the secret of that key"}
_BOOLEANS = ("path_style", "encrypt", "redirect", "probe")
# Of both the registry's programs and this collection's probe.
SECRETS = ("access_key", "secret_key")

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_REGION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_KEY_ID = re.compile(r"[A-Za-z0-9:/_.-]*")
# They go through systemd's environment files and are then read as YAML.
_CREDENTIAL = re.compile(r"[A-Za-z0-9._~+/=-]+")


def parse(written: t.Any, place: str) -> tuple[dict[str, t.Any] | None, list[str]]:
    """The store that a setting asks for with all its keys, or None for files; and what is wrong with the setting.

    place is the setting's name. A store with problems has what could be read of it. Secrets are never in a message.
    """
    if not isinstance(written, t.Mapping):
        return None, [f"{place}: is neither {{}}, for files, nor a dictionary with the key s3"]
    found = [f"{place}.{key}: is no key of it; the only one is s3" for key in written if key != "s3"]
    given = written.get("s3")
    if given is None:
        return None, found
    place = f"{place}.s3"
    if not isinstance(given, t.Mapping):
        return None, [*found, f"{place}: must be a dictionary such as {_EXAMPLE}"]
    for key in given:
        if key not in DEFAULTS:
            found.append(f"{place}.{key}: is no key of it; the closest is {difflib.get_close_matches(str(key), DEFAULTS, n=1, cutoff=0)[0]}")
    store = {**DEFAULTS, **{key: value for key, value in given.items() if key in DEFAULTS and value is not None}}
    found += [f"{place}.{key}: is missing; give {example}" for key, example in _EXAMPLES.items() if store[key] is None or store[key] == ""]
    for key in _BOOLEANS:
        try:
            store[key] = boolean(store[key])
        except TypeError:
            found.append(f"{place}.{key}: {store[key]!r} is neither true nor false")
    number = as_number(store["chunk_mb"])
    if number is None or not 5 <= number <= 1024:
        found.append(f"{place}.chunk_mb: {store['chunk_mb']!r} is not a number of megabytes from 5 to 1024")
    store["chunk_mb"] = number
    for key, default in DEFAULTS.items():
        if key not in (*_BOOLEANS, "chunk_mb"):
            store[key] = str(default or "" if store[key] is None else store[key])
    store["endpoint"] = store["endpoint"].rstrip("/")
    store["prefix"] = store["prefix"].strip("/")
    return store, [*found, *_problems(store, place)]


def _problems(store: dict[str, t.Any], place: str) -> t.Iterator[str]:
    if store["endpoint"]:
        yield from _endpoint_problems(store["endpoint"], f"{place}.endpoint")
    if store["bucket"] and (not _BUCKET.fullmatch(store["bucket"]) or ".." in store["bucket"]):
        yield f'{place}.bucket: "{store["bucket"]}" is not 3 to 63 lower-case letters, digits, . and -'
    elif not store["path_style"] and "." in store["bucket"]:
        yield f'{place}.bucket: "{store["bucket"]}" has a dot, so no certificate covers it as part of the host; set path_style to true'
    if store["prefix"] and not _PREFIX.fullmatch(store["prefix"]):
        yield f'{place}.prefix: "{store["prefix"]}" is neither empty nor names of letters, digits, ., _ and - with / between them'
    if not _REGION.fullmatch(store["region"]):
        yield f'{place}.region: "{store["region"]}" is not a region such as us-east-1, which stores without regions take as well'
    for key in SECRETS:
        if store[key] and not _CREDENTIAL.fullmatch(store[key]):
            yield f"{place}.{key}: has other characters than letters, digits and ._~+/=-"
    if not store["path_style"] and re.search(r"(\.\d+|\])(:\d+)?$", store["endpoint"]):
        yield f"{place}.path_style: must be true, since the host of {place}.endpoint is an IP address, of which no bucket can be a part"
    yield from pem_problem(f"{place}.ca_certificate", store["ca_certificate"])
    if not _KEY_ID.fullmatch(store["key_id"]):
        yield f'{place}.key_id: "{store["key_id"]}" is not the name of a key such as alias/registry'
    if store["key_id"] and store["encrypt"] is False:
        yield f"{place}.key_id: has no effect without encrypt: true"


def _endpoint_problems(endpoint: str, place: str) -> list[str]:
    if "@" in endpoint:
        return [f"{place}: must be a URL without a username or password; give access_key and secret_key"]
    if not endpoint.startswith("https://"):
        return [f'{place}: "{endpoint}" does not begin with https://; without TLS everybody between here and the store could change images']
    rest = endpoint[len("https://") :]
    if not re.fullmatch(r"[A-Za-z0-9.:\[\]-]+", rest):
        return [f'{place}: "{endpoint}" is not https://HOST or https://HOST:PORT; the bucket and the prefix have keys of their own']
    return said(parse_endpoint, rest, parameter=place)


def redirect_problems(store: t.Mapping[str, t.Any], place: str) -> t.Iterator[str]:
    """What is wrong with a store that clients, or the gateway for them, are redirected to. place is that of its keys."""
    host = parse_endpoint(store["endpoint"].partition("://")[2], parameter=place).host
    if store["redirect"] and (dns_problem(host) or host != host.lower()):
        yield (
            f'{place}.endpoint: "{store["endpoint"]}" must have a DNS name in lower case, since nginx fetches images there and verifies no addresses in '
            f"certificates; or set {place}.redirect to false, and the registry passes them on"
        )


def url(store: t.Mapping[str, t.Any]) -> str:
    """Where the objects are: the beginning of each of their URLs, without a slash at the end. No secret is in it."""
    parts = urllib.parse.urlsplit(store["endpoint"])
    root = f"{store['endpoint']}/{store['bucket']}" if store["path_style"] else f"{parts.scheme}://{store['bucket']}.{parts.netloc}"
    return f"{root}/{store['prefix']}".rstrip("/")


def bucket_of(store: t.Mapping[str, t.Any]) -> str:
    """The bucket, however its endpoint is written: to compare it with others."""
    return f"{re.sub(':443$', '', urllib.parse.urlsplit(store['endpoint']).netloc.lower())}/{store['bucket']}"


def open_part(store: t.Mapping[str, t.Any] | None) -> dict[str, t.Any] | None:
    """What of a store may be shown and written where others can read it."""
    return None if store is None else {key: value for key, value in store.items() if key not in SECRETS}


def probes(stores: t.Iterable[tuple[str, t.Mapping[str, t.Any]]]) -> list[dict[str, t.Any]]:
    """The stores of instances, by their names, as the module object_store_probe takes them."""
    keys = ("endpoint", "region", "bucket", "prefix", "access_key", "secret_key", "ca_certificate", "path_style", "encrypt", "key_id")
    return [{"name": name, **{key: store[key] for key in keys}} for name, store in stores if store["probe"]]
