# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules that say which tags stay: read, refused where they cannot be right, and applied to the tags of one repository.

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


@dataclasses.dataclass(frozen=True)
class Tag:
    """A tag as the storage has it. digest is None where its link is broken; pushed is seconds since the epoch.

    subject is set for a fallback tag, under which clients keep signatures and the like of an image that is there: that image's digest.
    """

    name: str
    digest: str | None
    pushed: float
    pulled: float = 0.0  # when it or its image was pulled last, as far as the log says
    subject: str | None = None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of a tag. rule is the number of the rule that applies, or None."""

    tag: Tag
    goes: bool
    why: tuple[str, ...]
    rule: int | None


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


def verdicts(
    rules: t.Sequence[Rule],
    repository: str,
    tags: t.Sequence[Tag],
    now: float,
    *,
    pulls_since: float | None = None,
    needs: t.Callable[[str], t.Collection[str]] = lambda digest: (),
) -> list[Verdict]:
    """What becomes of each tag of a repository, in the order of their names.

    pulls_since: since when it is known what was pulled, or None for never. needs(digest) says which manifests of the repository
    the image of a digest needs: an index its images, a referrer its subject.
    """
    found: dict[str, Verdict] = {}
    groups: dict[int, list[Tag]] = {}
    applying = [rule for rule in rules if rule.has_repository(repository)]
    for tag in tags:
        rule = next((rule for rule in applying if rule.has_tag(tag.name)), None)
        if tag.subject is not None:
            found[tag.name] = Verdict(tag, False, (f"goes with {tag.subject}, when that is collected",), None)
        elif rule is None:
            found[tag.name] = Verdict(tag, False, ("no rule applies to it",), None)
        elif tag.digest is None:
            found[tag.name] = Verdict(tag, False, ("its link is broken, so its image is not known",), rule.number)
        else:
            groups.setdefault(rule.number, []).append(tag)
    for rule in applying:
        found.update(_by_rule(rule, groups.get(rule.number, []), now, pulls_since))
    _keep_needed(found, needs)
    return [found[name] for name in sorted(found)]


def _by_rule(rule: Rule, tags: list[Tag], now: float, pulls_since: float | None) -> dict[str, Verdict]:
    newest = _newest(tags, rule.newest)
    found = {}
    for tag in tags:
        keeping: list[str] = []
        failing: list[str] = []

        def condition(holds: bool, what: str, otherwise: str, kept: list[str] = keeping, gone: list[str] = failing) -> None:
            (kept if holds else gone).append(what if holds else otherwise)

        if rule.newest is not None:
            which = "newest image" if rule.newest == 1 else f"{rule.newest} newest images"
            condition(tag.digest in newest, f"of the {which}", f"not of the {which}")
        if rule.younger_than is not None:
            age = _days(rule.younger_than)
            condition(now - tag.pushed < rule.younger_than, f"pushed within {age}", f"not pushed within {age}")
        if rule.matching:
            pattern = next((pattern for pattern in rule.matching if fnmatch.fnmatchcase(tag.name, pattern)), "")
            condition(bool(pattern), f"matches {pattern}", f"matches none of {', '.join(rule.matching)}")
        if rule.pulled_within is not None:
            _pulled(rule.pulled_within, tag, now, pulls_since, condition)
        found[tag.name] = Verdict(tag, not keeping, tuple(keeping or failing), rule.number)
    return found


def _pulled(within: int, tag: Tag, now: float, pulls_since: float | None, condition: t.Callable[[bool, str, str], None]) -> None:
    age = _days(within)
    if now - tag.pulled < within:
        condition(True, f"pulled within {age}", "")
    elif pulls_since is None or now - pulls_since < within:
        # It may have been pulled before that.
        condition(True, f"whether it was pulled within {age} is not known yet", "")
    else:
        condition(False, "", f"not pulled within {age}")


def _newest(tags: t.Sequence[Tag], number: int | None) -> set[str]:
    """The digests of the images that were pushed last, each as often as it has tags."""
    pushed: dict[str, float] = {}
    for tag in tags:
        if tag.digest is not None:
            pushed[tag.digest] = max(tag.pushed, pushed.get(tag.digest, 0.0))
    # Images of the same instant are told apart by their digests, so that two runs agree.
    return set(sorted(pushed, key=lambda digest: (-pushed[digest], digest))[: number or 0])


def _keep_needed(found: dict[str, Verdict], needs: t.Callable[[str], t.Collection[str]]) -> None:
    """Let tags stay whose image another image needs that stays, however far the need reaches."""
    going: dict[str, list[str]] = {}
    for name, verdict in found.items():
        if verdict.goes and verdict.tag.digest is not None:
            going.setdefault(verdict.tag.digest, []).append(name)
    # Not of what goes with its subject: each of them would keep the tags of that.
    staying = (verdict.tag for verdict in found.values() if not verdict.goes and verdict.tag.subject is None)
    pending = sorted((tag.name, tag.digest) for tag in staying if tag.digest is not None)
    seen: set[str] = set()
    while pending and going:
        name, digest = pending.pop()
        if digest in seen:
            continue
        seen.add(digest)
        for needed in sorted(needs(digest)):
            for other in going.pop(needed, []):
                found[other] = dataclasses.replace(found[other], goes=False, why=(f"{name} needs its image",))
            pending.append((name, needed))


def subject_of(tag: str) -> str | None:
    """The digest that a fallback tag is named after; None for other tags. There are those of referrers, and cosign's."""
    found = re.fullmatch(r"(sha256-[0-9a-f]{64}|sha384-[0-9a-f]{96}|sha512-[0-9a-f]{128})(\.sig|\.att|\.sbom)?", tag)
    return found[1].replace("-", ":", 1) if found else None


def _days(seconds: int) -> str:
    """A duration as people say it: 30 days."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} seconds"
