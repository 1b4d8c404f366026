# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collect, and kill collections, while clients work; then pull every tag. Runs as root on the registry's host; prints one JSON document.

The document says what was done, what was refused that should not have been, which images are lost, and how long pulls took with and without
collections.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import threading
import time
import typing as t

from load import REWRITTEN, Client, Puller, Refused, World

SEGMENT = 10  # seconds with collections, then as many without
LONGEST = 5  # times the seconds that were asked for, until enough collections have been killed
SETTINGS = "/run/holdfast-soak.json"
SERVICE, UNIT = "registry-keeper-collect@registry.service", "holdfast-soak-collect.service"
# They are stopped meanwhile: a collection ends with 4 while a backup runs, and none of ours may come between those of the rival.
TIMERS = ["registry-keeper-backup.timer", *(f"registry-keeper-{name}@registry.timer" for name in ("collect", "retain", "scrub"))]
PRIORITY = "CPUSchedulingPolicy,CPUWeight,IOSchedulingClass,IOWeight"
LOG, EMPTY_LINK = pathlib.Path("/var/log/docker-registry/error.log"), "invalid checksum digest format"
COMPARED = ("images pushed", "layers uploaded", "images pulled")
RIVAL = ["docker-registry", "garbage-collect", "--delete-untagged"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3600, help="(%(default)s)")
    parser.add_argument("--kills", type=int, default=1, help="how many collections have to be killed: it goes on until then, at most five times as long")
    parser.add_argument("--clients", type=int, default=4, help="that push and pull (%(default)s); one more only pulls")
    parser.add_argument("--grace", type=float, default=5, help="of the collections, in seconds (%(default)s)")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--name", required=True, help="of the registry")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--ca", required=True, help="the CA's certificate")
    parser.add_argument("--user", required=True)
    parser.add_argument("--rival", metavar="CONFIGURATION", help="run the package's own collector instead, with this configuration of the registry")
    options = parser.parse_args()
    place = {**vars(options), "password": sys.stdin.readline().rstrip("\n")}
    world = World(options.seed)
    puller = Puller(world, place, options.clients)
    clients = [Client(world, place, number) for number in range(options.clients)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in clients] + [threading.Thread(target=puller.run_pulls, daemon=True)]
    for thread in threads:
        thread.start()
    logged = LOG.read_text(errors="replace").count(EMPTY_LINK)
    subprocess.run(["systemctl", "stop", *TIMERS], check=True)
    collections = (Rival if options.rival else Keeper)(options, world)
    began = time.monotonic()
    while (ran := time.monotonic() - began) < options.seconds or (collections.kills_wanted and ran < LONGEST * options.seconds):
        world.segment = "without"
        time.sleep(min(SEGMENT, options.seconds / 4))
        world.segment = "with"
        end = time.monotonic() + min(SEGMENT, options.seconds / 4)
        while time.monotonic() < end:
            collections.one(end - time.monotonic(), must_kill=collections.kills_wanted and ran >= options.seconds)
        print(f"{time.monotonic() - began:.0f} s: {world.counts.get('images pushed', 0)} pushes, {len(world.failures)} failures", file=sys.stderr, flush=True)
    world.stop.set()
    for thread in threads:
        thread.join(30)
    collections.last()
    subprocess.run(["systemctl", "start", *TIMERS], check=True)
    if world.counts.get(REWRITTEN, 0) > LOG.read_text(errors="replace").count(EMPTY_LINK) - logged:
        world.fail(f"{world.counts[REWRITTEN]} times 500, not all of them because the registry rewrote a link")
    lost = []
    for (repository, tag), (digest, _version) in sorted(world.expected.items()):
        try:
            puller.pull(repository, tag, digest)
        except Refused as refusal:
            lost.append(f"{repository}:{tag}: {refusal}")
    document = {
        "seed": options.seed,
        "seconds": round(time.monotonic() - began),
        **world.counts,
        **collections.counts,
        "tags": len(world.expected),
        "refused": world.failures,
        "lost": lost,
        # What is collected is pushed again: the load is not the same.
        **{f"{what}, {segment} collections": counts.get(what, 0) for what in COMPARED for segment, counts in world.by_segment.items()},
        **percentiles(world.pulls, "ms"),
        **percentiles(world.pulls_apart, "ms in a process of its own"),
    }
    print(json.dumps(document, indent=1))


