# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What goes from the backup of a bucket: states that do not stay, and blobs that no state has. And a look at what is there.

Nothing is removed that has another name than this program gives, and no blob unless every state that is there could be read, has all of its
blobs, and needs none of those that go. States are known from both kinds of lists, and from what each state says of those before it.
"""

from __future__ import annotations

import json
import typing as t

from registry_keeper.bucket_backup import states as backup_states
from registry_keeper.bucket_backup.transfer import DamagedError, gives_sound, transfer
from registry_keeper.report import human_bytes
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.listing import TREE
from registry_keeper.s3.objects import Item, Objects
from registry_keeper.s3.work import Work
from registry_keeper.storage.layout import digest_of

_YOUNG = 86400.0  # seconds in which what a killed run has copied stays
_DAY = 86400


def prune(
    target: Objects, source: Objects, newest: str, states: t.Sequence[str], needed: t.AbstractSet[bytes], options: t.Mapping[str, t.Any], work: Work
) -> None:
    """Remove what does not stay, after the state newest has been written, whose blobs are needed. Raises StoreError."""
    report = work.report
    # After a run that has found something wrong, older states are what is left of it.
    staying = set(states) if work.attention else backup_states.kept(states, options["keep"]) | {newest}
    forgotten = [name for name in states if name not in staying]
    for name in forgotten:
        backup_states.remove(target, name)
    report.add(states=len(staying), forgotten=len(forgotten))
    if forgotten:
        report.say(f"forgotten: {len(forgotten)}, kept: {len(staying)}")
    there = backup_states.blobs(target)
    now = target.now()
    going = {key: item for key, item in there.items() if key not in needed and item.modified < now - _YOUNG}
    if going and not work.attention and _leave_needed(target, work, there, going):
        size = 0
        for number, (key, item) in enumerate(going.items()):
            target.remove(backup_states.blob_name(key))
            size += item.size
            report.progress(f"removed {number + 1} of {len(going)} blobs that no backup has")
        report.add(pruned_blobs=len(going), pruned_bytes=size)
        if going:
            report.say(f"removed: {len(going)} blobs that no backup has, {human_bytes(size)}")
    _check(target, source, there, {key for key in there if key not in going}, options, work)


def _leave_needed(target: Objects, work: Work, there: t.Mapping[bytes, Item], going: dict[bytes, Item]) -> bool:
    """Leave out of what goes whatever a state needs. Returns whether the rest may go. Raises StoreError."""
    pending, seen = list(backup_states.listed(target)), set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        work.report.progress(f"reading the backup {name}")
        try:
            state = backup_states.read(target, name)
            # One that has been forgotten is not there.
            blobs = state.blobs() if state else set()
        except StoreError as error:
            work.warn(f"{error}; no blob is removed from the backup until that is removed: states/{name}.gz")
            return False
        lacking = [key for key in blobs if key not in there and target.head(backup_states.blob_name(key)) is None]
        if lacking:
            work.warn(f"the backup {name} lacks {len(lacking)} blobs, such as {digest_of(lacking[0])}; no blob is removed from the backup while it is there")
            return False
        for key in blobs & going.keys():
            del going[key]
        known = state.header.get("known") if state else None
        pending += [one for one in (known if isinstance(known, list) else []) if isinstance(one, str)]
    return True


def _check(target: Objects, source: Objects, there: t.Mapping[bytes, Item], keys: t.AbstractSet[bytes], options: t.Mapping[str, t.Any], work: Work) -> None:
    """Read another part of the blobs again, when that is due. What is damaged is copied again, where the images have it. Raises StoreError."""
    try:
        known = json.loads(target.read(backup_states.CHECKED) or b"{}")
        last, part = float(known.get("time", 0)), int(known.get("part", 0))
    except (ValueError, TypeError, AttributeError):
        last, part = 0.0, 0
    now, parts = target.now(), int(options["check_parts"])
    # A timer does not come to the second. What was just written has just been read.
    if not options["check_days"] or (last and now - last < (options["check_days"] - 0.1) * _DAY):
        return
    chosen = sorted(key for key in keys if int.from_bytes(key[:4], "big") % parts == part % parts and there[key].modified < now - _YOUNG)
    for number, key in enumerate(chosen):
        digest = digest_of(key)
        if not gives_sound(target, backup_states.blob_name(key), digest) and not _again(source, target, key):
            work.warn(f"{digest} is damaged in the backup, or cannot be read there, and the images do not have it")
        work.report.progress(f"read {number + 1} of {len(chosen)} blobs of the backup again")
    target.write(backup_states.CHECKED, (json.dumps({"time": now, "part": (part + 1) % parts}) + "\n").encode())
    work.report.add(checked_part=f"{part % parts + 1}/{parts}", checked_blobs=len(chosen))


def _again(source: Objects, target: Objects, key: bytes) -> bool:
    """Whether a blob could be copied once more."""
    try:
        return transfer(source, TREE.data(digest_of(key)), target, backup_states.blob_name(key), digest_of(key)) is not None
    except DamagedError:
        return False
