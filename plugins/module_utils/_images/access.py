# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How registries are reached, and with which credentials."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import re
import ssl
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._http import Url, basic_credentials, parse_url
from ansible_collections.holdfast.registry.plugins.module_utils._images.names import api_host
from ansible_collections.holdfast.registry.plugins.module_utils._names import Endpoint, parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames, load_pair, trusting_context

_HUB_KEY = "https://index.docker.io/v1/"
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+|::1")


@dataclasses.dataclass(frozen=True)
class Access:
    """How a registry is reached. credentials is the Base64 half of Basic authentication, or empty.

    token_hosts are the hosts besides the registry's own that may be sent the credentials for a token.
    """

    registry: str
    url: Url
    timeout: int = 30
    context: ssl.SSLContext | None = None
    connect_to: Endpoint | None = None
    unix_socket: str | None = None
    credentials: str = dataclasses.field(default="", repr=False)
    token_hosts: tuple[str, ...] = ()


def parse_access(entries: t.Sequence[t.Mapping[str, t.Any]], config_file: str, timeout: int) -> t.Callable[[str], Access]:
    """Read the module's list of registries. Returns what finds the access to one, also to one that is not listed.

    Raises HoldfastError naming the place in the list, never repeating a password.
    """
    if not 1 <= timeout <= 3600:
        raise HoldfastError(f"timeout: {timeout} is not between 1 and 3600 seconds")
    kept = _Kept(config_file)
    known: dict[str, Access] = {}
    for index, entry in enumerate(entries):
        place = f"registries[{index}]"
        name = entry["registry"]
        parse_endpoint(name, parameter=f"{place}.registry")
        if name in known:
            raise HoldfastError(f"{place}.registry: {name!r} is listed twice")
        known[name] = _access(entry, place, kept, timeout)

    def find(registry: str) -> Access:
        if registry not in known:
            known[registry] = _access({"registry": registry}, registry, kept, timeout)
        return known[registry]

    return find


def _access(entry: t.Mapping[str, t.Any], place: str, kept: _Kept, timeout: int) -> Access:
    name = entry["registry"]
    url = _base(entry.get("url") or f"https://{api_host(name)}", place)
    context = None
    if url.scheme == "https":
        try:
            context = trusting_context(entry.get("ca_file"), entry.get("ca_certificate"))
            if entry.get("client_cert") is not None:
                load_pair(context, Pair(entry["client_cert"], entry["client_key"]), PairNames("client_cert", "client_key"))
        except HoldfastError as error:
            raise HoldfastError(f"{place}.{error}") from None
    credentials = ""
    if entry.get("username") is not None:
        try:
            credentials = basic_credentials(entry["username"], entry["password"])
        except HoldfastError as error:
            raise HoldfastError(f"{place}.{error}") from None
        if url.scheme == "http" and not entry.get("unix_socket") and not _LOOPBACK.fullmatch(url.host):
            raise HoldfastError(f"{place}.url: {url.text!r} would carry the password readable through the network; use https://")
    elif url.scheme == "https":
        credentials = kept.credentials(name)
    connect_to = entry.get("connect_to")
    for index, host in enumerate(entry.get("token_hosts") or []):
        parse_endpoint(host, parameter=f"{place}.token_hosts[{index}]")
    return Access(
        name,
        url,
        timeout,
        context,
        None if connect_to is None else parse_endpoint(connect_to, parameter=f"{place}.connect_to"),
        entry.get("unix_socket"),
        credentials,
        tuple(entry.get("token_hosts") or ()) + (("auth.docker.io",) if name == "docker.io" else ()),
    )


def _base(text: str, place: str) -> Url:
    try:
        url = parse_url(text)
    except HoldfastError as error:
        raise HoldfastError(f"{place}.{error}") from None
    if url.target != "/":
        raise HoldfastError(f"{place}.url: {text!r} must have no path; use {url.scheme}://{url.host_header}")
    return url


class _Kept:
    """The credentials in a configuration file of Docker or podman, which is read when the first are asked for."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._data: dict[str, t.Any] | None = None

    def credentials(self, registry: str) -> str:
        """The credentials for a registry as Basic authentication has them; empty where there are none."""
        if self._data is None:
            self._data = self._read()
        keys = (_HUB_KEY,) if registry == "docker.io" else (registry, f"https://{registry}", f"https://{registry}/v2/", f"https://{registry}/v1/")
        helpers, auths = self._data.get("credHelpers"), self._data.get("auths")
        for key in keys:
            helper = (helpers.get(key) if isinstance(helpers, dict) else None) or self._data.get("credsStore")
            entry = auths.get(key) if isinstance(auths, dict) else None
            if not isinstance(entry, dict) and not (isinstance(helpers, dict) and helpers.get(key)):
                continue
            if helper or not isinstance(entry, dict):
                raise HoldfastError(f"{self.path}: the credentials for {registry} are with the helper {helper!r}; give username and password in registries")
            if entry.get("identitytoken"):
                raise HoldfastError(f"{self.path}: there is an identity token for {registry}, no password; give username and password in registries")
            auth = entry.get("auth")
            if not _is_pair(auth):
                raise HoldfastError(f"{self.path}: 'auth' for {registry} is not the Base64 form of a username and a password")
            return str(auth)
        return ""

    def _read(self) -> dict[str, t.Any]:
        try:
            data = json.loads(read_bytes(self.path) or b"{}")
        except (ValueError, RecursionError):
            raise HoldfastError(f"config_file: {self.path} is not valid JSON") from None
        if not isinstance(data, dict):
            raise HoldfastError(f"config_file: {self.path} is JSON, but not an object ({{...}})")
        return data


def _is_pair(auth: t.Any) -> bool:
    try:
        return isinstance(auth, str) and b":" in base64.b64decode(auth, validate=True)
    except (binascii.Error, ValueError):
        return False
