# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a collection costs, and that what it remembers never stands for what is on the disk."""

from __future__ import annotations

import json
import multiprocessing
import os
import pathlib
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from keeping import HOUR
from trees import PROGRAM, Storage

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.collect import mark
from registry_keeper.collect.quarantine import Run, runs
from registry_keeper.collect.rescue import Rescue
from registry_keeper.errors import ATTENTION, DONE
from registry_keeper.storage import manifest, survey
from registry_keeper.storage.layout import key_of

REPOSITORIES = ["a", "b", "c/d"]


@pytest.fixture
def parsed(monkeypatch):
    """The contents of manifests that were read."""
    original, contents = manifest.parse, []

    def parse(content, key=None):
        contents.append(content)
        return original(content, key)

    monkeypatch.setattr(manifest, "parse", parse)
    return contents


def populate(keeper):
    """Images with a tag and without one in several repositories. Returns the number of manifests."""
    for repository in REPOSITORIES:
        for number in range(4):
            keeper.storage.image(repository, f"{repository} {number}", f"v{number}" if number % 2 else None)
    keeper.storage.age(24 * HOUR)
    return 4 * len(REPOSITORIES)


def test_a_collection_reads_each_manifest_once(keeper, parsed):
    number = populate(keeper)
    assert keeper("collect") == DONE and keeper.document["links"] == 2 * 4 * len(REPOSITORIES)
    assert len(parsed) == number


def test_with_a_full_memory_manifests_are_read_again_and_the_outcome_is_the_same(keeper, parsed, monkeypatch):
    monkeypatch.setattr(survey.Cache.__init__, "__defaults__", (2,))
    number = populate(keeper)
    assert keeper("collect") == DONE and keeper.document["links"] == 2 * 4 * len(REPOSITORIES)
    assert len(parsed) > number
    assert all(keeper.storage.pull(repository, "v1") is None for repository in REPOSITORIES)


def test_a_small_storage_is_looked_at_by_one_process(keeper, monkeypatch):
    populate(keeper)

    def refuse(_method):
        raise AssertionError("another process")

    monkeypatch.setattr(multiprocessing, "get_context", refuse)
    assert keeper("collect") == DONE and keeper.document["links"]


def test_other_processes_find_the_same(keeper, monkeypatch):
    populate(keeper)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: range(3))
    assert keeper("collect", "--dry-run") == DONE
    alone = keeper.document
    started, get_context = [], multiprocessing.get_context
    monkeypatch.setattr(multiprocessing, "get_context", lambda method: started.append(method) or get_context(method))
    monkeypatch.setattr(mark, "ALONE", -1)
    assert keeper("collect", "--dry-run") == DONE and started
    for fact in ("tags", "manifests", "blobs", "missing_blobs"):
        assert alone[fact] == keeper.document[fact]
    assert {**alone["would_take"], "time": 0} == {**keeper.document["would_take"], "time": 0}
    assert keeper("collect") == DONE and keeper.document["links"] == 2 * 4 * len(REPOSITORIES)


def looked_at(storage, cache):
    return survey.survey(storage.tree, "a", survey.Rules(now=4e9, grace=0), cache=cache)


def test_what_is_remembered_of_a_manifest_does_not_keep_it(tmp_path):
    """Links and tags are looked at each time."""
    storage, cache = Storage(str(tmp_path)), survey.Cache()
    first, second = storage.image("a", "first", "1"), storage.image("a", "second", "2")
    assert {key_of(first), key_of(second)} <= looked_at(storage, cache).needed and len(cache) == 2
    storage.untag("a", "1")
    os.unlink(storage.tree.revision("a", second) + "/link")
    again = looked_at(storage, cache)
    assert not again.needed and set(again.revisions) == {key_of(first)}


