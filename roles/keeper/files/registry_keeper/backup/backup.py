# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""backup: one snapshot of the whole host with restic, while clients push and pull.

The list of links first, then the blobs: see storage/links.py. Nothing is read-only meanwhile; only collections wait, for they are what removes
blobs. restic writes the snapshot last: a run that is killed before leaves none, and the next run goes on with what was stored. Until the
snapshot is known to be whole it has the tag of incomplete ones, so that one stays incomplete whose run is killed before it could tell.
A repository that was there once is not made again in the same place: its disk may only not be mounted.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import itertools
import json
import os
import time
import typing as t

from registry_keeper.backup.fetch import remove_left
from registry_keeper.backup.host_lock import host_lock, storage_lock
from registry_keeper.backup.restic import AHEAD, INCOMPLETE, TAG, Ended, Failed, Restic, is_ahead, is_incomplete, shown_time
from registry_keeper.backup.settings import DIRECTORY, BackupSettings, Source, load
from registry_keeper.errors import ATTENTION, BUSY, DONE, KeeperError
from registry_keeper.owner import as_owner
from registry_keeper.report import Report, counted_images, human_bytes, human_seconds, write_whole
from registry_keeper.storage import links
from registry_keeper.storage.layout import Layout, digest_of

WHOLE_HOST = True
VERSION = 1
_DAY = 86400
_NAMED = 20
_INCOMPLETE = 3  # what restic ends with if it could not read something; the rest is in the backup


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--list", action="store_true", help="list the backups that there are, and make none")
    parser.add_argument("--check", action="store_true", help="only check the repository, whenever that was done last")
    parser.add_argument("--new-repository", action="store_true", help="begin a new repository in place of one that is lost")
    parser.add_argument("--backup-settings", metavar="DIRECTORY", default=DIRECTORY, help="where the settings are (default: %(default)s)")


def run_host(options: argparse.Namespace, report: Report) -> int:
    """Make a backup, and whatever is due: forget, prune, check. Raises KeeperError."""
    settings = load(options.backup_settings)
    restic = Restic(settings)
    if options.list:
        return _list(restic, report)
    with host_lock(settings.state):
        report.add(last_success=_read_state(settings).get("success"))
        find_repository(restic, new=options.new_repository)
        if options.check:
            _check(restic, report)
            return DONE
        status = _back_up(restic, report)
        if status == DONE:
            _done(settings, "success")
            report.add(last_success=_read_state(settings)["success"])
        _forget(restic, report)
        if _due(settings, "check", settings.check_days):
            _check(restic, report)
        return status


def publish(options: argparse.Namespace, document: t.Mapping[str, t.Any]) -> None:
    """Keep a run's outcome where each instance's `status` looks for it, and in the backup's own directory."""
    if options.list or (options.check and document["exit_status"] == DONE):
        # no backup was made
        return
    with contextlib.suppress(KeeperError, OSError):
        settings = load(options.backup_settings)
        content = json.dumps(document, sort_keys=True) + "\n"
        write_whole(os.path.join(settings.state, "status", "backup.json"), content)
        for source in (*settings.included, *settings.told):
            path = os.path.join(source.storage, "keeper", "status", "backup.json")
            # One instance that cannot be told keeps nobody else from being told.
            with contextlib.suppress(KeeperError, OSError):
                as_owner(source.storage, source.user, functools.partial(write_whole, path, content))


def _list(restic: Restic, report: Report) -> int:
    found = restic.snapshots()
    incomplete = {str(one["id"]): is_incomplete(one) for one in found}
    report.add(snapshots=[{"id": one["id"], "time": one["time"], "paths": one["paths"], "incomplete": incomplete[str(one["id"])]} for one in found])
    for one in found:
        notes = ("  incomplete" if incomplete[str(one["id"])] else "") + ("  from the future" if is_ahead(one) else "")
        report.say(f"{str(one['id'])[:8]}  {shown_time(one)}{notes}")
    if not found:
        report.say(f"no backup of {restic.settings.host} in {restic.settings.shown_repository}")
    return DONE


def find_repository(restic: Restic, new: bool = False) -> None:
    """Make the repository where there has never been one; refuse another one in its place. Raises KeeperError."""
    settings = restic.settings
    marker = os.path.join(settings.state, "repository.json")
    try:
        with open(marker, encoding="utf-8") as file:
            known = json.load(file)
    except (FileNotFoundError, ValueError):
        known = {}
    if known.get("repository") != settings.shown_repository:
        known = {}
    there = restic.repository_id()
    shown = settings.shown_repository
    if there is None:
        if known and not new:
            raise KeeperError(
                f"the repository {shown} has gone, or cannot be reached. Is its disk mounted, does its server respond? "
                "If it is lost, begin a new one with `registry-keeper backup --new-repository`"
            )
        restic.run("init", "--quiet")
        there = restic.repository_id()
    elif known and there != known["id"] and not new:
        raise KeeperError(f"{shown} is another repository than before. If that is right, say `registry-keeper backup --new-repository`")
    if known.get("id") != there:
        write_whole(marker, json.dumps({"repository": shown, "id": there}) + "\n", 0o600)


