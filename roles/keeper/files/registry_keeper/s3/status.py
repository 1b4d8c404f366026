# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all hosts of a store know together: the last outcome of each command, whichever host ran it, and what the last mark has found.

A status reads some small objects. It lists nothing.
"""

from __future__ import annotations

import contextlib
import json
import typing as t

from registry_keeper.report import Facts
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.lease import NAME as LEASE
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.settings import objects_of, options
from registry_keeper.s3.work import SUMMARY
from registry_keeper.settings import Settings

_OUTCOMES = "holdfast-keeper/status/"
_KEPT = ("command", "exit_status", "began", "seconds", "warnings")


def publish(settings: Settings, document: t.Mapping[str, t.Any]) -> None:
    """Let all hosts know what a command has said. What was done is done, also if the store does not take that."""
    with contextlib.suppress(StoreError):
        kept = {name: document[name] for name in _KEPT if name in document}
        objects_of(settings).write(f"{_OUTCOMES}{document['command']}.json", (json.dumps(kept, sort_keys=True) + "\n").encode())


def look(settings: Settings, commands: t.Collection[str]) -> Facts:
    """Whether the store answers, who works on it, and what is known. Raises KeeperError only for wrong settings."""
    facts: Facts = {"endpoint": options(settings)["endpoint"], "up": True, "lease": None, "stored": None, "outcomes": {}}
    objects = objects_of(settings)
    try:
        facts["lease"] = _read(objects, LEASE)
        facts["stored"] = _read(objects, SUMMARY)
        facts["outcomes"] = {name: _read(objects, f"{_OUTCOMES}{name}.json") for name in commands}
    except StoreError as error:
        facts.update(up=False, error=str(error))
    return facts


def _read(objects: Objects, name: str) -> Facts | None:
    try:
        found = json.loads(objects.read(name) or b"null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
