# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of CNCF Distribution, installed side by side, and the links that choose one of them."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Link, MakeDirectory, Remove, SetMode, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host import release_archive
from ansible_collections.holdfast.registry.plugins.module_utils._host.release_archive import PROGRAM
from ansible_collections.holdfast.registry.plugins.module_utils._host.release_changes import (
    RECORD,
    Install,
    Record,
    RemoveRelease,
    digest_of,
    remove_leftovers,
    temporary,
)
from ansible_collections.holdfast.registry.plugins.module_utils._host.release_parameters import NAME, RELEASES, VERSION, Release, Wanted
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE

_OUR_LINK = re.compile(rf"{RELEASES}/{VERSION.pattern}/{PROGRAM}")


def manage(run_program: Run, wanted: Wanted, check_mode: bool) -> dict[str, t.Any]:
    """Plan, verify and, unless in check mode, change.

    Returns what the module returns; or, under "needs", the places in the list of the releases whose archive must be sent to this
    host first.
    """
    if check_mode:
        with _room(wanted.directory) as room:
            return _Host(run_program, wanted, room).manage()
    whole.make_directories(STATE, 0o755)
    with locked(os.path.join(STATE, RELEASES)):
        for directory in (wanted.directory, wanted.releases_directory):
            if os.path.isdir(directory):
                remove_leftovers(directory)
        return _Host(run_program, wanted, None).manage()


@contextlib.contextmanager
def _room(directory: str) -> t.Iterator[str]:
    """A directory for check mode on which programs can be run, away from what is managed unless there is no other."""
    above = directory
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    usual = [path for path in ("/tmp", "/var/tmp") if os.path.isdir(path) and not os.statvfs(path).f_flag & os.ST_NOEXEC]
    with tempfile.TemporaryDirectory(prefix="holdfast-release.", dir=[*usual, above][0]) as room:
        os.chmod(room, 0o755)  # the programs are asked for their version as another user
        yield room


