# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils import _commands
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import stamps
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import certificate_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crls_from_pem, end_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import not_after
from ansible_collections.holdfast.registry.plugins.module_utils._renewal.job import Job
from ansible_collections.holdfast.registry.plugins.module_utils._renewal.renew import renew
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    ca,
    converge,
    copy_of,
    entry,
    killed_at,
    pair_matches,
    tree,
)

UNIT = "gateway.service"


@pytest.fixture(autouse=True)
def _state(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "STATE", str(tmp_path / "state"))


class Systemctl:
    """systemd, whose units were started long ago. The unit broken cannot be reloaded, and there is none with the name missing."""

    def __init__(self, *, broken="", missing="", active=True):
        self.broken, self.missing, self.active, self.reloads = broken, missing, active, 0

    def __call__(self, *command, **_options):
        if command[:2] == ("systemctl", "show"):
            loaded = "not-found" if command[-1] == self.missing else "loaded"
            return _commands.Result(
                0, f"LoadState={loaded}\nActiveState={'active' if self.active else 'inactive'}\nMainPID=0\nInactiveExitTimestampMonotonic=1\n", ""
            )
        if command[:2] == ("systemctl", "reload"):
            if command[-1] == self.broken:
                return _commands.Result(1, "", "nginx: [emerg] no")
            self.reloads += 1
        return _commands.Result(0, "", "")


def job(tmp_path, **changed):
    defaults = {
        "ca_directory": str(tmp_path / "ca"),
        "directory": str(tmp_path / "tls"),
        "certificates": [{key: value for key, value in entry().items() if value is not None}],
        "allowed_names": [],
        "crl_lifetime_days": 825,
        "crl_renew_before_days": 400,
        "reload": [UNIT],
        "status": str(tmp_path / "state/pki/job.json"),
    }
    path = tmp_path / "job.json"
    path.write_text(json.dumps({**defaults, **changed}))
    return Job.read(str(path))


def read_by_the_service(tmp_path):
    """Record that the service has read the files as they are."""
    stamps.write(UNIT, stamps.Stamp({}, stamps.digests([str(tmp_path / "tls/registry.crt"), str(tmp_path / "tls/ca.crl")])))


def certificate(tmp_path):
    return certificate_from_pem((tmp_path / "tls/registry.crt").read_bytes(), "")


def crl(tmp_path):
    return crls_from_pem((tmp_path / "tls/ca.crl").read_bytes(), "")[0]


def status(tmp_path):
    return json.loads((tmp_path / "state/pki/job.json").read_text())


def test_nothing_is_touched_and_nothing_is_reloaded_while_nothing_is_due(tmp_path):
    converge(tmp_path)
    read_by_the_service(tmp_path)
    before, systemctl = (tree(tmp_path / "ca"), tree(tmp_path / "tls")), Systemctl()
    outcome = renew(job(tmp_path), systemctl, NOW + 300 * DAY)
    assert (outcome.done, outcome.warnings, outcome.error, systemctl.reloads) == ([], [], "", 0)
    assert (tree(tmp_path / "ca"), tree(tmp_path / "tls")) == before
    assert status(tmp_path)["certificates"][0]["needs"] == []


def test_a_ca_that_was_made_while_the_clock_was_ahead_is_warned_of(tmp_path):
    converge(tmp_path, now=NOW + 30 * DAY)
    outcome = renew(job(tmp_path), Systemctl(), NOW)
    assert len(outcome.warnings) == 1
    assert f"the CA in {tmp_path}/ca is not valid before 20" in outcome.warnings[0]
    assert renew(job(tmp_path), Systemctl(), NOW + 31 * DAY).warnings == []


def test_what_a_killed_run_left_of_the_status_goes(tmp_path):
    converge(tmp_path)
    leftover = tmp_path / "state/pki/.job.json.01ab23cd.holdfast-tmp"
    leftover.parent.mkdir(parents=True, exist_ok=True)
    leftover.write_text("{")
    renew(job(tmp_path), Systemctl(), NOW + 300 * DAY)
    assert not leftover.exists()


