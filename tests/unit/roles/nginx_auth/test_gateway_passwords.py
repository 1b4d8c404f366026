# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import os
import pathlib
import threading

import pytest
from ansible_collections.holdfast.registry.tests.unit.roles.programs import loaded

SCRIPT = pathlib.Path(__file__).parents[4] / "roles/nginx_auth/files/gateway-passwords"
# crypt(3) of "a password", cost 4, and of "another one"
HASH = b"$2y$04$abcdefghijklmnopqrstuuJxq2zQUzVDkVGbUXKJHxKrDN0ot0OAK"
OTHER = b"$2y$04$ABCDEFGHIJKLMNOPQRSTUu9z9Qv3HfNJb4Qm2NAzWl6wMeSJPv6Iq"


@pytest.fixture(scope="module")
def program():
    with loaded(SCRIPT) as module:
        yield module


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Verifier:
    """Knows the right password of each hash; counts its checks, and holds them while it is closed."""

    def __init__(self):
        self.right = {HASH: b"a password", OTHER: b"another one"}
        self.checked = []
        self.checked_by = []
        self.gate = threading.Event()
        self.gate.set()
        self.busy = 0

    def __call__(self, password, hashed):
        self.checked_by.append((threading.current_thread().name, password))
        self.checked.append(password)
        self.busy += 1
        assert self.gate.wait(10)
        self.busy -= 1
        return self.right.get(hashed) == password

    def before(self, password, since=0):
        """How many checks the worker of this one did before it, leaving out the first ones. Another worker may be as fast as it likes."""
        checked_by = self.checked_by[since:]
        worker = next(name for name, checked in checked_by if checked == password)
        return [checked for name, checked in checked_by if name == worker].index(password)

    async def until_busy(self, number):
        for _time in range(1000):
            if self.busy == number:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{self.busy} checks are under way, not {number}")


@pytest.fixture
def users_file(tmp_path):
    path = tmp_path / "users"
    path.write_bytes(b"# people\nalice:" + HASH + b"\nbob:" + OTHER + b":a comment\n")
    return path


@pytest.fixture
def verifier():
    return Verifier()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def ask(program, users_file, verifier, clock):
    """Runs a function of asyncio with a checker of passwords: one thread, ten wrong passwords a minute."""

    def ask(scenario, attempts=10):
        async def run():
            one = [program.Workers(concurrent.futures.ThreadPoolExecutor(1, kind), 1) for kind in ("trusted", "suspects")]
            passwords = program.Passwords(program.UsersFile(str(users_file)), program.Clients(attempts, clock), verifier, *one)

            async def refusal(user, password, address="192.0.2.1", connection="1"):
                return await passwords.refusal(basic(user, password), address, connection)

            return await scenario(refusal)

        return asyncio.run(run())

    return ask


def basic(user, password):
    return b"Basic " + base64.b64encode(f"{user}:{password}".encode())


def test_a_right_password_names_the_user_and_a_wrong_one_nobody(ask):
    async def scenario(refusal):
        return [
            await refusal("alice", "a password"),
            await refusal("alice", "a guess"),
            await refusal("mallory", "a password"),
            await refusal("bob", "another one"),
        ]

    assert ask(scenario) == [(b"alice", ""), (b"", "wrong-password"), (b"", "wrong-password"), (b"bob", "")]


def test_a_password_that_was_right_is_recognised_without_hashing(ask, verifier):
    async def scenario(refusal):
        for _time in range(3):
            assert await refusal("alice", "a password") == (b"alice", "")

    ask(scenario)
    assert verifier.checked == [b"a password"]


def test_a_changed_line_ends_what_was_recognised(ask, verifier, users_file):
    async def scenario(refusal):
        assert await refusal("alice", "a password") == (b"alice", "")
        users_file.write_bytes(b"alice:" + OTHER + b"\n")
        assert await refusal("alice", "a password") == (b"", "wrong-password")
        assert await refusal("alice", "another one") == (b"alice", "")
        users_file.write_bytes(b"bob:" + OTHER + b"\n")
        assert await refusal("alice", "another one") == (b"", "wrong-password")

    ask(scenario)
    assert len(verifier.checked) == 4


def test_a_user_that_there_is_not_costs_as_much_as_most(program, tmp_path):
    path, cheap, dear = tmp_path / "users", b"$2y$04$" + 53 * b"x", b"$2y$12$" + 53 * b"x"
    path.write_bytes(b"a:" + cheap + b"\nb:" + dear + b"\nc:" + dear + b"\n")
    users = program.UsersFile(str(path))
    assert users.hash_of(b"nobody") is None
    assert users.any_hash() == dear


