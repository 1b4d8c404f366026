# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Names in certificates: which are well formed, and which a policy allows."""

from __future__ import annotations

import ipaddress
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import ascii_form, dns_problem, is_address

Pattern = t.Union[str, ipaddress.IPv4Network, ipaddress.IPv6Network]


def parse_name(text: str, where: str) -> str:
    """The normal form of a DNS name, a wildcard or an IP address. where names the parameter."""
    if is_address(text):
        return str(ipaddress.ip_address(text))
    name = text.lower()
    wildcard = name.startswith("*.")
    problem = dns_problem(name[2:] if wildcard else name)
    if problem and not name.isascii():
        raise HoldfastError(f"{where}: {text!r} must be written in its ASCII form{ascii_form(name)}")
    if problem or len(name) > 253:
        raise HoldfastError(
            f"{where}: {text!r} is neither a DNS name such as 'registry.example.org' or '*.example.org' "
            f"nor an IP address such as '192.0.2.10' or '2001:db8::10': it {problem or 'has more than 253 characters'}"
        )
    if wildcard and "." not in name[2:]:
        raise HoldfastError(f"{where}: {text!r} would match in no client: a wildcard needs two labels behind it, such as '*.example.org'")
    return name


def parse_domain(text: str, where: str) -> str:
    """The normal form of a domain for a name constraint: a DNS name that stands for itself and all names below it."""
    name = parse_name(text, where)
    if name.startswith("*.") or is_address(name):
        raise HoldfastError(f"{where}: {text!r} must be a domain such as 'example.org'; it covers the names below it as well")
    return name


def parse_range(text: str, where: str) -> str:
    """The normal form of a range of IP addresses for a name constraint: an address or a network."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise HoldfastError(f"{where}: {text!r} must be an IP address or a network such as '192.0.2.0/24' or '2001:db8::/32'") from None


def parse_pattern(text: str, where: str) -> Pattern:
    """A pattern for names that may be signed: "*.example.org", an exact DNS name, an address or a network."""
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        if "/" in text:
            raise HoldfastError(f"{where}: {text!r} is not a network such as '192.0.2.0/24': {error}") from None
    return parse_name(text, where)


def matches(name: str, patterns: t.Iterable[Pattern]) -> bool:
    """Whether one of the patterns allows a name that parse_name() has seen. "*.example.org" allows every name below."""
    if is_address(name):
        address = ipaddress.ip_address(name)
        return any(not isinstance(pattern, str) and address in pattern for pattern in patterns)
    return any(isinstance(pattern, str) and (name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))) for pattern in patterns)


def covers(pattern: str, name: str) -> bool:
    """Whether a name in a certificate is good for a server's name (RFC 6125): a wildcard stands for one whole label."""
    pattern, name = pattern.lower(), name.lower()
    if is_address(name) or is_address(pattern):
        return is_address(name) and is_address(pattern) and ipaddress.ip_address(name) == ipaddress.ip_address(pattern)
    if pattern.startswith("*."):
        label, dot, rest = name.partition(".")
        return pattern == name or bool(label and label != "*" and dot and rest == pattern[2:])
    return pattern == name


class Constraints(t.NamedTuple):
    """What a CA is limited to, each sorted: domains with the names below them, ranges of IP addresses. None of a kind: no limit."""

    domains: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()

    @property
    def are_set(self) -> bool:
        return bool(self.domains or self.ranges)

    def permit(self, name: str) -> bool:
        """Whether a name that parse_name() has seen lies within. Domains say nothing about addresses, and ranges nothing about domains."""
        if is_address(name):
            address = ipaddress.ip_address(name)
            return not self.ranges or any(address in ipaddress.ip_network(network) for network in self.ranges)
        host = name.removeprefix("*.")
        return not self.domains or any(host == domain or host.endswith(f".{domain}") for domain in self.domains)

    def __str__(self) -> str:
        return ", ".join(self.domains + self.ranges) or "none"


def constraints_of_parameters(domains: list[str] | None, ranges: list[str] | None) -> Constraints:
    """Read the parameters permitted_dns_domains and permitted_ip_ranges. Raises HoldfastError naming the place of the first wrong value."""
    return Constraints(
        tuple(sorted({parse_domain(text, f"permitted_dns_domains[{index}]") for index, text in enumerate(domains or [])})),
        tuple(sorted({parse_range(text, f"permitted_ip_ranges[{index}]") for index, text in enumerate(ranges or [])})),
    )