def _back_up(restic: Restic, report: Report) -> int:
    settings = restic.settings
    began = time.time()
    with contextlib.ExitStack() as locks:
        for source in settings.included:
            locks.enter_context(storage_lock(source.storage, source.user, settings.wait_seconds, lambda: report.progress("waiting for a collection to end")))
            as_owner(source.storage, source.user, functools.partial(remove_left, Layout(source.storage)))
        report.progress("listing the links")
        listed = {source.name: _listed(settings, source) for source in settings.included}
        write_whole(contents_path(settings), json.dumps(_contents(settings, began)) + "\n", 0o600)
        listing = time.time() - began
        summary, unread, ended = _snapshot(restic, report, _paths(settings))
        gone = [(source, digest) for source in settings.included for digest in _vanished(source, listed[source.name])]
    vanished = [f"{source.name} {digest}" for source, digest in gone]
    # In a mirror blobs expire, and the upstream has them.
    if not (unread or ended.code == _INCOMPLETE or any(not source.mirror for source, _digest in gone)):
        summary["snapshot_id"] = _mark_whole(restic, str(summary["snapshot_id"]))
    report.add(
        snapshot=summary["snapshot_id"],
        repository=settings.shown_repository,
        listing_seconds=round(listing, 3),
        bytes_read=summary.get("total_bytes_processed", 0),
        bytes_added=summary.get("data_added", 0),
        unread=unread[:_NAMED],
        vanished=vanished[:_NAMED],
        instances={
            name: {"repositories": one.repositories, "tags": one.tags, "links": one.links, "blobs": len(one.blobs), "broken_links": one.broken}
            for name, one in listed.items()
        },
    )
    for name, one in listed.items():
        report.say(f"{name}: {counted_images(one.repositories, one.tags, len(one.blobs))}")
        if one.broken:
            report.say(f"{name}: {one.broken} links lead to no blob and are not in the backup; `registry-keeper scrub` names them")
    took = human_seconds(time.time() - began)
    size, added = (human_bytes(summary.get(key, 0)) for key in ("total_bytes_processed", "data_added"))
    report.say(f"backup {str(summary['snapshot_id'])[:8]}: {size}, {added} of it new, in {took}")
    for path in unread[:_NAMED]:
        report.warn(f"could not be read, and is not in the backup: {path}")
    if len(unread) > _NAMED:
        report.warn(f"{len(unread) - _NAMED} more could not be read")
    if ended.code == _INCOMPLETE and not unread:
        report.warn(f"restic could not read all files, and named none; they are not in the backup (exit status {ended.code}: {ended.said})")
    for line in vanished[:_NAMED]:
        report.warn(f"a blob was removed while it was backed up: {line}")
    return ATTENTION if unread or vanished or ended.code == _INCOMPLETE else DONE


def contents_path(settings: BackupSettings) -> str:
    """Where a backup says what is in it."""
    return os.path.join(settings.state, "contents.json")


def _lists(settings: BackupSettings, instance: str) -> dict[str, str]:
    """Where the lists of an instance are: its links, and when its tags were pushed."""
    return {kind: os.path.join(settings.state, kind, instance) for kind in ("links", "pushed")}


def _listed(settings: BackupSettings, source: Source) -> links.Listed:
    paths = _lists(settings, source.name)
    for path in paths.values():
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return links.write(Layout(source.storage), paths["links"], paths["pushed"])


def _contents(settings: BackupSettings, began: float) -> dict[str, t.Any]:
    return {
        "version": VERSION,
        "host": settings.host,
        "time": int(began),
        "instances": [{**dataclasses.asdict(source), **_lists(settings, source.name), "blobs": Layout(source.storage).blobs} for source in settings.included],
        "state_paths": list(settings.state_paths),
    }


def _paths(settings: BackupSettings) -> list[str]:
    """What goes into the backup, as far as it is there."""
    wanted = [contents_path(settings)]
    for source in settings.included:
        wanted += [*_lists(settings, source.name).values(), Layout(source.storage).blobs]
    return [path for path in (*wanted, *settings.state_paths, *settings.configuration_paths) if os.path.lexists(path)]


def _snapshot(restic: Restic, report: Report, paths: t.Sequence[str]) -> tuple[dict[str, t.Any], list[str], Ended]:
    """Make a snapshot, which has the tag of incomplete ones. Returns restic's summary, what could not be read, and how restic ended."""
    # Named, since restic itself looks for one with the same paths, and these change when an instance is added.
    before = restic.snapshots()
    parent = ["--parent", str(before[-1]["id"])] if before else []
    summary: dict[str, t.Any] = {}
    unread = []
    ended = Ended()
    arguments = ("backup", "--json", "--host", restic.settings.host, "--tag", TAG, "--tag", INCOMPLETE, *parent, "--", *paths)
    for line in restic.lines(*arguments, allowed=(0, _INCOMPLETE), ended=ended):
        with contextlib.suppress(ValueError):
            message = json.loads(line)
            if message.get("message_type") == "summary":
                summary = message
            # What cannot be counted is told of again when it is read, or has gone meanwhile.
            elif message.get("message_type") == "error" and message.get("during") != "scan":
                unread.append(str(message.get("item", "")))
            elif message.get("message_type") == "status":
                report.progress(f"{message.get('percent_done', 0):.0%} of {human_bytes(message.get('total_bytes', 0))}")
    if "snapshot_id" not in summary:
        raise KeeperError("restic ended without a backup and without an error")
    return summary, unread, ended


