# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long the keeper takes to mark a storage, and how much memory: 10,000, 100,000 and a million blobs, a tenth of them manifests."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import threading
import time

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "roles/keeper/files"
MANIFESTS_IN_REPOSITORY = 100
LAYERS = 8
YESTERDAY = time.time() - 2 * 86400
MOST_SECONDS, MOST_BYTES = 120, 1e9  # what issue and docs promise for a million


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sizes", nargs="*", type=int, default=[10_000, 100_000, 1_000_000], metavar="BLOBS", help="(%(default)s)")
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path(".cache/bench-mark"), help="where the storages are made (%(default)s)")
    parser.add_argument("--keep", action="store_true", help="leave them there")
    parser.add_argument("--warm", action="store_true", help="do not empty the page cache before the first mark, which slows down everything else")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, {options.directory}")
    print(f"{'blobs':>9} {'manifests':>9} {'links':>9} {'made in':>8}  {'first mark':>10} {'second':>8} {'processor':>10} {'memory':>8} {'would take':>12}")
    failed = False
    for size in options.sizes:
        directory = options.directory / str(size)
        try:
            failed |= not measure(size, directory, options.warm)
        finally:
            if not options.keep:
                shutil.rmtree(directory, ignore_errors=True)
    sys.exit(failed)


def measure(size: int, directory: pathlib.Path, warm: bool) -> bool:
    """Make a storage of a size and mark it, twice: first with what happens to be in the page cache. Whether it keeps the promise."""
    made = "there"
    if not directory.exists():
        began = time.monotonic()
        make(directory / "storage", size)
        made = f"{time.monotonic() - began:.0f} s"
    (directory / "settings.json").write_text(json.dumps({"instance": "registry", "storage": str(directory.resolve() / "storage")}))
    if not warm:
        drop_caches()
    first, _memory, _document = mark(directory)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    second, memory, document = mark(directory)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    links = size // (LAYERS + 2) * (LAYERS + 2)
    taken = document["would_take"]["blobs"]
    print(f"{document['blobs']:9,} {size // (LAYERS + 2):9,} {links:9,} {made:>8}  {first:8.1f} s {second:6.1f} s {processor:8.1f} s", end=" ")
    print(f"{memory / 1e6:5.0f} MB {taken:12,}", flush=True)
    return max(first, second) < MOST_SECONDS and memory < MOST_BYTES


def drop_caches() -> None:
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    except OSError:
        print("the page cache cannot be emptied here", file=sys.stderr)


def mark(directory: pathlib.Path) -> tuple[float, float, dict[str, object]]:
    """Seconds of the whole program, peak of the memory of all its processes (their share of what they share), and its document."""
    environment = {**os.environ, "PYTHONPATH": str(PROGRAM)}
    command = [sys.executable, "-m", "registry_keeper", "--json", "--settings", str(directory / "settings.json"), "collect", "--dry-run"]
    began = time.monotonic()
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        peak = [0]
        watcher = threading.Thread(target=watch, args=(process.pid, peak), daemon=True)
        watcher.start()
        output, _nothing = process.communicate()
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"the keeper failed: {output.decode()}")
    return seconds, peak[0], json.loads(output)


def watch(pid: int, peak: list[int]) -> None:
    while True:
        total = 0
        for process in [pid, *children(pid)]:
            try:
                text = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text()
            except OSError:
                if process == pid:
                    return
                continue
            total += sum(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("Pss:"))
        peak[0] = max(peak[0], total)
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    try:
        return [int(one) for one in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def make(storage: pathlib.Path, size: int) -> None:
    """A storage as the registry leaves it. Content of layers is empty: nobody reads it."""
    root = storage / "docker/registry/v2"
    for number in range(256):
        (root / f"blobs/sha256/{number:02x}").mkdir(parents=True)
    manifests = size // (LAYERS + 2)
    for number in range(manifests):
        base = root / f"repositories/group{number // MANIFESTS_IN_REPOSITORY % 10}/name{number // MANIFESTS_IN_REPOSITORY}"
        if number % MANIFESTS_IN_REPOSITORY == 0:
            for part in ("_layers/sha256", "_manifests/revisions/sha256", "_manifests/tags", "_uploads"):
                (base / part).mkdir(parents=True)
        described = []
        for layer in range(LAYERS + 1):
            digest = hashlib.sha256(f"{number} {layer}".encode()).hexdigest()
            blob(root, digest, b"")
            link(f"{base}/_layers/sha256/{digest}", digest)
            described.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": f"sha256:{digest}", "size": 123456})
        document = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": described[0], "layers": described[1:]}
        content = json.dumps(document).encode()
        digest = hashlib.sha256(content).hexdigest()
        blob(root, digest, content)
        link(f"{base}/_manifests/revisions/sha256/{digest}", digest)
        if number % 20:  # the others have no tag
            link(f"{base}/_manifests/tags/v{number}/current", digest)
        os.utime(f"{base}/_manifests/tags", (YESTERDAY, YESTERDAY))


def blob(root: pathlib.Path, digest: str, content: bytes) -> None:
    directory = f"{root}/blobs/sha256/{digest[:2]}/{digest}"
    os.mkdir(directory)
    write(f"{directory}/data", content)


def link(directory: str, digest: str) -> None:
    os.makedirs(directory)
    write(f"{directory}/link", f"sha256:{digest}".encode())


def write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, content)
    os.close(descriptor)
    os.utime(path, (YESTERDAY, YESTERDAY))


if __name__ == "__main__":
    main()
