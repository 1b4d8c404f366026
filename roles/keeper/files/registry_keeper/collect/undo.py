# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""undo: bring back what a run has taken, or one image."""

from __future__ import annotations

import argparse
import os
import typing as t

from registry_keeper import lock
from registry_keeper.collect.mark import Index
from registry_keeper.collect.quarantine import Run, run_named, runs
from registry_keeper.collect.rescue import blob_path, link_path, put_back_tag
from registry_keeper.errors import ATTENTION, DONE, USAGE, KeeperError
from registry_keeper.report import Report
from registry_keeper.settings import Settings
from registry_keeper.storage import manifest
from registry_keeper.storage.layout import TAG, Layout, digest_of, is_digest, key_of, read_link
from registry_keeper.storage.survey import subject_of

# What a thing needs comes back before it.
_ORDER = {"blobs": 0, "_layers": 1, "_manifests": 2, "_uploads": 4}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="RUN", nargs="?", help="the run, as `registry-keeper runs` lists it")
    parser.add_argument("--image", metavar="REPOSITORY:TAG", help="only this image, or REPOSITORY@DIGEST; from whichever run has it")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Undo. Returns an exit status; raises KeeperError and OSError."""
    if not options.run and not options.image:
        raise KeeperError("say which RUN, or which image with --image; `registry-keeper runs` lists the runs", USAGE)
    with lock.alone(settings, "undo"):
        one = run_named(settings.storage, settings.state, options.run) if options.run else None
        count = _image(settings, options.image, one, report) if options.image else _whole(one, report) if one else 0
    report.add(brought_back=count)
    report.say(f"brought back: {count}")
    return ATTENTION if report.warnings else DONE


def _whole(one: Run, report: Report) -> int:
    """Everything of a run, what others need first."""
    everything = [relative for relative, _status in one.walk()]
    # A tag's whole directory: its history belongs to it.
    tags = {relative[: -len("/current/link")] for relative in everything if "/_manifests/tags/" in relative and relative.endswith("/current/link")}
    files = [relative for relative in everything if not any(relative.startswith(tag + "/") for tag in _of(relative, tags))]
    count = 0
    for relative in sorted(files, key=_order):
        count += one.put_back(relative)
        report.progress(f"brought back {count}")
    for relative in sorted(tags):
        count += put_back_tag(one, relative)
    one.finish(undone=True)
    return count


def _of(relative: str, tags: set[str]) -> t.Iterator[str]:
    """The tag that a path belongs to, if it is one of these."""
    head, middle, rest = relative.partition("/_manifests/tags/")
    if middle and (tag := head + middle + rest.split("/")[0]) in tags:
        yield tag


def _order(relative: str) -> tuple[int, str]:
    return min((_ORDER[part] for part in relative.split("/") if part in _ORDER), default=3), relative


def _image(settings: Settings, image: str, only: Run | None, report: Report) -> int:
    name, at, reference = image.partition("@") if "@" in image else image.rpartition(":")
    if not name or not at or not (is_digest(reference) if at == "@" else TAG.fullmatch(reference)):
        raise KeeperError(f"--image: {image!r} is neither REPOSITORY:TAG nor REPOSITORY@DIGEST", USAGE)
    tree = Layout(settings.storage)
    every = runs(settings.storage, settings.state)
    work = _Image(tree, name, Index.of(every), report)
    tagged = None
    if at == "@":
        digest = reference
    else:
        tagged = next((run for run in reversed([only] if only else every) if os.path.isdir(run.place(work.tag_path(reference)))), None)
        found = read_link((tagged.place(work.tag_path(reference)) if tagged else tree.tag(name, reference)) + "/current/link")
        if found is None:
            raise KeeperError(f"{image}: is in no run; `registry-keeper runs` lists what there is", USAGE)
        digest = found
    count = work.bring_back(digest) + work.bring_back_referrers(digest)
    if tagged is not None:
        if not put_back_tag(tagged, work.tag_path(reference)):
            raise KeeperError(f"{image}: the tag has been pushed again, and stays as it is; {name}@{digest} is there", USAGE)
        count += 1
    report.say(f"{image} is {digest}")
    report.add(image=image, digest=digest)
    return count


class _Image:
    """Brings back a manifest with everything that it needs."""

    def __init__(self, tree: Layout, name: str, index: Index, report: Report) -> None:
        self.tree, self.name, self.index, self.report = tree, name, index, report

    def tag_path(self, tag: str) -> str:
        return os.path.relpath(self.tree.tag(self.name, tag), self.tree.storage)

    def bring_back(self, digest: str) -> int:
        """Bring back a manifest, its children and its layers, in an order in which nothing is there before what it needs. Raises KeeperError."""
        count, key = 0, key_of(digest)
        if not self._has(key):
            raise KeeperError(f"{self.name}@{digest}: is neither in the repository nor in a run", USAGE)
        try:
            references = self._references(key)
        except (OSError, manifest.NotAManifest) as error:
            raise KeeperError(f"{self.name}@{digest}: the manifest cannot be read: {error}") from error
        count += self._blob(key)
        for needed in references.needed:
            if self._has(needed):
                count += self.bring_back(digest_of(needed))
            else:
                count += self._blob(needed) + self._link("layers", needed)
        return count + self._link("revisions", key)

    def bring_back_referrers(self, digest: str) -> int:
        """Bring back signatures and other manifests about one that is there again, with their fallback tags. One that is damaged is named."""
        count = 0
        for key in list(self.index.revisions.get(self.name, {})):
            if self._subject(key) == key_of(digest):
                count += self.bring_back(digest_of(key)) + self.bring_back_referrers(digest_of(key))
        for tag, run in list(self.index.tags.get(self.name, {}).items()):
            named = read_link(run.place(self.tag_path(tag)) + "/current/link") if subject_of(tag) == key_of(digest) else None
            if named:
                del self.index.tags[self.name][tag]
                try:
                    count += self.bring_back(named)
                except KeeperError as error:
                    self.report.warn(f"{self.name}:{tag} stays where it is: {error}")
                    continue
                count += self.bring_back_referrers(named) + put_back_tag(run, self.tag_path(tag))
        return count

    def _references(self, key: bytes) -> manifest.References:
        """What a manifest refers to, before it is brought back. Raises OSError and NotAManifest."""
        place = self.tree.data(digest_of(key))
        run = self.index.blobs.get(key)
        # What is in its place stays there, whatever a run has.
        with open(run.place(blob_path(self.tree, key)) if run and not os.path.exists(place) else place, "rb") as file:
            return manifest.parse(file.read(), key)

    def _subject(self, key: bytes) -> bytes | None:
        try:
            return self._references(key).subject
        except (OSError, manifest.NotAManifest):
            return None

    def _has(self, key: bytes) -> bool:
        there = self.index.revisions.get(self.name, {})
        return key in there or os.path.exists(os.path.join(self.tree.storage, link_path(self.tree, "revisions", self.name, key)))

    def _link(self, kind: str, key: bytes) -> int:
        entries = self.index.revisions if kind == "revisions" else self.index.layers
        run = entries.get(self.name, {}).pop(key, None)
        return int(run is not None and run.put_back(link_path(self.tree, kind, self.name, key)))

    def _blob(self, key: bytes) -> int:
        run = self.index.blobs.pop(key, None)
        return int(run is not None and run.put_back(blob_path(self.tree, key)))
