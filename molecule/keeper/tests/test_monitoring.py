# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the registry is: for people, for Prometheus and for load balancers."""

import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from scenario import hosts, playbook
from testinfra.host import Host

NAME = "registry.holdfast.test"
ANONYMOUS = f"curl -s --cacert /etc/ssl/holdfast/ca.crt --resolve {NAME}:5443:127.0.0.1 --resolve {NAME}:5445:127.0.0.1"
ALICE = f"{ANONYMOUS} -u 'alice:a password of alice'"
CODE = "-o /dev/null -w '%{http_code}'"
MONITORING = "/run/monitoring"
METRICS = f"https://{NAME}:5443/metrics"
HEALTH = f"https://{NAME}:5445/health"


@pytest.fixture(scope="module")
def server() -> Host:
    server = hosts.host("server")
    # Somebody asks for something.
    server.check_output(f"for _ in 1 2 3; do {ALICE} https://{NAME}:5443/v2/; done")
    server.check_output("systemctl start registry-keeper-metrics@registry registry-keeper-metrics@team registry-keeper-metrics@hub")
    return server


@pytest.fixture(scope="module")
def promtool(server: Host) -> str:
    """Prometheus' own checks, on the server, and what is there to be copied."""
    installed = "DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends prometheus"
    server.check_output(f"which promtool || {{ apt-get update -qq; {installed}; systemctl disable --now prometheus; }} >/run/apt.log 2>&1")
    sent = subprocess.run(["tar", "-C", str(hosts.PROJECT / "roles/keeper/files/monitoring"), "-c", "."], stdout=subprocess.PIPE, check=True).stdout
    unpack = f"mkdir -p {MONITORING}; tar -C {MONITORING} -x"
    subprocess.run(["docker", "exec", "-i", hosts.container("server"), "sh", "-c", unpack], input=sent, check=True)
    return "promtool"


@pytest.fixture
def stopped(server: Host) -> Iterator[None]:
    """The registry team does not run."""
    server.check_output("systemctl stop docker-registry@team")
    yield
    server.check_output("systemctl start docker-registry@team")
    for _second in range(40):
        if server.check_output(f"{ALICE} {CODE} https://{NAME}:5445/v2/") == "200":
            break
        time.sleep(0.5)
    # The timer may have written what was true meanwhile.
    server.check_output("systemctl restart registry-keeper-metrics@team")


def status_of(server: Host, instance: str) -> tuple[int, dict[str, Any]]:
    result = server.run(f"registry-keeper --instance {instance} --json status")
    return result.rc, json.loads(result.stdout)


def test_status_says_what_there_is(server: Host) -> None:
    status, facts = status_of(server, "registry")
    assert (status, facts["needs_a_hand"]) == (0, [])
    assert facts["registry"]["version"].startswith("2.8.") and "CVE-2026-35172" in facts["vulnerabilities"]
    assert facts["redis"]["up"] and facts["traffic"]["requests"] >= 3 and "passwords" in facts["traffic"]["hit_ratios"]
    assert len(facts["certificates"]) == 3 and all(one["ends"] > time.time() for one in facts["certificates"])
    said = server.check_output("registry-keeper status")
    assert "running" in said and "free" in said and "days left" in said


def test_a_registry_that_is_down_needs_a_hand(server: Host, stopped: None) -> None:
    status, facts = status_of(server, "team")
    assert (status, facts["needs_a_hand"]) == (3, ["the registry does not run"])


def test_the_playbook_says_how_all_are(server: Host) -> None:
    well = playbook.run(hosts.PROJECT / "playbooks/status.yml", "--limit", "server")
    assert well.succeeded and well.changed == 0, well.output
    assert all(f"registry {name}: version" in well.output for name in ("registry", "team", "hub"))


def test_the_playbook_fails_if_one_needs_a_hand(server: Host, stopped: None) -> None:
    ill = playbook.run(hosts.PROJECT / "playbooks/status.yml", "--limit", "server")
    assert not ill.succeeded and "warning: the registry does not run" in ill.output


def test_metrics_are_for_those_who_may_only(server: Host) -> None:
    assert server.check_output(f"{ANONYMOUS} {CODE} {METRICS}") == "401"
    assert server.check_output(f"{ANONYMOUS} -u mallory:x {CODE} {METRICS}") == "401"
    assert 'registry_keeper_registry_up{registry="registry"} 1' in server.check_output(f"{ALICE} {METRICS}")
    assert 'registry_keeper_registry_up{registry="team"} 1' in server.check_output(f"{ALICE} {METRICS}/team")
    assert 'registry_keeper_registry_up{registry="team"} 1' in server.check_output(f"{ALICE} https://{NAME}:5445/metrics")
    assert server.file("/run/registry-keeper/registry/metrics.prom").mode == 0o640


@pytest.mark.parametrize(("name", "metric"), [("nginx", "nginx_connections_active"), ("redis", "redis_up 1"), ("distribution", "registry_http_requests_total")])
def test_other_programs_are_asked_for_theirs(server: Host, name: str, metric: str) -> None:
    assert metric in server.check_output(f"{ALICE} {METRICS}/{name}")
    assert server.check_output(f"{ANONYMOUS} {CODE} {METRICS}/{name}") == "401"


@pytest.mark.parametrize("path", ["/none", "/../../../etc/passwd", "/..%2f..%2fetc%2fpasswd", "/team/full", "/registry/metrics.prom"])
def test_nothing_else_is_served_as_metrics(server: Host, path: str) -> None:
    assert server.check_output(f"{ALICE} {CODE} --path-as-is '{METRICS}{path}'") in ("400", "404")


def test_the_metrics_are_what_prometheus_reads(server: Host, promtool: str) -> None:
    checked = server.run(f"{ALICE} {METRICS} | {promtool} check metrics")
    assert checked.rc == 0 and not checked.stderr, checked.stderr


def test_the_alert_rules_say_what_they_should(server: Host, promtool: str) -> None:
    assert "10 rules found" in server.check_output(f"{promtool} check rules {MONITORING}/alerts.yml")
    assert "SUCCESS" in server.check_output(f"cd {MONITORING} && {promtool} test rules alerts_test.yml")


def test_a_load_balancer_is_told_whether_the_registry_works(server: Host) -> None:
    assert server.check_output(f"{ANONYMOUS} {HEALTH}") == '{"status":"ok"}'
    # from a network that may not ask
    assert hosts.host("client").check_output(f"curl -sk {CODE} {HEALTH}") == "401"


def test_a_load_balancer_is_told_that_it_does_not(server: Host, stopped: None) -> None:
    assert server.check_output(f"{ANONYMOUS} {CODE} {HEALTH}") == "503"
