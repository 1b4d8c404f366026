# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The grammar of all names: hosts, endpoints, users, files, and users of client certificates."""

from __future__ import annotations

import ipaddress
import os
import re
import typing as t
import unicodedata

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_BRACKETED = re.compile(r"\[(?P<host>[^\[\]]*)\](?::(?P<port>.*))?", re.DOTALL)
_PLAIN = re.compile(r"(?P<host>[^:]*)(?::(?P<port>[^:]*))?", re.DOTALL)
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r"[A-Za-z0-9-]+")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_CERTIFICATE_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


# Hosts


def dns_problem(text: str) -> str | None:
    """Why text is no DNS name, in words that can follow it; None for one. The case of letters does not matter."""
    if not text.isascii():
        return f"is not in its ASCII form{ascii_form(text)}"
    if len(text) > 253:
        return "has more than 253 characters"
    labels = text.split(".")
    for label in labels:
        problem = _label_problem(label)
        if problem:
            return problem
    return "ends in a number, as only an IP address does" if labels[-1].isdigit() else None


def _label_problem(label: str) -> str | None:
    if not label:
        return "has nothing before, between or after its dots"
    if len(label) > 63:
        return "has more than 63 characters between two dots"
    if "_" in label:
        return "has an underscore, which no host's name may have; a hyphen may be meant"
    if not _LABEL.fullmatch(label):
        return "has other characters than letters, digits, hyphens and dots"
    if label.startswith("-") or label.endswith("-"):
        return "has a hyphen next to a dot or at an end"
    return None


def ascii_form(name: str) -> str:
    """How a name in another script is written in DNS, as the end of a sentence."""
    try:
        return f": {name.encode('idna').decode('ascii')!r}"
    except UnicodeError:
        return ", such as 'xn--bcher-kva.example' for 'bücher.example'"


def host_problem(text: str) -> str | None:
    """Why text is neither a DNS name nor an IP address (IPv6 without brackets); None for either."""
    return None if is_address(text) else dns_problem(text)


def is_address(text: str) -> bool:
    """Whether text is an IP address. Addresses with a zone are excluded, since the meaning of a zone differs by host."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


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
    problem = _ipv6_problem(host) if text.startswith("[") else host_problem(host)
    if problem:
        raise HoldfastError(f"{parameter}: {text!r} has no valid host name or address: it {problem}; use registry.example.com, 192.0.2.1 or [2001:db8::1]")
    if port is not None and not (_PORT.fullmatch(port) and int(port) <= 65535):
        raise HoldfastError(f"{parameter}: {text!r} has no valid port after the colon; use a number from 1 to 65535")
    return Endpoint(host, None if port is None else int(port))


def spellings(registry: str) -> list[str]:
    """The ways to write a registry, the one with a port first: clients take HOST and HOST:443 for two names."""
    host = re.sub(r":443\Z", "", registry)
    return [registry] if re.search(r":[0-9]+\Z", host) else [f"{host}:443", host]


def _ipv6_problem(host: str) -> str | None:
    return None if ":" in host and is_address(host) else "has no IPv6 address in its brackets"


# Files


def check_file_name(name: str, where: str) -> None:
    """Refuse a name that cannot be a file's, with something appended to it."""
    if not _FILE_NAME.fullmatch(name):
        raise HoldfastError(f"{where}: {name!r} cannot name a file; use letters, digits, '.', '_' and '-', the first a letter or digit, at most 200")


def check_no_nul(path: str, where: str) -> None:
    """Refuse a path that no file can have."""
    if "\0" in path:
        raise HoldfastError(f"{where}: {path!r} must not contain a NUL character")


def absolute_path(params: dict[str, t.Any], name: str) -> str:
    """The path that is the parameter name, without any . and .. in it. Raises a HoldfastError where it is not absolute, or the root."""
    path = params[name] or ""
    if not os.path.isabs(path) or os.path.normpath(path) == "/" or not path.isprintable():
        raise HoldfastError(f"{name}: {path!r} is not an absolute path, such as /etc/docker/certs.d")
    return os.path.normpath(path)


