# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Our modules and those that people use today, side by side, in plays of ansible-playbook on one throw-away host.

What is timed is the play: from the start of its first task to the end of its last, by Ansible's own clock. The start of
ansible-playbook is left out. Both sides have the same host, its system Python and that one's libraries, pipelining, no
fact gathering, and a play before that warms up the connection. They take turns; the median is printed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import typing as t
from datetime import datetime

import ansible_collections

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
HOST = "holdfast-bench"
PACKAGES = ["python3-cryptography", "python3-passlib", "python3-bcrypt"]

Measured = dict[str, t.Any]


class Job(t.NamedTuple):
    """Something to do, as a task file of ours and one of the rival's. Some are ours alone and have a limit in seconds instead."""

    title: str
    ours: str
    theirs: str | None = None
    rival: str = ""
    faster: float | None = None
    limit: float | None = None
    variables: t.Mapping[str, t.Any] = {}


JOBS = [
    Job("20 users, bcrypt cost 12", "htpasswd", "community_htpasswd", "community.general.htpasswd, a loop", faster=6),
    Job("a CA and 20 certificates", "certificates", "community_certificates", "community.crypto, its guide's tasks in loops", faster=10),
    Job("a CA that the system trusts", "trust", "community_trust", "copy, update-ca-certificates"),
    Job("1,000 users, ready hashes", "htpasswd_hashes", limit=2),
    Job("1,000 users, on_create", "htpasswd_hashes", limit=2, variables={"update_password": "on_create"}),
]

PASSWORD = "correct-horse"
HASH = "$2y$10$K7dXsHgJjtJlQF8mmnWwO.AvT3EaAM0EfvYFhEJSrESSit3N//gp."
VARIABLES = {
    "bench_directory": "/root/bench",
    "bench_password": PASSWORD,
    "users": [{"name": f"user{number}", "password": PASSWORD} for number in range(20)],
    "hashed_users": [{"name": f"user{number}", "password_hash": HASH} for number in range(1000)],
    "certificates": [{"name": f"host{number}", "names": [f"host{number}.example.org"]} for number in range(20)],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="how often each is timed (%(default)s)")
    parser.add_argument("--json", type=pathlib.Path, default=CHECKOUT / ".cache/bench/modules.json", metavar="FILE", help="where the figures go (%(default)s)")
    parser.add_argument("--only", metavar="TEXT", default="", help="jobs with this in their title")
    options = parser.parse_args()
    prepare_host()
    versions = find_versions()
    play("warm_up", {})
    figures = [measure(job, options.repeat) for job in JOBS if options.only in job.title]
    print_table(figures, versions)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"versions": versions, "repeat": options.repeat, "jobs": figures}, indent=2) + "\n")
    print(f"\n{options.json}")
    subprocess.run([CHECKOUT / "tests/lab/lab", "down", HOST], check=True)
    sys.exit(any(figure["missed"] for figure in figures))


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
    """What was measured with what."""

    def collection(name: str) -> str:
        for directory in ansible_collections.__path__:
            manifest = pathlib.Path(directory, *name.split("."), "MANIFEST.json")
            if manifest.exists():
                return str(json.loads(manifest.read_text())["collection_info"]["version"])
        raise RuntimeError(f"{name} is not installed; it comes with the Python package ansible")

    found = {name: collection(name) for name in ("community.general", "community.crypto")}
    found["ansible-core"] = importlib.metadata.version("ansible-core")
    found["host"] = on_host("sh", "-c", '. /etc/os-release && echo "$PRETTY_NAME"')
    found["host's Python"] = on_host("python3", "-c", "import sys; print(sys.version.split()[0])")
    for package in PACKAGES:
        found[package] = on_host("dpkg-query", "--show", "--showformat=${Version}", package)
    return {**found, "processors": str(len(os.sched_getaffinity(0))), "load before": f"{os.getloadavg()[0]:.1f}"}


def measure(job: Job, repeat: int) -> Measured:
    """Time a first run and one that changes nothing, of both sides in turn."""
    times: dict[str, dict[str, list[float]]] = {}
    for _turn in range(repeat):
        for side, tasks in (("ours", job.ours), ("theirs", job.theirs)):
            if tasks is None:
                continue
            play("clean_up", {})
            for run in ("first", "unchanged"):
                seconds, changed = play(tasks, dict(job.variables))
                if (run == "unchanged") == changed:
                    raise RuntimeError(f"{tasks}: the {run} run {'changed something' if changed else 'changed nothing'}")
                times.setdefault(run, {}).setdefault(side, []).append(seconds)
    runs = {}
    for run, sides in times.items():
        runs[run] = {side: round(statistics.median(seconds), 3) for side, seconds in sides.items()}
        runs[run]["all"] = {side: [round(second, 3) for second in seconds] for side, seconds in sides.items()}
        if job.theirs:
            runs[run]["faster"] = round(runs[run]["theirs"] / runs[run]["ours"], 1)
    missed = [
        run
        for run, figures in runs.items()
        if (job.faster is not None and figures["faster"] < job.faster) or (job.limit is not None and figures["ours"] > job.limit)
    ]
    wanted = f"{job.faster:g} times faster" if job.faster else f"under {job.limit:g} s" if job.limit else ""
    return {"title": job.title, "rival": job.rival, "wanted": wanted, "missed": missed, "runs": runs}


def play(tasks: str, variables: dict[str, t.Any]) -> tuple[float, bool]:
    """Run one task file. Returns the seconds its tasks took, and whether anything changed."""
    with tempfile.TemporaryDirectory() as directory:
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(HERE / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections"),
            "ANSIBLE_LOCAL_TEMP": directory,
        }
        extra = pathlib.Path(directory, "variables.json")
        extra.write_text(json.dumps({**VARIABLES, "tasks": tasks, **variables}))
        command = ["ansible-playbook", "-i", f"{HOST},", HERE / "play.yml", "-e", f"@{extra}"]
        result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f"{tasks} fails:\n{result.stdout}")
    report = json.loads(result.stdout[result.stdout.index("{\n") :])
    (statistics_of_host,) = report["stats"].values()
    timed = [task["task"]["duration"] for task in report["plays"][0]["tasks"] if "end" in task["task"]["duration"]]
    return seconds_between(timed[0]["start"], timed[-1]["end"]), bool(statistics_of_host["changed"])


def seconds_between(start: str, end: str) -> float:
    moments = [datetime.fromisoformat(moment.replace("Z", "+00:00")) for moment in (start, end)]
    return (moments[1] - moments[0]).total_seconds()


def print_table(figures: list[Measured], versions: dict[str, str]) -> None:
    print(f"{'':28} {'run':10} {'holdfast':>9} {'rival':>9} {'faster':>7}  {'wanted':16} rival")
    for figure in figures:
        for run, values in figure["runs"].items():
            theirs = f"{values['theirs']:7.2f} s" if "theirs" in values else ""
            faster = f"{values['faster']:6.1f}x" if "faster" in values else ""
            wanted = figure["wanted"] + (" MISSED" if run in figure["missed"] else "")
            print(f"{figure['title']:28} {run:10} {values['ours']:7.2f} s {theirs:>9} {faster:>7}  {wanted:16} {figure['rival']}")
    print("\n" + ", ".join(f"{name} {version}" for name, version in versions.items()))


if __name__ == "__main__":
    main()