def test_a_manifest_that_could_not_be_read_is_read_again(tmp_path):
    """2.8 writes content in place: it may have been half written."""
    storage, cache = Storage(str(tmp_path)), survey.Cache()
    digest = storage.image("a", "an image", "1")
    data = pathlib.Path(storage.tree.data(digest))
    whole = data.read_bytes()
    for half in (b"", whole[:-1]):
        data.write_bytes(half)
        one = looked_at(storage, cache)
        assert one.unreadable == [digest] and not one.layers
    data.write_bytes(whole)
    one = looked_at(storage, cache)
    assert not one.unreadable and {key_of(layer["digest"]) for layer in json.loads(whole)["layers"]} <= one.needed


def test_a_manifest_that_comes_while_links_go_keeps_its_layers(keeper, monkeypatch):
    """What was remembered of the others must not stand for the repository."""
    storage = keeper.storage
    populate(keeper)
    layer = storage.layer("a", b"a layer of nobody")
    storage.age(24 * HOUR)
    original, done = Run.take, []

    def take(self, relative):
        taken = original(self, relative)
        if not done and "/a/_layers/" in relative:
            done.append(storage.manifest("a", {"schemaVersion": 2, "layers": [{"digest": layer}]}, "new"))
        return taken

    monkeypatch.setattr(Run, "take", take)
    assert keeper("collect") == DONE and done
    assert storage.pull("a", "new") is None


def test_a_tag_that_moved_keeps_what_it_named_in_the_grace_period_and_not_what_it_named_before(keeper):
    storage = keeper.storage
    digests = []
    for name in ("before", "when it began", "within", "now"):
        digests.append(storage.image("a", name, "1"))
        storage.age({"before": 48 * HOUR, "when it began": 24 * HOUR, "within": 0.5 * HOUR, "now": 0}[name])
    assert keeper("collect") == DONE and keeper.document["links"] == 4
    assert [storage.pull("a", digest) is None for digest in digests] == [False, True, True, True]


def test_what_a_tag_named_at_the_same_moment_stays(keeper):
    """Where the order is not known: a clock with whole seconds, or a storage that was restored."""
    storage = keeper.storage
    digests = [storage.image("a", name, "1") for name in ("first", "second", "third")]
    for digest in digests:
        os.utime(f"{storage.tree.tag('a', '1')}/index/{digest.replace(':', '/')}/link", (1e9, 1e9))
    storage.age(24 * HOUR)
    os.utime(f"{storage.tree.tag('a', '1')}/current/link")
    assert keeper("collect") == DONE and keeper.document["links"] == 0
    assert all(storage.pull("a", digest) is None for digest in digests)


def test_a_tag_that_moves_does_not_bring_back_what_was_collected_long_ago(keeper):
    storage = keeper.storage
    for name in ("first", "second"):
        storage.image("a", name, "1")
        storage.age(24 * HOUR)
    assert keeper("collect") == DONE and keeper.document["links"] == 4
    storage.image("a", "third", "1")
    assert keeper("collect") == DONE and keeper.document["brought_back"] == 0


def test_what_was_pushed_again_is_not_brought_back_each_time(keeper, monkeypatch):
    storage = keeper.storage
    storage.image("a", "an image")
    storage.age(24 * HOUR)
    assert keeper("collect") == DONE and keeper.document["links"] == 4
    storage.image("a", "an image", "1")
    changed = []
    for name in ("utime", "link", "mkdir"):
        monkeypatch.setattr(os, name, lambda path, *arguments, **more: changed.append(path))
    index, marked = mark.Index.of(runs(storage.path, f"{storage.path}/keeper")), mark.Mark(survey.Rules(now=time.time(), grace=HOUR))
    marked.add(survey.survey(storage.tree, "a", marked.rules, index.quarantined("a")))
    Rescue(storage.tree, index, marked).all()
    assert index.layers["a"] and index.blobs == {} and not changed and not marked.surveys
    assert storage.pull("a", "1") is None


