# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.retain import policy, verdicts

DAY = 86400
NOW = 1_000 * DAY
SUBJECT = "sha256:" + "ab" * 32
FALLBACK = verdicts.Tag("sha256-" + "ab" * 32, "sha256:sbom", NOW - 99 * DAY, subject=SUBJECT)


def tag(name, age=0, image=None, pulled=None):
    """A tag that was pushed so many days ago, and whose image was pulled so many days ago."""
    return verdicts.Tag(name, f"sha256:{image or name}", NOW - age * DAY, 0.0 if pulled is None else NOW - pulled * DAY)


def rule(**keys):
    return {"repositories": ["**"], **keys}


def going(written, tags, repository="team/app", **more):
    rules, problems = policy.rules_of(written)
    assert problems == []
    return {verdict.tag.name for verdict in verdicts.verdicts(rules, repository, tags, NOW, **more) if verdict.goes}


def why(written, tags, name, **more):
    rules, problems = policy.rules_of(written)
    assert problems == []
    return next(verdict.why for verdict in verdicts.verdicts(rules, "team/app", tags, NOW, **more) if verdict.tag.name == name)


AGED = [tag("a", 1), tag("b", 2), tag("c", 30), tag("d", 31)]


@pytest.mark.parametrize(
    ("written", "gone"),
    [
        pytest.param([], "", id="no rule"),
        pytest.param([rule(keep_newest=1)], "bcd", id="newest"),
        pytest.param([rule(keep_newest=3)], "d", id="newest three"),
        pytest.param([rule(keep_newest=9)], "", id="more than there are"),
        pytest.param([rule(keep_younger_than="2d")], "bcd", id="exactly as old is not younger"),
        pytest.param([rule(keep_younger_than="49h")], "cd", id="hours"),
        pytest.param([rule(keep_younger_than="5w")], "", id="weeks"),
        pytest.param([rule(keep_matching=["a", "d"])], "bc", id="matching"),
        pytest.param([rule(keep_matching=["[ab]"])], "cd", id="matching characters"),
        pytest.param([rule(keep_newest=1, keep_matching=["d"])], "bc", id="any condition keeps"),
        pytest.param([rule(keep_newest=1, keep_younger_than="7d")], "cd", id="the wider of two"),
        pytest.param([rule(tags=["b", "c"], keep_newest=1)], "c", id="only the tags that the rule has"),
        pytest.param([rule(tags=["b", "c"], keep_newest=1), rule(keep_younger_than="7d")], "cd", id="another rule for the rest"),
        pytest.param([rule(tags=["d"], keep_younger_than="9w"), rule(keep_newest=1)], "bc", id="the first rule counts"),
        pytest.param([{"repositories": ["other/**"], "keep_newest": 1}], "", id="another repository's rule"),
        pytest.param([{"repositories": ["team/*"], "keep_newest": 1}], "bcd", id="the repository's rule"),
    ],
)
def test_what_no_condition_keeps_goes(written, gone):
    assert going(written, AGED) == set(gone)


def test_the_newest_are_images_with_all_their_tags():
    tags = [tag("1.2.3", 5, "x"), tag("1.2", 5, "x"), tag("latest", 5, "x"), tag("1.2.2", 6, "y"), tag("1.2.1", 7, "z")]
    assert going([rule(keep_newest=2)], tags) == {"1.2.1"}


def test_an_old_image_with_a_new_tag_is_new():
    tags = [tag("stable", 1, "x"), tag("1.0", 50, "x"), tag("2.0", 3), tag("3.0", 2)]
    assert going([rule(keep_newest=1)], tags) == {"2.0", "3.0"}


def test_images_of_one_instant_are_told_apart_in_the_same_way_every_time():
    tags = [tag(name, 1) for name in "abcd"]
    assert going([rule(keep_newest=2)], tags) == going([rule(keep_newest=2)], list(reversed(tags))) == {"c", "d"}


@pytest.mark.parametrize(
    ("pulled", "since", "goes"),
    [
        pytest.param(5, 100, False, id="pulled"),
        pytest.param(29.9, 100, False, id="just within"),
        pytest.param(30, 100, True, id="too long ago"),
        pytest.param(None, 100, True, id="never"),
        pytest.param(None, 30, True, id="known for just as long"),
        pytest.param(None, 29, False, id="not known for long enough"),
        pytest.param(40, 29, False, id="known before, and not since"),
        pytest.param(None, None, False, id="not known at all"),
    ],
)
def test_only_what_surely_was_not_pulled_goes(pulled, since, goes):
    since = None if since is None else NOW - since * DAY
    assert bool(going([rule(keep_pulled_within="30d")], [tag("a", 300, pulled=pulled)], pulls_since=since)) is goes


