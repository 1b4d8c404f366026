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
from ansible_collections.holdfast.registry.plugins.module_utils.der import Certificate
from ansible_collections.holdfast.registry.plugins.module_utils.endpoint import parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils.endpoint_trust import EndpointStore
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.pem import read_ca_certificates
from ansible_collections.holdfast.registry.plugins.module_utils.system_trust import SystemStore

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_SPLIT_NAME = re.compile(r".*-[0-9a-f]{16}")


@dataclasses.dataclass(frozen=True)
class Request:
    """What a host shall trust. No certificates: what it shall trust no longer."""

    name: str
    certificates: list[Certificate]
    endpoints: list[str]
    system: SystemStore | None
    by_endpoint: dict[str, EndpointStore]

    @classmethod
    def of(cls, parameters: t.Mapping[str, t.Any], now: datetime.datetime) -> Request:
        """Read module parameters. Raises HoldfastError naming the one that is wrong."""
        present = parameters["state"] == "present"
        stores = parameters["stores"]
        if not stores:
            raise HoldfastError("stores: is empty; right would be at least one of system, docker, containers, containerd")
        endpoints = [str(parse_endpoint(text, parameter=f"endpoints[{number}]")) for number, text in enumerate(parameters["endpoints"])]
        by_endpoint = {store: EndpointStore(_directory(parameters, f"{store}_directory"), store == "containerd") for store in stores if store != "system"}
        if present and by_endpoint and not endpoints:
            raise HoldfastError(f"endpoints: is empty, but the stores {', '.join(by_endpoint)} keep certificates by endpoint; right: [registry.example.com]")
        anchors = _directory(parameters, "anchors_directory") if parameters["anchors_directory"] else None
        return cls(
            name=_checked_name(parameters["name"]),
            certificates=read_ca_certificates(parameters["content"], parameter="content", now=now) if present else [],
            endpoints=list(dict.fromkeys(endpoints)),
            system=SystemStore.of_this_host(anchors) if "system" in stores else None,
            by_endpoint=by_endpoint,
        )


def trust(request: Request, *, check_mode: bool) -> dict[str, t.Any]:
    """Make the stores what the request asks for, or in check mode only say what that would change.

    Returns the module's result. Everything that can be refused is refused before the first change.
    """
    name, certificates, endpoints = request.name, request.certificates, request.endpoints
    stores: dict[str, list[str]] = {}
    diff: list[dict[str, str]] = []
    system = system_trust.plan(request.system, name, certificates) if request.system else None
    plans = {key: endpoint_trust.plan(store, name, certificates, endpoints) for key, store in request.by_endpoint.items()}
    if not check_mode:
        if request.system and system and system.reasons:
            system_trust.require_command(request.system)
            system = system_trust.apply(request.system, name, certificates)
        for key, store in request.by_endpoint.items():
            if plans[key]:
                plans[key] = endpoint_trust.apply(store, name, certificates, endpoints)
    if system:
        stores["system"] = system.reasons
        diff += system.diff
    for key, changes in plans.items():
        stores[key] = [change.reason for change in changes]
        diff += [change.diff for change in changes]
    return {
        "changed": any(stores.values()),
        "stores": {key: {"changed": bool(reasons), "reasons": reasons} for key, reasons in stores.items()},
        # Docker reads the system's store once, when it starts, and certs.d at every connection.
        "restart": ["docker"] if stores.get("system") and "docker" not in stores else [],
        "certificates": [
            {
                "subject": certificate.subject,
                "fingerprint_sha256": certificate.fingerprint_sha256,
                "not_after": f"{certificate.not_after:%Y-%m-%dT%H:%M:%SZ}",
            }
            for certificate in certificates
        ],
        "diff": diff,
    }


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise HoldfastError(f"name: {name!r} cannot name a file; right would be letters, digits, '.', '_' and '-', the first a letter or digit, at most 200")
    if _SPLIT_NAME.fullmatch(name):
        raise HoldfastError(f"name: {name!r} ends like the files of a bundle, in '-' and 16 hexadecimal digits; choose another name")
    return name


def _directory(parameters: t.Mapping[str, t.Any], parameter: str) -> str:
    path = parameters[parameter]
    if not os.path.isabs(path) or os.path.normpath(path) == "/":
        raise HoldfastError(f"{parameter}: {path!r} is not the absolute path of a directory")
    return os.path.normpath(path)
