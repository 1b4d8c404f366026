# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backup of a bucket in another one: what a state has is there, whatever ends the program, pushes meanwhile or lies."""

from __future__ import annotations

import contextlib
import gzip
import json
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from stores import CHANGES, PREFIX, Client, Killed, S3Keeper, Store, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.bucket_backup import backup, restore, transfer
from registry_keeper.bucket_backup import states as backup_states
from registry_keeper.errors import ATTENTION, BUSY, DONE, FAILED, USAGE
from registry_keeper.s3.client import StoreError
from registry_keeper.s3.objects import Objects

TARGET = {"endpoint": "https://other.example.org", "bucket": "backup", "prefix": PREFIX.rstrip("/"), "keep": {"last": 2}, "check_days": 0}
BLOBS, STATES = f"{PREFIX}blobs/", f"{PREFIX}states/"


class Backup(S3Keeper):
    """A keeper with a backup of its bucket in another store."""

    def __init__(self, directory, **more):
        super().__init__(directory, **more)
        self.target, self.target_endpoint = Store(), TARGET["endpoint"]

    def __call__(self, command, *arguments, **more):
        return super().__call__(command, *arguments, bucket_backup={**TARGET, **more})

    def empty(self):
        """The bucket of the images is lost; there is another one."""
        self.store.objects.clear()

    def later(self, hours=24.0):
        super().later(hours)
        for stored in self.target.objects.values():
            stored.modified -= hours * 3600

    def states(self):
        return sorted(name for name in self.target.objects if name.startswith(STATES))

    def blobs(self):
        return {name: stored.content for name, stored in self.target.objects.items() if name.startswith(BLOBS)}

    def tags(self):
        parts = [name.split("/") for name in self.storage.objects_of_registry() if name.endswith("/current/link")]
        return {("/".join(one[5:-5]), one[-3]) for one in parts}


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    no_waiting(monkeypatch)
    made = Backup(tmp_path)
    for module in (backup, restore):
        monkeypatch.setattr(module, "target_of", lambda _settings: Objects(Client(made.target, made.target_endpoint, "backup")))
        monkeypatch.setattr(module, "prepare", lambda _settings: None)
    numbers = iter(range(1000, 10000))
    # States of one second are told apart by their names' ends.
    monkeypatch.setattr(backup_states.secrets, "token_hex", lambda _bytes: str(next(numbers)))
    return made


def some_images(keeper):
    keeper.storage.image("a", "one", "1", shared=[b"shared"])
    keeper.storage.image("b/c", "two", "2", shared=[b"shared"])
    keeper.storage.index("a", [keeper.storage.image("a", "amd64"), keeper.storage.image("a", "arm64")], "multi")


def restored(keeper):
    """What the newest backup has, in an empty bucket: it is a registry of whole images."""
    keeper.empty()
    assert keeper("restore-bucket", "--everything") == DONE
    assert [problem for repository, tag in keeper.tags() if (problem := keeper.storage.pull(repository, tag))] == []
    return keeper.storage.objects_of_registry()


def test_everything_comes_back_into_an_empty_bucket(keeper):
    some_images(keeper)
    before = keeper.storage.objects_of_registry()
    assert keeper("backup-bucket") == DONE
    assert (keeper.document["tags"], keeper.document["left_out"]) == (3, 0)
    assert restored(keeper) == before
    assert not any("restoring" in name for name in keeper.store.objects)


