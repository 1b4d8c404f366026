"""The speed of the registry's virtual host beside others on the same nginx. Runs on the registry's host, against its loopback."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import typing as t

from registry_client import AUTHORIZATION, MANIFEST, Client, expect, push_bytes, push_manifest

HERE = os.path.dirname(os.path.abspath(__file__))
NAME = "registry.holdfast.test"
REPOSITORY = "bench/image"
STORAGE = "/var/lib/docker-registry"
OURS, OPEN, BASIC = 443, 8440, {5: 8445, 10: 8450, 12: 8452}
ROUNDS = 3
# A verdict is remembered for 10 seconds: a round as long has one password to verify.
VERDICT_SECONDS = 10


class Contender(t.NamedTuple):
    name: str
    port: int
    path: str
    seconds: int = 3
    flood: str = ""


class Row(t.NamedTuple):
    title: str
    contenders: list[Contender]
    unit: str = "requests/s"
    method: str = "GET"


def main() -> None:
    know_own_name()
    rows = [measure(row) for row in make_rows(*make_content())]
    json.dump({"rows": rows, "reload": reload_under_load()}, sys.stdout)


def know_own_name() -> None:
    with open("/etc/hosts", "r+", encoding="utf-8") as hosts:
        if NAME not in hosts.read():
            hosts.write(f"127.0.0.1 {NAME}\n")


def make_content() -> tuple[str, str, str]:
    """Push an image with a small and a large layer, and lay copies of both where nginx has nothing to decide."""
    client = Client(NAME)
    small, large = os.urandom(2000), os.urandom(1 << 20) * 80
    digests = [push_bytes(client, REPOSITORY, content) for content in (small, large)]
    manifest = push_manifest(client, REPOSITORY, "latest", small, digests[1], len(large))
    os.makedirs(f"{STORAGE}/static", exist_ok=True)
    for name, digest in zip(("small", "large"), digests):
        digits = digest.split(":")[1]
        shutil.copy(f"{STORAGE}/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data", f"{STORAGE}/static/{name}")
        os.chmod(f"{STORAGE}/static/{name}", 0o644)
    shutil.chown(f"{STORAGE}/static", group="docker-registry")
    os.chmod(f"{STORAGE}/static", 0o755)
    return manifest, digests[0], digests[1]


def make_rows(manifest: str, small: str, large: str) -> list[Row]:
    image = f"/v2/{REPOSITORY}"
    small_path, large_path = f"{image}/blobs/{small}", f"{image}/blobs/{large}"

    def with_passwords(path: str) -> list[Contender]:
        return [
            Contender("no password", OPEN, path, 4),
            *(Contender(f"auth_basic, cost {cost}", port, path, 2) for cost, port in BASIC.items()),
            Contender("ours", OURS, path, VERDICT_SECONDS),
        ]

    tag_path = f"{image}/manifests/latest"
    floods = [Contender(f"ours, flood from {source}", OURS, tag_path, VERDICT_SECONDS, source) for source in ("elsewhere", "the same address")]
    return [
        Row("/v2/", with_passwords("/v2/")),
        Row("manifest by tag", with_passwords(tag_path) + floods),
        Row(
            "manifest by digest",
            [Contender("proxied", OPEN, f"{image}/manifests/{manifest}"), Contender("ours", OURS, f"{image}/manifests/{manifest}")],
        ),
        Row(
            "blob of 2 KB",
            [Contender("proxied", OPEN, small_path), Contender("static file", OPEN, "/static/static/small"), Contender("ours", OURS, small_path)],
        ),
        Row("HEAD of a blob", [Contender("proxied", OPEN, small_path), Contender("ours", OURS, small_path)], method="HEAD"),
        Row(
            "blob of 80 MB",
            [Contender("proxied", OPEN, large_path), Contender("static file", OPEN, "/static/static/large"), Contender("ours", OURS, large_path)],
            unit="MB/s",
        ),
    ]


def measure(row: Row) -> dict[str, t.Any]:
    """Give every contender a turn, in another order each round, so that a disturbed machine favours none."""
    rates: dict[str, list[float]] = {contender.name: [] for contender in row.contenders}
    failed = dict.fromkeys(rates, 0)
    for number in range(ROUNDS):
        for contender in row.contenders[number:] + row.contenders[:number]:
            check_answer(row, contender)
            result = load(row, contender)
            amount = result["bytes"] / 1e6 if row.unit == "MB/s" else result["requests"]
            rates[contender.name].append(round(amount / result["seconds"], 1))
            failed[contender.name] += result["failed"]
    return {
        "title": row.title,
        "unit": row.unit,
        "rates": {name: {"median": statistics.median(found), "all": found, "failed": failed[name]} for name, found in rates.items()},
    }


def check_answer(row: Row, contender: Contender) -> None:
    """See that what is measured is the right answer. This is the warm-up, too: it has the password verified."""
    client = Client(NAME, contender.port)
    for _turn in range(2):
        expect(200, client.request("HEAD" if row.unit == "MB/s" else row.method, contender.path, Accept=MANIFEST))
    client.close()


def load(row: Row, contender: Contender) -> dict[str, float]:
    if row.method == "HEAD":
        return load_heads(contender)
    if not contender.flood:
        return wrk(contender)
    attackers = start_flood(contender)
    try:
        return wrk(contender)
    finally:
        if attackers.wait():
            raise RuntimeError("the flood failed")
        # guesses that wait for their turn would disturb who comes next
        subprocess.run(["systemctl", "restart", "nginx"], check=True)


def wrk(contender: Contender) -> dict[str, float]:
    url = f"https://{NAME}:{contender.port}{contender.path}"
    command = wrk_command(url, contender.seconds, "report.lua", "-H", f"Authorization: {AUTHORIZATION}", "-H", f"Accept: {MANIFEST}")
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output.splitlines()[-1])


def load_heads(contender: Contender) -> dict[str, float]:
    """wrk waits for the body that an answer to HEAD announces; ab does not."""
    command = ["ab", "-i", "-k", "-q", "-c", "8", "-t", str(contender.seconds), "-n", "1000000", "-H", f"Authorization: {AUTHORIZATION}"]
    output = subprocess.run([*command, f"https://{NAME}:{contender.port}{contender.path}"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {
        name: float(re.findall(rf"^{name}: +([0-9.]+)", output, re.MULTILINE)[0]) for name in ("Time taken for tests", "Complete requests", "Failed requests")
    }
    refused = len(re.findall(r"^Non-2xx responses:", output, re.MULTILINE))
    return {"seconds": found["Time taken for tests"], "requests": found["Complete requests"], "bytes": 0, "failed": found["Failed requests"] + refused}


def start_flood(contender: Contender) -> subprocess.Popen[bytes]:
    """Wrong passwords, up to 200 a second on 8 connections, from a second before until the contender's turn is over."""
    address = NAME
    if contender.flood == "elsewhere":
        # a connection to the host's own address comes from that address, though it never leaves the host
        shown = subprocess.run(["ip", "-4", "address", "show", "scope", "global"], check=True, stdout=subprocess.PIPE, text=True).stdout
        address = re.findall(r"inet ([0-9.]+)", shown)[0]
    flood = subprocess.Popen(wrk_command(f"https://{address}:{OURS}/", contender.seconds + 1, "flood.lua", "-H", f"Host: {NAME}"), stdout=subprocess.DEVNULL)
    time.sleep(1)
    return flood


