# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests made on the gateway's host, one by one, and half ones."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

from scenario import gateway, hosts
from testinfra.host import Host

TLS = "https://images.holdfast.test:5443"
PLAIN = "http://images.holdfast.test:8080"

# Where it is told to, it stops in the middle of the body, sent or received, until a file is there.
PROGRAM = """
import base64, hashlib, http.client, json, os, socket, ssl, sys, time, urllib.parse
url, method, path, password, headers, size, go, address, certificate, log = json.loads(sys.stdin.readline())
logged = os.path.getsize(log)
url = urllib.parse.urlsplit(url)
tls = url.scheme == "https"
class Connection(http.client.HTTPSConnection if tls else http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), 20, (address, 0))
        if tls:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
def wait():
    while go and not os.path.exists(go):
        time.sleep(0.05)
def body():
    for number in range(64):
        if number == 32:
            wait()
        yield b"x" * (size // 64)
options = {"context": ssl.create_default_context(cafile="/etc/ssl/own.crt")} if tls else {}
if certificate:
    options["context"].load_cert_chain(f"/etc/ssl/{certificate}.crt", f"/etc/ssl/{certificate}.key")
connection = Connection(url.hostname, url.port, **options)
if password:
    headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
if size:
    headers["Content-Length"] = str(size)
connection.request(method, path, body=body() if size else None, headers=headers)
try:
    answer = connection.getresponse()
except http.client.RemoteDisconnected:
    print(json.dumps([0, [], "", 0, "", False]))
    sys.exit()
start = answer.read(500)
wait()
length, content, whole = len(start), hashlib.sha256(start), True
try:
    for part in iter(lambda: answer.read(2 ** 20), b""):
        length += len(part)
        content.update(part)
except (http.client.IncompleteRead, OSError) as error:
    # read() raises before it gives what it has
    length += len(getattr(error, "partial", b""))
    content.update(getattr(error, "partial", b""))
    whole = False
whole = whole and (method == "HEAD" or length == int(answer.getheader("Content-Length", length)))
headers = [[k.lower(), v] for k, v in answer.getheaders()]
# nginx logs a request after its answer, and tests read what it has logged.
end = time.monotonic() + 2
while os.path.getsize(log) == logged and time.monotonic() < end:
    time.sleep(0.01)
print(json.dumps([answer.status, headers, start.decode(errors="replace"), length, content.hexdigest(), whole]))
"""


@dataclasses.dataclass(frozen=True)
class Answer:
    # 0 for none
    status: int
    headers: list[list[str]]
    # no more than its first 500 bytes
    body: str
    length: int
    # SHA-256 of all of it
    hex: str
    # whether the connection lasted until its end
    whole: bool

    def header(self, wanted: str) -> str:
        (value,) = (value for name, value in self.headers if name == wanted)
        return value


class Client:
    """Asks on the host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        hosts.write(host, "/run/ask.py", PROGRAM)

    def ask(self, url: str, path: str, **request: Any) -> Answer:
        return Answer(*json.loads(self._host.check_output(f"python3 /run/ask.py <<'END'\n{_question(url, path, **request)}\nEND")))

    def begin(self, url: str, path: str, **request: Any) -> None:
        """Ask, and stop in the middle of the body."""
        hosts.write(self._host, "/run/question", _question(url, path, go="/run/go", **request) + "\n")
        self._host.check_output("rm -f /run/go; python3 /run/ask.py </run/question >/run/answer 2>&1 &")

    def finish(self) -> Answer:
        self._host.check_output("touch /run/go")
        for _attempt in range(120):
            printed = self._host.check_output("cat /run/answer")
            if printed:
                return Answer(*json.loads(printed))
            time.sleep(0.5)
        raise AssertionError("no answer")


def _question(
    url: str,
    path: str,
    method: str = "GET",
    password: str = "",
    headers: dict[str, str] | None = None,
    size: int = 0,
    go: str = "",
    address: str = "127.0.0.1",
    certificate: str = "",
) -> str:
    """Address is the client's, and certificate the name of its certificate."""
    return json.dumps([url, method, path, password, headers or {}, size, go, address, certificate, gateway.ACCESS_LOG])
