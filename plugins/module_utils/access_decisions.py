# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The access rules as those read them who decide: nginx, and the search service."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.access_rules import Access, Rule, Subjects
from ansible_collections.holdfast.registry.plugins.module_utils.repository_patterns import MAX_LENGTH, NAME, pcre, python_regex

# nginx reads parameters of up to 4093 bytes. The longest user name and the longest pattern together stay below that.
MAX_USERS_LENGTH = 1100
MAX_PATTERNS_LENGTH = 2700

_VALID_NAME = rf"(?=.{{1,{MAX_LENGTH}}}\z)(?={NAME}\z)"


def nginx_map(access: Access) -> list[str]:
    """Regular expressions for an nginx map of ACTION:USER:REPOSITORY; what none of them matches is refused."""
    found = [regex for rule in access.rules for regex in _rule_regexes(rule)]
    found += [rf"\Alist:{users}:\z" for users in _users_regexes(access.listing)]
    return list(dict.fromkeys(found))


def search_rules(access: Access) -> dict[str, t.Any]:
    """What the search service has to know, as it reads it from its file of JSON."""
    pull = [{**_subjects(rule.subjects), "repositories": [python_regex(pattern) for pattern in rule.repositories]} for rule in access.rules]
    return {"list": _subjects(access.listing), "pull": pull}


def _rule_regexes(rule: Rule) -> t.Iterator[str]:
    for users in _users_regexes(rule.subjects):
        for patterns in _alternatives([pcre(pattern) for pattern in rule.repositories], MAX_PATTERNS_LENGTH):
            yield rf"\A(?:{'|'.join(rule.actions)}):{users}:{_VALID_NAME}{patterns}\z"


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
