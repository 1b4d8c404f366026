# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several registries on one host: nothing in common, and changing one leaves the others running."""

import pytest
from registries import ARCHIVE, FIRST, TEAM, UNITS, catalogue, processes, redis, status
from scenario import playbook
from scenario.images import push
from testinfra.host import Host

USUAL = [{"name": "team", "redis_database": 1}, {"name": "archive", "port": 5002, "storage_directory": "/srv/archive"}]


def test_each_has_its_own_images(host: Host) -> None:
    pushed = {at: push(host, at, f"only/{UNITS[at].rpartition('@')[2]}") for at in UNITS}
    for at in UNITS:
        repository = f"only/{UNITS[at].rpartition('@')[2]}"
        assert repository in catalogue(host, at)
        assert status(host, at, f"/v2/{repository}/blobs/{pushed[at]}") == "200"
        assert [other for other in UNITS if other != at and repository in catalogue(host, other)] == []


@pytest.mark.parametrize("user", ["docker-registry-team", "nobody"])
@pytest.mark.parametrize(
    "what",
    [
        "ls /var/lib/docker-registry",
        "ls /srv/archive",
        "cat /etc/docker/registry/config.yml",
        "cat /etc/docker/registry/instance-archive.yml",
        "cat /etc/docker/registry/instance-team-secret.env",
        "curl --fail --unix-socket /run/docker-registry/registry.sock http://first/v2/",
        "cat /proc/$(systemctl show -p MainPID --value docker-registry)/environ",
    ],
)
def test_none_gets_to_what_another_has(host: Host, user: str, what: str) -> None:
    assert host.run(what).rc == 0 or "secret" in what, "there is nothing to protect"
    as_user = f"setpriv --reuid {user} --regid $(id -g {user}) --clear-groups sh -c '{what}'"
    assert host.run(as_user).rc != 0


def test_the_sandbox_is_the_same_for_all(host: Host) -> None:
    for unit, process in processes(host).items():
        shown = host.check_output(f"cat /proc/{process}/status")
        assert "NoNewPrivs:\t1" in shown, unit
        assert "CapEff:\t0000000000000000" in shown, unit
        assert "Seccomp:\t2" in shown, unit
        assert host.run(f"nsenter -t {process} -m touch /etc/written").rc != 0


def test_a_pull_goes_on_while_others_are_added_changed_and_removed(host: Host) -> None:
    digest = push(host, FIRST, "large/app", size=30_000_000)
    before = processes(host)
    pull = f"curl -sS --limit-rate 700K -o /run/pulled {FIRST}/v2/large/app/blobs/{digest}; sha256sum </run/pulled >/run/pulled.sum"
    host.check_output(f"rm -f /run/pulled.sum; setsid sh -c '{pull}' >/dev/null 2>&1 &")
    changed = playbook.converged(further_instances=[{**USUAL[0], "drain_timeout": 30}, {"name": "fresh"}])
    assert "docker-registry@archive.service" in changed.output
    assert "images in /srv/archive" in changed.output, "the run does not say where the images are"
    assert host.check_output("systemctl is-active docker-registry@fresh docker-registry@team").split() == ["active", "active"]
    assert host.run("systemctl cat docker-registry@archive").rc != 0
    assert host.run("test -e /run/pulled.sum").rc != 0, "the pull was over too early to prove anything"
    host.check_output("for i in $(seq 60); do test -s /run/pulled.sum && exit; sleep 1; done; exit 1")
    assert host.check_output("cat /run/pulled.sum").split()[0] == digest.removeprefix("sha256:")
    after = {unit: host.check_output(f"systemctl show -p MainPID --value {unit}") for unit in ("docker-registry", "docker-registry@team")}
    assert after["docker-registry"] == before["docker-registry"]
    assert after["docker-registry@team"] != before["docker-registry@team"], "its new settings are not in use"


