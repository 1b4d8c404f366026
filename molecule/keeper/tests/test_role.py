# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role: units for each instance and command, a sandbox, and nothing left of what is not declared any more."""

from collections.abc import Iterator
from typing import Any

import pytest
from keeping import STORAGE, push
from scenario import hosts, playbook
from scenario.playbook import Run
from testinfra.host import Host

ALONE = hosts.SCENARIO / "alone.yml"
UNITS = "/etc/systemd/system"
RUNTIME = "/run/systemd/system"
THERE = "ls -d /etc/registry-keeper /usr/local/bin/registry-keeper /usr/local/lib/registry-keeper /etc/systemd/system/registry-keeper-* 2>/dev/null"


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    yield hosts.host("server")
    playbook.converged("--tags", "keeper")


def alone(*arguments: str, **variables: Any) -> Run:
    # What the scenario has besides, and what needs more than that.
    run = playbook.run(ALONE, *arguments, **{"keeper_exporters": [], "keeper_backup_repository": "", **variables})
    assert run.succeeded, run.output
    return run


def shown(host: Host, unit: str, what: str) -> str:
    return host.check_output(f"systemctl show --property={what} --value registry-keeper-{unit}")


def test_each_registry_has_its_timers_and_a_mirror_none_that_would_collect(host: Host) -> None:
    timers = host.check_output("systemctl list-timers --all --no-legend 'registry-keeper-*'")
    for instance in ("registry", "team"):
        for command in ("collect", "retain"):
            assert f"registry-keeper-{command}@{instance}.timer" in timers
            assert shown(host, f"{command}@{instance}.timer", "UnitFileState") == "enabled"
    assert "collect@hub" not in timers and "retain@hub" not in timers


def test_a_timer_runs_its_command_as_the_instances_user(host: Host) -> None:
    push(host, "timer/app", "1")
    outcome, unit = f"{STORAGE}/keeper/status/retain.json", "registry-keeper-retain@registry"
    soon = "[Timer]\\nOnCalendar=\\nOnActiveSec=1\\nRandomizedDelaySec=0\\nAccuracySec=100ms\\n"
    host.check_output(f"rm -f {outcome}; mkdir -p {RUNTIME}/{unit}.timer.d; printf '{soon}' >{RUNTIME}/{unit}.timer.d/soon.conf")
    try:
        host.check_output(f"systemctl daemon-reload; systemctl restart {unit}.timer")
        host.check_output(f"for i in $(seq 100); do test -e {outcome} && exit; sleep 0.2; done; exit 1")
    finally:
        host.check_output(f"rm -r {RUNTIME}/{unit}.timer.d; systemctl daemon-reload; systemctl restart {unit}.timer")
    assert host.check_output(f"stat -c %U {outcome}") == "docker-registry"
    assert '"exit_status": 0' in host.check_output(f"cat {outcome}")


def test_a_command_that_finds_another_at_work_tries_again(host: Host) -> None:
    unit = "registry-keeper-retain@registry.service"
    lock = f"{STORAGE}/keeper/lock"
    host.check_output(f"setsid flock {lock} sleep 60 >/dev/null 2>&1 & echo $! >/run/holder")
    try:
        # Started before the other holds the lock, the command would find nobody at work.
        host.check_output(f"for i in $(seq 50); do flock --nonblock {lock} true || exit 0; sleep 0.1; done; exit 1")
        host.check_output(f"systemctl start --no-block {unit}")
        host.check_output(f"for i in $(seq 50); do systemctl show -p SubState {unit} | grep -q auto-restart && exit; sleep 0.2; done; exit 1")
        assert shown(host, "retain@registry.service", "ExecMainStatus") == "4"
    finally:
        host.check_output(f"systemctl stop {unit}; kill -- -$(cat /run/holder)")


