# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads the access rules and reports what is wrong with them."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ansible_collections.holdfast.registry.plugins.module_utils._names import certificate_user_problem, user_problems
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.patterns import pattern_problem

ACTIONS = ("pull", "push", "delete")
EVERYONE = "users"
# The user whom role nginx_auth lets prove that the registry works. No password and no rule is for others to give.
VERIFIER = "holdfast-verify"
RESERVED = f"{VERIFIER!r} is the user that proves that the registry works, and verify.yml makes it; take another name"

_RULE_KEYS = ("name", "repositories", "users", "groups", "anonymous", "actions")
_SUBJECT_KEYS = ("users", "groups")
_GROUP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
# A rule's name is written to nginx's configuration and to the access log.
_RULE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._/-]{0,61}[A-Za-z0-9])?")


@dataclass(frozen=True)
class Subjects:
    """The users that a rule applies to: names, everyone who is logged in, or with anonymous everyone."""

    users: tuple[str, ...] = ()
    everyone: bool = False
    anonymous: bool = False


@dataclass(frozen=True)
class Rule:
    """Allows the actions in the repositories that match one of the patterns. The label names the rule in the access log."""

    subjects: Subjects
    repositories: tuple[str, ...]
    actions: tuple[str, ...]
    label: str


@dataclass(frozen=True)
class Access:
    """Everything that is allowed in one registry. Administrators and listing may see the catalogue and search."""

    rules: tuple[Rule, ...]
    administrators: Subjects
    listing: Subjects

    def only_pull(self) -> Access:
        """The same for a registry that nobody can push to or delete from."""
        return replace(self, rules=tuple(replace(rule, actions=("pull",)) for rule in self.rules))


@dataclass(frozen=True)
class Variables:
    """The names of the variables as the user knows them, for messages and the access log."""

    rules: str = "nginx_auth_rules"
    administrators: str = "nginx_auth_administrators"
    listing: str = "nginx_auth_listing"

    @classmethod
    def within(cls, place: str) -> Variables:
        """The same settings as keys of a dictionary, such as one of several registries."""
        return cls(f"{place}.rules", f"{place}.administrators", f"{place}.listing")


ROLE = Variables()
NOTHING = Access((), Subjects(), Subjects())


def read_access(
    rules: t.Any,
    groups: t.Any = None,
    administrators: t.Any = None,
    listing: t.Any = None,
    users: t.Any = None,
    certificate_users: t.Any = None,
    exclusive: bool = True,
    variables: Variables = ROLE,
    possible: tuple[str, ...] = ACTIONS,
) -> tuple[Access, list[str]]:
    """What the variables of the role nginx_auth allow in one registry, and everything that is wrong with them.

    Unless exclusive, there may be users that are not on the lists. Rules may allow no other actions than those possible.
    """
    reader = _Reader(exclusive, possible)
    reader.know_users(users, certificate_users)
    reader.know_groups(groups)
    masters = Subjects(tuple(reader.users(administrators, variables.administrators)))
    own = [Rule(masters, ("**",), ACTIONS, variables.administrators)] if masters.users else []
    found = [*own, *reader.rules(rules, variables.rules)]
    return Access(tuple(found), masters, reader.listing(listing, variables.listing)), reader.problems


