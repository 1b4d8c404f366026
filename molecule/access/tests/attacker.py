# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the registry's host: plays attacks as they are written, byte by byte, and says what came of each.

Reads {"port", "users", "attacks"} as JSON and prints {"values", "outcomes"}. Nothing between this program and nginx makes a
request any better than it is.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

NAME = "registry.holdfast.test"
CA = "/etc/ssl/holdfast/ca.crt"
STORAGE = "/var/lib/docker-registry/docker/registry/v2"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Wire:
    """A TLS connection that sends what it is told."""

    def __init__(self, port: int, address: str = "127.0.0.1", protocol: str = "http/1.1") -> None:
        context = ssl.create_default_context(cafile=CA)
        context.set_alpn_protocols([protocol])
        plain = socket.create_connection(("127.0.0.1", port), timeout=2, source_address=(address, 0))
        self._socket = context.wrap_socket(plain, server_hostname=NAME)

    def talk(self, sent: bytes, finished: Callable[[bytes], bool] = lambda received: False) -> bytes:
        received = b""
        try:
            self._socket.sendall(sent)
            while not finished(received):
                chunk = self._socket.recv(65536)
                if not chunk:
                    break
                received += chunk
        except OSError:
            pass  # the server waits for more, or has closed
        self._socket.close()
        return received


class OpenBytes(io.BytesIO):
    """Bytes that a response leaves open for the one behind it."""

    def makefile(self, *_arguments: Any, **_options: Any) -> OpenBytes:
        return self

    def close(self) -> None:
        pass


def responses(received: bytes, methods: list[str]) -> list[Any]:
    """Status and headers of each response. None at the end stands for bytes that are no response."""
    found: list[Any] = []
    source = OpenBytes(received)
    while source.tell() < len(received):
        method = methods[min(len(found), len(methods) - 1)]
        # all it wants of a socket is makefile()
        response = http.client.HTTPResponse(source, method=method)  # type: ignore[arg-type]
        try:
            response.begin()
            response.read()
            found.append((response.status, {name.lower(): value for name, value in response.getheaders()}))
        except (http.client.HTTPException, ValueError):
            return [*found, None]
    return found


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def http2_request(headers: Iterable[tuple[str, str]]) -> bytes:
    """The headers as they are, none compressed or checked."""

    def string(text: str) -> bytes:
        value = text.encode("latin-1")
        if len(value) < 127:
            return bytes([len(value)]) + value
        rest, number = len(value) - 127, b"\x7f"
        while rest > 127:
            number, rest = number + bytes([rest % 128 + 128]), rest // 128
        return number + bytes([rest]) + value

    block = b"".join(b"\0" + string(name) + string(value) for name, value in headers)
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block)


def http2_frames(received: bytes) -> Iterator[tuple[int, int, bytes]]:
    while len(received) >= 9:
        length = int.from_bytes(received[:3], "big")
        yield received[3], received[4], received[9 : 9 + length]
        received = received[9 + length :]


def http2_finished(received: bytes) -> bool:
    return any(kind in (3, 7) or (kind in (0, 1) and flags & 1) for kind, flags, _payload in http2_frames(received))


def http2_status(received: bytes) -> int | None:
    """Of the first response; None where the server reset the stream or closed the connection."""
    for kind, _flags, block in http2_frames(received):
        if kind == 1:
            block = re.sub(rb"\A[\x20-\x3f]", b"", block)  # the size of a table we don't use
            indexed = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
            return indexed.get(block[0]) or int(block[2:5])
    return None