def percentiles(pulls: t.Mapping[str, t.Sequence[float]], unit: str) -> dict[str, float]:
    return {f"pull p{percent} {segment} collections, {unit}": percentile(times, percent) for segment, times in pulls.items() for percent in (50, 99)}


def percentile(times: t.Sequence[float], percent: int) -> float:
    return round(1000 * sorted(times)[min(len(times) - 1, len(times) * percent // 100)], 1) if times else 0.0


class Keeper:
    """Collections with a tiny grace; four of ten are killed."""

    def __init__(self, options: argparse.Namespace, world: World) -> None:
        self.world, self.chance, self._kills = world, random.Random(options.seed), options.kills
        self.counts = dict.fromkeys(("collections", "killed", "undone", "links taken", "blobs taken", "blobs purged", "brought back", "collections failed"), 0)
        settings = json.loads(pathlib.Path("/etc/registry-keeper/registry.json").read_text())
        settings["collect"] = {**settings.get("collect", {}), "grace_seconds": options.grace, "undo_seconds": 15, "settle_seconds": 1.2}
        pathlib.Path(SETTINGS).write_text(json.dumps(settings))
        os.chmod(SETTINGS, 0o644)
        # As the timer runs it: with the priority that the role has given its service.
        shown = subprocess.run(["systemctl", "show", f"--property={PRIORITY}", SERVICE], stdout=subprocess.PIPE, text=True, check=True).stdout
        self._priority = [f"--property={line}" for line in shown.split("\n") if line and "[" not in line]

    @property
    def kills_wanted(self) -> bool:
        """Whether fewer collections than asked for have been killed. Few fit into a minute of a busy machine, and chance may spare all of them."""
        return self.counts["killed"] < self._kills

    def one(self, seconds: float, must_kill: bool) -> None:
        """A collection, or a killed one, or an undo of one."""
        self.counts["collections"] += 1
        if self.chance.random() < 0.4 or must_kill:
            with self._start("collect") as process:
                try:
                    self._note(*process.communicate(timeout=self.chance.uniform(0.2, 5)), process.returncode)
                except subprocess.TimeoutExpired:
                    subprocess.run(["systemctl", "kill", "--signal=KILL", UNIT], check=False)
                    output, errors = process.communicate()
                    if output:  # it had come to its end
                        self._note(output, errors, process.returncode)
                    else:
                        self.counts["killed"] += 1
        else:
            document = self._run("collect")
            if document.get("links") and self.chance.random() < 0.2:
                self._run("undo", document["run"])
                self.counts["undone"] += 1
        time.sleep(min(max(0.0, seconds), self.chance.uniform(0, 0.5)))

    def last(self) -> None:
        for _time in range(2):
            self._run("collect")

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        command = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={UNIT}", *self._priority]
        command += ["registry-keeper", "--settings", SETTINGS, "--json", *arguments]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def _run(self, *arguments: str) -> dict[str, t.Any]:
        with self._start(*arguments) as process:
            return self._note(*process.communicate(), process.returncode)

    def _note(self, output: str, errors: str, status: int) -> dict[str, t.Any]:
        try:
            document: dict[str, t.Any] = json.loads(output)
        except ValueError:
            document = {}
        for name, fact in (("links taken", "links"), ("blobs taken", "swept_blobs"), ("blobs purged", "purged_blobs"), ("brought back", "brought_back")):
            self.counts[name] += document.get(fact) or 0
        if status or document.get("warnings"):
            self.counts["collections failed"] += 1
            self.world.fail(f"the collection ends with {status}: {errors.strip()[-300:]}")
        return document


class Rival:
    """The package's own collector, which needs the registry stopped or read-only, on the same load."""

    kills_wanted = False

    def __init__(self, options: argparse.Namespace, _world: World) -> None:
        self.counts = {"collections": 0, "collections failed": 0}
        self._command = ["runuser", "-u", "docker-registry", "--", *RIVAL, options.rival]

    def one(self, seconds: float, must_kill: bool) -> None:
        self.counts["collections"] += 1
        self.counts["collections failed"] += subprocess.run(self._command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode != 0
        time.sleep(min(max(0.0, seconds), 0.5))

    def last(self) -> None:
        self.one(0, must_kill=False)


if __name__ == "__main__":
    main()
