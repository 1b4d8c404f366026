# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import io
import os
import pathlib
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import main
from registry_keeper.errors import KeeperError
from registry_keeper.report import Report
from registry_keeper.settings import Settings
from registry_keeper.sizes import size_of
from registry_keeper.status import reserve
from registry_keeper.status.reserve import Space


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("500MB", 500_000_000), ("1.5 GB", 1_500_000_000), ("5%", 50), ("100%", None), ("5 GiB", None), ("", None), ("-1GB", None), ("1GB\n", None)],
    ids=range(9),
)
def test_a_size_is_a_number_with_a_unit_or_a_part_of_the_whole(text, size):
    assert size_of(text, 1000) == size


def test_uploads_are_refused_below_the_reserve_and_taken_with_a_little_more():
    assert not reserve.is_short(Space(10_000, 1000, 1.0), 1000, was_short=False)
    assert reserve.is_short(Space(10_000, 999, 1.0), 1000, was_short=False)
    assert reserve.is_short(Space(10_000, 1019, 1.0), 1000, was_short=True)
    assert not reserve.is_short(Space(10_000, 1020, 1.0), 1000, was_short=True)


def test_a_disk_without_room_for_files_is_nearly_full_too():
    assert reserve.is_short(Space(10_000, 9000, 0.001), 1000, was_short=False)


def test_without_a_reserve_nothing_is_refused():
    assert reserve.reserve_of(Settings("registry", "/s"), Space(1, 1, 1.0)) == 0
    assert not reserve.is_short(Space(10_000, 0, 0.0), 0, was_short=False)


def test_a_size_that_is_none_is_refused_by_name():
    with pytest.raises(KeeperError, match="reserve.size: 'much' is not a size"):
        reserve.reserve_of(Settings("registry", "/s", reserve={"size": "much"}), Space(1, 1, 1.0))


def until(condition):
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def watched(tmp_path, monkeypatch):
    """A watch of a storage whose free space a test sets; it ends with the test."""
    free, ended, out = [5000], threading.Event(), io.StringIO()
    monkeypatch.setattr(reserve, "space_of", lambda _path: Space(10_000, free[0], 1.0) if free[0] >= 0 else os.statvfs("/nonexistent"))
    directories = [str(tmp_path / "one"), str(tmp_path / "two")]
    for directory in directories:
        os.mkdir(directory)
    settings = Settings("registry", str(tmp_path), reserve={"size": "10%"})
    arguments = (settings, directories, ended, Report(out=out))
    thread = threading.Thread(target=reserve.watch, args=arguments, kwargs={"interval": 0.01})
    thread.start()
    yield free, [pathlib.Path(directory, "full") for directory in directories], out
    ended.set()
    thread.join(5)
    assert not any(pathlib.Path(directory, "full").exists() for directory in directories)


def test_the_gateway_is_told_whenever_that_changes(watched):
    free, flags, out = watched
    assert not any(flag.exists() for flag in flags)
    free[0] = 999
    until(lambda: all(flag.exists() for flag in flags))
    free[0] = 5000
    until(lambda: not any(flag.exists() for flag in flags))
    assert "uploads are refused until" in out.getvalue() and "uploads are accepted again" in out.getvalue()


def test_a_flag_that_somebody_has_removed_comes_back(watched):
    free, flags, _out = watched
    free[0] = 999
    until(flags[0].exists)
    flags[0].unlink()
    until(flags[0].exists)


def test_a_storage_that_cannot_be_looked_at_counts_as_it_was(watched):
    free, flags, _out = watched
    free[0] = 999
    until(flags[0].exists)
    free[0] = -1
    time.sleep(0.1)
    assert flags[0].exists()


def test_a_watch_without_a_place_to_tell_it_in_is_refused(tmp_path):
    with pytest.raises(KeeperError, match="RUNTIME_DIRECTORY"):
        reserve.watch(Settings("registry", str(tmp_path)), [], threading.Event(), Report(out=io.StringIO()))


def test_for_people_it_says_how_much_is_free_and_ends_with_3_if_uploads_are_refused(tmp_path, monkeypatch, capsys):
    file = tmp_path / "registry.json"
    file.write_text(f'{{"instance": "registry", "storage": "{tmp_path}", "reserve": {{"size": "10%"}}}}')
    monkeypatch.setattr(main.os, "geteuid", lambda: 1000)
    for free, status, words in ((999, 3, "refused"), (1001, 0, "taken")):
        monkeypatch.setattr(reserve, "space_of", lambda _path, free=free: Space(10_000, free, 1.0))
        assert main.main(["--settings", str(file), "reserve"]) == status
        assert words in capsys.readouterr().out
