# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the keeper do on the server: images by curl, settings, and the program."""

import json
import shlex
from typing import Any

from scenario import images
from scenario.images import MANIFEST
from testinfra.host import Host

NAME, PORT = "registry.holdfast.test", 5443
STORAGE = "/var/lib/docker-registry"
REGISTRY = "--unix-socket /run/docker-registry/registry.sock http://registry"
GATEWAY = f"-u 'alice:a password of alice' --cacert /etc/ssl/holdfast/ca.crt --resolve {NAME}:{PORT}:127.0.0.1 https://{NAME}:{PORT}"
# For the role alone: much of what site.yml tells it, without what needs more than that.
ALL = {
    "keeper_instances": [{"name": "registry"}, {"name": "team"}],
    "keeper_access_log": "/var/log/holdfast-gateway/access.log",
    "keeper_exporters": [],
    "keeper_backup_repository": "",
}


def push(host: Host, repository: str, *tags: str) -> None:
    """Images of random bytes, one for each tag, at the registry itself."""
    for tag in tags:
        images.push(host, REGISTRY, repository)
        if tag != "1":
            retag(host, repository, "1", tag)
    if "1" not in tags:
        host.check_output(f"rm -r {STORAGE}/docker/registry/v2/repositories/{repository}/_manifests/tags/1")


def retag(host: Host, repository: str, old: str, new: str) -> None:
    url = f"{REGISTRY}/v2/{repository}/manifests"
    manifest = f"curl -fsS -H 'Accept: {MANIFEST}' {url}/{old}"
    host.check_output(f"{manifest} | curl -fsS -X PUT -H 'Content-Type: {MANIFEST}' --data-binary @- {url}/{new}")


def age(host: Host, repository: str, tag: str, days: int) -> None:
    """Make a tag as old as if it had been pushed so many days ago."""
    host.check_output(f"touch -d '{days} days ago' {STORAGE}/docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link")


def tags(host: Host, repository: str, at: str = GATEWAY) -> set[str]:
    answer: dict[str, Any] = json.loads(host.check_output(f"curl -sS {at}/v2/{repository}/tags/list"))
    return set(answer.get("tags") or [])


def status(host: Host, repository: str, reference: str) -> str:
    """What a client gets for a manifest, through the gateway."""
    return host.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' -H 'Accept: {MANIFEST}' {GATEWAY}/v2/{repository}/manifests/{reference}")


def digest(host: Host, repository: str, tag: str) -> str:
    return host.check_output(f"cat {STORAGE}/docker/registry/v2/repositories/{repository}/_manifests/tags/{tag}/current/link")


def keeper(host: Host, command: str) -> dict[str, Any]:
    """The program as root calls it. Returns its JSON document."""
    told: dict[str, Any] = json.loads(host.check_output(f"registry-keeper --json {command}"))
    return told


def rules(host: Host, *written: dict[str, Any]) -> None:
    """Give the first registry these rules, without the playbook."""
    path, new = "/etc/registry-keeper/registry.json", shlex.quote(json.dumps(written))
    edit = f"import json,sys; d=json.load(open('{path}')); d['retention']=json.loads(sys.argv[1]); open('{path}','w').write(json.dumps(d))"
    host.check_output(f"python3 -c {shlex.quote(edit)} {new}")


def start(host: Host, command: str, instance: str = "registry") -> None:
    """Run a command as its timer does."""
    host.check_output(f"systemctl start registry-keeper-{command}@{instance}.service")
