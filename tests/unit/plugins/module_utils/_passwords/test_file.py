# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._passwords import file as htpasswd
from ansible_collections.holdfast.registry.plugins.module_utils._passwords import hashes as password_hashes
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.file import Policy, diff, manage, parse
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import User, check_cost, checked_users, problems

HASH = b"$2y$04$jzs8Lm6Iu1lNvNkDw3SCq.erBMIVakxrdCpZvDil6qMJyr3qsUCj2"
OTHER_HASH = b"$2y$04$" + b"b" * 53
APR1 = b"$apr1$DzAYfKnM$RKswUas4LJeEZRy2DUg6A/"
SHA1 = b"{SHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ="
PASSWORD = "pässword"  # fits HASH, APR1 and SHA1
MODE = Ownership(mode=0o640)
CHEAP = Policy(bcrypt_cost=4)

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "htpasswd")


def write(path, *lines):
    with open(path, "wb") as handle:
        handle.write(b"".join(line + b"\n" for line in lines))
    os.chmod(path, 0o640)


def read(path):
    with open(path, "rb") as handle:
        return handle.read()


def users(*entries):
    return checked_users([dict(entry) for entry in entries])


def alice(**more):
    return {"name": "alice", **more}


# --- what a list of users must look like


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "must not be empty"),
        ("al:ice", "colon"),
        ("#alice", "comment"),
        (" alice", "white space"),
        ("alice\u00a0", "white space"),
        ("ali\nce", "control characters"),
        ("ali\x7fce", "control characters"),
        ("ali\udc80ce", "Unicode"),
        ("ä" * 128, "is 256 bytes long in UTF-8, at most 255"),
        (7, "must be a string, not a number"),
        (True, "must be a string, not a boolean"),
        (None, "is missing"),
        (["alice"], "must be a string, not a list"),
    ],
)
def test_a_name_the_file_cannot_hold_is_refused_with_its_place(name, problem):
    (found,) = problems([{"name": "bob", "password": "x"}, {"name": name, "password": "x"}])
    assert found.startswith("users[1].name: ")
    assert problem in found


@pytest.mark.parametrize("name", ["a", "ä" * 127, "alice@example.com", "a b", "a#", "-rf"])
def test_other_names_are_fine(name):
    assert problems([{"name": name, "password": "x"}]) == []


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("", "must not be empty"),
        ("hunter2\x00", "control characters"),
        ("hunter2\n", "control characters"),
        ("hunter2\ud800", "Unicode"),
        ("hunter2" + "ä" * 33, "is 73 bytes long in UTF-8, at most 72"),
        (12345, "must be a string, not a number"),
        ({"hunter2": 1}, "must be a string, not a dictionary"),
    ],
)
def test_a_password_no_server_could_verify_is_refused_without_being_shown(password, problem):
    (found,) = problems([alice(password=password)])
    assert found.startswith("users[0].password: ")
    assert problem in found
    assert "hunter2" not in found
    assert "12345" not in found


def test_passwords_up_to_the_limit_are_fine():
    assert problems([alice(password="ä" * 36)]) == []


@pytest.mark.parametrize(
    "ready", ["hunter2", "{SHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=", "$2y$18$" + "a" * 53, "$2y$10$short", HASH.decode() + "\n", HASH.decode() + ":x"]
)
def test_what_is_no_known_hash_is_refused_without_being_shown(ready):
    (found,) = problems([alice(password_hash=ready)])
    assert found.startswith("users[0].password_hash: ")
    assert ready.strip() not in found


def test_a_present_user_needs_exactly_one_secret():
    assert problems([alice()]) == ["users[0]: needs a password or a password_hash"]
    assert problems([alice()], secret_required=False) == []
    assert "exclude each other" in problems([alice(password="x", password_hash=HASH.decode())])[0]
    assert problems([alice(state="absent")]) == []


@pytest.mark.parametrize("key", ["password", "password_hash"])
@pytest.mark.parametrize("secret_required", [True, False])
def test_a_secret_without_a_value_is_refused_whoever_would_make_one_up(key, secret_required):
    found = problems([alice(**{key: None})], secret_required=secret_required)
    assert found == [f"users[0].{key}: has no value; give it one, or leave the key out"]