class _Host:
    """room is where check mode verifies. A run verifies beside the place of each release, to where only a rename is left then."""

    def __init__(self, run_program: Run, wanted: Wanted, room: str | None) -> None:
        self._run, self._wanted, self._room = run_program, wanted, room
        self._releases = wanted.by_version
        # Root's, who runs this: nobody else may replace a program that runs as the registry.
        self._ours = Ownership(0o755, os.geteuid(), os.getegid())

    def manage(self) -> dict[str, t.Any]:
        directories = [change for path in (self._wanted.directory, self._wanted.releases_directory) for change in self._plan_directory(path)]
        due = {version: why for version, release in self._releases.items() for why in self._reasons(release)}
        links = [change for name, version in self._wanted.links.items() for change in self._plan_link(name, version)]
        modes = [change for version in self._releases for change in self._plan_modes(version)]
        removals = self._plan_removals()
        needs = [self._wanted.releases.index(self._releases[version]) for version in due if self._releases[version].archive == ""]
        if needs:
            return {"changed": False, "needs": needs}
        with contextlib.ExitStack() as cleanup:
            if not self._room:
                cleanup.enter_context(_taken_back(self._wanted.releases_directory))
                apply(directories)
            # All are verified before the first one gets to its place.
            installed = [self._stage(version, why, cleanup) for version, why in due.items()]
            changes = [*installed, *modes, *links, *removals]
            if not self._room:
                apply(changes)
        return self._result([*directories, *changes], list(due), links, removals)

    def _result(self, changes: list[Change], installed: list[str], links: list[Change], removals: list[Change]) -> dict[str, t.Any]:
        return {
            "changed": bool(changes),
            "changes": [change.reason for change in changes],
            "installed": installed,
            "linked": [os.path.basename(change.path) for change in links],
            "removed": [os.path.basename(change.path) for change in removals if isinstance(change, RemoveRelease)],
            "versions": {name: int(version.split(".")[0]) for name, version in self._wanted.links.items()},
            "diff": [change.diff for change in changes],
        }

    # What is there

    def _reasons(self, release: Release) -> list[str]:
        """Why a release has to be installed, in one line or none. Raises HoldfastError where that would replace another one."""
        path = self._wanted.path_of(release.version)
        what = f"installed from {release.origin} ({release.checksum})"
        if not os.path.lexists(path):
            return [what]
        if os.path.islink(path) or not os.path.isdir(path):
            raise HoldfastError(f"{path}: is not a directory; remove it for release {release.version} to be installed there")
        record = Record.read(path)
        if not record:
            return [f"{what}, since there was no record of what it is"]
        if record.archive != release.checksum:
            raise HoldfastError(
                f"{release.called['checksum']}: release {release.version} was installed in {path} from an archive with another checksum, {record.archive}, "
                f"not {release.checksum}. Correct the checksum; or, if the new archive is the right one, remove {path} and run this again"
            )
        if digest_of(os.path.join(path, PROGRAM)) != record.program:
            return [f"{what} again, since {PROGRAM} was changed or removed after it had been installed"]
        return []

    # What is to change

    def _plan_directory(self, path: str) -> list[Change]:
        if os.path.lexists(path) and not os.path.isdir(path):
            raise HoldfastError(f"{path}: exists and is not a directory")
        return MakeDirectory.plan(path, self._ours) if self._releases or os.path.isdir(path) else []

    def _plan_modes(self, version: str) -> list[Change]:
        """Those of what is there. What is installed comes with its modes."""
        path = self._wanted.path_of(version)
        modes = {path: 0o755, os.path.join(path, PROGRAM): 0o755, os.path.join(path, RECORD): 0o644}
        return [change for name, mode in modes.items() for change in SetMode.plan(name, self._ours._replace(mode=mode))]

    def _plan_link(self, name: str, version: str) -> list[Change]:
        path = os.path.join(self._wanted.directory, name)
        if os.path.lexists(path) and not os.path.islink(path):
            raise HoldfastError(f"{path}: is no symbolic link; remove it for a link to be made there")
        return Link.plan(path, os.path.join(RELEASES, version, PROGRAM))

    def _plan_removals(self) -> list[Change]:
        """Links first, so that none ever leads to what is gone."""
        if not self._wanted.prune:
            return []
        directory = self._wanted.directory
        others = [os.path.join(directory, name) for name in whole.names_in(directory) if NAME.fullmatch(name) and name not in self._wanted.links]
        links = [change for path in others if _OUR_LINK.fullmatch(whole.link_target(path) or "") for change in Remove.plan(path, why="removed, not wanted")]
        unused = [name for name in whole.names_in(self._wanted.releases_directory) if VERSION.fullmatch(name) and name not in self._releases]
        return [*links, *(RemoveRelease(self._wanted.path_of(version), "removed, not wanted") for version in unused)]

    def _stage(self, version: str, why: str, cleanup: contextlib.ExitStack) -> Change:
        """Fetch a release and make sure that it is what it is said to be."""
        release, path = self._releases[version], self._wanted.path_of(version)
        staged = os.path.join(self._room, version) if self._room else temporary(path)
        cleanup.callback(shutil.rmtree, staged, ignore_errors=True)
        whole.make_directories(staged, 0o755)
        archive, program = os.path.join(staged, "archive"), os.path.join(staged, PROGRAM)
        try:
            checksum = release_archive.download(release.url, archive) if release.archive is None else release_archive.take_over(release.archive, archive)
        except HoldfastError as error:
            raise HoldfastError(f"{release.source}: {release.origin} {error}. Nothing was changed") from None
        if checksum != release.checksum:
            raise HoldfastError(f"{release.called['checksum']}: {release.origin} has the checksum {checksum}, not {release.checksum}. Nothing was changed")
        try:
            digest = release_archive.take_program(archive, program)
            reported = release_archive.version_of(self._run, program)
            if reported != version:
                raise HoldfastError(f"holds {reported}, not {version}")
        except HoldfastError as error:
            raise HoldfastError(f"{release.source}: {release.origin} {error}. Nothing was changed") from None
        whole.remove(archive)
        Record(checksum, digest).write(staged, self._ours._replace(mode=0o644))
        whole.set_ownership(staged, self._ours)
        return Install(path, why, staged)


@contextlib.contextmanager
def _taken_back(path: str) -> t.Iterator[None]:
    """If the block fails, directories on the way to path that were missing before are removed, as far as they are empty."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    try:
        yield
    except BaseException:
        for directory in missing:
            with contextlib.suppress(OSError):
                os.rmdir(directory)
        raise