def test_a_certificate_that_is_due_is_renewed_with_its_key_and_the_service_reads_it(tmp_path):
    converge(tmp_path)
    read_by_the_service(tmp_path)
    key, before, systemctl = (tmp_path / "tls/registry.key").read_bytes(), not_after(certificate(tmp_path)), Systemctl()
    outcome = renew(job(tmp_path), systemctl, NOW + 370 * DAY)
    assert outcome.error == ""
    assert not_after(certificate(tmp_path)) == before + 370 * DAY
    assert (tmp_path / "tls/registry.key").read_bytes() == key
    assert systemctl.reloads == 1
    again = renew(job(tmp_path), systemctl, NOW + 370 * DAY)
    assert (again.done, systemctl.reloads) == ([], 1)


def test_the_playbook_finds_nothing_left_to_do(tmp_path):
    converge(tmp_path)
    renew(job(tmp_path), Systemctl(), NOW + 370 * DAY)
    renewed = tree(tmp_path / "tls")
    made, requested, _signed, installed = converge(tmp_path, now=NOW + 371 * DAY)
    assert (made["changed"], requested["requests"], installed["changed"]) == (False, [], False)
    assert tree(tmp_path / "tls") == renewed


def test_the_crl_is_renewed_long_before_it_ends_and_is_installed(tmp_path):
    converge(tmp_path, lifetime_days=7300)
    end, systemctl = end_of(crl(tmp_path)), Systemctl()
    read_by_the_service(tmp_path)
    outcome = renew(job(tmp_path), systemctl, NOW + 430 * DAY)
    assert outcome.error == ""
    assert end_of(crl(tmp_path)) == end + 430 * DAY
    assert (tmp_path / "ca/ca.crl").read_bytes() == (tmp_path / "tls/ca.crl").read_bytes()
    assert systemctl.reloads == 1


def test_a_ca_near_its_end_is_warned_of_and_one_that_has_ended_signs_nothing(tmp_path):
    converge(tmp_path, lifetime_days=500)
    assert [line for line in renew(job(tmp_path), Systemctl(), NOW + 450 * DAY).warnings if "run the playbook, which renews it" in line]
    before = tree(tmp_path / "tls")
    assert "has expired; run the playbook" in renew(job(tmp_path), Systemctl(), NOW + 501 * DAY).error
    assert tree(tmp_path / "tls") == before


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda path: (path / "ca/ca.key").unlink(), "is there without its key"),
        (lambda path: (path / "ca/issued.jsonl").write_text("no record\n"), "issued.jsonl"),
        (lambda path: ca(path / "ca", new_passphrase=PASSPHRASE), "passphrase"),
    ],
    ids=["no key", "broken record", "encrypted key"],
)
def test_where_it_fails_the_certificate_in_use_stays_and_the_status_says_why(tmp_path, break_it, message):
    converge(tmp_path)
    break_it(tmp_path)
    before = tree(tmp_path / "tls")
    outcome = renew(job(tmp_path), Systemctl(), NOW + 370 * DAY)
    assert message in outcome.error
    assert tree(tmp_path / "tls") == before
    assert status(tmp_path)["error"] == outcome.error


def test_a_reload_that_fails_is_an_error_and_tried_again_the_next_day(tmp_path):
    converge(tmp_path)
    read_by_the_service(tmp_path)
    assert "systemctl reload failed" in renew(job(tmp_path), Systemctl(broken=UNIT), NOW + 370 * DAY).error
    systemctl = Systemctl()
    assert renew(job(tmp_path), systemctl, NOW + 371 * DAY).done == [f"{UNIT}: reloaded"]
    assert systemctl.reloads == 1


def test_a_service_that_does_not_run_is_left_alone(tmp_path):
    converge(tmp_path)
    read_by_the_service(tmp_path)
    systemctl = Systemctl(active=False)
    assert renew(job(tmp_path), systemctl, NOW + 370 * DAY).error == ""
    assert systemctl.reloads == 0


