# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sweep: move what nothing needs into the quarantine while clients push and pull.

A push consists of steps, and each may meet each step of the sweep. Q is the quarantine, D a layer or manifest that is about to go.

| the client or registry                      | the sweep meanwhile        | why nothing is lost                                                   |
| ------------------------------------------- | -------------------------- | --------------------------------------------------------------------- |
| HEAD D: found, logged before the link goes  | about to take the link     | listen() comes right before: D is protected for the grace period      |
| HEAD D: found, logged after the link went   | link taken                 | listen() after each batch, and all the time while settling: brought   |
|                                             |                            | back before the manifest, which takes the client another request      |
| HEAD D: not found                           | link taken                 | the client uploads D as if it had never been there                    |
| PUT manifest that needs D, by a client that | link taken, Redis not told | the registry accepts it; the look at the repository finds the new     |
| did not ask (a copy of an old manifest)     |                            | manifest, and brings D back                                           |
|                                             | link taken, Redis told     | refused, as it would be for a layer that was never there              |
| HEAD D: found, right before Redis is told   | link taken                 | listen() before and after a few are told: brought back at once; a     |
|                                             |                            | manifest that comes before that is refused                            |
|                                             | registry's own memory      | accepted; the next run's mark finds the manifest and brings D back;   |
|                                             |                            | purge keeps D as long as that registry runs (removal.py)              |
| PUT of the manifest D itself                | link taken                 | writes the link again: it is there, and young                         |
| ... the link was open when it was moved     | link taken                 | the registry writes into the file in Q: its time is new, brought back |
| upload of D: the registry finds the blob,   | blob taken in between      | the upload's file was there when the blob went: it is still there, or |
| drops the upload and writes a link          |                            | the link is: uploads are looked at first, then links; brought back    |
| mount of D from a repository                | link taken there           | blobs go last, and not while any repository has a link: look()        |
| PUT of a manifest whose content is still    | blob taken                 | Redis is told before and after the blob goes, so the registry looks   |
| there (2.8 then asks Redis, 3.1 the disk)   |                            | at the disk; a new link is found by look(), which brings it back      |
| tag moved or removed, pull under way        | mark                       | what a tag named lately stays for a while (storage/survey.py)         |
| MkdirAll, then open of a link, tag or blob  | link, tag or blob taken    | only files are taken; their directories stay until the purge          |
| any of these                                | killed                     | all that is in Q is in no other place: the next run tells Redis,      |
|                                             |                            | marks, and brings back what is needed                                 |

What is remembered, and what is looked at each time:

- What a manifest refers to is read once in a run (survey.Cache). Its name is the hash of its content, so it can never refer to something else. Only
  what could be read as a whole is remembered: 2.8 writes content in place, and the half of a JSON object is none. All else decides anew with each look:
  which manifests have a link, which tags there are and what they name, which layers have a link. Should a manifest's content be lost or damaged
  after it was read, what it needs is still known, and stays.
- Whether a manifest was pushed again is asked between batches of links only every LOOK_AT_TAKEN seconds. Until then more layers go that it may need. They
  are in Q, Redis does not know, and the look at the end of the repository brings them back, as does the one after settling.
- Whether a link that was taken has been written since is asked right after it was taken, after its batch, with each poll for OFTEN seconds, then every
  SELDOM seconds until requests must have ended, then at the end for all; and of what is in Q by the next run.
- For a blob, links are looked at where a repository has or had a directory of that kind (layers, revisions) for it. A link anywhere else needs a new
  directory, which changes the time of the directory above: look() surveys such repositories.
- A blob's links are looked at right before it goes, right after, and after its batch. Redis forgets it before all that, also if it then stays: a
  missing key costs a look at the disk.
