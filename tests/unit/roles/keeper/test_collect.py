# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a collection takes, what it keeps, and what comes back."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from keeping import HOUR, old
from trees import PROGRAM

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import lock
from registry_keeper.errors import ATTENTION, BUSY, DONE, FAILED, USAGE, KeeperError
from registry_keeper.storage import redis_cache


def test_what_a_tag_names_stays_and_what_none_names_goes(keeper):
    kept = old(keeper, "1")
    gone = old(keeper, name="another image", shared=[b"an image layer 0"])
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", "1") is None and keeper.storage.pull("a", kept) is None
    assert "no link" in keeper.storage.pull("a", gone)
    assert keeper.storage.content(gone) is None
    assert (keeper.document["swept_blobs"], keeper.document["links"]) == (4, 4)  # manifest, config, two layers; the shared one stays


def test_a_second_collection_finds_nothing_more(keeper):
    old(keeper, "1")
    old(keeper, name="another image")
    keeper("collect")
    before = keeper.storage.files()
    assert keeper("collect") == DONE
    assert keeper.storage.files() == before and keeper.document["links"] == keeper.document["swept_blobs"] == 0


def test_a_dry_run_changes_nothing_and_says_what_would_go(keeper):
    gone = old(keeper)
    before = keeper.storage.files()
    assert keeper("collect", "--dry-run") == DONE
    assert keeper.storage.files() == before
    would_take = dict(keeper.document["would_take"])
    assert would_take.pop("time") > 0
    assert would_take == {"manifests": 1, "layers": 3, "blobs": 4, "bytes": sum(map(len, before.values())) - 4 * 71}
    assert keeper.storage.pull("a", gone) is None


def test_children_of_an_index_stay(keeper):
    children = [old(keeper, name=f"platform {number}") for number in range(3)]
    keeper.storage.index("a", [keeper.storage.index("a", children[:2]), children[2]], "multi")
    keeper.storage.age(24 * HOUR)
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", "multi") is None and keeper.document["links"] == 0


def test_referrers_and_fallback_tags_live_and_die_with_their_subject(keeper):
    storage = keeper.storage
    subject = old(keeper, "1")
    referrer = old(keeper, name="a signature", subject=subject)
    about = old(keeper, name="a signature of the signature", subject=referrer)
    fallback = storage.image("a", "fallback", subject.replace(":", "-"))
    cosign = storage.image("a", "cosign", fallback.replace(":", "-") + ".sig")
    storage.age(24 * HOUR)
    assert keeper("collect") == DONE and keeper.document["links"] == 0
    storage.untag("a", "1")
    storage.age(24 * HOUR)
    assert keeper("collect") == DONE and keeper.document["fallback_tags"] == 2
    assert [tag for repository, tag in storage.tags() if storage.pull(repository, tag) is None] == []
    keeper.collect_settings["undo_seconds"] = 0
    assert keeper("purge") == DONE and os.listdir(storage.tree.repositories + "/a/_manifests/tags") == []
    assert all(storage.pull("a", digest) for digest in (subject, referrer, about, fallback, cosign))


def test_a_fallback_tag_of_a_subject_that_was_never_there_is_a_tag(keeper):
    old(keeper, "sha256-" + "ab" * 32 + ".sig")
    assert keeper("collect") == DONE and keeper.document["links"] == 0


@pytest.mark.parametrize("where", ["layer with urls", "platform of an index", "layer"])
def test_only_what_has_to_be_there_is_missed(keeper, where):
    digest = "sha256:" + "ef" * 32
    described = {"digest": digest, **({"urls": ["https://elsewhere.example.org/layer"]} if where == "layer with urls" else {})}
    keeper.storage.manifest("a", {"schemaVersion": 2, "manifests" if "index" in where else "layers": [described]}, "1")
    assert keeper("collect") == (ATTENTION if where == "layer" else DONE)
    assert keeper.document["missing"] == ([digest] if where == "layer" else [])