def test_the_images_of_a_removed_instance_are_there_when_it_comes_back(host: Host) -> None:
    assert host.run("test -d /srv/archive/docker").rc == 0
    playbook.converged()
    assert "only/archive" in catalogue(host, ARCHIVE)
    assert host.run("test -e /etc/systemd/system/docker-registry@fresh.service -o -e /etc/docker/registry/instance-fresh.yml").rc != 0


def test_images_go_where_that_is_asked_for(host: Host) -> None:
    playbook.converged(further_instances=[*USUAL, {"name": "short"}])
    host.check_output("touch /var/lib/docker-registry-short/image")
    absent = [*USUAL, {"name": "short", "state": "absent", "remove_images": True}]
    predicted = playbook.converged("--check", further_instances=absent)
    assert predicted.changed > 0
    assert host.run("test -e /var/lib/docker-registry-short/image").rc == 0
    playbook.converged(further_instances=absent)
    assert host.run("test -e /var/lib/docker-registry-short").rc != 0
    assert playbook.converged(further_instances=absent).changed == 0


def test_a_database_that_changes_hands_is_emptied(host: Host) -> None:
    of_team, of_first = push(host, TEAM, "cached/team"), push(host, FIRST, "cached/first")
    assert status(host, TEAM, f"/v2/cached/team/blobs/{of_team}") == "200"
    assert status(host, FIRST, f"/v2/cached/first/blobs/{of_first}") == "200"
    assert [key for key in redis(host, 1, "KEYS", "*") if "cached/team" in key], "the cache is not in use"
    try:
        playbook.converged(first_database=1, further_instances=[{"name": "team", "redis_database": 0}, USUAL[1]])
        (owner,) = redis(host, 1, "GET", "holdfast:owner")
        assert owner.startswith("registry:/var/lib/docker-registry:")
        assert [key for key in redis(host, 1, "KEYS", "*") if "cached/team" in key] == []
        assert [key for key in redis(host, 0, "KEYS", "*") if "cached/first" in key] == []
        assert status(host, FIRST, f"/v2/cached/team/blobs/{of_team}") == "404"
    finally:
        playbook.converged()


def test_a_restart_keeps_what_is_cached(host: Host) -> None:
    digest = push(host, TEAM, "kept/app")
    assert status(host, TEAM, f"/v2/kept/app/blobs/{digest}") == "200"
    host.check_output("systemctl restart docker-registry@team")
    assert [key for key in redis(host, 1, "KEYS", "*") if "kept/app" in key]


def test_without_redis_a_registry_starts_and_caches_in_its_memory(host: Host) -> None:
    host.check_output("systemctl stop redis-server@registry")
    try:
        host.check_output("systemctl restart docker-registry@team")
        process = host.check_output("systemctl show -p MainPID --value docker-registry@team")
        assert "REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR=inmemory" in host.check_output(f"tr '\\0' '\\n' </proc/{process}/environ")
        assert status(host, TEAM, f"/v2/after/blobs/{push(host, TEAM, 'after')}") == "200"
    finally:
        host.check_output("systemctl start redis-server@registry")
    host.check_output("systemctl restart docker-registry@team")


def test_what_two_must_not_share_is_refused_before_anything_is_changed(host: Host) -> None:
    before = host.check_output("find /etc/docker/registry /etc/systemd/system -newer /etc/hostname -printf '%p %T@\\n' | sort")
    for entries, said in (
        ([{"name": "a", "port": 5002}, {"name": "b", "port": 5002}], "registry_instances[1].port: 5002 is used by instance 'a' as well"),
        ([{"name": "a", "redis_database": 0}], "registry_instances[0].redis_database: 0 is used by instance 'registry' as well"),
        ([{"name": "a", "version": "3.1.2", "archive_checksum": "0"}], 'registry_instances[0].archive_checksum: "0" is not sha256:'),
    ):
        refused = playbook.converge(further_instances=entries)
        assert not refused.succeeded
        assert said in refused.output.replace("\n", " "), refused.output
    assert host.check_output("find /etc/docker/registry /etc/systemd/system -newer /etc/hostname -printf '%p %T@\\n' | sort") == before
