# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Each step of a push, between the steps of a sweep: the table at the head of sweep.py.

What a client does is done right before or after the keeper takes something, which is the worst moment for it.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from keeping import HOUR, old

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.collect.quarantine import Run
from registry_keeper.errors import DONE
from registry_keeper.storage import redis_cache
from registry_keeper.storage.redis_cache import RedisCache

WHEN = ["before", "after"]
when = pytest.mark.parametrize("moment", WHEN)


@pytest.fixture
def disturb(monkeypatch):
    """Have something done before or after the first thing is taken whose path has a certain text in it."""

    def prepare(moment, text, action):
        original, done = Run.take, []

        def take(self, relative):
            first = text in relative and not done
            if first:
                done.append(relative)
            if first and moment == "before":
                action(relative)
            result = original(self, relative)
            if first and moment == "after":
                action(relative)
            return result

        monkeypatch.setattr(Run, "take", take)
        return done

    return prepare


def link_of(digest, kind="_layers"):
    return f"{kind}/{digest.replace(':', '/')}/link"


def data_of(digest):
    return f"{digest.partition(':')[2]}/data"


def layers_of(keeper, digest):
    return [layer["digest"] for layer in json.loads(keeper.storage.content(digest))["layers"]]


@when
def test_a_layer_that_was_found_by_head_is_there_for_the_manifest(keeper, disturb, moment):
    storage = keeper.storage
    layer = storage.layer("a", b"a layer")
    storage.age(24 * HOUR)
    done = disturb(moment, link_of(layer), lambda _relative: keeper.asked(layer))
    assert keeper("collect", access_logs=[str(keeper.log)]) == DONE and done
    storage.manifest("a", {"schemaVersion": 2, "layers": [{"digest": layer}]}, "1")
    assert storage.pull("a", "1") is None


def test_redis_forgets_no_layer_that_was_found_while_it_forgot_others(keeper, monkeypatch):
    """Its manifest may be the client's next request, and would be refused until the link is back."""
    layers = [keeper.storage.layer("a", b"a layer %d" % number) for number in range(9)]
    keeper.storage.age(24 * HOUR)
    forgotten = []

    def forget(_self, links):
        forgotten.append([digest for _name, digest in links])
        if len(forgotten) == 1:
            found.extend(digest for digest in layers if digest not in forgotten[0])
            for digest in found:
                keeper.asked(digest)

    found = []
    monkeypatch.setattr(redis_cache, "LAYERS_AT_ONCE", 3)
    monkeypatch.setattr(RedisCache, "forget_layers", forget)
    for quiet in ("check", "forget_blobs"):
        monkeypatch.setattr(RedisCache, quiet, lambda *_arguments: None)
    assert keeper("collect", access_logs=[str(keeper.log)], redis={"host": "127.0.0.1", "port": 1}) == DONE
    assert len(found) == 6
    assert not set(found) & {digest for batch in forgotten for digest in batch}
    assert keeper.document["brought_back"] == 6 and keeper.document["links"] == 3


@when
def test_a_manifest_pushed_without_a_question_gets_its_layers(keeper, disturb, moment):
    """As long as Redis has not been told, the registry accepts it."""
    storage = keeper.storage
    layer = storage.layer("a", b"a layer")
    storage.age(24 * HOUR)
    document = {"schemaVersion": 2, "layers": [{"digest": layer}]}
    done = disturb(moment, link_of(layer), lambda _relative: storage.manifest("a", document, "1"))
    assert keeper("collect") == DONE and done
    assert storage.pull("a", "1") is None


@when
@pytest.mark.parametrize("text", ["_manifests/revisions", "_layers"])
def test_a_manifest_that_is_pushed_again_is_whole(keeper, disturb, moment, text):
    storage = keeper.storage
    digest = old(keeper)
    document = json.loads(storage.content(digest))
    done = disturb(moment, text, lambda _relative: storage.manifest("a", document, "again"))
    assert keeper("collect") == DONE and done
    assert storage.pull("a", "again") is None


@when
def test_a_manifest_whose_content_was_there_when_it_was_pushed_again_keeps_it(keeper, disturb, moment):
    """The registry finds the content, does not write it, and writes the links."""
    storage = keeper.storage
    digest = old(keeper)

    def put(_relative):
        for path in (storage.tree.revision("a", digest), storage.tree.tag("a", "again") + "/current"):
            os.makedirs(path, exist_ok=True)
            pathlib.Path(path, "link").write_text(digest)

    done = disturb(moment, data_of(digest), put)
    assert keeper("collect") == DONE and done
    assert storage.pull("a", "again") is None


