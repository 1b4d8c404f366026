# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Clients that push, push again, mount, tag, delete and pull without pause, and know what every tag has to be. Runs on the registry's host."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import multiprocessing
import os
import random
import socket
import ssl
import threading
import time
import typing as t
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
ACCEPT = f"{MANIFEST}, {INDEX}"
REWRITTEN = "500 while the registry rewrote a link"
SHARED = [f"a layer that many have, {number} ".encode() * 300 for number in range(80)]
IMAGES = 100  # different ones of a repository: they come and go, and the same come again
TAGS = 6


class Refused(Exception):
    """An answer that a client cannot go on with."""


class Connection:
    """One connection to the gateway, opened again when it was closed while idle."""

    def __init__(self, place: t.Mapping[str, t.Any]) -> None:
        self._place = place
        self._context = ssl.create_default_context(cafile=place["ca"])
        credentials = base64.b64encode(f"{place['user']}:{place['password']}".encode()).decode()
        self._authorization = f"Basic {credentials}"
        self._open: http.client.HTTPSConnection | None = None

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, t.Mapping[str, str], bytes]:
        sent = {"Authorization": self._authorization, **{name.replace("_", "-"): value for name, value in headers.items()}}
        for attempt in range(2):
            reused = self._open is not None
            try:
                return self._send(method, path, body, sent)
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                self._open = None
                if attempt or not reused or method == "POST":
                    raise
        raise AssertionError

    def _send(self, method: str, path: str, body: bytes | None, headers: t.Mapping[str, str]) -> tuple[int, t.Mapping[str, str], bytes]:
        if self._open is None:
            self._open = http.client.HTTPSConnection(self._place["name"], self._place["port"], timeout=30, context=self._context)
            raw = socket.create_connection(("127.0.0.1", self._place["port"]), timeout=30)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.sock = self._context.wrap_socket(raw, server_hostname=self._place["name"])
        self._open.request(method, path, body=body, headers=dict(headers))
        response = self._open.getresponse()
        content = response.read()
        if response.will_close:
            self._open = None
        return response.status, {name.lower(): value for name, value in response.getheaders()}, content


class World:
    """What every tag has to be, and what happened."""

    def __init__(self, seed: int) -> None:
        self.lock = threading.Lock()
        self.seed = seed
        self.expected: dict[tuple[str, str], tuple[str, int]] = {}  # digest, and a number that changes with it
        self.version = 0
        self.counts: dict[str, int] = {}
        self.by_segment: dict[str, dict[str, int]] = {}
        self.failures: list[str] = []
        self.pulls: dict[str, list[float]] = {}
        self.pulls_apart: dict[str, list[float]] = {}  # of Puller, as its own process measures them
        self.segment = "without"
        self.stop = threading.Event()

    def count(self, what: str) -> None:
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + 1
            now = self.by_segment.setdefault(self.segment, {})
            now[what] = now.get(what, 0) + 1

    def fail(self, what: str) -> None:
        with self.lock:
            self.failures.append(f"{time.strftime('%H:%M:%S')} {what}")

    def expect(self, repository: str, tag: str, digest: str | None) -> None:
        with self.lock:
            self.version += 1
            if digest is None:
                self.expected.pop((repository, tag), None)
            else:
                self.expected[(repository, tag)] = (digest, self.version)