class _Reader:
    """Reads what the administrator wrote, and collects what is wrong with it."""

    def __init__(self, exclusive: bool, possible: tuple[str, ...]) -> None:
        self.problems: list[str] = []
        self._exclusive = exclusive
        self._possible = possible
        self._present: set[str] = set()
        self._absent: set[str] = set()
        self._groups: dict[str, list[str]] = {}

    def know_users(self, users: t.Any, certificate_users: t.Any) -> None:
        for place, user in self._items(users, "nginx_auth_users", "dictionaries such as {name: alice}"):
            # Problems of users are reported by the filter htpasswd_problems.
            if isinstance(user, dict) and isinstance(user.get("name"), str):
                (self._absent if user.get("state") == "absent" else self._present).add(user["name"])
                if user["name"] == VERIFIER:
                    self._wrong(f"{place}.name", RESERVED)
        for place, name in self._items(certificate_users, "nginx_auth_certificate_users", "names"):
            # A name that nginx cannot read from a certificate could never match.
            problem = RESERVED if name == VERIFIER else certificate_user_problem(name)
            if problem:
                self._wrong(place, problem)
            else:
                self._present.add(name)

    def know_groups(self, groups: t.Any) -> None:
        if not isinstance(groups, (dict, type(None))):
            self._wrong("nginx_auth_groups", "must be a dictionary such as {team-a: [alice, bob]}")
            return
        for name, members in (groups or {}).items():
            if not isinstance(name, str) or not _GROUP_NAME.fullmatch(name):
                self._wrong("nginx_auth_groups", f"{name!r} is no name for a group; it has letters, digits, . _ and -, and begins with a letter or digit")
            elif name == EVERYONE:
                self._wrong(f"nginx_auth_groups.{name}", "this name is taken, it means everyone who has proven who they are; take another")
            else:
                self._groups[name] = self.users(members, f"nginx_auth_groups.{name}")

    def rules(self, rules: t.Any, variable: str) -> list[Rule]:
        found = []
        places: dict[tuple[t.Any, ...], str] = {}
        for place, written in self._items(rules, variable, "dictionaries such as {repositories: [team-a/*], users: [alice]}"):
            count = len(self.problems)
            rule = self._rule(written, place)
            if rule is None or len(self.problems) > count:
                continue
            meaning = (frozenset(rule.repositories), rule.subjects.anonymous, rule.actions, *(frozenset(written.get(key) or ()) for key in _SUBJECT_KEYS))
            if places.setdefault(meaning, place) != place:
                self._wrong(place, f"says the same as {places[meaning]}; remove one of them")
            found.append(rule)
        return found

    def listing(self, listing: t.Any, variable: str) -> Subjects:
        if listing is None or not self._is_dictionary(listing, variable, _SUBJECT_KEYS, "{groups: [team-a]}"):
            return Subjects()
        return self._subjects(listing, variable)

    def users(self, names: t.Any, place: str) -> list[str]:
        """Those on a list of names that can log in."""
        found = set()
        for at, name in self._items(names, place, "names of users"):
            if not self._is_name(name, at):
                continue
            if name == VERIFIER:
                self._wrong(at, RESERVED)
            elif name not in self._present and name in self._absent:
                self._wrong(at, f'the user "{name}" has state absent in nginx_auth_users')
            elif name not in self._present and self._exclusive:
                self._wrong(at, f'there is no user "{name}" in nginx_auth_users or nginx_auth_certificate_users')
            else:
                found.add(name)
        return sorted(found)

    def _rule(self, rule: t.Any, place: str) -> Rule | None:
        if not self._is_dictionary(rule, place, _RULE_KEYS, "{repositories: [team-a/*], users: [alice]}"):
            return None
        actions = self._actions(rule.get("actions"), f"{place}.actions")
        subjects = self._subjects(rule, place)
        if rule.get("anonymous") not in (None, True, False):
            self._wrong(f"{place}.anonymous", "must be true or false")
        elif rule.get("anonymous"):
            if actions != ("pull",):
                self._wrong(f"{place}.anonymous", "nobody can push or delete without a password; actions must be [pull]")
            subjects = Subjects(anonymous=True)
        elif not rule.get("users") and not rule.get("groups"):
            self._wrong(place, "is for nobody; give users or groups, or set anonymous to true")
        return Rule(subjects, self._repositories(rule.get("repositories"), f"{place}.repositories"), actions, self._label(rule.get("name"), place))

    def _label(self, name: t.Any, place: str) -> str:
        if name is None:
            return place
        if not isinstance(name, str) or not _RULE_NAME.fullmatch(name):
            self._wrong(f"{place}.name", "must be at most 63 letters, digits, spaces and any of . _ / -, and begin and end with a letter or digit")
        return str(name)

    def _repositories(self, patterns: t.Any, place: str) -> tuple[str, ...]:
        found = []
        for at, pattern in self._items(patterns, place, "names and patterns such as team-a/*", required=True):
            problem = pattern_problem(pattern) if isinstance(pattern, str) else "must be a string: put it in quotes"
            if problem:
                self._wrong(at, f'"{pattern}" {problem}' if isinstance(pattern, str) else problem)
            else:
                found.append(str(pattern))
        return tuple(found)

    def _actions(self, actions: t.Any, place: str) -> tuple[str, ...]:
        if actions is None:
            return ("pull",)
        wanted = {"pull"}
        for at, action in self._items(actions, place, "pull, push and delete", required=True):
            if action not in ACTIONS:
                self._wrong(at, "must be pull, push or delete")
            elif action not in self._possible:
                self._wrong(at, f"nobody can {action} in a mirror; actions must be [pull]")
            else:
                wanted.add(action)
        return tuple(action for action in ACTIONS if action in wanted)

    def _subjects(self, written: dict[str, t.Any], place: str) -> Subjects:
        found = set(self.users(written.get("users"), f"{place}.users"))
        everyone = False
        for at, name in self._items(written.get("groups"), f"{place}.groups", "names of groups"):
            if name == EVERYONE:
                everyone = True
            elif not isinstance(name, str):
                self._wrong(at, "must be a string: put it in quotes")
            elif name not in self._groups:
                self._wrong(at, f'there is no group "{name}" in nginx_auth_groups')
            elif not self._groups[name]:
                self._wrong(at, f'the group "{name}" has no members that could log in')
            else:
                found.update(self._groups[name])
        return Subjects(everyone=True) if everyone else Subjects(tuple(sorted(found)))

    def _items(self, value: t.Any, place: str, wanted: str, required: bool = False) -> list[tuple[str, t.Any]]:
        """The members of a list, each with its place. None is an empty list."""
        if value is not None and not isinstance(value, (list, tuple)):
            self._wrong(place, f"must be a list of {wanted}")
        elif required and not value:
            self._wrong(place, f"is missing; give a list of {wanted}")
        else:
            return [(f"{place}[{index}]", item) for index, item in enumerate(value or ())]
        return []

    def _is_dictionary(self, value: t.Any, place: str, keys: tuple[str, ...], example: str) -> bool:
        if not isinstance(value, dict):
            self._wrong(place, f"must be a dictionary such as {example}")
            return False
        for key in value:
            if key not in keys:
                self._wrong(place, f"unknown key {key!r}; there are {', '.join(keys)}")
        return True

    def _is_name(self, name: t.Any, place: str) -> bool:
        found = user_problems(name)
        for problem in found:
            self._wrong(place, problem)
        return not found

    def _wrong(self, place: str, problem: str) -> None:
        self.problems.append(f"{place}: {problem}")