def test_each_tag_says_why():
    written = [rule(keep_newest=1, keep_younger_than="7d", keep_matching=["v*"])]
    tags = [tag("new", 8), tag("old", 9), tag("v1", 10), FALLBACK]
    assert why(written, tags, "new") == ("of the newest image",)
    assert why(written, tags, "v1") == ("matches v*",)
    assert why(written, tags, "old") == ("not of the newest image", "not pushed within 7 days", "matches none of v*")
    assert why(written, tags, FALLBACK.name) == (f"goes with {SUBJECT}, when that is collected",)
    assert why([rule(tags=["x"], keep_newest=1)], tags, "old") == ("no rule applies to it",)


NEEDS = {"sha256:index": ["sha256:amd", "sha256:arm"], "sha256:sbom": ["sha256:app"], "sha256:nested": ["sha256:index"]}


@pytest.mark.parametrize(
    ("kept", "others", "gone"),
    [
        pytest.param("index", ["amd", "arm", "old"], {"old"}, id="images of an index"),
        pytest.param("nested", ["amd", "index", "old"], {"old"}, id="images of an index in an index"),
        pytest.param("sbom", ["app", "old"], {"old"}, id="subject of a referrer"),
        pytest.param("amd", ["index", "arm"], {"index", "arm"}, id="not the other way round"),
    ],
)
def test_what_a_kept_image_needs_stays(kept, others, gone):
    tags = [tag(kept), *(tag(other, 99) for other in others)]
    assert going([rule(keep_younger_than="7d")], tags, needs=lambda digest: NEEDS.get(digest, ())) == gone


def test_what_needs_says_so():
    tags = [tag("index"), tag("amd", 99)]
    assert why([rule(keep_younger_than="7d")], tags, "amd", needs=lambda digest: NEEDS.get(digest, ())) == ("index needs its image",)


def test_a_signature_does_not_keep_what_it_signs():
    tags = [FALLBACK, tag("app", 99)]
    assert going([rule(keep_younger_than="7d")], tags, needs=lambda digest: NEEDS.get(digest, ())) == {"app"}


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        (FALLBACK.name, SUBJECT),
        (FALLBACK.name + ".sig", SUBJECT),
        (FALLBACK.name + ".other", None),
        ("sha512-" + "cd" * 64, "sha512:" + "cd" * 64),
        ("sha256-" + "ab" * 31, None),
        ("latest", None),
    ],
    ids=["referrers", "signature", "something else", "another algorithm", "too short", "a tag"],
)
def test_what_a_fallback_tag_is_named_after(name, subject):
    assert verdicts.subject_of(name) == subject


def test_a_tag_with_a_broken_link_stays():
    assert going([rule(keep_younger_than="7d")], [verdicts.Tag("broken", None, 0)]) == set()


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("app", "app", True),
        ("app", "apps", False),
        ("app", "team/app", False),
        ("*", "app", True),
        ("*", "team/app", False),
        ("**", "team/app", True),
        ("team/*", "team/app", True),
        ("team/*", "team/a/b", False),
        ("team/**", "team/a/b", True),
        ("team/**", "teams/a", False),
        ("**/app", "a/b/app", True),
        ("**/app", "app", False),
        ("a*c/**d", "abc/x/yd", True),
        ("a*c/**d", "ab/c/d", False),
        ("*-ci", "app-ci", True),
        ("a.b", "axb", False),
    ],
)
def test_patterns_of_repositories(pattern, name, expected):
    assert policy.matches(pattern, name) is expected


def test_no_name_makes_a_pattern_slow():
    assert policy.matches("*a" * 40 + "b", "a" * 255) is False


@pytest.mark.parametrize(
    ("pattern", "other", "expected"),
    [
        ("**", "team/**", True),
        ("team/**", "team/app", True),
        ("team/**", "team/a*", True),
        ("team/*", "team/**", False),
        ("team/*", "team/a*", True),
        ("*", "team/app", False),
        ("team/app", "team/*", False),
        ("**", "**", True),
    ],
)
def test_what_a_pattern_covers(pattern, other, expected):
    assert policy.covers(pattern, other) is expected