def test_a_check_that_was_given_up_counts_as_an_attempt(program, ask, verifier, monkeypatch):
    monkeypatch.setattr(program, "MAX_WAITING_SECONDS", 0.05)

    async def scenario(refusal):
        verifier.gate.clear()
        for number in range(5):  # ten a minute, five at once
            assert await refusal("alice", f"guess {number}") == (b"", "too-many-attempts")
        verifier.gate.set()
        monkeypatch.setattr(program, "MAX_WAITING_SECONDS", 60)
        assert await refusal("alice", "a password") == (b"", "too-many-attempts")
        assert await refusal("alice", "a password", "192.0.2.2") == (b"alice", "")

    ask(scenario)


def test_a_user_that_there_is_not_costs_a_check_as_well(ask, verifier):
    async def scenario(refusal):
        return await refusal("nobody", "a password")

    assert ask(scenario) == (b"", "wrong-password")
    assert verifier.checked == [b"a password"]


def test_without_users_nobody_is_recognised(ask, users_file):
    users_file.write_bytes(b"alice:{PLAIN}a password\nbob:plain\n")

    async def scenario(refusal):
        return [await refusal("alice", "a password"), await refusal("bob", "plain")]

    assert ask(scenario) == [(b"", "unchecked")] * 2


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Basic",
        b"Bearer " + base64.b64encode(b"alice:a password"),
        b"Basic !!!!",
        b"Basic " + base64.b64encode(b"alice"),
        b"Basic " + base64.b64encode(b":a password"),
        b"Basic " + base64.b64encode(b"alice:"),
        b"Basic " + base64.b64encode(b"alice:a password\0behind it"),
        b"Basic " + base64.b64encode(b"alice:a password\n"),
        b"Basic " + base64.b64encode(b"ali\tce:a password"),
        # Other spellings of the same bytes: no padding, more padding, bits that are not used.
        b"Basic " + base64.b64encode(b"alice:a password!").rstrip(b"="),
        b"Basic " + base64.b64encode(b"alice:a password!") + b"=",
        b"Basic YWxpY2U6YR==",
        b"Basic " + base64.b64encode(b"alice:" + 73 * b"a"),
    ],
)
def test_only_one_spelling_of_credentials_is_read_and_no_other_is_checked(program, ask, verifier, header):
    assert program.credentials_of(header) is None

    async def scenario(refusal):
        return None

    ask(scenario)
    assert verifier.checked == []


def test_passwords_may_have_colons_and_any_letters(program):
    assert program.credentials_of(basic("zoë", "päss:wörter ")) == ("zoë".encode(), "päss:wörter ".encode())
    assert program.credentials_of(b"bAsIc " + base64.b64encode(b"a:" + 72 * b"b")) == (b"a", 72 * b"b")


def test_a_client_that_fails_too_often_is_refused_without_a_check_until_it_has_waited(ask, verifier, clock):
    async def scenario(refusal):
        answers = [(await refusal("alice", f"guess {number}"))[1] for number in range(8)]
        assert answers == ["wrong-password"] * 5 + ["too-many-attempts"] * 3
        assert len(verifier.checked) == 5
        assert await refusal("alice", "a password") == (b"", "too-many-attempts")
        assert await refusal("alice", "a password", "192.0.2.2") == (b"alice", "")
        # It is recognised by now, and so is no attempt.
        assert await refusal("alice", "a password") == (b"alice", "")
        clock.now += 7
        assert await refusal("bob", "a guess") == (b"", "wrong-password")
        assert await refusal("bob", "a guess") == (b"", "too-many-attempts")

    ask(scenario)


def test_failures_are_counted_by_network_where_addresses_are_ipv6(ask):
    async def scenario(refusal):
        answers = [(await refusal("alice", "guess", f"2001:db8:0:1::{number}"))[1] for number in range(1, 8)]
        assert answers == ["wrong-password"] * 5 + ["too-many-attempts"] * 2
        assert await refusal("alice", "guess", "2001:db8:0:2::1") == (b"", "wrong-password")

    ask(scenario)