def test_a_user_listed_twice_is_refused_naming_both_places():
    assert problems([alice(password="x"), {"name": "bob", "password": "x"}, alice(state="absent")]) == [
        "users[2].name: 'alice' is listed before as users[0].name; list each user once"
    ]


@pytest.mark.parametrize("value", [None, "alice", 3, {"name": "alice"}])
def test_what_is_no_list_is_refused(value):
    assert problems(value, parameter="holdfast_users")[0].startswith("holdfast_users: must be a list")


@pytest.mark.parametrize("entry", [None, "alice:hunter2", 3, []])
def test_what_is_no_dictionary_is_refused_without_being_shown(entry):
    (found,) = problems([entry])
    assert found.startswith("users[0]: must be a dictionary")
    assert "hunter2" not in found


def test_an_unknown_key_and_an_unknown_state_are_refused_without_their_values():
    found = problems([alice(passwrd="hunter2", password="x", state="hunter2"), {3: "hunter2", "name": "bob", "password": "x", "state": []}])
    assert [text.partition(":")[0] for text in found] == ["users[0]", "users[0].state", "users[1]", "users[1].state"]
    assert "hunter2" not in str(found)


def test_all_problems_are_reported_at_once():
    with pytest.raises(HoldfastError, match=r"users\[0\]\.name: .*; users\[1\]: needs"):
        checked_users([{"name": "a:", "password": "x"}, {"name": "b"}])


@pytest.mark.parametrize("cost", [3, 18, -1])
def test_a_cost_out_of_range_is_refused(cost):
    with pytest.raises(HoldfastError, match=f"bcrypt_cost: {cost} is not between 4 and 17"):
        check_cost(cost)


def test_a_user_does_not_show_its_secrets_when_printed():
    (user,) = users(alice(password="hunter2"))
    assert "hunter2" not in repr(user)
    assert HASH.decode() not in repr(users(alice(password_hash=HASH.decode()))) + repr(parse(b"alice:" + HASH, "f"))


# --- the file


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"alice:x\nhunter2\n", 2), (b"hunter2", 1), (b"# c\n\n:hunter2\n", 3), (b" alice:hunter2\n", 1), (b"alice :hunter2\n", 1), (b" #a:hunter2\n", 1)],
)
def test_a_malformed_line_is_named_and_the_file_untouched(path, content, line):
    write(path, content)
    before = read(path)
    with pytest.raises(HoldfastError, match=f"htpasswd: line {line} is neither") as caught:
        manage(path, users(alice(password="x")), Policy(bcrypt_cost=4, exclusive=True), MODE)
    assert read(path) == before
    assert "hunter2" not in str(caught.value)


def test_whatever_the_bytes_only_a_clean_error_comes_out_and_what_is_parsed_survives():
    source = random.Random(1)
    pieces = [b":", b"\n", b"#", b" ", b"\r", b"\t", b"\x00", b"\xff", b"\xc3", "ä".encode(), b"alice", HASH, APR1, SHA1, b"$2y$", b"$6$", b"{SHA}"]
    parsed = 0
    for _round in range(4000):
        parts = [source.choice(pieces) if source.random() < 0.9 else bytes([source.randrange(256)]) for _part in range(source.randrange(12))]
        content = b"".join(parts)
        try:
            lines = parse(content, "f")
        except HoldfastError as error:
            assert "line " in str(error)
            continue
        parsed += 1
        assert b"".join(line.raw + b"\n" for line in lines) == (content if content.endswith(b"\n") or not content else content + b"\n")
        plan = htpasswd.make_plan(lines, users(alice(password_hash=HASH.decode()), {"name": "bob", "state": "absent"}), CHEAP, "f")
        result = htpasswd.render(plan, CHEAP)
        assert b"alice" in result
        "".join(diff(plan, CHEAP)).encode()
        again = htpasswd.make_plan(parse(result, "f"), users(alice(password_hash=HASH.decode())), CHEAP, "f")
        assert not again.reasons
        assert not again.file_changes
    assert parsed > 500


def test_comments_blank_lines_and_other_users_stay_in_place(path):
    write(path, b"# first", b"", b"bob:plain:note", b"alice:" + SHA1 + b":her note", b"  # last")
    plan = manage(path, users(alice(password_hash=HASH.decode()), {"name": "carol", "password_hash": HASH.decode()}), CHEAP, MODE)
    assert read(path) == b"# first\n\nbob:plain:note\nalice:" + HASH + b":her note\n  # last\ncarol:" + HASH + b"\n"
    assert (plan.added, plan.updated, plan.removed) == (["carol"], ["alice"], [])


