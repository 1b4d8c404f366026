# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one collection costs: processor time, files, syncs, and manifests that are read, on a storage such as that of the soak.

The load of tests/soak is written to the disk as a registry would. A second of it is SLOWER seconds in the times of files, so that how fast this
machine is does not matter for what is young. Counts are of a second run on a copy, under strace.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import json
import os
import pathlib
import random
import re
import resource
import shutil
import subprocess
import sys
import time
import typing as t

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit/roles/keeper"))
from trees import PROGRAM, Storage, read_link

CLIENTS, IMAGES, TAGS, ACTIONS = 4, 100, 6, 12  # as in tests/soak; actions of each client in a second
SHARED = [f"a layer that many have, {number} ".encode() * 300 for number in range(80)]
SEGMENT = 10  # seconds of load before each collection
SLOWER = 1000
COUNTED = ("openat", "stat", "newfstatat", "getdents64", "read", "rename", "link", "utimensat", "mkdir", "fsync", "clone", "clone3", "vfork", "fork")


class Load:
    """Pushes of the soak's clients, at moments that the caller sets."""

    def __init__(self, directory: pathlib.Path, seed: int) -> None:
        self.storage = Storage(str(directory / "storage"))
        self.log = directory / "access.log"
        self.chance = random.Random(seed)
        self.moment = 0.0
        self.storage._write = self._write  # type: ignore[method-assign]

    def _write(self, path: str, content: bytes) -> None:
        if path.endswith("/data") and os.path.exists(path):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, (self.moment, self.moment))

    def seconds(self, number: float, end: float) -> None:
        """The load of so many seconds, up to a moment."""
        actions = int(number * CLIENTS * ACTIONS)
        self.storage.age(SLOWER * number)
        with self.log.open("w") as log:
            for action in range(actions):
                self.moment = end - SLOWER * number * (1 - action / actions)
                client = self.chance.randrange(CLIENTS)
                self._action(f"soak/client{client}", log)
        for client in range(CLIENTS):
            # The directories are all made now. What has become without a tag just before would otherwise wait for the next collection.
            directory = os.path.dirname(self.storage.tree.tag(f"soak/client{client}", "x"))
            os.utime(directory, (end - SLOWER * number, end - SLOWER * number))

    def _action(self, repository: str, log: t.TextIO) -> None:
        tag, what = f"tag{self.chance.randrange(TAGS)}", self.chance.randrange(13)
        if what < 9:
            self._image(repository, self.chance.randrange(IMAGES), tag, log)
        elif what < 11:
            self.storage.index(repository, [self._image(repository, self.chance.randrange(IMAGES), None, log) for _child in range(2)], tag)
        elif what == 12:
            self._delete(repository, tag)
        else:
            subject = self._image(repository, self.chance.randrange(IMAGES), tag, log)
            self._image(repository, 1000 + int(subject[-4:], 16) % 7, subject.replace(":", "-"), log)

    def _delete(self, repository: str, tag: str) -> None:
        """An image with all its tags. Their history goes along."""
        tree = self.storage.tree
        digest = read_link(f"{tree.tag(repository, tag)}/current/link")
        if digest is None:
            return
        os.unlink(f"{tree.revision(repository, digest)}/link")
        for other in [f"tag{number}" for number in range(TAGS)]:
            if read_link(f"{tree.tag(repository, other)}/current/link") == digest:
                shutil.rmtree(tree.tag(repository, other))

    def _image(self, repository: str, number: int, tag: str | None, log: t.TextIO) -> str:
        own = random.Random(f"{repository} {number}")
        contents = [own.randbytes(own.randint(100, 20000)), *own.sample(SHARED, 2), json.dumps({"image": number, "of": repository}).encode()]
        described = []
        for content in contents:
            digest = "sha256:" + hashlib.sha256(content).hexdigest()
            there = os.path.exists(f"{self.storage.tree.layer(repository, digest)}/link")
            self._logged(log, "HEAD", f"/v2/{repository}/blobs/{digest}", 200 if there else 404)
            if not there:
                self.storage.layer(repository, content)
                self._logged(log, "PUT", f"/v2/{repository}/blobs/uploads/1?digest={digest}", 201)
            described.append({"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": len(content)})
        digest = self.storage.manifest(repository, {"schemaVersion": 2, "config": described[-1], "layers": described[:-1]}, tag)
        self._logged(log, "PUT", f"/v2/{repository}/manifests/{tag or digest}", 201)
        return digest

    def _logged(self, log: t.TextIO, method: str, path: str, status: int) -> None:
        when = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(self.moment))
        log.write(json.dumps({"time": when, "client": "127.0.0.1", "method": method, "path": path, "status": status}, separators=(",", ":")) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path(".cache/bench-collect"), help="where the storage is made (%(default)s)")
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM, help="the directory that has registry_keeper")
    parser.add_argument("--before", type=float, default=120, help="seconds of load before the first collection (%(default)s)")
    parser.add_argument("--collections", type=int, default=3, help="that have something to take (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.directory = options.directory.absolute()
    shutil.rmtree(options.directory, ignore_errors=True)
    options.directory.mkdir(parents=True)
    load = Load(options.directory, options.seed)
    load.seconds(options.before, time.time() - SLOWER * SEGMENT)
    collect = {"grace_seconds": 5 * SLOWER, "settle_seconds": 1.2, "memory_cache": False}
    settings = {"instance": "registry", "storage": load.storage.path, "access_logs": [str(load.log), f"{load.log}.*", f"{load.log}-*"], "collect": collect}
    options.directory.joinpath("settings.json").write_text(json.dumps(settings))
    print(f"{'':12} {'seconds':>8} {'processor':>10} {'manifests read':>15} {'links':>6} {'blobs':>6}  calls")
    for number in range(options.collections):
        load.seconds(SEGMENT, time.time())
        one(options, f"collection {number + 1}")
    one(options, "nothing new")
    collect["undo_seconds"] = 0
    options.directory.joinpath("settings.json").write_text(json.dumps(settings))
    one(options, "purge")
    for repository, tag in load.storage.tags():
        problem = load.storage.pull(repository, tag) if tag.startswith("tag") else None  # the others live as long as their subject
        if problem:
            sys.exit(f"lost: {problem}")


def one(options: argparse.Namespace, name: str) -> None:
    """Run a collection, and print what it took and took away."""
    traced = shutil.which("strace") is not None
    summary = options.directory / "strace"
    command = ["sh", "-c", f'exec {sys.executable} -I -B -c "import sys; sys.path.insert(0, \\"{options.program}\\")\n{RUN}" "$@"', "registry-keeper"]
    command += ["--json", "--settings", str(options.directory / "settings.json"), "collect"]
    copy = options.directory.with_name(options.directory.name + ".traced")
    if traced:
        shutil.rmtree(copy, ignore_errors=True)
        subprocess.run(["cp", "-a", str(options.directory), str(copy)], check=True)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    document = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    seconds, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    calls: dict[str, int] = collections.Counter()
    read = 0
    if traced:
        text = (copy / "settings.json").read_text()
        (copy / "settings.json").write_text(text.replace(f"{options.directory}/", f"{copy}/"))
        command[command.index("--settings") + 1] = str(copy / "settings.json")
        subprocess.run(["strace", "-f", "-qq", "-o", str(summary), *command], stdout=subprocess.DEVNULL, check=True)
        with summary.open(errors="replace") as file:
            for line in file:
                match = re.match(r"\d+ +(\w+)\(", line)
                if match:
                    calls[match.group(1)] += 1
                    calls["opened below the storage"] += match.group(1) == "openat" and "/storage/" in line
                    read += match.group(1) == "openat" and re.search(r'/blobs/sha256/../\w+/data"', line) is not None
        shutil.rmtree(copy)
    counted = ", ".join(f"{calls[call]} {call}" for call in (*COUNTED, "opened below the storage") if calls[call])
    taken = f"{document['links']:6} {document['swept_blobs']:6}"
    print(f"{name:12} {seconds:8.2f} {processor:8.2f} s {read:15} {taken}  {sum(calls.values())}: {counted}", flush=True)


RUN = "from registry_keeper.main import main\nsys.exit(main())"

if __name__ == "__main__":
    main()
