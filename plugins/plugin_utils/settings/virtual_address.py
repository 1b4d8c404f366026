# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role virtual_address that cannot work."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.holdfast.registry.plugins.plugin_utils import virtual_addresses
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Host, Settings, is_address, range_problem

_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
# What a word of keepalived's configuration can hold.
_URL = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?/[A-Za-z0-9._~/-]*")


def problems(settings: Settings, host: Host) -> list[str]:
    """What is wrong with the settings, each with its variable and place."""
    if not settings["virtual_address_ip"]:
        return []
    found = range_problem("virtual_address_router_id", settings["virtual_address_router_id"], 1, 255)
    if not _URL.fullmatch(settings["virtual_address_check_url"]):
        found.append(f'virtual_address_check_url: "{settings["virtual_address_check_url"]}" is not a URL such as https://registry.example.org/healthz')
    try:
        shared = virtual_addresses.parse("virtual_address_ip", settings["virtual_address_ip"])
    except ValueError as error:
        return [str(error), *found]
    return found + [*_place(settings, host, shared)] + [*_peers(settings, host, shared)]


def _place(settings: Settings, host: Host, shared: virtual_addresses.Interface) -> t.Iterator[str]:
    """What is wrong with where the host has it."""
    interface, source = settings["virtual_address_interface"], settings["virtual_address_source"]
    taken = virtual_addresses.somebody_elses(host.facts, shared)
    if taken:
        yield f"virtual_address_ip: {host.name} has {shared.ip} itself, on {taken}; choose an address that no host has, or take it from that interface"
        return
    known = sorted({device for device, _address in virtual_addresses.addresses(host.facts)})
    if interface and not _INTERFACE.fullmatch(interface):
        yield f'virtual_address_interface: "{interface}" is not the name of an interface'
    elif interface and known and interface not in known:
        yield f"virtual_address_interface: {host.name} has no interface {interface} with an address, but {', '.join(known)}"
    elif source and (not is_address(source) or (":" in source) != (shared.version == 6)):
        yield f'virtual_address_source: "{source}" is not an IPv{shared.version} address'
    elif not virtual_addresses.meeting({**settings, "ansible_facts": host.facts}, settings["virtual_address_ip"]):
        yield (
            f"virtual_address_ip: {host.name} has no address in {shared.network}, but {_listed(host, shared)}; give the prefix length of its network, "
            "or set virtual_address_interface and virtual_address_source"
        )


def _listed(host: Host, shared: virtual_addresses.Interface) -> str:
    own = [f"{address} on {device}" for device, address in virtual_addresses.addresses(host.facts) if address.version == shared.version]
    return ", ".join(each for each in own if not each.startswith(("127.", "::1/"))) or f"none of IPv{shared.version}"


def _peers(settings: Settings, host: Host, shared: virtual_addresses.Interface) -> t.Iterator[str]:
    """What is wrong with the other hosts, which are told one by one: many networks do not carry multicast."""
    peers = settings["virtual_address_peers"]
    if not peers:
        yield "virtual_address_peers: needs the address of at least one other host, to which the virtual address can move"
    own = virtual_addresses.meeting({**settings, "ansible_facts": host.facts}, settings["virtual_address_ip"]).get("address")
    for place, peer in enumerate(peers):
        where = f"virtual_address_peers[{place}]"
        if not is_address(peer) or (":" in peer) != (shared.version == 6):
            yield f'{where}: "{peer}" is not an IPv{shared.version} address, as virtual_address_ip is'
        elif peer == str(shared.ip):
            yield f"{where}: {peer} is the virtual address itself; name the other host's own"
        elif peer == own:
            yield f"{where}: {peer} is the address of {host.name} itself; name the other hosts only"
        elif peer in peers[:place]:
            yield f"{where}: {peer} is there twice"
