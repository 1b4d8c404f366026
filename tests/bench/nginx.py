# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The speed of the registry behind nginx_auth, beside an nginx with no password, with auth_basic, and with a static file.

playbooks/site.yml sets up one throw-away host; the load comes from that host itself, over TLS. Contenders take short turns
until each ratio is sure, or the row's time is over. docs/benchmarks.md says how a ratio is judged.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import typing as t

import ratios

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
HOST = "holdfast-bench-nginx"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, default=CHECKOUT / ".cache/bench/nginx.json", metavar="FILE", help="where the figures go (%(default)s)")
    parser.add_argument("--only", metavar="TEXT", action="append", default=[], help="rows with this in their title, or the reloads; can be repeated")
    parser.add_argument("--seconds", type=int, default=420, metavar="N", help="when to give up on a row that does not become sure (%(default)s)")
    parser.add_argument("--pushes", action="store_true", help="instead: push 2 GB, slow layers and several at once, and see that nginx buffers none of it")
    options = parser.parse_args()
    load_before = os.getloadavg()
    prepare_host()
    if options.pushes:
        status = show_pushes(run_on_host("pushes.py"))
    else:
        measured = run_on_host("measure.py", *(f"--only={text}" for text in options.only), "--seconds", str(options.seconds))
        figures = {"versions": find_versions(), "load before": load_before, **measured}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
        status = show(figures)
        print(f"\n{options.json}")
    lab("down")
    sys.exit(status)


def prepare_host() -> None:
    lab("down")
    lab("up")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections")}
    command: list[str | pathlib.Path] = ["ansible-playbook", "-i", HERE / "nginx/inventory.yml", CHECKOUT / "playbooks/site.yml", HERE / "nginx/prepare.yml"]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        sys.exit(f"{result.stdout}\nthe host could not be set up")


def lab(command: str) -> None:
    subprocess.run([CHECKOUT / "tests/lab/lab", command, HOST], check=True, env={"HOLDFAST_PLATFORM": "debian-13", **os.environ})


def on_host(*command: str) -> str:
    return subprocess.run(["docker", "exec", HOST, *command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def run_on_host(program: str, *options: str) -> dict[str, t.Any]:
    result: dict[str, t.Any] = json.loads(on_host("python3", f"/root/bench/{program}", *options))
    return result


def find_versions() -> dict[str, str]:
    """What was measured with what."""
    return {
        "host": on_host("sh", "-c", '. /etc/os-release && echo "$PRETTY_NAME"'),
        "nginx": on_host("sh", "-c", "nginx -v 2>&1").split("/")[-1],
        "registry": on_host("dpkg-query", "--show", "--showformat=${Version}", "docker-registry"),
        "OpenSSL": on_host("openssl", "version").split()[1],
        "kernel": os.uname().release,
        "processors": on_host("nproc"),
    }


def show(figures: dict[str, t.Any]) -> int:
    """Print the tables. Returns the exit status."""
    failed, verdicts = 0.0, []
    for row in figures["rows"]:
        base = next(iter(row["rates"].values()))
        for name, rate in row["rates"].items():
            failed += rate["failed"]
            complaint = f"  {rate['failed']:g} FAILED" if rate["failed"] else ""
            print(f"{row['title']:24} {name:28} {rate['median']:9.1f} {row['unit']:10} {rate['median'] / (base['median'] or 1):7.3f}{complaint}")
    print()
    for row in figures["rows"]:
        for target in row["targets"]:
            verdicts.append(target["verdict"])
            found = ratios.Estimate(target["median"], target["low"], target["high"], target["rounds"])
            print(f"{row['title']:24} {target['of']} / {target['to']}: {found} in {found.rounds} rounds, wanted: {target['at_least']:g}  {target['verdict']}")
    if reload := figures.get("reload"):
        failed += len(reload["failed"])
        counted = [f"{value} {name}" for name, value in reload.items() if name not in ("reloads", "failed")]
        print(f"\n{reload['reloads']} reloads under load: {', '.join(counted)}")
        print("\n".join(["failed: " + str(len(reload["failed"])), *reload["failed"]]))
    print("\n" + ", ".join(f"{name} {version}" for name, version in figures["versions"].items()) + f", load before {figures['load before'][0]:.1f}")
    return ratios.exit_status([*verdicts, ratios.MISSED] if failed else verdicts)


def show_pushes(result: dict[str, t.Any]) -> int:
    for line in result["pushes"]:
        print(line)
    print(f"files that nginx made meanwhile: {result['files'] or 'none'}")
    return int(bool(result["files"] or result["failed"]))


if __name__ == "__main__":
    main()