def test_a_service_that_no_playbook_has_started_reads_each_certificate_once(tmp_path):
    """Such as an nginx of somebody's that stands before the gateway."""
    converge(tmp_path)
    systemctl = Systemctl()
    for day, reloads in ((370, 1), (371, 1), (740, 2), (741, 2)):
        assert renew(job(tmp_path), systemctl, NOW + day * DAY).error == ""
        assert systemctl.reloads == reloads


def test_a_service_that_cannot_be_reloaded_does_not_keep_others_from_it(tmp_path):
    converge(tmp_path)
    systemctl = Systemctl(broken="other.service")
    outcome = renew(job(tmp_path, reload=["other.service", UNIT]), systemctl, NOW + 370 * DAY)
    assert "other.service: systemctl reload failed" in outcome.error
    assert (outcome.done[-1], systemctl.reloads) == (f"{UNIT}: reloaded", 1)


def test_a_service_that_is_not_on_the_host_is_warned_of(tmp_path):
    converge(tmp_path)
    systemctl = Systemctl(missing="absent.service")
    outcome = renew(job(tmp_path, reload=["absent.service", UNIT]), systemctl, NOW + 370 * DAY)
    assert outcome.warnings == ["absent.service: there is no such unit (pki_reload_services)"]
    assert (outcome.error, systemctl.reloads) == ("", 1)


def test_a_certificate_of_the_ca_before_stays_until_the_playbook_has_told_the_clients(tmp_path):
    """As after a run that was killed between the CA and its clients."""
    converge(tmp_path)
    read_by_the_service(tmp_path)
    ca(tmp_path / "ca", generation=2)
    before, systemctl = (tmp_path / "tls/registry.crt").read_bytes(), Systemctl()
    for when in (NOW + DAY, NOW + 396 * DAY):
        outcome = renew(job(tmp_path), systemctl, when)
        assert (outcome.error, [line for line in outcome.warnings if "run the playbook" in line]) == ("", [outcome.warnings[0]])
        assert status(tmp_path)["certificates"][0]["needs"][0] == "signed by another CA"
    assert ((tmp_path / "tls/registry.crt").read_bytes(), systemctl.reloads) == (before, 1)
    _made, requested, _signed, _installed = converge(tmp_path, generation=2)
    assert requested["certificates"][0]["needs"] == ["signed by another CA"]
    assert renew(job(tmp_path), systemctl, NOW + 2 * DAY).warnings == []


def test_a_certificate_of_the_ca_before_that_has_expired_is_renewed_all_the_same(tmp_path):
    converge(tmp_path)
    ca(tmp_path / "ca", generation=2)
    outcome = renew(job(tmp_path), Systemctl(), NOW + 398 * DAY)
    assert (outcome.error, outcome.warnings) == ("", [])
    assert status(tmp_path)["certificates"][0]["needs"] == []


def test_names_that_the_ca_is_not_to_sign_are_refused(tmp_path):
    converge(tmp_path)
    outcome = renew(job(tmp_path, allowed_names=["*.elsewhere.test"]), Systemctl(), NOW + 370 * DAY)
    assert "registry.example.org" in outcome.error


def test_killed_at_any_step_the_next_run_finishes_and_the_pair_always_matches(tmp_path):
    when = NOW + 370 * DAY
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    converge(prepared)
    for step in range(200):
        place = copy_of(prepared, step)
        wanted = job(place)
        killed = killed_at(step, lambda: renew(wanted, Systemctl(), when))  # noqa: B023 - run at once
        assert pair_matches(place / "tls")
        assert renew(wanted, Systemctl(), when).error == ""
        assert (not_after(certificate(place)) - when).days >= 396
        if not killed:
            return
    raise AssertionError("never ran to its end")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not what role pki has written"),
        ("[]", "is not what role pki has written"),
        ("{}", "'certificates' is missing"),
    ],
)
def test_a_job_that_cannot_be_read_is_named(tmp_path, content, message):
    path = tmp_path / "job.json"
    path.write_text(content)
    with pytest.raises(HoldfastError, match=message) as error:
        Job.read(str(path))
    assert str(path) in str(error.value)


def test_a_missing_job_is_named(tmp_path):
    with pytest.raises(HoldfastError, match="there is no such file; role pki writes it"):
        Job.read(str(tmp_path / "job.json"))
