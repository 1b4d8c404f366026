# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much a storage holds. The walk takes minutes on a large one, so its outcome is kept and used for a while."""

from __future__ import annotations

import contextlib
import json
import os
import time
import typing as t

from registry_keeper.report import write_whole
from registry_keeper.storage.layout import Layout, key_of, subdirectories

_LARGEST = 10
Facts = dict[str, t.Any]


def inventory(storage: str, state: str, oldest: float, progress: t.Callable[[str], None]) -> Facts:
    """Repositories, tags, blobs and their sizes, at most so many seconds old. Raises OSError where it cannot be read."""
    path = os.path.join(state, "status", "inventory.json")
    with contextlib.suppress(OSError, ValueError):
        with open(path, encoding="utf-8") as file:
            kept: Facts = json.load(file)
        if 0 <= time.time() - kept["taken"] <= oldest:
            return kept
    found = take(storage, state, progress)
    with contextlib.suppress(OSError):  # it is taken again then
        write_whole(path, json.dumps(found, sort_keys=True) + "\n")
    return found


def take(storage: str, state: str, progress: t.Callable[[str], None]) -> Facts:
    """Walk through the storage. Sizes are those of content, without what a file system adds."""
    tree = Layout(storage)
    sizes: dict[bytes, int] = {}
    for number, digest in enumerate(tree.walk_blobs()):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            sizes[key_of(digest)] = os.stat(tree.data(digest)).st_size
        if number % 1000 == 0:
            progress(f"looked at {number} blobs")
    repositories: dict[str, int] = {}
    tags = uploads = 0
    for name in tree.walk_repositories():
        progress(f"looked at {len(repositories)} repositories")
        repositories[name] = sum(sizes.get(key_of(digest), 0) for digest in tree.walk_layers(name))
        tags += sum(1 for _tag in tree.walk_tags(name))
        uploads += len(subdirectories(tree.uploads(name)))
    largest = sorted(repositories, key=lambda name: (-repositories[name], name))[:_LARGEST]
    return {
        "taken": int(time.time()),
        "repositories": len(repositories),
        "tags": tags,
        "blobs": len(sizes),
        "bytes": sum(sizes.values()),
        "open_uploads": uploads,
        "set_aside_bytes": _size_below(os.path.join(state, "runs")),
        # Layers that repositories share count for each of them.
        "largest": [{"repository": name, "bytes": repositories[name]} for name in largest],
    }


def _size_below(path: str) -> int:
    size, pending = 0, [path]
    while pending:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError, PermissionError), os.scandir(pending.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_size
    return size
