# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Our modules and those that people use today, side by side, in plays of ansible-playbook on one throw-away host.

What is timed is the play: from the start of its first task to the end of its last, by Ansible's own clock. The start of
ansible-playbook is left out. Both sides have the same host, its system Python and that one's libraries, pipelining, no
fact gathering, and a play before that warms up the connection. They take turns; the median is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import typing as t
from datetime import datetime

import ratios
from rivals import Rivals

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
HOST = "holdfast-bench-modules"
PACKAGES = ["python3-cryptography", "python3-passlib", "python3-bcrypt"]
HASHES, COST = 20, 12
# when to give up on a ratio that does not become sure
JOB_SECONDS = 600

FIRST, UNCHANGED = "first", "unchanged"
RUNS = (FIRST, UNCHANGED)
Measured = dict[str, t.Any]


class Job(t.NamedTuple):
    """Something to do, as a task file of ours and one of the rival's. Some are ours alone and have a limit in seconds instead."""

    title: str
    ours: str
    theirs: str | None = None
    rival: str = ""
    faster: float | None = None
    limit: float | None = None
    # how near ours is to come to hashing on all cores in a task that does nothing else
    of_possible: float | None = None
    judged: t.Sequence[str] = RUNS
    variables: t.Mapping[str, t.Any] = {}

    @property
    def wanted(self) -> str:
        wishes = [
            f"{self.faster:g} times faster" if self.faster else "",
            f"under {self.limit:g} s" if self.limit else "",
            f"{self.of_possible:g} of what all cores can do" if self.of_possible else "",
        ]
        return ", ".join(filter(None, wishes)) + (f" ({self.judged[0]} only)" if len(self.judged) == 1 else "")


RIVAL = "community.general.htpasswd, a loop"
JOBS = [
    Job("20 users, bcrypt cost 12", "htpasswd", "community_htpasswd", RIVAL, of_possible=0.9),
    Job("20 generated passwords", "htpasswd_generated", "community_htpasswd_generated", RIVAL, faster=20, judged=[UNCHANGED]),
    Job("a CA and 20 certificates", "certificates", "community_certificates", "community.crypto, its guide's tasks in loops", faster=10),
    Job("a CA that the system trusts", "trust", "community_trust", "copy, update-ca-certificates"),
    Job("1,000 users, ready hashes", "htpasswd_hashes", limit=2),
    Job("1,000 users, on_create", "htpasswd_hashes", limit=2, variables={"update_password": "on_create"}),
]

PASSWORD = "correct-horse"
HASH = "$2y$10$K7dXsHgJjtJlQF8mmnWwO.AvT3EaAM0EfvYFhEJSrESSit3N//gp."
VARIABLES = {
    "bench_directory": "/root/bench",
    "bench_secrets": str(CHECKOUT / ".cache/bench/generated"),
    "bench_password": PASSWORD,
    "users": [{"name": f"user{number}", "password": PASSWORD} for number in range(HASHES)],
    "hashed_users": [{"name": f"user{number}", "password_hash": HASH} for number in range(1000)],
    "certificates": [{"name": f"host{number}", "names": [f"host{number}.example.org"]} for number in range(20)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=ratios.FEWEST, metavar="N", help="how often each is timed at least (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, default=CHECKOUT / ".cache/bench/modules.json", metavar="FILE", help="where the figures go (%(default)s)")
    parser.add_argument("--only", metavar="TEXT", default="", help="jobs with this in their title")
    options = parser.parse_args()
    rivals = Rivals(CHECKOUT / ".cache/bench/rivals")
    prepare_host()
    bench = Bench(rivals.ansible_playbook)
    versions = {**rivals.versions(), **find_versions()}
    bench.play("warm_up")
    figures = [bench.measure(job, options.repeat) for job in JOBS if options.only in job.title]
    print_table(figures, versions)
    for rival in rivals.outdated():
        print(f"{rival} is not the newest there is: a Python that the newest ansible runs on is missing on this machine")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"versions": versions, "repeat": options.repeat, "jobs": figures}, indent=2) + "\n")
    print(f"\n{options.json}")
    subprocess.run([CHECKOUT / "tests/lab/lab", "down", HOST], check=True)
    sys.exit(ratios.exit_status(verdict for figure in figures for values in figure["runs"].values() for verdict in values["verdicts"].values()))


def prepare_host() -> None:
    """A fresh host with what both sides need."""
    lab = CHECKOUT / "tests/lab/lab"
    subprocess.run([lab, "down", HOST], check=True)
    subprocess.run([lab, "up", HOST], check=True, env={**os.environ, "HOLDFAST_PLATFORM": "debian-13"})
    install = f"apt-get update -qq && apt-get install -y -qq --no-install-recommends {' '.join(PACKAGES)} >/dev/null 2>&1"
    on_host("sh", "-c", install)


