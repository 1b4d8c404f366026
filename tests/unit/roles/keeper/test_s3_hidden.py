# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Objects that are in no list of the store although they are there, as a store node leaves them that was killed: no image may be lost for that."""

from __future__ import annotations

import json
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from registry_keeper.errors import ATTENTION, DONE
from stores import HOUR, PREFIX, S3Keeper, no_waiting

DAYS = 4  # the grace period is an hour


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    return S3Keeper(tmp_path)


def hide(keeper, *paths):
    """All objects whose names begin so, from all lists."""
    hidden = {name for name in keeper.store.objects if name.startswith(tuple(PREFIX + path for path in paths))}
    assert len(hidden) >= len(paths)
    keeper.store.hidden |= hidden


def collected_for_days(keeper, status=ATTENTION, **more):
    for _day in range(DAYS):
        assert keeper("collect", **more) == status
        keeper.later()


def test_a_tag_with_a_history_is_found_by_its_name(keeper):
    keeper.storage.image("a", "kept", "1")
    hide(keeper, f"{keeper.storage.tree.tag('a', '1')}/current")
    keeper.later()
    collected_for_days(keeper)
    assert keeper.document["hidden"] == [f"{keeper.storage.tree.tag('a', '1')}/current/link"] and keeper.document["hidden_links"] == 1
    assert keeper.storage.pull("a", "1") is None


@pytest.mark.parametrize("hidden", ["a tag", "its repository"])
def test_what_an_earlier_run_has_seen_is_looked_at_by_its_name(keeper, hidden):
    keeper.storage.image("a", "kept", "1")
    keeper.storage.image("b", "other", "1")
    assert keeper("collect") == DONE
    hide(keeper, keeper.storage.tree.tag("a", "1") if hidden == "a tag" else keeper.storage.tree.repository("a"))
    keeper.later()
    collected_for_days(keeper)
    assert keeper.storage.pull("a", "1") is None


def test_a_push_of_the_log_is_looked_at_by_its_name(keeper):
    keeper.storage.image("a", "kept", "1")
    hide(keeper, keeper.storage.tree.tag("a", "1"))
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "method": "PUT", "path": "/v2/a/manifests/1", "status": 201}
    keeper.log.write_text(json.dumps(line, separators=(",", ":")) + "\n")
    # Nothing is wrong yet: it may have been pushed after the store was listed.
    assert keeper("collect", access_logs=[str(keeper.log)]) == DONE
    assert keeper.document["hidden_links"] == 0
    keeper.log.unlink()
    keeper.later()
    collected_for_days(keeper, access_logs=[str(keeper.log)])
    assert keeper.storage.pull("a", "1") is None


def test_a_push_while_a_run_looks_is_no_reason_to_say_anything(keeper):
    """A tag that was listed names an image that was pushed after that."""
    digest = keeper.storage.image("a", "new", "1")
    hide(keeper, keeper.storage.tree.revision("a", digest), keeper.storage.tree.blobs)
    assert keeper("collect") == DONE
    assert (keeper.document["hidden_links"], keeper.document["hidden_blobs"], keeper.document["missing_blobs"]) == (0, 0, 0)
    keeper.later()
    assert keeper("collect") == ATTENTION
    assert keeper.document["hidden_links"] == 1 and keeper.document["hidden_blobs"] > 0


def test_a_tag_that_was_removed_is_forgotten(keeper):
    keeper.storage.image("b", "kept", "1")
    digest = keeper.storage.image("a", "gone", "1")
    assert keeper("collect") == DONE
    keeper.storage.untag("a", "1")
    keeper.later()
    collected_for_days(keeper, DONE)
    assert keeper.storage.content(digest) is None
    keeper.store.asked.clear()
    assert keeper("collect") == DONE
    assert not [name for _method, name in keeper.store.asked if "/a/_manifests/tags/1/" in name]


def test_manifests_that_a_tag_and_an_index_name_are_found_by_their_names(keeper):
    one, other = keeper.storage.image("a", "one"), keeper.storage.image("a", "other")
    index = keeper.storage.index("a", [one, other], "1")
    hide(keeper, keeper.storage.tree.revision("a", index), keeper.storage.tree.revision("a", other))
    keeper.later()
    collected_for_days(keeper)
    assert keeper.document["hidden_links"] == 2
    assert keeper.storage.pull("a", "1") is None


def test_blobs_that_are_hidden_are_not_called_missing(keeper):
    digest = keeper.storage.image("a", "kept", "1")
    hide(keeper, keeper.storage.tree.data(digest))
    keeper.later()
    collected_for_days(keeper, DONE)
    assert keeper.document["missing_blobs"] == 0 and keeper.document["hidden_blobs"] == 1
    assert keeper.storage.pull("a", "1") is None


def test_what_nobody_knows_of_comes_back_once_it_is_listed(keeper):
    keeper.storage.image("a", "kept", "1")
    keeper.storage.image("b", "other", "1")
    hide(keeper, keeper.storage.tree.tag("a", "1"))
    keeper.later()
    collected_for_days(keeper, DONE)
    assert keeper.storage.pull("a", "1") is not None
    keeper.store.hidden = set()
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", "1") is None


def test_a_tag_of_an_image_that_was_not_needed_counts_in_every_look_at_its_repository(keeper):
    kept, gone = keeper.storage.image("a", "kept"), keeper.storage.image("a", "gone")
    keeper.storage.image("b", "other", "1")
    keeper.later()
    assert keeper("collect") == DONE
    keeper.later()
    keeper.storage.tag("a", "1", kept)
    hide(keeper, f"{keeper.storage.tree.tag('a', '1')}/current")
    for name, stored in keeper.store.objects.items():
        if "/a/_manifests/tags/1/" in name:
            stored.modified -= 2 * HOUR  # the time of a tag protects nothing any more
    assert keeper("collect") == ATTENTION
    assert keeper.storage.pull("a", "1") is None and keeper.storage.content(gone) is None
    assert keeper.document["brought_back"] == 0
