# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What clients asked the gateway for lately, from its access log.

A client asks with HEAD whether a repository has a layer, and then leaves that layer out of its push. The registry stores nothing about
that question, so only this log can tell. The gateway writes a line when it has answered.
"""

from __future__ import annotations

import calendar
import glob
import gzip
import os
import re
import time
import typing as t
import zlib

from registry_keeper.errors import KeeperError

_TIME = re.compile(rb'"time":"(\d\d\d\d)-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:([+-])(\d\d):(\d\d)|Z)"')
_STATUS = re.compile(rb'"status":(\d+)')
_DIGEST = re.compile(rb"sha(?:256|384|512)(?::|%3[Aa])([0-9a-f]{128}|[0-9a-f]{96}|[0-9a-f]{64})")
_DELETES = b'"method":"DELETE"'
_PUSHES = re.compile(rb'"method":"PUT","path":"/v2/([a-z0-9._/-]+)/manifests/(\w[\w.-]{0,127})"')
_BLOCK = 1 << 18  # bytes that are read rather than searched
_LINES = 10_000  # that are read in a second or less
_DISORDER = 60  # seconds by which a line may come after a later one
UNREADABLE = (OSError, EOFError, zlib.error)


class AccessLog:
    """The digests that were asked for and found since a moment; follow() reads what has been added."""

    def __init__(self, patterns: t.Sequence[str], since: float, meanwhile: t.Callable[[], None] = lambda: None) -> None:
        """patterns are paths or glob patterns; since is in seconds since 1970. Nothing is read yet.

        meanwhile is called every second or so while much is read, and may raise.
        """
        self._patterns = patterns
        self._meanwhile = meanwhile
        self._since = since
        self._position: dict[tuple[int, int], int] = {}  # by device and inode: a rotated log goes on under another name
        self._second: tuple[bytes, bool] = (b"", True)
        self.pushed: set[tuple[str, str]] = set()  # repositories with tags that clients have pushed meanwhile, of all registries of the log

    def read(self) -> set[bytes]:
        """The digests, in their compact form, of everything since then. Raises KeeperError where a log cannot be read."""
        found: set[bytes] = set()
        for path in self._paths():
            self._read(path, found)
        return found

    follow = read

    def _paths(self) -> list[str]:
        paths: list[str] = []
        for pattern in self._patterns:
            matching = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
            paths.extend(path for path in matching if path not in paths)
        return paths

    def _read(self, path: str, found: set[bytes]) -> None:
        try:
            status = os.stat(path)
            name = (status.st_dev, status.st_ino)
            begin = self._position.get(name, 0)
            begin = begin if begin <= status.st_size else 0  # emptied in place
            if status.st_size <= begin or (status.st_mtime < self._since and begin == 0):
                return
            if path.endswith(".gz"):
                with gzip.open(path, "rb") as packed:
                    self._lines(packed, found)
                self._position[name] = status.st_size
                return
            with open(path, "rb") as file:
                begin = begin or self._beginning(file, status.st_size)
                file.seek(begin)
                self._position[name] = begin + self._lines(file, found)
        except FileNotFoundError:
            return  # not written yet, or being rotated: the next look finds it under its other name
        except UNREADABLE as error:
            source = being_compressed(path)
            if source is None:
                raise KeeperError(
                    f"{path}: cannot be read, so nothing is known about what clients have found recently: {error}; "
                    "make it readable, or move it away if it is damaged"
                ) from error
            self._read(source, found)

    def _beginning(self, file: t.BinaryIO, size: int) -> int:
        """Where lines of the wanted time begin, or before that: a log of gigabytes is not read from its start to see the last minutes of it."""
        low, high = 0, size
        while high - low > _BLOCK:
            file.seek((low + high) // 2)
            file.readline()
            at = file.tell()
            match = _TIME.search(file.readline())
            if at < high and match is not None and _moment(match) < self._since - _DISORDER:
                low = at
            else:
                high = (low + high) // 2
        return low

    def _lines(self, file: t.Any, found: set[bytes]) -> int:
        """Read whole lines; returns the number of bytes read. A line that is still being written is left for the next look."""
        size = 0
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            if number % _LINES == 0:
                self._meanwhile()
            size += len(line)
            push = _PUSHES.search(line) if b'"PUT"' in line else None
            if push is not None and self._recent(line):
                self.pushed.add((push.group(1).decode(), push.group(2).decode("ascii", "replace")))
            if b"sha" in line and _DELETES not in line and self._recent(line):
                status = _STATUS.search(line)
                if status is None or not 400 <= int(status.group(1)) < 500:
                    found.update(bytes.fromhex(text.decode()) for text in _DIGEST.findall(line))
        return size

    def _recent(self, line: bytes) -> bool:
        match = _TIME.search(line)
        if match is None:
            return True
        if match.group() != self._second[0]:
            self._second = (match.group(), _moment(match) >= self._since)
        return self._second[1]


def being_compressed(path: str) -> str | None:
    """The file from which logrotate makes a compressed one just now; None where this is no such file."""
    source = path[: -len(".gz")]
    return source if path.endswith(".gz") and os.path.exists(source) else None


def _moment(match: re.Match[bytes]) -> int:
    """The time of a line in seconds since 1970."""
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    moment = calendar.timegm((year, month, day, hour, minute, second))
    if match.group(7):
        offset = 3600 * int(match.group(8)) + 60 * int(match.group(9))
        moment -= offset if match.group(7) == b"+" else -offset
    return moment


def since(window: float) -> float:
    """The beginning of a window of so many seconds; two more for clocks that count whole seconds."""
    return time.time() - window - 2