def on_host(*command: str) -> str:
    return subprocess.run(["docker", "exec", HOST, *command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def find_versions() -> dict[str, str]:
    """What was measured on what."""
    found = {
        "host": on_host("sh", "-c", '. /etc/os-release && echo "$PRETTY_NAME"'),
        "host's Python": on_host("python3", "-c", "import sys; print(sys.version.split()[0])"),
    }
    for package in PACKAGES:
        found[package] = on_host("dpkg-query", "--show", "--showformat=${Version}", package)
    return {**found, "processors": str(len(os.sched_getaffinity(0))), "load before": f"{os.getloadavg()[0]:.1f}"}


class Times:
    """Of one run, first or unchanged: the seconds of ours, of the rival, of hashing alone, and of an empty task, round by round."""

    def __init__(self) -> None:
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self.raw: list[float] = []
        self.empty: list[float] = []

    def judge(self, job: Job, judged: bool) -> dict[str, t.Any]:
        values: dict[str, t.Any] = {"ours": statistics.median(self.ours), "all": vars(self)}
        verdicts = {}
        if self.theirs:
            values["theirs"] = statistics.median(self.theirs)
            values["faster"] = ratios.estimate([theirs / ours for theirs, ours in zip(self.theirs, self.ours)])
            if job.faster:
                verdicts["faster"] = ratios.judge(values["faster"], at_least=job.faster)
        if job.of_possible:
            values["of possible"] = ratios.estimate([(raw + empty) / ours for raw, empty, ours in zip(self.raw, self.empty, self.ours)])
            values["of hashing"] = ratios.estimate([raw / ours for raw, ours in zip(self.raw, self.ours)])
            verdicts["of possible"] = ratios.judge(values["of possible"], at_least=job.of_possible)
        if job.limit:
            seconds = ratios.estimate(self.ours)
            surely_under = seconds.rounds >= ratios.FEWEST and seconds.high <= job.limit
            verdicts["limit"] = ratios.OK if surely_under else ratios.judge(seconds, at_most=job.limit)
        return {**values, "verdicts": verdicts if judged else {}}


class Bench:
    def __init__(self, ansible_playbook: str) -> None:
        self._ansible_playbook = ansible_playbook

    def measure(self, job: Job, repeat: int) -> Measured:
        """Time a first run and one that changes nothing, of both sides in turn, until what is judged is sure."""
        times = {run: Times() for run in RUNS}
        started, runs, rounds = time.monotonic(), dict[str, dict[str, t.Any]](), 0
        while rounds < repeat or (_noisy(runs) and rounds >= ratios.FEWEST and time.monotonic() - started < JOB_SECONDS):
            self._time_ours(job, times)
            if job.theirs:
                self._time_theirs(job.theirs, times)
            rounds += 1
            runs = {run: found.judge(job, run in job.judged) for run, found in times.items()}
            print(f"{job.title}, round {rounds}", file=sys.stderr, flush=True)
        return {"title": job.title, "rival": job.rival, "wanted": job.wanted, "rounds": rounds, "runs": runs}

    def _time_ours(self, job: Job, times: dict[str, Times]) -> None:
        self.play("clean_up")
        for run in RUNS:
            if job.of_possible:
                times[run].raw.append(float(on_host("python3", "-c", (HERE / "raw_hashes.py").read_text(), str(HASHES), str(COST))))
                times[run].empty.append(self.play("warm_up")[0])
            times[run].ours.append(self._time(run, job.ours, job.variables))

    def _time_theirs(self, tasks: str, times: dict[str, Times]) -> None:
        self.play("clean_up")
        for run in RUNS:
            times[run].theirs.append(self._time(run, tasks, {}))

    def _time(self, run: str, tasks: str, variables: t.Mapping[str, t.Any]) -> float:
        seconds, changed = self.play(tasks, variables)
        if (run == UNCHANGED) == changed:
            raise RuntimeError(f"{tasks}: the {run} run {'changed something' if changed else 'changed nothing'}")
        return seconds

    def play(self, tasks: str, variables: t.Mapping[str, t.Any] | None = None) -> tuple[float, bool]:
        """Run one task file. Returns the seconds its tasks took, and whether anything changed."""
        with tempfile.TemporaryDirectory() as directory:
            environment = {
                **os.environ,
                "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
                "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections"),
                "ANSIBLE_LOCAL_TEMP": directory,
            }
            extra = pathlib.Path(directory, "variables.json")
            extra.write_text(json.dumps({**VARIABLES, "tasks": tasks, **(variables or {})}))
            command = [self._ansible_playbook, "-i", f"{HOST},", str(HERE / "play.yml"), "-e", f"@{extra}"]
            result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode:
            raise RuntimeError(f"{tasks} fails:\n{result.stdout}")
        report = json.loads(result.stdout[result.stdout.index("{\n") :])
        (statistics_of_host,) = report["stats"].values()
        timed = [task["task"]["duration"] for task in report["plays"][0]["tasks"] if "end" in task["task"]["duration"]]
        return seconds_between(timed[0]["start"], timed[-1]["end"]), bool(statistics_of_host["changed"])


def _noisy(runs: dict[str, dict[str, t.Any]]) -> bool:
    return any(ratios.TOO_NOISY in values["verdicts"].values() for values in runs.values())


def seconds_between(start: str, end: str) -> float:
    moments = [datetime.fromisoformat(moment.replace("Z", "+00:00")) for moment in (start, end)]
    return (moments[1] - moments[0]).total_seconds()


def print_table(figures: list[Measured], versions: dict[str, str]) -> None:
    print(f"{'':28} {'run':10} {'holdfast':>9} {'rival':>9}  {'faster':22} {'of possible':22} wanted")
    for figure in figures:
        for run, values in figure["runs"].items():
            theirs = f"{values['theirs']:7.2f} s" if "theirs" in values else ""
            faster, of_possible = str(values.get("faster", "")), str(values.get("of possible", ""))
            verdict = f"{figure['wanted']}  {', '.join(values['verdicts'].values())}" if values["verdicts"] else ""
            print(f"{figure['title']:28} {run:10} {values['ours']:7.2f} s {theirs:>9}  {faster:22} {of_possible:22} {verdict}")
    for figure in figures:
        for run, values in figure["runs"].items():
            if "of hashing" in values:
                empty = statistics.median(values["all"]["empty"])
                print(f"{figure['title']}, {run}: {values['of hashing']} of hashing alone; an empty task takes {empty:.2f} s")
    rivals = {figure["rival"]: None for figure in figures if figure["rival"]}
    print("\nrivals: " + "; ".join(rivals) + "\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))


if __name__ == "__main__":
    main()
