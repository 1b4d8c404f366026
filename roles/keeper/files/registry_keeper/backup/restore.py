# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""restore: one image, one repository, or everything onto an empty host, from the backup. The registry may go on meanwhile.

Blobs come first, and each is read again before it gets its place; then layers, revisions and tags. What is there already is not replaced,
unless --over says so: neither a tag that names another image, nor a host's images and CA.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import re
import tempfile
import typing as t

from registry_keeper.backup.backup import contents_path
from registry_keeper.backup.fetch import Fetched, Target, fetch, hash_of, link
from registry_keeper.backup.host_lock import host_lock, storage_lock
from registry_keeper.backup.restic import Restic
from registry_keeper.backup.settings import DIRECTORY, Source, load
from registry_keeper.errors import ATTENTION, DONE, USAGE, KeeperError
from registry_keeper.report import Report, counted, human_bytes
from registry_keeper.settings import FIRST_INSTANCE
from registry_keeper.storage import links as link_lists
from registry_keeper.storage.complete import references_of
from registry_keeper.storage.image_links import image_of, wanted_of
from registry_keeper.storage.layout import Layout, digest_of, key_of, read_link
from registry_keeper.storage.links import REPOSITORY, Link
from registry_keeper.storage.manifest import NotAManifest, parse

WHOLE_HOST = True
_NAMED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", nargs="?", metavar="REPOSITORY[:TAG|@DIGEST]", help="what to restore, without the registry's name")
    parser.add_argument("--everything", action="store_true", help="restore all images, the users and the CA, onto an empty host")
    parser.add_argument("--snapshot", metavar="ID", help="the backup to restore from (default: the newest whole one; `backup --list` lists them)")
    parser.add_argument("--as", dest="new_name", metavar="NAME", help="restore into a repository of this name")
    parser.add_argument("--over", action="store_true", help="replace what is there and differs")
    parser.add_argument("--backup-settings", metavar="DIRECTORY", default=DIRECTORY, help="where the settings are (default: %(default)s)")


class Backup:
    """A backup that is restored from: one snapshot, and what it says that it has."""

    def __init__(self, restic: Restic, snapshot: str, contents: t.Mapping[str, t.Any]) -> None:
        self.restic = restic
        self.snapshot = snapshot
        self.contents = contents
        self._lists: dict[str, t.IO[bytes]] = {}
        self._pushed: dict[str, dict[str, float]] = {}

    def entry(self, instance: str) -> dict[str, t.Any] | None:
        """What the backup has of an instance: links and blobs, the paths of these in it."""
        return next((dict(one) for one in self.contents["instances"] if one["name"] == instance), None)

    def links(self, entry: t.Mapping[str, t.Any]) -> t.Iterator[Link]:
        """The links of an instance, grouped by repository. They are fetched once: a process that is not root cannot do it."""
        name = str(entry["links"])
        if name not in self._lists:
            file = self._lists[name] = tempfile.TemporaryFile(dir=self.restic.settings.state)  # noqa: SIM115 - as long as this object
            file.writelines(self.restic.dump(self.snapshot, name))
            file.flush()
            # Backups of earlier versions do not say when tags were pushed.
            times = self.restic.dump(self.snapshot, str(entry["pushed"])) if "pushed" in entry else iter(())
            self._pushed[name] = link_lists.pushed_of(line.decode("ascii", "replace") for line in times)
        self._lists[name].seek(0)
        for line in self._lists[name]:
            found = link_lists.parse(line.decode("ascii", "replace"))
            if found and found.kind == "tag":
                found = dataclasses.replace(found, pushed=self._pushed[name].get(found.path, 0.0))
            if found:
                yield found


def open_backup(restic: Restic, snapshot: str | None, warn: t.Callable[[str], None]) -> Backup:
    """The newest whole backup, or the one that is named. warn is told where it is not the newest, or not whole. Raises KeeperError."""
    return read_contents(restic, restic.snapshot(snapshot, warn))


def read_contents(restic: Restic, one: t.Mapping[str, t.Any]) -> Backup:
    """A backup, with what it says of itself. Raises KeeperError."""
    contents = json.loads(b"".join(restic.dump(str(one["id"]), contents_path(restic.settings))))
    if contents.get("version") != 1:
        raise KeeperError(f"backup {str(one['id'])[:8]} is of another version of this program")
    return Backup(restic, str(one["id"]), contents)


