# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import re
import sys

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.decisions import nginx_map, search_rules
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.rules import read_access
from hypothesis import given, settings
from hypothesis import strategies as st

USERS = ["alice", "bob", "al ice", 'b"o\\b', "${al}", "^a.*$", "ålice", "a", "alice|bob", "\\x61", "{3}", "a;#}"]
STRANGERS = ["", "mallory", "Alice", "alic", "alicee", "ice", "x", "aalice"]
GROUPS = {"team-a": ["alice", "^a.*$"], "team-b": ["bob", "ålice", "a;#}"]}
PATTERNS = ["a", "a/*", "a/**", "**", "*/b", "**/b", "a*b/*", "a.b/c", "a/b-*", "*-*"]
REPOSITORIES = ["a", "b", "a/b", "a/b/c", "ab/c", "axb/c", "a.b/c", "b/a/b", "a/b-c", "a-b", "a/b--b"]
NO_REPOSITORIES = ["", "A", "a/", "/a", "a//b", "a/../b", "a/b\n", "a/b:x", "a/b%2f", "a/é", "a/" + "b" * 254]

RULES = st.lists(
    st.fixed_dictionaries(
        {"repositories": st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3)},
        optional={
            "users": st.lists(st.sampled_from(USERS), max_size=3),
            "groups": st.lists(st.sampled_from(["team-a", "team-b", "users"]), max_size=2),
            "actions": st.lists(st.sampled_from(["pull", "push", "delete"]), min_size=1, max_size=3),
            "anonymous": st.booleans(),
        },
    ),
    max_size=4,
)
ADMINISTRATORS = st.lists(st.sampled_from(USERS), max_size=2)
LISTINGS = st.fixed_dictionaries(
    {}, optional={"users": st.lists(st.sampled_from(USERS), max_size=2), "groups": st.lists(st.sampled_from(["team-a", "users"]), max_size=1)}
)


def matches(pattern, name):
    escaped = re.escape(pattern).replace(r"\*\*", ".*").replace(r"\*", "[^/]*")
    return bool(re.fullmatch(escaped, name))


def may(action, user, repository, rules, administrators, listing):
    """The rules, word by word."""
    if user in administrators:
        return True
    if action == "list":
        groups = listing.get("groups", [])
        return user in listing.get("users", []) or ("users" in groups and user != "") or any(user in GROUPS[group] for group in groups if group != "users")
    for rule in rules:
        actions = set(rule.get("actions", ["pull"])) | {"pull"}
        groups = rule.get("groups", [])
        is_meant = (
            rule.get("anonymous")
            or user in rule.get("users", [])
            or ("users" in groups and user != "")
            or any(user in GROUPS[group] for group in groups if group != "users")
        )
        if action in actions and is_meant and any(matches(pattern, repository) for pattern in rule["repositories"]):
            return True
    return False


def access(rules, administrators=(), listing=None):
    """The wrong ones are left out, as if they had not been written."""
    return read_access(rules, GROUPS, list(administrators), listing, [{"name": name} for name in USERS])[0]


def regexes_of(decided):
    return [decision.regex for decision in nginx_map(decided, "registry")]


def is_allowed(regexes, action, user, repository):
    """What nginx's map says."""
    if sys.version_info < (3, 11):
        regexes = [regex.replace("(?>", "(?:") for regex in regexes]
    key = f"registry:{action}:{user}:{repository}".encode()
    return any(re.search(regex.replace(r"\z", r"\Z").encode(), key) for regex in regexes)


def is_right(rule):
    return (rule.get("users") or rule.get("groups") or rule.get("anonymous")) and not (rule.get("anonymous") and set(rule.get("actions", ["pull"])) != {"pull"})


@settings(max_examples=60, deadline=None)
@given(RULES, ADMINISTRATORS, LISTINGS, st.data())
def test_the_map_decides_as_the_rules_say(rules, administrators, listing, data):
    rules = [rule for rule in rules if is_right(rule)]
    regexes = regexes_of(access(rules, administrators, listing))
    for user in USERS + STRANGERS:
        assert is_allowed(regexes, "list", user, "") == may("list", user, "", rules, administrators, listing)
    for action in ("pull", "push", "delete"):
        for user in data.draw(st.lists(st.sampled_from(USERS + STRANGERS), min_size=5, max_size=5)):
            for repository in REPOSITORIES:
                assert is_allowed(regexes, action, user, repository) == may(action, user, repository, rules, administrators, listing)
            assert not any(is_allowed(regexes, action, user, repository) for repository in NO_REPOSITORIES)


@settings(max_examples=60, deadline=None)
@given(RULES, st.randoms(use_true_random=False))
def test_the_order_of_rules_does_not_matter(rules, random):
    other = [{key: random.sample(value, len(value)) if isinstance(value, list) else value for key, value in rule.items()} for rule in rules]
    random.shuffle(other)
    first, second = regexes_of(access(rules)), regexes_of(access(other))
    for user in USERS + STRANGERS:
        for repository in REPOSITORIES:
            assert is_allowed(first, "push", user, repository) == is_allowed(second, "push", user, repository)


