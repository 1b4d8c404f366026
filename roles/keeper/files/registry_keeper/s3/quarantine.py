# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The quarantine in an S3 store: what runs have taken. It is outside what a registry looks at.

    holdfast-keeper/runs/RUN/run.json           what the run is, and whether it came to its end
    holdfast-keeper/runs/RUN/links/NUMBER.json  links it was about to remove, each path with the digest in it
    holdfast-keeper/runs/RUN/back/NUMBER.json   paths of links that were written again since
    holdfast-keeper/runs/RUN/tree/docker/...    copies of blobs

A store has no rename. So a thing is in the quarantine first, whole and verified, and only then removed from its place: whatever ends the
program, it is in one of them or in both. Nothing is removed from here but by a purge, long after: what comes back is copied.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
import typing as t

from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.objects import Objects
from registry_keeper.storage.layout import thing_of

ROOT = "holdfast-keeper/runs/"
Info = dict[str, t.Any]


class Run:
    """One run, and what it has taken. Paths are those of Layout with an empty storage."""

    def __init__(self, objects: Objects, name: str) -> None:
        self.objects, self.name = objects, name
        self.path = f"{ROOT}{name}/"
        self.tree = f"{self.path}tree"
        self.info: Info = {}
        self._numbers: dict[str, int] = {}

    @classmethod
    def begin(cls, objects: Objects, command: str) -> Run:
        """A new run. Raises StoreError, before anything is taken."""
        run = cls(objects, f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{command}-{secrets.token_hex(2)}")
        run.info = {"command": command, "host": socket.gethostname(), "began": objects.now(), "ended": None}
        run.save()
        return run

    def save(self) -> None:
        self.objects.write(f"{self.path}run.json", (json.dumps(self.info, sort_keys=True) + "\n").encode())

    def finish(self, **facts: t.Any) -> None:
        """Say that the run has come to its end. Removes it where it has nothing."""
        self.info.update(ended=self.objects.now(), **facts)
        if [name for name, _item in self.objects.list(self.path)] == [f"{self.path}run.json"]:
            self.objects.remove(f"{self.path}run.json")
            return
        self.save()

    @property
    def began(self) -> float:
        """By the store's clock, or this host's where that was behind."""
        return float(self.info.get("began") or 0)

    @property
    def finished(self) -> bool:
        return self.info.get("ended") is not None

    def place(self, path: str) -> str:
        """Where a blob is while it is taken."""
        return f"{self.tree}/{path}"

    def note(self, kind: str, content: t.Any) -> None:
        """Write down links that are about to be removed ("links"), or that have come back ("back")."""
        number = self._numbers.get(kind)
        if number is None:
            number = sum(1 for _found in self.objects.list(f"{self.path}{kind}/"))
        self.objects.write(f"{self.path}{kind}/{number:06}.json", (json.dumps(content, sort_keys=True) + "\n").encode())
        self._numbers[kind] = number + 1

    def links(self) -> dict[str, str]:
        """The paths of links that it has removed, or was about to, and that have not come back; each with its digest."""
        found: dict[str, str] = {}
        for document in self._noted("links"):
            found.update(document if isinstance(document, dict) else {})
        for document in self._noted("back"):
            for path in document if isinstance(document, list) else []:
                found.pop(path, None)
        return found

    def _noted(self, kind: str) -> t.Iterator[t.Any]:
        for name, _item in self.objects.list(f"{self.path}{kind}/"):
            content = self.objects.read(name)
            try:
                yield json.loads(content or b"")
            except ValueError as error:
                raise StoreError(f"{name}: is not what the keeper writes: {error}") from error

    def blobs(self) -> dict[str, int]:
        """The paths of the blobs that it has, and their bytes."""
        start = len(self.tree) + 1
        return {name[start:]: item.size for name, item in self.objects.list(f"{self.tree}/") if thing_of(name[start:])[0] == "blobs"}

    def remove(self) -> None:
        """Remove what is left of it, but for its blobs, which have to have gone."""
        rest = sorted((name for name, _item in self.objects.list(self.path)), key=lambda name: name.endswith("/run.json"))
        if any(name.startswith(f"{self.tree}/") for name in rest):
            raise StoreError(f"{self.path}: still has blobs")
        for name in rest:
            self.objects.remove(name)


def runs(objects: Objects) -> list[Run]:
    """All runs, oldest first. One without a readable run.json was killed when it began. Raises StoreError."""
    found: dict[str, Run] = {}
    for name, _item in objects.list(ROOT):
        run = name[len(ROOT) :].partition("/")[0]
        if run not in found:
            found[run] = Run(objects, run)
    for run_name, one in found.items():
        try:
            info = json.loads(objects.read(f"{one.path}run.json") or b"")
        except ValueError:
            info = None
        one.info = info if isinstance(info, dict) else {"command": (run_name.split("-") + ["?"])[1], "began": 0, "ended": None}
    return [found[name] for name in sorted(found)]


def named(every: t.Sequence[Run], names: t.Sequence[str]) -> list[Run]:
    """The runs of these names. Raises KeeperError."""
    known = {run.name: run for run in every}
    for name in names:
        if name not in known:
            raise KeeperError(f"there is no run {name}; there are: {', '.join(known) or 'none'}", USAGE)
    return [known[name] for name in names]
