# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""verify.yml: proves the registry with every setting, needs none of its users, and leaves nothing behind."""

import base64
import json
import os
import signal
import time
from collections.abc import Iterator

import pytest
from answers import BOBS_PASSWORD, ENDPOINT
from scenario import gateway, hosts, playbook
from testinfra.host import Host

PLAYBOOK = hosts.PROJECT / "playbooks/verify.yml"
SUMMARY = hosts.KEPT / "summary"
ONLY_HASHES = [{"name": "alice", "password_hash": "$2y$12$J9zVq1rXo0b8c7nY5mKQ2ebjsDlVtbM61MgXquMJ42HpGJQk0Gnwa"}]


@pytest.fixture(scope="module", autouse=True)
def as_before() -> Iterator[None]:
    yield
    playbook.converged()


def prove(*arguments: str, **variables: object) -> tuple[playbook.Run, str]:
    SUMMARY.unlink(missing_ok=True)
    run = playbook.run(PLAYBOOK, *arguments, holdfast_summary_file=str(SUMMARY), **variables)
    return run, SUMMARY.read_text() if SUMMARY.exists() else ""


def left(registry: Host, client: Host) -> str:
    """What a proof has left behind, on both hosts."""
    on_registry = f"grep -h ^holdfast-verify {gateway.USERS_FILE}; ls -d /var/lib/docker-registry/docker/registry/v2/repositories/holdfast"
    on_client = "ls -d /run/holdfast-verify*; docker images --all | grep /holdfast/; docker ps --all --quiet; docker images --quiet --filter dangling=true"
    return str(registry.run(f"({on_registry}) 2>&1 | grep -v 'cannot access'").stdout + client.run(f"({on_client}) 2>&1 | grep -v 'cannot access'").stdout)


@pytest.mark.controller
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"nginx_auth_rules": [{"repositories": ["**"], "anonymous": True}]}, "pushed and pulled again, over verified TLS, from: client"),
        # users who may only pull, of whom no password is known
        (
            {"holdfast_users": ONLY_HASHES, "nginx_auth_rules": [{"repositories": ["**"], "groups": ["users"]}]},
            "pushed and pulled again, over verified TLS, from: client",
        ),
        ({"nginx_auth_client_certificates": "required"}, "Nothing was pushed from client: it has no client certificate"),
        ({"nginx_auth_client_certificates": "alternative"}, "pushed and pulled again, over verified TLS, from: client"),
    ],
)
def test_it_proves_the_registry_with_these_settings_and_leaves_nothing(registry: Host, client: Host, settings: dict[str, object], said: str) -> None:
    playbook.converged("--tags=nginx_auth", "--limit=registry", **settings)
    run, summary = prove(**settings)
    assert run.succeeded, run.output
    assert run.changed == 0
    assert said in summary
    assert left(registry, client) == ""


def test_limited_to_a_host_it_says_nothing_of_the_others(registry: Host, client: Host) -> None:
    playbook.converged("--tags=nginx_auth", "--limit=registry")
    run, summary = prove("--limit=registry")
    assert run.succeeded, run.output
    assert "No host of the group docker_clients was asked" in summary
    run, summary = prove("--limit=client")
    assert run.succeeded, run.output
    assert "pushed and pulled again, over verified TLS, from: client" in summary
    assert left(registry, client) == ""


@pytest.mark.controller
def test_where_a_step_fails_nothing_is_left_and_the_host_is_named(registry: Host, client: Host) -> None:
    run, summary = prove(holdfast_verified="holdfast/denied")
    assert not run.succeeded
    assert "denied: no access rule allows this" in run.output
    assert "NOT proven, see the errors above: client" in summary
    assert "from: client" not in summary
    assert left(registry, client) == ""


@pytest.mark.controller
def test_the_run_after_a_killed_one_removes_what_that_has_left(registry: Host, client: Host) -> None:
    process = playbook.started(PLAYBOOK)
    for _attempt in range(600):
        if client.run("docker images | grep /holdfast/verify").rc == 0:
            break
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert left(registry, client) != ""
    # A login that is still accepted must not be taken for none.
    login = base64.b64encode(f"bob:{BOBS_PASSWORD}".encode()).decode()
    client.check_output("mkdir -p /run/holdfast-verify")
    hosts.write(client, "/run/holdfast-verify/config.json", json.dumps({"auths": {ENDPOINT: {"auth": login}}}))
    run, _summary = prove()
    assert run.succeeded, run.output
    assert left(registry, client) == ""