@settings(max_examples=60, deadline=None)
@given(RULES, ADMINISTRATORS, LISTINGS)
def test_search_decides_as_the_map_does(rules, administrators, listing):
    decided = access(rules, administrators, listing)
    regexes, search = regexes_of(decided), search_rules(decided)
    for user in USERS + STRANGERS:

        def is_meant(subjects, user=user):
            return subjects["anonymous"] or (subjects["everyone"] and user != "") or user in subjects["users"]

        patterns = [pattern for entry in search["pull"] if is_meant(entry) for pattern in entry["repositories"]]
        assert is_meant(search["list"]) == is_allowed(regexes, "list", user, "")
        for repository in REPOSITORIES:
            assert any(re.fullmatch(pattern, repository) for pattern in patterns) == is_allowed(regexes, "pull", user, repository)


@settings(max_examples=30, deadline=None)
@given(RULES, ADMINISTRATORS, LISTINGS)
def test_a_rule_of_one_registry_allows_nothing_in_another(rules, administrators, listing):
    regexes = [decision.regex for decision in nginx_map(access(rules, administrators, listing), "mirror")]
    for user in USERS:
        assert not is_allowed(regexes, "list", user, "")
        assert not any(is_allowed(regexes, "pull", user, repository) for repository in REPOSITORIES)
    assert all(regex.startswith(r"\Amirror:") for regex in regexes)


def test_each_decision_names_the_rule_that_allows_it():
    rules = [{"repositories": ["a/**"], "groups": ["users"]}, {"repositories": ["a/**"], "users": ["bob"], "actions": ["push"], "name": "bob builds"}]

    def label(action, user, repository=""):
        key = f"registry:{action}:{user}:{repository}".encode()
        decisions = nginx_map(access(rules, ["alice"], {"groups": ["team-b"]}), "registry")
        return next((decision.label for decision in decisions if re.search(decision.regex.replace(r"\z", r"\Z").replace("(?>", "(?:").encode(), key)), None)

    assert label("pull", "bob", "a/b") == "nginx_auth_rules[0]"
    assert label("push", "bob", "a/b") == "bob builds"
    assert label("push", "alice", "a/b") == label("list", "alice") == "nginx_auth_administrators"
    assert label("list", "bob") == "nginx_auth_listing"
    assert label("push", "a", "a/b") is None


def test_nothing_is_allowed_without_rules():
    assert regexes_of(access([])) == []


def test_an_administrator_may_do_everything():
    regexes = regexes_of(access([], ["alice"]))
    assert all(is_allowed(regexes, action, "alice", "any/thing") for action in ("pull", "push", "delete"))
    assert is_allowed(regexes, "list", "alice", "")
    assert not any(is_allowed(regexes, action, "bob", "any/thing") for action in ("pull", "push", "delete"))
    assert not is_allowed(regexes, "list", "bob", "")


def test_a_name_from_elsewhere_cannot_pretend_to_be_two_fields():
    regexes = regexes_of(access([{"repositories": ["a/**"], "groups": ["users"]}], ["alice"], {"groups": ["users"]}))
    assert not is_allowed(regexes, "pull", "alice:a/b", "secret")
    assert not is_allowed(regexes, "pull", "x:alice", "a/b")
    assert not is_allowed(regexes, "list", "alice:", "")


@given(RULES)
def test_nothing_in_the_map_means_something_to_nginx(rules):
    for regex in regexes_of(access(rules, USERS, {"users": USERS})):
        assert not set(regex) & set("\"'$\n;\x00")
        assert regex.isascii()
        assert not re.search(r"\\[trn\\\"']", regex)
        assert re.compile(regex.replace(r"\z", r"\Z").replace("(?>", "(?:")).groups == 0


@pytest.mark.parametrize(("users", "patterns"), [(500, 1), (1, 300), (60, 60)])
def test_long_lists_are_cut_into_pieces_that_nginx_reads(users, patterns):
    names = [f"usér {number} of many" for number in range(users)]
    rule = {"repositories": [f"team-{number}/*-{number}-*/**" for number in range(patterns)], "users": names}
    found, problems = read_access([rule], users=[{"name": name} for name in names])
    regexes = regexes_of(found)
    assert problems == []
    assert max(map(len, regexes)) < 4000
    for user in (names[0], names[users // 2], names[-1]):
        for number in (0, patterns // 2, patterns - 1):
            assert is_allowed(regexes, "pull", user, f"team-{number}/x-{number}-y/z")
    assert not is_allowed(regexes, "pull", "usér", "team-0/x-0-y/z")


def test_the_longest_name_and_the_longest_pattern_fit_into_what_nginx_reads():
    name, patterns = "é" * 127, ["*." * 127 + "a", "*a" * 127, "**/" * 84 + "a"]
    found, _problems = read_access([{"repositories": patterns, "users": [name], "actions": ["push", "delete"]}], users=[{"name": name}])
    assert len(regexes_of(found)) == 3
    assert max(map(len, regexes_of(found))) < 4000
