# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Rules about tags on an S3 store, and tags that are set while they are being removed."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stores import PREFIX, Killed, S3Keeper, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.errors import ATTENTION, BUSY, DONE, USAGE

RULES = [{"repositories": ["**"], "keep_newest": 1}]


def made(directory):
    """A repository of which one tag goes by the rules."""
    directory.mkdir(exist_ok=True)
    keeper = S3Keeper(directory)
    keeper.old = keeper.storage.image("a", "old", "1")
    keeper.later(1)
    keeper.new = keeper.storage.image("a", "new", "2")
    keeper.later(1)
    return keeper


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    return made(tmp_path / "k")


def tag_of(keeper, tag):
    return (keeper.storage.read(keeper.storage.tree.tag("a", tag) + "/current/link") or b"").decode()


def test_a_tag_goes_by_the_rules_and_comes_back(keeper):
    assert keeper("retain", retention=RULES) == DONE
    assert keeper.document["removed"] == 1 and not tag_of(keeper, "1") and tag_of(keeper, "2") == keeper.new
    assert keeper("undo", keeper.document["run"]) == DONE
    assert tag_of(keeper, "1") == keeper.old


def test_the_image_of_a_removed_tag_goes_later_and_comes_back_as_one(keeper):
    assert keeper("retain", retention=RULES) == DONE
    run = keeper.document["run"]
    for _run in range(2):
        keeper.later()
        assert keeper("collect") == DONE
    assert keeper.storage.pull("a", keeper.old) is not None
    assert keeper("undo", run) == DONE and tag_of(keeper, "1") == ""
    assert keeper("undo", "--image", "a:1") == DONE
    assert keeper.storage.pull("a", "1") is None


def test_a_tag_that_is_nearly_a_fallback_tag_is_one_like_any_other(keeper):
    name = "sha256-" + "0" * 65
    keeper.storage.image("a", "another", name)
    keeper.later(1000)
    assert keeper("retain", retention=[{"repositories": ["**"], "keep_matching": ["1", "2"]}]) == DONE and keeper.document["removed"] == 1
    run = keeper.document["run"]
    assert keeper("collect") == keeper("purge") == DONE
    # A repository is looked at again where something of it goes.
    keeper.later()
    assert keeper("collect") == DONE and keeper("undo", run) == DONE


def test_a_tag_that_an_undo_brings_back_is_young_again(keeper):
    rules = [{"repositories": ["**"], "keep_younger_than": "7d"}]
    keeper.later(30 * 24)
    assert keeper("retain", retention=rules) == DONE and keeper.document["removed"] == 2
    assert keeper("undo", keeper.document["run"]) == DONE
    assert keeper("retain", retention=rules) == DONE and keeper.document["removed"] == 0


@pytest.mark.parametrize("how", ["changed", "lost", "deleted"])
def test_no_tag_goes_where_nobody_knows_what_an_image_that_stays_needs(keeper, how):
    index = keeper.storage.index("a", [keeper.old], "3")
    path = PREFIX + keeper.storage.tree.data(index)
    if how == "changed":
        keeper.store.objects[path].content = keeper.store.objects[path].content.replace(keeper.old.encode(), f"sha256:{'0' * 64}".encode())
    else:
        del keeper.store.objects[path]
    if how == "deleted":
        del keeper.store.objects[f"{PREFIX}{keeper.storage.tree.revision('a', index)}/link"]
    keeper.later(1)
    # The tag of an image that was deleted keeps nothing.
    status, left = (DONE, "") if how == "deleted" else (ATTENTION, keeper.old)
    assert keeper("retain", retention=RULES) == status and tag_of(keeper, "1") == left


def test_a_dry_run_changes_nothing(keeper):
    before = dict(keeper.store.objects)
    assert keeper("retain", "--dry-run", retention=RULES) == DONE
    assert keeper.document["going"] == 1 and keeper.store.objects == before


def test_a_rule_about_pulls_is_refused_since_other_hosts_pulls_are_not_known(keeper):
    rules = [{"repositories": ["**"], "keep_pulled_within": "30d"}]
    assert keeper("retain", retention=rules, access_logs=[str(keeper.log)]) == USAGE
    assert "keep_pulled_within" in keeper.document["error"] and tag_of(keeper, "1")


def test_without_the_lease_no_tag_goes(keeper):
    keeper.storage._write("holdfast-keeper/lease", b'{"run": "another", "host": "h2"}')
    assert keeper("retain", retention=RULES) == BUSY and tag_of(keeper, "1") == keeper.old


