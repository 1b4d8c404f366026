# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The access rules in the forms that nginx and the search service read."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.plugin_utils.access.patterns import MAX_LENGTH, NAME, pcre, python_regex
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.rules import ROLE, Access, Rule, Subjects, Variables

# nginx reads parameters of up to 4093 bytes. The longest user name and the longest pattern together stay below that.
MAX_USERS_LENGTH = 1100
MAX_PATTERNS_LENGTH = 2500

_VALID_NAME = rf"(?=.{{1,{MAX_LENGTH}}}\z)(?={NAME}\z)"


class Decision(t.NamedTuple):
    """A request that matches the regular expression is allowed by the rule with this label."""

    regex: str
    label: str


def nginx_map(access: Access, registry: str, variables: Variables = ROLE) -> list[Decision]:
    """Decisions for an nginx map of REGISTRY:ACTION:USER:REPOSITORY; a request that none of them matches is refused.

    A request that several rules allow is allowed by the first.
    """
    found = [decision for rule in access.rules for decision in _of_rule(rule, registry)]
    for subjects, label in ((access.administrators, variables.administrators), (access.listing, variables.listing)):
        found += [Decision(rf"\A{registry}:list:{users}:\z", label) for users in _users_regexes(subjects)]
    # nginx takes the first that matches, so a regular expression that is there twice needs only its first label.
    return list({decision.regex: decision for decision in reversed(found)}.values())[::-1]


def search_rules(access: Access) -> dict[str, t.Any]:
    """The rules of one registry for the search service, in the form of its JSON file."""
    listing = Subjects(tuple(sorted({*access.administrators.users, *access.listing.users})), access.listing.everyone)
    pull = [{**_subjects(rule.subjects), "repositories": [python_regex(pattern) for pattern in rule.repositories]} for rule in access.rules]
    return {"list": _subjects(listing), "pull": pull}


def _of_rule(rule: Rule, registry: str) -> t.Iterator[Decision]:
    for users in _users_regexes(rule.subjects):
        for patterns in _alternatives([pcre(pattern) for pattern in rule.repositories], MAX_PATTERNS_LENGTH):
            yield Decision(rf"\A{registry}:(?:{'|'.join(rule.actions)}):{users}:{_VALID_NAME}{patterns}\z", rule.label)


def _users_regexes(subjects: Subjects) -> list[str]:
    if subjects.anonymous:
        return ["[^:]*"]
    if subjects.everyone:
        return ["[^:]+"]
    return _alternatives([_escaped(user) for user in subjects.users], MAX_USERS_LENGTH)


def _alternatives(regexes: list[str], max_length: int) -> list[str]:
    """Groups of alternatives, none of them longer than it may be unless it has only one."""
    found: list[list[str]] = []
    length = max_length
    for regex in regexes:
        length += len(regex) + 1
        if length > max_length:
            found.append([])
            length = len(regex)
        found[-1].append(regex)
    return [f"(?:{'|'.join(group)})" for group in found]


def _escaped(user: str) -> str:
    """Bytes that mean something to nginx or in a regular expression, or are no ASCII, as numbers."""
    return "".join(chr(byte) if chr(byte).isalnum() and byte < 128 else rf"\x{byte:02X}" for byte in user.encode())


def _subjects(subjects: Subjects) -> dict[str, t.Any]:
    return {"users": [str(user) for user in subjects.users], "everyone": subjects.everyone, "anonymous": subjects.anonymous}
