# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json
import warnings
from datetime import datetime, timezone

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import CaSettings
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    certificate_from_pem,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import (
    key_from_pem,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import BACKDATED, isoformat
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    asked,
    ca,
    converge,
    entry,
    in_children,
    install,
    left_by_kills,
    mode,
    needs,
    needs_openssl,
    openssl,
    pair_matches,
    predict,
    request,
    sign,
    tree,
)


def test_no_result_or_diff_holds_a_private_key_or_a_passphrase(tmp_path):
    entries = [entry(), entry(name="two", key_type="ed25519")]
    results = predict(tmp_path, *entries, passphrase=PASSPHRASE) + converge(tmp_path, *entries, passphrase=PASSPHRASE)
    text = json.dumps(results)
    assert "PRIVATE KEY" not in text
    assert PASSPHRASE not in text
    assert PASSPHRASE not in repr(CaSettings("x", passphrase=PASSPHRASE))


def test_twenty_processes_signing_at_once_lose_no_record_and_repeat_no_serial(tmp_path):
    ca(tmp_path)
    requests = [[asked(name=f"n{number}-{index}") for index in range(3)] for number in range(20)]
    assert in_children(20, lambda number: [sign(tmp_path, [single]) for single in requests[number]]) == [0] * 20
    serials = [json.loads(line)["serial"] for line in (tmp_path / "issued.jsonl").read_text().splitlines()]
    assert len(serials) == len(set(serials)) == 60


def test_twenty_processes_making_one_ca_and_one_key_agree(tmp_path):
    def work(number):
        pem = ca(tmp_path / "ca")["certificate"]
        (tmp_path / f"{number}.pem").write_text(pem + request(tmp_path / "tls", pem)["certificates"][0]["key_path"])

    assert in_children(20, work) == [0] * 20
    assert len({path.read_text() for path in tmp_path.glob("*.pem")}) == 1


def whole(root):
    """Every key and certificate below root can be read."""
    for path in root.rglob("*"):
        if path.suffix in (".key", ".new"):
            key_from_pem(path.read_bytes(), str(path))
        elif path.suffix == ".crt":
            certificate_from_pem(path.read_bytes(), str(path))
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("changed", [None, {"key_type": "ed25519"}, {"names": ["new.example.org"]}])
def test_killed_at_any_step_files_are_whole_and_the_next_run_finishes(tmp_path, changed):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    if changed:
        converge(prepared)
    left = left_by_kills(prepared, lambda root: converge(root, entry(**(changed or {}))))
    for root in left:
        whole(root)
        if changed:
            assert pair_matches(root / "tls") or pair_matches(root / "tls", key="registry.key.new")
        converge(root, entry(**(changed or {})))
        assert pair_matches(root / "tls")
        assert [s["changed"] for s in converge(root, entry(**(changed or {})))] == [False] * 4
        assert not [path for path in root.rglob("*") if path.name.endswith((".new", ".holdfast-tmp"))]
        assert [mode(root / place) for place in ("ca", "tls")] == ["0o700", "0o755"]
    assert len(left) > 14


def test_nothing_here_uses_what_the_library_deprecates(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converge(tmp_path, entry(), entry(name="two", key_type="ed25519"), permitted_dns_domains=["example.org"])
        converge(tmp_path, entry(), entry(name="two", key_type="rsa-3072"), permitted_dns_domains=["example.org"])


def test_what_was_made_while_the_clock_was_ahead_is_made_again(tmp_path):
    converge(tmp_path, now=NOW + 30 * DAY)
    key = (tmp_path / "ca/ca.key").read_bytes()
    early = f"not valid before {isoformat(NOW + 30 * DAY - BACKDATED)}"
    made, requested, *_others = converge(tmp_path)
    assert (made["needs"], needs(requested)) == ([early, f"CRL {early}"], [[early]])
    assert (tmp_path / "ca/ca.key").read_bytes() == key
    again, requested, *_others = converge(tmp_path)
    assert (again["needs"], again["certificate"], needs(requested)) == ([], made["certificate"], [])


def test_times_are_utc():
    assert isoformat(datetime(2036, 1, 31, 12, tzinfo=timezone.utc)) == "2036-01-31T12:00:00Z"


def test_a_private_key_pasted_by_mistake_is_refused_without_an_echo(tmp_path):
    made, _requested, signed, _installed = converge(tmp_path)
    key = (tmp_path / "tls/registry.key").read_text()
    good = signed["certificates"][0]
    for act in (
        lambda: install(tmp_path / "tls", [{**good, "certificate": good["certificate"] + key}], made["certificate"]),
        lambda: install(tmp_path / "tls", [good], made["certificate"] + key),
        lambda: request(tmp_path / "tls", made["certificate"] + key),
        lambda: sign(tmp_path / "ca", [asked(csr=key)]),
    ):
        with pytest.raises(HoldfastError, match="holds a private key") as caught:
            act()
        assert key.splitlines()[1] not in str(caught.value)


@needs_openssl
def test_the_url_of_the_crl_is_in_the_certificate_and_the_crl_is_there_in_der_form(tmp_path):
    url = "http://registry.example.org/ca.crl"
    converge(tmp_path)
    made = ca(tmp_path / "ca")
    requested = request(tmp_path / "tls", made["certificate"], entry(crl_url=url))
    assert needs(requested) == [[f"URL of the CRL changed from none to {url}"]]
    signed = sign(tmp_path / "ca", requested["requests"])
    install(tmp_path / "tls", signed["certificates"], made["bundle"], crl=made["crl"], crl_der=True)
    assert f"URI:{url}" in openssl("x509", "-noout", "-text", "-in", tmp_path / "tls/registry.crt")
    assert "verify OK" in openssl("crl", "-inform", "DER", "-noout", "-in", tmp_path / "tls/ca.crl.der", "-CAfile", tmp_path / "tls/ca.crt")
    assert request(tmp_path / "tls", made["certificate"], entry(crl_url=url))["requests"] == []
    assert needs(request(tmp_path / "tls", made["certificate"])) == [[f"URL of the CRL changed from {url} to none"]]


def test_the_directory_of_a_ca_is_none_for_certificates(tmp_path):
    made, _requested, signed, _installed = converge(tmp_path)
    before = tree(tmp_path / "ca")
    for step in (lambda: request(tmp_path / "ca", made["certificate"]), lambda: install(tmp_path / "ca", signed["certificates"], made["bundle"])):
        with pytest.raises(HoldfastError, match=r"^directory: .*/ca is that of a CA"):
            step()
    assert tree(tmp_path / "ca") == before


@pytest.mark.parametrize(
    "url", ["registry.example.org/ca.crl", "ftp://registry.example.org/ca.crl", "http://registry.example.org", "http://a/b c", "http://a/\n"]
)
def test_a_url_that_leads_nowhere_is_refused_by_name(tmp_path, url):
    made = ca(tmp_path / "ca")
    with pytest.raises(HoldfastError, match=r"certificates\[0\]\.crl_url"):
        request(tmp_path / "tls", made["certificate"], entry(crl_url=url))
