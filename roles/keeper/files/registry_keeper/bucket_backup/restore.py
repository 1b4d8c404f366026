# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""restore-bucket: one image, one repository, or everything, from the backup in another bucket. The registry may run meanwhile.

Blobs come first, each read again where it has been written, or where it was already; then layers, revisions, the histories of tags, and tags.
So what the registry has is valid all the time. A whole restoration that was killed goes on: the store says that there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import typing as t

from registry_keeper.bucket_backup import states
from registry_keeper.bucket_backup.links import path_of
from registry_keeper.bucket_backup.target import prepare, target_of
from registry_keeper.bucket_backup.transfer import DamagedError, gives_sound, transfer
from registry_keeper.errors import ATTENTION, DONE, USAGE, KeeperError
from registry_keeper.report import Report, counted, human_bytes
from registry_keeper.s3.lease import Lease
from registry_keeper.s3.listing import PUSHED, TREE, Listing
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.work import Work
from registry_keeper.settings import Settings
from registry_keeper.storage.image_links import image_of, wanted_of
from registry_keeper.storage.layout import digest_of, is_digest, key_of
from registry_keeper.storage.links import Link
from registry_keeper.storage.manifest import NotAManifest, parse

__all__ = ["add_arguments", "prepare", "run"]

UNDER_WAY = "holdfast-keeper/restoring.json"  # at the images: a whole restoration, until it has come to its end
_ORDER = ("layer", "revision", "index", "tag")
_NAMED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", metavar="REPOSITORY[:TAG|@DIGEST]", help="what to restore, without the registry's name")
    parser.add_argument("--everything", action="store_true", help="restore all images, into a store that has none")
    parser.add_argument("--state", metavar="STATE", help="the backup to restore from (default: the newest; `backup-bucket --list` lists them)")
    parser.add_argument("--over", action="store_true", help="replace tags that name something else, and restore into a store that has images")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Restore what is asked for. Returns an exit status; raises KeeperError and OSError."""
    if bool(options.image) == options.everything:
        raise KeeperError("say what to restore: REPOSITORY, REPOSITORY:TAG, REPOSITORY@DIGEST, or --everything", USAGE)
    image = image_of(options.image) if options.image else None
    target, work = target_of(settings), Work(settings, report)
    with work.alone("restore-bucket"), Lease(target, "restore-bucket", states.LEASE).held():
        _guard_both(work.objects, target)
        state = _state(target, options.state)
        restoration = _Restoration(work, target, state, over=options.over)
        if image:
            links = restoration.links_of(image)
            restoration.refuse_other_tags(links)
            restoration.restore(links)
        else:
            with restoration.whole():
                restoration.restore(list(state.links()))
    return ATTENTION if work.attention else DONE


def _guard_both(one: Objects, other: Objects) -> None:
    """Long work at one store may not let the lease at the other end."""
    first, second = one.guard, other.guard

    def both() -> None:
        first()
        second()

    one.guard = other.guard = both


def _state(target: Objects, name: str | None) -> states.State:
    names = list(states.listed(target))
    if not names:
        raise KeeperError(f"no backup in {target.client.bucket.shown}")
    found = states.read(target, name or names[-1])
    if found is None:
        raise KeeperError(f"--state: there is no backup {name}; there are: {', '.join(names)}", USAGE)
    # All of it, before anything is changed.
    found.blobs()
    return found


class _Restoration:
    """A restoration from one state."""

    def __init__(self, work: Work, target: Objects, state: states.State, over: bool) -> None:
        self._work, self._store, self._backup, self._report = work, work.objects, target, work.report
        self._state, self._over = state, over
        self._listing: Listing | None = None

    # --- which links

    def links_of(self, image: re.Match[str]) -> list[Link]:
        """The links of an image or a repository. Raises KeeperError where the state has no such thing."""
        there = [link for link in self._state.links() if link.repository == image["repository"]]
        return wanted_of(image, there, f"the backup {self._state.name}", self._parts)

    def _parts(self, digest: str) -> list[str]:
        content = self._backup.read(states.blob_name(key_of(digest)))
        try:
            return [digest_of(key) for key in parse(content or b"", key_of(digest)).needed]
        except NotAManifest:
            return []

    def refuse_other_tags(self, links: t.Iterable[Link]) -> None:
        """Raise KeeperError if a tag names another image now."""
        for link in links:
            now = self._digest(path_of(link)) if link.kind == "tag" and not self._over else None
            if now and now != link.digest:
                raise KeeperError(f"{link.repository}:{link.tag} names {now} now, and {link.digest} in the backup. --over replaces it")

    @contextlib.contextmanager
    def whole(self) -> t.Iterator[None]:
        """Refuse a store that has images, unless they are those of a restoration that was killed; note that one is under way. Raises KeeperError."""
        self._work.refuse_mirror()
        self._report.progress("listing the store")
        self._listing = Listing.whole(self._store)
        noted = {"state": self._state.name}
        content = self._store.read(UNDER_WAY)
        goes_on = content is not None and content == _document(noted)
        if (self._listing.repositories or self._listing.blobs) and not self._over and not goes_on:
            under_way = "a restoration from another backup was not finished there" if content is not None else "it has images already"
            place = self._store.client.bucket.shown
            raise KeeperError(
                f"{place}: {under_way}, and nothing was changed. To restore what is missing, and replace tags that name something else, say --over"
            )
        self._store.write(UNDER_WAY, _document(noted))
        yield
        self._store.remove(UNDER_WAY)

    @property
    def _was_empty(self) -> bool:
        return self._listing is not None and not self._listing.repositories

    # --- what is written

    def restore(self, links: t.Sequence[Link]) -> None:
        """Restore links with their blobs. Raises StoreError; then it goes on when it is run again."""
        lacking, copied, size = self._blobs(sorted({key_of(link.digest) for link in links}))
        written, other = 0, []
        ready = [link for link in links if key_of(link.digest) not in lacking]
        for kind in _ORDER:
            for link in ready:
                if link.kind != kind:
                    continue
                path = path_of(link)
                # A client may push to an empty store too.
                now = None if self._was_empty and kind != "tag" else self._digest(path)
                if now == link.digest:
                    continue
                if now and kind == "tag" and not self._over:
                    other.append(f"{link.repository}:{link.tag}")
                    continue
                self._store.write(path, link.digest.encode(), self._pushed(path) if kind == "tag" else None)
                written += 1
                self._report.progress(f"wrote {written} of {len(ready)} links")
        for digest in sorted(map(digest_of, lacking))[:_NAMED]:
            self._work.warn(f"{digest} is not in the backup, or damaged there")
        if other:
            self._work.warn(f"{len(other)} tags name something else by now, and were left so, such as {other[0]}")
        tags = sum(link.kind == "tag" for link in ready)
        self._report.add(state=self._state.name, links=written, tags=tags, blobs=copied, bytes=size, lacking=len(lacking), other_tags=other[:_NAMED])
        brought = f"{counted(copied, 'blob')}, {human_bytes(size)}, {counted(written, 'link')}, {counted(tags, 'tag')}"
        self._report.say(f"restored from the backup {self._state.name}: {brought}")

    def _blobs(self, keys: t.Sequence[bytes]) -> tuple[set[bytes], int, int]:
        """Have blobs. Returns those that the backup lacks, how many were copied, and their bytes."""
        lacking: set[bytes] = set()
        copied = size = 0
        for number, key in enumerate(keys):
            digest, place = digest_of(key), TREE.data(digest_of(key))
            if (self._listing is None or key in self._listing.blobs) and gives_sound(self._store, place, digest):
                continue
            try:
                length = transfer(self._backup, states.blob_name(key), self._store, place, digest)
            except DamagedError:
                length = None
            if length is None:
                lacking.add(key)
                continue
            copied, size = copied + 1, size + length
            self._report.progress(f"{number + 1} of {len(keys)} blobs, {human_bytes(size)} copied")
        return lacking, copied, size

    def _pushed(self, path: str) -> dict[str, str]:
        """When a tag was pushed, as a header: a rule that keeps the newest would otherwise go by the order of the restoration."""
        known = self._state.header.get("pushed")
        moment = known.get(path) if isinstance(known, dict) else None
        return {PUSHED: f"{moment:.6f}"} if isinstance(moment, (int, float)) and moment > 0 else {}

    def _digest(self, path: str) -> str | None:
        """What a link says; None where there is none, or something else."""
        content = (self._store.read(path) or b"").decode("ascii", "replace").strip()
        return content if is_digest(content) else None


def _document(facts: t.Mapping[str, t.Any]) -> bytes:
    return (json.dumps(facts, sort_keys=True) + "\n").encode()
