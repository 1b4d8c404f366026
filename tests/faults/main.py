# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kill every module again and again, run many at once, and print what became of their files."""

from __future__ import annotations

import argparse
import pathlib
import random
import shutil
import sys
import tempfile
import time

import harness
import keeper
import kills
from cases import CASES, UPDATE, pretend_host
from parallel import RACES, race


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="kills of each module (%(default)s)")
    parser.add_argument("--runs", type=int, default=50, metavar="N", help="runs at once (%(default)s)")
    parser.add_argument("--only", metavar="MODULE", help="only this module")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6, help="repeats the same choice of moments")
    options = parser.parse_args()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-faults-"))
    try:
        pretend_host(directory / "host")
        print(f"seed {options.seed}, Python {sys.version.split()[0]}")
        chance = random.Random(options.seed)
        problems = kill_all(options.kills, directory / "host", chance, options.only)
        problems += race_all(options.runs, directory / "host", chance, options.only)
    finally:
        shutil.rmtree(directory)
    for problem in problems[:50]:
        print(problem, file=sys.stderr)
    sys.exit(bool(problems))


def kill_all(count: int, work: pathlib.Path, chance: random.Random, only: str | None) -> list[str]:
    """Kill every module count times, in turn in each of its cases."""
    cases = [case for case in CASES if UPDATE or "system" not in case.title]
    problems = []
    print(f"{'killed with SIGKILL':24} {'kills':>5}  {'files: old':>10} {'new':>5} {'some new':>8}  {'temporary left':>14}  {'next run':24} {'seconds':>7}")
    for module in dict.fromkeys(case.module for case in cases if only in (None, case.module)):
        harness.load(module)
        mine = [case for case in cases if case.module == module]
        began = time.monotonic()
        shares = [count // len(mine) + (number < count % len(mine)) for number in range(len(mine))]
        tallies = [kills.kill_often(case, share, work, chance) for case, share in zip(mine, shares) if share]
        found = [problem for tally in tallies for problem in tally.problems]
        totals = [sum(column) for column in list(zip(*tallies))[:5]]
        verdict = "finished, then unchanged" if not found else f"{len(found)} PROBLEMS"
        if not found and not all(case.idempotent for case in mine):
            verdict = "finished"
        print(
            f"{module:24} {totals[0]:5}  {totals[1]:10} {totals[2]:5} {totals[3]:8}  {totals[4]:14}  {verdict:24} {time.monotonic() - began:7.1f}", flush=True
        )
        problems += found
    if only in (None, "registry-keeper"):
        problems += kill_keeper(count, work / "keeper", chance)
    return problems


def kill_keeper(count: int, work: pathlib.Path, chance: random.Random) -> list[str]:
    """The program on the server is killed as a process, and what it leaves is images."""
    began = time.monotonic()
    tally = keeper.kill_often(count, work, chance)
    verdict = "no image lost" if not tally.problems else f"{len(tally.problems)} PROBLEMS"
    print(
        f"{'registry-keeper':24} {tally.kills:5}  {tally.before:10} {tally.after:5} {tally.between:8}  {'-':>14}  {verdict:24} {time.monotonic() - began:7.1f}",
        flush=True,
    )
    return tally.problems


def race_all(runs: int, work: pathlib.Path, chance: random.Random, only: str | None) -> list[str]:
    """Each race twice: undisturbed, and with a third of the runs killed."""
    problems = []
    print(f"\n{'at once':24} {'runs':>4} {'killed':>6}  {'':30}  {'result':24} {'seconds':>7}")
    for case in RACES:
        if only not in (None, case.module):
            continue
        harness.load(case.module)
        for killed in (0, runs // 3):
            began = time.monotonic()
            try:
                dead, found = race(case, runs, killed, work, chance)
            except RuntimeError as error:
                dead, found = 0, [f"{case.module}, {case.title}: {error}"]
            verdict = f"{len(found)} PROBLEMS" if found else "nothing lost"
            print(f"{case.module:24} {runs:4} {dead:6}  {case.title:30}  {verdict:24} {time.monotonic() - began:7.1f}", flush=True)
            problems += found
    return problems


if __name__ == "__main__":
    main()