GOOD = {"repositories": ["team/**"], "keep_newest": 3}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        pytest.param({}, "retention: must be a list of rules", id="no list"),
        pytest.param(["x"], "retention[0]: must be a rule such as", id="no rule"),
        pytest.param([{"repositories": ["**"]}], "retention[0]: keeps nothing; give at least one of keep_newest", id="keeps nothing"),
        pytest.param([{"keep_newest": 1}], "retention[0].repositories: must be a list of patterns", id="no repositories"),
        pytest.param([{**GOOD, "repositories": []}], "retention[0].repositories: must be a list of patterns", id="empty repositories"),
        pytest.param([{**GOOD, "repositories": "team"}], "retention[0].repositories: must be a list of patterns", id="repositories as text"),
        pytest.param([{**GOOD, "repositories": ["Team"]}], "retention[0].repositories[0]: 'Team' has characters other than", id="capitals"),
        pytest.param([{**GOOD, "repositories": ["a//b"]}], "retention[0].repositories[0]: 'a//b' matches no repository name", id="impossible name"),
        pytest.param([{**GOOD, "repositories": ["a***"]}], "retention[0].repositories[0]: 'a***' has three stars", id="three stars"),
        pytest.param([{**GOOD, "repositories": [1]}], "retention[0].repositories[0]: 1 is no text", id="a number"),
        pytest.param([{**GOOD, "tags": ["a b"]}], "retention[0].tags[0]: 'a b' has characters other than", id="blank in a tag"),
        pytest.param([{**GOOD, "tags": [".a"]}], "retention[0].tags[0]: '.a' matches no tag", id="impossible tag"),
        pytest.param([{**GOOD, "tags": ["[a"]}], "retention[0].tags[0]: '[a' has characters other than", id="open bracket"),
        pytest.param([{**GOOD, "keep": 1}], "retention[0].keep: there is no such key; a rule has repositories, tags, keep_newest", id="unknown key"),
        pytest.param([{**GOOD, "keep_newest": 0}], "retention[0].keep_newest: 0 is not a number of images from 1", id="none"),
        pytest.param([{**GOOD, "keep_newest": True}], "retention[0].keep_newest: True is not a number", id="true"),
        pytest.param([{**GOOD, "keep_newest": "3"}], "retention[0].keep_newest: '3' is not a number", id="text for a number"),
        pytest.param([{**GOOD, "keep_younger_than": "30"}], "retention[0].keep_younger_than: '30' is not a duration such as 36h", id="no unit"),
        pytest.param([{**GOOD, "keep_younger_than": "0d"}], "retention[0].keep_younger_than: '0d' is not a duration", id="no time"),
        pytest.param([{**GOOD, "keep_younger_than": "9999999w"}], "is not a duration", id="longer than any clock"),
        pytest.param([{**GOOD, "keep_pulled_within": 30}], "retention[0].keep_pulled_within: 30 is not a duration", id="a number for a duration"),
        pytest.param([{**GOOD, "keep_matching": ["*"]}], "retention[0].keep_matching: keeps every tag", id="keeps all"),
        pytest.param([{**GOOD, "tags": ["v1", "v2"], "keep_matching": ["v*"]}], "retention[0].keep_matching: keeps every tag", id="keeps all of its tags"),
        pytest.param([{**GOOD, "tags": ["v*"], "keep_matching": ["latest"]}], "retention[0].keep_matching[0]: 'latest' is no tag that", id="not of the rule"),
        pytest.param([GOOD, GOOD], "retention[1]: never applies: retention[0], before it, has all its tags", id="twice"),
        pytest.param([{**GOOD, "repositories": ["**"]}, GOOD], "retention[1]: never applies: retention[0]", id="behind a wider one"),
        pytest.param([{**GOOD, "repositories": ["**"]}, {**GOOD, "tags": ["v*"]}], "retention[1]: never applies: retention[0]", id="tags behind all tags"),
        pytest.param(
            [{**GOOD, "repositories": ["a"]}, {**GOOD, "repositories": ["b"]}, {**GOOD, "repositories": ["a", "b"]}],
            "retention[2]: never applies: retention[0] and retention[1], before it, have all its tags",
            id="behind two",
        ),
    ],
)
def test_rules_that_cannot_be_right_are_refused_by_name(written, message):
    rules, problems = policy.rules_of(written)
    assert rules == []
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize(
    "written",
    [
        pytest.param([{**GOOD, "tags": ["v*"]}, GOOD], id="a narrower rule first"),
        pytest.param([GOOD, {**GOOD, "repositories": ["**"]}], id="narrower repositories first"),
        pytest.param([{**GOOD, "tags": ["v*"], "keep_matching": ["v1", "v2.*"]}], id="some of the tags"),
        pytest.param([{**GOOD, "tags": ["v[0-9]*", "[!a]bc"]}], id="classes of characters"),
        pytest.param([GOOD, {**GOOD, "repositories": ["team/a", "other"]}], id="partly covered"),
        pytest.param([{**GOOD, "tags": None, "keep_matching": None}], id="keys without a value"),
    ],
)
def test_rules_that_can_be_right_are_taken(written):
    rules, problems = policy.rules_of(written)
    assert problems == []
    assert len(rules) == len(written)


def test_pulls_are_not_asked_for_without_a_log():
    _rules, problems = policy.rules_of([{**GOOD, "keep_pulled_within": "30d"}], place="keeper_retention", knows_pulls=False, log_setting="keeper_access_log")
    assert problems == ["keeper_retention[0].keep_pulled_within: needs keeper_access_log, the log that says what has been pulled"]


@pytest.mark.parametrize(("duration", "seconds"), [("90m", 5400), ("36h", 129600), ("30d", 2592000), ("2w", 1209600), ("1y", None), ("-1d", None), ("", None)])
def test_durations(duration, seconds):
    assert policy.seconds_of(duration) == seconds