@pytest.mark.parametrize("kind", ["_layers", "_manifests/revisions"])
def test_a_link_that_was_open_when_it_was_taken_comes_back(keeper, disturb, kind):
    """2.8 writes in place: it opens the link, the keeper renames it, and the registry writes into the quarantine."""
    storage = keeper.storage
    digest = old(keeper)
    target = digest if "revisions" in kind else layers_of(keeper, digest)[0]
    opened = []

    def open_it(relative):
        opened.append(open(os.path.join(storage.path, relative), "r+"))  # noqa: SIM115

    disturb("before", link_of(target, kind), open_it)
    disturb("after", link_of(target, kind), lambda _relative: (opened[0].truncate(0), opened[0].write(target), opened[0].close()))
    assert keeper("collect") == DONE and opened
    directory = storage.tree.revision("a", target) if "revisions" in kind else storage.tree.layer("a", target)
    assert pathlib.Path(directory, "link").read_text() == target


@when
@pytest.mark.parametrize("upload", ["still there", "just gone"])
def test_an_upload_that_found_its_blob_there_keeps_it(keeper, disturb, moment, upload):
    """The registry finds the blob, drops what was uploaded, and writes a link, also in a repository that never had the layer."""
    storage = keeper.storage
    layer = storage.blob(b"a layer")
    storage.age(24 * HOUR)
    path = pathlib.Path(storage.tree.uploads("b"), "an-upload")
    path.mkdir(parents=True)
    (path / "data").write_bytes(b"longer for now, so that the keeper does not wait for it")

    def commit(_relative):
        if upload == "still there":
            (path / "data").write_bytes(b"a layer")
        else:
            storage.link("b", layer)
            (path / "data").unlink()

    done = disturb(moment, data_of(layer), commit)
    assert keeper("collect") == DONE and done
    storage.link("b", layer)
    assert storage.content(layer) == b"a layer"


def test_a_blob_whose_upload_may_be_ending_is_left_for_the_next_time(keeper):
    storage = keeper.storage
    layer = storage.blob(b"a layer")
    storage.age(24 * HOUR)
    path = pathlib.Path(storage.tree.uploads("b"), "an-upload")
    path.mkdir(parents=True)
    (path / "data").write_bytes(b"a layer")
    assert keeper("collect") == DONE and keeper.document["swept_blobs"] == 0
    assert storage.content(layer) is not None


@when
@pytest.mark.parametrize("text", ["_layers", "/data"])
@pytest.mark.parametrize("repository", ["b", "new/and/deep"])
def test_a_layer_that_was_mounted_stays(keeper, disturb, moment, text, repository):
    storage = keeper.storage
    layer = storage.layer("a", b"a layer")
    storage.layer("b", b"another")
    storage.age(24 * HOUR)
    done = disturb(moment, text, lambda _relative: storage.link(repository, layer))
    assert keeper("collect") == DONE and done
    assert storage.content(layer) == b"a layer"


@when
def test_a_layer_whose_link_a_client_deleted_during_the_sweep_and_wrote_again_keeps_its_content(keeper, disturb, moment):
    """The link comes back into a directory that is there, so nothing above it changes; and the keeper has not taken it either."""
    storage = keeper.storage
    layer, other = storage.layer("a", b"a layer"), old(keeper)
    link = pathlib.Path(storage.tree.layer("a", layer), "link")
    deleted = disturb("before", link_of(other, "_manifests/revisions"), lambda _relative: link.unlink())
    written = disturb(moment, data_of(layer), lambda _relative: link.write_text(layer))
    assert keeper("collect") == DONE and deleted and written
    assert link.exists() and storage.content(layer) == b"a layer"


@when
def test_a_signature_stays_where_its_subject_is_pushed_again(keeper, disturb, moment):
    storage = keeper.storage
    subject = old(keeper)
    tag = subject.replace(":", "-") + ".sig"
    signature = storage.image("a", "a signature", tag)
    storage.age(24 * HOUR)
    document = json.loads(storage.content(subject))
    done = disturb(moment, "_manifests/tags/", lambda _relative: storage.manifest("a", document, "again"))
    assert keeper("collect") == DONE and done
    assert storage.pull("a", tag) is None and storage.pull("a", signature) is None and storage.pull("a", "again") is None


@when
def test_a_tag_set_to_an_old_manifest_keeps_it(keeper, disturb, moment):
    storage = keeper.storage
    digest = old(keeper)
    disturb(moment, "_manifests/revisions", lambda _relative: storage.tag("a", "again", digest))
    assert keeper("collect") == DONE
    assert storage.pull("a", "again") is None


def test_an_upload_of_the_same_blob_is_not_replaced_by_the_one_that_comes_back(keeper, disturb):
    """The new one may be what replaces a damaged one."""
    storage = keeper.storage
    layer = storage.layer("a", b"a layer")
    pathlib.Path(storage.tree.data(layer)).write_bytes(b"damaged")
    storage.age(24 * HOUR)
    disturb("after", "/data", lambda _relative: storage.layer("a", b"a layer"))
    assert keeper("collect") == DONE
    assert storage.content(layer) == b"a layer"
