# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._names import certificate_user_problem
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.rules import read_access
from hypothesis import given, settings
from hypothesis import strategies as st

GOOD = {
    "rules": [
        {"repositories": ["team-a/**"], "users": ["alice"], "groups": ["team-a"], "actions": ["pull", "push", "delete"]},
        {"repositories": ["base/*"], "anonymous": True},
        {"repositories": ["shared/*"], "groups": ["users"]},
    ],
    "groups": {"team-a": ["alice", "bob"]},
    "administrators": ["alice"],
    "listing": {"groups": ["team-a"]},
    "users": [{"name": "alice", "password": "hunter2"}, {"name": "gone", "state": "absent"}],
    "certificate_users": ["bob"],
}


def problems(**changes):
    return read_access(**{**GOOD, **changes})[1]


def problems_of(**changes):
    """What is wrong with a rule that is right but for the changes."""
    return problems(rules=[{"repositories": ["a"], "users": ["alice"], **changes}])


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"users": [{"name": "alice"}, {"name": "holdfast-verify", "password": "hunter2"}]}, "nginx_auth_users[1].name"),
        ({"users": [{"name": "alice"}, {"name": "holdfast-verify", "state": "absent"}]}, "nginx_auth_users[1].name"),
        ({"certificate_users": ["bob", "holdfast-verify"]}, "nginx_auth_certificate_users[1]"),
        ({"administrators": ["holdfast-verify"], "exclusive": False}, "nginx_auth_administrators[0]"),
        ({"groups": {"team-a": ["bob", "holdfast-verify"]}, "exclusive": False}, "nginx_auth_groups.team-a[1]"),
        ({"rules": [{"repositories": ["a"], "users": ["holdfast-verify"]}], "exclusive": False}, "nginx_auth_rules[0].users[0]"),
    ],
)
def test_nobody_is_the_user_that_proves_that_the_registry_works(changes, place):
    assert f"{place}: 'holdfast-verify' is the user that proves that the registry works, and verify.yml makes it; take another name" in problems(**changes)


