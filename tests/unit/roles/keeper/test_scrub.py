# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Scrub: what it reads, how fast, where it goes on, what it takes away and what it reports."""

from __future__ import annotations

import argparse
import io
import json
import os
import pathlib
import shutil

import pytest
from registry_keeper.errors import ATTENTION, DONE
from registry_keeper.report import Report
from registry_keeper.scrub import scrub
from registry_keeper.settings import Settings
from registry_keeper.storage.damaged import now_damaged
from trees import Storage

OLD = 86400


@pytest.fixture
def storage(tmp_path):
    found = Storage(str(tmp_path))
    for name in ("one", "two", "three"):
        found.image("app", name, name)
    found.age(OLD)
    return found


def run(storage, full=True, **section):
    report = Report(err=io.StringIO(), out=io.StringIO())
    status = scrub.run(Settings("registry", storage.path, scrub=section), argparse.Namespace(full=full), report)
    return status, report.facts, report.warnings


def damage(storage, digest):
    path = pathlib.Path(storage.tree.data(digest))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, (path.stat().st_mtime - OLD, path.stat().st_mtime - OLD))


def layer_of(storage, name):
    return storage.blob(f"{name} layer 0".encode())


def test_what_is_whole_stays(storage):
    before = storage.files()
    status, facts, warnings = run(storage)
    assert (status, facts["damaged"], facts["incomplete"], warnings) == (DONE, [], [], [])
    assert facts["blobs"] == 12 and facts["pass_complete"]
    assert storage.files() == before


def test_a_damaged_blob_is_taken_out_of_the_registrys_sight(storage):
    digest = layer_of(storage, "two")
    storage.age(OLD)
    damage(storage, digest)
    status, facts, _warnings = run(storage)
    assert status == ATTENTION
    assert facts["damaged"] == facts["newly_damaged"] == facts["missing"] == [digest]
    assert not os.path.exists(storage.tree.data(digest))
    assert now_damaged(os.path.join(storage.path, "keeper")) == [digest]
    assert [storage.pull("app", tag) is None for tag in ("one", "two", "three")] == [True, False, True]


def test_a_damaged_blob_that_is_back_is_no_longer_reported(storage):
    digest = layer_of(storage, "two")
    storage.age(OLD)
    damage(storage, digest)
    assert run(storage)[0] == ATTENTION
    layer_of(storage, "two")
    # not even a whole pass is needed
    status, facts, _warnings = run(storage, full=False, run_seconds=1)
    assert (status, facts["damaged"], facts["mended"], facts["incomplete"]) == (DONE, [], [digest], [])
    assert now_damaged(os.path.join(storage.path, "keeper")) == []


def remove_links(storage, kind):
    for link in pathlib.Path(storage.tree.repository("app"), kind).rglob("link"):
        link.unlink()


@pytest.mark.parametrize("part", ["layer", "manifest"])
def test_a_damaged_blob_that_no_link_leads_to_any_more_goes_at_the_end_of_a_pass(storage, part, monkeypatch):
    manifest = pathlib.Path(storage.tree.tag("app", "two"), "current/link").read_text()
    digest = layer_of(storage, "two") if part == "layer" else manifest
    storage.age(OLD)
    damage(storage, digest)
    assert run(storage)[0] == ATTENTION
    storage.untag("app", "two")
    if part == "layer":
        # Its image has gone, but not yet its own link.
        os.unlink(storage.tree.revision("app", manifest) + "/link")
        assert (run(storage)[1]["damaged"], now_damaged(f"{storage.path}/keeper")) == ([digest], [digest])
        remove_links(storage, "_layers")
    else:
        assert (run(storage)[1]["damaged"], now_damaged(f"{storage.path}/keeper")) == ([digest], [digest])
        remove_links(storage, "_manifests")
    with monkeypatch.context() as short:
        short.setattr(scrub.Pace, "over", True)
        run(storage, full=False)
    assert now_damaged(f"{storage.path}/keeper") == [digest], "before the end of a pass"
    _status, facts, warnings = run(storage)
    assert (facts["damaged"], facts["unneeded"], now_damaged(f"{storage.path}/keeper")) == ([], [digest], [])
    assert not any(digest in line for line in warnings)


@pytest.mark.parametrize("link", ["", "no digest"])
def test_a_damaged_blob_stays_while_any_repository_has_a_link_with_its_name(storage, link):
    """Whatever is in the link, somebody may still mend it."""
    digest = storage.layer("other", b"two layer 0")
    storage.age(OLD)
    damage(storage, digest)
    shutil.rmtree(storage.tree.repository("app"))
    pathlib.Path(storage.tree.layer("other", digest), "link").write_text(link)
    run(storage)
    assert now_damaged(f"{storage.path}/keeper") == [digest]


def test_a_damaged_blob_stays_while_a_manifest_names_it(storage):
    digest = layer_of(storage, "two")
    storage.age(OLD)
    damage(storage, digest)
    os.unlink(storage.tree.layer("app", digest) + "/link")
    run(storage)
    assert now_damaged(f"{storage.path}/keeper") == [digest]


def test_a_damaged_blob_that_redis_could_not_be_told_of_stays(storage):
    from registry_keeper.settings import Redis

    digest = storage.blob(b"of nobody")
    storage.age(OLD)
    damage(storage, digest)
    report = Report(err=io.StringIO(), out=io.StringIO())
    settings = Settings("registry", storage.path, redis=Redis("127.0.0.1", 1, 0))
    assert scrub.run(settings, argparse.Namespace(full=True), report) == ATTENTION
    assert now_damaged(f"{storage.path}/keeper") == [digest]
    assert run(storage)[1]["unneeded"] == [digest]


