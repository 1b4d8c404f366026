# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pulls of a blob of 80 MB from an object store: by the gateway, hot and cold, beside a static file and the store itself. Prints JSON."""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import time
import typing as t

import comparison
import ratios

SIZE = 80_000_000
REGISTRY, GATEWAY, STATIC_PORT = "http://127.0.0.1:5000", "https://registry.holdfast.test", 8440
CACHE = pathlib.Path("/var/cache/holdfast-gateway/registry")
STATIC = pathlib.Path("/var/lib/holdfast-bench-static")
LOGIN = "alice:correct-horse"
RESOLVE = ["--resolve", "registry.holdfast.test:443:127.0.0.1", "--cacert", "/etc/ssl/own.crt"]

NGINX = """
user holdfast-gateway;
pid /run/holdfast-bench-static.pid;
{main}
events {{
{events}
}}
http {{
    access_log /var/log/nginx/holdfast-bench-static.log combined;
    types {{}}
    default_type application/octet-stream;
    ssl_certificate     /etc/ssl/own.crt;
    ssl_certificate_key /etc/ssl/own.key;
{server}
    server {{
        listen 127.0.0.1:{port} ssl;
        root {root};
    }}
}}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=180, help="for each row, at most")
    options = parser.parse_args()
    digest, path = push(os.urandom(SIZE))
    serve_static(path)
    url = f"/v2/bench/app/blobs/{digest}"
    check(url, digest)
    rows = [
        row(
            "hot blob", "gateway", "static file", 0.9, options.seconds, lambda: requests_of(GATEWAY, url, LOGIN), lambda: requests_of(static(), f"/{path.name}")
        ),
        row("first pull", "gateway", "presigned redirect", 0.8, options.seconds, lambda: first_pull(url), lambda: direct(url)),
    ]
    print(json.dumps({"rows": rows}))


def row(title: str, ours: str, theirs: str, wanted: float, seconds: int, one: t.Callable[[], float], other: t.Callable[[], float]) -> dict[str, t.Any]:
    """Both take turns, in the opposite order each time, until the ratio of their rates is sure or the time is over."""
    rates: list[tuple[float, float]] = []
    end = time.monotonic() + seconds
    one(), other()  # warm up
    while True:
        if len(rates) % 2:
            rate = one()
            rates.append((rate, other()))
        else:
            base = other()
            rates.append((one(), base))
        found = ratios.estimate([a / b for a, b in rates]) if len(rates) >= ratios.FEWEST else None
        if found and (found.sure or time.monotonic() > end):
            median = [sorted(side)[len(rates) // 2] for side in zip(*rates)]
            verdict = ratios.judge(found, at_least=wanted)
            return {"title": title, "of": ours, "to": theirs, "mb": median, "ratio": list(found), "wanted": wanted, "verdict": verdict}


def requests_of(at: str, path: str, login: str = "") -> float:
    """MB a second of two connections, in a turn of two seconds."""
    header = ["-H", "Authorization: Basic " + base64.b64encode(login.encode()).decode()] if login else []
    printed = run("wrk", "-t1", "-c2", "-d2s", "--timeout", "20s", *header, at + path)
    if "Non-2xx" in printed or "Socket errors" in printed:
        raise SystemExit(printed)
    return float(re.search(r"Requests/sec:\s+([0-9.]+)", printed)[1]) * SIZE / 1e6  # type: ignore[index]


def first_pull(url: str) -> float:
    """MB a second of one pull that finds nothing in the cache."""
    for directory in CACHE.iterdir():
        shutil.rmtree(directory, ignore_errors=True)
    return timed(*RESOLVE, "-u", LOGIN, GATEWAY + url)


def direct(url: str) -> float:
    """MB a second of a client that follows the registry's redirect."""
    return timed("-L", "--cacert", "/etc/docker/registry/store-ca.crt", REGISTRY + url)


def timed(*arguments: str) -> float:
    size, seconds = run("curl", "-fsS", "-o", "/dev/null", "-w", "%{size_download} %{time_total}", *arguments).split()
    if int(size) != SIZE:
        raise SystemExit(f"{size} bytes came")
    return SIZE / 1e6 / float(seconds)


def push(content: bytes) -> tuple[str, pathlib.Path]:
    """The blob, at the registry and as a static file."""
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    STATIC.mkdir(exist_ok=True)
    path = STATIC / "blob"
    path.write_bytes(content)
    location = run("curl", "-fsS", "-o", "/dev/null", "-w", "%header{location}", "-X", "POST", f"{REGISTRY}/v2/bench/app/blobs/uploads/")
    kind = "Content-Type: application/octet-stream"
    run("curl", "-fsS", "-X", "PUT", "-H", kind, "--data-binary", f"@{path}", f"{REGISTRY}{location}&digest={digest}")
    return digest, path


def check(url: str, digest: str) -> None:
    content = subprocess.run(["curl", "-fsS", *RESOLVE, "-u", LOGIN, GATEWAY + url], check=True, stdout=subprocess.PIPE).stdout
    if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
        raise SystemExit("the gateway sends something else")


def static() -> str:
    return f"https://registry.holdfast.test:{STATIC_PORT}"


def serve_static(path: pathlib.Path) -> None:
    """By a second nginx with the gateway's own settings."""
    ours = re.sub(r"(^|\s)#.*", "", run("nginx", "-T", "-q", "-c", "/etc/holdfast-gateway/nginx.conf"), flags=re.MULTILINE)
    settings = {"main": comparison.MAIN, "events": comparison.EVENTS, "server": comparison.SERVER}
    written = NGINX.format(port=STATIC_PORT, root=path.parent, **{name: comparison.copy(ours, found, "    ") for name, found in settings.items()})
    pathlib.Path("/run/holdfast-bench-static.conf").write_text(written)
    with open("/etc/hosts", "r+") as hosts:
        if "registry.holdfast.test" not in hosts.read():
            hosts.write("127.0.0.1 registry.holdfast.test\n")
    run("nginx", "-c", "/run/holdfast-bench-static.conf")


def run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


main()
