# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has been pulled, and when last: condensed from the gateway's access log into a record that outlives the log's files.

Each file of the log is known by the hash of its first line, under whatever name or compression a rotation has put it. The record
says how far each was read, so nothing is read twice and nothing is left out: also not the last lines of a file that has been renamed.
If the file that was read last is gone, lines may be lost; from then on the record reaches back only to the oldest file there is.
"""

from __future__ import annotations

import dataclasses
import datetime
import glob
import gzip
import hashlib
import json
import os
import typing as t
import urllib.parse

from registry_keeper.collect.access_log import UNREADABLE, being_compressed
from registry_keeper.errors import KeeperError
from registry_keeper.report import write_whole

KEEP_SECONDS = 730 * 86400
_CHUNK = 1 << 20

Pulls = dict[str, dict[str, float]]


@dataclasses.dataclass
class Known:
    """A file of the log: how many bytes of its text were read, when its last line was written, and its size where that is final."""

    offset: int = 0
    last: float = 0.0
    final_size: int | None = None


@dataclasses.dataclass
class Record:
    """since: from when on every pull is in the record, in seconds since the epoch; None where that cannot be said."""

    since: float | None = None
    pulls: Pulls = dataclasses.field(default_factory=dict)
    files: dict[str, Known] = dataclasses.field(default_factory=dict)

    def last_pull(self, repository: str, *references: str) -> float:
        """When any of these tags and digests of a repository was pulled last; 0 for never."""
        known = self.pulls.get(repository, {})
        return max((known.get(reference, 0.0) for reference in references), default=0.0)


def path_of(state: str) -> str:
    """The record's file in the keeper's directory."""
    return os.path.join(state, "pulled", "record.json")


def load(path: str) -> Record:
    """Read the record. One that is not there, or not readable as such, is empty: then nothing counts as known. Raises OSError."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        files = {name: Known(*values) for name, values in document["files"].items()}
        return Record(document["since"], document["pulls"], files)
    except FileNotFoundError:
        return Record()
    except (ValueError, KeyError, TypeError, AttributeError):
        return Record()


def save(path: str, record: Record, now: float, keep_seconds: float = KEEP_SECONDS) -> None:
    """Write the record, without pulls that are longer ago than anybody asks. Raises OSError."""
    pulls = {
        repository: recent
        for repository, known in record.pulls.items()
        if (recent := {reference: when for reference, when in known.items() if now - when < keep_seconds})
    }
    files = {name: [known.offset, known.last, known.final_size] for name, known in record.files.items()}
    write_whole(path, json.dumps({"since": record.since, "pulls": pulls, "files": files}, sort_keys=True) + "\n")


def update(record: Record, logs: t.Sequence[str], names: t.Collection[str], warn: t.Callable[[str], None]) -> None:
    """Read what is new in the files of the logs. names are those of the instance in the log's field registry.

    Raises KeeperError where a file cannot be read: what was pulled would not be known.
    """
    newest = max(record.files, key=lambda name: record.files[name].last, default=None)
    present: dict[str, Known] = {}
    began: list[float] = []
    for path in _files_of(logs):
        try:
            _read_file(path, record, present, began, names)
        except FileNotFoundError:
            continue  # rotated a moment ago: the next run reads it under its new name
        except UNREADABLE as error:
            if being_compressed(path):
                continue  # it has the same lines, and is read as well
            raise KeeperError(f"{path}: cannot be read, so it is not known what was pulled: {getattr(error, 'strerror', None) or error}") from error
    if not began:
        if logs:
            warn(f"{', '.join(logs)}: nothing in it, so it is not known what was pulled")
        record.since = None
    elif record.since is None or newest is None:
        record.since = min(began)
    elif newest not in present:
        record.since = max(record.since, min(began))
        warn("files of the access log were removed before they were read, so what was pulled is known only from the oldest one on")
    if present:
        record.files = present


def _files_of(logs: t.Sequence[str]) -> t.Iterator[str]:
    """The files of the logs, each a path or a glob pattern. Twice: what a rotation renames meanwhile is met in the second round."""
    for _round in range(2):
        for log in logs:
            yield from sorted(glob.glob(log))


def _read_file(path: str, record: Record, present: dict[str, Known], began: list[float], names: t.Collection[str]) -> None:
    compressed = path.endswith(".gz")
    with open(path, "rb") as raw:
        size = os.fstat(raw.fileno()).st_size
        text = t.cast(t.BinaryIO, gzip.GzipFile(fileobj=raw)) if compressed else raw
        first = text.readline()
        if not first.endswith(b"\n"):
            return  # empty, or its first line is being written
        name = hashlib.sha256(first).hexdigest()
        if name in present and (compressed or present[name].final_size is not None):
            return
        known = present.get(name) or record.files.get(name) or Known()
        start = _entry(first)
        if start is not None and name not in present:
            began.append(start[0])
        present[name] = known
        if compressed and known.final_size == size:
            return
        _read_lines(text, first, known, record.pulls, names)
        known.final_size = size if compressed else None


def _read_lines(text: t.BinaryIO, first: bytes, known: Known, pulls: Pulls, names: t.Collection[str]) -> None:
    """Read on from where the file was read to last, as far as lines are complete."""
    if known.offset >= len(first):
        text.seek(known.offset)
    else:
        _note(first, known, pulls, names)
        known.offset = len(first)
    while True:
        lines = text.readlines(_CHUNK)
        for line in lines:
            if not line.endswith(b"\n"):
                return
            _note(line, known, pulls, names)
            known.offset += len(line)
        if not lines:
            return


def _note(line: bytes, known: Known, pulls: Pulls, names: t.Collection[str]) -> None:
    pulled = b"/manifests/" in line and b'"pull"' in line
    # Of all other lines only the first says when the file was begun.
    if not pulled and known.last:
        return
    found = _entry(line)
    if found is None:
        return
    when, entry = found
    known.last = max(known.last, when)
    if not pulled or entry.get("registry") not in names or entry.get("action") != "pull":
        return
    status, repository, path = entry.get("status"), entry.get("repository"), entry.get("path")
    if not isinstance(status, int) or not 200 <= status < 400 or not isinstance(repository, str) or not isinstance(path, str):
        return
    reference = urllib.parse.unquote(path.rpartition("/")[2])
    references = pulls.setdefault(repository, {})
    references[reference] = max(when, references.get(reference, 0.0))


def _entry(line: bytes) -> tuple[float, dict[str, t.Any]] | None:
    """A line of the log with its time in seconds since the epoch; None for what is none."""
    try:
        entry = json.loads(line)
        return datetime.datetime.fromisoformat(entry["time"]).timestamp(), entry
    except (ValueError, KeyError, TypeError):
        return None
