# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Records of the files that a service read when it started or was reloaded: digests, kept from run to run."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE

_ABSENT = "absent"


@dataclasses.dataclass(frozen=True)
class Stamp:
    """The digests of the files for which a service has to be restarted, and of those for which a reload is enough."""

    restart: dict[str, str]
    reload: dict[str, str]


def directory() -> str:
    return os.path.join(STATE, "services")


def read(unit: str) -> Stamp | None:
    """The stamp of a unit, or None if there is none or it cannot be parsed."""
    content = whole.read_bytes(_path(unit))
    try:
        found = json.loads(content or b"{}")
        return Stamp(dict(found["restart"]), dict(found["reload"]))
    except (ValueError, KeyError, TypeError):
        return None


def write(unit: str, stamp: Stamp) -> None:
    whole.make_directories(directory(), 0o700)
    content = json.dumps(dataclasses.asdict(stamp), indent=1, sort_keys=True) + "\n"
    with locked(_path(unit)) as file:
        file.write(content.encode(), Ownership(mode=0o600))


def forget(unit: str) -> bool:
    return whole.remove(_path(unit))


def digests(paths: list[str]) -> dict[str, str]:
    """A digest for each path: of a file's content, or of all files in a directory with their names."""
    return {path: _digest(path) for path in sorted(set(paths))}


def unread(known: dict[str, str], now: dict[str, str], started: float) -> list[str]:
    """The paths that a service has not read, with the reason: written since it started, and with another digest than the known one.

    A file that is older than the start has been read, even if a package upgrade or a boot started the service. A removed
    file counts as changed.
    """
    changed = [path for path, digest in now.items() if known.get(path) != digest != _ABSENT and _written(path) >= started]
    gone = [path for path in known if known[path] != now.get(path, _digest(path)) == _ABSENT and _vanished(path) >= started]
    return [f"{path}: not read by the running service yet" for path in sorted(changed + gone)]


def _digest(path: str) -> str:
    if os.path.isdir(path):
        every = hashlib.sha256()
        for name in _files_in(path):
            every.update(f"{name}\0{_digest(name)}\n".encode(errors="surrogateescape"))
        return every.hexdigest()
    content = whole.read_bytes(path)
    return _ABSENT if content is None else hashlib.sha256(content).hexdigest()


def _files_in(directory: str) -> list[str]:
    if not os.path.isdir(directory):
        return []
    return sorted(os.path.join(parent, name) for parent, _directories, names in os.walk(directory) for name in names)


def _written(path: str) -> float:
    """When a file, or the newest one in a directory, was written or moved to its place."""
    found = 0.0
    for name in [path, *_files_in(path)]:
        try:
            status = os.stat(name)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HoldfastError(f"{name}: cannot be read: {error.strerror}") from error
        found = max(found, status.st_mtime, status.st_ctime)
    return found


def _vanished(path: str) -> float:
    """When a file that is not there may have been removed: since then there was no change in the directory, or the next one above that is there."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return os.stat(path).st_mtime


def _path(unit: str) -> str:
    return os.path.join(directory(), f"{unit}.json")