def test_a_tag_whose_manifest_was_deleted_keeps_nothing(keeper):
    gone = old(keeper, "1")
    os.unlink(keeper.storage.tree.revision("a", gone) + "/link")
    keeper.storage.age(24 * HOUR)
    assert keeper("collect") == DONE
    assert keeper.document["dangling_tags"] == 1 and keeper.document["swept_blobs"] == 4


def test_a_layer_of_one_repository_goes_there_and_stays_in_another(keeper):
    old(keeper, name="shared", repository="a")
    kept = old(keeper, "1", name="shared", repository="b/c")
    assert keeper("collect") == DONE
    assert keeper.storage.pull("b/c", kept) is None and keeper.storage.pull("a", kept)
    assert (keeper.document["links"], keeper.document["swept_blobs"]) == (4, 0)


@pytest.mark.parametrize("what", ["all of it", "tag moved", "tag removed", "manifest deleted"])
def test_what_is_young_stays_for_the_grace_period(keeper, what):
    storage = keeper.storage
    if what == "all of it":
        digest = storage.image("a", "an image")
    else:
        digest = old(keeper, "1")
        if what == "tag moved":
            storage.image("a", "the next image", "1")
        elif what == "tag removed":
            storage.untag("a", "1")
        else:
            os.unlink(storage.tree.revision("a", digest) + "/link")
    for _time in range(2):
        assert keeper("collect") == DONE and keeper.document["links"] == keeper.document["swept_blobs"] == 0
    if what == "tag removed":
        state = pathlib.Path(storage.path, "keeper/untagged.json")
        state.write_text(state.read_text().replace(str(int(time.time()))[:6], "1" + "0" * 5))
    storage.age(24 * HOUR)
    assert keeper("collect") == DONE and keeper.document["swept_blobs"] == 4


@pytest.mark.parametrize(("status", "method", "kept"), [(200, "HEAD", True), (200, "GET", True), (404, "HEAD", False), (202, "DELETE", False)])
def test_what_a_client_has_just_found_stays(keeper, status, method, kept):
    layer = keeper.storage.layer("a", b"a layer")
    keeper.storage.age(24 * HOUR)
    keeper.asked(layer, method, status)
    assert keeper("collect", access_logs=[str(keeper.log)]) == DONE
    assert (keeper.storage.content(layer) is not None) == kept
    assert os.path.exists(keeper.storage.tree.layer("a", layer) + "/link") == kept


def test_what_a_client_found_before_the_grace_period_goes(keeper):
    layer = keeper.storage.layer("a", b"a layer")
    keeper.storage.age(24 * HOUR)
    keeper.asked(layer, moment=time.time() - 2 * HOUR)
    assert keeper("collect", access_logs=[str(keeper.log)]) == DONE
    assert keeper.storage.content(layer) is None


def test_nothing_is_taken_where_the_access_log_cannot_be_read(keeper, tmp_path):
    old(keeper)
    before = keeper.storage.files()
    (tmp_path / "directory.log").mkdir()
    os.utime(tmp_path / "directory.log")
    assert keeper("collect", access_logs=[str(tmp_path / "directory.log")]) == FAILED
    assert keeper.storage.files() == before and "cannot be read" in keeper.document["error"]


def test_nothing_is_taken_from_a_repository_with_a_tagged_manifest_that_cannot_be_read(keeper):
    damaged = old(keeper, "1")
    old(keeper, name="another")
    pathlib.Path(keeper.storage.tree.data(damaged)).write_text('{"cut sho')
    os.utime(keeper.storage.tree.data(damaged), (0, 0))
    before = keeper.storage.files()
    assert keeper("collect") == ATTENTION
    assert keeper.storage.files() == before and keeper.document["unreadable"] == {"a": 1}


