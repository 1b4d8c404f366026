# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CA certificates into every store the programs of a host read."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import endpoint_trust, system_trust
from ansible_collections.holdfast.registry.plugins.module_utils.client_certificate import CERTIFICATE, KEY, ClientCertificate
from ansible_collections.holdfast.registry.plugins.module_utils.endpoint import parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils.endpoint_trust import EndpointStore, Wanted
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.pem import read_ca_certificates
from ansible_collections.holdfast.registry.plugins.module_utils.system_trust import SystemStore

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SPLIT_NAME = re.compile(r".*-[0-9a-f]{16}")


@dataclasses.dataclass(frozen=True)
class Request:
    """What a host shall trust, and in which of its stores. warnings are for the user."""

    wanted: Wanted
    system: SystemStore | None
    by_endpoint: dict[str, EndpointStore]
    warnings: list[str] = dataclasses.field(default_factory=list)

    @classmethod
    def of(cls, parameters: t.Mapping[str, t.Any], now: datetime.datetime, *, check_mode: bool) -> Request:
        """Read module parameters. Raises HoldfastError naming the one that is wrong."""
        present = parameters["state"] == "present"
        stores = parameters["stores"]
        if not stores:
            raise HoldfastError("stores: is empty; right would be at least one of system, docker, containers, containerd")
        if parameters["exclusive"] and not present:
            raise HoldfastError("exclusive: goes with state=present only; right would be one call with state=absent for each name")
        endpoints = [str(parse_endpoint(text, parameter=f"endpoints[{number}]")) for number, text in enumerate(parameters["endpoints"])]
        by_endpoint = {store: EndpointStore(_absolute(parameters, f"{store}_directory"), store == "containerd") for store in stores if store != "system"}
        if present and by_endpoint and not endpoints:
            raise HoldfastError(f"endpoints: is empty, but the stores {', '.join(by_endpoint)} keep certificates by endpoint; right: [registry.example.com]")
        anchors = _absolute(parameters, "anchors_directory") if parameters["anchors_directory"] else None
        name = _checked_name(parameters["name"])
        certificates = read_ca_certificates(parameters["content"], parameter="content", now=now) if present else []
        client = _client(parameters, bool(by_endpoint)) if present else None
        # In check mode a task before this one may have said that it would make them.
        missing = client.missing() if client and check_mode else []
        if client and not missing:
            client.check(now)
        return cls(
            wanted=Wanted(name, certificates, list(dict.fromkeys(endpoints)), client, parameters["exclusive"]),
            system=SystemStore.of_this_host(anchors) if "system" in stores else None,
            by_endpoint=by_endpoint,
            warnings=[f"{line}; a real run would fail here" for line in missing],
        )


def trust(request: Request, *, check_mode: bool) -> dict[str, t.Any]:
    """Make the stores what the request asks for, or in check mode only say what that would change.

    Returns the module's result. Everything that can be refused is refused before the first change.
    """
    wanted = request.wanted
    for_system = (wanted.name, wanted.certificates, wanted.exclusive)
    stores: dict[str, list[str]] = {}
    diff: list[dict[str, str]] = []
    system = system_trust.plan(request.system, *for_system) if request.system else None
    plans = {key: endpoint_trust.plan(store, wanted) for key, store in request.by_endpoint.items()}
    if not check_mode:
        if request.system and system and system.reasons:
            system_trust.require_command(request.system)
            system = system_trust.apply(request.system, *for_system)
        for key, store in request.by_endpoint.items():
            if plans[key]:
                plans[key] = endpoint_trust.apply(store, wanted)
    if system:
        stores["system"] = system.reasons
        diff += system.diff
    for key, changes in plans.items():
        stores[key] = [change.reason for change in changes]
        diff += [change.diff for change in changes]
    return {
        "changed": any(stores.values()),
        "stores": {key: {"changed": bool(reasons), "reasons": reasons} for key, reasons in stores.items()},
        # They read the system's store once, when they start, and the stores of their names at every connection.
        "restart": [daemon for daemon in ("docker", "containerd") if daemon not in stores] if stores.get("system") else [],
        "certificates": [
            {
                "subject": certificate.subject,
                "fingerprint_sha256": certificate.fingerprint_sha256,
                "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
            }
            for certificate in wanted.certificates
        ],
        "diff": diff,
    }


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise HoldfastError(f"name: {name!r} cannot name a file; right would be letters, digits, '.', '_' and '-', the first a letter or digit, at most 200")
    if _SPLIT_NAME.fullmatch(name):
        raise HoldfastError(f"name: {name!r} ends like the files of a bundle, in '-' and 16 hexadecimal digits; choose another name")
    return name


def _client(parameters: t.Mapping[str, t.Any], has_place: bool) -> ClientCertificate | None:
    if not parameters[CERTIFICATE] and not parameters[KEY]:
        return None
    if not has_place:
        raise HoldfastError(f"{CERTIFICATE}: the store system has no place for it; right would be one of docker, containers, containerd in stores")
    return ClientCertificate(_absolute(parameters, CERTIFICATE), _absolute(parameters, KEY))


def _absolute(parameters: t.Mapping[str, t.Any], parameter: str) -> str:
    path = parameters[parameter] or ""
    if not os.path.isabs(path) or os.path.normpath(path) == "/" or not path.isprintable():
        raise HoldfastError(f"{parameter}: {path!r} is not an absolute path, such as /etc/docker/certs.d")
    return os.path.normpath(path)
