# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe of an S3 store: all checks, many times in parallel, within a time, and nothing of it left in the store."""

from __future__ import annotations

import dataclasses
import datetime
import secrets
import threading
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._s3 import checks
from ansible_collections.holdfast.registry.plugins.module_utils._s3.client import Bucket, Client, StoreError, code_of

DIRECTORY = "holdfast-probe"
# What a probe that was killed has left is removed by a later one.
_OLD = datetime.timedelta(hours=1)
_FOR_REMOVAL = 20


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much is asked: parallel workers, rounds of each, seconds in total, and seconds that one request may make no progress."""

    parallel: int = 6
    rounds: int = 2
    seconds: int = 120
    timeout: int = 10


class Failure(t.NamedTuple):
    """A check that failed: how many times, and what was seen first."""

    check: str
    times: int
    first: str

    def __str__(self) -> str:
        return f"{self.check}: {self.first}" + (f" ({self.times} times)" if self.times > 1 else "")


@dataclasses.dataclass
class Report:
    """What a probe found. left_out are addresses of the store that do not respond."""

    failures: list[Failure]
    left_out: list[str]
    requests: int
    repeated: int


class _Findings:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, list[str]] = {}
        self.errors: list[BaseException] = []

    def add(self, check: str, sentence: str) -> None:
        with self._lock:
            self._found.setdefault(check, []).append(sentence)

    def failures(self) -> list[Failure]:
        with self._lock:
            return [Failure(check, len(said), said[0]) for check, said in sorted(self._found.items())]


def reach(bucket: Bucket, effort: Effort) -> list[str]:
    """Ask for a list of the bucket, which changes nothing. Returns the addresses that do not respond.

    Raises StoreError, whose kind says whether it is the name, the connection, TLS, the key, its permissions, the clock, the bucket or the
    region.
    """
    client = Client(bucket, effort.timeout, time.monotonic() + effort.seconds)
    return _within(effort.seconds, lambda: _reached(client))


def probe(bucket: Bucket, effort: Effort) -> Report:
    """Run all checks, and remove what they wrote. Raises StoreError for what keeps all of them from being done."""
    client = Client(bucket, effort.timeout, time.monotonic() + effort.seconds)
    left_out = _within(effort.seconds, lambda: _reached(client))
    findings = _Findings()
    own = f"{_directory(bucket)}{secrets.token_hex(8)}/"
    workers = [threading.Thread(target=_work, args=(client, f"{own}{number}/", effort.rounds, findings), daemon=True) for number in range(effort.parallel)]
    for worker in workers:
        worker.start()
    for worker in workers:
        # One request may still run when the time is over.
        worker.join(max(0.0, client.deadline - time.monotonic()) + effort.timeout)
    if any(worker.is_alive() for worker in workers):
        findings.add("time", f"not all checks were done within {effort.seconds} seconds")
    cleaner = Client(bucket, effort.timeout, time.monotonic() + _FOR_REMOVAL)
    try:
        _within(_FOR_REMOVAL, lambda: _removed(cleaner, own, findings))
    except StoreError as error:
        findings.add("removal", f"{own} is not removed: {error}")
    for broken in findings.errors:
        if isinstance(broken, HoldfastError):
            raise broken
        raise RuntimeError("a check of the store broke off") from broken
    return Report(findings.failures(), left_out, client.requests, client.repeated)


def _directory(bucket: Bucket) -> str:
    return f"{bucket.prefix}/{DIRECTORY}/".lstrip("/")


def _reached(client: Client) -> list[str]:
    left_out = client.find_addresses()
    answer = client.ask("GET", query={"prefix": _directory(client.bucket), "max-keys": "1"})
    if answer.status != 200:
        raise StoreError("http", f"a list of the bucket: status {code_of(answer)} instead of 200")
    if b"ListBucketResult" not in answer.content:
        raise StoreError("http", f"what responds is no S3 store: the list of a bucket begins with {answer.content[:40]!r}")
    return left_out


def _work(client: Client, prefix: str, rounds: int, findings: _Findings) -> None:
    try:
        for number in range(rounds):
            for check in (*checks.EVERY_ROUND, *(checks.ONCE if number == 0 else ())):
                if findings.errors or time.monotonic() > client.deadline:
                    return
                checks.one(check, checks.Place(client, f"{prefix}{number}/{check.__name__}/", findings.add))
    except Exception as error:  # noqa: BLE001 - carried over to the thread that waits
        findings.errors.append(error)


def _removed(client: Client, own: str, findings: _Findings) -> None:
    """Remove the objects and uploads of this probe, and those of former ones that were killed."""
    directory = _directory(client.bucket)
    for _round in range(3):
        for row in client.ask("GET", query={"uploads": "", "prefix": directory}).rows("Upload"):
            if _is_ours(row.get("Key", ""), row.get("Initiated", ""), own):
                client.ask("DELETE", row["Key"], query={"uploadId": row.get("UploadId", "")})
        listed = client.ask("GET", query={"list-type": "2", "prefix": directory}).rows("Contents")
        keys = [row["Key"] for row in listed if _is_ours(row.get("Key", ""), row.get("LastModified", ""), own)]
        if not keys:
            return
        wrong = checks.remove_keys(client, keys)
        if wrong:
            findings.add("removal", wrong)
            return
    left = client.ask("GET", query={"list-type": "2", "prefix": own}).texts("Contents/Key")
    if left:
        findings.add("list after removal", f"{len(left)} objects below {own} are still listed after they were removed")


def _is_ours(key: str, written: str, own: str) -> bool:
    if key.startswith(own):
        return True
    try:
        at = datetime.datetime.strptime(written[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.timezone.utc)
    except ValueError:
        return False
    return bool(key) and datetime.datetime.now(datetime.timezone.utc) - at > _OLD


_T = t.TypeVar("_T")


def _within(seconds: int, work: t.Callable[[], _T]) -> _T:
    """Do work in a thread of its own, since nothing else limits how long a name is looked up."""
    done: list[_T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(work())
        except Exception as error:  # noqa: BLE001 - carried over to the thread that waits
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise StoreError("timeout", f"no answer within {seconds} seconds")
    return done[0]