def test_a_subject_that_is_pushed_again_brings_its_signature_back_also_where_all_its_layers_stayed(keeper):
    storage = keeper.storage
    storage.image("a", "an image", "kept", layers=0)
    subject = storage.image("a", "an image", layers=0, subject="sha256:" + "0" * 64)
    document = json.loads(storage.content(subject))
    tag = subject.replace(":", "-") + ".sig"
    storage.image("a", "a signature", tag)
    storage.age(24 * HOUR)
    assert keeper("collect") == DONE and keeper.document["fallback_tags"] == 1 and storage.pull("a", tag)
    storage.manifest("a", document, "again")
    assert keeper("collect") == DONE
    assert storage.pull("a", tag) is None and storage.pull("a", "again") is None


def test_a_place_without_a_link_is_noted_once(tmp_path):
    """It is looked at for each blob that goes, and a repository that is pushed to is surveyed each second."""
    marked = mark.Mark(survey.Rules(now=0, grace=0))
    one = survey.Survey("a", unlinked={b"1"}, unlinked_revisions={b"1"})
    for _time in range(3):
        marked.add_unlinked(one)
    assert marked.unlinked == {b"1": [("layers", "a"), ("revisions", "a")]}


def test_a_purge_reads_what_it_has_removed_no_more(keeper, monkeypatch):
    populate(keeper)
    assert keeper("collect") == DONE
    run = keeper.document["run"]
    tree = f"{keeper.storage.path}/keeper/runs/{run}/tree"
    directories = {directory for directory, _names, files in os.walk(tree) if files}
    original, opened = os.scandir, []

    def scandir(path="."):
        opened.append(str(path))
        return original(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert keeper("purge", run) == DONE and not os.path.exists(tree)
    # Once for what is in the quarantine, and once to remove it. Tags go before manifests, which are passed then.
    manifests = {path for path in directories if "/_manifests/revisions/" in path}
    assert len([path for path in opened if path in directories]) == 2 * len(directories) + len(manifests)


def test_only_what_a_killed_run_is_known_by_waits_for_the_disk(keeper, monkeypatch):
    populate(keeper)
    original, synced = os.fsync, []

    def fsync(handle):
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        return original(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    assert keeper("collect") == DONE and keeper.document["links"]
    assert len(synced) == 4 and all("/keeper/runs/" in path for path in synced)


@pytest.mark.parametrize("content", ["", "{"])
def test_notes_that_a_power_cut_has_cut_short_keep_more(keeper, content):
    populate(keeper)
    keeper.storage.untag("a", "v1")
    assert keeper("collect") == DONE
    for name in ("untagged.json", "status/collect.json"):
        pathlib.Path(keeper.storage.path, "keeper", name).write_text(content)
    keeper.storage.age(0.6 * HOUR)
    assert keeper("collect") == DONE and keeper.document["links"] == 0
    assert keeper("status") in (DONE, ATTENTION)


def test_a_command_does_not_load_the_others():
    program = f"import sys; sys.path.insert(0, {str(PROGRAM)!r})\nfrom registry_keeper import main\n"
    program += "main.parser(['collect']).parse_args(['collect'])\nprint(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    assert "registry_keeper.collect.collect" in loaded
    others = tuple(f"registry_keeper.{package}" for package in ("backup", "bucket_backup", "retain", "s3", "scrub", "status"))
    assert not [name for name in loaded if name.startswith(others) or name in ("multiprocessing", "ssl")]


@pytest.mark.parametrize("command", ["status", "metrics", "reserve", "collect", "undo", "runs", "purge", "scrub", "repair", "backup", "restore", "retain"])
def test_each_command_has_its_arguments(keeper, command, capsys):
    with pytest.raises(SystemExit) as ended:
        keeper(command, "--there-is-no-such-option")
    assert ended.value.code == 2 and "--there-is-no-such-option" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "ten"])
def test_a_number_of_backups_that_is_none_is_refused(keeper, number, capsys):
    with pytest.raises(SystemExit) as ended:
        keeper("repair", f"--snapshots={number}")
    assert ended.value.code == 2 and f"--snapshots: {number!r} must be a number, 1 or more" in " ".join(capsys.readouterr().err.split())
