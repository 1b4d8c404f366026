# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What registries, other hosts and the store itself do between two requests of a collection: each at every request."""

from __future__ import annotations

import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stores import PREFIX, S3Keeper, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import s3_lease
from registry_keeper.errors import DONE, FAILED


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A store with images that stay, and one without a tag that goes with the next run."""
    no_waiting(monkeypatch)
    count = []

    def make():
        count.append(1)
        directory = tmp_path / str(len(count))
        directory.mkdir()
        keeper = S3Keeper(directory)
        keeper.storage.image("a", "kept", "1", shared=[b"shared"])
        keeper.doomed = keeper.storage.image("a", "doomed", shared=[b"shared"])
        keeper.storage.age(24 * 3600)
        assert keeper("collect") == DONE
        keeper.later()
        return keeper

    return make


def at_every_request(made, action):
    """Collect, with an action before each of the requests in turn. Yields the keeper, and what the action returned."""
    number = 0
    while True:
        keeper = made()
        done, start = [], len(keeper.store.asked)

        def act(_method, _name, keeper=keeper, done=done, start=start, number=number):
            if not done and len(keeper.store.asked) - start > number:
                done.append(None)
                done[0] = action(keeper)

        keeper.store.before = act
        status = keeper("collect")
        keeper.store.before = lambda _method, _name: None
        if not done:
            assert number > 40
            return
        yield keeper, done[0], status
        number += 1


def push_doomed(keeper, tag="new"):
    """Push the doomed image again, as a client does that finds its layers: returns whether the registry accepts it."""
    storage, document = keeper.storage, {"schemaVersion": 2}
    content = made_content(keeper)
    document = json.loads(content)
    for layer in [document["config"], *document["layers"]]:
        if storage.read(storage.tree.layer("a", layer["digest"]) + "/link") is None or storage.content(layer["digest"]) is None:
            return False
    assert storage.manifest("a", document, tag) == keeper.doomed
    return True


def made_content(keeper):
    """What the doomed manifest says; a client has it."""
    names = ["doomed layer 0", "doomed layer 1"]
    import hashlib

    def digest(content):
        return "sha256:" + hashlib.sha256(content).hexdigest()

    layers = [{"mediaType": "layer", "digest": digest(text), "size": len(text)} for text in [*(name.encode() for name in names), b"shared"]]
    config = {"mediaType": "config", "digest": digest(b"doomed config"), "size": 1}
    media = "application/vnd.oci.image.manifest.v1+json"
    return json.dumps({"schemaVersion": 2, "mediaType": media, "config": config, "layers": layers}).encode()


def test_a_push_that_is_accepted_at_any_moment_can_be_pulled_in_the_end(made):
    accepted = []
    for keeper, pushed, status in at_every_request(made, push_doomed):
        assert status == DONE
        assert keeper.storage.pull("a", "1") is None
        if pushed:
            accepted.append(keeper)
            # What comes after the last look, the next run brings back.
            if keeper.storage.pull("a", "new") is not None:
                assert keeper("collect") == DONE
            assert keeper.storage.pull("a", "new") is None
    assert len(accepted) > 20


def test_a_link_that_is_written_at_any_moment_gets_its_blob_back(made):
    """A client uploads the layer: the registry finds the blob, drops the upload, and writes a link in another repository."""
    import hashlib

    digest = "sha256:" + hashlib.sha256(b"doomed layer 0").hexdigest()

    def upload(keeper):
        there = keeper.storage.content(digest) is not None
        keeper.storage.link("b", digest)
        return there

    for keeper, found, status in at_every_request(made, upload):
        assert status == DONE
        if keeper.storage.content(digest) is None:
            assert found or keeper.storage.content(digest) is None
            assert keeper("collect") == DONE
        assert keeper.storage.content(digest) is not None


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
