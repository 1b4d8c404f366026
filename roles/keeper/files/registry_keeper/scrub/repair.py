# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""repair: what scrub found damaged or missing, brought back from the backup, as far as it has it.

It runs as root, which alone can read the backup's password, and writes into a storage only as the instance's user. What it reads there, it
takes for names of blobs and nothing else; what it brings back is what its digest says.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import typing as t

from registry_keeper.backup.fetch import Target, fetch
from registry_keeper.backup.host_lock import host_lock
from registry_keeper.backup.restic import Restic
from registry_keeper.backup.restore import Backup, read_contents
from registry_keeper.backup.settings import DIRECTORY, Source, load
from registry_keeper.errors import ATTENTION, DONE, KeeperError
from registry_keeper.owner import as_owner
from registry_keeper.report import Report, counted, human_bytes, write_whole
from registry_keeper.scrub.scrub import after_repair
from registry_keeper.storage.damaged import now_damaged, sound_again
from registry_keeper.storage.layout import Layout, is_digest

WHOLE_HOST = True
_LONGEST_STATUS = 32 << 20
_NAMED = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--snapshots", type=_count, default=10, metavar="N", help="how many of the newest backups to look in (default: %(default)s)")
    parser.add_argument("--backup-settings", metavar="DIRECTORY", default=DIRECTORY, help="where the settings are (default: %(default)s)")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number, 1 or more")
    return int(text)


def run_host(options: argparse.Namespace, report: Report) -> int:
    """Repair the instances of this host. Raises KeeperError."""
    settings = load(options.backup_settings)
    restic = Restic(settings)
    status = DONE
    outcome = {}
    with host_lock(settings.state):
        wanted = {source.name: wanted_of(source) for source in settings.instances if not source.mirror}
        backups = _newest(restic, options.snapshots) if any(wanted.values()) else iter(())
        left = {name: set(digests) for name, digests in wanted.items()}
        for backup in backups:
            for source in settings.instances:
                if left.get(source.name):
                    left[source.name] -= _bring(backup, source, left[source.name], report)
            if not any(left.values()):
                break
    for source in settings.instances:
        if source.name not in wanted:
            continue
        if not as_owner(source.storage, source.user, functools.partial(_settle, source)):
            status = ATTENTION
        outcome[source.name] = {"repaired": len(wanted[source.name]) - len(left[source.name]), "left": sorted(left[source.name])[:_NAMED]}
        for digest in sorted(left[source.name])[:_NAMED]:
            report.warn(f"{source.name}: {digest} is in none of the backups that were looked in; push it again, or delete the images that have it")
    if not any(wanted.values()):
        report.say("nothing is to be repaired" if status == DONE else "a backup cannot repair what scrub found; see its output")
    report.add(instances=outcome)
    return status


def _newest(restic: Restic, count: int) -> t.Iterator[Backup]:
    for one in reversed(restic.snapshots()[-count:]):
        yield read_contents(restic, one)


def _bring(backup: Backup, source: Source, digests: t.Collection[str], report: Report) -> set[str]:
    """Bring back what a backup has; returns the digests that are back."""
    entry = backup.entry(source.name)
    if entry is None:
        return set()
    fetched = fetch(backup.restic, backup.snapshot, entry["blobs"], sorted(digests), Target(Layout(source.storage), source.user), report)
    if fetched.placed:
        report.say(f"{source.name}: {counted(len(fetched.placed), 'blob')} ({human_bytes(fetched.size)}) from backup {backup.snapshot[:8]}")
    return set(fetched.placed)


def _state(source: Source) -> str:
    return os.path.join(source.storage, "keeper")


def wanted_of(source: Source) -> set[str]:
    """The digests that scrub found damaged or missing, and that are still not there. Raises KeeperError."""
    layout = Layout(source.storage)
    found = as_owner(source.storage, source.user, lambda: now_damaged(_state(source)) + _missing(_state(source)))
    return {digest for digest in found if is_digest(digest) and not os.path.exists(layout.data(digest))}


def _settle(source: Source) -> bool:
    """Remove the damaged copies of what is back, and say so where `status` looks. As the instance's user.

    Returns whether nothing is left of what scrub found. Not all of that is a blob that a backup may have.
    """
    sound_again(Layout(source.storage), _state(source))
    path = os.path.join(_state(source), "status", "scrub.json")
    with contextlib.suppress(FileNotFoundError, ValueError):
        with open(path, encoding="utf-8") as file:
            document = json.loads(file.read(_LONGEST_STATUS))
        if isinstance(document, dict):
            document = after_repair(_state(source), document)
            write_whole(path, json.dumps(document, sort_keys=True) + "\n")
            return document.get("exit_status") == DONE
    return True


def _missing(state: str) -> list[str]:
    path = os.path.join(state, "status", "scrub.json")
    try:
        with open(path, encoding="utf-8") as file:
            found = json.loads(file.read(_LONGEST_STATUS))
    except FileNotFoundError:
        return []
    except ValueError as error:
        raise KeeperError(f"{path}: not JSON: {error}") from error
    missing = found.get("missing") if isinstance(found, dict) else None
    return [digest for digest in missing if is_digest(digest)] if isinstance(missing, list) else []
