# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""restore --everything: all images, the users and the CA, onto an empty host that site.yml then sets up."""

from __future__ import annotations

import argparse
import os
import shutil
import stat
import typing as t

from registry_keeper.backup.fetch import Fetched, Target, fetch, link, staging
from registry_keeper.backup.host_lock import storage_lock
from registry_keeper.backup.restore import Backup, is_sound, warn_of
from registry_keeper.backup.settings import Source
from registry_keeper.errors import DONE, KeeperError
from registry_keeper.report import Report, counted, human_bytes
from registry_keeper.storage.layout import Layout, digest_of, key_of


def restore_host(backup: Backup, options: argparse.Namespace, report: Report) -> int:
    """Restore all instances that the backup and the settings have in common, and the files. Raises KeeperError."""
    settings = backup.restic.settings
    pairs = [(source, entry) for source in settings.instances for entry in [backup.entry(source.name)] if entry]
    if not options.over:
        for source, _entry in pairs:
            _refuse_images(source)
    with staging(settings.state) as directory:
        paths = [path for path in backup.contents["state_paths"] if os.path.isabs(path)]
        if paths:
            includes = [word for path in paths for word in ("--include", path)]
            backup.restic.run("restore", "--quiet", "--no-lock", "--target", directory, *includes, backup.snapshot)
        files = list(_files(directory, paths))
        if not options.over:
            _refuse_files(directory, files)
        for path in files:
            _install(directory, path)
    report.say(f"{len(files)} files of users and CA")
    status = DONE
    outcome = {}
    for source, entry in pairs:
        fetched, count = _restore_instance(backup, source, entry, options.over, report)
        outcome[source.name] = {"blobs": len(fetched.placed), "bytes": fetched.size, "links": count, "lacking": len(fetched.absent) + len(fetched.wrong)}
        report.say(f"{source.name}: {counted(count, 'link')}, {counted(len(fetched.placed), 'blob')} ({human_bytes(fetched.size)})")
        status = max(status, warn_of(fetched, source.name, report))
    left = [one["name"] for one in backup.contents["instances"] if one["name"] not in outcome]
    if left:
        report.warn(f"in the backup, but not declared on this host: {', '.join(left)}")
    report.add(snapshot=backup.snapshot, files=len(files), instances=outcome, not_declared=left)
    report.say(f"restored from backup {backup.snapshot[:8]}")
    return status


def _refuse_images(source: Source) -> None:
    layout = Layout(source.storage)
    if next(layout.walk_repositories(), None) is not None or next(layout.walk_blobs(), None) is not None:
        raise KeeperError(
            f"{source.storage} has images already, and nothing was changed. To restore what is missing, and replace what differs, say --over "
            "(with restore.yml: -e keeper_restore_over=true)"
        )


def _restore_instance(backup: Backup, source: Source, entry: t.Mapping[str, t.Any], over: bool, report: Report) -> tuple[Fetched, int]:
    target = Target(Layout(source.storage), source.user)
    os.makedirs(source.storage, mode=0o750, exist_ok=True)
    if os.geteuid() == 0 and os.stat(source.storage).st_uid == 0 and source.user:
        shutil.chown(source.storage, source.user, source.user)
    with storage_lock(source.storage, source.user, backup.restic.settings.wait_seconds):
        keys = {key_of(one.digest) for one in backup.links(entry)}
        if over:
            report.progress(f"{source.name}: reading the blobs that are there")
            keys = {key for key in keys if not is_sound(target.layout, digest_of(key))}
        fetched = fetch(backup.restic, backup.snapshot, entry["blobs"], [digest_of(key) for key in keys], target, report)
        lacking = {*fetched.absent, *fetched.wrong}
        count = link((one for one in backup.links(entry) if one.digest not in lacking), target)
    return fetched, count


def _files(directory: str, paths: t.Sequence[str]) -> t.Iterator[str]:
    """The files and symbolic links that were staged, as the absolute paths that they are to have."""
    for path in paths:
        staged = directory + path
        if os.path.islink(staged) or os.path.isfile(staged):
            yield path
        for root, directories, names in os.walk(staged):
            links = [name for name in directories if os.path.islink(os.path.join(root, name))]
            yield from sorted(os.path.join(root, name)[len(directory) :] for name in (*names, *links))


def _refuse_files(directory: str, files: t.Iterable[str]) -> None:
    for path in files:
        if os.path.lexists(path) and not _same(directory + path, path):
            raise KeeperError(f"{path} is there already and differs from the backup, and nothing was changed. --over replaces it")


def _same(one: str, other: str) -> bool:
    if os.path.islink(one) or os.path.islink(other):
        return os.path.islink(one) and os.path.islink(other) and os.readlink(one) == os.readlink(other)
    with open(one, "rb") as first, open(other, "rb") as second:
        return first.read() == second.read()


def _install(directory: str, path: str) -> None:
    """Give a staged file its place: root's, and for nobody of its old group, whose number may be another one's on this host. site.yml widens it."""
    _make_directories(directory, os.path.dirname(path))
    staged = directory + path
    temporary = f"{path}.restored"
    if os.path.lexists(temporary):
        os.unlink(temporary)
    if os.path.islink(staged):
        os.symlink(os.readlink(staged), temporary)
    else:
        status = os.stat(staged)
        with open(staged, "rb") as source, open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as copy:
            shutil.copyfileobj(source, copy)
            copy.flush()
            os.fsync(copy.fileno())
        os.chmod(temporary, _mode(status))
    os.replace(temporary, path)


def _mode(status: os.stat_result) -> int:
    mode = stat.S_IMODE(status.st_mode) & 0o777
    return mode & ~0o070 if status.st_gid else mode


def _make_directories(directory: str, path: str) -> None:
    if os.path.isdir(path):
        return
    _make_directories(directory, os.path.dirname(path))
    os.mkdir(path, 0o700)
    os.chmod(path, _mode(os.stat(directory + path)))
