# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role pki on a host that has the CA itself: a timer renews what is due."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from scenario import hosts, playbook
from testinfra.host import Host

DIRECTORY = "/etc/ssl/own"
CERTIFICATE = f"{DIRECTORY}/store.crt"
UNIT = "holdfast-pki@etc-ssl-own"
JOB = "/etc/holdfast-pki/etc-ssl-own.json"
PROGRAM = "/usr/bin/python3 -IB /usr/local/lib/holdfast-pki/renew"


def status(ca: Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ca.check_output("cat /var/lib/holdfast/pki/etc-ssl-own.json"))
    return found


def serial(ca: Host, path: str = CERTIFICATE) -> str:
    return str(ca.check_output(f"openssl x509 -noout -serial -in {path}"))


@pytest.fixture
def all_due(ca: Host) -> Iterator[None]:
    """A job that wants a longer certificate, so that it is due today."""
    ca.check_output(f"cp -p {JOB} /root/job.json")
    job = json.loads(ca.check_output(f"cat {JOB}"))
    job["certificates"][0]["lifetime_days"] += 1
    job["crl_lifetime_days"] += 1
    hosts.write(ca, JOB, json.dumps(job))
    yield
    ca.check_output(f"cp -p /root/job.json {JOB}")
    assert start(ca) == 0


@pytest.fixture
def shop(ca: Host) -> Iterator[None]:
    """A service that no playbook of ours has started, such as another web server. It writes a line for each reload."""
    unit = "[Service]\nExecStart=sleep infinity\nExecReload=sh -c 'echo >>/root/reloads'\n"
    hosts.write(ca, "/etc/systemd/system/shop.service", unit)
    ca.check_output("rm -f /root/reloads; systemctl daemon-reload; systemctl start shop.service")
    yield
    ca.check_output("systemctl stop shop.service; rm /etc/systemd/system/shop.service; systemctl daemon-reload")


def start(ca: Host) -> int:
    # systemd refuses a unit that is started more than five times in ten seconds
    return int(ca.run(f"systemctl reset-failed {UNIT}.service; systemctl start {UNIT}.service").rc)


def test_the_timer_runs_every_day_and_its_service_does_nothing_while_nothing_is_due(ca: Host) -> None:
    assert ca.check_output(f"systemctl is-active {UNIT}.timer; systemctl is-enabled {UNIT}.timer").split() == ["active", "enabled"]
    before = serial(ca)
    assert start(ca) == 0
    assert serial(ca) == before
    assert (status(ca)["done"], status(ca)["error"]) == ([], "")
    assert status(ca)["certificates"][0]["days_left"] >= 395


@pytest.mark.usefixtures("all_due")
def test_the_service_renews_certificate_and_crl_in_its_sandbox_and_keeps_the_key(ca: Host) -> None:
    before, crl, key = serial(ca), ca.file(f"{DIRECTORY}/ca.crl").md5sum, ca.file(f"{DIRECTORY}/store.key").md5sum
    assert start(ca) == 0, ca.check_output(f"journalctl -u {UNIT}.service")
    assert serial(ca) != before
    assert ca.file(f"{DIRECTORY}/store.key").md5sum == key
    assert (ca.file(f"{DIRECTORY}/store.key").mode, ca.file(f"{DIRECTORY}/store.key").user) == (0o600, "root")
    assert ca.run(f"openssl verify -x509_strict -purpose sslserver -CAfile {DIRECTORY}/ca.crt {CERTIFICATE}").rc == 0
    assert ca.file(f"{DIRECTORY}/ca.crl").md5sum != crl
    assert f"{CERTIFICATE}: replaced" in status(ca)["done"]


@pytest.mark.usefixtures("shop", "all_due")
def test_a_service_that_no_playbook_has_started_is_reloaded_once_for_each_certificate(ca: Host) -> None:
    assert (start(ca), start(ca)) == (0, 0), status(ca)["error"]
    assert ca.check_output("wc -l </root/reloads") == "1"
    ca.check_output(f"rm {CERTIFICATE}")
    assert playbook.converged("--limit=ca").changed > 0
    assert (start(ca), start(ca)) == (0, 0), status(ca)["error"]
    assert ca.check_output("wc -l </root/reloads") == "2"


def test_a_service_that_is_not_there_is_warned_of(ca: Host) -> None:
    assert start(ca) == 0
    assert status(ca)["warnings"] == ["shop.service: there is no such unit (pki_reload_services)"]


def test_a_year_later_both_are_renewed_without_a_playbook(ca: Host) -> None:
    ca.check_output("command -v faketime || apt-get install -qq --no-install-recommends -y faketime >/dev/null 2>&1")
    ca.check_output(f"rm -rf /root/own && mkdir /root/own && cp -a {DIRECTORY} {DIRECTORY}-ca /root/own")
    before, end = serial(ca), "date -u -d '+450 days' '+%Y-%m-%d %H:%M:%S'"
    try:
        assert ca.run(f'faketime "$({end})" openssl verify -CAfile {DIRECTORY}/ca.crt {CERTIFICATE}').rc != 0
        ca.check_output(f'faketime "$({end})" {PROGRAM} {JOB}')
        assert serial(ca) != before
        check = f"openssl verify -x509_strict -crl_check -CRLfile {DIRECTORY}/ca.crl -CAfile {DIRECTORY}/ca.crt {CERTIFICATE}"
        assert ca.run(f'faketime "$({end})" {check}').rc == 0
        assert any("CRL" in line for line in status(ca)["done"])
    finally:
        ca.check_output(f"rm -rf {DIRECTORY} {DIRECTORY}-ca && cp -a /root/own/* /etc/ssl")


@pytest.mark.usefixtures("all_due")
def test_where_the_ca_cannot_sign_the_unit_fails_says_why_and_leaves_the_certificate(ca: Host) -> None:
    before = serial(ca)
    ca.check_output(f"mv {DIRECTORY}-ca/ca.key /root/ca.key")
    try:
        assert start(ca) != 0
    finally:
        ca.check_output(f"mv /root/ca.key {DIRECTORY}-ca/ca.key")
    assert serial(ca) == before
    assert "is there without its key" in status(ca)["error"]
    assert "Certificates and CRL stay as they are" in ca.check_output(f"journalctl -u {UNIT}.service -p err -o cat")
    assert start(ca) == 0
    assert status(ca)["error"] == ""


def test_the_timer_and_what_belongs_to_it_go_when_it_is_not_wanted_and_certificates_stay(ca: Host) -> None:
    before = serial(ca)
    assert playbook.converged("--limit=ca", "--check", timer=False).changed == playbook.converged("--limit=ca", timer=False).changed == 2
    assert ca.run(f"systemctl is-active {UNIT}.timer").stdout.strip() == "inactive"
    assert not ca.file(JOB).exists
    assert serial(ca) == before
    assert playbook.converged("--limit=ca", timer=False).changed == 0
    assert playbook.converged("--limit=ca", "--check").changed == playbook.converged("--limit=ca").changed == 1
    assert ca.run(f"systemctl is-active {UNIT}.timer").stdout.strip() == "active"