def test_exclusive_leaves_the_listed_users_and_the_comments(path):
    write(path, b"# first", b"bob:x", b"", b"alice:" + HASH, b"\xff:x")
    plan = manage(path, users(alice(password_hash=HASH.decode())), Policy(exclusive=True), MODE)
    assert read(path) == b"# first\n\nalice:" + HASH + b"\n"
    assert plan.removed == ["bob", "\\xff"]
    assert plan.reasons["bob"] == "not listed, and exclusive is true"
    assert plan.file_changes == []


def test_an_absent_user_loses_every_line(path):
    write(path, b"alice:x", b"bob:x", b"alice:y")
    plan = manage(path, users(alice(state="absent")), CHEAP, MODE)
    assert read(path) == b"bob:x\n"
    assert (plan.removed, plan.reasons) == (["alice"], {"alice": "state is absent"})


def test_of_duplicates_the_first_stays_as_servers_use_it_and_a_warning_names_the_other(path):
    write(path, b"alice:" + HASH, b"bob:x", b"alice:" + SHA1)
    plan = manage(path, users(alice(password_hash=HASH.decode())), CHEAP, MODE)
    assert read(path) == b"alice:" + HASH + b"\nbob:x\n"
    assert "line 3 is a duplicate of alice" in plan.warnings[0]
    assert plan.file_changes == ["line 3 removed: a duplicate of alice"]
    assert not manage(path, users(alice(password_hash=HASH.decode())), CHEAP, MODE).warnings


def test_a_last_line_without_its_line_break_is_no_reason_to_write(path):
    with open(path, "wb") as handle:
        handle.write(b"alice:" + HASH + b"\r")
    os.chmod(path, 0o640)
    plan = manage(path, users(alice(password_hash=HASH.decode())), CHEAP, MODE)
    assert not plan.reasons
    assert read(path).endswith(b"\r")
    manage(path, users({"name": "bob", "password_hash": HASH.decode()}), CHEAP, MODE)
    assert read(path) == b"alice:" + HASH + b"\r\nbob:" + HASH + b"\n"


def test_no_file_is_made_for_nobody(path):
    plan = manage(path, users(alice(state="absent")), CHEAP, MODE)
    assert not os.path.exists(path)
    assert not plan.file_changes


def test_a_missing_directory_is_named_before_anything_is_made(tmp_path):
    with pytest.raises(HoldfastError, match="path: the directory .*/missing does not exist"):
        manage(str(tmp_path / "missing" / "f"), users(alice(password="x")), CHEAP, MODE)
    assert not list(tmp_path.iterdir())


def test_a_wrong_mode_alone_is_corrected_and_reported(path):
    write(path, b"alice:" + HASH)
    os.chmod(path, 0o644)
    plan = manage(path, users(alice(password_hash=HASH.decode())), CHEAP, MODE)
    assert plan.file_changes == ["mode 0644 -> 0640"]
    assert os.stat(path).st_mode & 0o7777 == 0o640
    assert not manage(path, users(alice(password_hash=HASH.decode())), CHEAP, MODE).file_changes


# --- when an entry is written again


