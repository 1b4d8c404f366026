# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How much faster one of two is that take turns, and how sure that is. docs/benchmarks.md explains it in words."""

from __future__ import annotations

import math
import statistics
import typing as t

CONFIDENCE = 0.95
SPREAD = 0.10
# with fewer rounds no interval has the confidence asked for
FEWEST = 6

OK, MISSED, TOO_NOISY = "OK", "MISSED", "TOO NOISY"
EXIT_STATUS = {OK: 0, MISSED: 1, TOO_NOISY: 3}  # 2 is a wrong command line


class Estimate(t.NamedTuple):
    """The median of the rounds' ratios, and the interval in which it lies with CONFIDENCE."""

    median: float
    low: float
    high: float
    rounds: int

    @property
    def spread(self) -> float:
        return (self.high - self.low) / self.median if self.median else math.inf

    @property
    def sure(self) -> bool:
        return self.rounds >= FEWEST and self.spread < SPREAD

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def estimate(ratios: t.Sequence[float]) -> Estimate:
    """The interval is made of two of the ratios themselves: no assumption about the noise but that rounds are independent."""
    found, cut = sorted(ratios), 0
    while _confidence(len(found), cut + 1) >= CONFIDENCE:
        cut += 1
    return Estimate(statistics.median(found), found[cut], found[-1 - cut], len(found))


def _confidence(rounds: int, cut: int) -> float:
    """How likely the median lies between the ratios that remain when `cut` are taken away at either end."""
    below: int = sum(math.comb(rounds, number) for number in range(cut + 1))
    return 1 - below / (1 << (rounds - 1))


def judge(found: Estimate, at_least: float = -math.inf, at_most: float = math.inf) -> str:
    if not found.sure:
        return TOO_NOISY
    return OK if at_least <= found.median <= at_most else MISSED


def exit_status(verdicts: t.Iterable[str]) -> int:
    """A figure that misses its target outweighs one that nothing can be said about."""
    outweighs = [MISSED, TOO_NOISY, OK]
    return EXIT_STATUS[min(verdicts, key=outweighs.index, default=OK)]