@pytest.mark.parametrize("moved", ["team", "team/app", "team/app/_manifests", "team/app/_manifests/tags/1"])
@pytest.mark.parametrize("mounted", [True, False])
def test_behind_a_symbolic_link_nothing_is_overlooked(keeper, tmp_path, moved, mounted):
    """The registry serves what is behind it. Where its disk is not mounted, what it leads to is not there."""
    old(keeper, "1", repository="team/app")
    place = f"{keeper.storage.tree.repositories}/{moved}"
    os.rename(place, tmp_path / "other disk")
    os.symlink(tmp_path / ("other disk" if mounted else "not mounted"), place)
    before = keeper.storage.files()
    for command in ("collect",), ("collect", "--dry-run"), ("purge",), ("scrub", "--full"), ("retain",):
        assert keeper(*command, retention=[{"repositories": ["**"], "keep_newest": 1}]) == FAILED
        assert keeper.document["error"].startswith(f"{place}: is a symbolic link") and "move what it leads to into its place" in keeper.document["error"]
    assert keeper("status") == ATTENTION and any("is a symbolic link" in reason for reason in keeper.document["needs_a_hand"])
    assert keeper.storage.files() == before
    os.unlink(place)
    os.rename(tmp_path / "other disk", place)
    assert keeper("collect") == DONE and keeper.storage.pull("team/app", "1") is None


@pytest.mark.parametrize("moved", ["", "/a/_manifests/tags", "/a/_manifests/revisions", "/a/_manifests/revisions/sha256", "/a/_manifests/revisions/sha256/IT"])
def test_what_is_on_a_disk_that_is_not_mounted_is_not_taken_for_removed(keeper, tmp_path, moved):
    place = keeper.storage.tree.repositories + moved.replace("IT", old(keeper, "1").partition(":")[2])
    os.rename(place, tmp_path / "other disk")
    os.symlink(tmp_path / "not mounted", place)
    before = keeper.storage.files()
    assert keeper("collect") == FAILED and keeper.document["error"].startswith(f"{place}: is a symbolic link")
    assert keeper.storage.files() == before


def test_a_storage_may_be_a_symbolic_link(keeper, tmp_path):
    kept, gone = old(keeper, "1"), old(keeper, name="another")
    os.rename(keeper.storage.path, tmp_path / "disk")
    os.symlink(tmp_path / "disk", keeper.storage.path)
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", kept) is None and keeper.storage.content(gone) is None


def test_a_broken_tag_keeps_what_it_may_have_named_and_is_mended(keeper):
    digest = old(keeper, "1")
    link = pathlib.Path(keeper.storage.tree.tag("a", "1"), "current/link")
    link.write_text("")
    os.utime(link, (1000, 1000))
    assert keeper("collect") == DONE
    assert link.read_text() == digest and keeper.storage.pull("a", "1") is None and keeper.document["mended_links"] == 1


def test_empty_links_are_written_again_and_those_to_nothing_go(keeper):
    digest = old(keeper, "1")
    layer, nothing = keeper.storage.layer("a", b"an image layer 0"), "sha256:" + "cd" * 32
    keeper.storage.link("a", nothing)
    for path in (keeper.storage.tree.layer("a", layer), keeper.storage.tree.layer("a", nothing), keeper.storage.tree.revision("a", digest)):
        pathlib.Path(path, "link").write_text("")
        os.utime(path + "/link", (1000, 1000))
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", "1") is None
    assert not os.path.exists(keeper.storage.tree.layer("a", nothing) + "/link")


def test_abandoned_uploads_go_and_open_ones_stay(keeper):
    old(keeper, "1")
    for name, age in (("open", 0), ("abandoned", 8 * 24 * HOUR)):
        path = pathlib.Path(keeper.storage.tree.uploads("a"), name)
        path.mkdir(parents=True)
        for file in ("startedat", "data"):
            (path / file).write_text("x")
            os.utime(path / file, (time.time() - age,) * 2)
        os.utime(path, (time.time() - age,) * 2)
    assert keeper("collect") == DONE and keeper.document["abandoned_uploads"] == 1
    assert os.listdir(keeper.storage.tree.uploads("a")) == ["open"]


def test_a_whole_run_is_undone(keeper):
    gone, multi = old(keeper), keeper.storage.index("a", [old(keeper, name="a child")])
    keeper.storage.age(24 * HOUR)
    before = keeper.storage.files()
    keeper("collect")
    run = keeper.document["run"]
    assert keeper.storage.pull("a", gone)
    assert keeper("undo", run) == DONE
    assert keeper.storage.files() == before and keeper.storage.pull("a", multi) is None
    assert keeper("runs") == DONE and keeper.document["runs"] == []
    assert keeper("collect") == DONE and keeper.document["links"] == 0  # it is young again


