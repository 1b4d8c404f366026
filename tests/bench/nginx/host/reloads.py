# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway reloaded again and again while clients pull and push."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import threading
import time
import typing as t

import gateway
from registry_client import MANIFEST, Client, expect, push_bytes, push_manifest


def reload_under_load(repository: str, reloads: int = 20) -> dict[str, t.Any]:
    """Reload it while four clients pull and two push."""
    stop = threading.Event()
    clients = [Client(gateway.NAME) for _turn in range(6)]
    done = {"pulls": 0, "pushes": 0}
    failures: list[str] = []
    content = os.urandom(200_000)
    lock = threading.Lock()

    def pull(client: Client) -> None:
        manifest = json.loads(expect(200, client.request("GET", f"/v2/{repository}/manifests/latest", Accept=MANIFEST)).body)
        digest = manifest["config"]["digest"]
        if len(expect(200, client.request("GET", f"/v2/{repository}/blobs/{digest}")).body) != manifest["config"]["size"]:
            raise RuntimeError("a blob is cut short")

    def push(client: Client) -> None:
        layer = os.urandom(16) + content
        push_manifest(client, "bench/reload", "latest", os.urandom(200), push_bytes(client, "bench/reload", layer), len(layer))

    def work(kind: str, one: t.Callable[[Client], None], client: Client) -> None:
        while not stop.is_set():
            try:
                one(client)
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                client.close()
                with lock:
                    failures.append(f"{kind}: {type(error).__name__}: {error}")
            else:
                with lock:
                    done[kind] += 1

    threads = [
        threading.Thread(target=work, args=("pushes" if number < 2 else "pulls", push if number < 2 else pull, client)) for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for _turn in range(reloads):
        time.sleep(0.5)
        subprocess.run(["systemctl", "reload", gateway.UNIT], check=True)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    return {
        "reloads": reloads,
        **done,
        "failed": failures,
        "connections closed between requests": sum(client.closed_between for client in clients),
        "requests repeated as HTTP allows": sum(client.repeated for client in clients),
    }
