# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The timer on the registry's host renews its certificate, and nobody notices but the clock."""

import json
import time

from answers import BOBS_PASSWORD
from scenario import playbook
from scenario.docker import Docker
from testinfra.host import Host

JOB = "/etc/holdfast-pki/etc-ssl-holdfast.json"
SERVICE = "holdfast-pki@etc-ssl-holdfast.service"


def served(registry: Host) -> str:
    """The serial number of the certificate that the gateway shows."""
    show = "openssl s_client -connect 127.0.0.1:5443 -servername registry.holdfast.test </dev/null 2>/dev/null | openssl x509 -noout -serial"
    return str(registry.check_output(show))


def followed(registry: Host, before: str) -> str:
    """What is served after before. nginx lets its old workers go while it starts new ones."""
    deadline = time.monotonic() + 15
    while served(registry) == before:
        assert time.monotonic() < deadline, "the gateway still serves the certificate from before"
        time.sleep(0.2)
    return served(registry)


def renew(registry: Host, lifetime_days: int) -> None:
    """Have the timer's service renew a certificate whose lifetime is another one now."""
    job = json.loads(registry.check_output(f"cat {JOB}"))
    job["certificates"][0]["lifetime_days"] = lifetime_days
    registry.check_output(f"cat >{JOB} <<'END'\n{json.dumps(job)}\nEND")
    registry.check_output(f"systemctl start {SERVICE}")


def test_the_gateway_serves_the_renewed_certificate_and_the_playbook_finds_nothing_to_do(registry: Host, docker: Docker) -> None:
    original, first = registry.check_output(f"cat {JOB}"), served(registry)
    workers = registry.check_output("systemctl show -p MainPID holdfast-gateway.service")
    renew(registry, 300)
    second = followed(registry, first)
    assert docker.login("bob", BOBS_PASSWORD).rc == 0
    docker.push("team/renewed")
    renew(registry, json.loads(original)["certificates"][0]["lifetime_days"])
    assert followed(registry, second) != first
    assert registry.check_output("systemctl show -p MainPID holdfast-gateway.service") == workers
    registry.check_output(f"printf %s '{original}' >{JOB}")
    assert playbook.converged("--limit=registry").changed == 0
