# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mend what a power cut leaves: links that are empty, and uploads that nobody will finish.

2.8 and 3.0 write a link in place, so it can be left empty. The registry then answers 500, and its own garbage-collect stops for ever.
What a link said is known: its path has the digest, and a tag's history has what the tag named.
"""

from __future__ import annotations

import os
import time
import typing as t

from registry_keeper.collect.quarantine import Run
from registry_keeper.report import write_whole
from registry_keeper.storage.layout import Layout, is_digest, read_link, subdirectories

SETTLED_SECONDS = 60  # a younger one may be in the middle of being written


class Mended(t.NamedTuple):
    """What was done, and what needs a person. Paths are relative to the storage."""

    written: list[str]
    taken: list[str]
    unknown: list[str]


def mend_links(tree: Layout, run: Run, paths: t.Iterable[str]) -> Mended:
    """Write broken links again; links to content that is not there go into the quarantine. Raises OSError."""
    mended = Mended([], [], [])
    for path in sorted(paths):
        relative = os.path.relpath(path, tree.storage)
        try:
            if time.time() - os.stat(path).st_mtime < SETTLED_SECONDS or is_digest(read_link(path)):
                continue
        except FileNotFoundError:
            continue
        digest = _of_tag(path) if path.endswith("/current/link") else ":".join(path.split("/")[-3:-1])
        if digest is None or not is_digest(digest):
            mended.unknown.append(relative)
        elif os.path.exists(tree.data(digest)):
            write_whole(path, digest, mode=0o644)
            mended.written.append(relative)
        elif not path.endswith("/current/link"):
            if run.take(relative):
                mended.taken.append(relative)
        else:
            mended.unknown.append(relative)
    return mended


def _of_tag(path: str) -> str | None:
    """What a tag names, from its history: the newest entry."""
    history = os.path.join(os.path.dirname(os.path.dirname(path)), "index")
    newest: tuple[float, str] | None = None
    for algorithm in subdirectories(history):
        for name in subdirectories(f"{history}/{algorithm}"):
            try:
                moment = os.stat(f"{history}/{algorithm}/{name}/link").st_mtime
            except FileNotFoundError:
                continue
            if newest is None or moment > newest[0]:
                newest = (moment, f"{algorithm}:{name}")
    return newest[1] if newest else None


def abandoned_uploads(tree: Layout, before: float) -> t.Iterator[str]:
    """Directories of uploads that nothing was written to since a moment, relative to the storage."""
    for name in tree.walk_repositories():
        for upload in subdirectories(tree.uploads(name)):
            path = f"{tree.uploads(name)}/{upload}"
            if _newest(path) < before:
                yield os.path.relpath(path, tree.storage)


def _newest(path: str) -> float:
    try:
        newest = os.stat(path).st_mtime
        for directory, _names, files in os.walk(path):
            for file in files:
                newest = max(newest, os.stat(os.path.join(directory, file)).st_mtime)
    except FileNotFoundError:
        return time.time()  # it ends just now
    return newest
