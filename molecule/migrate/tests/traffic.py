# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls and pushes without pause until a file is there. Runs on a client with the password on its input; prints one JSON document.

A push that is refused because images are being moved is counted as such, and tried again. Nothing else may fail: `failures` has what did.
"""

import base64
import hashlib
import http.client
import json
import os
import ssl
import sys
import time

NAME, PORT, CA, UNTIL = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
LOGIN = "Basic " + base64.b64encode(b"alice:" + sys.stdin.readline().strip().encode()).decode()
KIND = "application/vnd.docker.distribution.manifest.v2+json"
CONTEXT = ssl.create_default_context(cafile=CA)


class Refused(Exception):
    """Images are being moved."""


def ask(method: str, path: str, expected: int, body: bytes = b"", kind: str = "application/octet-stream") -> tuple[bytes, str]:
    """The body, and where to go on. A status from 500 on is tried again for some seconds, as docker does."""
    for _attempt in range(20):
        connection = http.client.HTTPSConnection(NAME, PORT, context=CONTEXT, timeout=60)
        try:
            connection.request(method, path, body or None, {"Authorization": LOGIN, "Content-Type": kind, "Accept": KIND})
            answer = connection.getresponse()
            content = answer.read()
            status, location = answer.status, answer.headers.get("Location", "")
        except OSError:
            status, content, location = 599, b"", ""
        finally:
            connection.close()
        if status < 500:
            break
        counts["tried again"] += 1
        time.sleep(0.5)
    if status == 403 and b"being moved" in content:
        raise Refused
    if status != expected:
        raise RuntimeError(f"{method} {path}: {status} {content[:200]!r}")
    return content, location


def upload(repository: str, content: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    _content, location = ask("POST", f"/v2/{repository}/blobs/uploads/", 202)
    location = location.partition(f":{PORT}")[2] or location
    ask("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", 201, content)
    return digest


def push(number: int) -> None:
    repository = f"load/app{number % 4}"
    layer, config = os.urandom(20_000), b"{}"
    parts = [{"mediaType": "application/octet-stream", "size": len(part), "digest": upload(repository, part)} for part in (config, layer)]
    manifest = json.dumps({"schemaVersion": 2, "mediaType": KIND, "config": parts[0], "layers": parts[1:]}).encode()
    # The same tags again and again: they move.
    tag = str(number % 7)
    ask("PUT", f"/v2/{repository}/manifests/{tag}", 201, manifest, KIND)
    pushed[f"{repository}:{tag}"] = "sha256:" + hashlib.sha256(manifest).hexdigest()


def pull(name: str, digest: str) -> None:
    repository, _colon, tag = name.partition(":")
    manifest, _location = ask("GET", f"/v2/{repository}/manifests/{tag}", 200)
    if "sha256:" + hashlib.sha256(manifest).hexdigest() != digest:
        raise RuntimeError(f"{name} is not what was pushed last")
    for layer in json.loads(manifest)["layers"]:
        content, _location = ask("GET", f"/v2/{repository}/blobs/{layer['digest']}", 200)
        if "sha256:" + hashlib.sha256(content).hexdigest() != layer["digest"]:
            raise RuntimeError(f"{name} has a layer that is not what its digest says")


pushed: dict[str, str] = {}
counts = {"pulled": 0, "pushed": 0, "refused": 0, "tried again": 0}
failures: list[str] = []
NUMBER = 0
while not os.path.exists(UNTIL) and len(failures) < 10:
    NUMBER += 1
    # The hosts of the scenario share one machine, and the copy needs some of it.
    time.sleep(0.3)
    try:
        push(NUMBER)
        counts["pushed"] += 1
    except Refused:
        counts["refused"] += 1
        # A push that is refused in its middle may have moved no tag.
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        failures.append(f"push {NUMBER}: {error}")
    for name, digest in list(pushed.items())[-3:]:
        try:
            pull(name, digest)
            counts["pulled"] += 1
        except (RuntimeError, OSError, http.client.HTTPException) as error:
            failures.append(f"pull of {name}: {error}")
print(json.dumps({"pushed": pushed, "counts": counts, "failures": failures}))