def test_one_image_is_brought_back_with_children_and_signatures(keeper):
    child = old(keeper, name="a child")
    multi = keeper.storage.index("a", [child])
    signature = keeper.storage.image("a", "signature", multi.replace(":", "-") + ".sig")
    other = keeper.storage.image("a", "another")
    keeper.storage.age(24 * HOUR)
    keeper("collect")
    assert keeper.storage.pull("a", multi)
    assert keeper("undo", "--image", f"a@{multi}") == DONE
    assert keeper.storage.pull("a", multi) is None and keeper.storage.pull("a", signature) is None and keeper.storage.pull("a", other)
    assert ("a", multi.replace(":", "-") + ".sig") in keeper.storage.tags()


def spoil(keeper, digest, run=None):
    """Change a digit of a digest that a manifest names: what is left names a layer that is nowhere."""
    data = keeper.storage.tree.data(digest)
    path = pathlib.Path(f"{keeper.storage.path}/keeper/runs/{run}/tree", os.path.relpath(data, keeper.storage.path)) if run else pathlib.Path(data)
    document = json.loads(path.read_bytes())
    document["layers"][0]["digest"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(document))


def test_an_image_whose_manifest_is_damaged_is_not_brought_back_as_if_it_were_whole(keeper):
    digest = old(keeper)
    keeper("collect")
    run, before = keeper.document["run"], keeper.storage.files()
    spoil(keeper, digest, run)
    assert keeper("undo", "--image", f"a@{digest}") == FAILED
    assert "cannot be read: is not what its digest says" in keeper.document["error"] and keeper.storage.files() == before
    # All of the run comes back as it was taken.
    assert keeper("undo", run) == DONE and len(keeper.storage.files()) > len(before)


def test_a_damaged_signature_is_named_and_does_not_keep_its_image_from_coming_back(keeper):
    digest = old(keeper)
    signature = keeper.storage.image("a", "signature", digest.replace(":", "-") + ".sig")
    referrer = keeper.storage.image("a", "sbom", subject=digest)
    keeper.storage.age(24 * HOUR)
    keeper("collect")
    for damaged in (signature, referrer):
        spoil(keeper, damaged, keeper.document["run"])
    assert keeper("undo", "--image", f"a@{digest}") == ATTENTION
    assert keeper.storage.pull("a", digest) is None and keeper.storage.pull("a", signature) is not None
    assert [line for line in keeper.document["warnings"] if signature in line]


@pytest.mark.parametrize("arguments", [(), ("no-such-run",), ("--image", "nonsense"), ("--image", "a:nowhere"), ("--image", "a@sha256:" + "00" * 32)])
def test_an_undo_of_what_is_not_there_is_refused(keeper, arguments):
    old(keeper, "1")
    before = keeper.storage.files()
    assert keeper("undo", *arguments) == USAGE
    assert keeper.storage.files() == before


def test_a_purge_comes_after_the_time_for_undoing_and_frees_the_space(keeper):
    old(keeper, "1")
    gone = old(keeper, name="another")
    keeper("collect")
    run = pathlib.Path(keeper.storage.path, "keeper/runs", keeper.document["run"])
    assert keeper("collect") == DONE and run.exists()
    assert keeper("purge") == DONE and run.exists()
    keeper.collect_settings["undo_seconds"] = 0
    assert keeper("collect") == DONE
    assert keeper.document["purged_blobs"] == 4 and not run.exists()
    assert not os.path.exists(keeper.storage.tree.blob(gone)) and not os.path.exists(keeper.storage.tree.revision("a", gone))
    assert keeper.storage.pull("a", "1") is None