def test_an_ipv4_address_that_a_proxy_wrote_as_ipv6_is_one_address(ask):
    async def scenario(refusal):
        answers = [(await refusal("alice", "guess", "::ffff:192.0.2.7"))[1] for _number in range(6)]
        assert answers == ["wrong-password"] * 5 + ["too-many-attempts"]
        assert await refusal("alice", "guess", "192.0.2.7") == (b"", "too-many-attempts")
        assert await refusal("alice", "a password", "::ffff:203.0.113.9") == (b"alice", "")

    ask(scenario)


def test_right_passwords_are_never_too_many(ask, users_file, verifier):
    users_file.write_bytes(b"".join(b"user%d:" % number + HASH + b"\n" for number in range(40)))

    async def scenario(refusal):
        return await asyncio.gather(*(refusal(f"user{number}", "a password") for number in range(40)))

    assert {answer for _user, answer in ask(scenario)} == {""}


def test_the_same_credentials_at_the_same_time_cost_one_check(ask, verifier):
    async def scenario(refusal):
        return await asyncio.gather(*(refusal("alice", "a password", f"192.0.2.{number}") for number in range(200)))

    assert set(ask(scenario)) == {(b"alice", "")}
    assert verifier.checked == [b"a password"]


def test_a_client_that_does_not_guess_is_next_however_many_guess(ask, verifier):
    async def scenario(refusal):
        verifier.gate.clear()
        guesses = [asyncio.ensure_future(refusal("alice", f"guess {number}", f"198.51.100.{number}")) for number in range(200)]
        await asyncio.sleep(0.05)
        honest = asyncio.ensure_future(refusal("bob", "another one"))
        await asyncio.sleep(0.05)
        verifier.gate.set()
        assert await honest == (b"bob", "")
        # A guess was being checked before.
        assert verifier.before(b"another one") <= 2
        await asyncio.gather(*guesses)
        # Each has failed once by now, so it comes after a client that has not, whenever that one comes.
        verifier.gate.clear()
        checked = len(verifier.checked)
        more = [asyncio.ensure_future(refusal("alice", f"next guess {number}", f"198.51.100.{number}")) for number in range(200)]
        early = asyncio.ensure_future(refusal("alice", "a password", "203.0.113.9"))
        await asyncio.sleep(0.05)
        more += [asyncio.ensure_future(refusal("alice", f"last guess {number}", f"198.51.100.{number}")) for number in range(200)]
        await asyncio.sleep(0.05)
        verifier.gate.set()
        assert await early == (b"alice", "")
        assert verifier.before(b"a password", checked) <= 2
        await asyncio.gather(*more)

    ask(scenario, attempts=1000)


async def started(verifier, *groups):
    """Groups of checks that come one after the other while the first check of all is under way. Then it goes on."""
    verifier.gate.clear()
    running = []
    for group in groups:
        running.append([asyncio.ensure_future(check) for check in group])
        await asyncio.sleep(0.05)
    verifier.gate.set()
    return running


def test_a_first_login_is_next_also_while_new_addresses_go_on_to_guess_for_another_user(ask, verifier):
    async def scenario(refusal):
        before = [refusal("alice", f"guess {number}", f"198.51.100.{number}") for number in range(100)]
        after = [refusal("alice", f"later guess {number}", f"203.0.113.{number}") for number in range(100)]
        before, (login,), after = await started(verifier, before, [refusal("bob", "another one")], after)
        assert await login == (b"bob", "")
        # Before it are the check that was under way and those that were not yet many.
        assert verifier.before(b"another one") <= 2
        await asyncio.gather(*before, *after)

    ask(scenario, attempts=1000)


def test_a_first_login_is_next_also_while_each_guess_has_an_address_of_its_own_and_another_user(ask, users_file, verifier):
    users_file.write_bytes(users_file.read_bytes() + b"".join(b"user%d:%s\n" % (number, HASH) for number in range(100)))

    async def scenario(refusal):
        before = [refusal(f"user{number}", "guess", f"2001:db8:1:{number:x}::1") for number in range(50)]
        after = [refusal(f"user{number}", "guess", f"2001:db8:1:{number:x}::1") for number in range(50, 100)]
        before, (login,), after = await started(verifier, before, [refusal("bob", "another one", "2001:db8:2::1")], after)
        assert await login == (b"bob", "")
        assert verifier.before(b"another one") <= 2
        await asyncio.gather(*before, *after)

    ask(scenario, attempts=1000)