@pytest.mark.parametrize(
    ("line", "entry", "policy", "reason"),
    [
        (HASH, {"password": PASSWORD}, Policy(bcrypt_cost=4), None),
        (HASH.replace(b"$2y$", b"$2b$"), {"password": PASSWORD}, Policy(bcrypt_cost=4), None),
        (HASH, {"password": "other"}, Policy(bcrypt_cost=4), "password changed"),
        (HASH, {"password": PASSWORD}, Policy(bcrypt_cost=5), "cost 4 -> 5"),
        (HASH, {"password": "other"}, Policy(bcrypt_cost=5), "password changed"),
        (b"$2y$31$" + b"a" * 53, {"password": PASSWORD}, Policy(bcrypt_cost=5), "cost 31 -> 5"),
        (APR1, {"password": PASSWORD}, Policy(bcrypt_cost=4), "scheme apr1 -> bcrypt"),
        (APR1, {"password": "other"}, Policy(bcrypt_cost=4), "scheme apr1 -> bcrypt"),
        (APR1, {"password": PASSWORD}, Policy(on_create=True), None),
        (APR1, {"password_hash": APR1.decode()}, Policy(), None),
        (SHA1, {"password": PASSWORD}, Policy(bcrypt_cost=4), "scheme sha1 -> bcrypt"),
        # nginx does not let anybody in by a hash with a space behind it
        (HASH + b" ", {"password": PASSWORD}, Policy(bcrypt_cost=4), "scheme unknown -> bcrypt"),
        (HASH + b" ", {"password_hash": HASH.decode()}, Policy(), "password_hash differs"),
        (HASH + b"\r", {"password": PASSWORD}, Policy(bcrypt_cost=4), None),
        (b"plain text", {"password": "plain text"}, Policy(bcrypt_cost=4), "scheme unknown -> bcrypt"),
        (HASH, {"password": "other"}, Policy(on_create=True), None),
        (HASH, {"password_hash": HASH.decode()}, Policy(bcrypt_cost=17), None),
        (HASH, {"password_hash": HASH.replace(b"$2y$", b"$2b$").decode()}, Policy(), None),
        (HASH, {"password_hash": OTHER_HASH.decode()}, Policy(), "password_hash differs"),
        (HASH, {"password_hash": OTHER_HASH.decode()}, Policy(on_create=True), None),
    ],
)
def test_an_entry_is_written_again_for_a_reason_only(path, line, entry, policy, reason):
    write(path, b"alice:" + line)
    wanted = checked_users([alice(**entry)])
    forecast = manage(path, wanted, policy, MODE, check_mode=True)
    assert read(path) == b"alice:" + line + b"\n"
    plan = manage(path, wanted, policy, MODE)
    assert plan.reasons == forecast.reasons == ({} if reason is None else {"alice": reason})
    assert (read(path) == b"alice:" + line + b"\n") is (reason is None)
    assert not manage(path, wanted, policy, MODE).reasons


def test_a_higher_cost_than_asked_stays(path):
    manage(path, users(alice(password="x")), Policy(bcrypt_cost=6), MODE)
    assert not manage(path, users(alice(password="x")), Policy(bcrypt_cost=5), MODE).reasons


def test_check_mode_writes_nothing_at_all_not_even_a_lock(tmp_path, path):
    forecast = manage(path, users(alice(password="x")), CHEAP, MODE, check_mode=True)
    assert not list(tmp_path.iterdir())
    assert (forecast.reasons, forecast.file_changes) == ({"alice": "missing"}, ["created"])


def test_check_mode_on_a_host_without_the_directory_foretells_a_change_and_warns(tmp_path):
    plan = manage(str(tmp_path / "missing" / "f"), users(alice(password="x")), CHEAP, MODE, check_mode=True)
    assert plan.added == ["alice"]
    assert "does not exist" in plan.warnings[0]


@pytest.fixture
def no_library(monkeypatch):
    def missing():
        raise HoldfastError("bcrypt needs a crypt(3)")

    monkeypatch.setattr(password_hashes, "_crypt_r", lambda: None)
    monkeypatch.setattr(password_hashes, "_hashpw", missing)


def test_without_the_library_check_mode_foretells_a_new_user_but_a_run_writes_nothing(path, no_library):
    wanted = users(alice(password="x"), {"name": "bob", "password_hash": HASH.decode()})
    forecast = manage(path, wanted, CHEAP, MODE, check_mode=True)
    assert forecast.added == ["alice", "bob"]
    assert forecast.warnings == ["bcrypt needs a crypt(3): this fails unless that is put right before"]
    with pytest.raises(HoldfastError, match="needs a crypt"):
        manage(path, wanted, CHEAP, MODE)
    assert not os.path.exists(path)


@pytest.mark.parametrize("check_mode", [True, False])
def test_without_the_library_an_entry_that_has_to_be_verified_is_an_error(path, no_library, check_mode):
    write(path, b"alice:" + HASH)
    with pytest.raises(HoldfastError, match="needs a crypt"):
        manage(path, users(alice(password="x")), CHEAP, MODE, check_mode=check_mode)


