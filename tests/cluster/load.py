# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Pushes and pulls without pause at a registry of several hosts, and knows what was acknowledged. Runs on a client; prints one JSON document.

It knows all addresses of the name, and asks the next one where one does not answer, or answers that it cannot (5xx): what docker does where
no connection comes about, and what a load balancer does as well where a host says 5xx. Both are counted.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import http.client
import json
import pathlib
import random
import socket
import ssl
import sys
import threading
import time
import typing as t
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
CANNOT = (500, 502, 503, 504)
ROUNDS = 5  # through all hosts, until an operation counts as failed: docker tries a layer five times
PAUSE = 1.0  # seconds between two rounds
NO_ANSWER = (OSError, http.client.HTTPException)


class Failed(Exception):
    """An operation that could not be completed at any host."""


class World:
    """Where the registry is, what was acknowledged, and what happened."""

    def __init__(self, options: argparse.Namespace, password: str) -> None:
        self.options = options
        self.context = ssl.create_default_context(cafile=options.ca)
        self.authorization = "Basic " + base64.b64encode(f"{options.user}:{password}".encode()).decode()
        found = socket.getaddrinfo(options.name, options.port, type=socket.SOCK_STREAM)
        self.addresses = sorted({str(each[4][0]) for each in found})
        self.acknowledged: dict[tuple[str, str], str] = {}
        self.counts: dict[str, int] = {}
        self.failures: list[str] = []
        self.longest = 0.0
        self.lock = threading.Lock()
        self.stop = threading.Event()

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1


class Client:
    """One worker, with a connection to each host."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.chance = random.Random(world.options.seed * 1000 + number)
        self.connections: dict[str, http.client.HTTPSConnection] = {}
        self.preferred = number % len(world.addresses)

    # --- requests

    def once(self, address: str, method: str, path: str, body: bytes | None, headers: t.Mapping[str, str]) -> tuple[int, t.Mapping[str, str], bytes]:
        """One request to one host. An idle connection that was closed meanwhile is opened again, as HTTP clients do."""
        for attempt in range(2):
            connection = self.connections.get(address)
            reused = connection is not None
            try:
                if connection is None:
                    connection = self.connections[address] = self._connect(address)
                connection.request(method, path, body=body, headers={"Authorization": self.world.authorization, **headers})
                response = connection.getresponse()
                content = response.read()
            except NO_ANSWER:
                self.connections.pop(address, None)
                if connection is not None:
                    connection.close()
                if attempt or not reused:
                    raise
                continue
            if response.will_close:
                self.connections.pop(address, None)
            return response.status, {name.lower(): value for name, value in response.getheaders()}, content
        raise AssertionError

    def _connect(self, address: str) -> http.client.HTTPSConnection:
        options = self.world.options
        connection = http.client.HTTPSConnection(options.name, options.port, timeout=options.timeout, context=self.world.context)
        raw = socket.create_connection((address, options.port), timeout=3)
        raw.settimeout(options.timeout)
        connection.sock = self.world.context.wrap_socket(raw, server_hostname=options.name)
        return connection

    def ask(self, wanted: t.Sequence[int], method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, t.Mapping[str, str], bytes]:
        """A request to any host. Now and then the other one is asked first, as with a name that has several addresses."""
        if self.chance.random() < 0.3:
            self.preferred = self.chance.randrange(len(self.world.addresses))
        said = ""
        for round_ in range(ROUNDS):
            for place in range(len(self.world.addresses)):
                number = (self.preferred + place) % len(self.world.addresses)
                try:
                    answer = self.once(self.world.addresses[number], method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
                except NO_ANSWER as error:
                    said = f"{type(error).__name__}: {error}"
                    self.world.count("requests without an answer")
                    continue
                if answer[0] in wanted:
                    self.preferred = number
                    return answer
                said = f"{answer[0]} {answer[2][:200].decode(errors='replace')}"
                if answer[0] not in CANNOT:
                    raise Failed(f"{method} {path}: {said}")
                self.world.count("requests answered 5xx")
            if round_ + 1 < ROUNDS:
                self.world.count("rounds waited")
                time.sleep(PAUSE)
        raise Failed(f"{method} {path}: {said}")

    # --- pushes and pulls

    def upload(self, repository: str, content: bytes) -> dict[str, t.Any]:
        """A blob: begun, its first half sent, and ended, each at whatever host. Begun anew where that fails, as docker does."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        for attempt in range(ROUNDS):
            try:
                self._upload(repository, content, digest)
                break
            except Failed:
                if attempt + 1 == ROUNDS:
                    raise
                self.world.count("uploads begun anew")
                time.sleep(PAUSE)
        return {"mediaType": LAYER, "digest": digest, "size": len(content)}

    def _upload(self, repository: str, content: bytes, digest: str) -> None:
        _status, headers, _content = self.ask((202,), "POST", f"/v2/{repository}/blobs/uploads/", b"")
        half = len(content) // 2
        kind = {"Content_Type": "application/octet-stream"}
        _status, headers, _content = self.ask((202,), "PATCH", _path(headers), content[:half], Content_Range=f"0-{half - 1}", **kind)
        path = f"{_path(headers)}&digest={urllib.parse.quote(digest)}"
        self.ask((201,), "PUT", path, content[half:], Content_Range=f"{half}-{len(content) - 1}", **kind)

    def push(self, repository: str, tag: str, sizes: t.Sequence[int]) -> str:
        layers = [self.upload(repository, self.chance.randbytes(size)) for size in sizes]
        config = {**self.upload(repository, json.dumps({"random": self.chance.random()}).encode()), "mediaType": "application/vnd.oci.image.config.v1+json"}
        content = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}).encode()
        self.ask((201,), "PUT", f"/v2/{repository}/manifests/{tag}", content, Content_Type=MANIFEST)
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        with self.world.lock:
            self.world.acknowledged[(repository, tag)] = digest
        return digest

    def pull(self, repository: str, tag: str, digest: str) -> None:
        """Pull an image. Raises Failed where anything of it is missing or differs."""
        _status, _headers, content = self.ask((200,), "GET", f"/v2/{repository}/manifests/{tag}", Accept=MANIFEST)
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise Failed(f"{repository}:{tag} is another image")
        document = json.loads(content)
        for layer in (document["config"], *document["layers"]):
            _status, _headers, blob = self.ask((200,), "GET", f"/v2/{repository}/blobs/{layer['digest']}")
            if "sha256:" + hashlib.sha256(blob).hexdigest() != layer["digest"]:
                raise Failed(f"{layer['digest']} is damaged")

    def work(self) -> None:
        """Until the world stops: one worker of two pulls what all pull, the other pushes, and pulls what was pushed."""
        pushes = 0
        while not self.world.stop.is_set():
            began, what = time.monotonic(), "pulls of the cached image"
            try:
                if self.number % 2 == 0:
                    self.pull("load/cached", "1", self.world.acknowledged[("load/cached", "1")])
                elif pushes == 0 or self.chance.random() < 0.5:
                    what, pushes = "pushes", pushes + 1
                    self.push(f"load/worker{self.number}", f"{self.world.options.seed}-{pushes}", [self.chance.randint(2, 60000) for _layer in range(2)])
                else:
                    what = "pulls of pushed images"
                    with self.world.lock:
                        mine = [(key, digest) for key, digest in self.world.acknowledged.items() if key[0] == f"load/worker{self.number}"]
                    if mine:
                        (repository, tag), digest = self.chance.choice(mine)
                        self.pull(repository, tag, digest)
                self.world.count(what)
            except Failed as failure:
                self.world.count(f"failed {what}")
                with self.world.lock:
                    self.world.failures.append(f"{time.strftime('%H:%M:%S')} {what}: {failure}")
            with self.world.lock:
                self.world.longest = max(self.world.longest, time.monotonic() - began)
            time.sleep(self.chance.uniform(0.02, 0.1))


