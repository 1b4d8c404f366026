# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The quarantine: what runs have taken out of the registry's tree, under its old path.

    STORAGE/keeper/runs/RUN/run.json          what the run is, and whether it came to its end
    STORAGE/keeper/runs/RUN/tree/docker/...   what it has taken, and nobody has brought back

What is in tree/ is the truth: a thing moves by one rename, so it is either there or in its place, whatever ends the program.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import time
import typing as t

from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.report import write_whole
from registry_keeper.storage.layout import read_link

Info = dict[str, t.Any]


class Run:
    """One run, and what it has taken. Paths are relative to the storage."""

    def __init__(self, storage: str, state: str, name: str) -> None:
        self.storage = storage
        self.name = name
        self.path = os.path.join(state, "runs", name)
        self.tree = os.path.join(self.path, "tree")
        self.info: Info = {}

    @classmethod
    def begin(cls, storage: str, state: str, command: str) -> Run:
        """A new run. Raises OSError, before anything is taken, where there is no room to say that it has begun."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        number = 1
        while True:
            run = cls(storage, state, f"{stamp}-{command}" + (f"-{number}" if number > 1 else ""))
            try:
                os.makedirs(run.path, mode=0o750)
                break
            except FileExistsError:
                number += 1
        run.info = {"command": command, "began": time.time(), "ended": None}
        try:
            run.save()
        except OSError:
            with contextlib.suppress(OSError):
                os.rmdir(run.path)
            raise
        return run

    def save(self) -> None:
        write_whole(os.path.join(self.path, "run.json"), json.dumps(self.info, sort_keys=True) + "\n")

    def finish(self, **facts: t.Any) -> None:
        """Say that the run has come to its end. Removes it where nothing is in the quarantine."""
        self.info.update(ended=time.time(), **since_boot(), **facts)
        if next(self.walk(), None) is None:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        self.save()

    @property
    def began(self) -> float:
        return float(self.info.get("began") or 0)

    @property
    def finished(self) -> bool:
        return self.info.get("ended") is not None

    def place(self, relative: str) -> str:
        """Where something is while it is taken."""
        return f"{self.tree}/{relative}"

    def take(self, relative: str) -> bool:
        """Move something out of the registry's tree; False where it is not there (any more). Raises OSError."""
        target = self.place(relative)
        parent = os.path.dirname(target)
        try:
            os.mkdir(parent, 0o750)
        except FileExistsError:
            pass
        except FileNotFoundError:
            os.makedirs(parent, mode=0o750, exist_ok=True)
        try:
            os.rename(f"{self.storage}/{relative}", target)
        except FileNotFoundError:
            return False
        return True

    def put_back(self, relative: str, touch: bool = True) -> bool:
        """Move something back to its place; False where something is there already, which then stays. Raises OSError.

        touch makes it as young as if it had just been pushed, so that the next collection leaves it for the grace period.
        """
        source, target = self.place(relative), f"{self.storage}/{relative}"
        if os.path.isfile(target):
            return False
        try:
            if touch:
                link = f"{source}/current/link"  # of a tag whose whole directory was taken
                _touch(link if os.path.exists(link) else source)
            os.makedirs(os.path.dirname(target), mode=0o750, exist_ok=True)
            if os.path.isdir(source):
                os.rename(source, target)
                return True
            # A link and not a rename: it does not replace what a client has pushed meanwhile.
            try:
                os.link(source, target)
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                    raise
                if os.path.exists(target):
                    return False
                os.rename(source, target)
                return True
            os.unlink(source)
        except FileExistsError:
            return False
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.ENOTEMPTY:
                return False
            raise
        return True

    def walk(self, below: str = "", without: t.Container[str] = ()) -> t.Iterator[tuple[str, os.stat_result]]:
        """Every file that is taken: its path relative to the storage, and its status. Directories with one of these names are passed over."""
        pending = [os.path.join(self.tree, below) if below else self.tree]
        begin = len(self.tree) + 1
        while pending:
            directory = pending.pop()
            try:
                with os.scandir(directory) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            if entry.name not in without:
                                pending.append(entry.path)
                        else:
                            yield entry.path[begin:], entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


def since_boot() -> Info:
    """The present moment by the clock that nobody sets: in seconds since the host was booted, and which boot that was."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return {"boot": file.read().strip(), "uptime": time.clock_gettime(time.CLOCK_BOOTTIME)}


def age(info: Info, now: float) -> float:
    """How many seconds ago a run has ended. now is in seconds since 1970.

    Within a boot it is not asked what the clock says: one that jumps would end the time for undoing at once, or not for years.
    """
    here = since_boot() if "boot" in info else {}
    if here and here["boot"] == info["boot"]:
        return float(here["uptime"]) - float(info["uptime"])
    return now - float(info["ended"])


def _touch(path: str) -> None:
    """Make a file young. Raises OSError."""
    try:
        os.utime(path)
    except PermissionError:
        # Another user's, such as what root has copied into the storage. Its age matters only for a link, which can be written anew.
        with contextlib.suppress(OSError):
            digest = read_link(path) if os.path.basename(path) == "link" else None
            if digest:
                write_whole(path, digest, mode=0o644)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error  # os.utime names no path


def runs(storage: str, state: str) -> list[Run]:
    """All runs, oldest first. One without a readable run.json was killed when it began."""
    found = []
    try:
        names = sorted(os.listdir(os.path.join(state, "runs")))
    except FileNotFoundError:
        return []
    for name in names:
        run = Run(storage, state, name)
        try:
            with open(os.path.join(run.path, "run.json"), encoding="utf-8") as file:
                info = json.load(file)
        except (OSError, ValueError):
            info = None
        if not isinstance(info, dict):
            try:
                info = {"command": name.split("-")[1] if "-" in name else "?", "began": os.stat(run.path).st_mtime, "ended": None}
            except FileNotFoundError:
                continue
        run.info = info
        found.append(run)
    return found


def run_named(storage: str, state: str, name: str) -> Run:
    """The run of that name. Raises KeeperError."""
    every = runs(storage, state)
    for run in every:
        if run.name == name:
            return run
    known = ", ".join(run.name for run in every) or "none"
    raise KeeperError(f"there is no run {name}; there are: {known}", USAGE)
