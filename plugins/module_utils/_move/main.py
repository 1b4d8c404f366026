# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that moves the images of one registry: `move JOB.json copy` while clients push, then `move JOB.json finish` while they cannot."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
import sys
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._move.files import Files
from ansible_collections.holdfast.registry.plugins.module_utils._move.keeper import kept_out
from ansible_collections.holdfast.registry.plugins.module_utils._move.passes import Move, Outcome
from ansible_collections.holdfast.registry.plugins.module_utils._move.progress import Progress
from ansible_collections.holdfast.registry.plugins.module_utils._move.record import Record
from ansible_collections.holdfast.registry.plugins.module_utils._move.snapshot import Place
from ansible_collections.holdfast.registry.plugins.module_utils._move.store import Store
from ansible_collections.holdfast.registry.plugins.module_utils._s3.client import StoreError
from ansible_collections.holdfast.registry.plugins.module_utils._s3.entries import bucket_of

_USAGE = "usage: move JOB.json copy|finish\n"
# A pass that is shorter than this has little left for the last one, in which uploads are refused.
_SHORT_SECONDS = 60
_MOST_PASSES = 8
_NAMED = 20


def main(arguments: list[str]) -> int:
    """Do the job in the file arguments[0]. Returns the exit status: 0, 1 if it failed, 2 if it was called wrongly."""
    if len(arguments) != 2 or arguments[1] not in ("copy", "finish"):
        sys.stderr.write(_USAGE)
        return 2
    os.umask(0o027)
    with open(arguments[0], encoding="utf-8") as file:
        job = json.load(file)
    os.makedirs(job["state"], mode=0o750, exist_ok=True)
    progress = Progress(os.path.join(job["state"], f"{arguments[1]}.json"))
    try:
        with _alone(job["state"]):
            run(job, arguments[1] == "finish", progress)
    except (HoldfastError, OSError, sqlite3.Error) as error:
        progress.finish("failed", str(error))
        return 1
    return 0


def run(job: t.Mapping[str, t.Any], final: bool, progress: Progress) -> None:
    """Make passes until little is left to do, or with final until nothing is. Raises HoldfastError, OSError and sqlite3.Error."""
    source, target = place_of(job["source"], progress.say), place_of(job["target"], progress.say)
    for place in (source, target) if isinstance(source, Store) else (target,):
        # In the last pass a store that is away for a moment is waited for, as everywhere later. Before, what is wrong is said at once.
        with contextlib.suppress(StoreError) if final else contextlib.nullcontext():
            place.prepare()
        if isinstance(place, Store):
            place.refuse_other()
    _refuse_same(source, target)
    record = Record(os.path.join(job["state"], "record"), source.text, target.text)
    move = Move(source, target, record, progress, over=bool(job.get("over")))
    copied = Outcome()
    with contextlib.closing(record), kept_out([source, target], progress.stage) if final else contextlib.nullcontext():
        for number in range(1, _MOST_PASSES + 1):
            began = time.monotonic()
            outcome = move.make_pass(final)
            seconds = time.monotonic() - began
            changed = outcome.changed
            progress.say(
                f"pass {number}: {outcome.blobs} blobs ({outcome.size / 1e9:.2f} GB) and {outcome.links} links verified, "
                f"{outcome.removed} links removed, in {seconds:.0f} s"
            )
            copied = _sum(copied, outcome)
            if not changed or (not final and seconds < _SHORT_SECONDS):
                break
        else:
            if final:
                raise HoldfastError(f"{source.text}: still changes after {_MOST_PASSES} passes, although uploads are refused. Who writes to it?")
    for what, why in list(copied.left_out.items())[:_NAMED]:
        progress.say(f"left out: {what} {why}")
    line = (
        f"{copied.repositories} repositories, {copied.tags} tags, {copied.all_blobs} blobs ({copied.all_size / 1e9:.2f} GB) are at {target.text}"
        f"{', all read again and compared' if final else ''}; this run copied or found, and verified, {copied.blobs} blobs and {copied.links} links"
        f"{f', and left out {len(copied.left_out)} that are broken at the source' if copied.left_out else ''}"
    )
    facts = {"blobs": copied.blobs, "links": copied.links, "removed": copied.removed, "left_out": [f"{a} {b}" for a, b in copied.left_out.items()][:_NAMED]}
    progress.finish("complete" if final else "caught-up", line, **facts)


def _refuse_same(source: Place, target: Place) -> None:
    """A copy to itself writes over tags that clients push meanwhile, and ends with the word that the source can be removed. Raises HoldfastError."""
    if isinstance(source, Store) and isinstance(target, Store):
        same = target.is_also(source)
    else:
        same = isinstance(source, Files) and isinstance(target, Files) and target.is_also(source)
    if same:
        raise HoldfastError(
            f"{target.text}: is the same place as {source.text}, by another name, or inside of it, so there is nothing to move. Remove neither. To have the "
            "registry use the new name, run migrate.yml -e holdfast_migrate=cancel, and then site.yml -e holdfast_change_storage=true; otherwise choose "
            "another place"
        )


def place_of(entry: t.Mapping[str, t.Any], say: t.Callable[[str], None]) -> Place:
    """The source or the target of a job. Raises HoldfastError for a store that makes no sense."""
    if "directory" in entry:
        return Files(entry["directory"])
    return Store(bucket_of(entry, "store"), entry["url"], say)


def _sum(before: Outcome, now: Outcome) -> Outcome:
    """What several passes did; what is there is what the last one saw."""
    now.blobs += before.blobs
    now.size += before.size
    now.links += before.links
    now.removed += before.removed
    return now


@contextlib.contextmanager
def _alone(state: str) -> t.Iterator[None]:
    """One run at a time. Raises HoldfastError if there is another one."""
    with open(os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT, 0o640), "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HoldfastError(f"{state}: another run moves these images") from None
        yield