def _mark_whole(restic: Restic, snapshot: str) -> str:
    """Take the tag of incomplete ones from a snapshot. Returns its new ID: restic writes another one, and then removes the first. Raises KeeperError."""
    restic.run_alone("tag", "--quiet", "--remove", INCOMPLETE, snapshot)
    for one in restic.snapshots():
        if str(one.get("original", "")).startswith(snapshot) and not is_incomplete(one):
            return str(one["id"])
    raise KeeperError(f"restic did not take the tag {INCOMPLETE} from the backup {snapshot[:8]}, which is whole; the next run makes another one")


def _vanished(source: Source, listed: links.Listed) -> t.Iterator[str]:
    """The digests of blobs that were there when the links were listed, and now are not."""
    layout = Layout(source.storage)
    for key in listed.blobs:
        digest = digest_of(key)
        if not os.path.exists(layout.data(digest)):
            yield digest


def _forget(restic: Restic, report: Report) -> None:
    """Forget this host's backups that are not to be kept: nobody else's, whatever else is in the repository.

    Incomplete ones are counted by themselves, so that they push no whole one out. Nothing pushes out the last of them, so they go with the whole
    ones that were there before.
    """
    settings = restic.settings
    _set_ahead_aside(restic)
    keep = [word for name, count in sorted(settings.keep.items()) for word in (f"--keep-{name}", str(count))]
    printed = restic.run_alone("forget", "--json", "--host", settings.host, "--tag", TAG, "--group-by", "host,tags", *keep)
    groups = json.loads(printed.strip() or "[]") or []
    kept, forgotten = (sum(len(group.get(what) or []) for group in groups) for what in ("keep", "remove"))
    if any(group.get("remove") and not is_incomplete(group) for group in groups):
        outlived = [str(one["id"]) for one in itertools.takewhile(is_incomplete, (one for one in restic.snapshots() if not is_ahead(one)))]
        if outlived:
            restic.run_alone("forget", "--quiet", *outlived)
            kept, forgotten = kept - len(outlived), forgotten + len(outlived)
    report.add(snapshots=kept, forgotten=forgotten)
    if forgotten:
        report.say(f"forgotten: {forgotten}, kept: {kept}")
    if _due(settings, "prune", settings.prune_days):
        report.progress("freeing the space of what is forgotten")
        restic.run_alone("prune", "--quiet")
        _done(settings, "prune")


def _set_ahead_aside(restic: Restic) -> None:
    """Let backups from the future be counted by themselves as well: as the newest ones they would push out each new one until their time has come."""
    every = restic.snapshots()
    for option, wanted in (("--add", True), ("--remove", False)):
        changed = [str(one["id"]) for one in every if is_ahead(one) == wanted and (AHEAD in (one.get("tags") or ())) != wanted]
        if changed:
            restic.run_alone("tag", "--quiet", option, AHEAD, *changed)


def _check(restic: Restic, report: Report) -> None:
    """Check the repository's structure, and read another part of the data each time. Raises KeeperError if something is wrong with it."""
    settings = restic.settings
    parts = int(settings.check_parts)
    part = (_read_state(settings).get("check_part", 0) % parts) + 1
    report.progress(f"checking the repository, and part {part} of {parts} of its data")
    try:
        restic.run_alone("check", "--quiet", f"--read-data-subset={part}/{parts}")
    except Failed as error:
        if error.status == BUSY:
            raise
        raise KeeperError(f"the repository {settings.shown_repository} is damaged: {error}") from error
    _done(settings, "check", check_part=part)
    report.add(checked_part=f"{part}/{parts}")
    report.say(f"checked: the repository, and part {part} of {parts} of its data")


def _read_state(settings: BackupSettings) -> dict[str, t.Any]:
    try:
        with open(os.path.join(settings.state, "due.json"), encoding="utf-8") as file:
            return dict(json.load(file))
    except (FileNotFoundError, ValueError):
        return {}


def _due(settings: BackupSettings, what: str, days: float) -> bool:
    state = _read_state(settings)
    if what not in state:
        # not with the first backup: there is nothing to free yet, and what was just written has just been checked
        _done(settings, what)
        return False
    since = time.time() - state[what]
    # A timer does not come to the second. What was done in the future was done by a clock that was ahead: nobody knows when.
    return bool(days) and (since >= (days - 0.1) * _DAY or since < -_DAY)


def _done(settings: BackupSettings, what: str, **more: t.Any) -> None:
    write_whole(os.path.join(settings.state, "due.json"), json.dumps({**_read_state(settings), what: int(time.time()), **more}) + "\n", 0o600)
