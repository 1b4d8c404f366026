# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection on an S3 store: what stays, what goes, and that no kill, lie or second host loses an image."""

from __future__ import annotations

import contextlib
import json
import pathlib
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stores import CHANGES, PREFIX, Killed, S3Keeper, kill_after, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.collect.access_log import AccessLog
from registry_keeper.errors import ATTENTION, BUSY, DONE, FAILED, USAGE
from registry_keeper.s3 import lease, objects
from registry_keeper.storage import redis_cache
from registry_keeper.storage.redis_cache import CacheError, RedisCache


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


def test_a_manifest_that_names_something_else_than_was_pushed_holds_its_repository(keeper):
    """A bit that has changed in a digest leaves a manifest of another image: what the right one needs would go."""
    digest = keeper.storage.image("a", "kept", "1")
    stored = keeper.store.objects[PREFIX + keeper.storage.tree.data(digest)]
    layer = json.loads(stored.content)["layers"][0]["digest"]
    stored.content = stored.content.replace(layer.encode(), f"sha256:{'0' * 64}".encode())
    for _time in range(3):
        keeper.later(24 * 8)
        assert keeper("collect") == ATTENTION
    assert keeper.storage.content(layer) is not None


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


def test_undo_brings_a_run_back_and_it_stays_for_the_grace_period(keeper):
    digest = untagged(keeper)
    before = keeper.storage.objects_of_registry()
    assert keeper("collect") == DONE
    run = keeper.document["run"]
    assert keeper.storage.pull("a", digest) is not None
    assert keeper("runs") == DONE and [one["run"] for one in keeper.document["runs"]] == [run]
    assert keeper("undo", run) == DONE
    assert keeper.storage.objects_of_registry() == before
    keeper.later(0.9)
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", digest) is None


@pytest.mark.parametrize("how", ["digest", "index"])
def test_undo_of_one_image_brings_all_that_it_needs_and_nothing_else(keeper, how):
    other = keeper.storage.image("a", "other")
    child = keeper.storage.image("a", "child", shared=[b"shared"])
    digest = keeper.storage.index("a", [child]) if how == "index" else child
    untagged(keeper, "gone")
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", digest) is not None
    assert keeper("undo", "--image", f"a@{digest}") == DONE
    assert keeper.storage.pull("a", digest) is None and keeper.storage.pull("a", other) is not None


def test_a_damaged_blob_that_nothing_needs_stays_and_keeps_nothing_else_from_going(keeper):
    damaged = keeper.storage.image("a", "damaged")
    digest = untagged(keeper)
    path = PREFIX + keeper.storage.tree.data(damaged)
    keeper.store.objects[path].content = b"damaged"
    # The second run finds no link to it any more: the blob has to wait again, and is told of from the third on.
    for status in (ATTENTION, DONE, ATTENTION):
        assert keeper("collect") == status
        keeper.later()
        assert status == DONE or any(damaged in line and "nothing needs it" in line for line in keeper.document["warnings"])
        assert keeper.storage.content(digest) is None and keeper.store.objects[path].content == b"damaged"
        assert not [name for name in keeper.store.objects if "/runs/" in name and name.endswith(f"{damaged.partition(':')[2]}/data")]
    del keeper.store.objects[path]
    assert keeper("collect") == DONE


def test_a_damaged_blob_in_the_quarantine_that_is_needed_again_is_told_of_and_ends_nothing(keeper):
    digest, other = untagged(keeper), keeper.storage.image("a", "another", "other")
    config = json.loads(keeper.storage.content(digest))["config"]["digest"]
    assert keeper("collect") == DONE
    run = keeper.document["run"]
    place, copy = (f"{PREFIX}{start}{keeper.storage.tree.data(config)}" for start in ("", f"holdfast-keeper/runs/{run}/tree/"))
    sound = keeper.store.objects[copy].content
    keeper.store.objects[copy].content = b"damaged"
    keeper.storage.tag("a", "1", digest)
    for command in ("collect", "purge", "collect"):
        assert keeper(command) == ATTENTION
        assert any(config in line and copy.removeprefix(PREFIX) in line for line in keeper.document["warnings"])
        assert place not in keeper.store.objects and keeper.storage.pull("a", other) is None
        # It may be what is left of the image: also when the run is old.
        keeper.later(24 * 8)
        assert keeper.store.objects[copy].content == b"damaged"
    assert keeper("undo", run) == ATTENTION
    keeper.storage.blob(sound)
    assert keeper("collect") == DONE and keeper.storage.pull("a", "1") is None
    keeper.later(24 * 8)
    assert keeper("purge") == DONE and copy not in keeper.store.objects


