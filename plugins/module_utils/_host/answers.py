# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a service answers: at a TCP port, at a unix socket, or to an HTTP request."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import socket
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_SECONDS = 5  # for one try


@dataclasses.dataclass(frozen=True)
class Question:
    """How to check whether a service responds, and for how long."""

    url: str | None
    unix_socket: str | None
    status: list[int]
    port: int | None
    address: str
    socket: str | None
    seconds: int

    @classmethod
    def of(cls, params: dict[str, t.Any], place: str) -> Question:
        """Read module parameters. Raises HoldfastError where they do not name one thing to ask."""
        asked = [name for name in ("url", "port", "socket") if params[name] is not None]
        if len(asked) != 1:
            raise HoldfastError(f"{place}: must have one of url, port and socket, and has {' and '.join(asked) or 'none'}")
        if params["url"] is not None and not params["url"].startswith("http://"):
            raise HoldfastError(f"{place}.url: {params['url']!r} does not begin with http://")
        if params["port"] is not None and not 0 < params["port"] < 65536:
            raise HoldfastError(f"{place}.port: {params['port']} is not a port between 1 and 65535")
        if params["seconds"] < 1:
            raise HoldfastError(f"{place}.seconds: {params['seconds']} is below 1")
        return cls(**{field.name: params[field.name] for field in dataclasses.fields(cls)})

    def problem(self) -> str:
        """Check once. Returns the problem, or "" if the service responds as expected."""
        try:
            if self.url is not None:
                return self._ask(self.url)
            where = self.socket if self.socket is not None else (self.address, self.port or 0)
            _connect(where).close()
        except OSError as error:
            return self._failed(error)
        return ""

    def _ask(self, url: str) -> str:
        # Here and not above: many tasks import this module and ask nothing, and these bring ssl and email with them, an eighth of the time of such a task.
        import http.client
        import urllib.parse

        parts = urllib.parse.urlsplit(url)
        try:
            with contextlib.closing(http.client.HTTPConnection(parts.hostname or "localhost", parts.port or 80, timeout=_SECONDS)) as connection:
                if self.unix_socket:
                    connection.sock = _connect(self.unix_socket)
                connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))
                status = connection.getresponse().status
        except http.client.HTTPException as error:
            return self._failed(error)
        return "" if status in self.status else f"{self._where}: answered {status} instead of {' or '.join(map(str, self.status))}"

    def _failed(self, error: Exception) -> str:
        return f"{self._where}: {getattr(error, 'strerror', None) or error or type(error).__name__}"

    @property
    def _where(self) -> str:
        if self.url is not None:
            return f"{self.url} at {self.unix_socket}" if self.unix_socket else self.url
        return self.socket or f"{self.address}:{self.port}"


def _connect(where: str | tuple[str, int]) -> socket.socket:
    if not isinstance(where, str):
        return socket.create_connection(where, timeout=_SECONDS)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(os.fspath(where))
    except OSError:
        connection.close()
        raise
    return connection