"""

from __future__ import annotations

import os
import time
import typing as t

from registry_keeper.collect.access_log import AccessLog
from registry_keeper.collect.mark import Index, Mark, Place
from registry_keeper.collect.quarantine import Run
from registry_keeper.collect.rescue import Rescue, blob_path, link_path, take
from registry_keeper.report import Report
from registry_keeper.storage.layout import Layout, digest_of, subdirectories
from registry_keeper.storage.reading import changed
from registry_keeper.storage.redis_cache import RedisCache
from registry_keeper.storage.survey import Survey

LINKS_AT_ONCE = 50
BLOBS_AT_ONCE = 32
LOOK_EVERY = 1.0  # seconds between looks at all repositories while blobs go
POLL = 0.02
LOOK_AT_TAKEN = 0.1  # seconds between looks whether manifests were pushed again, while links of their repository go
OFTEN = 0.2  # seconds for which links that have just been taken are looked at with each poll
SELDOM = 0.1  # seconds between looks at them afterwards
Link = tuple[str, str, bytes]  # kind, repository, digest


class Sweep:
    """One sweep."""

    def __init__(
        self, tree: Layout, run: Run, index: Index, rescue: Rescue, log: AccessLog | None, cache: RedisCache | None, settle: float, report: Report
    ) -> None:
        self.tree, self.run, self.index, self.rescue = tree, run, index, rescue
        self.mark: Mark = rescue.mark
        index.trees = (run.tree, *index.trees)
        self.log, self.cache, self.settle, self.report = log, cache, settle, report
        self.links: dict[Link, int] = {}  # taken, with the time (ns) they had
        self.holders: dict[bytes, list[Place]] = {}  # where there was a link until now, so that one can come without a new directory
        self.blobs: dict[bytes, int] = {}  # taken, with their size
        self.tags = 0
        self.uploads: list[tuple[str, str]] = []  # open ones: repository, path of the data
        self.looked = 0.0

    # --- links

    def sweep_links(self) -> None:
        """Take tags of subjects that are gone, manifests and layer links. Raises OSError and CacheError; then restore() is due."""
        names = sorted(name for name, one in self.mark.surveys.items() if one.tags or one.revisions or one.layers)
        for number, name in enumerate(names):
            self._sweep_repository(name)
            self.report.progress(f"swept {number + 1} of {len(names)} repositories, {len(self.links)} links")
        if not self.links and not self.tags:
            return
        self._wait(list(self.links)[-2000:])
        self._look_at(names)
        if self.cache is not None:
            # Only now: until here, a push that found a layer just before goes through, and the look finds its manifest.
            self.cache.forget_taken([link for link in self.still_taken() if link[0] == "layers"], self._is_taken, self._listen)
            self._look_at(names)

    def _sweep_repository(self, name: str) -> None:
        """Look at a repository again, and take at once what it does not need now. A manifest goes before its layers."""
        self._listen()
        one = self.rescue.repository(name)
        for tag in one.tags:
            if self.run.take(self.tree.relative(self.tree.tag(name, tag)) + "/current/link"):
                self.index.tags.setdefault(name, {})[tag] = self.run
                self.tags += 1
        links: list[tuple[Link, int]] = [(("revisions", name, key), moment) for key, moment in one.revisions.items()]
        links += [(("layers", name, key), moment) for key, moment in one.layers.items()]
        looked = took = 0.0
        for begin in range(0, len(links), LINKS_AT_ONCE):
            if begin:
                self._listen()
                now = time.monotonic()
                # It looks at each manifest that was taken, which must not become most of the work.
                if now > looked + max(LOOK_AT_TAKEN, 4 * took):
                    if self._pushed_to(name, one):
                        self.rescue.repository(name)
                    looked = time.monotonic()
                    took = looked - now
            for link, moment in links[begin : begin + LINKS_AT_ONCE]:
                now_written = self._modified(link)
                if link[2] in self.rescue.protected or now_written not in (moment, None):
                    continue
                self.holders.setdefault(link[2], []).append(link[:2])
                if now_written is not None and take(self.run, self.index, self.tree, *link):
                    self.links[link] = moment
                    self._rewritten([link])
            self._listen()
            self._rewritten(link for link, _moment in links[begin : begin + LINKS_AT_ONCE])
        self.rescue.repository(name)

    def _modified(self, link: Link) -> int | None:
        try:
            return os.stat(f"{self.tree.storage}/{link_path(self.tree, *link)}").st_mtime_ns
        except FileNotFoundError:
            return None

    def _pushed_to(self, name: str, one: Survey) -> bool:
        """Whether a repository has got something that it did not have, or a manifest again that was taken."""
        return changed(self.tree, name) != one.changed or any(
            self._modified(("revisions", name, key)) is not None for key in one.revisions if ("revisions", name, key) in self.links
        )

    def still_taken(self) -> list[Link]:
        """The links that this run has taken and not brought back."""
        return [link for link in self.links if self._is_taken(link)]

    def _is_taken(self, link: Link) -> bool:
        kind, name, key = link
        return (self.index.layers if kind == "layers" else self.index.revisions).get(name, {}).get(key) is self.run

    def _rewritten(self, links: t.Iterable[Link]) -> None:
        """Bring back links that the registry had open when they were taken, and has written since."""
        for link in links:
            before = self.links.get(link)
            if before is None:
                continue
            try:
                now = os.stat(self.run.place(link_path(self.tree, *link))).st_mtime_ns
            except FileNotFoundError:
                continue
            if now != before:
                self.rescue.link(*link)

    def _look_at(self, names: t.Iterable[str]) -> None:
        self._rewritten(list(self.links))
        self._listen()
        for name in names:
            self.rescue.repository(name)

    def _listen(self) -> None:
        if self.log is not None:
            self.rescue.asked_for(self.log.follow())

    def _wait(self, recent: t.Sequence[Link] = ()) -> None:
        """Let requests end that had begun before, and bring back at once what they found.

        A registry that has one of the recent links open writes it in the next microseconds, unless its host is busy. So they are looked at often
        at first.
        """
        begin = now = looked = time.monotonic()
        while now < begin + self.settle:
            self._listen()
            if now < begin + OFTEN or now >= looked + SELDOM:
                self._rewritten(recent)
                looked = now
            time.sleep(POLL)
            now = time.monotonic()

    # --- blobs

    def sweep_blobs(self) -> None:
        """Take blobs that nothing links to. Raises OSError and CacheError; then restore_blobs() is due."""
        self.look()
        candidates = sorted(key for key in self.mark.blobs if not self.rescue.is_needed(key))
        for begin in range(0, len(candidates), BLOBS_AT_ONCE):
            self._take_blobs(candidates[begin : begin + BLOBS_AT_ONCE])
            if time.monotonic() - self.looked > LOOK_EVERY:
                self.look()
            self.report.progress(f"swept {len(self.blobs)} of {len(candidates)} blobs")
        if not self.blobs:
            return
        self.look()
        self._wait()
        self._rewritten(list(self.links))
        if self.cache is not None:
            self.cache.forget_blobs(digest_of(key) for key in self.blobs)
        self.look(everything=True)

    def _take_blobs(self, keys: list[bytes]) -> None:
        self._listen()
        uploading = self._sizes_of_uploads()
        keys = [key for key in keys if not self.rescue.is_needed(key) and self.mark.blobs[key].size not in uploading]
        if self.cache is not None:
            self.cache.forget_blobs(map(digest_of, keys))
        for key in keys:
            # Right before and right after, so that it is missing for as short as can be where it is wanted.
            if not self._is_wanted(key) and self.run.take(blob_path(self.tree, key)):
                self.index.blobs[key] = self.run
                self.blobs[key] = self.mark.blobs[key].size
                if self._is_wanted(key):
                    self.rescue.blob(key)
        # Uploads first, then links: the registry writes the link, and then removes the upload.
        uploading = self._sizes_of_uploads()
        uploading_to = {(kind, name) for name, _path in self.uploads for kind in ("revisions", "layers")}
        self._listen()
        for key in keys:
            if self.mark.blobs[key].size in uploading or self._is_wanted(key) or self._is_linked(key, uploading_to):
                self.rescue.blob(key)
        if self.cache is not None:
            self.cache.forget_blobs(map(digest_of, keys))

    def _is_wanted(self, key: bytes) -> bool:
        return self.rescue.is_needed(key) or self._is_linked(key, {*self.mark.unlinked.get(key, ()), *self.holders.get(key, ())})

    def _is_linked(self, key: bytes, places: t.Iterable[Place]) -> bool:
        """Whether there is a link to it again. A manifest that is there again needs its layers."""
        found = False
        for kind, name in places:
            if (kind == "revisions" or not found) and os.path.exists(f"{self.tree.storage}/{link_path(self.tree, kind, name, key)}"):
                found = True
                if kind == "revisions":
                    self.rescue.repository(name)
        return found

    def _sizes_of_uploads(self) -> set[int]:
        sizes = set()
        for _name, path in self.uploads:
            try:
                sizes.add(os.stat(path).st_size)
            except (FileNotFoundError, NotADirectoryError):
                continue
        return sizes

    def look(self, everything: bool = False) -> None:
        """Look at all repositories for links that were not there before, and at what is being uploaded; bring back what is needed."""
        self._listen()
        self.uploads = []
        for name in self.tree.walk_repositories():
            for upload in subdirectories(self.tree.uploads(name)):
                self.uploads.append((name, f"{self.tree.uploads(name)}/{upload}/data"))
            now = changed(self.tree, name)
            if now != self.mark.changed.get(name):
                one = self.rescue.repository(name)
                self.mark.linked.update(one.layers, one.revisions)
                self.mark.changed[name] = one.changed
                self.mark.add_unlinked(one)
        recent = list(self.blobs) if everything else list(self.blobs)[-20000:]
        for key in recent:
            if key in self.index.blobs and self._is_wanted(key):
                self.rescue.blob(key)
        self.looked = time.monotonic()

    # --- where the cache cannot be told, or the disk is full

    def restore(self) -> None:
        """Bring back everything that this run has taken."""
        self.restore_blobs()
        for kind, name, key in self.still_taken():
            self.rescue.link(kind, name, key)
        for name, tags in self.index.tags.items():
            for tag in [tag for tag, run in tags.items() if run is self.run]:
                self.rescue.tag(name, tag)

    def restore_blobs(self) -> None:
        """Bring back the blobs that this run has taken."""
        for key in self.blobs:
            if self.index.blobs.get(key) is self.run:
                self.rescue.blob(key)

    @property
    def freed(self) -> tuple[int, int]:
        """The number of blobs in the quarantine, and their bytes."""
        sizes = [size for key, size in self.blobs.items() if self.index.blobs.get(key) is self.run]
        return len(sizes), sum(sizes)