def wrk_command(url: str, seconds: int, script: str, *options: str) -> list[str]:
    return ["wrk", "-t", "2", "-c", "8", "-d", f"{seconds}s", "--timeout", "30s", "-s", f"{HERE}/{script}", *options, url]


def reload_under_load(reloads: int = 20) -> dict[str, t.Any]:
    """Reload nginx while four clients pull and two push."""
    stop = threading.Event()
    clients = [Client(NAME) for _turn in range(6)]
    done = {"pulls": 0, "pushes": 0}
    failures: list[str] = []
    content = os.urandom(200_000)
    lock = threading.Lock()

    def pull(client: Client) -> None:
        manifest = json.loads(expect(200, client.request("GET", f"/v2/{REPOSITORY}/manifests/latest", Accept=MANIFEST)).body)
        digest = manifest["config"]["digest"]
        if len(expect(200, client.request("GET", f"/v2/{REPOSITORY}/blobs/{digest}")).body) != 2000:
            raise RuntimeError("a blob is cut short")

    def push(client: Client) -> None:
        layer = os.urandom(16) + content
        push_manifest(client, "bench/reload", "latest", os.urandom(200), push_bytes(client, "bench/reload", layer), len(layer))

    def work(kind: str, one: t.Callable[[Client], None], client: Client) -> None:
        while not stop.is_set():
            try:
                one(client)
            except (OSError, RuntimeError, http.client.HTTPException) as error:
                client.close()
                with lock:
                    failures.append(f"{kind}: {type(error).__name__}: {error}")
            else:
                with lock:
                    done[kind] += 1

    threads = [
        threading.Thread(target=work, args=("pushes" if number < 2 else "pulls", push if number < 2 else pull, client)) for number, client in enumerate(clients)
    ]
    for thread in threads:
        thread.start()
    for _turn in range(reloads):
        time.sleep(0.5)
        subprocess.run(["systemctl", "reload", "nginx"], check=True)
    time.sleep(0.5)
    stop.set()
    for thread in threads:
        thread.join()
    return {
        "reloads": reloads,
        **done,
        "failed": failures,
        "connections closed between requests": sum(client.closed_between for client in clients),
        "requests repeated as HTTP allows": sum(client.repeated for client in clients),
    }


if __name__ == "__main__":
    main()
