# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The speed of the registry behind nginx_auth, beside the same nginx with no password and with auth_basic.

playbooks/site.yml sets up one throw-away host; the load comes from that host itself, over TLS. Contenders take turns of a
few seconds, three each, in another order each time; the median is printed, as a rate and as its ratio to another.
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
CHECKOUT = HERE.parents[1]
HOST = "holdfast-bench-nginx"


class Target(t.NamedTuple):
    row: str
    of: str
    to: str
    ratio: float


TARGETS = [
    Target("/v2/", "ours", "no password", 0.9),
    Target("manifest by tag", "ours", "no password", 0.9),
    Target("manifest by tag", "ours, flood from elsewhere", "ours", 0.7),
    Target("manifest by tag", "ours, flood from the same address", "ours", 0.7),
    Target("manifest by digest", "ours", "proxied", 5),
    Target("blob of 2 KB", "ours", "proxied", 30),
    Target("blob of 80 MB", "ours", "proxied", 1.4),
    Target("blob of 80 MB", "ours", "static file", 0.9),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=pathlib.Path, default=CHECKOUT / ".cache/bench/nginx.json", metavar="FILE", help="where the figures go (%(default)s)")
    parser.add_argument("--pushes", action="store_true", help="instead: push 2 GB, slow layers and several at once, and see that nginx buffers none of it")
    options = parser.parse_args()
    prepare_host()
    if options.pushes:
        problems = show_pushes(run_on_host("pushes.py"))
    else:
        figures = {"versions": find_versions(), "load before": os.getloadavg(), **run_on_host("measure.py")}
        figures["targets"] = [judge(target, figures["rows"]) for target in TARGETS]
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
        problems = show(figures)
        print(f"\n{options.json}")
    lab("down")
    sys.exit(problems)


def prepare_host() -> None:
    lab("down")
    lab("up")
    environment = {**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".cache/collections")}
    command = ["ansible-playbook", "-i", HERE / "nginx/inventory.yml", CHECKOUT / "playbooks/site.yml", HERE / "nginx/prepare.yml"]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if result.returncode:
        sys.exit(f"{result.stdout}\nthe host could not be set up")


def lab(command: str) -> None:
    subprocess.run([CHECKOUT / "tests/lab/lab", command, HOST], check=True, env={"HOLDFAST_PLATFORM": "debian-13", **os.environ})


def on_host(command: str) -> str:
    return subprocess.run(["docker", "exec", HOST, "sh", "-c", command], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def run_on_host(program: str) -> dict[str, t.Any]:
    return json.loads(on_host(f"python3 /root/bench/{program}"))


def find_versions() -> dict[str, str]:
    """What was measured with what."""
    return {
        "host": on_host('. /etc/os-release && echo "$PRETTY_NAME"'),
        "nginx": on_host("nginx -v 2>&1").split("/")[-1],
        "registry": on_host("dpkg-query --show --showformat='${Version}' docker-registry"),
        "OpenSSL": on_host("openssl version").split()[1],
        "kernel": os.uname().release,
        "processors": on_host("nproc"),
    }


def judge(target: Target, rows: list[dict[str, t.Any]]) -> dict[str, t.Any]:
    rates = next(row["rates"] for row in rows if row["title"] == target.row)
    ratio = rates[target.of]["median"] / (rates[target.to]["median"] or 1)
    return {**target._asdict(), "wanted": target.ratio, "ratio": round(ratio, 2), "met": ratio >= target.ratio}


def show(figures: dict[str, t.Any]) -> bool:
    """Print the table. Returns whether a target was missed or a request failed."""
    failed = 0
    for row in figures["rows"]:
        base = next(iter(row["rates"].values()))
        for name, rate in row["rates"].items():
            failed += rate["failed"]
            complaint = f"  {rate['failed']:g} FAILED" if rate["failed"] else ""
            print(f"{row['title']:19} {name:34} {rate['median']:9.1f} {row['unit']:10} {rate['median'] / (base['median'] or 1):7.3f}{complaint}")
    print()
    for target in figures["targets"]:
        verdict = "" if target["met"] else "  MISSED"
        print(f"{target['row']:19} {target['of']} / {target['to']}: {target['ratio']} (wanted: {target['wanted']}){verdict}")
    reload = figures["reload"]
    print(f"\n{reload['reloads']} reloads under load: " + ", ".join(f"{value} {name}" for name, value in reload.items() if name not in ("reloads", "failed")))
    print("\n".join(["failed: " + str(len(reload["failed"])), *reload["failed"]]))
    print("\n" + ", ".join(f"{name} {version}" for name, version in figures["versions"].items()) + f", load before {figures['load before'][0]:.1f}")
    return bool(failed or reload["failed"] or not all(target["met"] for target in figures["targets"]))


def show_pushes(result: dict[str, t.Any]) -> bool:
    for line in result["pushes"]:
        print(line)
    print(f"files that nginx made meanwhile: {result['files'] or 'none'}")
    return bool(result["files"] or result["failed"])


if __name__ == "__main__":
    main()