@pytest.mark.parametrize("days", [-400, 400], ids=["behind", "ahead"])
@pytest.mark.parametrize("then", [True, False], ids=["when it was taken", "afterwards"])
def test_a_clock_that_jumps_neither_ends_the_time_for_undoing_nor_stops_it(keeper, monkeypatch, days, then):
    old(keeper, name="another")
    clock, real, boot = [0.0], time.time, time.clock_gettime
    monkeypatch.setattr(time, "time", lambda: real() + clock[0])
    assert keeper("collect") == DONE
    run = pathlib.Path(keeper.storage.path, "keeper/runs", keeper.document["run"])
    info = json.loads((run / "run.json").read_text())
    if then:
        info["ended"] += days * 24 * HOUR
        (run / "run.json").write_text(json.dumps(info))
    else:
        clock[0] = days * 24 * HOUR
    assert keeper("purge") == DONE and keeper.document["purged_runs"] == []
    assert keeper("runs") == DONE and abs(keeper.document["runs"][0]["until"] - time.time() - 7 * 24 * HOUR) < 60
    monkeypatch.setattr(time, "clock_gettime", lambda which: boot(which) + 8 * 24 * HOUR)
    assert keeper("purge") == DONE and keeper.document["purged_runs"] == [run.name]


@pytest.mark.parametrize("more", [{"boot": "another"}, {}], ids=["before the last boot", "by a version that did not note it"])
def test_without_the_uptime_the_clock_says_how_long_a_run_can_be_undone(keeper, more):
    old(keeper, name="another")
    keeper("collect")
    run = pathlib.Path(keeper.storage.path, "keeper/runs", keeper.document["run"])
    info = json.loads((run / "run.json").read_text())
    kept = {key: info[key] for key in info if key not in ("boot", "uptime")}
    for days, purged in ((6, []), (8, [run.name])):
        (run / "run.json").write_text(json.dumps({**kept, "ended": info["ended"] - days * 24 * HOUR, **({**more, "uptime": 0} if more else {})}))
        assert keeper("purge") == DONE and keeper.document["purged_runs"] == purged


def test_a_purge_brings_back_what_was_pushed_into_a_hole(keeper):
    """A cache that was not told lets a registry accept a manifest whose layers, or whose own content, have gone."""
    digest = old(keeper)
    document = json.loads(keeper.storage.content(digest))
    keeper("collect")
    storage = keeper.storage
    for path in (storage.tree.revision("a", digest), storage.tree.tag("a", "again") + "/current"):
        os.makedirs(path, exist_ok=True)
        pathlib.Path(path, "link").write_text(digest)
    assert storage.pull("a", "again")
    keeper.collect_settings["undo_seconds"] = 0
    assert keeper("purge") == DONE
    assert storage.pull("a", "again") is None and len(document["layers"]) == 2


@pytest.mark.parametrize("removed", range(0, 24, 3))
def test_what_a_killed_purge_leaves_is_whole_where_it_comes_back(keeper, monkeypatch, removed):
    """A subject that is pushed again brings its signature back from the quarantine, or not, but never half of it."""
    storage = keeper.storage
    subject = old(keeper)
    document = json.loads(storage.content(subject))
    tag = subject.replace(":", "-") + ".sig"
    storage.image("a", "a signature", tag)
    storage.age(24 * HOUR)
    keeper("collect")
    left, unlink = [removed], os.unlink

    def stop(path, *arguments, **more):
        if "/tree/" in str(path):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
        unlink(path, *arguments, **more)

    keeper.collect_settings["undo_seconds"] = 0
    with monkeypatch.context() as context:
        context.setattr(os, "unlink", stop)
        keeper("purge")
    keeper.collect_settings["undo_seconds"] = 7 * 24 * HOUR
    storage.image("a", "an image")
    storage.manifest("a", document, "again")
    assert keeper("collect") == DONE
    assert [problem for repository, name in storage.tags() if (problem := storage.pull(repository, name))] == []


def test_a_tag_brings_its_manifest_back(keeper):
    digest = old(keeper)
    keeper("collect")
    keeper.storage.tag("a", "again", digest)
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", "again") is None


def test_what_the_registry_may_remember_is_not_purged_while_it_runs(keeper, monkeypatch):
    old(keeper)
    keeper.collect_settings.update(memory_cache=True, undo_seconds=0)
    monkeypatch.setattr("registry_keeper.collect.removal.registry_began", lambda: time.time() - HOUR)
    keeper("collect")
    run = keeper.document["run"]
    assert keeper("purge") == DONE and keeper.document["kept_for_registry"] == [run]
    monkeypatch.setattr("registry_keeper.collect.removal.registry_began", time.time)
    assert keeper("purge") == DONE and keeper.document["purged_runs"] == [run]