def test_a_registry_of_which_everything_has_gone_is_no_store_that_lists_nothing(keeper):
    digest = untagged(keeper)
    assert keeper("collect") == DONE and keeper.storage.content(digest) is None
    run = keeper.document["run"]
    assert not keeper.storage.objects_of_registry()
    keeper.later()
    assert keeper("collect") == DONE
    assert keeper("undo", run) == DONE and keeper.storage.pull("a", digest) is None
    keeper.later()
    assert keeper("collect") == DONE
    keeper.later()
    assert keeper("collect") == DONE and not keeper.storage.objects_of_registry()
    keeper.later(24 * 8)
    assert keeper("purge") == DONE
    assert not [name for name in keeper.store.objects if "/runs/" in name]


def test_undo_is_not_kept_from_the_rest_by_a_damaged_manifest(keeper):
    damaged = keeper.storage.image("a", "damaged")
    digest = untagged(keeper)
    keeper.store.objects[PREFIX + keeper.storage.tree.data(damaged)].content = b"damaged"
    assert keeper("collect") == ATTENTION
    run, link = keeper.document["run"], PREFIX + keeper.storage.tree.revision("a", damaged) + "/link"
    assert link not in keeper.store.objects and keeper.storage.pull("a", digest) is not None
    assert keeper("undo", "--image", f"a@{damaged}") == FAILED
    assert keeper("undo", "--image", f"a@{digest}") == DONE
    assert keeper.storage.pull("a", digest) is None and link not in keeper.store.objects
    assert keeper("undo", run) == DONE
    assert link in keeper.store.objects


def test_undo_believes_no_manifest_that_is_not_what_its_digest_says(keeper):
    digest = untagged(keeper)
    assert keeper("collect") == DONE
    copy = f"{PREFIX}holdfast-keeper/runs/{keeper.document['run']}/tree/{keeper.storage.tree.data(digest)}"
    stored = keeper.store.objects[copy]
    layer = json.loads(stored.content)["layers"][0]["digest"]
    stored.content = stored.content.replace(layer.encode(), f"sha256:{'0' * 64}".encode())
    before = keeper.storage.objects_of_registry()
    assert keeper("undo", "--image", f"a@{digest}") == FAILED
    assert "the manifest is damaged" in keeper.document["error"] and keeper.storage.objects_of_registry() == before


def test_undo_of_what_nobody_has_is_refused(keeper):
    untagged(keeper)
    assert keeper("collect") == DONE
    assert keeper("undo", "--image", "a:unknown") == USAGE
    assert keeper("undo", "20260101T000000Z-collect-0000") == USAGE


def test_a_purge_removes_what_is_old_and_brings_back_what_is_needed(keeper):
    digest = untagged(keeper)
    assert keeper("collect") == DONE
    run = keeper.document["run"]
    # A registry with a wrong cache accepted a tag that leads into the quarantine.
    keeper.storage.tag("a", "1", digest)
    keeper.later(24 * 8)
    assert keeper("purge") == DONE
    assert run in keeper.document["purged_runs"]
    assert keeper.storage.pull("a", "1") is None
    assert not [name for name in keeper.store.objects if "/runs/" in name]


