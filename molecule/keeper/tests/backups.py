# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backup's repository on the server, and the registry there without its gateway."""

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from scenario.images import MANIFEST, push
from testinfra.host import Host

AT = "--unix-socket /run/docker-registry/registry.sock http://any"
STORAGE = "/var/lib/docker-registry"
REPOSITORY = "/srv/backup"
STATE = "/var/lib/registry-keeper-backup"
UNIT = "registry-keeper-backup.service"
RESTIC = f"restic --repo {REPOSITORY} --password-file /etc/registry-keeper/backup/password --cache-dir {STATE}/cache"


def back_up(host: Host) -> dict[str, Any]:
    """Make a backup as the timer does. Returns what `status` is told of it."""
    run = host.run(f"systemctl start {UNIT}")
    assert run.rc == 0, host.run(f"journalctl -u {UNIT} -n 30 --no-pager -o cat").stdout
    return outcome(host)


def outcome(host: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host.check_output(f"cat {STORAGE}/keeper/status/backup.json"))
    return found


def listed(host: Host, snapshot: str = "latest") -> list[str]:
    """Every path in a backup."""
    lines = host.check_output(f"{RESTIC} ls --json {snapshot}").splitlines()
    return [json.loads(line)["path"] for line in lines if "path" in json.loads(line)]


def image(host: Host, repository: str, size: int = 5000) -> tuple[str, str]:
    """A new image. Returns the digests of its manifest and its layer."""
    layer = push(host, AT, repository, size)
    head = host.check_output(f"curl -fsSI -H 'Accept: {MANIFEST}' {AT}/v2/{repository}/manifests/1")
    manifest = next(line.split()[1] for line in head.splitlines() if line.lower().startswith("docker-content-digest:"))
    return manifest, layer


def data(digest: str) -> str:
    """The file of a blob."""
    name = digest.partition(":")[2]
    return f"{STORAGE}/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"


def is_served(host: Host, repository: str, digest: str) -> bool:
    """Whether the registry gives the blob, whole and as its digest says."""
    run = host.run(f"curl -fsS {AT}/v2/{repository}/blobs/{digest} | sha256sum")
    return bool(run.rc == 0 and run.stdout.split()[0] == digest.partition(":")[2])


def status(host: Host, path: str, method: str = "GET") -> str:
    return host.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' -X {method} -H 'Accept: {MANIFEST}' {'-I' if method == 'HEAD' else ''} {AT}{path}")


@contextlib.contextmanager
def elsewhere(host: Host) -> Iterator[None]:
    """The repository is away, as if its disk was not mounted."""
    host.check_output(f"mv {REPOSITORY} {REPOSITORY}.away && mkdir -m 700 {REPOSITORY}")
    try:
        yield
    finally:
        host.check_output(f"rm -rf {REPOSITORY} && mv {REPOSITORY}.away {REPOSITORY}")


@contextlib.contextmanager
def another_run(host: Host) -> Iterator[str]:
    """Somebody else's restic that has a lock in the repository. Gives its process."""
    host.check_output(f"rm -f /run/another; setsid sh -c 'sleep 120 | {RESTIC} backup --stdin --host another' >/run/another 2>&1 </dev/null &")
    process = host.check_output(
        f"for i in $(seq 100); do ls {REPOSITORY}/locks | grep -q . && pgrep -f 'stdin --host anothe[r]' | tail -n 1 && exit; sleep 0.2; done; exit 1"
    )
    try:
        yield process.split()[-1]
    finally:
        host.run("pkill -KILL -f 'stdin --host anothe[r]'; pkill -f 'sleep 120'")
