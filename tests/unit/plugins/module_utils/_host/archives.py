# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Archives like those of releases, with a script in the place of the program, and a server that has them."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import io
import tarfile
import threading
import typing as t


def program(version, package="github.com/distribution/distribution/v3"):
    """A script that says its version in the way of the registry."""
    return f'#!/bin/sh\n[ "$*" = --version ] && echo "$0 {package} v{version}"\n'.encode()


def member(name, content=b"", kind=tarfile.REGTYPE, target=""):
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname, found.mode = len(content), kind, target, 0o755
    return found, content


def pack(path, *members, mode="w:gz"):
    """Write an archive. Returns its checksum."""
    with tarfile.open(path, mode) as archive:
        for found, content in members:
            archive.addfile(found, io.BytesIO(content))
    return checksum(path)


def release(path, version, content=None):
    """Write an archive with the members that upstream's have. Returns its checksum."""
    return pack(path, member("LICENSE", b"x"), member("README.md", b"y"), member("registry", content or program(version)))


def checksum(path):
    with open(path, "rb") as handle:
        return f"sha256:{hashlib.sha256(handle.read()).hexdigest()}"


class Server:
    """Answers GET with what answers holds by path: a status, headers and a body, or a function that is given the handler."""

    def __init__(self) -> None:
        self.answers: dict[str, t.Any] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.url = ""

    def give(self, path, body, status=200, **headers):
        self.answers[path] = (status, {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}, body)


@contextlib.contextmanager
def serving():
    server = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
            answer = server.answers.get(self.path, (404, {"Content-Length": "0"}, b""))
            if callable(answer):
                answer(self)
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):  # a client that has seen enough goes away
                self.wfile.write(body)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listener:
        server.url = f"http://127.0.0.1:{listener.server_port}"
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown()
            thread.join()