def test_two_at_once_do_not_meet(keeper):
    old(keeper)
    before = keeper.storage.files()
    with lock.hold(keeper.storage.path + "/keeper", "a test"):
        assert keeper("collect") == keeper("purge") == keeper("undo", "x") == BUSY
    assert keeper.storage.files() == before and "a test" in keeper.document["error"]


def test_the_lock_ends_with_the_program_and_not_with_what_it_has_forked(tmp_path):
    ready, held = os.pipe(), os.pipe()
    program = os.fork()
    if program == 0:
        with lock.hold(str(tmp_path), "a test"):
            if os.fork() == 0:
                signal.alarm(10)  # whatever becomes of the test
                lock.leave_to_parent()
                os.write(ready[1], b"x")
                os.read(held[0], 1)  # lives on
                os._exit(0)
            time.sleep(30)
    os.read(ready[0], 1)
    with pytest.raises(KeeperError, match="a test"), lock.hold(str(tmp_path), "another"):
        pass
    os.kill(program, signal.SIGKILL)
    os.waitpid(program, 0)
    with lock.hold(str(tmp_path), "another"):
        os.write(held[1], b"x")


def test_a_cache_that_cannot_be_told_stops_the_collection(keeper):
    old(keeper)
    before = keeper.storage.files()
    assert keeper("collect", redis={"host": "127.0.0.1", "port": 1}) == FAILED
    assert keeper.storage.files() == before and "nothing was collected" in keeper.document["error"]


def test_what_was_taken_goes_back_where_the_cache_fails_on_the_way(keeper, monkeypatch):
    old(keeper)
    before = keeper.storage.files()
    calls, limit = [], [0]

    def fail_later(self, commands):
        calls.append(commands)
        if len(calls) > limit[0]:
            raise redis_cache.CacheError("hangs")

    monkeypatch.setattr(redis_cache.RedisCache, "_run", fail_later)
    for number in range(1, 9):
        calls.clear()
        limit[0] = number
        keeper.storage.age(24 * HOUR)  # what goes back is young
        if keeper("collect", redis={"host": "127.0.0.1", "port": 1}) == DONE:
            break
        assert keeper.storage.files() == before and "back in its place" in keeper.document["error"]
    assert limit[0] > 3


@pytest.mark.parametrize("number", range(0, 30, 2))
def test_a_full_disk_loses_nothing_and_the_next_run_does_the_work(keeper, monkeypatch, number):
    gone = old(keeper)
    before, left, mkdir = keeper.storage.files(), [number], os.mkdir

    def full(path, *arguments, **more):
        # A directory that is there needs no space. And what was done is done, also if it cannot be noted for `status`.
        counted = not os.path.isdir(path) and not str(path).endswith("/status")
        left[0] -= counted
        if counted and left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        mkdir(path, *arguments, **more)

    with monkeypatch.context() as context:
        context.setattr(os, "mkdir", full)
        status = keeper("collect")
    assert status == (DONE if left[0] >= 0 else FAILED)
    if status == FAILED:
        assert keeper.storage.files() == before and "No space left" in keeper.document["error"]
    keeper.storage.age(24 * HOUR)
    assert keeper("collect") == DONE
    assert keeper.storage.pull("a", gone)


def test_redis_is_told_exactly_what_has_gone(keeper, monkeypatch):
    old(keeper, "1", name="kept")
    digest = old(keeper)
    layers = [layer["digest"] for layer in json.loads(keeper.storage.content(digest))["layers"]]
    told = []
    monkeypatch.setattr(redis_cache.RedisCache, "_run", lambda self, commands: told.extend(commands))
    assert keeper("collect", redis={"host": "127.0.0.1", "port": 1}) == DONE
    for layer in layers:
        assert (b"SREM", b"repository::a::blobs", layer.encode()) in told
        assert (b"DEL", f"repository::a::blobs::{layer}".encode()) in told
    assert {command for command in told if command[1:2] and command[1].startswith(b"blobs::")} == {
        (b"DEL", f"blobs::{name}".encode()) for name in [digest, *layers, *_configs(keeper, digest)]
    }


