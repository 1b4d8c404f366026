# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible_collections.holdfast.registry.plugins.lookup.secret import ALPHABET, LookupModule, read_or_create

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def lookup(tmp_path, monkeypatch):
    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    plugin = LookupModule(loader=loader)
    monkeypatch.setattr(plugin, "set_options", lambda **_options: None)

    def call(*terms, check_mode=False, length=32):
        monkeypatch.setattr(plugin, "get_option", {"length": length}.get)
        return plugin.run(list(terms), {"ansible_check_mode": check_mode})

    return call


def mode(path):
    return os.stat(path).st_mode & 0o7777


def test_a_missing_secret_is_made_once_and_private(lookup, tmp_path):
    (secret,) = lookup("some/where/alice")
    assert len(secret) == 32
    assert set(secret) <= set(ALPHABET)
    assert lookup("some/where/alice") == [secret]
    assert (tmp_path / "some/where/alice").read_text() == secret + "\n"
    assert [mode(tmp_path / part) for part in ("some", "some/where", "some/where/alice")] == [0o700, 0o700, 0o600]


def test_each_path_has_its_own_secret(lookup):
    assert len(set(lookup("a", "b", "c"))) == 3


def test_a_secret_that_exists_is_returned_as_it_is(lookup, tmp_path):
    (tmp_path / "alice").write_text("short pä \n")
    assert lookup("alice", length=64) == ["short pä "]


def test_an_empty_file_counts_as_missing(lookup, tmp_path):
    (tmp_path / "alice").write_text("\n")
    (secret,) = lookup("alice")
    assert (tmp_path / "alice").read_text() == secret + "\n"


def test_a_file_others_can_read_is_closed_to_them(lookup, tmp_path):
    (tmp_path / "alice").write_text("x\n")
    os.chmod(tmp_path / "alice", 0o640)
    lookup("alice")
    assert mode(tmp_path / "alice") == 0o600


def test_check_mode_writes_and_changes_nothing(lookup, tmp_path):
    (tmp_path / "bob").write_text("x\n")
    os.chmod(tmp_path / "bob", 0o644)
    assert lookup("bob", check_mode=True) == ["x"]
    assert mode(tmp_path / "bob") == 0o644
    assert len(lookup("some/alice", check_mode=True, length=16)[0]) == 16
    assert os.listdir(tmp_path) == ["bob"]


@pytest.mark.parametrize("length", [16, 128])
def test_length_is_kept(lookup, length):
    assert len(lookup("alice", length=length)[0]) == length


@pytest.mark.parametrize("length", [15, 129, 0, -1])
def test_a_length_out_of_range_is_refused(lookup, tmp_path, length):
    with pytest.raises(AnsibleError, match=f"length: {length} is not between 16 and 128"):
        lookup("alice", length=length)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "term", "message"), [(b"\xff\xfe", "f", "is not UTF-8 text"), (b"x", "f/alice", "f/alice: "), (b"x", ".", "cannot be read")]
)
def test_what_cannot_be_a_secret_is_a_clean_error(lookup, tmp_path, content, term, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(AnsibleError, match=message):
        lookup(term)


def ask(path, queue):
    queue.put(read_or_create(path, 32))


@pytest.mark.parametrize("empty_file", [False, True])
def test_twenty_processes_at_once_get_the_same_secret(tmp_path, empty_file):
    path = str(tmp_path / "new" / "alice")
    if empty_file:
        os.mkdir(os.path.dirname(path))
        with open(path, "wb"):
            pass
    queue = FORK.Queue()
    processes = [FORK.Process(target=ask, args=(path, queue)) for _process in range(20)]
    for process in processes:
        process.start()
    answers = {queue.get(timeout=30) for _process in processes}
    for process in processes:
        process.join(30)
    assert len(answers) == 1


def make_forever(directory):
    for number in range(100000):
        read_or_create(f"{directory}/new/{number}", 32)


def test_kills_leave_whole_secrets(tmp_path):
    source = random.Random(3)
    for kill in range(30):
        directory = tmp_path / str(kill)
        directory.mkdir()
        process = FORK.Process(target=make_forever, args=(str(directory),))
        process.start()
        time.sleep(0.03 + source.random() * 0.03)
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        names = [entry.name for entry in (directory / "new").glob("[0-9]*")] if (directory / "new").exists() else []
        assert all(len((directory / "new" / name).read_text()) == 33 for name in names)
        assert len(read_or_create(f"{directory}/new/{len(names)}", 32)) == 32
        assert not list((directory / "new").glob(f".{len(names)}.*tmp"))