def test_a_mirror_drops_it_since_the_next_pull_fetches_it_again(storage):
    digest = layer_of(storage, "two")
    storage.age(OLD)
    damage(storage, digest)
    status, facts, _warnings = run(storage, mirror=True)
    assert (status, facts["newly_damaged"], facts["damaged"]) == (DONE, [digest], [])
    assert not os.path.exists(storage.tree.data(digest))
    assert now_damaged(os.path.join(storage.path, "keeper")) == []


def test_a_manifest_that_is_just_being_written_is_left_alone(storage):
    """A registry 2.8 writes manifests in place."""
    digest = layer_of(storage, "two")
    path = pathlib.Path(storage.tree.data(digest))
    path.write_bytes(path.read_bytes()[:3])
    assert run(storage)[0] == DONE
    assert path.exists()


def test_a_blob_that_a_clock_dated_ahead_is_read_all_the_same(storage):
    digest = layer_of(storage, "two")
    damage(storage, digest)
    storage.age(-300 * 24 * 3600)
    assert run(storage)[1]["newly_damaged"] == [digest]


def test_a_pass_goes_on_where_the_last_run_stopped(storage, monkeypatch):
    everything = list(scrub.in_order(storage.tree))
    assert everything == sorted(everything) and len(everything) == 12
    read = []
    monkeypatch.setattr(scrub.Reader, "_sound", lambda _self, digest: read.append(digest) or True)
    for number in range(3):
        runs_out = iter([False] * 4)
        monkeypatch.setattr(scrub.Pace, "over", property(lambda _self, runs_out=runs_out: next(runs_out, True)))
        run(storage, full=False)
        kept = json.loads(pathlib.Path(storage.path, "keeper/scrub.json").read_text())
        assert (kept["last"], kept["last_pass"] > 0) == ((everything[4 * number + 3], False) if number < 2 else ("", True))
    assert read == everything


def test_it_keeps_to_its_rate():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    pace = scrub.Pace(1000, 10, clock=lambda: now[0], sleep=sleep)
    for _number in range(5):
        pace.read(2000)
        assert not pace.over or now[0] >= 10
    assert now[0] == pytest.approx(10)
    assert pace.over


def test_links_to_nothing_and_images_that_lack_a_part_are_named(storage):
    lost, kept = layer_of(storage, "one"), layer_of(storage, "two")
    storage.age(OLD)
    os.unlink(storage.tree.data(lost))
    os.unlink(storage.tree.layer("app", kept) + "/link")
    pathlib.Path(storage.tree.tag("app", "three"), "current/link").write_text("")
    status, facts, _warnings = run(storage)
    assert status == ATTENTION
    assert facts["missing"] == [lost]
    assert sorted(line.split(" ", 1)[1] for line in facts["incomplete"]) == sorted([f"lacks {lost}", f"lacks the link to {kept}"])
    assert facts["dangling"] == ["app:three, whose link is empty or no digest"]


def test_a_manifest_that_is_damaged_after_it_was_read_does_not_say_what_an_image_lacks(storage, monkeypatch):
    digest = pathlib.Path(storage.tree.tag("app", "one"), "current/link").read_text()
    look = scrub.look

    def damaged(layout):
        content = pathlib.Path(layout.data(digest)).read_text()
        pathlib.Path(layout.data(digest)).write_text(content.replace(layer_of(storage, "one"), "sha256:" + "0" * 64))
        return look(layout)

    monkeypatch.setattr(scrub, "look", damaged)
    _status, facts, _warnings = run(storage)
    assert (facts["missing"], facts["incomplete"]) == ([], [])
    # The next pass finds it.
    monkeypatch.setattr(scrub, "look", look)
    os.utime(storage.tree.data(digest), (0, 0))
    assert run(storage)[1]["damaged"] == [digest]


def test_platforms_that_were_never_pushed_are_not_missing_and_deleted_ones_are(storage):
    child = storage.image("app", "child")
    storage.index("app", [child, "sha256:" + "0" * 64], "index")
    storage.age(OLD)
    assert run(storage)[0] == DONE
    os.unlink(storage.tree.revision("app", child) + "/link")
    status, facts, _warnings = run(storage)
    assert status == ATTENTION
    assert [f"lacks {child}, one of its images" in line for line in facts["incomplete"]] == [True]


def test_what_a_client_deletes_is_no_longer_missed(storage):
    lost = layer_of(storage, "one")
    storage.age(OLD)
    os.unlink(storage.tree.data(lost))
    assert run(storage)[0] == ATTENTION
    digest = pathlib.Path(storage.tree.tag("app", "one"), "current/link").read_text()
    storage.untag("app", "one")
    os.unlink(storage.tree.revision("app", digest) + "/link")
    os.unlink(storage.tree.layer("app", lost) + "/link")
    assert run(storage, full=False, run_seconds=1)[0] == DONE


def test_redis_that_cannot_be_told_is_told_by_the_next_run(storage, monkeypatch):
    from registry_keeper.settings import Redis
    from registry_keeper.storage.redis_cache import CacheError, RedisCache

    digest = layer_of(storage, "two")
    storage.age(OLD)
    damage(storage, digest)
    settings = Settings("registry", storage.path, redis=Redis("127.0.0.1", 1, 0))
    told = []

    def refuse(_self, digests):
        raise CacheError("Redis is down")

    monkeypatch.setattr(RedisCache, "forget_blobs", refuse)
    report = Report(err=io.StringIO(), out=io.StringIO())
    assert scrub.run(settings, argparse.Namespace(full=True), report) == ATTENTION
    assert any("Redis is down" in line for line in report.warnings)
    monkeypatch.setattr(RedisCache, "forget_blobs", lambda _self, digests: told.extend(digests))
    scrub.run(settings, argparse.Namespace(full=False), Report(err=io.StringIO(), out=io.StringIO()))
    assert told == [digest]
