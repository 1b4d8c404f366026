# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How often an ACME server is asked for what is refused when it comes."""

from __future__ import annotations

import json
import pathlib
import re
import time

import pytest
from acme_hosts import bring, issued, read, status

HOUR = 3600
DAY = 24 * HOUR


class Server:
    """An ACME server, and the runs of a timer that asks it."""

    def __init__(self, program, authority, monkeypatch):
        self.program, self.authority, self.real, self.ahead, self.ca, self.orders = program, authority, time.time, 0, "other", []
        self.life = 90
        monkeypatch.setattr(program, "run_certbot", self.issue)
        monkeypatch.setattr(program.time, "time", lambda: self.real() + self.ahead)

    def issue(self, host):
        self.orders.append(self.ahead)
        return issued(host, self.authority, ca=self.ca, days=self.life)

    def run(self, host):
        """What the unit does. Returns its failure, or ""."""
        try:
            for step in (self.program.prepare, self.program.ask, self.program.install):
                step(host)
        except self.program.Failure as failure:
            self.program.report(host, "failed", problem=str(failure))
            return str(failure)
        return ""

    def days(self, host, days, hours=12):
        """The days at which something was ordered, with a run each so many hours."""
        self.orders, first = [], self.ahead
        for number in range(days * 24 // hours):
            self.ahead = first + number * hours * HOUR
            assert "not valid" in self.run(host)
        return [(order - first) / DAY for order in self.orders]


@pytest.fixture
def server(program, authority, monkeypatch):
    return Server(program, authority, monkeypatch)


def test_a_chain_that_never_fits_is_ordered_after_longer_and_longer_waits(host, server):
    assert server.days(host, 22, hours=24) == [0, 1, 3, 7, 14, 21]


def test_a_due_renewal_that_is_refused_waits_and_what_is_in_use_stays(running, program, server):
    running["renew_percent"] = 100
    before = read(running, "certificate")
    assert server.days(running, 6) == [0, 1, 3]
    assert read(running, "certificate") == before


def test_the_waits_are_short_where_certificates_are(host, server):
    server.life = 2
    assert server.days(host, 3) == [0, 0.5, 1, 1.5, 2, 2.5]


def test_the_wait_is_told_in_the_status_with_its_end_and_how_to_end_it(host, server):
    first, second = server.run(host), server.run(host)
    assert first == second == status(host)["problem"]
    path, tomorrow = pathlib.Path(host["csr"]).with_name("refused.json"), time.gmtime(server.real() + DAY)
    assert re.search(rf"; the same is asked for again after {time.strftime('%Y-%m-%d', tomorrow)}T\S+Z, or when {path} is removed$", first)
    assert len(server.orders) == 1
    path.unlink()
    server.run(host)
    assert len(server.orders) == 2


def test_another_wish_is_asked_for_at_once(host, server):
    server.run(host)
    for wish in ({"options": ["--preferred-chain", "ca"]}, {"server": "https://other.example.org/dir"}, {"names": ["a.example.org"]}, {"key_type": "ec-p384"}):
        before = len(server.orders)
        host.update(wish)
        server.run(host)
        server.run(host)
        assert len(server.orders) == before + 1


def test_once_the_ca_is_right_what_was_refused_is_put_in_place_without_an_order(host, authority, program, server):
    server.run(host)
    host["issuer_ca"] = str(authority / "other.crt")
    assert server.run(host) == ""
    assert len(server.orders) == 1
    assert program.needed(host, with_key=True) == ""
    assert not pathlib.Path(host["csr"]).with_name("refused.json").exists()


def test_once_the_clock_is_right_what_was_not_valid_yet_is_put_in_place(host, program, server):
    server.ca, server.ahead = "ca", -2 * DAY
    assert "not valid" in server.run(host)
    server.ahead = 0
    assert server.run(host) == ""
    assert len(server.orders) == 1


def test_a_wait_that_began_while_the_clock_was_ahead_ends_with_it(host, server):
    server.ahead = 300 * DAY
    server.run(host)
    server.ahead = 0
    server.ca = "ca"
    assert server.run(host) == ""


def test_a_certificate_that_fits_ends_the_count(host, server):
    server.days(host, 2)
    server.ahead += 2 * DAY
    server.ca = "ca"
    assert server.run(host) == ""
    host["renew_percent"], server.ca = 100, "other"
    assert server.days(host, 2) == [0, 1]


def test_what_a_killed_run_was_given_is_used_without_another_order(host, program, server):
    server.ca = "ca"
    program.prepare(host)
    program.ask(host)
    assert server.run(host) == ""
    assert len(server.orders) == 1


def test_a_disk_that_is_full_when_the_certificate_is_put_in_place_costs_one_order(host, program, server, monkeypatch):
    server.ca, real = "ca", program.write

    def full(path, content, mode):
        if path == host["certificate"]:
            raise program.Failure(f"{path}: cannot be written: No space left on device")
        real(path, content, mode)

    with monkeypatch.context() as patched:
        patched.setattr(program, "write", full)
        for _run in range(3):
            assert "No space" in server.run(host)
    assert server.run(host) == ""
    assert len(server.orders) == 1


def test_what_was_issued_before_and_is_older_than_what_is_in_use_is_not_used(running, authority, program, server):
    bring(running, issued(running, authority, days=10))
    running["renew_percent"], server.ca = 100, "ca"
    assert server.run(running) == ""
    assert len(server.orders) == 1


@pytest.mark.parametrize("content", ["", "{half", "[]", json.dumps({"wish": 1}), "null"])
def test_a_damaged_memory_is_none(host, server, content):
    server.run(host)
    pathlib.Path(host["csr"]).with_name("refused.json").write_text(content)
    assert "not valid" in server.run(host)
    assert len(server.orders) == 2
