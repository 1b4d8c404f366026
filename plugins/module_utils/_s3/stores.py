# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stores that are to be probed, and a record of those that were found to be good."""

from __future__ import annotations

import hashlib
import json
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE
from ansible_collections.holdfast.registry.plugins.module_utils._s3.client import Bucket, StoreError
from ansible_collections.holdfast.registry.plugins.module_utils._s3.entries import bucket_of
from ansible_collections.holdfast.registry.plugins.module_utils._s3.probe import Effort, Failure, probe, reach

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Another number where probes find more than before: what was good has to be probed again.
_VERSION = 1


class Wanted(t.NamedTuple):
    """A store to probe. digest stands for all its settings, the secret included."""

    name: str
    bucket: Bucket
    digest: str


def wanted_stores(entries: t.Sequence[t.Mapping[str, t.Any]]) -> list[Wanted]:
    """The stores of the parameter of that name. Raises HoldfastError naming the entry and the key that is wrong."""
    found: list[Wanted] = []
    for index, entry in enumerate(entries):
        place = f"stores[{index}]"
        if not _NAME.fullmatch(entry["name"]):
            raise HoldfastError(f"{place}.name: {entry['name']!r} is not a name of letters, digits, ., _ and -")
        if entry["name"] in [one.name for one in found]:
            raise HoldfastError(f"{place}.name: {entry['name']!r} is the name of another store as well")
        for key in ("bucket", "access_key", "secret_key"):
            if not entry[key]:
                raise HoldfastError(f"{place}.{key}: is empty")
        digest = hashlib.sha256(json.dumps([_VERSION, dict(entry)], sort_keys=True).encode()).hexdigest()
        found.append(Wanted(entry["name"], bucket_of(entry, place), digest))
    return found


def probe_all(stores: t.Sequence[Wanted], effort: Effort, *, remember: bool, check_mode: bool) -> Result:
    """Probe the stores that are not known to be good. Raises HoldfastError if one of them is not."""
    due = [one for one in stores if not remember or _recorded(one.name) != one.digest]
    warnings, failed = [], []
    for one in due:
        try:
            failures, left_out = ([], reach(one.bucket, effort)) if check_mode else _probed(one, effort)
        except StoreError as error:
            raise HoldfastError(f"store {one.name} at {one.bucket.endpoint.text}: {error.kind}: {error}") from None
        warnings += [f"store {one.name}: {address} does not respond; the other addresses were probed" for address in left_out]
        failed += [(one, failure) for failure in failures]
        if remember and not check_mode and not failures:
            _record(one)
    if failed:
        said = "; ".join(f"store {one.name}: {failure}" for one, failure in failed)
        results = {"failures": [{"store": one.name, **failure._asdict()} for one, failure in failed]}
        raise HoldfastError(f"not fit for the images of a registry: {said}", results)
    recorded = "".join(f"{one.name}: fit for the images of a registry\n" for one in due) if remember else ""
    return {"changed": bool(recorded), "probed": [one.name for one in due], "warnings": warnings, "diff": {"before": "", "after": recorded}}


def _probed(one: Wanted, effort: Effort) -> tuple[list[Failure], list[str]]:
    report = probe(one.bucket, effort)
    return report.failures, report.left_out


def _path(name: str) -> str:
    return os.path.join(STATE, "object-stores", f"{name}.json")


def _recorded(name: str) -> str:
    try:
        return str(json.loads(whole.read_bytes(_path(name)) or b"{}").get("settings"))
    except (ValueError, AttributeError):
        return ""


def _record(one: Wanted) -> None:
    directory = os.path.dirname(_path(one.name))
    whole.make_directories(directory, 0o700)
    with locked(directory):
        whole.remove_leftovers(_path(one.name))
        whole.atomic_write(_path(one.name), (json.dumps({"settings": one.digest}) + "\n").encode(), Ownership(mode=0o600))