def _path(headers: t.Mapping[str, str]) -> str:
    where = urllib.parse.urlsplit(headers["location"])
    return f"{where.path}?{where.query}"


def lost(world: World) -> list[str]:
    """Which acknowledged images are not whole at one of the hosts."""
    found = []
    for address in world.addresses:
        client = Client(world, 0)
        client.world = alone = World(world.options, "")
        alone.authorization, alone.addresses, client.preferred = world.authorization, [address], 0
        for (repository, tag), digest in sorted(world.acknowledged.items()):
            try:
                client.pull(repository, tag, digest)
            except Failed as failure:
                found.append(f"{address} {repository}:{tag}: {failure}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--name", required=True)
    parser.add_argument("--port", type=int, default=443)
    parser.add_argument("--ca", required=True)
    parser.add_argument("--user", required=True, help="whose password is the first line of standard input")
    parser.add_argument("--seconds", type=float, default=600, help="at most; it ends earlier when the file --until is there")
    parser.add_argument("--until", default="")
    parser.add_argument("--started", default="", help="a file that is made when the load has begun")
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--timeout", type=float, default=20)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    world = World(options, sys.stdin.readline().rstrip("\n"))
    first = Client(world, 0)
    digest = first.push("load/cached", "1", [400_000, 400_000])
    for _time in range(2 * len(world.addresses)):
        for number in range(len(world.addresses)):
            first.preferred = number
            first.pull("load/cached", "1", digest)
    world.counts.clear()
    threads = [threading.Thread(target=Client(world, number).work, daemon=True) for number in range(options.workers)]
    for thread in threads:
        thread.start()
    if options.started:
        pathlib.Path(options.started).touch()
    end = time.monotonic() + options.seconds
    while time.monotonic() < end and not (options.until and pathlib.Path(options.until).exists()):
        time.sleep(0.2)
    world.stop.set()
    for thread in threads:
        thread.join(ROUNDS * (options.timeout + PAUSE) * len(world.addresses))
    print(json.dumps({"hosts": len(world.addresses), **world.counts, "failures": world.failures, "longest": round(world.longest, 1), "lost": lost(world)}))


if __name__ == "__main__":
    main()
