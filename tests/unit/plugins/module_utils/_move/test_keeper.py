# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The last pass of a move and the commands of registry-keeper, with the lease and the lock that these really take."""

from __future__ import annotations

import contextlib
import fcntl
import pathlib
import threading
import time
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._move import keeper, passes
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._move.moving import Lab
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._move.programs import registry_keeper

KEY = f"images/{keeper.LEASE}"
TAG = "repositories/team/app/_manifests/tags/{}/current/link"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_keeper("s3.lease"), "WAIT", 0.0)
    monkeypatch.setattr(keeper, "_WAIT_SECONDS", 0.2)


@contextlib.contextmanager
def collecting(lab: Lab) -> t.Iterator[None]:
    """As a collection on some host has the store."""
    with registry_keeper("s3.lease").Lease(registry_keeper("s3.objects").Objects(lab.keepers_client()), "collect").held():
        yield


@contextlib.contextmanager
def locked(directory: pathlib.Path) -> t.Iterator[None]:
    """As a collection has a storage in files."""
    with registry_keeper("lock").hold(str(directory / "keeper"), "collect"):
        yield


def test_the_lease_is_the_keepers() -> None:
    lease = registry_keeper("s3.lease")
    assert (keeper.LEASE, keeper.LASTS) == (lease.NAME, lease.LASTS)


@pytest.mark.parametrize("back", [False, True], ids=["target", "source"])
def test_a_store_on_which_a_command_works_for_too_long_ends_the_last_pass_before_it_begins(lab: Lab, back: bool) -> None:
    lab.directory.image("team/app", "1")
    if back:
        lab.move()
    before = dict(lab.store.objects)
    with collecting(lab):
        said = lab.move(status=1, back=back, directory=lab.tmp / "other" if back else None)
        assert said["line"].startswith("http://store/registry/images: registry-keeper has been at work for")
        assert "collect on host" in said["line"]
    assert lab.store.objects == before
    assert not (lab.tmp / "other/docker").exists()


def test_while_clients_push_it_is_not_waited_for(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    with collecting(lab):
        assert lab.move("copy")["state"] == "caught-up"


def test_a_command_that_ends_is_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "_WAIT_SECONDS", 30)
    lab.directory.image("team/app", "1")
    ends, ended = threading.Event(), []

    def collect() -> None:
        with collecting(lab):
            ends.set()
            time.sleep(0.3)
            ended.append(dict(lab.stored()))

    thread = threading.Thread(target=collect)
    thread.start()
    ends.wait(10)
    lab.move()
    thread.join()
    assert [path for path in ended[0] if path.startswith("repositories/")] == [], "nothing was written while it worked"
    assert TAG.format("1") in lab.stored()


def test_the_lease_of_a_run_that_was_killed_ends(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    with collecting(lab):
        lab.store.objects[KEY] = lab.store.objects[KEY]._replace(at=time.monotonic() - keeper.LASTS - 1)
        lab.move()


@pytest.mark.parametrize("content", [b"", b"[]", b'{"host": 1}'])
def test_a_lease_that_cannot_be_read_is_one(lab: Lab, content: bytes) -> None:
    lab.directory.image("team/app", "1")
    with collecting(lab):
        lab.store.objects[KEY] = lab.store.objects[KEY]._replace(content=content)
        assert "a host of unknown name" in lab.move(status=1)["line"]


def test_a_command_that_begins_during_the_last_pass_is_found(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a host where nothing keeps it from that."""
    lab.directory.image("team/app", "1")
    lab.move()
    real = passes.Move.make_pass
    with contextlib.ExitStack() as stack:

        def make_pass(self: passes.Move, final: bool) -> passes.Outcome:
            outcome = real(self, final)
            if not outcome.changed:
                stack.enter_context(collecting(lab))
            return outcome

        monkeypatch.setattr(passes.Move, "make_pass", make_pass)
        said = lab.move(status=1, back=True, directory=lab.tmp / "other")
        assert "collect on host" in said["line"]
        assert "is it in registry_servers" in said["line"]
    monkeypatch.setattr(passes.Move, "make_pass", real)
    assert lab.move(back=True, directory=lab.tmp / "other")["state"] == "complete"


def test_a_collection_of_files_that_takes_too_long_ends_the_last_pass_before_it_begins(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    with locked(lab.directory.path):
        assert "registry-keeper has been at work" in lab.move(status=1)["line"]
    assert lab.stored() == {}
    lab.move()


def test_no_collection_of_files_begins_during_the_last_pass(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.directory.image("team/app", "1")
    with locked(lab.directory.path):
        pass
    real, tried = passes.Move.make_pass, []

    def make_pass(self: passes.Move, final: bool) -> passes.Outcome:
        with open(lab.directory.path / "keeper/lock", "rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        tried.append(final)
        return real(self, final)

    monkeypatch.setattr(passes.Move, "make_pass", make_pass)
    lab.move()
    assert tried[0]


def test_what_retention_removes_between_two_passes_does_not_come_back(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last pass lists until nothing changes: what went during the first of them goes at the target with the next."""
    lab.directory.image("team/app", "1")
    lab.directory.image("team/app", "old", b"another layer")
    real, passed = passes.Move.make_pass, []

    def make_pass(self: passes.Move, final: bool) -> passes.Outcome:
        outcome = real(self, final)
        if not passed:
            lab.directory.remove_tag("team/app", "old")
        passed.append(final)
        return outcome

    monkeypatch.setattr(passes.Move, "make_pass", make_pass)
    lab.move()
    assert lab.stored() == lab.directory.contents()
    assert passed == [True, True, True]


def test_a_store_to_another_prefix_is_moved_and_both_leases_are_looked_at(lab: Lab) -> None:
    lab.directory.image("team/app", "1", b"x" * 180_000)
    lab.move()
    with collecting(lab):
        assert "registry/images: registry-keeper has been at work" in lab.move(status=1, prefixes=("images", "elsewhere"))["line"]
        assert "registry/images: registry-keeper has been at work" in lab.move(status=1, prefixes=("elsewhere", "images"))["line"]
    assert lab.move(prefixes=("images", "elsewhere"))["blobs"] == 2
    moved = {key.partition("/docker/registry/v2/")[2]: one.content for key, one in lab.store.objects.items() if key.startswith("elsewhere/docker")}
    assert moved == lab.directory.contents()


@pytest.mark.parametrize("phase", ["copy", "finish"])
@pytest.mark.parametrize("back", [False, True], ids=["target", "source"])
def test_what_is_no_store_is_refused_at_once_and_has_no_command_to_wait_for(lab: Lab, phase: str, back: bool) -> None:
    lab.directory.image("team/app", "1")
    lab.store.lies.add("no store")
    said = lab.move(phase, status=1, back=back)
    assert said["line"].startswith("http://store/registry/images: is no S3 store: it answers a list with b'<html>It works!")
    assert len(lab.store.asked) == 1