def test_a_login_from_an_address_that_guesses_is_next_unless_each_guess_has_a_connection_of_its_own(ask, verifier):
    async def scenario(refusal):
        guesses = [await refusal("alice", f"guess {number}", connection=f"of guesses {number}") for number in range(8)]
        assert guesses == [(b"", "wrong-password")] * 8
        checked = len(verifier.checked)
        before = [refusal("alice", f"another guess {number}", connection=f"of guesses {number}") for number in range(8)]
        after = [refusal("alice", f"later guess {number}", connection=f"of guesses {number}") for number in range(8)]
        before, (login,), after = await started(verifier, before, [refusal("alice", "a password", connection="of alice")], after)
        assert await login == (b"alice", "")
        # A guess was being checked before.
        assert verifier.before(b"a password", checked) <= 1
        await asyncio.gather(*before, *after)

    ask(scenario, attempts=1000)


def test_an_address_that_somebody_has_logged_in_from_comes_before_new_ones(ask, users_file, verifier):
    async def scenario(refusal):
        assert await refusal("alice", "a password", "203.0.113.9") == (b"alice", "")
        before = [refusal(f"nobody{number}", "guess", f"198.51.{number}.1") for number in range(50)]
        after = [refusal(f"nobody{number}", "guess", f"198.51.{number}.1") for number in range(50, 100)]
        before, (login,), after = await started(verifier, before, [refusal("bob", "another one", "203.0.113.9")], after)
        assert await login == (b"bob", "")
        assert verifier.before(b"another one") <= 2
        await asyncio.gather(*before, *after)

    ask(scenario, attempts=1000)


def test_nobody_waits_for_the_checks_of_those_who_guess(ask, verifier):
    async def scenario(refusal):
        await asyncio.gather(*(refusal("alice", f"guess {number}") for number in range(6)))
        verifier.gate.clear()
        more = [asyncio.ensure_future(refusal("alice", f"next guess {number}")) for number in range(6)]
        await verifier.until_busy(1)
        await asyncio.sleep(0.05)
        assert verifier.busy == 1, "those who guess have one process"
        login = asyncio.ensure_future(refusal("bob", "another one", "198.51.100.7"))
        await verifier.until_busy(2)
        verifier.gate.set()
        assert await login == (b"bob", "")
        await asyncio.gather(*more)

    ask(scenario, attempts=1000)


def test_a_first_login_from_where_somebody_guesses_is_not_behind_all_guesses(ask, verifier):
    async def scenario(refusal):
        for number in range(5):
            await refusal("alice", f"early guess {number}")
        before, (login,), after = await started(
            verifier,
            [refusal("alice", f"guess {number}") for number in range(20)],
            [refusal("bob", "another one")],
            [refusal("alice", f"later guess {number}") for number in range(3)],
        )
        assert await login == (b"bob", "")
        # Every second check is the newest, and there are three newer ones.
        assert verifier.before(b"another one", 5) <= 8
        await asyncio.gather(*before, *after)

    ask(scenario, attempts=1000)


def test_the_user_whose_password_is_guessed_is_not_locked_out(ask, verifier):
    async def scenario(refusal):
        for number in range(50):
            await refusal("alice", f"guess {number}", f"198.51.100.{number}")
        assert await refusal("alice", "a password") == (b"alice", "")

    ask(scenario)


def test_where_too_many_wait_the_last_in_the_queue_gives_way_to_a_client_that_does_not_guess(program, ask, verifier, monkeypatch):
    monkeypatch.setattr(program, "MAX_WAITING", 10)

    async def scenario(refusal):
        for number in range(20):
            await refusal("alice", "guess", f"198.51.100.{number}")
        verifier.gate.clear()
        guesses = [asyncio.ensure_future(refusal("alice", f"guess {number}", f"198.51.100.{number}")) for number in range(20)]
        await asyncio.sleep(0.05)
        honest = asyncio.ensure_future(refusal("bob", "another one"))
        await asyncio.sleep(0.05)
        verifier.gate.set()
        assert await honest == (b"bob", "")
        answers = [answer for _user, answer in await asyncio.gather(*guesses)]
        assert answers.count("too-many-attempts") == 10
        assert answers.count("wrong-password") == 10

    ask(scenario, attempts=1000)


def test_one_client_cannot_fill_the_queue(program, ask, verifier, monkeypatch):
    monkeypatch.setattr(program, "MAX_WAITING_OF_CLIENT", 5)

    async def scenario(refusal):
        verifier.gate.clear()
        guesses = [asyncio.ensure_future(refusal("alice", f"guess {number}")) for number in range(20)]
        await asyncio.sleep(0.05)
        verifier.gate.set()
        return [answer for _user, answer in await asyncio.gather(*guesses)]

    assert ask(scenario, attempts=1000).count("too-many-attempts") == 15


