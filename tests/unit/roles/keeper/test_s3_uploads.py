# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Uploads in a store that nobody will finish: they go, with their multipart uploads, and no other does."""

from __future__ import annotations

import contextlib

import pytest
from stores import PREFIX, TREE, Killed, S3Keeper, Store, Stored, kill_after, no_waiting

DAY = 24
IMAGE = "team/app"


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    return S3Keeper(tmp_path, Store(page=2))


def begin(keeper, upload, repository=IMAGE):
    """What a registry writes of an upload whose first part has come."""
    start = f"{PREFIX}{TREE.uploads(repository)}/{upload}/"
    for name in ("startedat", "hashstates/sha256/0", "hashstates/sha256/10485760"):
        keeper.store.objects[start + name] = Stored(b"x", keeper.store.now())
    keeper.store.ask("POST", start + "data", {"uploads": ""}, {}, b"")
    return start


def left(keeper, start):
    return [name for name in keeper.store.objects if name.startswith(start)] + [
        name for name in keeper.store.uploads if keeper.store.begun[name][0].startswith(start)
    ]


def test_an_upload_that_nobody_has_touched_for_a_week_goes_and_a_younger_one_stays(keeper):
    digest = keeper.storage.image(IMAGE, "kept", "1")
    old = begin(keeper, "old")
    keeper.later(3 * DAY)
    goes_on = begin(keeper, "goes-on")
    keeper.later(5 * DAY)
    # Begun five days ago; something was written a moment ago.
    keeper.store.objects[goes_on + "hashstates/sha256/20971520"] = Stored(b"x", keeper.store.now())
    young = begin(keeper, "young")
    keeper.later(3 * DAY)
    assert keeper("collect") == 0
    assert keeper.document["abandoned_uploads"] == 1
    assert left(keeper, old) == []
    assert len(left(keeper, goes_on)) == 5 and len(left(keeper, young)) == 4
    assert keeper.storage.pull(IMAGE, digest) is None
    keeper.later(5 * DAY)
    assert keeper("collect") == 0
    assert keeper.document["abandoned_uploads"] == 2
    assert left(keeper, goes_on) == left(keeper, young) == []


def test_a_multipart_upload_alone_and_an_upload_without_one_go_as_well(keeper):
    alone, without = begin(keeper, "alone"), begin(keeper, "without")
    for name in left(keeper, alone)[:3]:
        del keeper.store.objects[name]
    del keeper.store.uploads["u1"]
    keeper.later(8 * DAY)
    assert keeper("collect") == 0
    assert keeper.document["abandoned_uploads"] == 2
    assert left(keeper, alone) == left(keeper, without) == []


def test_multipart_uploads_of_anything_else_stay(keeper):
    for key in (
        f"{PREFIX}holdfast-keeper/runs/x/data",
        f"{PREFIX}docker/registry/v2/blobs/sha256/aa/data",
        "other/docker/registry/v2/repositories/a/_uploads/u/data",
    ):
        keeper.store.ask("POST", key, {"uploads": ""}, {}, b"")
    keeper.later(30 * DAY)
    assert keeper("collect") == 0
    assert len(keeper.store.uploads) == 3


def test_an_upload_that_goes_on_while_the_run_looks_stays(keeper):
    start = begin(keeper, "late")
    keeper.later(8 * DAY)
    original = keeper.store._list_uploads

    def go_on(query):
        keeper.store.objects[start + "hashstates/sha256/99"] = Stored(b"x", keeper.store.now())
        return original(query)

    # The run has read the whole list when it asks for multipart uploads.
    keeper.store._list_uploads = go_on
    assert keeper("collect") == 0
    assert keeper.document["abandoned_uploads"] == 0
    assert len(left(keeper, start)) == 5


def test_killed_at_any_request_the_next_run_finishes_and_no_image_is_touched(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    number = 0
    while True:
        (tmp_path / str(number)).mkdir()
        keeper = S3Keeper(tmp_path / str(number))
        digest = keeper.storage.image(IMAGE, "kept", "1")
        start = begin(keeper, "old")
        keeper.later(8 * DAY)
        killed = kill_after(keeper, number)
        with contextlib.suppress(Killed):
            keeper("collect")
        keeper.store.after = lambda _method, _name: None
        if not killed:
            break
        keeper.later(1)
        assert keeper("collect") == 0
        assert left(keeper, start) == []
        assert keeper.storage.pull(IMAGE, digest) is None
        number += 1
    assert number > 20


def test_a_store_that_lists_no_multipart_uploads_is_said_in_words_and_the_rest_is_done(keeper):
    keeper.storage.image(IMAGE, "kept", "1")
    keeper.storage.image(IMAGE, "old", "2")
    keeper.storage.untag(IMAGE, "2")
    keeper.later()
    assert keeper("collect") == 0
    keeper.later()
    original = keeper.store._list_uploads
    keeper.store._list_uploads = lambda _query: (200, {}, b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
    assert keeper("collect") == 3
    assert keeper.document["warnings"] == ["abandoned uploads were not removed: a list of multipart uploads is a ListBucketResult"]
    assert keeper.document["swept_blobs"] > 0
    keeper.store._list_uploads = original
    assert keeper("collect") == 0
