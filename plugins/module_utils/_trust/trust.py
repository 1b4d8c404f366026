# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CA certificates into every store the programs of a host read."""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import check_file_name
from ansible_collections.holdfast.registry.plugins.module_utils._trust import registries, system
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import Certificate, read_valid_ones
from ansible_collections.holdfast.registry.plugins.module_utils._trust.kept import Kept
from ansible_collections.holdfast.registry.plugins.module_utils._trust.registries import RegistryStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.system import SystemStore

_SPLIT_NAME = re.compile(r".*-[0-9a-f]{16}")


@dataclasses.dataclass(frozen=True)
class Stores:
    """The stores of a host that are asked for: the system's, and by their names those that are read by registry.

    In those that are left, nothing is kept any longer.
    """

    system: SystemStore | None
    by_registry: dict[str, RegistryStore]
    left: frozenset[str] = frozenset()


def trust(run_program: Run, wanted: Kept, stores: Stores, *, check_mode: bool) -> dict[str, t.Any]:
    """Make the stores keep what is wanted, or in check mode only say what that would change.

    Returns the module's result. Everything that can be refused is refused before the first change.
    """
    reasons: dict[str, list[str]] = {}
    diff: list[dict[str, str]] = []
    kept = {name: wanted.nothing() if name in stores.left else wanted for name in ("system", *stores.by_registry)}
    in_system = system.plan(run_program, stores.system, kept["system"]) if stores.system else None
    by_registry = {name: registries.plan(store, kept[name]) for name, store in stores.by_registry.items()}
    if not check_mode:
        if stores.system and in_system and in_system.reasons:
            system.require_command(stores.system)
            in_system = system.apply(run_program, stores.system, kept["system"])
        for name, store in stores.by_registry.items():
            if by_registry[name]:
                by_registry[name] = registries.apply(store, kept[name])
    if in_system:
        reasons["system"] = in_system.reasons
        diff += in_system.diff
    for name, planned in by_registry.items():
        reasons[name] = [change.reason for change in planned]
        diff += [change.diff for change in planned]
    return {
        "changed": any(reasons.values()),
        "stores": {name: {"changed": bool(lines), "reasons": lines} for name, lines in reasons.items()},
        # They read the system's store once, when they start, and the stores of their names at every connection.
        "restart": [daemon for daemon in ("docker", "containerd") if daemon not in reasons or daemon in stores.left] if reasons.get("system") else [],
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


def kept_so_far(run_program: Run, name: str, stores: Stores, *, now: datetime.datetime) -> list[Certificate]:
    """The CA certificates that are kept under a name in any of the stores, without those that have expired."""
    files = [content for store in stores.by_registry.values() for content in registries.kept(store, name)]
    return read_valid_ones(run_program, files + (system.kept(stores.system, name) if stores.system else []), now=now)


def check_name(name: str, *, parameter: str) -> None:
    """Refuse a name that cannot be a file's, or that files of another name could have."""
    check_file_name(name, parameter)
    if _SPLIT_NAME.fullmatch(name):
        raise HoldfastError(f"{parameter}: {name!r} ends like the files of a bundle, in '-' and 16 hexadecimal digits; choose another name")
