# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many runs at once on the same files, some of them killed on the way."""

from __future__ import annotations

import json
import os
import pathlib
import random
import shutil
import time
import typing as t

import harness
from cases import HASH, Arguments, authority, daemon, logins, members, mirrors, named, policies, releases, succeed, trust


class Race(t.NamedTuple):
    """A module, the arguments of each run, and what is wrong afterwards, told from the results of the runs that were not killed."""

    module: str
    title: str
    prepare: t.Callable[[pathlib.Path, int], list[Arguments]]
    problems: t.Callable[[pathlib.Path, list[dict[str, t.Any]]], list[str]]
    idempotent: bool = True


def race(case: Race, runs: int, killed: int, work: pathlib.Path, chance: random.Random) -> tuple[int, list[str]]:
    """Start all runs at once. Returns how many were killed, and what is wrong."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    arguments = case.prepare(work, runs)
    by_count, by_clock = killed // 2, killed - killed // 2
    victims = chance.sample(range(runs), killed)
    kills = {number: harness.Kill(instruction=chance.randint(1, 20000)) for number in victims[:by_count]}
    gate = os.pipe()
    children = [harness.start(case.module, each, kills.get(number, harness.UNHARMED), gate) for number, each in enumerate(arguments)]
    for end in gate:
        os.close(end)
    for number in victims[by_count:]:
        time.sleep(0.6 / by_clock)
        children[number].strike()
    outcomes = [child.wait() for child in children]
    problems = [f"a run fails: {outcome.result.get('msg')}" for outcome in outcomes if not outcome.killed and not outcome.succeeded]
    problems += case.problems(work, [outcome.result for outcome in outcomes if outcome.succeeded])
    dead = [each for each, outcome in zip(arguments, outcomes) if outcome.killed]
    results = [outcome.result for outcome in outcomes if outcome.succeeded] + [succeed(case.module, each) for each in dead]
    problems += case.problems(work, results)
    if case.idempotent and any(succeed(case.module, each)["changed"] for each in arguments):
        problems.append("a second run changes something")
    problems += [f"{path} is left behind" for path in work.rglob("*.holdfast-tmp")]
    return len(dead), [f"{case.module}, {case.title}: {problem}" for problem in problems]


def _users_to_add(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [{"path": str(work / "htpasswd"), "users": [{"name": f"user{number}", "password_hash": HASH}]} for number in range(runs)]


def _users_to_add_and_remove(work: pathlib.Path, runs: int) -> list[Arguments]:
    (work / "htpasswd").write_text("# by hand\n" + "".join(f"user{number}:{HASH}\n" for number in range(0, runs, 2)) + f"bob:{HASH}\n")
    wanted = [{"state": "absent"} if number % 2 == 0 else {"password_hash": HASH} for number in range(runs)]
    return [{"path": str(work / "htpasswd"), "users": [{"name": f"user{number}", **entry}]} for number, entry in enumerate(wanted)]


def _lost_users(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    content = (work / "htpasswd").read_text()
    names = [line.partition(":")[0] for line in content.splitlines() if line[:1] != "#"]
    added, removed = ([name for result in results for name in result[key]] for key in ("added", "removed"))
    lost = [f"{name} is lost" for name in added if names.count(name) != 1] + [f"{name} is back" for name in removed if name in names]
    return lost + (["what nobody changed is lost"] if removed and not ("bob" in names and content.startswith("# by hand\n")) else [])


def _one_authority(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [authority(work)] * runs


def _other_authority(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    found = (work / "ca/ca.crt").read_text()
    return [f"a run returned a CA that is not the one made: {result['needs']}" for result in results if result["certificate"] != found]


def _signers(work: pathlib.Path, runs: int) -> list[Arguments]:
    made = succeed("ca", authority(work))
    certificates = [{"name": f"host{number}", "names": [f"host{number}.example.org"]} for number in range(runs)]
    requested = succeed("certificate_request", {"directory": str(work / "tls"), "ca_certificate": made["certificate"], "certificates": certificates})
    return [{**authority(work), "requests": [request]} for request in requested["requests"]]


def _lost_records(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    recorded = [json.loads(line)["serial"] for line in (work / "ca/issued.jsonl").read_text().splitlines()]
    signed = [entry["serial"] for result in results for entry in result["certificates"]]
    lost = [f"{serial} is not in the record" for serial in signed if serial not in recorded]
    return lost + [f"{serial} is repeated" for serial in set(recorded) if recorded.count(serial) > 1 or signed.count(serial) > 1]


def _names_to_trust(work: pathlib.Path, runs: int) -> list[Arguments]:
    common = trust(work, "first")
    return [{**common, "name": f"name{number}"} for number in range(runs)]


def _lost_trust(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    lines = [reason for result in results for store in result["stores"].values() for reason in store["reasons"]]
    lost = [line for line in lines if line.endswith(".crt: added") and not pathlib.Path(line[: -len(": added")]).exists()]
    hosts = "".join(path.read_text() for path in work.glob("containerd/certs.d/*/hosts.toml"))
    paths = work.glob("containerd/certs.d/*/*.crt")
    # Of a killed run the file may be there already, and its line not yet.
    return lost + [f"{path} is not in hosts.toml" for path in paths if str(path) not in hosts and f"{path}: added" in lines]


def _names(work: pathlib.Path, runs: int) -> list[Arguments]:
    (work / "hosts").write_text("127.0.0.1 localhost\n")
    return [{**named(work, f"192.0.2.{number + 1}"), "name": f"name{number}"} for number in range(runs)]


def _lost_names(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    blocks = (work / "hosts").read_text().count("# END holdfast.registry.hosts_entries")
    return [] if blocks >= len(results) else [f"{len(results) - blocks} blocks are lost"]


def _mirrors(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [{**mirrors(work, f"upstream{number}.example.org"), "name": f"name{number}"} for number in range(runs)]


def _lost_mirrors(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    buildkit, containerd = ((work / name).read_text() for name in ("buildkit/buildkitd.toml", "containerd/config.toml"))
    hosts, drop_ins = len(list(work.glob("docker/*/hosts.toml"))), len(list(work.glob("containers/registries.conf.d/*.conf")))
    fewest = min(hosts, drop_ins, buildkit.count("# END"), containerd.count(" name"))
    return [] if fewest >= len(results) else [f"{len(results) - fewest} mirrors are lost"]


def _registries(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [logins(f"registry{number}.example.org") for number in range(runs)]


def _lost_logins(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    entries = json.loads((work / ".docker/config.json").read_text())["auths"]
    return [f"{login['registry']} is lost" for result in results for login in result["logins"] if login["registry"] not in entries]


def _members(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [{**members(work, f"user{number}"), "name": f"run{number}"} for number in range(runs)]


def _lost_members(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    there, record = os.listdir(work / "group"), (work / "holdfast/group_members.json").read_text()
    return [f"{user} is lost" for result in results for user in result["added"] if user not in there or f'"{user}"' not in record]


def _policies(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [{**policies(work, f"registry{number}.example.org"), "name": f"run{number}"} for number in range(runs)]


def _lost_policies(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    texts = [(work / name).read_text() for name in ("containers/policy.json", "containers/registries.d/holdfast.yaml", "holdfast/signature_policy.json")]
    added = [line.partition(":")[0] for result in results for line in result["changes"] if line.endswith("added, sigstore")]
    return [f"{scope} is lost" for scope in added if not all(f'"{scope}"' in text for text in texts)]


def _settings(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [{**daemon(work, labels=[f"run={number}"]), "name": f"run{number}"} for number in range(runs)]


def _lost_settings(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    there = json.loads((work / "docker/daemon.json").read_text())["labels"]
    repeated = [f"{label} is repeated" for label in set(there) if there.count(label) > 1]
    # Of a killed run the label may be there already.
    return repeated + ([] if len(there) >= len(results) else [f"{len(results) - len(there)} labels are lost"])


def _releases(work: pathlib.Path, runs: int) -> list[Arguments]:
    return [{**releases(work, f"3.1.{number}"), "links": [{"name": f"link{number}", "version": f"3.1.{number}"}]} for number in range(runs)]


def _lost_releases(work: pathlib.Path, results: list[dict[str, t.Any]]) -> list[str]:
    links = [work / "opt" / name for result in results for name in result["versions"]]
    return [f"{link} leads nowhere" for link in links if link.read_text().split()[-1] != f"3.1.{link.name[len('link') :]}"]


RACES = [
    Race("htpasswd", "each run adds a user", _users_to_add, _lost_users),
    Race("htpasswd", "runs add and remove users", _users_to_add_and_remove, _lost_users),
    Race("ca", "each run makes the CA", _one_authority, _other_authority),
    Race("certificate_sign", "each run signs a request", _signers, _lost_records, idempotent=False),
    Race("ca_trust", "each run trusts under a name", _names_to_trust, _lost_trust),
    Race("hosts_entries", "each run gives a name an address", _names, _lost_names),
    Race("registry_mirrors", "each run has a mirror of its own", _mirrors, _lost_mirrors),
    Race("registry_login", "each run logs in to a registry", _registries, _lost_logins),
    Race("group_members", "each run adds a user", _members, _lost_members),
    Race("signature_policy", "each run requires signatures", _policies, _lost_policies),
    Race("docker_daemon", "each run adds a label", _settings, _lost_settings),
    Race("registry_release", "each run installs a release", _releases, _lost_releases),
]
