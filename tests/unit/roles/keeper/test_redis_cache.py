# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import socket
import threading
import time

import pytest
from registry_keeper.settings import Redis
from registry_keeper.storage.redis_cache import BATCH, CacheError, RedisCache

DIGEST = "sha256:" + "ab" * 32


class Server:
    """As much of Redis as the keeper uses. answer() gives what is sent for a command, or None for silence."""

    def __init__(self, answer):
        self.commands = []
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.place = Redis("127.0.0.1", self._listener.getsockname()[1], 3, "a password")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as file:
                while line := file.readline():
                    parts = []
                    for _part in range(int(line[1:])):
                        size = int(file.readline()[1:])
                        parts.append(file.read(size + 2)[:-2])
                    self.commands.append(tuple(parts))
                    answer = self._answer(parts)
                    if answer is None:
                        time.sleep(5)
                        return
                    connection.sendall(answer)


def test_it_deletes_the_keys_of_the_registry_in_its_database():
    server = Server(lambda parts: b"+OK\r\n" if parts[0] in (b"AUTH", b"SELECT") else b":1\r\n")
    cache = RedisCache(server.place)
    cache.forget_layers([("team/app", DIGEST)])
    cache.forget_blobs([DIGEST])
    digest = DIGEST.encode()
    assert server.commands == [
        (b"AUTH", b"a password"),
        (b"SELECT", b"3"),
        (b"SREM", b"repository::team/app::blobs", digest),
        (b"DEL", b"repository::team/app::blobs::" + digest),
        (b"DEL", b"blobs::" + digest),
    ]


def test_many_keys_are_told_in_batches():
    server = Server(lambda parts: b":0\r\n" if parts[0] == b"DEL" else b"+OK\r\n")
    RedisCache(server.place).forget_blobs([DIGEST] * (2 * BATCH + 1))
    assert len(server.commands) == 2 + 2 * BATCH + 1


@pytest.mark.parametrize("silent", [b"AUTH", b"SELECT", b"DEL"])
def test_a_cache_that_hangs_is_an_error_after_the_timeout(silent):
    server = Server(lambda parts: None if parts[0] == silent else b"+OK\r\n")
    began = time.monotonic()
    with pytest.raises(CacheError, match=f"127.0.0.1:{server.place.port}"):
        RedisCache(server.place, timeout=0.2).forget_blobs([DIGEST])
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("refusal", [b"-WRONGPASS invalid\r\n", b"-NOAUTH\r\n", b"$-1\r\n", b""])
def test_a_cache_that_refuses_is_an_error(refusal):
    server = Server(lambda parts: refusal or None)
    with pytest.raises(CacheError) as caught:
        RedisCache(server.place, timeout=0.2).forget_blobs([DIGEST])
    assert "a password" not in str(caught.value)


def test_a_cache_that_is_down_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(CacheError):
        RedisCache(Redis("127.0.0.1", port, 0)).check()
