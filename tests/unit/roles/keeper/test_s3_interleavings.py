# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What registries, other hosts and the store itself do between two requests of a collection: each at every request."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import pathlib
import shutil
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stores import PREFIX, S3Keeper, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.errors import DONE, FAILED
from registry_keeper.s3 import lease as s3_lease
from registry_keeper.s3 import sweep
from trees import MANIFEST


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A store with images that stay, and one without a tag that goes with the next run."""
    no_waiting(monkeypatch)
    (tmp_path / "first").mkdir()
    first = S3Keeper(tmp_path / "first")
    first.storage.image("a", "kept", "1", shared=[b"shared"])
    doomed = first.storage.image("a", "doomed", shared=[b"shared"])
    first.storage.age(24 * 3600)
    assert first("collect") == DONE
    first.later()
    count = itertools.count()

    def make():
        keeper = S3Keeper(shutil.copytree(first.directory, tmp_path / str(next(count))))
        keeper.store.objects = {name: dataclasses.replace(stored) for name, stored in first.store.objects.items()}
        keeper.doomed = doomed
        return keeper

    return make


def act_before(keeper, number, action, later, delay):
    """Have the actions done before the request after so many. Returns two lists, to which what they return is added."""
    first, last, start = [], [], len(keeper.store.asked)

    def act(method, name):
        asked = len(keeper.store.asked) - start
        if not first and asked > number:
            first.append(action(keeper))
            keeper.next, keeper.settled = (method, name), False
        if first and first[0] and later and not last and asked > number + delay:
            last.append(later(keeper))
            keeper.next, keeper.settled = (method, name), False

    keeper.store.before = act
    return first, last


def at_every_request(made, action, later=None, delay=0):
    """Collect, with an action before each of the requests in turn, and another one so many requests later if the first one says so.

    Yields the keeper, what the last action returned, and the status. keeper.next is what was about to be asked then, and keeper.settled whether the
    run waited after it for requests to end.
    """
    number = 0
    while True:
        keeper = made()
        first, last = act_before(keeper, number, action, later, delay)
        waits, sweep.Sweep._wait = sweep.Sweep._wait, lambda _sweep, keeper=keeper: setattr(keeper, "settled", True)
        try:
            status = keeper("collect")
        finally:
            sweep.Sweep._wait = waits
        keeper.store.before = lambda _method, _name: None
        if not first:
            assert number > 40
            return
        yield keeper, (last or [None])[0] if later else first[0], status
        number += 1


def has_doomed_layers(keeper):
    """Whether the registry finds what the doomed image needs: a client that knows so does not upload it."""
    storage = keeper.storage
    document = json.loads(content_of_doomed())
    layers = [document["config"], *document["layers"]]
    return all(storage.read(storage.tree.layer("a", one["digest"]) + "/link") and storage.content(one["digest"]) is not None for one in layers)


def push_doomed(keeper, tag="new"):
    """What a registry writes that has found all of it."""
    assert keeper.storage.manifest("a", json.loads(content_of_doomed()), tag) == keeper.doomed
    return True


def digest_of_text(text):
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def content_of_doomed():
    """What the doomed manifest says; a client has it."""
    layers = [{"mediaType": "layer", "digest": digest_of_text(text), "size": len(text)} for text in ("doomed layer 0", "doomed layer 1", "shared")]
    config = {"mediaType": "config", "digest": digest_of_text("doomed config"), "size": 1}
    return json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers})


@pytest.mark.parametrize("delay", [0, 3, 10, 30])
def test_a_push_that_is_accepted_at_any_moment_can_be_pulled_in_the_end(made, delay):
    accepted = 0
    for keeper, pushed, status in at_every_request(made, has_doomed_layers, push_doomed, delay):
        assert status == DONE
        assert keeper.storage.pull("a", "1") is None
        if pushed:
            accepted += 1
            if not keeper.settled:
                # What comes after the last look, the next run brings back.
                assert keeper("collect") == DONE
            assert keeper.storage.pull("a", "new") is None
    assert accepted > 20


def test_a_manifest_that_is_pushed_again_without_a_tag_stays_but_for_one_moment(made):
    """That moment is named in s3_sweep.py: between the look at a link, and its removal."""
    lost = 0
    for keeper, pushed, status in at_every_request(made, has_doomed_layers, lambda keeper: push_doomed(keeper, None)):
        assert status == DONE
        if pushed and keeper.storage.pull("a", keeper.doomed) is not None:
            lost += 1
            assert keeper.next == ("DELETE", PREFIX + keeper.storage.tree.revision("a", keeper.doomed) + "/link")
            # An index that is pushed then is refused; where it is accepted all the same, the next run brings the manifest back.
            keeper.storage.index("a", [keeper.doomed], "index")
            assert keeper("collect") == DONE
            assert keeper.storage.pull("a", "index") is None
    assert lost == 1


def test_a_link_that_is_written_at_any_moment_gets_its_blob_back(made):
    """A client uploads the layer: the registry finds the blob, drops the upload, and writes a link in another repository."""
    digest = digest_of_text("doomed layer 0")

    def upload(keeper):
        return keeper.storage.content(digest) is not None

    for delay in (0, 3):
        for keeper, linked, status in at_every_request(made, upload, lambda keeper: keeper.storage.link("b", digest) or True, delay):
            assert status == DONE
            if linked and not keeper.settled:
                assert keeper("collect") == DONE
            assert not linked or keeper.storage.content(digest) is not None


def test_a_second_leader_at_any_moment_loses_nothing(made, monkeypatch):
    """As if the lease did not work at all."""
    monkeypatch.setattr(s3_lease.Lease, "_take", lambda self: None)
    monkeypatch.setattr(s3_lease.Lease, "_release", lambda self: None)
    monkeypatch.setattr(s3_lease.Lease, "check", lambda self: None)

    def second(keeper):
        other = S3Keeper(keeper.directory / "other", keeper.store)
        other.directory.mkdir()
        before, keeper.store.before = keeper.store.before, lambda _method, _name: None
        status = other("collect")
        keeper.store.before = before
        return status

    for keeper, status, first in at_every_request(made, second):
        assert status in (DONE, FAILED) and first in (DONE, FAILED)
        assert keeper.storage.pull("a", "1") is None
        assert keeper("undo", "--image", f"a@{keeper.doomed}") == DONE
        assert keeper.storage.pull("a", keeper.doomed) is None and keeper.storage.pull("a", "1") is None


def test_a_run_changes_nothing_any_more_once_another_one_has_the_lease(made, monkeypatch):
    monkeypatch.setattr(s3_lease, "LOOK", 0.0)
    lease = PREFIX + s3_lease.NAME
    stopped = 0

    def other(keeper):
        if lease not in keeper.store.objects:
            return None
        keeper.store.objects[lease].content = b'{"run": "another", "host": "h2", "purpose": "undo"}'
        keeper.changes = len([1 for method, name in keeper.store.asked if method in ("PUT", "DELETE")])
        return True

    for keeper, taken, status in at_every_request(made, other):
        if taken and status == FAILED:
            stopped += 1
            # One that had been asked for already, and no other.
            after = len([1 for method, name in keeper.store.asked if method in ("PUT", "DELETE")])
            assert after - keeper.changes <= 1
            assert keeper.store.objects[lease].content.startswith(b'{"run": "another"')
        assert keeper.storage.pull("a", "1") is None
        keeper.later(1)
        assert keeper("collect") == DONE and keeper.storage.pull("a", "1") is None
    assert stopped > 40
