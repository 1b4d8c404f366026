# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Sizes as people write them. The controller uses this too, to refuse what the program would refuse."""

from __future__ import annotations

import re

_UNITS = {"": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?) ?(%|kB|MB|GB|TB|)")


def size_of(text: str, whole: int = 0) -> int | None:
    """Bytes of a size such as 500MB, 2GB or 5%, a percentage being of the whole. None for what is no size."""
    match = _SIZE.fullmatch(str(text))
    if not match:
        return None
    number, unit = float(match[1]), match[2]
    if unit == "%":
        return int(whole * number / 100) if number < 100 else None
    return int(number * _UNITS[unit])
