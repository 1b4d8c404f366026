# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What has been asked of the registry lately, from the gateway's access log, and what its Redis says of itself."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
import typing as t
from datetime import datetime

from registry_keeper.settings import Redis

_TAIL = 4 * 1024 * 1024
_WINDOW = 3600.0
_TIMEOUT = 2.0
_INFO_LIMIT = 1024 * 1024
Facts = dict[str, t.Any]


def of_the_log(paths: t.Sequence[str], names: t.Sequence[str]) -> Facts | None:
    """Requests of the last hour to the registries of these names, and how often the gateway had the answer itself.

    Of a long log only the end is read, so seconds says how much it covers. None where there is no log that can be read.
    """
    lines = None
    for path in paths:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL))
            lines = (lines or []) + file.read(_TAIL).splitlines()
    if lines is None:
        return None
    now, first = time.time(), None
    counted = {"requests": 0, "errors": 0, "refused": 0, "bytes": 0}
    caches = {"passwords": [0, 0], "manifests": [0, 0]}
    for line in lines:
        try:
            request = json.loads(line)
            moment = datetime.fromisoformat(request["time"].replace("Z", "+00:00")).timestamp()
            if now - moment > _WINDOW or request["registry"] not in names:
                continue
            first = moment if first is None else first
            counted["requests"] += 1
            counted["errors"] += request["status"] >= 500
            counted["refused"] += request["status"] in (401, 403, 429)
            counted["bytes"] += request["bytes"]
            for cache, word in (("passwords", request.get("password_cache")), ("manifests", request.get("cache"))):
                if word:
                    caches[cache][0] += word == "HIT"
                    caches[cache][1] += 1
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # the first line is a part of one, and the last may be
    ratios = {cache: hits / asked for cache, (hits, asked) in caches.items() if asked}
    return {"seconds": min(_WINDOW, now - first) if first else _WINDOW, **counted, "hit_ratios": ratios}


def of_redis(place: Redis) -> Facts:
    """What Redis says of itself. Raises OSError where it does not answer, or refuses."""
    with socket.create_connection((place.host, place.port), timeout=_TIMEOUT) as connection, connection.makefile("rb") as answers:
        if place.password is not None:
            connection.sendall(b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n" % (len(place.password.encode()), place.password.encode()))
            _line(answers)
        connection.sendall(b"*1\r\n$4\r\nINFO\r\n")
        size = int(_line(answers)[1:])
        text = answers.read(min(size, _INFO_LIMIT)).decode("utf-8", "replace")
    values = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    numbers = {name: int(values.get(name, 0)) for name in ("keyspace_hits", "keyspace_misses", "evicted_keys", "used_memory", "maxmemory")}
    asked = numbers["keyspace_hits"] + numbers["keyspace_misses"]
    return {**numbers, "hit_ratio": numbers["keyspace_hits"] / asked if asked else None}


def _line(answers: t.BinaryIO) -> bytes:
    line = answers.readline(1000)
    if not line or line.startswith(b"-"):
        raise OSError(line.decode("utf-8", "replace").strip() or "closed the connection")
    return line