class Client:
    """Does to a registry what clients do."""

    def __init__(self, world: World, place: t.Mapping[str, t.Any], number: int) -> None:
        self.world, self.number = world, number
        self.chance = random.Random(world.seed + number)
        self.connection = Connection(place)
        self.repository = f"soak/client{number}"
        self.others = [f"soak/client{other}" for other in range(int(place["clients"])) if other != number]

    # --- pushes

    def ask(self, wanted: t.Sequence[int], method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, t.Mapping[str, str], bytes]:
        status, answered, content = self.connection.request(method, path, body, **headers)
        for _attempt in range(10):
            if status != 500 or method != "GET" or "/manifests/" not in path:
                break
            # 2.8 writes a link in place when its manifest is pushed again: for an instant it is empty. on_host.py counts what the registry's log says.
            self.world.count(REWRITTEN)
            time.sleep(0.05)
            status, answered, content = self.connection.request(method, path, body, **headers)
        if status not in wanted:
            raise Refused(f"{method} {path}: {status} {content[:160].decode(errors='replace')}")
        return status, answered, content

    def push_blob(self, content: bytes) -> dict[str, t.Any]:
        """HEAD; then a mount or an upload where it is not there."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        described = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(content)}
        base = f"/v2/{self.repository}/blobs"
        if self.ask((200, 404), "HEAD", f"{base}/{digest}")[0] == 200:
            self.world.count("layers found")
            return described
        query = ""
        if self.others and self.chance.random() < 0.5:
            query = f"?mount={digest}&from={self.chance.choice(self.others)}"
        status, headers, _content = self.ask((201, 202), "POST", f"{base}/uploads/{query}", b"")
        if status == 201:
            self.world.count("layers mounted")
            return described
        where = urllib.parse.urlsplit(headers["location"])
        self.ask((201,), "PUT", f"{where.path}?{where.query}&digest={urllib.parse.quote(digest)}", content, Content_Type="application/octet-stream")
        self.world.count("layers uploaded")
        return described

    def push_manifest(self, document: dict[str, t.Any], reference: str | None = None) -> str:
        content = json.dumps(document).encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self.ask((201,), "PUT", f"/v2/{self.repository}/manifests/{reference or digest}", content, Content_Type=document["mediaType"])
        return digest

    def image(self, number: int, tag: str | None = None, **more: t.Any) -> str:
        """The same number is the same image, whenever it is pushed."""
        own = random.Random(f"{self.repository} {number}")
        contents = [own.randbytes(own.randint(100, 20000)), *own.sample(SHARED, 2)]
        layers = [self.push_blob(content) for content in contents]
        config = self.push_blob(json.dumps({"image": number, "of": self.repository}).encode())
        digest = self.push_manifest({"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, **more}, tag)
        self.world.count("images pushed")
        return digest

    def push(self) -> None:
        tag = self.tag()
        self.forget(tag)
        self.world.expect(self.repository, tag, self.image(self.chance.randrange(IMAGES), tag))

    def push_index(self) -> None:
        tag = self.tag()
        self.forget(tag)
        children = [self.image(self.chance.randrange(IMAGES)) for _child in range(2)]
        described = [{"mediaType": MANIFEST, "digest": digest, "size": 1000, "platform": {"os": "linux", "architecture": "amd64"}} for digest in children]
        self.world.expect(self.repository, tag, self.push_manifest({"schemaVersion": 2, "mediaType": INDEX, "manifests": described}, tag))
        self.world.count("multi-arch images pushed")

    def push_referrer(self) -> None:
        """A signature with the fallback tag of its subject, which it is expected to live as long as."""
        subject = self.mine()
        if subject is None:
            return
        digest = subject[1]
        tag = digest.replace(":", "-")
        self.image(1000 + int(digest[-4:], 16) % 7, tag, subject={"mediaType": MANIFEST, "digest": digest, "size": 1})
        self.world.count("referrers pushed")

    def copy_tag(self) -> None:
        """Tag an image once more, without a question about its layers."""
        mine = self.mine()
        if mine is None:
            return
        _status, headers, content = self.ask((200,), "GET", f"/v2/{self.repository}/manifests/{mine[0]}", Accept=ACCEPT)
        tag = self.tag()
        self.forget(tag)
        self.ask((201,), "PUT", f"/v2/{self.repository}/manifests/{tag}", content, Content_Type=headers["content-type"])
        self.world.expect(self.repository, tag, "sha256:" + hashlib.sha256(content).hexdigest())
        self.world.count("tags copied")

    def delete(self) -> None:
        mine = self.mine()
        if mine is None:
            return
        for (repository, tag), (digest, _version) in list(self.world.expected.items()):
            if repository == self.repository and (digest == mine[1] or self.is_index(digest)):
                self.forget(tag)  # a child of it may be deleted
        self.ask((202, 404), "DELETE", f"/v2/{self.repository}/manifests/{mine[1]}")
        self.world.count("images deleted")

    def is_index(self, digest: str) -> bool:
        status, headers, _content = self.connection.request("GET", f"/v2/{self.repository}/manifests/{digest}", Accept=ACCEPT)
        return status != 200 or headers.get("content-type") == INDEX

    def tag(self) -> str:
        return f"tag{self.chance.randrange(TAGS)}"

    def forget(self, tag: str) -> None:
        self.world.expect(self.repository, tag, None)

    def mine(self) -> tuple[str, str] | None:
        with self.world.lock:
            tags = [(tag, digest) for (repository, tag), (digest, _version) in self.world.expected.items() if repository == self.repository]
        return self.chance.choice(tags) if tags else None

    # --- pulls

    def pull_any(self) -> None:
        with self.world.lock:
            every = sorted(self.world.expected.items())
        if not every:
            return
        (repository, tag), (digest, version) = self.chance.choice(every)
        segment, began = self.world.segment, time.monotonic()
        try:
            self.pull(repository, tag, digest)
        except Refused as refusal:
            with self.world.lock:
                unchanged = self.world.expected.get((repository, tag)) == (digest, version)
            if unchanged:
                self.world.fail(f"pull of {repository}:{tag}: {refusal}")
            return
        if segment == self.world.segment:
            self.took(segment, time.monotonic() - began)
        self.world.count("images pulled")

    def took(self, segment: str, seconds: float) -> None:
        """Note how long a pull took."""
        self.world.pulls.setdefault(segment, []).append(seconds)

    def pull(self, repository: str, reference: str, digest: str) -> None:
        """Pull an image with its children. Raises Refused where anything is missing or differs."""
        _status, _headers, content = self.ask((200,), "GET", f"/v2/{repository}/manifests/{reference}", Accept=ACCEPT)
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise Refused(f"{repository}:{reference} is another image")
        document = json.loads(content)
        for child in document.get("manifests", ()):
            self.pull(repository, child["digest"], child["digest"])
        for layer in [*([document["config"]] if "config" in document else []), *document.get("layers", ())]:
            _status, _headers, blob = self.ask((200,), "GET", f"/v2/{repository}/blobs/{layer['digest']}")
            if "sha256:" + hashlib.sha256(blob).hexdigest() != layer["digest"]:
                raise Refused(f"{layer['digest']} is damaged")

    def run(self) -> None:
        actions = [self.push] * 6 + [self.push_index] * 2 + [self.push_referrer] + [self.copy_tag] * 3 + [self.delete] + [self.pull_any] * 4
        self._until_stopped(actions)

    def run_pulls(self) -> None:
        self._until_stopped([self.pull_any])

    def _until_stopped(self, actions: t.Sequence[t.Callable[[], None]]) -> None:
        while not self.world.stop.is_set():
            action = self.chance.choice(actions)
            try:
                action()
            except Refused as refusal:
                self.world.fail(f"{action.__name__}: {refusal}")
            except (OSError, http.client.HTTPException) as error:
                self.world.fail(f"{action.__name__}: {type(error).__name__}: {error}")
                self.connection._open = None
            time.sleep(self.chance.uniform(0, 0.02))


class Puller(Client):
    """Pulls in a process of its own, which takes the time as well.

    The other clients are threads of one process, of which one runs at a time. A pull among them also waits for their work, such as hashing and
    encrypting what they push; and they push more while collections take away what they push again. To be made before any thread is started.
    """

    def __init__(self, world: World, place: t.Mapping[str, t.Any], number: int) -> None:
        super().__init__(world, place, number)
        self._pipe, theirs = multiprocessing.Pipe()
        if os.fork() == 0:
            self._pipe.close()
            try:
                _serve(Client(world, place, number), theirs)
            finally:
                os._exit(0)
        theirs.close()
        self._seconds = 0.0

    def pull(self, repository: str, reference: str, digest: str) -> None:
        self._pipe.send((repository, reference, digest))
        refusal, failure, self._seconds, rewritten = self._pipe.recv()
        for _time in range(rewritten):
            self.world.count(REWRITTEN)
        if failure:
            raise OSError(failure)
        if refusal:
            raise Refused(refusal)

    def took(self, segment: str, seconds: float) -> None:
        super().took(segment, seconds)
        self.world.pulls_apart.setdefault(segment, []).append(self._seconds)


def _serve(client: Client, pipe: t.Any) -> None:
    while True:
        try:
            image = pipe.recv()
        except EOFError:
            return
        before, began = client.world.counts.get(REWRITTEN, 0), time.monotonic()
        refusal = failure = ""
        try:
            client.pull(*image)
        except Refused as problem:
            refusal = str(problem)
        except (OSError, http.client.HTTPException) as problem:
            failure = f"{type(problem).__name__}: {problem}"
            client.connection._open = None
        pipe.send((refusal, failure, time.monotonic() - began, client.world.counts.get(REWRITTEN, 0) - before))
