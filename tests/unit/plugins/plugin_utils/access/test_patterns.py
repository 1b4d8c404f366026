# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import functools
import re
import sys
import time

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.patterns import NAME, pattern_problem, pcre, python_regex
from hypothesis import assume, given
from hypothesis import strategies as st

NAMES = st.from_regex(re.compile(r"[ab]{1,3}((\.|_|__|-{1,3}|/)[ab]{1,3}){0,5}"), fullmatch=True)
PATTERNS = st.lists(st.sampled_from(["a", "b", ".", "_", "-", "/", "*", "**"]), min_size=1, max_size=12).map("".join)


def matches(pattern, name):
    """What the stars mean, word by word."""

    @functools.cache
    def rest(i, j):
        if i == len(pattern):
            return j == len(name)
        if pattern.startswith("**", i):
            return rest(i + 2, j) or (j < len(name) and rest(i, j + 1))
        if pattern[i] == "*":
            return rest(i + 1, j) or (j < len(name) and name[j] != "/" and rest(i, j + 1))
        return j < len(name) and pattern[i] == name[j] and rest(i + 1, j + 1)

    return rest(0, 0)


def pcre_matches(pattern, name):
    regex = pcre(pattern)
    if sys.version_info < (3, 11):
        regex = regex.replace("(?>", "(?:")  # which gives the same answers, later
    return bool(re.fullmatch(regex, name))


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("team-a/app", ["team-a/app"], ["team-a/apps", "team-a", "x/team-a/app", "team-a/app/x"]),
        ("team-a/*", ["team-a/app", "team-a/app-1.0"], ["team-a", "team-a/app/x", "team-b/app", "team-ab/app"]),
        ("team-a/**", ["team-a/app", "team-a/x/y/z"], ["team-a", "team-b/team-a/x"]),
        ("**", ["app", "team-a/x/y"], []),
        ("*", ["app"], ["team-a/app"]),
        ("*/app", ["x/app"], ["app", "x/y/app"]),
        ("**/app", ["x/app", "x/y/app"], ["app", "x/my-app"]),
        ("team-*/*-dev/**/x*y*z", ["team-a/b-dev/c/xyz", "team-a/b-dev/c/d/x1y2z"], ["team-a/b-dev/c/xy/z", "team-a/b/c-dev/d/xyz"]),
        ("a.b", ["a.b"], ["acb"]),
    ],
)
def test_stars_stay_within_a_component_and_double_stars_do_not(pattern, matching, others):
    assert pattern_problem(pattern) is None
    for matcher in (pcre_matches, lambda pattern, name: bool(re.fullmatch(python_regex(pattern), name))):
        assert [name for name in matching + others if matcher(pattern, name)] == matching


@st.composite
def matching_pairs(draw):
    """A name, and a pattern made of it by putting stars in place of some of its parts."""
    name = draw(NAMES)
    cuts = sorted({0, len(name), *draw(st.lists(st.integers(0, len(name)), max_size=6))})
    parts = [name[begin:end] for begin, end in zip(cuts, cuts[1:])]
    pattern = "".join(draw(st.sampled_from([part, part, "**" if "/" in part else "*", "**"])) for part in parts)
    return re.sub(r"\*{3,}", "**", pattern), name


@given(st.tuples(PATTERNS, NAMES) | matching_pairs())
def test_regular_expressions_match_what_the_stars_mean(pair):
    pattern, name = pair
    assume("***" not in pattern)
    assert pcre_matches(pattern, name) == bool(re.fullmatch(python_regex(pattern), name)) == matches(pattern, name)


@given(matching_pairs())
def test_a_pattern_that_matches_a_name_is_never_refused(pair):
    pattern, name = pair
    assert matches(pattern, name)
    assert pattern_problem(pattern) is None


@given(PATTERNS | matching_pairs().map(lambda pair: pair[0]))
def test_a_pattern_that_is_accepted_matches_some_name(pattern):
    if pattern_problem(pattern) is None:
        name = pattern.replace("**", "a").replace("*", "a")
        assert matches(pattern, name)
        assert re.fullmatch(NAME, name)


@pytest.mark.parametrize("pattern", ["", "/", "/a", "a/", "a//b", "-a", "a-", "a/-b", "a.-b", "a..b", "a___b", "a/./b", "../a", "*/", "a./*", "_*"])
def test_a_pattern_that_no_name_can_match_is_refused(pattern):
    assert "matches no repository name" in pattern_problem(pattern)


@pytest.mark.parametrize("pattern", ["Team/a", "a b", "a:latest", "é", "a\n", "a?", "[ab]", "a\\*", "$a", 'a"b', "a{b}", "a;b", "a\x00"])
def test_other_characters_are_refused(pattern):
    assert pattern_problem(pattern).startswith("has characters other than lower-case letters")


def test_three_stars_and_too_long_patterns_are_refused():
    assert "three stars" in pattern_problem("a/***")
    assert pattern_problem("a" * 255) is None
    assert pattern_problem("a" * 256) == "is 256 characters long, a repository name has at most 255"


@pytest.mark.parametrize("pattern", ["*a" * 30 + "*b", "**/a*" * 20 + "/b", "**a" * 40 + "**b", "**a*a" * 20 + "**a*b"])
@pytest.mark.parametrize("name", ["a" * 255, "a/" * 127 + "a", "a/aa" * 63, "/".join(["a" * 30] * 8)])
@pytest.mark.parametrize("translation", [pcre, python_regex])
def test_no_pattern_takes_long_on_any_name(pattern, name, translation):
    if translation is pcre and sys.version_info < (3, 11):
        pytest.skip("this Python has no atomic groups")
    regex = re.compile(translation(pattern))
    begin = time.process_time()
    assert not regex.fullmatch(name)
    assert time.process_time() - begin < 0.2
