# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role virtual_address alone: one of two hosts has the address, and it moves where its service, or the host, is gone."""

import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from scenario import hosts, playbook

UNIT = "holdfast-virtual-address.service"
HOSTS = ("one", "two")
# What is promised for a service that is stopped, or says that it drains, and for a host that is gone.
SECONDS = 5.0


def configuration(name: str) -> str:
    return str(hosts.host(name).file("/etc/holdfast-virtual-address/keepalived.conf").content_string)


def address(of: str = "one") -> str:
    found = re.search(r"virtual_ipaddress \{\s+([0-9.]+)/32", configuration(of))
    assert found
    return found[1]


def holders(*names: str) -> list[str]:
    """Who has the address now."""
    return [name for name in names or HOSTS if hosts.host(name).check_output(f"ip -o address show to {address(name)}")]


def settled() -> str:
    """The one host that has the address, once there is one."""
    for _try in range(50):
        found = holders()
        if len(found) == 1:
            return found[0]
        time.sleep(0.2)
    raise AssertionError(f"{found} have the address")


def moved(other: str, began: float) -> float:
    """Seconds from began until the other host has the address."""
    while not holders(other):
        assert time.monotonic() - began < 30, "it does not move"
        time.sleep(0.1)
    return time.monotonic() - began


def priority(name: str) -> str:
    return re.findall(r"effective priority from \d+ to (\d+)", hosts.host(name).check_output(f"journalctl -u {UNIT} --no-pager"))[-1]


@pytest.fixture
def master() -> Iterator[str]:
    """Who has the address while both hosts serve. Both do again afterwards."""
    yield both_serve()
    both_serve()


def both_serve() -> str:
    for name in HOSTS:
        hosts.host(name).check_output("echo ok >/srv/service/healthz; systemctl start service")
    for name in HOSTS:
        for _try in range(50):
            if priority(name) == "150":
                break
            time.sleep(0.2)
        else:
            raise AssertionError(f"{name} does not say that it serves")
    return settled()


def another(name: str) -> str:
    return next(other for other in HOSTS if other != name)


def test_one_host_has_the_address_and_answers_at_it(master: str) -> None:
    for name in HOSTS:
        assert hosts.host(name).check_output(f"curl -sS -m 5 http://{address()}:8080/who") == master


@pytest.mark.parametrize("how", ["systemctl kill --signal=KILL service; systemctl stop service", "rm /srv/service/healthz"], ids=["killed", "drained"])
def test_the_address_moves_where_its_service_is_gone_or_drains_and_does_not_come_back(master: str, how: str) -> None:
    other = another(master)
    began = time.monotonic()
    hosts.host(master).check_output(how)
    assert moved(other, began) < SECONDS
    time.sleep(1)
    assert holders() == [other]
    assert hosts.host(master).check_output(f"curl -sS -m 5 http://{address()}:8080/who") == other
    assert both_serve() == other, "each move cuts off what runs"


def test_the_address_moves_where_the_host_is_gone_and_one_host_has_it_when_it_is_back(master: str) -> None:
    other = another(master)
    began = time.monotonic()
    subprocess.run(["docker", "pause", hosts.container(master)], check=True)
    try:
        assert moved(other, began) < SECONDS
    finally:
        subprocess.run(["docker", "unpause", hosts.container(master)], check=True)
    time.sleep(2)
    settled()


def test_if_no_host_serves_one_of_them_keeps_the_address(master: str) -> None:
    for name in HOSTS:
        hosts.host(name).check_output("rm /srv/service/healthz")
    time.sleep(6)
    assert {priority(name) for name in HOSTS} == {"100"}
    assert len(holders()) == 1


def test_a_stopped_keepalived_gives_the_address_away(master: str) -> None:
    began = time.monotonic()
    hosts.host(master).check_output(f"systemctl stop {UNIT}")
    try:
        assert moved(another(master), began) < 2
        assert holders(master) == []
    finally:
        hosts.host(master).check_output(f"systemctl start {UNIT}")


