# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The speed of the gateway beside a second nginx. Runs on the gateway's host, over its loopback.

Contenders take short turns, round after round, until every ratio of the row is sure or the row has had its time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
import typing as t

import comparison
import gateway
import load
import ratios
from password import Password
from registry_client import MANIFEST, PASSWORD, USER, Client, expect, push_bytes, push_manifest
from reloads import reload_under_load

REPOSITORY = "bench/image"


class Contender(t.NamedTuple):
    name: str
    port: int
    path: str
    flood: str = ""
    # slow ones that only the eye compares get one slice of a round
    once: bool = False


class Target(t.NamedTuple):
    of: str
    to: str
    at_least: float


class Row(t.NamedTuple):
    title: str
    contenders: list[Contender]
    targets: t.Sequence[Target] = ()
    unit: str = "requests/s"
    head: bool = False
    # a contender's turn in a round, and in how many slices it comes
    seconds: int = 1
    slices: int = 1
    # whether the gateway's turn begins with a verification of the password
    verified: bool = False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--seconds", type=int, required=True)
    options = parser.parse_args()
    load.know_names()
    comparison.start(USER, PASSWORD)

    def wanted(title: str) -> bool:
        return any(text in title for text in options.only or [""])

    rows = [row for row in make_rows(*make_content()) if wanted(row.title)]
    password = Password()
    figures: dict[str, t.Any] = {"rows": [measure(row, password, options.seconds) for row in rows]}
    if wanted("reloads"):
        figures["reload"] = reload_under_load(REPOSITORY)
    comparison.stop()
    json.dump(figures, sys.stdout)


def make_content() -> tuple[str, str, str]:
    """Push an image with a small and a large layer, and lay copies of both where nginx has nothing to decide."""
    client = Client(gateway.NAME)
    small, large = os.urandom(2000), os.urandom(1 << 20) * 80
    digests = [push_bytes(client, REPOSITORY, content) for content in (small, large)]
    manifest = push_manifest(client, REPOSITORY, "latest", small, digests[1], len(large))
    for name, digest in zip(("small", "large"), digests):
        digits = digest.split(":")[1]
        shutil.copy(f"{gateway.STORAGE}/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data", f"{comparison.STATIC_FILES}/{name}")
        os.chmod(f"{comparison.STATIC_FILES}/{name}", 0o644)
    return manifest, digests[0], digests[1]


def make_rows(manifest: str, small: str, large: str) -> list[Row]:
    def ours(path: str) -> Contender:
        return Contender("ours", gateway.PORT, path)

    def proxied(path: str, name: str = "proxied") -> Contender:
        return Contender(name, comparison.OPEN, path)

    def with_password(title: str, path: str) -> Row:
        contenders = [ours(path), proxied(path, "no password"), Contender("auth_basic, cost 12", comparison.BASIC, path, once=True)]
        return Row(title, contenders, [Target("ours", "no password", 0.95)], seconds=2, slices=5, verified=True)

    def flooded(path: str) -> Row:
        floods = {"ours, flood from elsewhere": load.ELSEWHERE, "ours, flood from its address": gateway.NAME}
        contenders = [ours(path), *(Contender(name, gateway.PORT, path, address) for name, address in floods.items())]
        return Row("manifest, under a flood", contenders, [Target(name, "ours", 0.8) for name in floods], seconds=9, verified=True)

    def mirrored(what: str, path: str, unit: str = "requests/s") -> Row:
        contenders = [Contender("mirror", gateway.MIRROR_PORT, path + gateway.MIRRORED), ours(path)]
        return Row(f"mirror: {what}", contenders, [Target("mirror", "ours", 0.9)], unit=unit)

    def static(name: str) -> Contender:
        return Contender("static file", comparison.OPEN, f"/static/{name}")

    image = f"/v2/{REPOSITORY}"
    tag_path, digest_path = f"{image}/manifests/latest", f"{image}/manifests/{manifest}"
    small_path, large_path = f"{image}/blobs/{small}", f"{image}/blobs/{large}"
    return [
        with_password("/v2/", "/v2/"),
        with_password("manifest by tag", tag_path),
        flooded(tag_path),
        Row("manifest by digest", [ours(digest_path), proxied(digest_path)], [Target("ours", "proxied", 5)]),
        Row(
            "blob of 2 KB",
            [ours(small_path), proxied(small_path), static("small")],
            [Target("ours", "proxied", 45), Target("ours", "static file", 0.5)],
        ),
        Row("HEAD of a blob", [ours(small_path), proxied(small_path)], head=True),
        Row("blob of 80 MB", [ours(large_path), proxied(large_path), static("large")], [Target("ours", "static file", 0.95)], unit="MB/s"),
        mirrored("manifest by digest", digest_path),
        mirrored("blob of 2 KB", small_path),
        mirrored("blob of 80 MB", large_path, "MB/s"),
    ]


def measure(row: Row, password: Password, limit: int) -> dict[str, t.Any]:
    """Go on until every ratio is sure, or the time is over."""
    for contender in row.contenders:
        # A mirror fetches what it is asked for.
        method = "HEAD" if row.unit == "MB/s" and contender.port != gateway.MIRROR_PORT else "GET"
        expect(200, Client(gateway.NAME, contender.port).request(method, contender.path, Accept=MANIFEST))
    password.doubt()
    rates: dict[str, list[float]] = {contender.name: [] for contender in row.contenders}
    failed = dict.fromkeys(rates, 0.0)
    started = time.monotonic()
    estimates: list[ratios.Estimate] = []
    number = 0
    while number < ratios.FEWEST or (not all(found.sure for found in estimates) and time.monotonic() - started < limit):
        # the other way round each time, so that nobody always comes first
        order = row.contenders[:: 1 if number % 2 else -1]
        for contender, loads in run_round(row, order, password).items():
            amount = sum(one.bytes / 1e6 if row.unit == "MB/s" else one.requests for one in loads)
            rates[contender.name].append(amount / sum(one.seconds for one in loads))
            failed[contender.name] += sum(one.failed for one in loads)
        number += 1
        estimates = [ratios.estimate([of / (to or 1) for of, to in zip(rates[target.of], rates[target.to])]) for target in row.targets]
        print(f"{row.title}, round {number}: {', '.join(map(str, estimates))}", file=sys.stderr, flush=True)
    return {
        "title": row.title,
        "unit": row.unit,
        "rounds": number,
        "rates": {name: {"median": statistics.median(found), "all": found, "failed": failed[name]} for name, found in rates.items()},
        "targets": [
            {**target._asdict(), **found._asdict(), "verdict": ratios.judge(found, at_least=target.at_least)} for target, found in zip(row.targets, estimates)
        ],
    }


def run_round(row: Row, contenders: list[Contender], password: Password) -> dict[Contender, list[load.Load]]:
    loads: dict[Contender, list[load.Load]] = {contender: [] for contender in contenders}
    for number in range(row.slices):
        for contender in contenders:
            if not (contender.once and number):
                loads[contender].append(run_slice(row, contender, password, verified=row.verified and number == 0))
    return loads


def run_slice(row: Row, contender: Contender, password: Password, verified: bool) -> load.Load:
    send = load.heads if row.head else load.gets
    if contender.port in (gateway.PORT, gateway.MIRROR_PORT):
        if verified:
            password.forget()
        else:
            password.know(row.seconds)
    if not contender.flood:
        return send(contender.port, contender.path, row.seconds)
    with load.Flood(contender.flood, row.seconds):
        found = send(contender.port, contender.path, row.seconds)
    password.doubt()
    return found


if __name__ == "__main__":
    main()