def test_good_rules_have_no_problems():
    assert problems() == []
    assert read_access([])[1] == []
    assert read_access(None)[1] == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"users": ["alice", "bobb"]}, '.users[1]: there is no user "bobb" in nginx_auth_users or nginx_auth_certificate_users'),
        ({"users": ["gone"]}, '.users[0]: the user "gone" has state absent in nginx_auth_users'),
        ({"users": [1]}, ".users[0]: must be a string, not a number: put it in quotes"),
        ({"users": ["al:ice"]}, ".users[0]: 'al:ice' must not contain a colon"),
        ({"users": "alice"}, ".users: must be a list of names of users"),
        ({"groups": ["team-b"]}, '.groups[0]: there is no group "team-b" in nginx_auth_groups'),
        ({"groups": [None]}, ".groups[0]: must be a string: put it in quotes"),
        ({"groups": {}}, ".groups: must be a list of names of groups"),
        ({"user": ["alice"]}, ": unknown key 'user'; there are name, repositories, users, groups, anonymous, actions"),
        ({"repositories": []}, ".repositories: is missing; give a list of names and patterns such as team-a/*"),
        ({"repositories": "a"}, ".repositories: must be a list of names and patterns such as team-a/*"),
        ({"repositories": [1]}, ".repositories[0]: must be a string: put it in quotes"),
        ({"repositories": ["a", "A/*"]}, '.repositories[1]: "A/*" has characters other than lower-case letters, digits and any of . _ - / *'),
        ({"actions": []}, ".actions: is missing; give a list of pull, push and delete"),
        ({"actions": ["pull", "write"]}, ".actions[1]: must be pull, push or delete"),
        ({"actions": [{}]}, ".actions[0]: must be pull, push or delete"),
        ({"actions": "pull"}, ".actions: must be a list of pull, push and delete"),
        ({"name": "two: parts"}, ".name: must be at most 63 letters, digits, spaces and any of . _ / -, and begin and end with a letter or digit"),
        ({"name": 1}, ".name: must be at most 63 letters, digits, spaces and any of . _ / -, and begin and end with a letter or digit"),
        ({"anonymous": "yes"}, ".anonymous: must be true or false"),
        ({"anonymous": True, "actions": ["push"]}, ".anonymous: nobody can push or delete without a password; actions must be [pull]"),
        ({"users": []}, ": is for nobody; give users or groups, or set anonymous to true"),
        ({"users": None, "anonymous": False}, ": is for nobody; give users or groups, or set anonymous to true"),
    ],
)
def test_a_wrong_rule_is_named_with_its_place(changes, problem):
    assert problems_of(**changes) == [f"nginx_auth_rules[0]{problem}"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"rules": {}}, "nginx_auth_rules: must be a list of dictionaries such as {repositories: [team-a/*], users: [alice]}"),
        ({"rules": ["a"]}, "nginx_auth_rules[0]: must be a dictionary such as {repositories: [team-a/*], users: [alice]}"),
        (
            {"groups": {"team-a": ["alice", "carol"]}},
            'nginx_auth_groups.team-a[1]: there is no user "carol" in nginx_auth_users or nginx_auth_certificate_users',
        ),
        (
            {"groups": {"team-a": ["alice"], "users": ["bob"]}},
            "nginx_auth_groups.users: this name is taken, it means everyone who has proven who they are; take another",
        ),
        (
            {"groups": {"team-a": ["alice"], "a b": []}},
            "nginx_auth_groups: 'a b' is no name for a group; it has letters, digits, . _ and -, and begins with a letter or digit",
        ),
        (
            {"groups": {"team-a": ["alice"], 1: []}},
            "nginx_auth_groups: 1 is no name for a group; it has letters, digits, . _ and -, and begins with a letter or digit",
        ),
        ({"administrators": ["root"]}, 'nginx_auth_administrators[0]: there is no user "root" in nginx_auth_users or nginx_auth_certificate_users'),
        ({"administrators": "alice"}, "nginx_auth_administrators: must be a list of names of users"),
        ({"listing": []}, "nginx_auth_listing: must be a dictionary such as {groups: [team-a]}"),
        ({"listing": {"anonymous": True}}, "nginx_auth_listing: unknown key 'anonymous'; there are users, groups"),
        ({"listing": {"groups": ["team-c"]}}, 'nginx_auth_listing.groups[0]: there is no group "team-c" in nginx_auth_groups'),
        (
            {"certificate_users": ["bob", "build bot"]},
            "nginx_auth_certificate_users[1]: " + str(certificate_user_problem("build bot")),
        ),
    ],
)
def test_what_is_wrong_elsewhere_is_named_with_its_place(changes, problem):
    assert problems(**changes) == [problem]


def test_a_group_without_members_can_exist_and_cannot_be_used():
    assert problems(groups={"team-a": ["alice"], "team-b": []}) == []
    assert problems(groups={"team-a": []}, listing=None) == ['nginx_auth_rules[0].groups[0]: the group "team-a" has no members that could log in']


def test_a_rule_that_says_the_same_as_another_is_named():
    rule = {"repositories": ["a", "b"], "users": ["alice", "bob"]}
    same = {"repositories": ["b", "a"], "users": ["bob", "alice"], "actions": ["pull"], "groups": [], "anonymous": False}
    other = {**rule, "actions": ["push"]}
    assert problems(rules=[rule, other, same]) == ["nginx_auth_rules[2]: says the same as nginx_auth_rules[0]; remove one of them"]


def test_a_user_who_is_absent_may_still_have_a_certificate():
    assert problems(rules=[{"repositories": ["a"], "users": ["gone"]}], certificate_users=["bob", "gone"]) == []


def test_unknown_users_are_right_where_others_may_write_the_file_too():
    rules = [{"repositories": ["a"], "users": ["stranger"]}]
    assert problems(rules=rules, exclusive=False) == []
    assert problems(rules=[{"repositories": ["a"], "users": ["gone", "a:b"]}], exclusive=False) == [
        'nginx_auth_rules[0].users[0]: the user "gone" has state absent in nginx_auth_users',
        "nginx_auth_rules[0].users[1]: 'a:b' must not contain a colon",
    ]


def test_all_problems_are_found_at_once():
    assert len(problems(rules=[{"repositories": ["A", "/"], "users": ["x", "y"]}, None], administrators=["z"])) == 6


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["alice", "users", "\ud800", "a/*"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["repositories", "users", "groups", "actions", "anonymous", "name", "state"]) | st.integers(), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from([*GOOD, "exclusive"]), ANYTHING))
def test_whatever_is_written_is_answered_with_problems(changes):
    assert all(isinstance(problem, str) for problem in problems(**changes))