def test_a_message_from_elsewhere_takes_the_address_from_nobody(master: str) -> None:
    """VRRP has no password that is worth one; only the hosts that are named are listened to."""
    # version 3, an advertisement of router 114 with the highest priority and 0.5 s, its checksum filled in
    send = (
        "import socket, struct, sys; source, target, shared = (socket.inet_aton(each) for each in sys.argv[1:]); "
        "body = bytes([0x31, 114, 254, 1, 0, 50]); whole = source + target + bytes([0, 112, 0, 12]) + body + bytes(2) + shared; "
        "total = sum(struct.unpack('!%dH' % (len(whole) // 2), whole)); total = (total & 0xffff) + (total >> 16); total = (total & 0xffff) + (total >> 16); "
        "sent = body + struct.pack('!H', total ^ 0xffff) + shared; "
        "talk = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112); talk.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255); "
        "talk.bind((sys.argv[1], 0)); [talk.sendto(sent, (sys.argv[2], 0)) for _try in range(3)]"
    )
    target = str(hosts.host(master).interface("eth0").addresses[0])
    sender, stranger = hosts.host(another(master)), address().rpartition(".")[0] + ".254"
    sender.check_output(f"ip address add {stranger}/32 dev eth0")
    try:
        sender.check_output(f'python3 -c "{send}" {stranger} {target} {address()}')
        time.sleep(0.3)
        assert holders() == [master]
        # counterpart: from a host that is named it counts
        own = next(str(each) for each in sender.interface("eth0").addresses if "." in str(each) and str(each) not in (stranger, address()))
        sender.check_output(f'python3 -c "{send}" {own} {target} {address()}')
        time.sleep(0.3)
        assert holders() == []
    finally:
        sender.check_output(f"ip address del {stranger}/32 dev eth0")


def test_a_service_that_hangs_has_failed_too_and_is_asked_without_rights(master: str) -> None:
    server, other = hosts.host(master), another(master)
    server.check_output("systemctl kill --signal=STOP service")
    try:
        users = server.check_output("for n in $(seq 60); do ps -C curl -o user:40= && break; sleep 0.05; done").split()
        moved(other, time.monotonic())
    finally:
        server.check_output("systemctl kill --signal=CONT service")
    assert set(users) == {"holdfast-virtual-address"}


def test_a_keepalived_of_somebody_else_is_as_it_was() -> None:
    server = hosts.host("one")
    assert server.file("/etc/keepalived/keepalived.conf").content_string == "# somebody else's\n"
    assert not server.service("keepalived").is_enabled


def test_a_changed_setting_is_taken_up_without_a_move(master: str) -> None:
    before = [hosts.host(name).check_output(f"systemctl show -p InvocationID --value {UNIT}") for name in HOSTS]
    # another value than an earlier run of these tests on the same hosts has left
    url = f"http://another{time.time():.0f}.example.org:8080/healthz"
    assert playbook.converged("--check", virtual_address_check_url=url).changed == 2
    assert playbook.converged(virtual_address_check_url=url).changed == 2
    assert holders() == [master]
    assert [hosts.host(name).check_output(f"systemctl show -p InvocationID --value {UNIT}") for name in HOSTS] == before


def test_an_empty_setting_takes_all_away_and_nothing_that_is_somebody_elses() -> None:
    master = both_serve()
    predicted = playbook.converged("--check", virtual_address_ip="")
    assert holders() == [master]
    shared = address()
    removed = playbook.converged(virtual_address_ip="")
    assert removed.changed == predicted.changed == 6
    for name in HOSTS:
        host = hosts.host(name)
        assert host.check_output(f"ip -o address show to {shared}") == ""
        assert not host.user("holdfast-virtual-address").exists
        assert host.check_output("find /etc /run -name '*holdfast-virtual-address*' -not -path '/run/systemd/*'") == ""
        assert host.file("/etc/keepalived/keepalived.conf").exists
        assert host.package("keepalived").is_installed
