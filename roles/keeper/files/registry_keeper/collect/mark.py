# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mark: what all tags of a storage need, and which blobs nothing needs and nothing links to.

Repositories are surveyed in this process for a second, which is enough for most storages, and the rest in several. Those send back
digests as bytes, 32 for each: a set of a million takes 130 MB.
"""

from __future__ import annotations

import dataclasses
import math
import os
import time
import typing as t

from registry_keeper import lock
from registry_keeper.collect.quarantine import Run
from registry_keeper.storage.layout import ALGORITHMS, Layout, digest_of, thing_of
from registry_keeper.storage.survey import Cache, Quarantined, Rules, Survey, survey

ALONE = 1.0  # seconds until other processes help
Place = tuple[str, str]  # of a link: "layers" or "revisions", and the repository


@dataclasses.dataclass
class Index:
    """What is in the quarantine, by what it is. Digests are in their compact form; each with the run that has it."""

    layers: dict[str, dict[bytes, Run]] = dataclasses.field(default_factory=dict)
    revisions: dict[str, dict[bytes, Run]] = dataclasses.field(default_factory=dict)
    tags: dict[str, dict[str, Run]] = dataclasses.field(default_factory=dict)
    blobs: dict[bytes, Run] = dataclasses.field(default_factory=dict)
    newest: dict[tuple[str, str, bytes], int] = dataclasses.field(default_factory=dict)  # links written after their run had begun
    trees: tuple[str, ...] = ()

    @classmethod
    def of(cls, runs: t.Sequence[Run]) -> Index:
        index = cls(trees=tuple(run.tree for run in reversed(runs)))
        for run in runs:
            for relative, status in run.walk():
                index.add(run, relative, status)
        return index

    def add(self, run: Run, relative: str, status: os.stat_result) -> None:
        """Remember what a run has, by its path, such as docker/registry/v2/repositories/NAME/_layers/sha256/HEX/link."""
        kind, name, thing = thing_of(relative)
        if isinstance(thing, str):
            self.tags.setdefault(name, {})[thing] = run
        elif kind == "blobs":
            self.blobs[thing] = run
        elif kind:
            (self.layers if kind == "layers" else self.revisions).setdefault(name, {})[thing] = run
            self._written(kind, name, thing, run, status)

    def _written(self, kind: str, name: str, key: bytes, run: Run, status: os.stat_result) -> None:
        if status.st_mtime >= run.began:
            self.newest[(kind, name, key)] = status.st_mtime_ns

    def quarantined(self, name: str) -> Quarantined:
        return Quarantined(self.layers.get(name, {}).keys(), self.revisions.get(name, {}).keys(), self.trees)


@dataclasses.dataclass
class Candidate:
    """A blob that nothing needs."""

    size: int
    modified: float


@dataclasses.dataclass
class Mark:
    """What a storage needs. Digests are in their compact form."""

    rules: Rules
    read: Cache = dataclasses.field(default_factory=Cache)  # what manifests refer to, as far as this process has read them
    needed: set[bytes] = dataclasses.field(default_factory=set)
    linked: set[bytes] = dataclasses.field(default_factory=set)
    elsewhere: set[bytes] = dataclasses.field(default_factory=set)
    surveys: dict[str, Survey] = dataclasses.field(default_factory=dict)  # of repositories with candidates or problems, without what is needed
    changed: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    lately: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    unlinked: dict[bytes, list[Place]] = dataclasses.field(default_factory=dict)  # where there is a directory for its link, but no link
    blobs: dict[bytes, Candidate] = dataclasses.field(default_factory=dict)
    missing: set[bytes] = dataclasses.field(default_factory=set)  # needed, and there is not even a directory
    kept_manifests: int = 0
    tags: int = 0
    dangling: int = 0
    all_blobs: int = 0

    def add(self, one: Survey) -> None:
        """Add what a repository needs."""
        self.needed |= one.needed
        self.linked |= one.linked
        self.elsewhere |= one.elsewhere
        self.changed[one.repository] = one.changed
        self.add_unlinked(one)
        self.kept_manifests += one.kept
        self.tags += one.tagged
        self.dangling += one.dangling
        if one.lately:
            self.lately[one.repository] = [digest_of(key) for key in one.lately]
        if one.revisions or one.layers or one.tags or one.unreadable or one.broken or one.wanted or one.wanted_revisions:
            one.needed, one.linked, one.unlinked, one.unlinked_revisions, one.elsewhere = set(), set(), set(), set(), set()
            self.surveys[one.repository] = one

    def add_unlinked(self, one: Survey) -> None:
        """Add where a repository may get links without a new directory. It may have been looked at before."""
        for kind, keys in (("layers", one.unlinked), ("revisions", one.unlinked_revisions)):
            place = (kind, one.repository)
            for key in keys:
                known = self.unlinked.setdefault(key, [])
                if place not in known:
                    known.append(place)


_context: tuple[Layout, Rules, Index] | None = None


def _survey_one(name: str) -> tuple[bytes, bytes, bytes, bytes, Survey]:
    if _context is None:
        raise RuntimeError("not prepared")
    tree, rules, index = _context
    one = survey(tree, name, rules, index.quarantined(name))
    packed = _pack(one.needed), _pack(one.linked), _pack(one.unlinked), _pack(one.unlinked_revisions)
    one.needed, one.linked, one.unlinked, one.unlinked_revisions = set(), set(), set(), set()
    return (*packed, one)


def _pack(keys: t.Iterable[bytes]) -> bytes:
    """Digests of all lengths as one string: their number of bytes, and the bytes."""
    return b"".join(bytes((len(key),)) + key for key in keys)


def _unpack(packed: bytes) -> set[bytes]:
    keys, position = set(), 0
    while position < len(packed):
        size = packed[position]
        keys.add(packed[position + 1 : position + 1 + size])
        position += 1 + size
    return keys


def mark(tree: Layout, rules: Rules, index: Index, progress: t.Callable[[str], None], processes: int | None = None) -> Mark:
    """Look at all repositories and blobs. Raises OSError where something cannot be read: nothing may be collected then."""
    global _context
    result = Mark(rules)
    names = list(tree.walk_repositories())
    processes = min(processes or len(os.sched_getaffinity(0)), len(names), 8)
    alone_until = time.monotonic() + (ALONE if processes > 1 else math.inf)
    number = 0
    while number < len(names) and time.monotonic() < alone_until:
        result.add(survey(tree, names[number], rules, index.quarantined(names[number]), result.read))
        number += 1
        progress(f"looked at {number} of {len(names)} repositories")
    _context = (tree, rules, index)
    try:
        for one in _by_others(names[number:], processes):
            result.add(one)
            number += 1
            progress(f"looked at {number} of {len(names)} repositories")
    finally:
        _context = None
    _look_at_blobs(tree, result, progress)
    return result


def _by_others(names: list[str], processes: int) -> t.Iterator[Survey]:
    """Surveys by several processes, as they come."""
    if not names:
        return
    import multiprocessing  # takes as long as a small storage

    with multiprocessing.get_context("fork").Pool(processes, initializer=lock.leave_to_parent) as pool:
        for needed, linked, unlinked, revisions, one in pool.imap_unordered(_survey_one, names, chunksize=4):
            one.needed, one.linked, one.unlinked, one.unlinked_revisions = _unpack(needed), _unpack(linked), _unpack(unlinked), _unpack(revisions)
            yield one
        # They end by themselves. To be ended takes them a second (main.py).
        pool.close()
        pool.join()


def _look_at_blobs(tree: Layout, result: Mark, progress: t.Callable[[str], None]) -> None:
    """Find blobs that are old, and that nothing needs or links to; and what is needed but not there."""
    needed, linked, rules = result.needed, result.linked, result.rules
    found = 0
    result.missing = needed - result.elsewhere
    for algorithm, size in ALGORITHMS.items():
        for two in _names(f"{tree.blobs}/{algorithm}"):
            for name in _names(f"{tree.blobs}/{algorithm}/{two}"):
                if len(name) != 2 * size:
                    continue
                try:
                    key = bytes.fromhex(name)
                except ValueError:
                    continue
                found += 1
                result.missing.discard(key)
                if key in needed or key in linked or key in rules.protected:
                    continue
                try:
                    status = os.stat(f"{tree.blobs}/{algorithm}/{two}/{name}/data")
                except FileNotFoundError:
                    found -= 1
                    continue
                if not rules.young(status.st_mtime):
                    result.blobs[key] = Candidate(status.st_size, status.st_mtime)
            progress(f"looked at {found} blobs")
    result.all_blobs = found


def _names(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except (FileNotFoundError, NotADirectoryError):
        return []


def describe(keys: t.Iterable[bytes], limit: int = 20) -> list[str]:
    """Digests for people: the first ones, in order."""
    return [digest_of(key) for key in sorted(keys)[:limit]]
