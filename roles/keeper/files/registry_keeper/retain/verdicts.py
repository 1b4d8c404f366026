# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What becomes of the tags of one repository by the rules, and why."""

from __future__ import annotations

import dataclasses
import fnmatch
import functools
import re
import typing as t

from registry_keeper.retain.policy import Rule

_AHEAD = 3600.0  # seconds by which a tag may be younger than the clock says


@dataclasses.dataclass(frozen=True)
class Tag:
    """A tag as the storage has it. digest is None where its link is broken; pushed is seconds since the epoch.

    subject is set for a fallback tag, under which clients keep signatures and the like of an image that is there: that image's digest.
    pulls_known is False where its manifest cannot be read: an index's images may have been pulled by their digests.
    """

    name: str
    digest: str | None
    pushed: float
    pulled: float = 0.0  # when it or its image was pulled last, as far as the log says
    subject: str | None = None
    pulls_known: bool = True


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What becomes of a tag. rule is the number of the rule that applies, or None."""

    tag: Tag
    goes: bool
    why: tuple[str, ...]
    rule: int | None


def verdicts(
    rules: t.Sequence[Rule],
    repository: str,
    tags: t.Sequence[Tag],
    now: float,
    *,
    pulls_since: float | None = None,
    needs: t.Callable[[str], t.Collection[str] | None] = lambda digest: (),
) -> list[Verdict]:
    """What becomes of each tag of a repository, in the order of their names.

    pulls_since: since when it is known what was pulled, or None for never. needs(digest) says which manifests of the repository
    the image of a digest needs: an index its images, a referrer its subject. None where nobody knows.
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
        elif tag.pushed > now + _AHEAD:
            # A clock was wrong, then or now. As the newest ones they would push out whatever is pushed until their time has come.
            found[tag.name] = Verdict(tag, False, ("its time is in the future, so it is not known when it was pushed",), rule.number)
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
        condition = functools.partial(_note, keeping, failing)

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


def _note(keeping: list[str], failing: list[str], holds: bool, what: str, otherwise: str) -> None:
    (keeping if holds else failing).append(what if holds else otherwise)


def _pulled(within: int, tag: Tag, now: float, pulls_since: float | None, condition: t.Callable[[bool, str, str], None]) -> None:
    age = _days(within)
    if now - tag.pulled < within:
        condition(True, f"pulled within {age}", "")
    elif not tag.pulls_known or pulls_since is None or now - pulls_since < within:
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


def _keep_needed(found: dict[str, Verdict], needs: t.Callable[[str], t.Collection[str] | None]) -> None:
    """Let tags stay whose image another image needs that stays, however far the need reaches; all of them, where nobody knows what one needs."""
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
        known = needs(digest)
        if known is None:
            why = (f"the manifest of {name} cannot be read, so it is not known what that needs",)
            found.update({other: dataclasses.replace(found[other], goes=False, why=why) for others in going.values() for other in others})
            return
        for needed in sorted(known):
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
