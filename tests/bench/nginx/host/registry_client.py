# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A client of a registry that behaves as HTTP asks of it: what may be repeated is repeated, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import ssl
import typing as t
import urllib.parse

import gateway

USER, PASSWORD = "alice", "correct-horse"
AUTHORIZATION = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE"}
Body = t.Union[bytes, t.Iterable[bytes], None]


class Answer(t.NamedTuple):
    status: int
    headers: t.Mapping[str, str]
    body: bytes


class Client:
    """One connection, opened again when the server has closed it."""

    def __init__(self, name: str, port: int = gateway.PORT, timeout: float = 60) -> None:
        self._context = ssl.create_default_context(cafile=gateway.CA)
        self._name, self._port, self._timeout = name, port, timeout
        self._connection: http.client.HTTPSConnection | None = None
        self.closed_between = 0
        self.repeated = 0

    def request(self, method: str, path: str, body: Body = None, **headers: str) -> Answer:
        headers = {"Authorization": AUTHORIZATION, **{name.replace("_", "-"): value for name, value in headers.items()}}
        reused = self._is_open()
        try:
            return self._send(method, path, body, headers)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
            self.close()
            # closed before any byte of an answer, on a connection that may have been closed as idle
            if not reused or method not in IDEMPOTENT:
                raise
            self.repeated += 1
            return self._send(method, path, body, headers)

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

    def _is_open(self) -> bool:
        """Whether there is a connection that the server has not closed while it was idle."""
        if not self._connection or not self._connection.sock:
            self.close()
            return False
        self._connection.sock.setblocking(False)
        try:
            alive = bool(self._connection.sock.recv(1))
        except ssl.SSLWantReadError:
            alive = True
        except OSError:
            alive = False
        if not alive:
            self.closed_between += 1
            self.close()
            return False
        self._connection.sock.settimeout(self._timeout)
        return True

    def _send(self, method: str, path: str, body: Body, headers: t.Mapping[str, str]) -> Answer:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(self._name, self._port, timeout=self._timeout, context=self._context)
        self._connection.request(method, path, body=body, headers=dict(headers))
        response = self._connection.getresponse()
        content = response.read()
        if response.will_close:
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)


def push_blob(client: Client, repository: str, pieces: t.Iterable[bytes], digest: str) -> None:
    """Push a blob as docker does: one chunked PATCH, then the PUT that names its digest."""
    begun = expect(202, client.request("POST", f"/v2/{repository}/blobs/uploads/", Content_Length="0"))
    sent = expect(202, client.request("PATCH", location(begun), pieces, Content_Type="application/octet-stream"))
    expect(201, client.request("PUT", f"{location(sent)}&digest={urllib.parse.quote(digest)}", Content_Length="0"))


def push_bytes(client: Client, repository: str, content: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    push_blob(client, repository, [content], digest)
    return digest


def push_manifest(client: Client, repository: str, tag: str, config: bytes, layer: str, size: int) -> str:
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {
                "mediaType": "application/vnd.docker.container.image.v1+json",
                "size": len(config),
                "digest": push_bytes(client, repository, config),
            },
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": size, "digest": layer}],
        }
    ).encode()
    expect(201, client.request("PUT", f"/v2/{repository}/manifests/{tag}", manifest, Content_Type=MANIFEST))
    return "sha256:" + hashlib.sha256(manifest).hexdigest()


def expect(status: int, answer: Answer) -> Answer:
    if answer.status != status:
        raise RuntimeError(f"{answer.status} instead of {status}: {answer.body[:200]!r}")
    return answer


def location(answer: Answer) -> str:
    parts = urllib.parse.urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"
