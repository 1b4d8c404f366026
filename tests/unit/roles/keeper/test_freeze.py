# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""While images are being moved no command changes them: in files, and in a store."""

from __future__ import annotations

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from keeping import Keeper, old
from stores import CHANGES, PREFIX, S3Keeper, no_waiting

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import lock
from registry_keeper.errors import BUSY, DONE
from registry_keeper.retain import retention

RULES = [{"repositories": ["**"], "keep_newest": 1}]
COMMANDS = [("collect",), ("retain",), ("undo", "20260101-000000-collect"), ("purge",)]


@pytest.fixture(params=["files", "store"])
def keeper(request, tmp_path, monkeypatch):
    """With an image that collect would take, and a tag that retain would."""
    no_waiting(monkeypatch)
    monkeypatch.setattr(retention, "SETTLING_SECONDS", 0)
    (tmp_path / "k").mkdir()
    keeper = Keeper(tmp_path / "k") if request.param == "files" else S3Keeper(tmp_path / "k")
    keeper.freeze_file = tmp_path / "read-only"
    for number in ("1", "2"):
        keeper.storage.image("a", f"image {number}", number)
        keeper.storage.age(3600)
    keeper.storage.image("a", "an image without a tag")
    keeper.storage.age(48 * 3600)
    return keeper


def run(keeper, *arguments):
    return keeper(*arguments, retention=RULES, freeze_file=str(keeper.freeze_file))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_none_changes_anything_while_the_file_is_there(keeper, command):
    keeper.freeze_file.write_text("")
    assert run(keeper, *command) == BUSY
    assert f"{keeper.freeze_file}: is there, since the images are being moved" in keeper.document["error"]
    if isinstance(keeper, S3Keeper):
        assert not [method for method, _name in keeper.store.asked if method in CHANGES]


def test_they_work_again_when_it_has_gone(keeper):
    keeper.freeze_file.write_text("")
    assert run(keeper, "retain") == BUSY
    keeper.freeze_file.unlink()
    assert run(keeper, "retain") == DONE
    assert keeper.document["removed"] == 1


def test_what_only_looks_works_as_always(keeper):
    keeper.freeze_file.write_text("")
    assert run(keeper, "retain", "--dry-run") == DONE
    assert run(keeper, "runs") == DONE


def test_who_has_just_taken_the_lease_looks_once_more(tmp_path, monkeypatch):
    """The file is made between the first look and the lease: the move then sees the lease, and waits until it has gone."""
    no_waiting(monkeypatch)
    keeper = S3Keeper(tmp_path)
    keeper.freeze_file = tmp_path / "read-only"
    keeper.storage.image("a", "an image", "1")
    keeper.store.before = lambda _method, name: keeper.freeze_file.write_text("") if name.endswith("/lease") else None
    assert run(keeper, "collect") == BUSY
    assert {name for method, name in keeper.store.asked if method in CHANGES} == {f"{PREFIX}holdfast-keeper/lease"}
    assert f"{PREFIX}holdfast-keeper/lease" not in keeper.store.objects


def test_who_has_just_taken_the_lock_of_files_looks_after_it(tmp_path, monkeypatch):
    keeper = Keeper(tmp_path)
    keeper.freeze_file = tmp_path / "read-only"
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    old(keeper)
    real = lock.hold

    def hold(*arguments):
        keeper.freeze_file.write_text("")
        return real(*arguments)

    monkeypatch.setattr(lock, "hold", hold)
    assert run(keeper, "collect") == BUSY