def test_ready_hashes_need_no_library(path, no_library):
    assert not manage(path, users(alice(password_hash=HASH.decode())), CHEAP, MODE, check_mode=True).warnings
    manage(path, users(alice(password_hash=HASH.decode())), CHEAP, MODE)
    assert read(path) == b"alice:" + HASH + b"\n"


# --- the diff


def test_the_diff_shows_every_changed_line_and_no_secret(path):
    write(path, b"#mallory:" + SHA1, b"# plain comment", b"alice:" + HASH, b"bob:hunter2", b"carol:" + APR1, b"dave:" + HASH)
    wanted = users(
        alice(password_hash=OTHER_HASH.decode()),
        {"name": "carol", "password": "secret"},
        {"name": "dave", "state": "absent"},
        {"name": "eve", "password": "secret"},
    )
    plan = manage(path, wanted, CHEAP, MODE, check_mode=True)
    before, after = diff(plan, CHEAP)
    common = "# <a comment with a colon, not shown>\n# plain comment\n"
    assert before == common + "alice:<bcrypt, cost 4>\nbob:<unknown scheme>\ncarol:<apr1>\ndave:<bcrypt, cost 4>\n"
    assert after == common + "alice:<bcrypt, cost 4, password changed>\nbob:<unknown scheme>\ncarol:<bcrypt, cost 4>\neve:<bcrypt, cost 4>\n"


# --- others at the same time, and sudden death


def test_twenty_processes_at_once_lose_no_user(path):
    names = [f"user{number}" for number in range(20)]
    processes = [FORK.Process(target=manage, args=(path, [User(name.encode(), password_hash=HASH)], CHEAP, MODE)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert sorted(line.name.decode() for line in parse(read(path), path)) == sorted(names)


def toggle_forever(path, began):
    """Change a password again and again, with a byte to began whenever a temporary file is opened."""
    sys.addaudithook(lambda event, given: os.write(began, b"x") if event == "open" and "holdfast-tmp" in str(given[0]) else None)
    while True:
        for hashed in (HASH, OTHER_HASH):
            manage(path, [User(b"alice", password_hash=hashed)], CHEAP, MODE)


def assert_whole_and_finished_by_the_next_run(path, comments):
    lines = parse(read(path), path)
    assert len(lines) == comments + 1
    assert lines[-1].hashed in (HASH, OTHER_HASH)
    assert os.stat(path).st_mode & 0o7777 == 0o640
    manage(path, [User(b"alice", password_hash=APR1)], CHEAP, MODE)
    assert parse(read(path), path)[-1].hashed == APR1
    assert sorted(os.listdir(os.path.dirname(path))) == [".htpasswd.lock", "htpasswd"]
    manage(path, [User(b"alice", password_hash=HASH)], CHEAP, MODE)


def test_forty_kills_during_writes_leave_the_file_whole(path):
    # Few long lines: two megabytes take some time to write and next to none to parse, so that many of the kills come during a write.
    comments = 100
    write(path, *[b"# a comment that makes the file longer" * 500] * comments, b"alice:" + HASH)
    source = random.Random(2)
    leftovers = 0
    for _kill in range(40):
        reading, began = os.pipe()
        process = FORK.Process(target=toggle_forever, args=(path, began))
        process.start()
        os.close(began)
        assert os.read(reading, 1)
        time.sleep(source.random() * 0.002)
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        os.close(reading)
        assert process.exitcode == -signal.SIGKILL
        leftovers += len(os.listdir(os.path.dirname(path))) > 2
        assert_whole_and_finished_by_the_next_run(path, comments)
    assert leftovers


def die_in(function, path):
    setattr(os, function, lambda *_args, **_keywords: os.kill(os.getpid(), signal.SIGKILL))
    manage(path, [User(b"alice", password_hash=OTHER_HASH)], CHEAP, MODE)


@pytest.mark.parametrize("function", ["fchmod", "fsync", "replace"])
def test_a_kill_at_any_step_of_a_write_leaves_the_old_file(path, function):
    write(path, b"alice:" + HASH)
    process = FORK.Process(target=die_in, args=(function, path))
    process.start()
    process.join(10)
    assert process.exitcode == -signal.SIGKILL
    assert read(path) == b"alice:" + HASH + b"\n"
    assert_whole_and_finished_by_the_next_run(path, 0)
