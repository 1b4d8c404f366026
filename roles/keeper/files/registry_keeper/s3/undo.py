# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""undo, in an S3 store: bring back what a run has taken, or one image. What is there already stays as it is."""

from __future__ import annotations

import argparse
import typing as t

from registry_keeper.collect.mark import Mark
from registry_keeper.collect.undo import add_arguments
from registry_keeper.errors import ATTENTION, DONE, USAGE, KeeperError
from registry_keeper.report import Report
from registry_keeper.s3.listing import TREE, Listing
from registry_keeper.s3.mark import Marking, Taken
from registry_keeper.s3.quarantine import Run, named, runs
from registry_keeper.s3.rescue import Rescue, blob_path, link_path, tag_path
from registry_keeper.s3.work import Work
from registry_keeper.settings import Settings
from registry_keeper.storage import manifest
from registry_keeper.storage.layout import TAG, digest_of, is_digest, key_of, thing_of

__all__ = ["add_arguments", "run"]


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Undo. Returns an exit status; raises KeeperError."""
    if not options.run and not options.image:
        raise KeeperError("say which RUN, or which image with --image; `registry-keeper runs` lists the runs", USAGE)
    work = Work(settings, report)
    with work.alone("undo"):
        one = named(runs(work.objects), [options.run])[0] if options.run else None
        rescue = _rescue(work, one, every=not (one and options.image))
        if options.image:
            _image(rescue, options.image, report)
        elif one:
            _whole(rescue, one)
            one.finish(undone=True)
    report.add(brought_back=rescue.back + rescue.blobs_back)
    report.say(f"brought back: {rescue.back + rescue.blobs_back}")
    work.tell_of_damaged(rescue)
    return ATTENTION if work.attention else DONE


def _rescue(work: Work, first: Run | None, every: bool) -> Rescue:
    """From whichever run has it, but one run first. What is in its place is not brought back."""
    others = [one for one in runs(work.objects) if first is None or one.name != first.name] if every else []
    taken = Taken.of([*others, *([first] if first else [])])
    listing = Listing.whole(work.objects)
    taken.without(listing, listing.repositories)
    marking = Marking(work.objects, work.objects.now(), work.options.grace_seconds, frozenset(), taken)
    return Rescue(marking, Mark(marking.rules))


def _whole(rescue: Rescue, one: Run) -> None:
    """Everything of a run, what others need first, and what of it other runs have taken since."""
    things = [thing_of(path) for path in [*one.blobs(), *one.links()]]
    for wanted in ("blobs", "layers", "revisions", "tags"):
        for kind, name, thing in things:
            if kind != wanted:
                continue
            if isinstance(thing, str):
                rescue.tag(name, thing)
            elif kind == "blobs":
                rescue.blob(thing)
            elif kind == "revisions":
                _manifest(rescue, name, thing)
            else:
                rescue.link(kind, name, thing)
    for name in sorted({name for _kind, name, _thing in things if name}):
        rescue.repository(name)


def _image(rescue: Rescue, image: str, report: Report) -> None:
    name, at, reference = image.partition("@") if "@" in image else image.rpartition(":")
    if not name or not at or not (is_digest(reference) if at == "@" else TAG.fullmatch(reference)):
        raise KeeperError(f"--image: {image!r} is neither REPOSITORY:TAG nor REPOSITORY@DIGEST", USAGE)
    digest = reference
    if at != "@":
        found = rescue.taken.tags.get(name, {}).get(reference)
        written = (rescue.objects.read(tag_path(name, reference)) or b"").decode("ascii", "replace") if found is None else found[1]
        if not is_digest(written):
            raise KeeperError(f"{image}: no run has that tag; give REPOSITORY@DIGEST", USAGE)
        digest = written
    _refuse_damaged(rescue, key_of(digest))
    _manifest(rescue, name, key_of(digest))
    if rescue.objects.head(link_path("revisions", name, key_of(digest))) is None:
        raise KeeperError(f"{name}@{digest}: is neither in the repository nor in a run", USAGE)
    if at != "@":
        rescue.tag(name, reference)
    _referrers(rescue, name, key_of(digest))
    rescue.repository(name)
    report.say(f"{image} is {digest}")
    report.add(image=image, digest=digest)


def _manifest(rescue: Rescue, name: str, key: bytes) -> None:
    """A manifest with what it needs, in an order in which nothing is there before what it needs."""
    references = _references(rescue, key)
    for needed in references.needed if references else ():
        if needed in rescue.taken.revisions.get(name, {}):
            _manifest(rescue, name, needed)
        else:
            rescue.blob(needed)
            rescue.link("layers", name, needed)
    rescue.link("revisions", name, key)


def _referrers(rescue: Rescue, name: str, subject: bytes) -> None:
    """Signatures and other manifests about one that is there again."""
    for key in list(rescue.taken.revisions.get(name, {})):
        references = _references(rescue, key)
        if references and references.subject == subject:
            _manifest(rescue, name, key)
            _referrers(rescue, name, key)


def _content(rescue: Rescue, key: bytes) -> bytes | None:
    """What a manifest says, wherever it is."""
    run: t.Any = rescue.taken.blobs.get(key)
    return rescue.objects.read(run.place(blob_path(key)) if run else blob_path(key))


def _references(rescue: Rescue, key: bytes) -> manifest.References | None:
    """What a manifest refers to. None for one that is not there or is damaged, which keeps nothing else from coming back."""
    content = _content(rescue, key)
    try:
        return None if content is None else manifest.parse(content, key)
    except manifest.NotAManifest:
        return None


def _refuse_damaged(rescue: Rescue, key: bytes) -> None:
    """Raise KeeperError where it is known to be no use to bring an image back."""
    if _content(rescue, key) is not None and _references(rescue, key) is None:
        raise KeeperError(f"{TREE.data(digest_of(key))}: the manifest is damaged and cannot be read")
