# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patterns of repository names: `*` is any characters within a component, `**` any characters, `/` included.

Both may stand for nothing. However many stars there are, no name makes the regular expressions made here try all their
combinations: where the earliest match is as good as every later one, which is before the last star, it is final.
"""

from __future__ import annotations

import itertools
import re
import typing as t

MAX_LENGTH = 255
# Runs of letters and digits, and between two of them exactly one separator.
NAME = r"[a-z0-9]+(?:(?:[./]|__?|-+)[a-z0-9]+)*"

_WITHIN_COMPONENT = "[a-z0-9._-]*"
_ACROSS_COMPONENTS = "[a-z0-9._/-]*"


def pattern_problem(pattern: str) -> str | None:
    """What is wrong with a pattern, or None when there are names that it matches."""
    if re.search(r"[^a-z0-9._/*-]", pattern):
        return "has characters other than lower-case letters, digits and any of . _ - / *"
    if "***" in pattern:
        return "three stars in a row mean nothing: * is any characters within one component, ** across components"
    if len(pattern) > MAX_LENGTH:
        return f"is {len(pattern)} characters long, a repository name has at most {MAX_LENGTH}"
    # A star is best replaced by a letter or digit, which may stand beside everything.
    if not re.fullmatch(NAME, re.sub(r"\*+", "0", pattern)):
        return "matches no repository name: names are letters and digits with one / . _ or __, or hyphens, between them"
    return None


def pcre(pattern: str) -> str:
    """The pattern as a regular expression for PCRE. Not anchored."""
    return _regex(pattern, lambda regex: f"(?>{regex})")


def python_regex(pattern: str) -> str:
    """The pattern as a regular expression for re.fullmatch, for Pythons without atomic groups too (before 3.11)."""
    numbers = itertools.count()

    def atomic(regex: str) -> str:
        group = f"g{next(numbers)}"
        return f"(?=(?P<{group}>{regex}))(?P={group})"

    return _regex(pattern, atomic)


def _regex(pattern: str, atomic: t.Callable[[str], str]) -> str:
    first, *others = pattern.split("**")
    regex = _segment(first, atomic, final=not others)
    for number, segment in enumerate(others, 1):
        final = number == len(others)
        found = f"{_ACROSS_COMPONENTS}?{_segment(segment, atomic, final)}"
        regex += found if final else atomic(found)
    return regex


def _segment(segment: str, atomic: t.Callable[[str], str], final: bool) -> str:
    """What stands between two `**`. Only the final segment has to end where the name ends."""
    first, *others = (literal.replace(".", r"\.") for literal in segment.split("*"))
    regex = first
    for number, literal in enumerate(others, 1):
        found = f"{_WITHIN_COMPONENT}?{literal}"
        regex += found if final and number == len(others) else atomic(found)
    return regex
