# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long it may be between two runs of a schedule, which is a time as in systemd.time(7) that the role has checked."""

from __future__ import annotations

import math
import re
import typing as t

_DAY = 86400.0
_WORDS = {"weekly": 7, "monthly": 31, "quarterly": 92, "semiannually": 184, "yearly": 366, "annually": 366}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTH = 31  # days


def overdue_after(schedule: str) -> float:
    """Seconds since the last run after which one is overdue: two have not come, and a day has gone by since. Infinite where nobody can tell."""
    return (2 * longest_gap(schedule) + 1) * _DAY


def longest_gap(schedule: str) -> float:
    """The days between two runs: not less than there are at most, and one where it is less. Infinite where there may be no other run."""
    words = schedule.lower().split()
    if words[0] in _WORDS:
        return _WORDS[words[0]]
    weekdays = _weekdays(words[0])
    date = next((word for word in words if re.fullmatch(r"[0-9*,./~-]+", word) and re.search(r"[-~]", word)), "*-*")
    # Without a year it has two parts. After a tilde days are counted from the end of the month.
    *year, month, day = re.split("[-~]", date)
    if year not in ([], ["*"]):
        return math.inf
    days = _numbers(day, _MONTH)
    if len(days) < 7 and len(weekdays) < 7:
        return math.inf  # such as the next Friday, the 13th
    gap = float(_widest(days, _MONTH))
    if not any(one <= 28 for one in days):
        gap += _MONTH  # a month without such a day
    months = _widest(_numbers(month, 12), 12)
    if months > 1:
        gap = months * _MONTH
    return gap + _widest(weekdays, 7) - 1


def _weekdays(word: str) -> set[int]:
    """The weekdays that a word such as mon..fri,sun names; all, where it names none."""
    found: set[int] = set()
    for part in word.split(","):
        named = [_WEEKDAYS.index(day[:3]) for day in part.split("..") if day[:3] in _WEEKDAYS]
        if len(named) == 2:
            found.update((named[0] + number) % 7 for number in range((named[1] - named[0]) % 7 + 1))
        else:
            found.update(named)
    return found or set(range(7))


def _numbers(field: str, most: int) -> set[int]:
    """The numbers from 1 that a field such as *, 1,15 or 1..7/2 has."""
    found: set[int] = set()
    for part in field.split(","):
        numbers, _slash, step = part.partition("/")
        first, _dots, last = numbers.partition("..")
        begin = 1 if first == "*" else int(first)
        end = int(last) if last else most if first == "*" or step else begin
        found.update(range(begin, end + 1, int(step or 1)))
    return found


def _widest(numbers: t.Collection[int], around: int) -> int:
    """The widest gap between one number and the next, on a dial."""
    ordered = sorted(numbers)
    return max((following - one) % around or around for one, following in zip(ordered, [*ordered[1:], ordered[0]]))
