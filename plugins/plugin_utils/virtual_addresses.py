# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host meets a virtual address: the interface and the host's own address in the same network."""

from __future__ import annotations

import contextlib
import ipaddress
import typing as t

Interface = t.Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]

_EXAMPLE = "such as 192.0.2.10/24"


def parse(setting: str, text: str) -> Interface:
    """ADDRESS/PREFIX. Raises ValueError with what is wrong for a text that is none, or none that hosts can share."""
    if "/" not in text or "%" in text:
        raise ValueError(f'{setting}: "{text}" is not an IP address with the prefix length of its network, {_EXAMPLE}')
    try:
        address = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError(f'{setting}: "{text}" is not an IP address with the prefix length of its network, {_EXAMPLE}') from None
    ip, network = address.ip, address.network
    if not text.rpartition("/")[2].isdecimal():
        raise ValueError(f'{setting}: "{text}" has a network mask; give the prefix length, /{network.prefixlen}')
    if ip.is_loopback or ip.is_multicast or ip.is_unspecified or ip.is_link_local:
        raise ValueError(f'{setting}: "{text}" is not an address that clients of other hosts reach, {_EXAMPLE}')
    if network.prefixlen < ip.max_prefixlen - 1 and ip in (network.network_address, *([network.broadcast_address] if ip.version == 4 else [])):
        raise ValueError(f'{setting}: "{text}" is the address of the network {network} or of all its hosts; choose a free one in it')
    return address


def meeting(variables: t.Mapping[str, t.Any], virtual: str) -> dict[str, str]:
    """The C(interface) of the host and its own C(address) there, or {} where its facts have none in the network of the virtual address.

    The variables virtual_address_interface and virtual_address_source win where they are set.
    """
    wanted, address = str(variables.get("virtual_address_interface") or ""), str(variables.get("virtual_address_source") or "")
    try:
        shared = parse("", virtual)
    except ValueError:
        return {}
    if wanted and address:
        return {"interface": wanted, "address": address}
    found = [(device, own) for device, own in addresses(variables.get("ansible_facts") or {}) if own.version == shared.version and not own.ip.is_link_local]
    near = [(device, own) for device, own in found if own.network == shared.network and own.ip != shared.ip]
    chosen = [(device, own) for device, own in found if device == wanted and own.ip != shared.ip] if wanted else near
    if address:
        chosen = [(device, own) for device, own in chosen or found if str(own.ip) == address]
    both = [each for each in chosen if each in near] or chosen
    return {"interface": both[0][0], "address": str(both[0][1].ip)} if both else {}


def addresses(facts: t.Mapping[str, t.Any]) -> list[tuple[str, Interface]]:
    """Every interface and address that the facts of a host name, those of IPv4 before those of IPv6."""
    found = []
    for fact in facts.values():
        if not isinstance(fact, t.Mapping) or not isinstance(fact.get("device"), str):
            continue
        for entry in [fact.get("ipv4"), *(fact.get("ipv4_secondaries") or []), *(fact.get("ipv6") or [])]:
            if isinstance(entry, t.Mapping) and entry.get("address"):
                length = entry.get("netmask") or entry.get("prefix") or (128 if ":" in str(entry["address"]) else 32)
                with contextlib.suppress(ValueError):
                    found.append((str(fact["device"]), ipaddress.ip_interface(f"{entry['address']}/{length}")))
    return sorted(found, key=lambda each: (each[1].version, each[0] == "lo", each[0], each[1].ip.packed))


def somebody_elses(facts: t.Mapping[str, t.Any], shared: Interface) -> str:
    """The interface on which the host has the virtual address itself. What keepalived sets here is a route to one host, so has no network."""
    for device, own in addresses(facts):
        if own.ip == shared.ip and own.network.prefixlen < own.max_prefixlen:
            return device
    return ""
