# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One pass of a move: what the target lacks is copied and verified. The target is a valid registry at every instant.

Blobs first, each read again at the target and compared with its digest; then layer links, revisions and tags. The source is only read.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import itertools
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._move.files import Found, Gone
from ansible_collections.holdfast.registry.plugins.module_utils._move.progress import Progress
from ansible_collections.holdfast.registry.plugins.module_utils._move.record import Record, Row
from ansible_collections.holdfast.registry.plugins.module_utils._move.snapshot import Named, Place, Snapshot, snapshot
from ansible_collections.holdfast.registry.plugins.module_utils._move.tree import KINDS, blob_path, digest_in, link_of

_NAMED = 5
_BATCH = 500


class Damaged(HoldfastError):
    """What the source gives is not what its digest says."""


@dataclasses.dataclass
class Outcome:
    """What a pass did. left_out says of digests and paths why they are not at the target: they are broken at the source."""

    blobs: int = 0
    size: int = 0  # bytes of those blobs
    links: int = 0
    removed: int = 0
    left_out: dict[str, str] = dataclasses.field(default_factory=dict)
    # of the whole registry
    all_blobs: int = 0
    all_size: int = 0
    all_links: int = 0
    repositories: int = 0
    tags: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.blobs or self.links or self.removed)


@dataclasses.dataclass
class Move:
    """A source, a target, and the record of what has been verified. over: what others have written at the target may be replaced."""

    source: Place
    target: Place
    record: Record
    progress: Progress
    over: bool = False

    def make_pass(self, final: bool) -> Outcome:
        """Copy what the target lacks. A final pass also removes links that the source has no more.

        Raises HoldfastError where the target is somebody else's, has no space, or cannot be reached.
        """
        self.progress.stage("looking at the target")
        there = {found.path: found for found in self.target.links("tag")}
        for kind in ("revision", "layer"):
            there.update((found.path, found) for found in self.target.links(kind))
        blobs_there = {found.path: found for found in self.target.blobs()}
        self.progress.stage("listing the source")
        listed = snapshot(self.source, self.record.rows)
        self._refuse_conflicts(listed, there)
        outcome = Outcome(
            all_blobs=len(listed.blobs),
            all_size=sum(listed.blobs.values()),
            all_links=len(listed.links),
            repositories=len({link.repository for link in map(link_of, listed.links) if link}),
            tags=sum(one.kind == "tag" for one in listed.links.values()),
            left_out={**dict.fromkeys(listed.missing, "is not in the source"), **dict.fromkeys(listed.broken, "has no digest in it")},
        )
        self._copy_blobs(listed, blobs_there, outcome)
        self._copy_links(listed, there, outcome)
        if final:
            self._remove(listed, there, outcome)
        self.target.finish()
        return outcome

    # What others have written

    def _refuse_conflicts(self, listed: Snapshot, there: t.Mapping[str, Found]) -> None:
        if self.over:
            return
        found = list(itertools.islice((path for path, one in there.items() if self._is_foreign(listed, one)), _NAMED + 1))
        if found:
            raise HoldfastError(
                f"{self.target.text}: has what the source has not and what no move from there has written, such as "
                f"{', '.join(found[:_NAMED])}{' and more' if len(found) > _NAMED else ''}. It is another registry's, is in use, or is from an earlier time. "
                "Choose an empty place; if all of it may go, run migrate.yml with -e holdfast_migrate_over=true"
            )

    def _is_foreign(self, listed: Snapshot, one: Found) -> bool:
        row = self.record.rows.get(one.path)
        if row and row.target in ("", one.mark):
            return False
        wanted = listed.links.get(one.path)
        if one.path in listed.seen and not (wanted and wanted.kind == "tag"):
            # What such a link has in it is in its path.
            return False
        try:
            content = digest_in(self.target.content(one.path)[0])
        except Gone:
            return False
        if not content:
            # damaged, and nothing to lose
            return row is None and wanted is None
        return content not in (row.digest if row else "", wanted.digest if wanted else "")

    # Blobs

    def _copy_blobs(self, listed: Snapshot, there: t.Mapping[str, Found], outcome: Outcome) -> None:
        due = {digest: size for digest, size in listed.blobs.items() if not self._is_verified(blob_path(digest), there)}
        lacking = {digest: size for digest, size in due.items() if blob_path(digest) not in there}
        self.target.refuse_if_short(sum(lacking.values()), len(lacking) + len(set(listed.links) - set(self.record.rows)))
        self.progress.stage("copying blobs", len(due), sum(due.values()))

        def one(item: tuple[str, int]) -> str:
            digest, size = item
            found = there.get(blob_path(digest))
            return self._blob(digest, size, found.size if found else None)

        for (digest, size), result in self._each(one, due.items()):
            if isinstance(result, (Damaged, Gone)):
                outcome.left_out[digest] = "is damaged in the source" if isinstance(result, Damaged) else "went while it was copied"
            else:
                self.record.put({blob_path(digest): Row(digest, "", result)})
                outcome.blobs += 1
                outcome.size += size
            self.progress.done(size)

    def _blob(self, digest: str, size: int, there: int | None) -> str:
        """Have a blob at the target, whose content is right. Returns its mark there. Raises Damaged, Gone, and HoldfastError."""
        path, algorithm = blob_path(digest), digest.partition(":")[0]
        # An earlier run may have written it and been killed before it was recorded.
        if there is not None and there == size:
            found, mark = self._at_target(path, algorithm, size)
            if found == digest:
                return mark
        for attempt in (1, 2):
            try:
                self.target.put(path, _checked(self.source.read(path, size), digest), size)
            except Damaged:
                # Once more: it may have been read badly.
                if attempt == 2:
                    raise
                continue
            found, mark = self._at_target(path, algorithm, size)
            if found == digest:
                return mark
        raise HoldfastError(f"{self.target.text}: gives something else for {path} than what was written there, twice. It cannot keep images")

    def _at_target(self, path: str, algorithm: str, size: int) -> tuple[str, str]:
        """The digest of what the target gives, and its mark; empty where it gives less than was written."""
        try:
            return self.target.digest(path, algorithm, size)
        except Gone:
            return "", ""

    # Links

    def _copy_links(self, listed: Snapshot, there: t.Mapping[str, Found], outcome: Outcome) -> None:
        due = {path: one for path, one in listed.links.items() if one.digest not in outcome.left_out and not self._is_copied(path, one, there)}
        self.progress.stage("copying links", len(due))

        def write(path: str) -> None:
            pushed = None
            if due[path].kind == "tag":
                # Rules of the keeper ask for it. A tag that has just gone is removed in the last pass.
                with contextlib.suppress(Gone):
                    pushed = self.source.pushed(path)
            self.target.put(path, [due[path].digest.encode()], len(due[path].digest), pushed)

        def read(path: str) -> tuple[str, str]:
            content, mark = self.target.content(path)
            return digest_in(content), mark

        for kind in KINDS:
            for batch in _batches([path for path, one in due.items() if one.kind == kind]):
                # First that they are ours: a run that is killed must know what it may have written.
                self.record.put({path: Row(due[path].digest, "", "") for path in batch})
                for _path, result in self._each(write, batch):
                    _raise(result)
                self.target.settle()
                verified = {}
                for path, result in self._each(read, batch):
                    _raise(result)
                    content, mark = result
                    if content != due[path].digest:
                        raise HoldfastError(f"{self.target.text}: gives something else for {path} than what was written there. It cannot keep images")
                    verified[path] = Row(content, due[path].mark, mark)
                self.record.put(verified)
                self.progress.done(0, len(batch))
        outcome.links = len(due)

    def _remove(self, listed: Snapshot, there: t.Mapping[str, Found], outcome: Outcome) -> None:
        """Remove links that the source has no more: what names goes before what is named."""
        for kind in reversed(KINDS):
            gone = [path for path in there if path not in listed.seen and _kind(path) == kind and (self.over or path in self.record.rows)]
            self.progress.stage(f"removing what the source has no more: {kind}", len(gone))
            for _path, result in self._each(self.target.remove, gone):
                _raise(result)
                self.progress.done(0)
            self.record.drop(gone)
            outcome.removed += len(gone)

    def _is_copied(self, path: str, one: Named, there: t.Mapping[str, Found]) -> bool:
        """Whether a link is at the target. A tag that was written again is copied again, also if it names the same: it was pushed later."""
        row = self.record.rows.get(path)
        return self._is_verified(path, there, one.digest) and (one.kind != "tag" or bool(row and row.source == one.mark))

    def _is_verified(self, path: str, there: t.Mapping[str, Found], digest: str = "") -> bool:
        row = self.record.rows.get(path)
        found = there.get(path)
        return bool(row and found and row.target and row.target == found.mark and (not digest or row.digest == digest))

    def _each(self, work: t.Callable[[t.Any], t.Any], items: t.Iterable[t.Any]) -> t.Iterator[tuple[t.Any, t.Any]]:
        """Do the work for each item, several at once. Yields the item with the result, or with the error Damaged or Gone."""
        workers = max(self.source.workers, self.target.workers)
        left = iter(items)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            running = {pool.submit(work, item): item for item in itertools.islice(left, workers * 2)}
            try:
                while running:
                    done, _rest = concurrent.futures.wait(running, return_when=concurrent.futures.FIRST_COMPLETED)
                    for future in done:
                        item = running.pop(future)
                        error = future.exception()
                        if error is not None and not isinstance(error, (Damaged, Gone)):
                            raise error
                        yield item, error if error is not None else future.result()
                        for more in itertools.islice(left, 1):
                            running[pool.submit(work, more)] = more
            finally:
                for future in running:
                    future.cancel()


def _checked(pieces: t.Iterable[bytes], digest: str) -> t.Iterator[bytes]:
    """The same pieces. Raises Damaged at their end if they are not what the digest says, so that they do not become the blob."""
    calculated = hashlib.new(digest.partition(":")[0])
    for piece in pieces:
        calculated.update(piece)
        yield piece
    if calculated.hexdigest() != digest.partition(":")[2]:
        raise Damaged(f"{digest}: is damaged in the source")


def _batches(paths: list[str]) -> t.Iterator[list[str]]:
    for first in range(0, len(paths), _BATCH):
        yield paths[first : first + _BATCH]


def _kind(path: str) -> str:
    link = link_of(path)
    return link.kind if link else ""


def _raise(result: t.Any) -> None:
    if isinstance(result, Exception):
        raise result