def _configs(keeper, digest):
    relative = os.path.relpath(keeper.storage.tree.data(digest), keeper.storage.path)
    content = pathlib.Path(keeper.storage.path, "keeper/runs", keeper.document["run"], "tree", relative).read_text()
    return [json.loads(content)["config"]["digest"]]


@pytest.mark.parametrize("killed", [False, True])
def test_on_a_full_disk_what_is_due_is_removed_first(keeper, monkeypatch, killed):
    old(keeper, "1")
    gone = old(keeper, name="another")
    keeper("collect")
    due = pathlib.Path(keeper.storage.path, "keeper/runs", keeper.document["run"])
    due = due.rename(due.with_name("20260102T000000Z-collect"))
    if killed:
        other = due.with_name("20260101T000000Z-collect")
        (other / "tree").mkdir(parents=True)
        (other / "tree/something").touch()
    old(keeper, name="a third")
    keeper.collect_settings["undo_seconds"] = 0
    open_file = os.open

    def full(path, flags, *arguments, **more):
        if flags & os.O_CREAT and ".new." in str(path) and due.exists():
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return open_file(path, flags, *arguments, **more)

    with monkeypatch.context() as context:
        context.setattr(os, "open", full)
        assert keeper("collect") == DONE
    assert keeper.document["purged_blobs"] == keeper.document["swept_blobs"] == 4 and not due.exists()
    assert not os.path.exists(keeper.storage.tree.blob(gone)) and keeper.storage.pull("a", "1") is None


def test_what_cannot_be_remembered_of_manifests_without_a_tag_is_forgotten(keeper, monkeypatch):
    """Or a manifest that has a tag by now would count as one that has had none for long, once the tag is removed."""
    digest = old(keeper, "1")
    keeper.storage.untag("a", "1")
    keeper("collect")
    state = pathlib.Path(keeper.storage.path, "keeper/untagged.json")
    assert digest in state.read_text()
    keeper.storage.tag("a", "1", digest)
    open_file = os.open

    def full(path, *arguments, **more):
        if "untagged" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return open_file(path, *arguments, **more)

    with monkeypatch.context() as context:
        context.setattr(os, "open", full)
        assert keeper("collect") == DONE and not state.exists()
    assert keeper("collect") == DONE and state.exists()


@pytest.mark.parametrize("more", ['"x":' + "[" * 2000 + "]" * 2000, '"x":' + "1" * 5000, '"annotations":{"author":"J\xfcrgen"}', '"Layers":[{"Digest":"%s"}]'])
def test_an_odd_manifest_that_the_registry_accepts_holds_up_nobody_and_keeps_its_layers(keeper, more):
    storage = keeper.storage
    config, layer = storage.layer("a", b"config"), storage.layer("a", b"layer")
    content = f'{{"schemaVersion":2,"config":{{"digest":"{config}"}},"layers":[{{"digest":"{layer}"}}],{more}}}'
    if "Layers" in more:
        content = f'{{"schemaVersion":2,"Config":{{"Digest":"{config}"}},{more % layer}}}'
    digest = storage.blob(content.encode("latin-1"))
    os.makedirs(storage.tree.revision("a", digest))
    pathlib.Path(storage.tree.revision("a", digest), "link").write_text(digest)
    storage.tag("a", "1", digest)
    gone = old(keeper)
    assert keeper("collect") == DONE and keeper.document["warnings"] == []
    assert storage.content(config) and storage.content(layer) and not storage.content(gone)
    assert keeper("scrub", "--full") == DONE


