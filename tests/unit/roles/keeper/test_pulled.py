# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import gzip
import json
import pathlib
import random
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper.errors import KeeperError
from registry_keeper.retain import pulled

DIGEST = "sha256:" + "ab" * 32


def moment(second):
    return f"2026-11-30T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}+00:00"


def line(second, reference="1", **fields):
    entry = {"time": moment(second), "registry": "registry", "action": "pull", "repository": "app", "method": "GET", "status": 200}
    return json.dumps({**entry, "path": f"/v2/app/manifests/{reference}", "nr": second, **fields}, separators=(",", ":")) + "\n"


def seconds(text):
    return pulled._entry(text.encode())[0]


class Log:
    """A log as nginx and logrotate keep it."""

    def __init__(self, directory):
        self.path = directory / "access.log"
        self.path.write_text("")
        self.record = pulled.Record()
        self.state = str(directory / "state/pulled/record.json")
        self.warnings = []

    def write(self, *lines, to=None):
        with open(to or self.path, "a", encoding="utf-8") as file:
            file.write("".join(lines))

    def rotate(self, keep=14):
        """As logrotate with compress and delaycompress: 2 is compressed when 1 becomes 2."""
        directory = self.path.parent
        numbered = {int(path.name.split(".")[2]): path for path in directory.glob("access.log.*")}
        for number in sorted(numbered, reverse=True):
            path = numbered[number]
            if number >= keep:
                path.unlink()
            elif path.suffix == ".gz":
                path.rename(directory / f"access.log.{number + 1}.gz")
            else:
                (directory / f"access.log.{number + 1}.gz").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()
        self.path.rename(directory / "access.log.1")
        self.path.write_text("")

    def read(self):
        """As a run of the keeper: from and to the disk."""
        self.record = pulled.load(self.state)
        pulled.update(self.record, [str(self.path), f"{self.path}.*"], ["registry"], self.warnings.append)
        pulled.save(self.state, self.record, seconds(line(86399)))
        return self.record


@pytest.fixture
def log(tmp_path):
    return Log(tmp_path)


@pytest.mark.parametrize(
    ("fields", "counts"),
    [
        pytest.param({}, True, id="a tag"),
        pytest.param({"method": "HEAD"}, True, id="asked for with HEAD"),
        pytest.param({"status": 304}, True, id="the client has it"),
        pytest.param({"status": 404}, False, id="not there"),
        pytest.param({"status": 401}, False, id="refused"),
        pytest.param({"action": "push", "method": "PUT", "status": 201}, False, id="a push"),
        pytest.param({"registry": "team"}, False, id="another registry's"),
        pytest.param({"path": "/v2/app/blobs/" + DIGEST}, False, id="a blob"),
        pytest.param({"path": "(not printable)"}, False, id="a path that is not logged"),
        pytest.param({"status": "200"}, False, id="not a number"),
        pytest.param({"repository": None}, False, id="no repository"),
    ],
)
def test_what_counts_as_a_pull(log, fields, counts):
    log.write(line(0, "other"), line(5, **fields))
    assert log.read().last_pull("app", "1") == (seconds(line(5)) if counts else 0)


def test_the_last_pull_of_a_tag_or_its_digest_counts(log):
    log.write(line(1, "1"), line(9, DIGEST.replace(":", "%3A")), line(5, "1"))
    assert log.read().last_pull("app", "1", DIGEST) == seconds(line(9))
    assert log.record.last_pull("app", "1") == seconds(line(5))
    assert log.record.last_pull("app", "2") == log.record.last_pull("apps", "1") == 0


def test_lines_that_are_no_json_are_left_out(log):
    log.write("nonsense\n", '{"action":"pull","path":"/manifests/"}\n', line(5))
    assert log.read().last_pull("app", "1") == seconds(line(5))


def test_a_line_that_is_being_written_is_read_later(log):
    whole = line(5, "late")
    log.write(line(1), whole[:40])
    assert log.read().last_pull("app", "late") == 0
    log.write(whole[40:])
    assert log.read().last_pull("app", "late") == seconds(whole)


