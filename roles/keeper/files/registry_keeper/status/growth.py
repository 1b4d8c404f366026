# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How fast the used space grows, from samples that are remembered, and when it will be full."""

from __future__ import annotations

import contextlib
import json
import os
import typing as t

from registry_keeper.report import write_whole

_APART = 3600  # seconds between two samples
_KEPT = 24 * 30
# What has been seen for less than that says nothing about days.
LEAST = 6 * 3600


class Sample(t.NamedTuple):
    """The used bytes of the file system at a moment, in seconds since 1970."""

    time: int
    used: int


def remember(state: str, now: Sample) -> list[Sample]:
    """The samples with this one, which is kept unless one was a short while ago. A disk that is full keeps no more."""
    path = os.path.join(state, "status", "samples.json")
    samples: list[Sample] = []
    with contextlib.suppress(OSError, ValueError, TypeError), open(path, encoding="utf-8") as file:
        samples = [Sample(int(time), int(used)) for time, used in json.load(file)]
    samples = [sample for sample in samples if sample.time <= now.time]
    if not samples or now.time - samples[-1].time >= _APART:
        samples = [*samples, now][-_KEPT:]
        with contextlib.suppress(OSError):
            write_whole(path, json.dumps(samples) + "\n")
        return samples
    return [*samples, now]


def rate(samples: t.Sequence[Sample]) -> float | None:
    """Bytes a second by which the used space grows, the line that fits best; None where the samples span too little time."""
    if len(samples) < 2 or samples[-1].time - samples[0].time < LEAST:
        return None
    begin, count = samples[0].time, len(samples)
    mean_time = sum(sample.time - begin for sample in samples) / count
    mean_used = sum(sample.used for sample in samples) / count
    spread = sum((sample.time - begin - mean_time) ** 2 for sample in samples)
    return sum((sample.time - begin - mean_time) * (sample.used - mean_used) for sample in samples) / spread


def seconds_until_full(free: int, bytes_a_second: float | None) -> float | None:
    """When these free bytes are used up at that rate; None for never, or not known."""
    if bytes_a_second is None or bytes_a_second <= 0:
        return None
    return max(free, 0) / bytes_a_second
