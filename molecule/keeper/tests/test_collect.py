# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Collections through the real gateway, registry and Redis, while clients push and pull."""

import json
import sys
from typing import Any

from scenario import hosts
from testinfra.host import Host

sys.path.insert(0, str(hosts.PROJECT / "tests/soak"))
import main as soak

SECONDS = 60


def test_no_image_is_lost_and_no_push_or_pull_fails_while_collections_run_and_are_killed(server: Host) -> None:
    document = soak.soak(hosts.container("server"), SECONDS)
    assert not document["refused"] and not document["lost"], json.dumps(document, indent=1)
    # It was not quiet, however slow the machine is.
    assert document["killed"] >= 1 and document["blobs taken"] >= 3 and document["links taken"] >= 3 and document["layers mounted"] >= 1


def test_a_push_after_a_collection_is_whole_though_the_registry_knew_its_layers(server: Host) -> None:
    """What the package's collector is known for: the cache remembers a layer that has gone, and the push leaves it out."""
    push, layer = _pushed(server, "known/layers")
    server.check_output(f"rm -r {push}/_manifests/tags/1; touch -d '2 days ago' {push}/_manifests/tags")
    taken = _collect(server, 0)
    assert taken["swept_blobs"] >= 3 and not server.file(f"/var/lib/docker-registry/docker/registry/v2/blobs/sha256/{layer[:2]}/{layer}/data").exists
    asked = _registry(server, f"-I /v2/known/layers/blobs/sha256:{layer}")
    assert "404" in asked.splitlines()[0]


def test_an_image_that_was_collected_is_brought_back_and_pulled(server: Host) -> None:
    push, layer = _pushed(server, "brought/back")
    digest = server.check_output(f"cat {push}/_manifests/tags/1/current/link")
    server.check_output(f"rm -r {push}/_manifests/tags/1; touch -d '2 days ago' {push}/_manifests/tags")
    _collect(server, 0)
    wanted = f"-o /dev/null -w %{{http_code}} -H 'Accept: application/vnd.docker.distribution.manifest.v2+json' /v2/brought/back/manifests/{digest}"
    assert _registry(server, wanted) == "404"
    server.check_output(f"registry-keeper undo --image brought/back@{digest}")
    assert _registry(server, wanted) == "200"
    assert "200" in _registry(server, f"-I /v2/brought/back/blobs/sha256:{layer}").splitlines()[0]


def test_redis_that_hangs_delays_a_collection_for_seconds_and_loses_nothing(server: Host) -> None:
    push, layer = _pushed(server, "while/redis/hangs")
    server.check_output(f"rm -r {push}/_manifests/tags/1; touch -d '2 days ago' {push}/_manifests/tags")
    pid = server.check_output("systemctl show -p MainPID --value redis-server@registry")
    server.check_output(f"kill -STOP {pid}")
    try:
        result = server.run("timeout 20 registry-keeper --settings /run/holdfast-soak.json --json collect")
    finally:
        server.check_output(f"kill -CONT {pid}")
    assert result.rc == 1 and "nothing was collected" in json.loads(result.stdout)["error"]
    assert server.file(f"{push}/_layers/sha256/{layer}/link").exists


def test_the_timers_service_collects_in_its_sandbox(server: Host) -> None:
    server.check_output("systemctl start registry-keeper-collect@registry.service")
    # The kernel's number of SCHED_IDLE. `make soak` says what pulls gain by it.
    assert server.check_output("systemctl show --property=CPUSchedulingPolicy --value registry-keeper-collect@registry.service") == "5"
    document = json.loads(server.check_output("cat /var/lib/docker-registry/keeper/status/collect.json"))
    assert document["exit_status"] == 0 and document["tags"] >= 1


def _pushed(server: Host, repository: str) -> tuple[str, str]:
    """The directory of a repository with one image, and the layer's hash."""
    from scenario import images

    layer = images.push(server, "--unix-socket /run/docker-registry/registry.sock http://registry", repository)
    return f"/var/lib/docker-registry/docker/registry/v2/repositories/{repository}", layer.partition(":")[2]


def _collect(server: Host, grace: float) -> dict[str, Any]:
    settings = json.loads(server.check_output("cat /run/holdfast-soak.json"))
    settings["collect"]["grace_seconds"] = grace
    hosts.write(server, "/run/holdfast-now.json", json.dumps(settings))
    document: dict[str, Any] = json.loads(server.check_output("registry-keeper --settings /run/holdfast-now.json --json collect"))
    return document


def _registry(server: Host, request: str) -> str:
    options, _space, path = request.rpartition(" ")
    return server.check_output(f"curl -sS {options} --unix-socket /run/docker-registry/registry.sock http://registry{path}")