# Users


def user_problems(name: t.Any) -> list[str]:
    """The problem with the name of a user who has a password. It may contain anything that a line of a password file can."""
    problem = text_problem(name)
    if problem:
        return [problem]
    found = []
    if ":" in name:
        found.append(f"{name!r} must not contain a colon")
    if name.startswith("#"):
        found.append(f"{name!r} must not begin with '#', which begins a comment")
    if name != name.strip():
        found.append(f"{name!r} must not begin or end with white space")
    if len(name.encode()) > 255:
        found.append(f"is {len(name.encode())} bytes long in UTF-8, at most 255 are allowed")
    return found


def certificate_user_problem(name: t.Any) -> str | None:
    """The problem with the name of a user of a client certificate, or None for a name that the gateway can read from one."""
    problem = text_problem(name)
    if problem or _CERTIFICATE_USER.fullmatch(name):
        return problem
    return f"{name!r} cannot be read from a client certificate: use letters, digits, '.', '_', '@' and '-', the first a letter or digit, at most 64"


def text_problem(value: t.Any) -> str | None:
    """Why a value that Ansible has not checked is not valid text for a name or a password. The value is never repeated."""
    if not isinstance(value, str):
        return f"must be a string, not {kind_of(value)}: put it in quotes"
    if not value:
        return "must not be empty"
    categories = {unicodedata.category(character) for character in value}
    if "Cc" in categories:
        return "must not contain control characters such as a new line or a tab"
    return "is not valid Unicode text" if "Cs" in categories else None


def kind_of(value: t.Any) -> str:
    """The type of a value, in the terms of YAML."""
    for kind, name in ((bool, "a boolean"), (int, "a number"), (float, "a number"), (str, "a string"), (dict, "a dictionary"), (list, "a list")):
        if isinstance(value, kind):
            return name
    return "empty" if value is None else "something else"


# Subjects of certificates

_ATTRIBUTES = {
    # by RFC 4514 and 2253, and by the names that OpenSSL and so Python's ssl have for them
    "CN": ("2.5.4.3", "commonName"),
    "L": ("2.5.4.7", "localityName"),
    "ST": ("2.5.4.8", "stateOrProvinceName"),
    "O": ("2.5.4.10", "organizationName"),
    "OU": ("2.5.4.11", "organizationalUnitName"),
    "C": ("2.5.4.6", "countryName"),
    "STREET": ("2.5.4.9", "streetAddress"),
    "DC": ("0.9.2342.19200300.100.1.25", "domainComponent"),
    "UID": ("0.9.2342.19200300.100.1.1", "userId"),
    # no short name there: by their numbers
    "1.2.840.113549.1.9.1": ("emailAddress",),
    "2.5.4.5": ("serialNumber",),
    "2.5.4.97": ("organizationIdentifier",),
}
_SHORT = {name: short for short, names in _ATTRIBUTES.items() for name in names}


def subject_text(parts: t.Iterable[t.Iterable[tuple[str, str]]]) -> str:
    """A distinguished name as RFC 4514 writes it, the last part first: CN=Example CA,O=Example\\, Inc,C=DE.

    parts are in the order of the certificate. Each holds pairs of an attribute and its value, the attribute a dotted
    number or the name that Python's ssl gives it.
    """
    written = ["+".join(f"{_SHORT.get(name, name)}={_escaped(value)}" for name, value in part) for part in parts]
    return ",".join(reversed(written))


def _escaped(value: str) -> str:
    text = re.sub(r'([\\"+,;<>])', r"\\\1", value).replace("\0", r"\00")
    if text.startswith(("#", " ")):
        text = "\\" + text
    return text[:-1] + r"\ " if text.endswith(" ") and len(value) > 1 else text