def test_a_tag_that_was_set_a_moment_ago_stays(keeper):
    keeper.storage.tag("a", "1", keeper.old)
    keeper.store.objects[PREFIX + keeper.storage.tree.tag("a", "1") + "/current/link"].modified -= 24 * 3600
    assert keeper("retain", retention=RULES) == DONE
    assert tag_of(keeper, "1") == keeper.old


def set_the_tag(keeper, digest, number, delay, killed, behind=0.0):
    """Have the tag set as the registry does, and the run killed if it removes that. Returns a list, to which what was done is added.

    The part of the store that takes it has a clock that is so many seconds behind.
    """
    tag, start, done = keeper.storage.tree.tag("a", "1"), len(keeper.store.asked), []
    current = f"{tag}/current/link"

    def act(method, name):
        asked = len(keeper.store.asked) - start
        if not done and asked > number:
            keeper.storage._write(f"{tag}/index/{digest.replace(':', '/')}/link", digest.encode())
            keeper.store.objects[f"{PREFIX}{tag}/index/{digest.replace(':', '/')}/link"].modified -= behind
            done.append("history")
        if done == ["history"] and asked > number + delay:
            keeper.storage._write(current, digest.encode())
            keeper.store.objects[PREFIX + current].modified -= behind
            done.append("tag")
        if killed and done and (method, name) == ("DELETE", PREFIX + current):
            done.append("killed")

    def kill(_method, _name):
        if "killed" in done:
            raise Killed

    keeper.store.before, keeper.store.after = act, kill
    return done


@pytest.mark.parametrize("which", ["old", "new"])
@pytest.mark.parametrize("delay", [0, 1, 5, 1000])
@pytest.mark.parametrize(("killed", "behind"), [(False, 0), (True, 0), (False, 600)])
def test_a_tag_that_is_set_at_any_moment_is_set_in_the_end(tmp_path, monkeypatch, which, delay, killed, behind):
    """The registry writes the history and then the tag; with a great delay not before the run has ended."""
    no_waiting(monkeypatch)
    number, removed = 0, 0
    while True:
        keeper = made(tmp_path / str(number))
        digest, current = getattr(keeper, which), f"{keeper.storage.tree.tag('a', '1')}/current/link"
        done = set_the_tag(keeper, digest, number, delay, killed, behind)
        try:
            keeper("retain", retention=RULES)
        except Killed:
            removed += 1
        keeper.store.before = keeper.store.after = lambda _method, _name: None
        if not done:
            break
        if "tag" not in done:
            keeper.storage._write(current, digest.encode())
        elif "killed" in done:
            keeper.later(1)
            assert keeper("collect") == DONE
        assert tag_of(keeper, "1") == digest, (number, done)
        number += 1
    assert number > 15 and (removed > 0 or not killed)


def moved(keeper, tag, pushed):
    """The tag as migrate.yml writes it: just now, with a note of when it was pushed."""
    stored = keeper.store.objects[f"{PREFIX}{keeper.storage.tree.tag('a', tag)}/current/link"]
    stored.meta = {"x-amz-meta-holdfast-pushed": str(pushed)}
    stored.modified = keeper.store.now() - 3600


def test_after_a_move_the_newest_is_what_was_pushed_last_and_not_what_was_copied_last(keeper):
    moved(keeper, "1", 1_700_000_000)
    keeper.later(1)
    moved(keeper, "2", 1_600_000_000.5)
    assert keeper("retain", retention=RULES) == DONE
    assert keeper.document["removed"] == 1 and not tag_of(keeper, "2") and tag_of(keeper, "1") == keeper.old
    assert keeper.document["gone"][0]["pushed"] == 1_600_000_000


def test_a_push_after_the_move_is_newer_than_what_was_noted(keeper):
    moved(keeper, "1", 1_700_000_000)
    moved(keeper, "2", 1_600_000_000)
    newest = keeper.storage.image("a", "newest", "2")
    keeper.store.objects[f"{PREFIX}{keeper.storage.tree.tag('a', '2')}/current/link"].meta = {}
    keeper.later(1)
    assert keeper("retain", retention=RULES) == DONE
    assert tag_of(keeper, "2") == newest and not tag_of(keeper, "1")


@pytest.mark.parametrize("note", ["", "yesterday", "inf", "nan"])
def test_a_note_that_is_no_time_counts_for_nothing(keeper, note):
    moved(keeper, "1", note)
    keeper.storage.age(24 * 3600)
    moved(keeper, "2", note)
    assert keeper("retain", retention=RULES) == DONE
    assert tag_of(keeper, "2") == keeper.new and not tag_of(keeper, "1")
