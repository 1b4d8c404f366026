# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules that say which tags stay: read, and refused where they cannot be right. verdicts.py applies them.

The role's check of its settings on the controller loads this very file, so it needs nothing but the standard library.
"""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import re
import typing as t

DURATION = re.compile(r"([0-9]+)([mhdw])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 604800}
_LONGEST = 36500 * 86400

CONDITIONS = ("keep_newest", "keep_younger_than", "keep_matching", "keep_pulled_within")
KEYS = ("repositories", "tags", *CONDITIONS)
EXAMPLE = '{repositories: ["team/**"], keep_newest: 10, keep_younger_than: 30d}'

# A star is best replaced by a letter or digit, which may stand beside everything.
_NAME = re.compile(r"[a-z0-9]+(?:(?:[./]|__?|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_WILD = re.compile(r"[*?[]")


def seconds_of(duration: t.Any) -> int | None:
    """The seconds of a duration such as 36h, 30d or 8w; None for what is none, or none that a clock can measure."""
    found = DURATION.fullmatch(duration) if isinstance(duration, str) else None
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    return seconds if 0 < seconds <= _LONGEST else None


@dataclasses.dataclass(frozen=True)
class Rule:
    """Which tags a rule applies to, and what keeps one of them. Times are in seconds."""

    number: int
    repositories: tuple[str, ...]
    tags: tuple[str, ...] = ("*",)
    newest: int | None = None
    younger_than: int | None = None
    matching: tuple[str, ...] = ()
    pulled_within: int | None = None

    def has_repository(self, name: str) -> bool:
        return any(matches(pattern, name) for pattern in self.repositories)

    def has_tag(self, tag: str) -> bool:
        return _any_tag(self.tags, tag)

    @property
    def called(self) -> str:
        return f"rule {self.number} ({', '.join(self.repositories)}{'' if self.tags == ('*',) else ': ' + ', '.join(self.tags)})"


def rules_of(written: t.Any, *, place: str = "retention", knows_pulls: bool = True, log_setting: str = "access_logs") -> tuple[list[Rule], list[str]]:
    """The rules, and what is wrong with them, each problem with its place. There is no rule where there is a problem.

    knows_pulls says whether there is an access log, which the setting log_setting names.
    """
    if not isinstance(written, (list, tuple)):
        return [], [f"{place}: must be a list of rules such as {EXAMPLE}"]
    problems: list[str] = []
    rules: list[Rule] = []
    for number, entry in enumerate(written):
        wrong = list(_rule_problems(entry, f"{place}[{number}]", knows_pulls, log_setting))
        problems += wrong
        if not wrong:
            rules.append(_rule(number, entry))
    if not problems:
        problems += _never_applied(rules, place)
    return ([] if problems else rules), problems


def _rule(number: int, entry: dict[str, t.Any]) -> Rule:
    return Rule(
        number,
        tuple(entry["repositories"]),
        tuple(entry.get("tags") or ("*",)),
        entry.get("keep_newest"),
        seconds_of(entry.get("keep_younger_than")),
        tuple(entry.get("keep_matching") or ()),
        seconds_of(entry.get("keep_pulled_within")),
    )


def _rule_problems(entry: t.Any, place: str, knows_pulls: bool, log_setting: str) -> t.Iterator[str]:
    if not isinstance(entry, dict):
        yield f"{place}: must be a rule such as {EXAMPLE}"
        return
    for key in entry:
        if key not in KEYS:
            yield f"{place}.{key}: there is no such key; a rule has {', '.join(KEYS)}"
    yield from _list_problems(entry, place, "repositories", _repository_problem, required=True)
    yield from _list_problems(entry, place, "tags", _tag_problem)
    yield from _list_problems(entry, place, "keep_matching", _tag_problem)
    if all(entry.get(key) is None for key in CONDITIONS):
        yield f"{place}: keeps nothing; give at least one of {', '.join(CONDITIONS)}"
    newest = entry.get("keep_newest")
    if newest is not None and (isinstance(newest, bool) or not isinstance(newest, int) or newest < 1):
        yield f"{place}.keep_newest: {newest!r} is not a number of images from 1"
    for key in ("keep_younger_than", "keep_pulled_within"):
        if entry.get(key) is not None and seconds_of(entry[key]) is None:
            yield f"{place}.{key}: {entry[key]!r} is not a duration such as 36h, 30d or 8w"
    if entry.get("keep_pulled_within") is not None and not knows_pulls:
        yield f"{place}.keep_pulled_within: needs {log_setting}, the log that says what has been pulled"
    if not _are_texts(entry.get("tags") or ["*"]) or not _are_texts(entry.get("keep_matching") or []):
        return
    tags, matching = entry.get("tags") or ["*"], entry.get("keep_matching") or []
    for number, pattern in enumerate(matching):
        if not _WILD.search(pattern) and not _any_tag(tags, pattern):
            yield f"{place}.keep_matching[{number}]: {pattern!r} is no tag that the rule applies to: its tags are {', '.join(tags)}"
    if matching and all(any(_covers_tag(keeping, pattern) for keeping in matching) for pattern in tags):
        yield f"{place}.keep_matching: keeps every tag that the rule applies to, so no tag would ever go"


def _list_problems(entry: dict[str, t.Any], place: str, key: str, problem: t.Callable[[str], str | None], required: bool = False) -> t.Iterator[str]:
    value = entry.get(key)
    if value is None and not required:
        return
    if not isinstance(value, (list, tuple)) or not value:
        yield f"{place}.{key}: must be a list of patterns such as {'[team/**]' if key == 'repositories' else '[v*, latest]'}"
        return
    for number, pattern in enumerate(value):
        said = problem(pattern) if isinstance(pattern, str) else "is no text; put it into quotes"
        if said:
            yield f"{place}.{key}[{number}]: {pattern!r} {said}"


def _are_texts(value: t.Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value)


def _repository_problem(pattern: str) -> str | None:
    if re.search(r"[^a-z0-9._/*-]", pattern):
        return "has characters other than lower-case letters, digits and any of . _ - / *"
    if "***" in pattern:
        return "has three stars in a row: * is any characters within one component, ** across components"
    if len(pattern) > 255 or not _NAME.fullmatch(re.sub(r"\*+", "0", pattern)):
        return "matches no repository name"
    return None


def _tag_problem(pattern: str) -> str | None:
    plain = re.sub(r"\[!?[A-Za-z0-9._-]+\]", "0", pattern)
    if re.search(r"[^A-Za-z0-9._*?-]", plain):
        return "has characters other than letters, digits, any of . _ - and the wildcards *, ? and [0-9]"
    if not _TAG.fullmatch(re.sub(r"[*?]+", "0", plain)):
        return "matches no tag"
    return None


def _never_applied(rules: list[Rule], place: str) -> t.Iterator[str]:
    """Rules all of whose tags belong to rules before them."""
    for index, rule in enumerate(rules):
        takers: list[int] = []
        for pattern in rule.repositories:
            for tags in rule.tags:
                taker = next((r.number for r in rules[:index] if _covers_any(r.repositories, pattern) and any(_covers_tag(one, tags) for one in r.tags)), None)
                if taker is not None:
                    takers.append(taker)
        if len(takers) == len(rule.repositories) * len(rule.tags):
            named = " and ".join(f"{place}[{number}]" for number in sorted(set(takers)))
            has = "has" if len(set(takers)) == 1 else "have"
            yield f"{place}[{rule.number}]: never applies: {named}, before it, {has} all its tags, and the first rule that matches a tag counts"


@functools.cache
def _tokens(pattern: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\*\*|.", pattern))


def _covers_any(patterns: t.Iterable[str], other: str) -> bool:
    return any(covers(pattern, other) for pattern in patterns)


def covers(pattern: str, other: str) -> bool:
    """Whether every repository that other matches surely matches pattern too. False where that is not plain to see."""
    return _covers(_tokens(pattern), _tokens(other), {})


def _covers(one: tuple[str, ...], other: tuple[str, ...], known: dict[tuple[int, int], bool]) -> bool:
    key = (len(one), len(other))
    if key not in known:
        if not one:
            known[key] = not other
        elif one[0] in ("*", "**"):
            crosses = one[0] == "**"
            taken = bool(other) and (crosses or other[0] not in ("/", "**"))
            known[key] = _covers(one[1:], other, known) or (taken and _covers(one, other[1:], known))
        else:
            known[key] = bool(other) and one[0] == other[0] and _covers(one[1:], other[1:], known)
    return known[key]


def _covers_tag(pattern: str, other: str) -> bool:
    return pattern in ("*", other) or (not _WILD.search(other) and fnmatch.fnmatchcase(other, pattern))


def _any_tag(patterns: t.Iterable[str], tag: str) -> bool:
    return any(fnmatch.fnmatchcase(tag, pattern) for pattern in patterns)


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern matches a repository's name: `*` is any characters within a component, `**` any characters."""
    places = {0}  # how far into the name what has been read of the pattern can reach
    for token in _tokens(pattern):
        if token == "**":
            places = set(range(min(places), len(name) + 1))
        elif token == "*":
            places = {reached for place in places for reached in range(place, (name + "/").index("/", place) + 1)}
        else:
            places = {place + 1 for place in places if name[place : place + 1] == token}
        if not places:
            return False
    return len(name) in places
