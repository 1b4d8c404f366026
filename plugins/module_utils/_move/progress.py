# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a move is: a file for whoever asks, and lines in the journal."""

from __future__ import annotations

import json
import os
import sys
import time
import typing as t

_FILE_SECONDS = 1.0
_LINE_SECONDS = 10.0


class Progress:
    """Written to a file each second, and to the journal each ten seconds. The file is whole at every instant."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._facts: dict[str, t.Any] = {"state": "running", "line": ""}
        self._stage = ""
        self._count = self._counted = self._size = self._sized = 0
        self._began = self._written = self._said = time.monotonic()

    def stage(self, name: str, count: int = 0, size: int = 0) -> None:
        """Begin another part of the work, with this many items of so many bytes together."""
        self._stage, self._count, self._size = name, count, size
        self._counted = self._sized = 0
        self._began = self._said = time.monotonic()
        if count:
            self.say(self._line())
        self._write()

    def done(self, size: int, count: int = 1) -> None:
        """So many more items are done, of so many bytes."""
        self._counted += count
        self._sized += size
        now = time.monotonic()
        if now - self._said >= _LINE_SECONDS:
            self.say(self._line())
        if now - self._written >= _FILE_SECONDS:
            self._write()

    def say(self, line: str) -> None:
        """A line in the journal."""
        self._said = time.monotonic()
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    def finish(self, state: str, line: str, **facts: t.Any) -> None:
        """The end of a run: caught-up, complete or failed."""
        self._facts = {"state": state, "line": line, **facts}
        self.say(line)
        self._write(line)

    def _line(self) -> str:
        seconds = max(time.monotonic() - self._began, 0.001)
        text = f"{self._stage}: {self._counted} of {self._count}"
        if self._size:
            rate = self._sized / seconds
            left = (self._size - self._sized) / rate if rate else 0
            text += f", {self._sized / 1e9:.2f} of {self._size / 1e9:.2f} GB"
            text += f", {rate / 1e6:.0f} MB/s, about {left / 60:.0f} min left" if self._sized and left >= 1 else ""
        return text

    def _write(self, line: str = "") -> None:
        self._written = time.monotonic()
        document = {**self._facts, "stage": self._stage, "line": line or (self._line() if self._count else self._stage), "time": int(time.time())}
        temporary = f"{self._path}.new"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(document, file)
            file.write("\n")
        os.replace(temporary, self._path)