def test_a_check_that_waits_too_long_is_given_up_even_where_nothing_else_happens(program, ask, verifier, monkeypatch):
    monkeypatch.setattr(program, "MAX_WAITING_SECONDS", 0.05)

    async def scenario(refusal):
        verifier.gate.clear()
        checks = await asyncio.gather(*(refusal("alice", f"guess {number}", f"192.0.2.{number}") for number in range(3)))
        verifier.gate.set()
        return [answer for _user, answer in checks]

    assert ask(scenario) == ["too-many-attempts"] * 3
    assert len(verifier.checked) == 1


def test_a_password_that_changes_while_it_is_checked_is_wrong(ask, users_file, verifier):
    async def scenario(refusal):
        verifier.gate.clear()
        check = asyncio.ensure_future(refusal("alice", "a password"))
        await asyncio.sleep(0.05)
        users_file.write_bytes(b"alice:" + OTHER + b"\n")
        verifier.gate.set()
        assert await check == (b"", "wrong-password")
        assert await refusal("alice", "a password") == (b"", "wrong-password")

    ask(scenario)


def test_failures_are_forgotten_before_memory_runs_out_but_not_those_of_clients_that_wait(program, clock, monkeypatch):
    monkeypatch.setattr(program, "MAX_CLIENTS", 10)
    clients = program.Clients(60, clock)
    clients.get("waits").waiting = 1
    for number in range(50):
        clients.failed(f"192.0.2.{number}")
    assert len(clients._clients) == 10
    assert clients.get("waits").waiting == 1


def test_crypt_knows_the_hashes_of_the_module(program):
    made = program._crypt_r()(b"a password", b"$2y$04$abcdefghijklmnopqrstuu", program.ctypes.create_string_buffer(1 << 18))
    assert program.verify(b"a password", made)
    assert not program.verify(b"a passwore", made)
    assert not program.verify(b"a password", b"no hash")


def test_the_log_names_who_failed_in_one_line_and_no_password(ask, capfd):
    async def scenario(refusal):
        await refusal("al\u2028ice\\", "a secret guess")

    ask(scenario)
    line = capfd.readouterr().err
    assert line == 'refused: wrong password for "al\\u2028ice\\\\" from 192.0.2.1\n'


@pytest.fixture
def talk(program, users_file, verifier, tmp_path):
    """Sends bytes to a server on a socket, and returns what it answers until it closes or says no more."""

    def talk(*sent):
        async def run():
            one = [program.Workers(concurrent.futures.ThreadPoolExecutor(1, kind), 1) for kind in ("trusted", "suspects")]
            passwords = program.Passwords(program.UsersFile(str(users_file)), program.Clients(60), verifier, *one)
            path = str(tmp_path / "socket")
            async with await asyncio.start_unix_server(program.Server(passwords).serve, path, limit=program.MAX_REQUEST):
                reader, writer = await asyncio.open_unix_connection(path)
                for piece in sent:
                    writer.write(piece)
                    await writer.drain()
                writer.write_eof()
                answer = await asyncio.wait_for(reader.read(), 5)
                writer.close()
                return answer

        return asyncio.run(run())

    return talk


def request(authorization):
    return b"GET / HTTP/1.1\r\nHost: passwords\r\nAuthorization: " + authorization + b"\r\nX-Client: 192.0.2.1\r\n\r\n"


def test_several_requests_on_one_connection_are_answered_in_order(talk):
    pieces = request(basic("alice", "a password")) + request(basic("alice", "a guess")) + request(basic("bob", "another one"))
    answer = talk(pieces[:10], pieces[10:200], pieces[200:])
    assert answer.split(b"\r\n\r\n") == [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User: alice",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Refusal: wrong-password",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-User: bob",
        b"",
    ]


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\n", b"x" * 100_000, b"\r\n\r\n", b"\0" * 50 + b"\r\n\r\n"])
def test_rubbish_gets_no_user(talk, sent):
    assert b"X-User" not in talk(sent)


def test_where_the_users_cannot_be_read_the_answer_is_an_error_and_no_refusal(talk, users_file):
    os.remove(users_file)
    assert talk(request(basic("alice", "a password"))).startswith(b"HTTP/1.1 503 ")
