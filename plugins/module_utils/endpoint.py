# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where a server listens, as users write it: HOST, HOST:PORT or [IPv6]:PORT."""

from __future__ import annotations

import ipaddress
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]*)\](?::(?P<port>.*))?", re.DOTALL)
_PLAIN = re.compile(r"(?P<host>[^:]*)(?::(?P<port>[^:]*))?", re.DOTALL)
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")


class Endpoint(t.NamedTuple):
    """A host name or address (IPv6 without its brackets), and a port or None. str() gives the written form back."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def parse_endpoint(text: str, *, parameter: str) -> Endpoint:
    """Read HOST, HOST:PORT, [IPv6] or [IPv6]:PORT. The host's case is kept.

    What passes is safe as one component of a path: no slash, no leading dot, no white space.

    Raises HoldfastError naming the parameter.
    """
    if "@" in text:
        # Not repeated in the message: what stands before the @ is probably a password.
        raise HoldfastError(f"{parameter}: must be HOST or HOST:PORT, without a username or password")
    if "/" in text:
        raise HoldfastError(f"{parameter}: {text!r} must be HOST or HOST:PORT alone, without a scheme such as https:// and without a path")
    match = _BRACKETED.fullmatch(text) or _PLAIN.fullmatch(text)
    if not match:
        raise HoldfastError(f"{parameter}: {text!r} is not HOST, HOST:PORT or [IPv6]:PORT; an IPv6 address is written in brackets, such as [2001:db8::1]:5000")
    host, port = match["host"], match["port"]
    valid = _is_ipv6(host) if text.startswith("[") else _is_name_or_ipv4(host)
    if not valid:
        raise HoldfastError(f"{parameter}: {text!r} has no valid host name or address; right would be registry.example.com, 192.0.2.1 or [2001:db8::1]")
    if port is not None and not (_PORT.fullmatch(port) and int(port) <= 65535):
        raise HoldfastError(f"{parameter}: {text!r} has no valid port after the colon; right would be a number from 1 to 65535")
    return Endpoint(host, None if port is None else int(port))


def _is_ipv6(host: str) -> bool:
    if "%" in host:  # ipaddress takes any text for a zone, "/" and ".." included
        return False
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _is_name_or_ipv4(host: str) -> bool:
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        return False
    if not labels[-1].isdigit():
        return True
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True