def test_the_sandbox_leaves_a_command_the_storage_and_the_gateways_log(host: Host) -> None:
    unit = "registry-keeper-retain@registry.service"
    host.check_output("echo words >/var/log/other.log; chgrp adm /var/log/other.log; chmod 640 /var/log/other.log")
    tried = {
        "storage": f"touch {STORAGE}/keeper/tried",
        "log": "head -c 1 /var/log/holdfast-gateway/access.log",
        "program": "touch /usr/local/lib/registry-keeper/x",
        "settings": "touch /etc/registry-keeper/registry.json",
        "log of others": "cat /var/log/other.log",
        "log to write": "touch /var/log/holdfast-gateway/access.log",
        "images of others": "ls /var/lib/docker-registry-team",
        "settings of others": "cat /etc/registry-keeper/team.json",
        "home": "ls /root",
        "privileges": "! grep -q 'NoNewPrivs:.1' /proc/self/status",
        "capabilities": "! grep -q 'CapEff:.0*$' /proc/self/status",
        "network": "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 6380), 2)'",
    }
    script = "".join(f"if ({command}) >/dev/null 2>&1; then echo {name}; fi\n" for name, command in tried.items())
    hosts.write(host, "/run/tried.sh", f"exec >{STORAGE}/keeper/tried.out\n{script}")
    host.check_output(f"chmod 755 /run/tried.sh; mkdir -p {RUNTIME}/{unit}.d")
    host.check_output(f"printf '[Service]\\nExecStart=\\nExecStart=/bin/sh /run/tried.sh\\n' >{RUNTIME}/{unit}.d/try.conf; systemctl daemon-reload")
    try:
        host.check_output(f"systemctl start {unit}")
        assert host.check_output(f"cat {STORAGE}/keeper/tried.out").splitlines() == ["storage", "log"]
    finally:
        host.check_output(f"rm -r {RUNTIME}/{unit}.d {STORAGE}/keeper/tried* /run/tried.sh; systemctl daemon-reload")
    # Every one of them is possible for somebody.
    for name in ("log of others", "images of others", "settings of others", "home", "network"):
        assert host.run(tried[name]).rc == 0, name


@pytest.mark.controller
def test_alone_it_keeps_what_it_is_told_and_forgets_the_rest(host: Host) -> None:
    told: dict[str, Any] = {"keeper_instances": [{"name": "registry"}], "keeper_collect_schedule": "Mon 01:00", "keeper_retain_schedule": ""}
    before = host.check_output(f"{THERE}; cat {UNITS}/registry-keeper-*")
    predicted = alone("--check", **told)
    assert host.check_output(f"{THERE}; cat {UNITS}/registry-keeper-*") == before
    done = alone(**told)
    assert predicted.changed == done.changed == 1
    assert "team" not in host.check_output(THERE)
    assert "team" not in host.check_output("systemctl list-units --all 'registry-keeper-*'; ls /etc/registry-keeper")
    # A command without a schedule can still be started.
    assert host.run(f"test -e {UNITS}/registry-keeper-retain@registry.timer").rc != 0
    host.check_output("systemctl start registry-keeper-retain@registry")
    assert "Mon *-*-* 01:00:00" in shown(host, "collect@registry.timer", "TimersCalendar")
    # The log is not known any more: systemd has read the service again, although only the timer runs.
    assert shown(host, "collect@registry.service", "SupplementaryGroups") == ""
    assert alone(**told).changed == 0


@pytest.mark.controller
def test_absent_leaves_nothing_but_what_was_set_aside(host: Host) -> None:
    assert host.check_output(THERE)
    aside = host.check_output(f"ls {STORAGE}/keeper/runs {STORAGE}/keeper/pulled")
    instances = [{"name": "registry"}, {"name": "team"}, {"name": "hub", "mirror": True}]
    assert alone(keeper_state="absent", keeper_instances=instances).changed == 1
    assert host.run(THERE).stdout == ""
    assert "registry-keeper" not in host.check_output("systemctl list-units --all 'registry-keeper-*'; ls /var/lib/holdfast/services")
    assert host.check_output(f"ls {STORAGE}/keeper/runs {STORAGE}/keeper/pulled") == aside
    assert alone(keeper_state="absent", keeper_instances=instances).changed == 0