def run_host(options: argparse.Namespace, report: Report) -> int:
    """Restore what is asked for. Raises KeeperError."""
    if bool(options.image) == options.everything:
        raise KeeperError("say what to restore: REPOSITORY, REPOSITORY:TAG, REPOSITORY@DIGEST, or --everything", USAGE)
    settings = load(options.backup_settings)
    restic = Restic(settings)
    with host_lock(settings.state):
        if options.everything:
            from registry_keeper.backup.restore_host import restore_host

            return restore_host(open_backup(restic, options.snapshot, report.warn), options, report)
        source = settings.source(options.instance or FIRST_INSTANCE)
        image = image_of(options.image)
        if options.new_name and not re.fullmatch(REPOSITORY, options.new_name):
            raise KeeperError(f"--as: {options.new_name!r} cannot be the name of a repository", USAGE)
        with storage_lock(source.storage, source.user, settings.wait_seconds):
            return _restore_image(open_backup(restic, options.snapshot, report.warn), source, image, options, report)


def _restore_image(backup: Backup, source: Source, image: re.Match[str], options: argparse.Namespace, report: Report) -> int:
    entry = backup.entry(source.name)
    short = backup.snapshot[:8]
    if entry is None:
        raise KeeperError(f"backup {short} has nothing of the instance {source.name}")
    repository = image["repository"]
    there = [one for one in backup.links(entry) if one.repository == repository]
    layout = Layout(source.storage)
    wanted = wanted_of(image, there, f"backup {short}", lambda digest: _parts(backup, entry, digest, layout))
    wanted = [dataclasses.replace(one, repository=options.new_name or repository) for one in wanted]
    target = Target(Layout(source.storage), source.user)
    if not options.over:
        refuse_other_tags(wanted, target.layout)
    digests = sorted({one.digest for one in wanted})
    missing = [digest for digest in digests if not is_sound(target.layout, digest)]
    fetched = fetch(backup.restic, backup.snapshot, entry["blobs"], missing, target, report)
    lacking = {*fetched.absent, *fetched.wrong}
    count = link([one for one in wanted if one.digest not in lacking], target)
    tags = sorted(one.tag for one in wanted if one.kind == "tag" and one.digest not in lacking)
    report.add(snapshot=backup.snapshot, repository=options.new_name or repository, links=count, blobs=len(fetched.placed), bytes=fetched.size, tags=tags)
    report.say(
        f"{options.image} from backup {short}: {counted(len(fetched.placed), 'blob')} ({human_bytes(fetched.size)}) brought back, "
        f"{len(digests) - len(missing)} were there, tags: {', '.join(tags) or 'none'}"
    )
    return warn_of(fetched, source.name, report)


def warn_of(fetched: Fetched, instance: str, report: Report) -> int:
    """Say which blobs could not be brought back; returns the exit status."""
    for digests, why in ((fetched.absent, "is not in the backup"), (fetched.wrong, "is damaged in the backup")):
        for digest in digests[:_NAMED]:
            report.warn(f"{instance}: {digest} {why}")
        if len(digests) > _NAMED:
            report.warn(f"{instance}: and {len(digests) - _NAMED} more")
    return ATTENTION if fetched.absent or fetched.wrong else DONE


def refuse_other_tags(wanted: t.Iterable[Link], layout: Layout) -> None:
    """Raise KeeperError if a tag names another image now."""
    for one in wanted:
        now = read_link(os.path.join(layout.repositories, one.path)) if one.kind == "tag" else None
        if now and now != one.digest:
            raise KeeperError(
                f"{one.repository}:{one.tag} names {now} now, and {one.digest} in the backup. --over replaces it; --as NAME restores into another repository"
            )


def is_sound(layout: Layout, digest: str) -> bool:
    """Whether a blob is there, and is what its digest says."""
    try:
        with open(layout.data(digest), "rb") as file:
            return hash_of(file, digest) == digest
    except OSError:
        return False


def _parts(backup: Backup, entry: t.Mapping[str, t.Any], digest: str, layout: Layout) -> list[str]:
    """The digests that a manifest refers to, read from the storage, or else from the backup. None where it cannot be read."""
    found = references_of(layout, digest)
    if found is None:
        algorithm, _colon, name = digest.partition(":")
        content = b"".join(backup.restic.dump(backup.snapshot, f"{entry['blobs']}/{algorithm}/{name[:2]}/{name}/data"))
        try:
            found = parse(content, key_of(digest))
        except NotAManifest:
            found = None
    return [digest_of(key) for key in found.needed] if found else []
