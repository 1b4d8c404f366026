# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The time between two CAs: what is trusted already stays, and a later call takes it away."""

from __future__ import annotations

import dataclasses

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import read_valid_ones
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import kept_so_far, trust
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._trust.steps import (
    ALL,
    ENDPOINTS,
    FIRST,
    NOW,
    SECOND,
    make_ca,
    make_client,
    make_host,
    needs_update,
    present,
    request,
    sign,
    snapshot,
    system_trusts,
)
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

BY_REGISTRY = ALL[1:]


def asked(host, certificate, **keywords):
    """What the module reads with additional: true, before it changes anything."""
    wanted, stores = request(host, [certificate], **{"endpoints": ENDPOINTS, **keywords})
    before = [each for each in kept_so_far(run_program, wanted.name, stores, now=NOW) if each.der != certificate.der]
    return dataclasses.replace(wanted, certificates=[certificate, *before], leave=False, additional=valid_ones), stores


def valid_ones(files):
    return read_valid_ones(run_program, files, now=NOW)


def add(host, certificate, **keywords):
    """What the module does with additional: true."""
    return trust(run_program, *asked(host, certificate, **keywords), check_mode=False)


@pytest.fixture
def host(tmp_path):
    return make_host(tmp_path)


@needs_update
def test_the_present_one_stays_in_every_store_until_a_call_without_it(host):
    present(host, FIRST)
    assert add(host, SECOND)["changed"]
    assert not add(host, SECOND)["changed"]
    assert system_trusts(host) == {"First", "Second"}
    for store in BY_REGISTRY:
        text = (host / store / "certs.d" / ENDPOINTS[0] / "corp.crt").read_text()
        assert SECOND.pem in text and FIRST.pem in text
    assert present(host, SECOND)["changed"]
    assert system_trusts(host) == {"Second"}
    assert FIRST.pem not in (host / "docker/certs.d" / ENDPOINTS[0] / "corp.crt").read_text()


@needs_update
def test_of_two_calls_at_the_same_time_neither_loses_what_the_other_adds(host):
    """Each has read what is kept before the other writes."""
    third = make_ca("Another")
    present(host, FIRST)
    one, other = asked(host, SECOND), asked(host, third)
    trust(run_program, *one, check_mode=False)
    trust(run_program, *other, check_mode=False)
    for store in BY_REGISTRY:
        text = (host / store / "certs.d" / ENDPOINTS[0] / "corp.crt").read_text()
        assert all(each.pem in text for each in (FIRST, SECOND, third)), store
    assert {each.subject for each in kept_so_far(run_program, "corp", request(host, stores=["system"])[1], now=NOW)} == {"CN=First", "CN=Second", "CN=Another"}


@needs_update
def test_both_at_once_afterwards_change_nothing(host):
    present(host, FIRST)
    add(host, SECOND)
    before = snapshot(host)
    assert not present(host, SECOND, FIRST)["changed"]
    assert snapshot(host) == before


@pytest.mark.parametrize("store", BY_REGISTRY)
def test_what_is_kept_elsewhere_stays(host, store):
    present(host, FIRST, stores=[store], endpoints=ENDPOINTS)
    present(host, FIRST, stores=[store], endpoints=ENDPOINTS, name="another")
    add(host, SECOND, stores=[store], endpoints=["registry.example.net"])
    directory = host / store / "certs.d"
    assert FIRST.pem in (directory / ENDPOINTS[1] / "corp.crt").read_text()
    assert SECOND.pem not in (directory / ENDPOINTS[1] / "corp.crt").read_text()
    assert SECOND.pem in (directory / "registry.example.net/corp.crt").read_text()
    assert FIRST.pem in (directory / ENDPOINTS[0] / "another.crt").read_text()


def test_a_certificate_of_the_clients_own_stays(host, tmp_path):
    (tmp_path / "own").mkdir()
    client = make_client(tmp_path / "own")
    present(host, FIRST, stores=["docker"], client=client)
    add(host, SECOND, stores=["docker"])
    directory = host / "docker/certs.d" / ENDPOINTS[0]
    assert (directory / "corp.key").is_symlink() and (directory / "corp.cert").is_symlink()
    # still known to be the module's own
    assert present(host, SECOND, stores=["docker"])["changed"]
    assert not (directory / "corp.key").is_symlink()


def test_what_has_expired_or_cannot_be_read_is_not_kept(host):
    present(host, FIRST, stores=["docker"])
    path = host / "docker/certs.d" / ENDPOINTS[0] / "corp.crt"
    broken = FIRST.pem.replace(FIRST.pem[60:70], "AAAAAAAAAA")
    path.write_text(path.read_text() + sign("Old", days=-1)[0] + broken)
    add(host, SECOND, stores=["docker"])
    kept = kept_so_far(run_program, "corp", request(host, stores=["docker"])[1], now=NOW)
    assert {each.der for each in kept} == {FIRST.der, SECOND.der}


def test_a_host_that_trusted_nobody_trusts_it(host):
    other = make_ca("Other")
    (host / "docker/certs.d" / ENDPOINTS[0]).mkdir(parents=True)
    (host / "docker/certs.d" / ENDPOINTS[0] / "corp-by-hand.crt").write_text(other.pem)
    add(host, SECOND, stores=["docker"])
    text = (host / "docker/certs.d" / ENDPOINTS[0] / "corp.crt").read_text()
    assert SECOND.pem in text and other.pem not in text
