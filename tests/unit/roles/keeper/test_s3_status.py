# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What hosts of one store know of each other, and what scrub finds in it."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stores import PREFIX, S3Keeper, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.errors import ATTENTION, BUSY, DONE, FAILED
from registry_keeper.s3 import lease
from registry_keeper.s3.client import StoreError
from registry_keeper.status import running
from registry_keeper.status.running import Running

STATUS = {"commands": {"collect": "Sun 03:30"}}


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    monkeypatch.setattr(running, "registry", lambda *_: Running(True, "3.1.2"))
    (tmp_path / "one").mkdir()
    return S3Keeper(tmp_path / "one")


@pytest.fixture
def other(keeper, tmp_path):
    """Another host of the same store."""
    (tmp_path / "two").mkdir()
    return S3Keeper(tmp_path / "two", keeper.store)


def damage(keeper, digest):
    keeper.store.objects[PREFIX + keeper.storage.tree.data(digest)].content = b"something else"


def test_each_host_knows_what_the_last_collection_found_wherever_it_ran(keeper, other):
    keeper.storage.image("a", "kept", "1")
    keeper.later()
    assert keeper("status", status=STATUS) == DONE
    assert keeper.document["stored"] is None and keeper.document["commands"]["collect"] is None
    assert keeper("collect") == DONE
    assert other("status", status=STATUS) == DONE
    stored = other.document["stored"]
    assert (stored["repositories"], stored["tags"], stored["blobs"]) == (1, 1, 4)
    assert other.document["commands"]["collect"]["exit_status"] == DONE
    assert other("metrics", status=STATUS) == DONE


def test_a_status_lists_nothing_and_changes_nothing(keeper):
    keeper.storage.image("a", "kept", "1")
    assert keeper("collect") == DONE
    start = len(keeper.store.asked)
    assert keeper("status", status=STATUS) == DONE
    assert all(method == "GET" and name for method, name in keeper.store.asked[start:])


def test_a_store_that_does_not_answer_needs_a_hand(keeper):
    def fail(_method, _name):
        raise StoreError("no answer")

    keeper.store.before = fail
    assert keeper("status", status=STATUS) == ATTENTION
    assert "no answer" in keeper.document["needs_a_hand"][0]


def test_scrub_tells_of_a_damaged_blob_until_it_is_sound_and_touches_nothing(keeper, other):
    digest = keeper.storage.image("a", "kept", "1")
    content = keeper.storage.content(digest)
    assert keeper("scrub") == DONE and keeper.document["blobs"] == 4
    damage(keeper, digest)
    before = keeper.storage.objects_of_registry()
    assert other("scrub") == ATTENTION and other.document["damaged"] == [digest]
    assert keeper("scrub") == ATTENTION
    assert keeper.storage.objects_of_registry() == before
    keeper.store.objects[PREFIX + keeper.storage.tree.data(digest)].content = content
    assert keeper("scrub") == DONE and keeper.document["damaged"] == []


def test_a_pass_goes_on_at_another_host(keeper, other, monkeypatch):
    for number in range(3):
        keeper.storage.image("a", f"image {number}", str(number))
    seen = []
    original = keeper.store.before

    def note(method, name):
        if method == "GET" and name.endswith("/data"):
            seen.append(name)

    from registry_keeper.scrub import scrub

    monkeypatch.setattr(scrub.Pace, "over", property(lambda self: len(seen) % 5 == 4))
    keeper.store.before = note
    assert keeper("scrub") == DONE and not keeper.document["pass_complete"]
    monkeypatch.setattr(scrub.Pace, "over", property(lambda self: False))
    assert other("scrub") == DONE and other.document["pass_complete"]
    keeper.store.before = original
    assert len(seen) == len(set(seen)) == 12


def test_a_scrub_and_a_collection_do_not_wait_for_each_other_but_two_scrubs_do(keeper):
    keeper.storage.image("a", "kept", "1")
    keeper.storage._write("holdfast-keeper/lease-scrub", b'{"run": "another", "host": "h2", "purpose": "scrub"}')
    assert keeper("collect") == DONE and keeper("scrub") == BUSY
    assert lease.NAME != "holdfast-keeper/lease-scrub"


def test_a_blob_that_goes_while_scrub_reads_it_is_no_damage_and_no_failure(keeper):
    digest = keeper.storage.image("a", "kept", "1")
    path = PREFIX + keeper.storage.tree.data(digest)

    def collect(method, name):
        if method == "GET" and name == path:
            keeper.store.objects.pop(path, None)

    keeper.store.before = collect
    assert keeper("scrub") == DONE
    assert keeper.document["pass_complete"] and keeper.document["damaged"] == []


def test_a_blob_that_the_store_cannot_give_is_told_of_and_the_pass_goes_on(keeper, other):
    digest = keeper.storage.image("a", "kept", "1")

    def fail(method, name):
        if method == "GET" and name.endswith(keeper.storage.tree.data(digest)):
            raise StoreError("status 500 InternalError")

    keeper.store.before = fail
    for host in (keeper, other):
        assert host("scrub") == ATTENTION
        assert host.document["pass_complete"] and (host.document["damaged"], host.document["unreadable"]) == ([], [digest])
    assert keeper.document["blobs"] == 4
    keeper.store.before = lambda _method, _name: None
    assert keeper("scrub") == DONE and keeper.document["unreadable"] == []


def test_a_store_that_gives_nothing_is_not_asked_for_everything(keeper):
    for number in range(10):
        keeper.storage.image("a", f"image {number}", str(number))

    def fail(method, name):
        if method == "GET" and name.endswith("/data"):
            raise StoreError("status 500 InternalError")

    keeper.store.before = fail
    assert keeper("scrub") == FAILED
    assert len({name for method, name in keeper.store.asked if name.endswith("/data")}) == 11


def test_a_store_that_is_away_is_no_damage(keeper):
    keeper.storage.image("a", "kept", "1")

    def fail(_method, name):
        if name.endswith("/data"):
            raise StoreError("no answer")

    keeper.store.before = fail
    assert keeper("scrub") == FAILED
    keeper.store.before = lambda _method, _name: None
    assert keeper("scrub") == DONE
