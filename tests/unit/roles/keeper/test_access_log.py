# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import gzip
import os
import time

import pytest
from registry_keeper.collect.access_log import AccessLog
from registry_keeper.errors import KeeperError

KEYS = [bytes([number]) * 32 for number in range(6)]
NOON = 1764504000  # 2025-11-30T12:00:00+00:00


def line(key, moment="2025-11-30T12:00:00+00:00", method="HEAD", status=200, form="sha256:"):
    return f'{{"time":"{moment}","method":"{method}","path":"/v2/a/blobs/{form}{key.hex()}","status":{status},"bytes":0}}\n'


@pytest.fixture
def log(tmp_path):
    return tmp_path / "access.log"


@pytest.mark.parametrize(
    ("written", "found"),
    [
        pytest.param({}, True, id="found"),
        pytest.param({"method": "GET", "status": 304}, True, id="not modified"),
        pytest.param({"status": 499}, False, id="client gone before the answer"),
        pytest.param({"status": 404}, False, id="not found"),
        pytest.param({"method": "DELETE", "status": 202}, False, id="deleted"),
        pytest.param({"form": "sha256%3A"}, True, id="percent-encoded"),
        pytest.param({"moment": "2025-11-30T10:59:59+00:00"}, False, id="too old"),
        pytest.param({"moment": "2025-11-30T13:30:00+02:00"}, True, id="in another time zone"),
        pytest.param({"moment": "2025-11-30T12:30:00+02:00"}, False, id="too old in another time zone"),
        pytest.param({"moment": "2025-11-30T08:00:00-03:30"}, True, id="west of Greenwich"),
    ],
)
def test_what_was_found_within_the_window_counts(log, written, found):
    log.write_text(line(KEYS[0], **written))
    assert AccessLog([str(log)], NOON - 3600).read() == ({KEYS[0]} if found else set())


def test_a_look_again_reads_what_was_added_and_waits_for_whole_lines(log):
    log.write_text(line(KEYS[0]))
    reader = AccessLog([str(log)], 0)
    assert reader.read() == {KEYS[0]} and reader.follow() == set()
    with log.open("a") as file:
        file.write(line(KEYS[1]) + line(KEYS[2])[:60])
        file.flush()
        assert reader.follow() == {KEYS[1]}
        file.write(line(KEYS[2])[60:])
    assert reader.follow() == {KEYS[2]}


def test_a_rotation_loses_nothing(log):
    log.write_text(line(KEYS[0]))
    reader = AccessLog([str(log), f"{log}.*"], 0)
    assert reader.read() == {KEYS[0]}
    with log.open("a") as file:  # nginx writes on until it is told
        log.rename(f"{log}.1")
        file.write(line(KEYS[1]))
    log.write_text(line(KEYS[2]))
    assert reader.follow() == {KEYS[1], KEYS[2]}


def test_a_log_that_was_emptied_is_read_from_its_beginning(log):
    log.write_text(line(KEYS[0]) * 3)
    reader = AccessLog([str(log)], 0)
    reader.read()
    log.write_text(line(KEYS[1]))
    assert reader.follow() == {KEYS[1]}


def test_compressed_logs_are_read_unless_they_are_older_than_the_window(log):
    for name, key, age in (("2.gz", KEYS[0], 0), ("3.gz", KEYS[1], 9 * 3600)):
        path = f"{log}.{name}"
        with gzip.open(path, "wt") as file:
            file.write(line(key, moment=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())))
        os.utime(path, (time.time() - age,) * 2)
    assert AccessLog([f"{log}.*"], time.time() - 3600).read() == {KEYS[0]}


def test_what_is_being_compressed_is_read_where_it_comes_from(log):
    log.write_text("".join(line(KEYS[number % 4]) for number in range(4000)))
    whole = gzip.compress(log.read_bytes())
    packed = log.with_name("access.log.gz")
    packed.write_bytes(whole[: len(whole) // 2])
    reader = AccessLog([str(packed)], 0)
    assert reader.read() == set(KEYS[:4])
    packed.write_bytes(whole)
    log.unlink()
    assert reader.follow() == set(KEYS[:4])


@pytest.mark.parametrize("age", [0, 9 * 3600])
def test_a_damaged_log_is_named_unless_it_is_older_than_the_window(log, age):
    packed = log.with_name("access.log.gz")
    content = bytearray(gzip.compress(b"".join(os.urandom(20).hex().encode() + b"\n" for _number in range(2000))))
    content[5000:5100] = b"\xff" * 100  # in the middle, where zlib finds it
    packed.write_bytes(content)
    os.utime(packed, (time.time() - age,) * 2)
    reader = AccessLog([str(packed)], time.time() - 3600)
    if age:
        assert reader.read() == set()
    else:
        with pytest.raises(KeeperError, match=r"access.log.gz: cannot be read, .*move it away if it is damaged"):
            reader.read()


def test_a_log_that_cannot_be_read_is_an_error_and_one_that_is_not_there_yet_is_none(log):
    assert AccessLog([str(log)], 0).read() == set()
    log.mkdir()
    with pytest.raises(KeeperError, match="cannot be read"):
        AccessLog([str(log)], 0).read()


def stamp(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(moment))


@pytest.mark.parametrize("ago", [0, 1, 59, *range(600, 660, 7), 3599, 3600, 7200, 10**6])
def test_in_a_long_log_everything_since_then_is_found(log, ago, monkeypatch):
    """Each line up to a minute too late, as of several workers: none of them is passed over."""
    # The search goes on to single lines, or what it reads anyway would hide that it went too far.
    monkeypatch.setattr("registry_keeper.collect.access_log._BLOCK", 300)
    moments = [NOON - 3600 + number for number in range(3600)]
    late = [moment - (number * 37 % 60) for number, moment in enumerate(moments)]
    keys = [number.to_bytes(32, "big") for number in range(3600)]
    log.write_text("".join(line(key, stamp(moment)) + "a line of something else\n" * (key[-1] == 7) for key, moment in zip(keys, late)))
    assert AccessLog([str(log)], NOON - ago).read() == {key for key, moment in zip(keys, late) if moment >= NOON - ago}


def test_a_long_log_is_not_read_from_its_beginning(log):
    log.write_text("".join(line(KEYS[0], stamp(NOON - 20000 + number)) for number in range(20000)))
    begins = []

    class Watched(AccessLog):
        def _lines(self, file, found):
            begins.append(file.tell())
            return super()._lines(file, found)

    reader = Watched([str(log)], NOON - 30)
    assert reader.read() == {KEYS[0]}
    assert log.stat().st_size - 10**6 < begins[0] < log.stat().st_size
    with log.open("a") as file:
        file.write(line(KEYS[1], stamp(NOON)))
    assert reader.follow() == {KEYS[1]}