def test_a_blob_is_copied_once(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    keeper.storage.image("d", "three", "3", shared=[b"shared"])
    before = len(keeper.blobs())
    assert keeper("backup-bucket") == DONE
    assert keeper.document["copied_blobs"] == 4 == len(keeper.blobs()) - before
    keeper.target.asked.clear()
    assert keeper("backup-bucket") == DONE and keeper.document["copied_blobs"] == 0
    assert not [name for method, name in keeper.target.asked if method in CHANGES and name.startswith(BLOBS)]


def test_what_is_in_no_list_of_the_store_is_in_the_backup(keeper):
    some_images(keeper)
    before = keeper.storage.objects_of_registry()
    assert keeper("collect") == DONE  # which notes the tags
    tree = keeper.storage.tree
    digest = keeper.storage.read(f"{tree.tag('a', '1')}/current/link").decode()
    hidden = (tree.tag("a", "1"), tree.revision("a", digest), tree.data(digest), f"{tree.tag('b/c', '2')}/current")
    keeper.store.hidden = {name for name in keeper.store.objects if name.startswith(tuple(PREFIX + path for path in hidden))}
    assert keeper("backup-bucket") == DONE
    assert (keeper.document["tags"], keeper.document["left_out"]) == (3, 0)
    keeper.store.hidden = set()
    assert restored(keeper) == before


def test_large_blobs_go_in_pieces_and_come_back(keeper, monkeypatch):
    monkeypatch.setattr(transfer, "PIECE", 10)
    keeper.storage.image("a", "large", "1", shared=[b"x" * 35, b""])
    before = keeper.storage.objects_of_registry()
    assert keeper("backup-bucket") == DONE
    assert restored(keeper) == before and not keeper.target.uploads and not keeper.store.uploads


# --- killed, and pushed to


@pytest.mark.parametrize("which", ["source", "target"])
def test_killed_at_any_request_it_leaves_no_state_that_lacks_something(keeper, which):
    some_images(keeper)
    before, number = keeper.storage.objects_of_registry(), 0
    store = keeper.store if which == "source" else keeper.target
    while True:
        number += 1
        keeper.target.objects.clear()
        for name in [name for name in keeper.store.objects if "holdfast-keeper" in name]:
            del keeper.store.objects[name]
        left = number

        def kill(_method, _name):
            nonlocal left
            left -= 1
            if left == 0:
                raise Killed

        store.before = kill
        try:
            ended = keeper("backup-bucket") == DONE
        except Killed:
            ended = False
        store.before = lambda _method, _name: None
        for name in keeper.states():
            state = backup_states.read(Objects(Client(keeper.target, "", "")), name[len(STATES) : -3])
            assert all(PREFIX + backup_states.blob_name(key) in keeper.target.objects for key in state.blobs()), number
        for name in [name for name in (*keeper.store.objects, *keeper.target.objects) if name.endswith("lease")]:
            (keeper.store if name in keeper.store.objects else keeper.target).objects.pop(name, None)
        copied = len(keeper.blobs())
        assert keeper("backup-bucket") == DONE, number
        assert ended or keeper.states(), number
        # What the killed run had copied is used.
        assert len(keeper.blobs()) - copied == keeper.document["copied_blobs"], number
        assert keeper.storage.objects_of_registry() == before
        if ended:
            break
    assert number > 20
    assert restored(keeper) == before


def test_a_push_at_any_request_is_whole_in_the_backup_or_not_in_it(keeper):
    some_images(keeper)
    keeper.store.page = 5
    before, number, left = dict(keeper.store.objects), 0, 0
    while left <= 0:
        number += 1
        left = number
        keeper.store.objects.clear()
        keeper.store.objects.update(before)
        keeper.target.objects.clear()

        def push(method, _name):
            nonlocal left
            left -= 1
            if left == 0:
                # Names that lists have already passed, and such that they come to.
                for repository in ("0", "a", "zz"):
                    keeper.storage.index(repository, [keeper.storage.image(repository, f"pushed {part}") for part in range(2)], "1")

        keeper.store.before = push
        assert keeper("backup-bucket") == DONE, number
        keeper.store.before = lambda _method, _name: None
        restored(keeper)
        assert {("a", "1"), ("b/c", "2"), ("a", "multi")} <= keeper.tags(), number
    assert number > 30


def test_a_tag_that_is_set_anew_while_its_image_is_deleted_is_in_the_backup(keeper):
    digest = keeper.storage.image("a", "one", "1")
    done = []

    def change(method, name):
        # When the tags have been read, and manifests are to be listed.
        if name.endswith("/1/current/link") and method == "GET":
            done.append(name)
            if len(done) == 1:
                keeper.storage.image("a", "another", "1")
                keeper.storage.delete("a", digest)

    keeper.store.after = change
    assert keeper("backup-bucket") == DONE
    keeper.store.after = lambda _method, _name: None
    restored(keeper)
    assert keeper.tags() == {("a", "1")}


# --- what goes meanwhile


def test_a_blob_that_a_collection_has_taken_meanwhile_is_copied_from_the_quarantine(keeper):
    some_images(keeper)
    gone = keeper.storage.image("a", "gone", "old")
    keeper.storage.untag("a", "old")
    keeper.later()
    assert keeper("collect") == DONE
    keeper.later()
    done = []

    def collect(method, name):
        if name.startswith(f"{PREFIX}docker/registry/v2/blobs/") and method in ("HEAD", "GET") and not done:
            done.append(name)
            other = Backup(keeper.directory, store=keeper.store)
            assert S3Keeper.__call__(other, "collect") == DONE and other.document["swept_blobs"] > 0

    keeper.store.before = collect
    assert keeper("backup-bucket") == DONE
    keeper.store.before = lambda _method, _name: None
    assert keeper.storage.content(gone) is None and done
    restored(keeper)
    assert keeper.storage.pull("a", gone) is None


def test_links_to_what_was_removed_for_good_meanwhile_are_left_out(keeper):
    some_images(keeper)
    digest = keeper.storage.layer("a", b"unneeded")
    link = keeper.storage.tree.layer("a", digest) + "/link"

    def remove(method, name):
        if name == PREFIX + keeper.storage.tree.data(digest):
            keeper.store.objects.pop(name, None)
            keeper.store.objects.pop(PREFIX + link, None)

    keeper.store.before = remove
    assert keeper("backup-bucket") == DONE and keeper.document["left_out"] == 1
    keeper.store.before = lambda _method, _name: None
    restored(keeper)
    assert keeper.storage.read(link) is None and keeper.tags() == {("a", "1"), ("b/c", "2"), ("a", "multi")}


def test_an_image_that_has_lost_a_layer_is_told_and_nothing_is_forgotten(keeper):
    some_images(keeper)
    for _run in range(3):
        assert keeper("backup-bucket") == DONE
    before, blobs = keeper.states(), keeper.blobs()
    digest = keeper.storage.image("a", "broken", "broken")
    del keeper.store.objects[PREFIX + keeper.storage.tree.data(digest)]
    assert keeper("backup-bucket", keep={"last": 1}) == ATTENTION
    assert "leads to a blob that is not in the store" in keeper.document["warnings"][0]
    assert set(before) < set(keeper.states()) and blobs.items() <= keeper.blobs().items()


def test_a_blob_that_is_damaged_in_the_store_replaces_no_sound_copy(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    digest = keeper.storage.image("a", "one", "1", shared=[b"shared"])
    place = PREFIX + keeper.storage.tree.data(digest)
    keeper.store.objects[place].content = b"damaged"
    before = keeper.blobs()
    assert keeper("backup-bucket") == ATTENTION
    assert keeper.blobs() == before
    keeper.empty()
    assert keeper("restore-bucket", "a:1") == DONE and keeper.storage.pull("a", "1") is None


# --- lies


@pytest.mark.parametrize("lie", ["lost writes", "short writes", "wrong writes"])
def test_a_target_that_does_not_keep_what_is_written_gets_no_state(keeper, lie):
    some_images(keeper)
    keeper.target.before = lambda _method, name: keeper.target.lies.update({lie} if name.startswith((BLOBS, STATES)) else ())
    assert keeper("backup-bucket") == FAILED
    keeper.target.lies.clear()
    assert keeper("backup-bucket", "--list") == DONE and keeper.document["states"] == []


def test_an_object_that_the_target_has_lost_is_copied_again(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    del keeper.target.objects[next(iter(keeper.blobs()))]
    assert keeper("backup-bucket") == DONE and keeper.document["copied_blobs"] == 1
    restored(keeper)


def test_an_object_that_goes_after_the_first_list_is_copied_again(keeper, monkeypatch):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    lost, blobs = next(iter(keeper.blobs())), backup_states.blobs

    def lose(objects, version=2):
        # Another host that stood still in its last request, when it had the lease.
        found = blobs(objects, version)
        if version == 2 and len(keeper.states()) == 1:
            keeper.target.objects.pop(lost)
        return found

    monkeypatch.setattr(backup_states, "blobs", lose)
    assert keeper("backup-bucket") == DONE and lost in keeper.target.objects
    restored(keeper)


def test_a_list_that_lacks_a_tag_makes_no_backup(keeper):
    some_images(keeper)
    keeper.later()
    keeper.store.hidden.add(f"2:{PREFIX}{keeper.storage.tree.tag('a', '1')}/current/link")
    assert keeper("backup-bucket") == FAILED and keeper.states() == []


def test_an_emptied_bucket_does_not_become_the_newest_backup(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    states = keeper.states()
    for name in list(keeper.storage.objects_of_registry()):
        del keeper.store.objects[name]
    assert keeper("backup-bucket") == FAILED
    assert keeper.states() == states


# --- what goes from the backup


def test_states_that_do_not_stay_go_and_blobs_that_no_state_has(keeper):
    some_images(keeper)
    keeper.storage.image("a", "short", "short")
    assert keeper("backup-bucket", keep={"last": 1}) == DONE
    keeper.target.objects[f"{PREFIX}blobs/of somebody else"] = keeper.target.objects[f"{PREFIX}states/of somebody else"] = next(
        iter(keeper.store.objects.values())
    )
    keeper.storage.untag("a", "short")
    for name in [name for name in keeper.store.objects if "short" in name]:
        del keeper.store.objects[name]
    keeper.later()
    for _run in range(2):
        assert keeper("collect") == DONE
        keeper.later()
    before = len(keeper.blobs())
    assert keeper("backup-bucket", keep={"last": 1}) == DONE
    assert keeper.document["forgotten"] == 1 and keeper.document["pruned_blobs"] == 4 == before - len(keeper.blobs())
    assert len(keeper.states()) == 2 and f"{PREFIX}states/of somebody else" in keeper.states() and f"{PREFIX}blobs/of somebody else" in keeper.blobs()
    del keeper.target.objects[f"{PREFIX}states/of somebody else"]
    restored(keeper)
    assert keeper.tags() == {("a", "1"), ("b/c", "2"), ("a", "multi")}


def garbage(keeper):
    """A backup whose first state stays, and blobs of a second one that has gone."""
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    keeper.target.objects[f"{BLOBS}sha256/00/{'0' * 64}"] = next(iter(keeper.target.objects.values()))
    keeper.later(72)
    keeper.storage.untag("a", "1")
    for name in [name for name in keeper.storage.objects_of_registry() if "/repositories/a/" in name or "/blobs/" in name]:
        del keeper.store.objects[name]
    for name in list(keeper.storage.objects_of_registry()):
        del keeper.store.objects[name]
    keeper.storage.image("new", "only this", "1")


def test_what_an_older_state_needs_stays(keeper):
    garbage(keeper)
    assert keeper("backup-bucket") == DONE and keeper.document["pruned_blobs"] == 1
    keeper.empty()
    (first, _second) = [name[len(STATES) : -3] for name in keeper.states()]
    assert keeper("restore-bucket", "--everything", "--state", first) == DONE
    assert keeper.storage.pull("a", "1") is None and keeper.storage.pull("a", "multi") is None


@pytest.mark.parametrize("how", ["damaged", "in no list", "lacks a blob"])
def test_no_blob_goes_where_a_state_cannot_be_read_or_lacks_something(keeper, how):
    garbage(keeper)
    (first,) = keeper.states()
    before = set(keeper.blobs())
    if how == "damaged":
        keeper.target.objects[first].content = keeper.target.objects[first].content[:-9]
    elif how == "in no list":
        # The second state knows of it.
        assert keeper("backup-bucket") == DONE
        keeper.target.objects[f"{BLOBS}sha256/00/{'0' * 64}"] = keeper.target.objects[first]
        keeper.target.hidden.add(first)
    else:
        before.discard(lost := min(before - {f"{BLOBS}sha256/00/{'0' * 64}"}))
        del keeper.target.objects[lost]
    status = keeper("backup-bucket")
    assert status == (DONE if how == "in no list" else ATTENTION)
    left = set(keeper.blobs())
    assert before <= left | ({f"{BLOBS}sha256/00/{'0' * 64}"} if how == "in no list" else set())


@pytest.mark.parametrize(
    ("keep", "staying"),
    [
        pytest.param({"last": 2}, ["20260302T100000Z-0000", "20260302T110000Z-0000"], id="last"),
        pytest.param({"daily": 2}, ["20260301T230000Z-0000", "20260302T110000Z-0000"], id="daily"),
        pytest.param({"hourly": 1, "monthly": 3}, ["20260110T000000Z-0000", "20260228T120000Z-0000", "20260302T110000Z-0000"], id="monthly"),
        pytest.param({"yearly": 9}, ["20260302T110000Z-0000"], id="yearly"),
        pytest.param({"weekly": 2}, ["20260301T230000Z-0000", "20260302T110000Z-0000"], id="weekly"),
    ],
)
def test_which_states_stay(keep, staying):
    moments = ("20260110T000000Z", "20260228T120000Z", "20260301T100000Z", "20260301T230000Z", "20260302T100000Z", "20260302T110000Z")
    assert sorted(backup_states.kept([f"{moment}-0000" for moment in moments], keep)) == staying


def test_what_is_damaged_in_the_backup_is_found_and_copied_again(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    name, content = min(keeper.blobs().items())
    keeper.later(72)
    keeper.target.objects[name].content = bytes(len(content))
    assert keeper("backup-bucket", check_days=7, check_parts=1) == DONE
    assert keeper.document["checked_part"] == "1/1" and keeper.blobs()[name] == content
    keeper.later(72)
    keeper.target.objects[name].content = bytes(len(content))
    for stored in [name for name in keeper.store.objects if name.endswith(name.rpartition("/")[2] + "/data")]:
        del keeper.store.objects[stored]
    # It is not due again.
    assert keeper("backup-bucket", check_days=7, check_parts=1) == DONE and "checked_part" not in keeper.document


def until_written(store, name):
    """Have a store fail to give one object, until it is written again."""
    written = []

    def before(method, asked):
        if asked == name and method in CHANGES:
            written.append(name)
        if asked == name and method == "GET" and not written:
            raise StoreError("status 500 InternalError")

    store.before = before


def test_what_the_backup_cannot_give_is_copied_again(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    name, content = min(keeper.blobs().items())
    keeper.later(72)
    until_written(keeper.target, name)
    assert keeper("backup-bucket", check_days=7, check_parts=1) == DONE
    assert keeper.document["checked_part"] == "1/1" and keeper.target.before("GET", name) is None and keeper.blobs()[name] == content


def test_what_the_store_cannot_give_is_restored(keeper):
    some_images(keeper)
    before = keeper.storage.objects_of_registry()
    assert keeper("backup-bucket") == DONE
    name = next(name for name in sorted(before) if name.endswith("/data"))
    until_written(keeper.store, name)
    for image in ("a", "b/c"):
        assert keeper("restore-bucket", image) == DONE
    assert keeper.store.before("GET", name) is None and keeper.storage.objects_of_registry() == before


# --- whose it is


def test_one_at_a_time(keeper):
    some_images(keeper)
    other = Backup(keeper.directory / "other", store=keeper.store)
    other.directory.mkdir()
    statuses = []

    def second(method, name):
        if name.startswith(BLOBS) and method == "PUT" and not statuses:
            statuses.append(None)
            statuses[0] = other("backup-bucket")

    keeper.target.before = second
    assert keeper("backup-bucket") == DONE and statuses == [BUSY]


def test_who_lost_the_lease_removes_and_writes_nothing_more(keeper, monkeypatch):
    some_images(keeper)
    taken = []

    def take(method, name):
        if name.startswith(STATES) and method == "PUT" and not taken:
            taken.append(dict(keeper.target.objects))

    monkeypatch.setattr("registry_keeper.s3.lease.LOOK", -1.0)

    def lose(method, name):
        if name.startswith(BLOBS) and method == "PUT" and f"{PREFIX}lease" in keeper.target.objects:
            keeper.target.objects[f"{PREFIX}lease"].content = b'{"run": "another"}'

    keeper.target.before, keeper.target.after = take, lose
    assert keeper("backup-bucket") == FAILED
    assert not taken and keeper.states() == []


def test_another_host_s_timer_makes_none_a_moment_later(keeper):
    some_images(keeper)
    assert keeper("backup-bucket", "--unless-recent") == DONE and len(keeper.states()) == 1
    assert keeper("backup-bucket", "--unless-recent") == DONE and len(keeper.states()) == 1
    keeper.later(1)
    assert keeper("backup-bucket", "--unless-recent") == DONE and len(keeper.states()) == 2


def test_the_backup_of_another_bucket_is_refused(keeper):
    some_images(keeper)
    keeper.target.objects[f"{PREFIX}{backup_states.MARKER}"] = type(next(iter(keeper.store.objects.values())))(b'{"version": 1, "of": {"bucket": "x"}}', 0.0)
    before = dict(keeper.target.objects)
    assert keeper("backup-bucket") == FAILED
    assert {name for name in keeper.target.objects if not name.endswith("lease")} == set(before)
    assert keeper("backup-bucket", "--take-over") == DONE and keeper("backup-bucket") == DONE


def test_a_backup_that_has_gone_is_not_begun_again_without_a_word(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    keeper.target.objects.clear()
    assert keeper("backup-bucket") == FAILED and keeper.states() == []
    assert keeper("backup-bucket", "--take-over") == DONE and len(keeper.states()) == 1


def test_a_store_whose_endpoint_is_written_in_another_way_is_the_same_one(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    keeper.endpoint = "https://STORE.example.org:443"
    assert keeper("backup-bucket") == DONE
    keeper.target_endpoint = "https://other.Example.org:443"
    keeper.target.objects.clear()
    assert keeper("backup-bucket") == FAILED and keeper.states() == []


@pytest.mark.parametrize("endpoint", ["https://store.example.org", "https://STORE.example.org", "https://store.example.org:443"])
def test_the_bucket_of_the_images_is_no_place_for_their_backup(keeper, monkeypatch, capsys, endpoint):
    monkeypatch.undo()
    no_waiting(monkeypatch)
    monkeypatch.setenv("REGISTRY_KEEPER_BACKUP_ACCESSKEY", "x")
    monkeypatch.setenv("REGISTRY_KEEPER_BACKUP_SECRETKEY", "x")
    with contextlib.suppress(ValueError):
        assert keeper("backup-bucket", endpoint=endpoint, bucket="registry") == USAGE
    assert "bucket_backup.bucket: is the bucket of the images" in capsys.readouterr().err


# --- restoration


def test_a_store_that_has_images_is_not_restored_over(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    keeper.storage.image("a", "another", "1")
    before = keeper.storage.objects_of_registry()
    assert keeper("restore-bucket", "--everything") == FAILED
    assert keeper.storage.objects_of_registry() == before
    assert keeper("restore-bucket", "a:1") == FAILED
    assert keeper.storage.objects_of_registry() == before
    assert keeper("restore-bucket", "--everything", "--over") == DONE
    assert before.items() - keeper.storage.objects_of_registry().items() == {
        (f"{PREFIX}{keeper.storage.tree.tag('a', '1')}/current/link", before[f"{PREFIX}{keeper.storage.tree.tag('a', '1')}/current/link"])
    }


def test_one_image_comes_back_with_its_platforms_and_signatures_and_nothing_else(keeper):
    some_images(keeper)
    digest = keeper.storage.image("a", "signed", "signed")
    keeper.storage.image("a", "signature", f"{digest.replace(':', '-')}.sig")
    assert keeper("backup-bucket") == DONE
    keeper.empty()
    assert keeper("restore-bucket", "a:multi") == DONE
    assert keeper.tags() == {("a", "multi")} and keeper.storage.pull("a", "multi") is None
    assert keeper("restore-bucket", f"a@{digest}") == DONE
    assert keeper.tags() == {("a", "multi"), ("a", f"{digest.replace(':', '-')}.sig")} and keeper.storage.pull("a", digest) is None
    assert keeper("restore-bucket", "b/c") == DONE
    assert keeper.storage.pull("b/c", "2") is None and not keeper.storage.pull("a", "1") is None
    for nothing in ("a:none", "nothing", f"a@sha256:{'0' * 64}"):
        assert keeper("restore-bucket", nothing) == FAILED


def test_a_restoration_that_is_killed_goes_on_and_no_tag_comes_before_its_image(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    before, number = keeper.storage.objects_of_registry(), 0
    while True:
        number += 1
        keeper.empty()
        left = number

        def kill(method, _name):
            nonlocal left
            left -= method in CHANGES
            if left == 0 and method in CHANGES:
                raise Killed

        keeper.store.before = kill
        ended = False
        with contextlib.suppress(Killed):
            ended = keeper("restore-bucket", "--everything") == DONE
        keeper.store.before = lambda _method, _name: None
        assert [problem for one in keeper.tags() if (problem := keeper.storage.pull(*one))] == [], number
        for store in (keeper.store, keeper.target):
            for name in [name for name in store.objects if name.endswith("lease")]:
                del store.objects[name]
        if f"{PREFIX}{restore.UNDER_WAY}" not in keeper.store.objects and keeper.tags():
            # It was killed when there was nothing left to do.
            assert keeper.storage.objects_of_registry() == before
        else:
            assert keeper("restore-bucket", "--everything") == DONE, number
        assert keeper.storage.objects_of_registry() == before
        if ended:
            break
    assert number > 20


def test_a_tag_that_is_pushed_during_a_restoration_stays(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    keeper.empty()
    done = []

    def push(method, name):
        if "/blobs/" in name and method == "PUT" and not done:
            done.append(name)
            keeper.storage.image("a", "newer", "1")

    keeper.store.before = push
    assert keeper("restore-bucket", "--everything") == ATTENTION and keeper.document["other_tags"] == ["a:1"]
    assert keeper.storage.pull("a", "1") is None and keeper.storage.pull("b/c", "2") is None


def test_what_is_damaged_in_the_backup_does_not_come_back(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    name, content = min(keeper.blobs().items())
    keeper.target.objects[name].content = bytes(len(content))
    keeper.empty()
    assert keeper("restore-bucket", "--everything") == ATTENTION and keeper.document["lacking"] == 1
    assert not any(name.rpartition("/")[2] in one for one in keeper.storage.objects_of_registry())


def test_a_damaged_state_is_refused_before_anything_is_changed(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    (name,) = keeper.states()
    text = gzip.decompress(keeper.target.objects[name].content)
    keeper.empty()
    for wrong in (text[:-3], text.replace(b"/link ", b"/../link ", 1), b"\n".join(text.split(b"\n")[:-3])):
        keeper.target.objects[name].content = gzip.compress(wrong)
        assert keeper("restore-bucket", "--everything") == FAILED
        assert keeper.storage.objects_of_registry() == {}


def test_the_outcome_is_kept_for_the_status_of_all_hosts(keeper):
    some_images(keeper)
    assert keeper("backup-bucket") == DONE
    kept = json.loads(keeper.store.objects[f"{PREFIX}holdfast-keeper/status/backup-bucket.json"].content)
    assert kept["exit_status"] == DONE and kept["began"] > 0
    # What has found nothing to do does not hide what the last run has said.
    keeper.store.objects[f"{PREFIX}holdfast-keeper/status/backup-bucket.json"].content = b"{}"
    assert keeper("backup-bucket", "--unless-recent") == DONE
    assert keeper.store.objects[f"{PREFIX}holdfast-keeper/status/backup-bucket.json"].content == b"{}"


@pytest.mark.parametrize(
    ("section", "message"),
    [
        pytest.param({"keep": {"never": 1}}, "bucket_backup.keep.never: there is no such setting", id="misspelt"),
        pytest.param({"keep": {"last": 0}}, "bucket_backup.keep: set at least one", id="keeps none"),
        pytest.param({"endpoint": "http://other.example.org"}, "bucket_backup.endpoint: must be a string", id="no TLS"),
        pytest.param({"check_parts": 0}, "bucket_backup.check_parts: must be a number", id="no parts"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path, monkeypatch, capsys, section, message):
    no_waiting(monkeypatch)
    monkeypatch.setenv("REGISTRY_STORAGE_S3_ACCESSKEY", "x")
    monkeypatch.setenv("REGISTRY_STORAGE_S3_SECRETKEY", "x")
    assert Backup(tmp_path)("backup-bucket", **section) == USAGE
    assert message in capsys.readouterr().err


def test_what_was_pushed_last_is_still_the_newest_after_a_restoration(keeper):
    keeper.storage.image("a", "first", "z")
    keeper.later()
    keeper.storage.image("a", "second", "m")
    keeper.later()
    keeper.storage.image("a", "last", "a")
    keeper.later()
    assert keeper("backup-bucket") == DONE
    restored(keeper)
    # A second backup, of what was restored, knows it as well.
    keeper.later()
    assert keeper("backup-bucket") == DONE
    restored(keeper)
    keeper.later()
    assert S3Keeper.__call__(keeper, "retain", retention=[{"repositories": ["**"], "keep_newest": 1}]) == DONE
    assert keeper.tags() == {("a", "a")}
