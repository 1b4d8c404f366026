# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hostile registry, which serves what is not what its digest says and asks for passwords on behalf of others. It logs each request."""

from __future__ import annotations

import hashlib
import http.server
import json
import ssl
import sys

GOOD_LAYER = b"a layer as it should be" * 1000
GOOD = json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {}, "layers": []}).encode()
BAD = GOOD.replace(b"layers", b"Layers")


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def _serve(self, *, body: bool) -> None:
        print(json.dumps([self.command, self.path, self.headers.get("Authorization", "")]), flush=True)
        repository, _slash, rest = self.path.removeprefix("/v2/").rpartition("/manifests/" if "/manifests/" in self.path else "/blobs/")
        if repository == "steal/token":
            realm = f"https://thief.holdfast.test:{self.server.server_port}/token"
            self._answer(401, b"{}", body, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x",scope="repository:steal/token:pull"'})
        elif repository == "steal/redirect" and rest.startswith("sha256:"):
            self._answer(307, b"", body, {"Location": f"https://thief.holdfast.test:{self.server.server_port}/stolen"})
        elif rest == digest(GOOD_LAYER):
            self._answer(200, GOOD_LAYER[:-1] + b"!", body, {"Docker-Content-Digest": digest(GOOD_LAYER)})
        elif rest == digest(GOOD) or rest == "latest":
            self._answer(200, BAD, body, {"Docker-Content-Digest": digest(GOOD), "Content-Type": "application/vnd.oci.image.manifest.v1+json"})
        else:
            self._answer(404, b"{}", body, {})

    def _answer(self, status: int, content: bytes, body: bool, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), "Docker-Distribution-Api-Version": "registry/2.0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/etc/ssl/holdfast/registry.crt", "/etc/ssl/holdfast/registry.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()
