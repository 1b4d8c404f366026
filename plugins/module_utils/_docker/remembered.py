# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was set in an engine's configuration, for whom, and what the file was before: kept from run to run.

Beside it are two marks. One of them changes before the configuration does, depending on what the engine has to do to notice,
so that the module services still does it after a run that was killed.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._docker.merge import Claim, Claims
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE

_OWN = Ownership(mode=0o600)  # a proxy in it may have a password


@dataclasses.dataclass(frozen=True)
class Remembered:
    """The claims, and the content of the file before the first of them: None where there was no file.

    mode is what the file had before it was closed to other users for a password among the claims, or None.
    """

    claims: Claims = dataclasses.field(default_factory=Claims)
    original: bytes | None = dataclasses.field(default=None, repr=False)
    mode: int | None = None


@dataclasses.dataclass(frozen=True)
class Places:
    """Where these are kept for the configuration at a path."""

    record: str
    restart: str
    reload: str

    @classmethod
    def of(cls, path: str) -> Places:
        base = os.path.join(STATE, "docker", hashlib.sha256(path.encode(errors="surrogateescape")).hexdigest()[:16])
        return cls(f"{base}.json", f"{base}.restart.pending", f"{base}.reload.pending")


def read(places: Places) -> Remembered:
    """What is remembered. Raises HoldfastError where the record cannot be read: without it, nothing can be taken out again."""
    content = whole.read_bytes(places.record)
    if content is None:
        return Remembered()
    try:
        data = json.loads(content)
        by_name = {name: [Claim.of(claim) for claim in claims] for name, claims in data["names"].items()}
        original = None if data["original"] is None else base64.b64decode(data["original"])
        mode = None if data.get("mode") is None else int(data["mode"], 8)
        return Remembered(Claims(by_name, [tuple(path) for path in data["made"]]), original, mode)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HoldfastError(f"{places.record}: is not the record of this module; remove it, and what was set before stays where it is") from None


def write(places: Places, remembered: Remembered) -> None:
    """Keep it. Without any claim there is nothing to keep."""
    if not remembered.claims.by_name:
        whole.remove(places.record)
        return
    data: dict[str, t.Any] = {
        "names": {name: [claim.as_data for claim in claims] for name, claims in remembered.claims.by_name.items()},
        "made": [list(path) for path in remembered.claims.made],
        "original": None if remembered.original is None else base64.b64encode(remembered.original).decode("ascii"),
        **({} if remembered.mode is None else {"mode": f"{remembered.mode:04o}"}),
    }
    _write(places.record, (json.dumps(data, indent=1) + "\n").encode())


def mark(path: str, content: bytes) -> None:
    """Note that the engine has this configuration to read. A mark of the same content is written again, since its time counts."""
    _write(path, hashlib.sha256(content).hexdigest().encode() + os.urandom(4).hex().encode() + b"\n")


def remove_leftovers(places: Places) -> None:
    """Remove what a killed run left beside the marks. Only for the holder of the lock of the record."""
    for path in (places.restart, places.reload):
        whole.remove_leftovers(path)


def _write(path: str, content: bytes) -> None:
    whole.make_directories(os.path.dirname(path), 0o700)
    whole.atomic_write(path, content, _OWN)
