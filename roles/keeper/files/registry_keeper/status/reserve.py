# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The reserve: with less free space than that, the gateway takes no uploads.

A registry that runs out of space in the middle of a write leaves half a file, in 2.8 also in place of a tag. So writes end before that.
The gateway looks for the file full in this instance's runtime directory, which is in memory: a full disk is no reason not to write it.
Without this program there is no such file, and uploads go on.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import threading
import typing as t

from registry_keeper.errors import ATTENTION, DONE, USAGE, KeeperError
from registry_keeper.report import Report, human_bytes
from registry_keeper.settings import Settings, section, text
from registry_keeper.sizes import size_of

FLAG = "full"
INTERVAL = 1.0
# Uploads begin again with a little more than the reserve, so that they do not stop and start with every file.
_MARGIN = 1.02
_LEAST_FILES = 0.01


class Space(t.NamedTuple):
    """The space of a file system, in bytes, and which part of its files (inodes) is left."""

    total: int
    free: int
    files_left: float

    @property
    def used(self) -> int:
        return self.total - self.free


def space_of(path: str) -> Space:
    """The space where a path is, as far as the registry may use it. Raises OSError."""
    found = os.statvfs(path)
    files_left = found.f_favail / found.f_files if found.f_files else 1.0
    return Space(found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, files_left)


def reserve_of(settings: Settings, space: Space) -> int:
    """The bytes that are to stay free; 0 without a reserve. Raises KeeperError."""
    wanted = section(settings.reserve, "reserve", {"size": text(r".*", "")})["size"]
    if not wanted:
        return 0
    size = size_of(wanted, space.total)
    if size is None:
        raise KeeperError(f"reserve.size: {wanted!r} is not a size such as 2GB, 500MB or 5%", USAGE)
    return size


def is_short(space: Space, reserve: int, was_short: bool) -> bool:
    """Whether uploads are to be refused."""
    least = reserve * _MARGIN if was_short else reserve
    return reserve > 0 and (space.free < least or space.files_left < _LEAST_FILES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="go on, and tell the gateway whenever that changes")


def run(settings: Settings, options: argparse.Namespace, report: Report) -> int:
    """Say how much is free; with --watch tell the gateway, until a signal ends it."""
    space = space_of(settings.storage)
    reserve = reserve_of(settings, space)
    if options.watch:
        ended = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: ended.set())
        watch(settings, [name for name in os.environ.get("RUNTIME_DIRECTORY", "").split(":") if name], ended, report)
        return DONE
    short = is_short(space, reserve, False)
    report.add(free_bytes=space.free, reserve_bytes=reserve, uploads_refused=short)
    report.say(f"{human_bytes(space.free)} free, of which {human_bytes(reserve)} are the reserve: uploads are {'refused' if short else 'taken'}")
    return ATTENTION if short else DONE


def watch(settings: Settings, directories: t.Sequence[str], ended: threading.Event, report: Report, interval: float = INTERVAL) -> None:
    """Keep the file full in these directories right until the event is set, and remove it then. Raises KeeperError."""
    if not directories:
        raise KeeperError("reserve --watch: the environment has no RUNTIME_DIRECTORY to tell the gateway in", USAGE)
    flags = [os.path.join(directory, FLAG) for directory in directories]
    short = False
    try:
        while True:
            with contextlib.suppress(OSError):  # a storage that cannot be looked at now: what was last seen counts
                space = space_of(settings.storage)
                reserve = reserve_of(settings, space)
                before, short = short, is_short(space, reserve, short)
                if short != before:
                    left = human_bytes(space.free)
                    report.say(f"{left} free: uploads are refused until {human_bytes(reserve)} are" if short else f"{left} free: uploads are accepted again")
            for flag in flags:
                _set(flag, short)
            if ended.wait(interval):
                return
    finally:
        for flag in flags:
            _set(flag, False)


def _set(flag: str, wanted: bool) -> None:
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        if wanted:
            os.close(os.open(flag, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640))
        else:
            os.unlink(flag)