@pytest.mark.parametrize("name", ["sha256-" + "0" * 65, "sha256-" + "0" * 96 + ".sig", "sha512-" + "0" * 127])
def test_a_tag_that_is_nearly_a_fallback_tag_is_one_like_any_other(keeper, monkeypatch, name):
    monkeypatch.setattr("registry_keeper.retain.retention.SETTLING_SECONDS", 0)
    old(keeper, "1")
    old(keeper, name, "another")
    assert keeper("retain", retention=[{"repositories": ["**"], "keep_matching": ["1"]}]) == DONE and keeper.document["removed"] == 1
    run = keeper.document["run"]
    assert keeper("collect") == keeper("purge") == DONE and keeper.document["purged_runs"] == []
    assert keeper("undo", run) == DONE and ("a", name) in keeper.storage.tags()


def test_what_belongs_to_another_user_comes_back_too(keeper, monkeypatch):
    """As where root has copied files into the storage: only their owner may set their times, or make hard links to them."""
    gone = old(keeper)
    assert keeper("collect") == DONE
    run = keeper.document["run"]
    with monkeypatch.context() as context:
        for name in ("utime", "link"):

            def refused(*_arguments, **_options):
                raise PermissionError(errno.EPERM, "Operation not permitted")

            context.setattr(os, name, refused)
        assert keeper("undo", run) == DONE and keeper.document["brought_back"] == 8
    assert keeper.storage.pull("a", gone) is None
    assert keeper("collect") == DONE and keeper.document["links"] == 0  # it is young


def test_what_cannot_come_back_is_named(keeper, monkeypatch):
    old(keeper)
    assert keeper("collect") == DONE

    def refused(*_arguments, **_options):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refused)
    assert keeper("undo", keeper.document["run"]) == FAILED
    assert keeper.document["error"].startswith(f"{keeper.storage.path}/keeper/runs/") and keeper.document["error"].endswith("/data: Read-only file system")


SLOW = "from registry_keeper.collect import mark; mark.ALONE = 0; mark.survey = lambda *_arguments: time.sleep(30)\n"


# The signal comes again while the first one is recorded, as from timeout(1).
TWICE = "import os, signal; finish = main.Report.finish\n"
TWICE += "main.Report.finish = lambda *arguments: (os.kill(os.getpid(), signal.SIGTERM), finish(*arguments))[1]\n"


@pytest.mark.parametrize("first", [pytest.param("", id="once"), pytest.param(SLOW, id="while others mark"), pytest.param(TWICE, id="twice")])
def test_a_run_that_systemd_ends_is_recorded_and_the_next_one_finishes_it(keeper, first):
    old(keeper, "1")
    old(keeper, name="another", repository="b")
    keeper.collect_settings["settle_seconds"] = 30
    keeper("collect", "--dry-run")  # writes the settings
    program = f"import sys, time; sys.path.insert(0, {str(PROGRAM)!r})\nfrom registry_keeper import main\n{first}sys.exit(main.main(sys.argv[1:]))"
    state = pathlib.Path(keeper.storage.path, "keeper")
    with subprocess.Popen(
        [sys.executable, "-c", program, "--settings", str(keeper.settings), "collect"], stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            while process.poll() is None and not ((state / "lock").exists() if first else list(state.glob("runs/*/tree/**/link"))):
                time.sleep(0.01)
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGTERM)  # as systemd does: to all processes of the service
            said = process.communicate(timeout=20)[1]  # to its end: none of them lives on
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == -signal.SIGTERM and "ended by SIGTERM" in said
    kept = json.loads((state / "status/collect.json").read_text())
    assert kept["exit_status"] == FAILED and kept["error"].startswith("ended by SIGTERM; nothing is lost")
    keeper.collect_settings["settle_seconds"] = 0
    assert keeper("collect") == DONE and keeper.storage.pull("a", "1") is None


def test_a_defect_of_the_program_is_recorded_too(keeper, monkeypatch, capsys):
    old(keeper, "1")
    assert keeper("collect") == DONE
    monkeypatch.setattr("registry_keeper.collect.collect.mark", lambda *_arguments: {}[0])
    assert keeper("collect") == FAILED and keeper.document["error"] == "KeyError: 0"
    assert json.loads(pathlib.Path(keeper.storage.path, "keeper/status/collect.json").read_text())["exit_status"] == FAILED
    assert "Traceback" in capsys.readouterr().err