def test_no_rotation_loses_or_repeats_a_line(log, monkeypatch):
    """Lines, rotations and runs in any order: each line is read once, under whatever name its file has by then."""
    chance = random.Random(11)
    read = []
    real = pulled._note
    monkeypatch.setattr(pulled, "_note", lambda text, *more: (read.append(json.loads(text)["nr"]), real(text, *more)))
    for second in range(3000):
        what = chance.random()
        if what < 0.03:
            log.rotate()
        elif what < 0.08:
            log.read()
        elif what < 0.1 and (log.path.parent / "access.log.1").exists():
            # nginx has not opened the new file yet
            log.write(line(second, f"t{second}"), to=log.path.parent / "access.log.1")
            continue
        log.write(line(second, f"t{second}"))
    record = log.read()
    assert sorted(read) == list(range(3000))
    assert all(record.last_pull("app", f"t{second}") == seconds(line(second)) for second in range(3000))
    assert record.since == seconds(line(0))
    assert log.warnings == []


def test_a_rotation_while_it_reads_loses_nothing(log, monkeypatch):
    for second in range(3):
        log.write(line(second, f"t{second}"))
        log.rotate()
    log.write(line(3, "t3"))
    real, rotated = pulled._read_file, []

    def rotating(path, *more):
        if path.endswith(".log.1") and not rotated:
            rotated.append(log.rotate())
        real(path, *more)

    monkeypatch.setattr(pulled, "_read_file", rotating)
    record = log.read()
    assert [record.last_pull("app", f"t{second}") for second in range(4)] == [seconds(line(second)) for second in range(4)]


def test_a_lost_file_is_noticed(log):
    log.write(line(1, "old"))
    log.read()
    for second in (10, 20, 30):
        log.write(line(second))
        log.rotate(keep=2)
    record = log.read()
    assert record.since > seconds(line(1))
    assert record.last_pull("app", "old") == seconds(line(1)), "what was known is known no more"
    assert len(log.warnings) == 1


def test_since_is_the_oldest_line_there_is(log):
    log.write(line(10))
    log.rotate()
    log.write(line(20))
    assert log.read().since == seconds(line(10))


@pytest.mark.parametrize("content", ["", "half a li"])
def test_without_a_log_nothing_is_known(log, content):
    log.write(line(10))
    log.read()
    log.path.write_text(content)
    assert log.read().since is None
    assert log.warnings


def test_an_unreadable_log_is_an_error(log, monkeypatch):
    log.write(line(1))
    log.rotate()
    (log.path.parent / "access.log.1").rename(log.path.parent / "access.log.1.gz")
    with pytest.raises(KeeperError, match="cannot be read, so it is not known what was pulled"):
        log.read()


def test_a_file_that_is_being_compressed_is_read_from_the_original(log):
    log.write(line(1, "a"), line(2, "b"))
    log.rotate()
    original = log.path.parent / "access.log.1"
    (log.path.parent / "access.log.1.gz").write_bytes(gzip.compress(original.read_bytes())[:-20])
    assert log.read().last_pull("app", "b") == seconds(line(2))


def test_compressed_files_are_decompressed_once(log, monkeypatch):
    log.write(line(1))
    for second in (2, 3):
        log.rotate()
        log.write(line(second))
    log.read()
    monkeypatch.setattr(pulled, "_read_lines", lambda _text, first, *_more: pytest.fail("read again") if json.loads(first)["nr"] == 1 else None)
    log.read()


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"since": 1, "pulls": {}, "files": {"a": 3}}', "\x00"])
def test_a_damaged_record_is_begun_anew(log, content):
    log.write(line(5))
    log.read()
    pathlib.Path(log.state).write_text(content)
    assert log.read().last_pull("app", "1") == seconds(line(5))


def test_pulls_of_long_ago_are_forgotten(log):
    record = pulled.Record(1.0, {"app": {"old": 1.0, "new": 950.0}, "gone": {"x": 2.0}})
    pulled.save(log.state, record, 1000.0, keep_seconds=100)
    assert pulled.load(log.state).pulls == {"app": {"new": 950.0}}
