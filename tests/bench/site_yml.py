# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How long site.yml takes when nothing is to change, as a multiple of one ping of the same hosts, and how many tasks it executes.

The hosts are the demonstration's, in containers of the benchmark. Each timed site.yml stands between two pings.
docs/benchmarks.md says how the ratio is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time
import typing as t

import ratios

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
HOSTS = ["holdfast-bench-site-registry", "holdfast-bench-site-client"]
INVENTORIES = ["-i", CHECKOUT / "inventories/demo", "-i", HERE / "site/hosts.yml"]
MOST_PINGS, MOST_TASKS = 18, 30


class Run(t.NamedTuple):
    seconds: float
    # of each host, as the recap counts them
    executed: dict[str, int]
    changed: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, default=CHECKOUT / ".cache/bench/site.json", metavar="FILE", help="where the figures go (%(default)s)")
    parser.add_argument("--seconds", type=int, default=900, metavar="N", help="when to give up on a noisy machine (%(default)s)")
    options = parser.parse_args()
    lab("down")
    lab("up")
    for _turn in range(2):
        site()
    figures = {**measure(options.seconds), "load before": os.getloadavg()[0], "processors": len(os.sched_getaffinity(0))}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=2) + "\n")
    status = show(figures)
    print(f"\n{options.json}")
    lab("down")
    sys.exit(status)


def lab(command: str) -> None:
    subprocess.run([CHECKOUT / "tests/lab/lab", command, *HOSTS], check=True)


def site() -> Run:
    secrets = f"holdfast_secrets_directory={CHECKOUT}/.cache/bench/site-secrets"
    seconds, shown = timed("ansible-playbook", *INVENTORIES, CHECKOUT / "playbooks/site.yml", "-e", secrets)
    recap = re.findall(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)", shown, re.MULTILINE)
    return Run(seconds, {host: int(executed) for host, executed, _changed in recap}, sum(int(changed) for _host, _executed, changed in recap))


def ping() -> float:
    return timed("ansible", *INVENTORIES, "all", "-m", "ansible.builtin.ping")[0]


def timed(*command: t.Any) -> tuple[float, str]:
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections"),
        "ANSIBLE_NOCOLOR": "1",
    }
    started = time.monotonic()
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        sys.exit(f"{result.stdout}\n{command[0]} failed")
    return time.monotonic() - started, result.stdout


def measure(limit: int) -> dict[str, t.Any]:
    started = time.monotonic()
    pings, sites = [ping()], list[Run]()
    multiples: list[float] = []
    while len(multiples) < ratios.FEWEST or (not ratios.estimate(multiples).sure and time.monotonic() - started < limit):
        run = site()
        if run.changed:
            sys.exit("site.yml changes something on a host that it has set up already")
        sites.append(run)
        pings.append(ping())
        multiples.append(run.seconds / statistics.mean(pings[-2:]))
        print(f"round {len(multiples)}: {ratios.estimate(multiples)}", file=sys.stderr, flush=True)
    return {"ping": pings, "site": [run.seconds for run in sites], "multiples": multiples, "executed tasks": sites[-1].executed}


def show(figures: dict[str, t.Any]) -> int:
    """Print the table. Returns the exit status."""
    found = ratios.estimate(figures["multiples"])
    host, tasks = max(figures["executed tasks"].items(), key=lambda item: item[1])
    verdicts = [ratios.judge(found, at_most=MOST_PINGS), ratios.OK if tasks <= MOST_TASKS else ratios.MISSED]
    for name in ("ping", "site"):
        print(f"{name:22} {statistics.median(figures[name]):6.2f} s")
    print(f"site / ping            {found} in {found.rounds} rounds, wanted: at most {MOST_PINGS}  {verdicts[0]}")
    print(f"executed tasks         {tasks} on the host {host}, wanted: at most {MOST_TASKS}  {verdicts[1]}")
    print(f"\n{figures['processors']} processors, load before {figures['load before']:.1f}")
    return ratios.exit_status(verdicts)


if __name__ == "__main__":
    main()
