# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the gateway makes of pulls from an object store: a hot blob beside a static file, a first pull beside the registry's redirect.

Two throw-away hosts, a registry behind the gateway and SeaweedFS. The load comes from the registry's host itself. Contenders take
short turns until each ratio is sure, or the row's time is over. docs/benchmarks.md says how a ratio is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys

import ratios

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
SERVER, STORE = "holdfast-bench-store-server", "holdfast-bench-store-store"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, default=CHECKOUT / ".cache/bench/store.json", metavar="FILE", help="where the figures go (%(default)s)")
    parser.add_argument("--seconds", type=int, default=180, metavar="N", help="when to give up on a row that does not become sure (%(default)s)")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    lab("down")
    lab("up")
    try:
        environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections")}
        subprocess.run(["ansible-playbook", "-i", HERE / "store/inventory.yml", HERE / "store/prepare.yml"], env=environment, check=True, stdout=sys.stderr)
        measure = ["docker", "exec", SERVER, "python3", "/root/bench/measure_store.py", "--seconds", str(options.seconds)]
        figures = json.loads(subprocess.run(measure, check=True, stdout=subprocess.PIPE, text=True).stdout)
        version = subprocess.run(["docker", "exec", SERVER, "sh", "-c", "nginx -v 2>&1"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    finally:
        lab("down")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"nginx": version, "load before": load_before, **figures}, indent=2) + "\n")
    for row in figures["rows"]:
        found = ratios.Estimate(*row["ratio"])
        ours, theirs = row["mb"]
        print(f"{row['title']:12} {row['of']} {ours:.0f} MB/s, {row['to']} {theirs:.0f} MB/s: {found} in {found.rounds} rounds, ", end="")
        print(f"wanted: {row['wanted']:g}  {row['verdict']}")
    print(f"\n{version}, processors {os.cpu_count()}, load before {load_before:.1f}\n{options.json}")
    sys.exit(ratios.exit_status([row["verdict"] for row in figures["rows"]]))


def lab(command: str) -> None:
    subprocess.run([CHECKOUT / "tests/lab/lab", command, SERVER, STORE], check=True, env={"HOLDFAST_PLATFORM": "debian-13", **os.environ})


if __name__ == "__main__":
    main()
