# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Damaged blobs: kept in keeper/damaged/ALGORITHM/HEX, where no registry looks, until a sound one is back in their place."""

from __future__ import annotations

import contextlib
import itertools
import os
import typing as t

from registry_keeper.report import sync_directory
from registry_keeper.storage.layout import Layout, walk_digests


def _path(state: str, digest: str) -> str:
    return os.path.join(state, "damaged", digest.replace(":", "/", 1))


def move_away(layout: Layout, state: str, digest: str) -> None:
    """Take a damaged blob out of the registry's sight. Raises OSError."""
    path = _path(state, digest)
    os.makedirs(path, mode=0o750, exist_ok=True)
    os.rename(layout.data(digest), os.path.join(path, "data"))
    sync_directory(layout.blob(digest))
    sync_directory(path)


def now_damaged(state: str) -> list[str]:
    """The digests of the damaged blobs that are kept."""
    return sorted(digest for digest in walk_digests(os.path.join(state, "damaged")) if os.path.exists(os.path.join(_path(state, digest), "data")))


def drop(state: str, digest: str) -> None:
    """Remove the damaged copy of a blob."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(os.path.join(_path(state, digest), "data"))
    with contextlib.suppress(OSError):
        os.rmdir(_path(state, digest))


def sound_again(layout: Layout, state: str) -> list[str]:
    """Remove the damaged copies of blobs that are back, since somebody pushed or repaired them. Returns their digests."""
    back = [digest for digest in now_damaged(state) if os.path.exists(layout.data(digest))]
    for digest in back:
        drop(state, digest)
    return back


def drop_unneeded(layout: Layout, state: str, missing: t.AbstractSet[str]) -> list[str]:
    """Remove the damaged copies of blobs that no repository has a link to, and that are not missing in an image. Returns their digests. Raises OSError."""
    unneeded = {digest for digest in now_damaged(state) if digest not in missing}
    if unneeded:
        for repository in layout.walk_repositories():
            named = unneeded.intersection(itertools.chain(layout.walk_layers(repository), layout.walk_revisions(repository)))
            unneeded -= {digest for digest in named if _linked(layout, repository, digest)}
    for digest in unneeded:
        drop(state, digest)
    return sorted(unneeded)


def _linked(layout: Layout, repository: str, digest: str) -> bool:
    return any(os.path.lexists(f"{directory}/link") for directory in (layout.layer(repository, digest), layout.revision(repository, digest)))
