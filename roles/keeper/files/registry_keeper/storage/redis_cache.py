# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tell the registry's Redis that something has gone.

The registry (2.8 and 3.x alike, registry/storage/cache/redis) keeps these keys, and believes them without a look at the disk:

    blobs::DIGEST                       hash: digest, size, mediatype
    repository::NAME::blobs             set of the digests that the repository has as layers
    repository::NAME::blobs::DIGEST     hash: mediatype

A key that is missing costs a look at the disk; one that is wrong lets a push succeed into a hole. So keys are only ever deleted.
"""

from __future__ import annotations

import socket
import typing as t

from registry_keeper.settings import Redis
from registry_keeper.storage.layout import digest_of

TIMEOUT = 2.0  # seconds, for each batch: a cache that hangs must not hold a collection
BATCH = 1000
LAYERS_AT_ONCE = 50  # that are forgotten between two looks at what clients have asked for
Command = tuple[bytes, ...]


class CacheError(Exception):
    """Redis cannot be told: it is down, hangs, or refuses."""


class RedisCache:
    """The registry's cache of descriptors."""

    def __init__(self, place: Redis, timeout: float = TIMEOUT) -> None:
        self._place = place
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._buffer = b""

    def forget_layers(self, links: t.Iterable[tuple[str, str]]) -> None:
        """Forget that repositories have layers: pairs of repository and digest. Raises CacheError."""
        commands: list[Command] = []
        for repository, digest in links:
            name = f"repository::{repository}::blobs"
            commands.append((b"SREM", name.encode(), digest.encode()))
            commands.append((b"DEL", f"{name}::{digest}".encode()))
        self._run(commands)

    def forget_taken(self, layers: t.Sequence[tuple[str, str, bytes]], taken: t.Callable[[tuple[str, str, bytes]], bool], listen: t.Callable[[], None]) -> None:
        """Forget layers that a sweep has taken, a few at a time: kind, repository and digest of their links. Raises CacheError.

        taken says whether a link has not been brought back. listen brings back what clients have asked for since: a client that has just been told
        of a layer may push its manifest next, which is refused once Redis has forgotten the layer, until the link is back.
        """
        for begin in range(0, len(layers), LAYERS_AT_ONCE):
            listen()
            self.forget_layers((link[1], digest_of(link[2])) for link in layers[begin : begin + LAYERS_AT_ONCE] if taken(link))
        listen()

    def forget_blobs(self, digests: t.Iterable[str]) -> None:
        """Forget that blobs are there. Raises CacheError."""
        self._run([(b"DEL", f"blobs::{digest}".encode()) for digest in digests])

    def check(self) -> None:
        """Whether it answers. Raises CacheError."""
        self._run([(b"PING",)])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket, self._buffer = None, b""

    def _run(self, commands: list[Command]) -> None:
        for begin in range(0, len(commands), BATCH):
            part = commands[begin : begin + BATCH]
            try:
                connection = self._connect()
                connection.sendall(b"".join(map(_encode, part)))
                for _command in part:
                    self._answer()
            except (OSError, CacheError) as error:
                self.close()
                raise CacheError(f"Redis at {self._place.host}:{self._place.port}: {error}") from error

    def _connect(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_connection((self._place.host, self._place.port), timeout=self._timeout)
            preparation: list[Command] = []
            if self._place.password is not None:
                preparation.append((b"AUTH", self._place.password.encode()))
            preparation.append((b"SELECT", str(self._place.database).encode()))
            for command in preparation:
                self._socket.sendall(_encode(command))
                self._answer()
        return self._socket

    def _answer(self) -> None:
        """Read one answer: a number, a status or an error."""
        while b"\r\n" not in self._buffer:
            if self._socket is None:
                raise CacheError("not connected")
            part = self._socket.recv(65536)
            if not part:
                raise CacheError("closed the connection")
            self._buffer += part
        line, _end, self._buffer = self._buffer.partition(b"\r\n")
        if line[:1] not in (b"+", b":"):
            raise CacheError(line.decode("utf-8", "replace")[:200])


def _encode(command: Command) -> bytes:
    return b"*%d\r\n" % len(command) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in command)
