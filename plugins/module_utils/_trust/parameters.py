# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stores of a host are to keep, read from a module's parameters."""

from __future__ import annotations

import dataclasses
import functools
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._module import Call, HoldfastError, Options, Result, pem, show_short, words
from ansible_collections.holdfast.registry.plugins.module_utils._names import absolute_path, parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames
from ansible_collections.holdfast.registry.plugins.module_utils._trust import system
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import read_ca_certificates, read_valid_ones
from ansible_collections.holdfast.registry.plugins.module_utils._trust.client import ClientPair
from ansible_collections.holdfast.registry.plugins.module_utils._trust.kept import Kept
from ansible_collections.holdfast.registry.plugins.module_utils._trust.registries import RegistryStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.system import SystemStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import Stores, check_name, kept_so_far, trust

STORES = ("system", "docker", "containers", "containerd")
OPTIONS: Options = {
    "name": {"type": "str", "required": True},
    "content": pem(),
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "stores": words(STORES),
    "only_these_stores": {"type": "bool", "default": False},
    "additional": {"type": "bool", "default": False},
    "former_names": {"type": "list", "elements": "str", "default": []},
    "client_certificate_path": {"type": "path"},
    # A path is no secret.
    "client_key_path": {"type": "path", "no_log": False},
    "exclusive": {"type": "bool", "default": False},
    "endpoints": {"type": "list", "elements": "str", "default": []},
    "docker_directory": {"type": "path", "default": "/etc/docker/certs.d"},
    "containers_directory": {"type": "path", "default": "/etc/containers/certs.d"},
    "containerd_directory": {"type": "path", "default": "/etc/containerd/certs.d"},
    "anchors_directory": {"type": "path"},
}


class Asked:
    """What a module is asked to keep in the stores."""

    def __init__(self, call: Call) -> None:
        """Read its parameters. Raises HoldfastError for what cannot be right."""
        params = call.parameters
        present = params["state"] == "present"
        if params["exclusive"] and not present:
            raise HoldfastError("exclusive: goes with state=present only; use one call with state=absent for each name")
        for option in ("exclusive", "only_these_stores", "former_names"):
            if params["additional"] and params[option]:
                raise HoldfastError(f"additional: removes nothing, so it does not go with {option}; leave one of them out")
        if params["additional"] and not present:
            raise HoldfastError("additional: goes with state=present only")
        endpoints = [str(parse_endpoint(text, parameter=f"endpoints[{number}]")) for number, text in enumerate(params["endpoints"])]
        self._stores = _read_stores(params, present, endpoints)
        check_name(params["name"], parameter="name")
        for number, former in enumerate(params["former_names"]):
            check_name(former, parameter=f"former_names[{number}]")
            if former == params["name"]:
                raise HoldfastError(f"former_names[{number}]: {former!r} is the name itself; use a name that is no longer used")
        show_short(call, params["content"])
        certificates = read_ca_certificates(call.run_program, params["content"], parameter="content", now=call.now) if present else []
        if params["additional"]:
            theirs = {certificate.der for certificate in certificates}
            before = kept_so_far(call.run_program, params["name"], self._stores, now=call.now)
            certificates += [certificate for certificate in before if certificate.der not in theirs]
        client = _read_client(params, self._stores) if present else None
        # In check mode a task before this one may have said that it would make them.
        self._missing = client.missing() if client and call.check_mode else []
        if client and not self._missing:
            client.check(call.run_program, call.now)
        if certificates:
            call.show(params["content"])
        self._wanted = Kept(
            params["name"],
            certificates,
            list(dict.fromkeys(endpoints)),
            client,
            params["exclusive"],
            former=tuple(params["former_names"]),
            leave=not params["additional"],
            additional=functools.partial(read_valid_ones, call.run_program, now=call.now) if params["additional"] else None,
        )
        self._run_program, self._check_mode = call.run_program, call.check_mode

    @property
    def anchors(self) -> list[str]:
        """Where the system's store has the certificates."""
        return system.files_of(self._stores.system, self._wanted) if self._stores.system else []

    @property
    def copy(self) -> str | None:
        """A copy of the certificates, for files that name one. It is always the same one. Without a copy, the system's store has them."""
        kept = [store.base for name, store in self._stores.by_registry.items() if name not in self._stores.left]
        if not (kept and self._wanted.certificates):
            return None
        return os.path.join(kept[0], self._wanted.endpoints[0], f"{self._wanted.name}.crt")

    @property
    def keeps(self) -> bool:
        """Whether there is something to keep."""
        return bool(self._wanted.certificates)

    @property
    def stores(self) -> frozenset[str]:
        """The stores that something is kept in."""
        return frozenset({*self._stores.by_registry, *(["system"] if self._stores.system else [])}) - self._stores.left

    def do(self, *, leave: bool = True) -> Result:
        """Change the stores, or in check mode only say what would be changed. Without leave, nothing is taken out of other places yet, but for
        the system's store: no file names what is there, and one refresh is enough.
        """
        wanted, stores = self._wanted, self._stores
        if not leave:
            wanted = dataclasses.replace(wanted, leave=False)
            by_registry = {name: store for name, store in stores.by_registry.items() if name not in stores.left}
            stores = Stores(None if "system" in stores.left else stores.system, by_registry)
        result = trust(self._run_program, wanted, stores, check_mode=self._check_mode)
        return {**result, "warnings": [f"{line}; a real run would fail here" for line in self._missing]}


def _read_stores(params: dict[str, t.Any], present: bool, endpoints: list[str]) -> Stores:
    names = params["stores"]
    if names is None:
        names = ["system", "docker"] if endpoints or not present else ["system"]
    if not names:
        raise HoldfastError("stores: is empty; use at least one of system, docker, containers, containerd")
    all_names = STORES if params["only_these_stores"] else names
    by_registry = {name: RegistryStore(absolute_path(params, f"{name}_directory"), name == "containerd") for name in all_names if name != "system"}
    asked = [name for name in by_registry if name in names]
    if present and asked and not endpoints:
        raise HoldfastError(f"endpoints: is empty, but the stores {', '.join(asked)} keep certificates by endpoint; right: [registry.example.com]")
    anchors = absolute_path(params, "anchors_directory") if params["anchors_directory"] else None
    in_system = SystemStore.of_this_host(anchors) if "system" in all_names else None
    return Stores(in_system, by_registry, frozenset(all_names) - frozenset(names))


def _read_client(params: dict[str, t.Any], stores: Stores) -> ClientPair | None:
    names = PairNames("client_certificate_path", "client_key_path")
    if not any(params[name] for name in names):
        return None
    if not set(stores.by_registry) - stores.left:
        raise HoldfastError(f"{names.certificate}: the store system has no place for it; use one of docker, containers, containerd in stores")
    return ClientPair(Pair(absolute_path(params, names.certificate), absolute_path(params, names.key)), names)
