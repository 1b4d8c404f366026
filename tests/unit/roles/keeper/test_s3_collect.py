# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection on an S3 store: what stays, what goes, and that no kill, lie or second host loses an image."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stores import CHANGES, PREFIX, Killed, S3Keeper, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.errors import ATTENTION, DONE


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    return S3Keeper(tmp_path)


def untagged(keeper, name="an image", repository="a", **more):
    """An image from yesterday that lost its tag, and of which a run has known that for long enough."""
    digest = keeper.storage.image(repository, name, "gone", **more)
    keeper.storage.untag(repository, "gone")
    keeper.later()
    assert keeper("collect") in (DONE, ATTENTION)
    keeper.later()
    return digest


def test_what_a_tag_names_stays_and_the_rest_goes(keeper):
    keeper.storage.image("a", "kept", "1", shared=[b"shared"])
    keeper.storage.image("b/c", "other", "2")
    keeper.storage.layer("b/c", b"a layer that nothing needs")
    digest = untagged(keeper, "gone", shared=[b"shared"])
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", "1") is None and keeper.storage.pull("b/c", "2") is None
    assert keeper.storage.content(digest) is None
    left = " ".join(keeper.storage.objects_of_registry())
    assert digest.partition(":")[2] not in left
    # 3 blobs of the image that are its own, its manifest, and the layer that nothing needs
    assert (keeper.document["swept_blobs"], keeper.document["links"]) == (5, 5)


def test_nothing_goes_that_an_earlier_run_has_not_found_already(keeper):
    keeper.storage.image("a", "kept", "1")
    digest = keeper.storage.image("a", "gone")
    keeper.later(1000)
    before = keeper.storage.objects_of_registry()
    assert keeper("collect") == DONE
    assert keeper.storage.objects_of_registry() == before
    keeper.later()
    assert keeper("collect") == DONE
    assert keeper.storage.content(digest) is None


def test_what_was_needed_in_between_waits_again(keeper):
    digest = keeper.storage.image("a", "an image")
    keeper.later()
    assert keeper("collect") == DONE
    keeper.storage.tag("a", "1", digest)
    keeper.later()
    assert keeper("collect") == DONE
    keeper.storage.untag("a", "1")
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", digest) is None


def test_an_index_and_its_images_stay(keeper):
    children = [keeper.storage.image("a", name) for name in ("amd64", "arm64")]
    keeper.storage.index("a", children, "1")
    untagged(keeper, "gone")
    assert keeper("collect") == DONE and keeper.document["links"]
    assert keeper.storage.pull("a", "1") is None


def test_a_manifest_that_cannot_be_read_holds_its_repository(keeper):
    digest = keeper.storage.image("a", "kept", "1")
    keeper.store.objects[PREFIX + keeper.storage.tree.data(digest)].content = b"damaged"
    gone = untagged(keeper, "gone")
    assert keeper("collect") == ATTENTION
    assert keeper.storage.pull("a", gone) is None


def test_a_run_can_be_killed_at_every_request_and_loses_nothing(tmp_path, monkeypatch):
    no_waiting(monkeypatch)

    def made(number):
        (tmp_path / str(number)).mkdir()
        keeper = S3Keeper(tmp_path / str(number))
        keeper.storage.image("a", "kept", "1", shared=[b"shared"])
        keeper.storage.index("b", [keeper.storage.image("b", "child")], "2")
        untagged(keeper, "gone", shared=[b"shared"])
        return keeper

    keeper = made("whole")
    first = len(keeper.store.asked)
    assert keeper("collect") == DONE
    requests = keeper.store.asked[first:]
    expected = keeper.storage.objects_of_registry()
    points = [(number, when) for number, (method, _name) in enumerate(requests) for when in (("before", "after") if method in CHANGES else ("before",))]
    assert len(points) > 60
    for number, when in points:
        keeper = made(f"{number}-{when}")
        start = len(keeper.store.asked)

        def kill(_method, _name, keeper=keeper, start=start, number=number):
            if len(keeper.store.asked) - start > number:
                raise Killed

        setattr(keeper.store, when, kill)
        with pytest.raises(Killed):
            keeper("collect")
        setattr(keeper.store, when, lambda _method, _name: None)
        assert keeper.storage.pull("a", "1") is None and keeper.storage.pull("b", "2") is None, (number, when)
        # The lease of the killed run has to end first.
        keeper.later(1)
        assert keeper("collect") == DONE, (number, when)
        keeper.later(24)
        assert keeper("collect") == DONE, (number, when)
        assert keeper.storage.pull("a", "1") is None and keeper.storage.pull("b", "2") is None, (number, when)
        assert keeper.storage.objects_of_registry() == expected, (number, when)