def test_a_purge_can_be_killed_at_every_request_and_keeps_what_is_needed(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    number = 0
    while True:
        (tmp_path / str(number)).mkdir()
        keeper = S3Keeper(tmp_path / str(number))
        digest = untagged(keeper)
        assert keeper("collect") == DONE
        keeper.storage.tag("a", "1", digest)
        keeper.later(24 * 8)
        killed = kill_after(keeper, number)
        with contextlib.suppress(Killed):
            keeper("purge")
        keeper.store.after = lambda _method, _name: None
        if not killed:
            break
        keeper.later(1)
        assert keeper("purge") == DONE, number
        assert keeper.storage.pull("a", "1") is None, number
        number += 1
    assert number > 40


def test_young_things_stay_whatever_the_record_says(keeper):
    digest = untagged(keeper)
    keeper.storage.manifest("a", json.loads(keeper.storage.content(digest)))
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", digest) is None


def test_what_clients_of_this_host_asked_for_stays(keeper):
    digest = untagged(keeper)
    layer = json.loads(keeper.storage.content(digest))["layers"][0]["digest"]
    line = {"time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()), "method": "HEAD", "path": f"/v2/a/blobs/{layer}", "status": 200}
    keeper.log.write_text(json.dumps(line, separators=(",", ":")) + "\n")
    assert keeper("collect", access_logs=[str(keeper.log)]) == DONE
    assert keeper.storage.content(layer) is not None and keeper.storage.content(digest) is None


def test_a_mirror_is_refused(keeper):
    untagged(keeper)
    keeper.store.objects[f"{PREFIX}scheduler-state.json"] = keeper.store.objects[next(iter(keeper.store.objects))]
    before = keeper.storage.objects_of_registry()
    assert keeper("collect") == USAGE
    assert keeper.storage.objects_of_registry() == before


def test_a_dry_run_changes_nothing(keeper):
    untagged(keeper)
    before = dict(keeper.store.objects)
    assert keeper("collect", "--dry-run") == DONE
    assert keeper.document["would_take"]["manifests"] == 1
    assert keeper.store.objects == before


def test_a_command_without_a_form_for_stores_is_refused(keeper):
    assert keeper("reserve") == USAGE


# --- the store


@pytest.mark.parametrize("lie", ["wrong copies", "short copies", "no copies", "lost writes"])
def test_a_store_that_copies_or_writes_wrongly_loses_nothing(keeper, lie):
    digest = untagged(keeper)
    keeper.store.lies.add(lie)
    assert keeper("collect") in (FAILED, BUSY)
    keeper.store.lies.clear()
    keeper.later(1)
    assert keeper("collect") == DONE
    run = keeper.document["run"]
    assert keeper.storage.pull("a", digest) is None or keeper("undo", run) == DONE
    assert keeper.storage.pull("a", digest) is None or keeper("undo", "--image", f"a@{digest}") == DONE
    assert keeper.storage.pull("a", digest) is None


@pytest.mark.parametrize("versions", [("2:",), ("1:",)])
def test_a_list_that_lacks_a_tag_that_another_has_stops_the_run(keeper, versions):
    keeper.storage.image("a", "kept", "1")
    untagged(keeper, "gone")
    tag = f"{PREFIX}{keeper.storage.tree.tag('a', '1')}/current/link"
    keeper.store.hidden = {f"{version}{tag}" for version in versions}
    before = keeper.storage.objects_of_registry()
    assert keeper("collect") == FAILED
    assert keeper.storage.objects_of_registry() == before


@pytest.mark.parametrize("page", [1, 3])
def test_lists_in_pages_are_read_to_their_end(keeper, page):
    keeper.store.page = page
    keeper.storage.image("a", "kept", "1")
    digest = untagged(keeper, "gone")
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", "1") is None and keeper.storage.content(digest) is None


def test_a_clock_ahead_of_the_store_makes_nothing_older(keeper, monkeypatch):
    digest = untagged(keeper)
    keeper.storage.manifest("a", json.loads(keeper.storage.content(digest)))
    keeper.store.skew = -900
    keeper.storage.age(900)
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", digest) is None


def test_a_large_blob_is_copied_in_parts(keeper, monkeypatch):
    monkeypatch.setattr(objects, "PART", 5)
    digest = untagged(keeper)
    before = keeper.storage.objects_of_registry()
    assert keeper("collect") == DONE
    assert keeper("undo", keeper.document["run"]) == DONE
    assert keeper.storage.objects_of_registry() == before and keeper.storage.pull("a", digest) is None
    assert not keeper.store.uploads


def test_an_empty_store_has_nothing_to_collect_and_one_that_lists_nothing_any_more_is_left_alone(keeper):
    assert keeper("collect") == DONE
    keeper.storage.image("a", "kept", "1")
    untagged(keeper)
    assert keeper("collect") == DONE
    keeper.store.hidden = {name for name in keeper.store.objects if name.startswith(f"{PREFIX}docker/")}
    keeper.later(24 * 30)
    runs = [name for name in keeper.store.objects if "/runs/" in name]
    assert keeper("collect") == FAILED and keeper("purge") == FAILED
    assert [name for name in keeper.store.objects if "/runs/" in name] == runs


@pytest.mark.parametrize("conditions", [True, False])
@pytest.mark.parametrize("when", ["before", "after", "history long before"])
def test_a_tag_that_is_set_while_it_comes_back_is_what_was_set(keeper, conditions, when):
    keeper.store.conditions = conditions
    digest = untagged(keeper)
    other = keeper.storage.image("a", "other", "2")
    tag = keeper.storage.tree.tag("a", "1")
    keeper.storage.tag("a", "1", digest)
    keeper.later(1)
    assert keeper("retain", retention=[{"repositories": ["**"], "keep_matching": ["2"]}]) == DONE and keeper.document["removed"] == 1

    def push(method, name):
        if (method, name) == ("PUT", f"{PREFIX}{tag}/current/link"):
            if when.startswith("history"):
                keeper.storage._write(f"{tag}/current/link", other.encode())
            else:
                keeper.storage.tag("a", "1", other)

    if when.startswith("history"):
        keeper.storage._write(f"{tag}/index/{other.replace(':', '/')}/link", other.encode())
    setattr(keeper.store, when.split()[-1], push)
    assert keeper("undo", keeper.document["run"]) == DONE
    assert (keeper.storage.read(f"{tag}/current/link") or b"").decode() == other


# --- the lease


def test_one_host_at_a_time(keeper):
    untagged(keeper)
    held = json.dumps({"host": "h2", "purpose": "collect", "run": "another"}).encode()
    keeper.storage._write("holdfast-keeper/lease", held)
    before = keeper.storage.objects_of_registry()
    for command in (["collect"], ["purge"], ["undo", "--image", "a:1"]):
        assert keeper(*command) == BUSY
        assert "host h2" in keeper.document["error"]
    assert keeper.storage.objects_of_registry() == before and keeper.store.objects[f"{PREFIX}holdfast-keeper/lease"].content == held
    keeper.later(1)
    assert keeper("collect") == DONE and keeper.document["links"]
    assert f"{PREFIX}holdfast-keeper/lease" not in keeper.store.objects


@pytest.mark.parametrize("conditions", [True, False])
def test_of_two_that_take_the_lease_at_once_one_goes_on(keeper, monkeypatch, conditions):
    keeper.store.conditions = conditions
    untagged(keeper)
    lease, seen = f"{PREFIX}holdfast-keeper/lease", []

    def other(method, name):
        # The other one found no lease either. With conditions it writes first, without them last.
        if name == lease and method == "PUT":
            seen.append(name)
            if len(seen) == (1 if conditions else 2):
                keeper.storage._write("holdfast-keeper/lease", b'{"run": "another", "host": "h2"}')

    setattr(keeper.store, "before" if conditions else "after", other)
    before = keeper.storage.objects_of_registry()
    assert keeper("collect") == BUSY
    assert keeper.storage.objects_of_registry() == before


# --- Redis


def test_where_redis_cannot_be_told_nothing_is_taken(keeper, monkeypatch):
    digest = untagged(keeper)
    before = keeper.storage.objects_of_registry()
    assert keeper("collect", redis={"host": "127.0.0.1", "port": 1}) == FAILED
    assert keeper.storage.objects_of_registry() == before and keeper.storage.pull("a", digest) is None


def test_redis_forgets_no_layer_that_was_found_while_it_forgot_others(keeper, monkeypatch):
    """Its manifest may be the client's next request, and would be refused until the link is back."""
    keeper.storage.image("a", "kept", "1")
    layers = [keeper.storage.layer("a", b"a layer %d" % number) for number in range(9)]
    keeper.later()
    assert keeper("collect") == DONE
    keeper.later()
    forgotten, found = [], []

    def forget(_self, links):
        forgotten.append([digest for _name, digest in links])
        if len(forgotten) == 1:
            found.extend(digest for digest in layers if digest not in forgotten[0])
            now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
            lines = ({"time": now, "method": "HEAD", "path": f"/v2/a/blobs/{digest}", "status": 200} for digest in found)
            keeper.log.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))

    monkeypatch.setattr(redis_cache, "LAYERS_AT_ONCE", 3)
    monkeypatch.setattr(RedisCache, "forget_layers", forget)
    for quiet in ("check", "forget_blobs"):
        monkeypatch.setattr(RedisCache, quiet, lambda *_arguments: None)
    assert keeper("collect", access_logs=[str(keeper.log)], redis={"host": "127.0.0.1", "port": 1}) in (DONE, ATTENTION)
    assert len(found) == 6
    assert not set(found) & {digest for batch in forgotten for digest in batch}
    assert keeper.document["links"] == 3


