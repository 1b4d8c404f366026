# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the group registry_servers, and what several of them need: one object store, and nothing that only one host can have."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.plugin_utils import virtual_addresses
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import alike
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Host, Settings, range_problem
from ansible_collections.holdfast.registry.plugins.plugin_utils.site_store import s3_of

# Two checks, a second apart, until it is known, and then up to two seconds until another host has the address: see role virtual_address.
MOVE_SECONDS = 5
_EXAMPLE = "{s3: {endpoint: 'https://store.example.org', bucket: registry, access_key: ..., secret_key: ...}}"


def problems(settings: Settings, host: Host) -> list[str]:
    """What is wrong, by setting."""
    servers = list(host.groups.get("registry_servers", []))
    if not servers:
        return ["registry_servers: the group must have at least one host, which runs the registry"]
    found = range_problem("holdfast_drain_seconds", settings["holdfast_drain_seconds"], 0, 3600, " seconds")
    found += [*_virtual_address(settings, servers), *_redis(settings, servers), *_keeper(settings)]
    return [*found, *_several(settings, servers), *alike.problems(host, servers)] if len(servers) > 1 else found


def _several(settings: Settings, servers: list[str]) -> t.Iterator[str]:
    if not s3_of(settings["registry_storage"]):
        yield (
            f"holdfast_storage: registry_servers has {len(servers)} hosts, {', '.join(servers)}, which can share only what is in an object store: "
            f"set it to {_EXAMPLE}, or leave one host in the group"
        )
        return
    for number, instance in enumerate(settings["registry_instances"]):
        if not isinstance(instance, dict) or instance.get("mirror") or instance.get("state") == "absent" or s3_of(instance.get("storage")):
            continue
        yield (f"registry_instances[{number}].storage: is in files, which the {len(servers)} hosts of registry_servers cannot share: set it to {_EXAMPLE}")
    if settings["holdfast_certificate_source"] == "acme" and settings["acme_challenge"] == "http-01":
        yield (
            "acme_challenge: with http-01 the ACME server asks any of the hosts, and only one has the answer; "
            "use dns-01, or another holdfast_certificate_source"
        )


def _virtual_address(settings: Settings, servers: list[str]) -> t.Iterator[str]:
    """The role checks it against the host's own addresses."""
    virtual = settings["holdfast_virtual_address"]
    if not virtual:
        return
    try:
        virtual_addresses.parse("holdfast_virtual_address", virtual)
    except ValueError as error:
        yield str(error)
    if len(servers) < 2:
        yield f"holdfast_virtual_address: moves between hosts, and registry_servers has only {servers[0]}; add another, or leave it out"
    elif settings["holdfast_drain_seconds"] < MOVE_SECONDS:
        yield (
            f"holdfast_drain_seconds: {settings['holdfast_drain_seconds']} is less than the {MOVE_SECONDS} seconds in which holdfast_virtual_address moves "
            "away from a host that is drained"
        )


def _redis(settings: Settings, servers: list[str]) -> t.Iterator[str]:
    chosen = settings["holdfast_redis_host"]
    if not chosen:
        return
    if chosen not in servers:
        yield (
            f'holdfast_redis_host: "{chosen}" is not in registry_servers ({", ".join(servers)}); '
            "for a Redis elsewhere set registry_redis_address and registry_redis_password"
        )
    elif len(servers) > 1 and all(address.startswith("127.") or address == "::1" for address in settings["redis_bind_addresses"]):
        yield f"redis_bind_addresses: needs an address of {chosen} that the other hosts of registry_servers reach, for its Redis is for all of them"


def _keeper(settings: Settings) -> t.Iterator[str]:
    """What is in an object store is kept, and backed up, where that is asked for."""
    if not s3_of(settings["registry_storage"]):
        return
    for name in ("keeper_retention", "keeper_bucket_backup", "keeper_backup_repository"):
        if settings[name] and not settings.get("holdfast_keeper"):
            yield (
                f"{name}: has no effect: holdfast_storage puts images into an object store, where the keeper works only with holdfast_keeper: true; set it too"
            )
