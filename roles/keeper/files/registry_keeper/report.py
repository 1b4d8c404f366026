# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a command says: lines for people, or one JSON document; and what `status` reads afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import typing as t

Facts = dict[str, t.Any]


def human_bytes(number: float) -> str:
    """A size for people: 1234567 is "1.2 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def counted(number: int | None, noun: str) -> str:
    """A number with its noun: 1 is "1 repository", 2 are "2 repositories"."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("ry") else f"{number} {noun}s"


def counted_images(repositories: int | None, tags: int | None, blobs: int | None) -> str:
    """What is stored, as in "1 repository, 2 tags, 5 blobs"."""
    return f"{counted(repositories, 'repository')}, {counted(tags, 'tag')}, {counted(blobs, 'blob')}"


def human_seconds(seconds: float) -> str:
    """A duration for people: 5400 is "90 min"."""
    for unit, size in (("s", 60), ("min", 7200), ("h", 172800)):
        if seconds < size:
            return f"{seconds / {'s': 1, 'min': 60, 'h': 3600}[unit]:.0f} {unit}"
    return f"{seconds / 86400:.0f} days"


class Report:
    """Where a command puts what it found.

    say() is a line for people, progress() a line that the next one replaces on a terminal, warn() a line that asks for attention;
    add() puts facts into the JSON document, which is printed by --json and kept for `status`.
    """

    def __init__(self, as_json: bool = False, out: t.TextIO | None = None, err: t.TextIO | None = None) -> None:
        self.as_json = as_json
        self.facts: Facts = {}
        self.warnings: list[str] = []
        # True where there was nothing to do: what the last run has said stays.
        self.did_nothing = False
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._terminal = self._err.isatty()
        self._shown = 0.0
        self._begun = time.time()
        self._pending = False

    def say(self, line: str) -> None:
        """A line of the result, for people."""
        self._clear()
        if not self.as_json:
            tell(line, self._out)

    def progress(self, line: str) -> None:
        """What is going on: at most four times a second, and only on a terminal."""
        now = time.monotonic()
        if self._terminal and now - self._shown >= 0.25:
            tell(f"\r\x1b[K{line[:150]}", self._err, end="")
            self._shown, self._pending = now, True

    def warn(self, line: str) -> None:
        """What needs a person's attention."""
        self._clear()
        self.warnings.append(line)
        tell(f"warning: {line}", self._err)

    def add(self, **facts: t.Any) -> None:
        """Facts of the JSON document."""
        self.facts.update(facts)

    def finish(self, command: str, status: int, state: str | None, error: str | None = None) -> Facts:
        """End the report: print the JSON document, keep it as status/COMMAND.json in the keeper's directory (if given), and return it."""
        self._clear()
        document = {
            "command": command,
            "exit_status": status,
            "began": int(self._begun),
            "seconds": round(time.time() - self._begun, 3),
            **({"error": error} if error else {}),
            "warnings": self.warnings,
            **self.facts,
        }
        if self.as_json:
            tell(json.dumps(document, indent=1, sort_keys=True), self._out)
        if state is not None:
            # What was done is done, also if there is no room to say so.
            with contextlib.suppress(OSError):
                write_whole(os.path.join(state, "status", f"{command}.json"), json.dumps(document, sort_keys=True) + "\n", sync=False)
        return document

    def _clear(self) -> None:
        if self._pending:
            tell("\r\x1b[K", self._err, end="")
            self._pending = False


def tell(line: str, stream: t.TextIO, end: str = "\n") -> None:
    """Print a line. Where nobody reads any more, such as head that has its line or a terminal that has gone, the work goes on and says nothing."""
    try:
        print(line, end=end, file=stream, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # so that what is left in the stream finds its end as well
        os.close(nowhere)


def write_whole(path: str, content: str, mode: int = 0o640, sync: bool = True) -> None:
    """Write a file that is whole at every instant, and on the disk when this returns. Raises OSError.

    Without sync, a power cut may leave an old file or an empty one: for what can be done without. A sync makes all writers of the file system wait.
    """
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    temporary = f"{path}.new.{os.getpid()}"
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if sync:
        sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make renames in a directory survive a power cut."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
