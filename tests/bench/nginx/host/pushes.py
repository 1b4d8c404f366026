# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Large, slow and many pushes through the registry's virtual host, and what nginx writes to its disk meanwhile."""

from __future__ import annotations

import glob
import hashlib
import http.client
import json
import os
import sys
import threading
import time
import typing as t

import gateway
from load import know_names
from registry_client import Client, push_blob

PIECE = bytes(1 << 20)


class Push(t.NamedTuple):
    title: str
    megabytes: int
    # seconds without a byte after each megabyte
    pause: float = 0


PUSHES = [
    Push("2 GB as fast as it goes", 2048),
    Push("30 MB in 105 s", 30, 3.5),
    Push("2 MB with 75 s of silence in it", 2, 75),
    *(Push(f"200 MB, number {number} of 4 at once", 200) for number in range(1, 5)),
]


def main() -> None:
    know_names()
    stop = threading.Event()
    files: set[str] = set()
    watcher = threading.Thread(target=watch, args=(stop, files))
    watcher.start()
    lines: list[str] = []
    failed: list[str] = []
    threads = [threading.Thread(target=run, args=(push, lines, failed)) for push in PUSHES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    json.dump({"pushes": lines, "failed": failed, "files": sorted(files)}, sys.stdout)


def run(push: Push, lines: list[str], failed: list[str]) -> None:
    # every layer is another one
    first = push.title.encode().ljust(len(PIECE), b"\0")
    digest = hashlib.sha256(first)
    for _turn in range(push.megabytes - 1):
        digest.update(PIECE)
    started = time.monotonic()
    try:
        push_blob(Client(gateway.NAME), "bench/pushes", pieces(push, first), "sha256:" + digest.hexdigest())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        failed.append(push.title)
        lines.append(f"{push.title}: FAILED after {time.monotonic() - started:.0f} s: {error!r}")
    else:
        lines.append(f"{push.title}: {time.monotonic() - started:.0f} s")


def pieces(push: Push, first: bytes) -> t.Iterator[bytes]:
    for number in range(push.megabytes):
        if number:
            time.sleep(push.pause)
        yield PIECE if number else first


def watch(stop: threading.Event, files: set[str]) -> None:
    """Note every file in nginx's directories for bodies, also one that is deleted but still written to."""
    while not stop.wait(0.1):
        for directory in gateway.BODIES:
            files.update(name for name in glob.glob(f"{directory}/*/**", recursive=True) if os.path.isfile(name))
        for descriptor in glob.glob("/proc/[0-9]*/fd/*"):
            try:
                name = os.readlink(descriptor)
            except OSError:
                continue
            if name.startswith(tuple(f"{directory}/" for directory in gateway.BODIES)):
                files.add(name)


if __name__ == "__main__":
    main()