@pytest.mark.parametrize("method", ["forget_layers", "forget_blobs"])
def test_where_redis_fails_in_between_everything_comes_back(keeper, monkeypatch, method):
    digest = untagged(keeper)
    before = keeper.storage.objects_of_registry()

    def fail(_self, things):
        if list(things):
            raise CacheError("down")

    for name in ("check", "forget_layers", "forget_blobs"):
        monkeypatch.setattr(RedisCache, name, fail if name == method else lambda _self, _things=(): None)
    assert keeper("collect", redis={"host": "127.0.0.1", "port": 1}) == FAILED
    assert keeper.storage.objects_of_registry() == before and keeper.storage.pull("a", digest) is None


def test_redis_is_told_exactly_what_has_gone(keeper, monkeypatch):
    keeper.storage.image("a", "kept", "1", shared=[b"shared"])
    digest = untagged(keeper, "gone", shared=[b"shared"])
    document = json.loads(keeper.storage.content(digest))
    own = {document["config"]["digest"], *(layer["digest"] for layer in document["layers"][:2])}
    layers, blobs = set(), set()
    monkeypatch.setattr(RedisCache, "check", lambda _self: None)
    monkeypatch.setattr(RedisCache, "forget_layers", lambda _self, links: layers.update(links))
    monkeypatch.setattr(RedisCache, "forget_blobs", lambda _self, digests: blobs.update(digests))
    assert keeper("collect", redis={"host": "127.0.0.1", "port": 1}) == DONE
    assert layers == {("a", layer) for layer in own} and blobs == {*own, digest}


def test_the_lease_is_renewed_while_a_long_access_log_is_read(keeper, monkeypatch):
    digest = untagged(keeper)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    line = f'{{"time":"{moment}","method":"GET","path":"/v2/a/blobs/sha256:{"0" * 64}","status":200}}\n'
    keeper.log.write_text(line * 200_000)
    seconds = [0.0]
    monkeypatch.setattr(lease, "clock", lambda: seconds[0])
    original = AccessLog._recent

    def slow(self, line):
        # Ten minutes for the whole of it.
        seconds[0] += 600 / 200_000
        return original(self, line)

    monkeypatch.setattr(AccessLog, "_recent", slow)
    assert keeper("collect", access_logs=[str(keeper.log)]) == DONE
    assert keeper.storage.content(digest) is None