class Stack:
    """The registry behind nginx, and the values that attacks are made of."""

    def __init__(self, port: int, users: dict[str, str]) -> None:
        self.port = port
        self.values = {user: base64.b64encode(f"{user}:{password}".encode()).decode() for user, password in users.items()}

    def filled(self, text: str) -> str:
        return re.sub(r"<([a-z][a-z0-9-]*)>", lambda match: self.values.get(match[1], match[0]), text)

    def request(self, user: str, line: str, headers: Sequence[str] = (), body: str = "", address: str = "127.0.0.1") -> bytes:
        """An ordinary request, with an attack where the caller put it. Returns what the server sent."""
        content = self.filled(body).encode("latin-1")
        lines = [self.filled(line) + " HTTP/1.1"]
        names = {header.split(":")[0].lower() for header in headers}
        if "host" not in names:
            lines.append(f"Host: {NAME}")
        if user:
            lines.append(self.filled(f"Authorization: Basic <{user}>"))
        if "accept" not in names:
            lines.append(f"Accept: {MANIFEST}")
        lines += [self.filled(header) for header in headers]
        if not names & {"content-length", "transfer-encoding"} and (content or line.split()[0] in ("POST", "PUT", "PATCH")):
            lines.append(f"Content-Length: {len(content)}")
        sent = "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + content
        return Wire(self.port, address).talk(sent)

    def prepare(self, user: str, line: str, headers: Sequence[str] = (), body: str = "") -> None:
        """A request that has to succeed. Where it leads to is in <location>."""
        status, found = responses(self.request(user, line, headers, body), [line.split()[0]])[0]
        if not 200 <= status < 300:
            raise SystemExit(f"{user} {line}: {status}")
        if "location" in found:
            self.values["location"] = found["location"]
            path, _mark, query = found["location"].partition("?")
            self.values["upload"] = path.rsplit("/", 1)[1]
            self.values["state"] = query.partition("_state=")[2].partition("&")[0]

    def push_blob(self, user: str, repository: str, name: str, content: str, algorithm: str = "sha256") -> None:
        self.values[name] = digest = f"{algorithm}:{hashlib.new(algorithm, content.encode()).hexdigest()}"
        self.prepare(user, f"POST /v2/{repository}/blobs/uploads/")
        self.prepare(user, f"PUT <location>&digest={digest}", ["Content-Type: application/octet-stream"], content)

    def push_manifest(self, user: str, repository: str, name: str, tag: str, config: tuple[str, int], layer: tuple[str, int], note: str) -> None:
        """Note is what to recognise the manifest by."""
        described = [{"mediaType": "application/octet-stream", "size": size, "digest": self.values[of]} for of, size in (config, layer)]
        manifest = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:], "annotations": {"note": note}})
        self.values[name] = "sha256:" + hashlib.sha256(manifest.encode()).hexdigest()
        self.values[name + "-json"] = manifest
        self.prepare(user, f"PUT /v2/{repository}/manifests/{tag}", [f"Content-Type: {MANIFEST}"], manifest)

    def push(self, user: str, repository: str, name: str, tag: str = "1") -> None:
        """A small image. Its blob <name> and its manifest <name-manifest> can be recognised by the repository's name in them."""
        content = f"a layer for {repository} only"
        self.push_blob(user, repository, name + "-config", f'{{"for":"{repository} only"}}')
        self.push_blob(user, repository, name, content)
        sizes = (name + "-config", len(f'{{"for":"{repository} only"}}')), (name, len(content))
        self.push_manifest(user, repository, name + "-manifest", tag, *sizes, f"a manifest for {repository} only")

    def seed(self) -> None:
        self.push("alice", "team-a/app", "own")
        self.push("alice", "team-a/shared", "shared")
        self.push("bob", "team-b/secret", "secret", "untold-tag")
        self.push("bob", "team-b/secret", "secret", "hidden-tag")
        self.push("admin", "library/base", "base")
        self.push("admin", "public/hello", "public")
        # deleted from one repository, and read in another that has it too
        for repository in ("team-b/gone", "team-b/holder"):
            self.push_blob("bob", repository, "gone-config", "{}")
            self.push_blob("bob", repository, "gone", "a layer that was deleted, for team-b only")
            self.push_manifest("bob", repository, "gone-manifest", "1", ("gone-config", 2), ("gone", 41), "deleted, for team-b only")
        self.prepare("bob", "GET /v2/team-b/gone/blobs/<gone>")
        self.prepare("bob", "GET /v2/team-b/gone/manifests/<gone-manifest>")
        self.prepare("bob", "DELETE /v2/team-b/gone/manifests/<gone-manifest>")
        self.prepare("bob", "DELETE /v2/team-b/gone/blobs/<gone>")
        self.prepare("bob", "GET /v2/team-b/holder/blobs/<gone>")
        self.prepare("bob", "GET /v2/team-b/holder/manifests/<gone-manifest>")
        # the same by a digest of another kind, under which the registry remembers it separately
        for repository in ("team-b/gone", "team-b/holder"):
            self.push_blob("bob", repository, "gone-sha512", "another layer that was deleted, for team-b only", "sha512")
        self.prepare("bob", "GET /v2/team-b/gone/blobs/<gone-sha512>")
        self.prepare("bob", "DELETE /v2/team-b/gone/blobs/<gone-sha512>")
        self.prepare("bob", "GET /v2/team-b/holder/blobs/<gone-sha512>")
        self.prepare("bob", "POST /v2/team-b/secret/blobs/uploads/")
        self.values.update({"foreign-upload": self.values["upload"], "foreign-state": self.values["state"]})
        for name in ("secret", "gone"):
            digits = self.values[name].split(":")[1]
            self.values.update({f"{name}-hex": digits, f"{name}-upper-hex": digits.upper(), f"{name}-shard": digits[:2]})


def stored() -> dict[str, tuple[int, int]]:
    """Everything the registry keeps."""
    found = {}
    for directory, _directories, files in os.walk(STORAGE):
        for file in files:
            try:
                stat = os.stat(os.path.join(directory, file))
            except FileNotFoundError:
                continue  # an upload that has just been finished
            found[os.path.join(directory, file)] = (stat.st_size, stat.st_mtime_ns)
    return found


def play(stack: Stack, attack: dict[str, Any]) -> dict[str, Any]:
    for step in attack.get("before", ()):
        stack.prepare(*step)
    before = stored()
    address = attack.get("address", "127.0.0.1")
    if "http2" in attack:
        headers = [(name, stack.filled(value)) for name, value in attack["http2"]]
        received = Wire(stack.port, address, "h2").talk(http2_request(headers), http2_finished)
        answers: list[Any] = [(http2_status(received), {})]
    elif "bytes" in attack:
        received = Wire(stack.port, address).talk(stack.filled(attack["bytes"]).encode("latin-1"))
        answers = responses(received, attack.get("methods", ["GET"]))
    else:
        received = stack.request(attack["user"], attack["request"], attack.get("headers", ()), attack.get("body", ""), address)
        answers = responses(received, [attack["request"].split()[0]])
    after = stored()
    return {
        "statuses": [answer[0] if answer else None for answer in answers],
        "headers": answers[-1][1] if answers and answers[-1] else {},
        "received": received.decode("latin-1"),
        "changes": sorted(path for path in {**before, **after} if before.get(path) != after.get(path)),
    }


def main() -> None:
    order = json.load(sys.stdin)
    stack = Stack(order["port"], order["users"])
    stack.values.update(order["values"])
    if order["seed"]:
        stack.seed()
    outcomes = []
    for attack in order["attacks"]:
        time.sleep(attack.get("wait", 0))
        outcomes.append(play(stack, attack))
    print(json.dumps({"values": stack.values, "outcomes": outcomes}))


if __name__ == "__main__":
    main()
