# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The soak: clients work without pause on the registry of scenario keeper while collections run and are killed. No image may be lost.

The hosts are those of the scenario; where they do not run, they are made, and removed afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import typing as t

HERE = pathlib.Path(__file__).resolve().parent
NAME, PORT, USER, PASSWORD, CA = "registry.holdfast.test", 5443, "alice", "a password of alice", "/etc/ssl/holdfast/ca.crt"
RIVALS_CONFIGURATION = "/etc/docker/registry/config.yml"
SCENARIO = "keeper"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("SOAK_SECONDS") or 3600), help="(%(default)s, or SOAK_SECONDS)")
    parser.add_argument("--rival", action="store_true", default=bool(os.environ.get("RIVAL")), help="also the package's garbage-collect, afterwards (RIVAL=1)")
    parser.add_argument("--seed", type=int, help="repeats the same choices")
    options = parser.parse_args()
    container = f"{os.environ.get('HOLDFAST_LAB_PREFIX', 'holdfast')}-test-{SCENARIO}-server"
    subprocess.run([HERE.parent / "lab" / "lab", "platform"], stdout=subprocess.DEVNULL, check=True)  # starts the engine
    running = subprocess.run(["docker", "ps", "-q", "--filter", f"name=^{container}$"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    if not running:
        for step in ("create", "converge"):
            subprocess.run(["molecule", step, "--no-command-borders", "--scenario-name", SCENARIO], check=True)
    try:
        ours = soak(container, options.seconds, seed=options.seed)
        print(json.dumps(ours, indent=1), flush=True)
        if options.rival:
            rival = soak(container, min(options.seconds, 120), rival=True, seed=options.seed)
            print(json.dumps({**rival, "refused": rival["refused"][:10], "lost": rival["lost"][:10]}, indent=1))
            print(f"the package's garbage-collect: {len(rival['refused'])} pushes and pulls refused, {len(rival['lost'])} of {rival['tags']} tags lost")
    finally:
        if not running:
            subprocess.run(["molecule", "destroy", "--no-command-borders", "--scenario-name", SCENARIO], check=True)
    print(f"registry-keeper: {len(ours['refused'])} refused, {len(ours['lost'])} of {ours['tags']} tags lost, {ours['killed']} of {ours['collections']} killed")
    sys.exit(bool(ours["refused"] or ours["lost"]))


def soak(container: str, seconds: float, rival: bool = False, seed: int | None = None) -> dict[str, t.Any]:
    """Run the load for so many seconds on the host in a container. Returns the document of on_host.py."""
    target = "/run/holdfast-soak"
    subprocess.run(["docker", "exec", container, "mkdir", "-p", target], check=True)
    for name in ("load.py", "on_host.py"):
        with (HERE / name).open("rb") as file:
            subprocess.run(["docker", "exec", "-i", container, "sh", "-c", f"cat >{target}/{name}"], stdin=file, check=True)
    place = ["--name", NAME, "--port", str(PORT), "--ca", CA, "--user", USER, "--seconds", str(seconds)]
    more = [*(["--rival", RIVALS_CONFIGURATION] if rival else []), *(["--seed", str(seed)] if seed is not None else [])]
    command = ["docker", "exec", "-i", container, "python3", f"{target}/on_host.py", *place, *more]
    done = subprocess.run(command, input=PASSWORD + "\n", stdout=subprocess.PIPE, text=True, check=True)
    document: dict[str, t.Any] = json.loads(done.stdout)
    return document


if __name__ == "__main__":
    main()
