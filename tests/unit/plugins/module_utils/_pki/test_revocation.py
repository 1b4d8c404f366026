# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import json

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crls_from_pem, end_of, number_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import isoformat
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
    predict,
    request,
    revoke,
    sign,
    tree,
)


def revoked(directory):
    """The serial numbers in a CA's first CRL."""
    return {single.serial_number for single in crls(directory)[0]}


def crls(directory):
    return crls_from_pem((directory / "ca.crl").read_bytes(), "")


def record(directory):
    return [json.loads(line) for line in (directory / "issued.jsonl").read_text().splitlines()]


def three(tmp_path, **ca_changed):
    ca(tmp_path, **ca_changed)
    requests = [asked(name=name, names=[f"{name}.example.org"], common_name=name) for name in ("alice", "bob", "web")]
    return sign(tmp_path, requests, passphrase=ca_changed.get("passphrase"))["certificates"]


@needs_openssl
@pytest.mark.parametrize("key_type", ["ec-p256", "rsa-3072", "ed25519"])
def test_openssl_reads_the_crl_and_refuses_what_it_lists(tmp_path, key_type):
    alice, bob, _web = three(tmp_path, key_type=key_type)
    revoke(tmp_path, {"serial": bob["serial"], "reason": "keyCompromise"})
    text = openssl("crl", "-in", tmp_path / "ca.crl", "-noout", "-text", "-CAfile", tmp_path / "ca.crt")
    for part in ("verify OK", "Version 2", "CRL Number", "Authority Key Identifier", "Key Compromise"):
        assert part in text
    check = ("verify", "-crl_check", "-x509_strict", "-CRLfile", tmp_path / "ca.crl", "-CAfile", tmp_path / "ca.crt")
    openssl(*check, input=alice["certificate"])
    with pytest.raises(AssertionError, match="certificate revoked"):
        openssl(*check, input=bob["certificate"])


@pytest.mark.parametrize("way", ["serial", "colons", "name", "san", "certificate"])
def test_each_way_of_naming_a_certificate_revokes_it_once(tmp_path, way):
    _alice, bob, _web = three(tmp_path)
    serial = bob["serial"].upper()
    named = {
        "serial": {"serial": bob["serial"]},
        "colons": {"serial": ":".join(serial[place : place + 2] for place in range(0, 32, 2))},
        "name": {"name": "bob"},
        "san": {"name": "BOB.example.org"},
        "certificate": {"certificate": bob["certificate"]},
    }[way]
    before = tree(tmp_path)
    predicted = revoke(tmp_path, {**named, "reason": "superseded"}, check_mode=True)
    assert tree(tmp_path) == before
    real = revoke(tmp_path, {**named, "reason": "superseded"})
    assert (predicted["changes"], predicted["diff"]) == (real["changes"], real["diff"])
    assert real["changes"] == [f"{bob['serial']} (bob): revoked, superseded", f"{tmp_path}/ca.crl: replaced"]
    assert revoked(tmp_path) == {int(bob["serial"], 16)}
    assert [(line["revoked"], line["reason"]) for line in record(tmp_path) if "revoked" in line] == [(isoformat(NOW), "superseded")]
    assert real["crl"] == (tmp_path / "ca.crl").read_text()
    again = revoke(tmp_path, {**named, "reason": "keyCompromise"}, now=NOW + DAY)
    assert (again["changed"], again["changes"], again["revoked"]) == (False, [], real["revoked"])
    assert not ca(tmp_path)["changed"]
    assert (mode(tmp_path / "ca.crl"), mode(tmp_path / "issued.jsonl")) == ("0o644", "0o600")


def test_a_certificate_the_record_lacks_is_revoked_by_itself(tmp_path):
    bob = three(tmp_path)[1]
    (tmp_path / "issued.jsonl").unlink()
    revoke(tmp_path, {"certificate": bob["certificate"]})
    assert revoked(tmp_path) == {int(bob["serial"], 16)}
    assert record(tmp_path)[0]["subject"] == "bob"


def test_the_name_none_is_not_that_of_every_certificate_without_a_common_name(tmp_path):
    ca(tmp_path)
    long = ".".join(["label" * 12] * 2)  # too long for a common name
    sign(tmp_path, [asked(name=name, names=[f"{name}.{long}"]) for name in ("alice", "bob")])
    assert [line["subject"] for line in record(tmp_path)] == [None, None]
    before = tree(tmp_path)
    with pytest.raises(HoldfastError, match=r"certificates\[0\]\.name: this CA's record holds no certificate for 'None'"):
        revoke(tmp_path, {"name": "None"})
    assert tree(tmp_path) == before
    sign(tmp_path, [asked(name="none", names=["none"])])
    assert len(revoke(tmp_path, {"name": "None"})["revoked"]) == 1


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"serial": ""}, r"certificates\[1\]\.serial: '' must be hexadecimal"),
        ({"serial": "77"}, r"certificates\[1\]\.serial: this CA's record holds no certificate with the serial 0+77"),
        ({"serial": "xyz"}, r"certificates\[1\]\.serial: 'xyz' must be hexadecimal"),
        ({"name": "carl"}, r"certificates\[1\]\.name: this CA's record holds no certificate for 'carl'"),
        ({"name": ""}, r"certificates\[1\]\.name: must not be empty"),
        ({"certificate": "rubbish"}, r"certificates\[1\]\.certificate: is not a certificate"),
        ({}, r"certificates\[1\]: needs exactly one of serial, name and certificate, and has none"),
        ({"name": "bob", "serial": "77"}, r"certificates\[1\]: .* has serial and name"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_what_is_not_there_is_refused_by_its_place_and_nothing_is_revoked(tmp_path, named, message, check_mode):
    three(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(HoldfastError, match=message):
        revoke(tmp_path, {"name": "bob"}, named, check_mode=check_mode)
    assert tree(tmp_path) == before


def test_a_certificate_of_another_ca_and_a_key_are_refused(tmp_path):
    three(tmp_path / "one")
    other = three(tmp_path / "two")[0]["certificate"]
    with pytest.raises(HoldfastError, match=r"certificates\[0\]\.certificate: was not signed by this CA"):
        revoke(tmp_path / "one", {"certificate": other})
    with pytest.raises(HoldfastError, match="holds a private key") as caught:
        revoke(tmp_path / "one", {"certificate": other + "-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\n"})
    assert "MIGH" not in str(caught.value)


def test_without_a_ca_a_run_fails_and_a_check_run_predicts(tmp_path):
    with pytest.raises(HoldfastError, match="there is no CA in .*holdfast.registry.ca"):
        revoke(tmp_path, {"name": "bob"})
    assert revoke(tmp_path, {"name": "bob"}, check_mode=True)["changed"]


def test_a_damaged_line_of_the_record_is_named_and_the_record_left(tmp_path):
    three(tmp_path)
    good = (tmp_path / "issued.jsonl").read_text()
    for line in ("rubbish", "[]", "7", "{}", '{"serial": "x", "not_after": "2030-01-01T00:00:00Z"}', '{"serial": "-1", "not_after": "2030-01-01T00:00:00Z"}'):
        (tmp_path / "issued.jsonl").write_text(f"{good}\n{line}\n")
        with pytest.raises(HoldfastError, match="issued.jsonl: line 5 is not one that certificate_sign wrote"):
            revoke(tmp_path, {"name": "bob"})
        assert (tmp_path / "issued.jsonl").read_text() == f"{good}\n{line}\n"


def test_the_crl_is_renewed_in_time_also_when_nothing_was_revoked_and_its_number_rises(tmp_path):
    three(tmp_path)
    numbers = [number_of(crls(tmp_path)[0])]
    assert not ca(tmp_path, now=NOW + 424 * DAY)["changed"]
    for later, reason in ((425, "CRL expires in 400 days"), (425 + 900, "CRL expired")):
        predicted = ca(tmp_path, check_mode=True, now=NOW + later * DAY)
        real = ca(tmp_path, now=NOW + later * DAY)
        assert predicted["needs"] == real["needs"] == [reason]
        assert predicted["diff"] == real["diff"]
        numbers.append(number_of(crls(tmp_path)[0]))
    assert end_of(crls(tmp_path)[0]) == NOW + (425 + 900 + 825) * DAY
    for name in ("alice", "bob"):  # within one second, and with a clock that went back
        revoke(tmp_path, {"name": name})
        numbers.append(number_of(crls(tmp_path)[0]))
    (tmp_path / "ca.crl").unlink()
    ca(tmp_path, now=NOW + 1500 * DAY)
    numbers.append(number_of(crls(tmp_path)[0]))
    assert numbers == sorted(set(numbers))


def test_another_lifetime_of_the_crl_is_a_reason_and_a_revocation_keeps_it(tmp_path):
    three(tmp_path)
    shorter = {"crl_lifetime_days": 30, "crl_renew_before_days": 10}
    assert ca(tmp_path, **shorter)["needs"] == ["CRL lifetime changed from 825 to 30 days"]
    revoke(tmp_path, {"name": "bob"}, now=NOW + DAY)
    assert end_of(crls(tmp_path)[0]) == NOW + 31 * DAY
    assert not ca(tmp_path, now=NOW + DAY, **shorter)["changed"]


@pytest.mark.parametrize("healer", [ca, lambda d: revoke(d, {"name": "bob"})])
def test_killed_at_any_step_the_next_run_of_either_module_finishes_the_crl(tmp_path, healer):
    prepared = tmp_path / "prepared"
    bob = three(prepared)[1]
    left = left_by_kills(prepared, lambda root: revoke(root, {"name": "bob"}))
    for root in left:
        [json.loads(line) for line in (root / "issued.jsonl").read_text().splitlines()]
        in_record = any("revoked" in line for line in record(root))
        healer(root)
        if in_record:
            assert revoked(root) == {int(bob["serial"], 16)}
        revoke(root, {"name": "bob"})
        assert revoked(root) == {int(bob["serial"], 16)}
        assert not ca(root)["changed"]
        assert not revoke(root, {"name": "bob"})["changed"]
        assert not list(root.glob(".*.holdfast-tmp"))
    assert len(left) > 8


def test_signing_and_revoking_at_once_lose_nothing(tmp_path):
    certificates = three(tmp_path)

    def work(number):
        if number % 2:
            sign(tmp_path, [asked(name=f"n{number}")])
        else:
            revoke(tmp_path, {"serial": certificates[number % 3]["serial"]})

    assert in_children(12, work) == [0] * 12
    assert len(record(tmp_path)) == 9
    assert revoked(tmp_path) == {int(certificate["serial"], 16) for certificate in certificates}


# What a revocation means to the host that uses the certificate


def test_a_revoked_certificate_gets_a_new_key_and_a_check_run_says_the_same(tmp_path):
    converge(tmp_path)
    old = (tmp_path / "tls/registry.key").read_bytes()
    revoke(tmp_path / "ca", {"name": "registry.example.org", "reason": "keyCompromise"})
    before = tree(tmp_path)
    predicted = predict(tmp_path)
    assert tree(tmp_path) == before
    real = converge(tmp_path)
    assert needs(real[1]) == needs(predicted[1]) == [["revoked"]]
    for one, other in zip(real[1:], predicted[1:]):
        assert (one["changed"], one.get("changes")) == (other["changed"], other.get("changes"))
    assert (tmp_path / "tls/registry.key").read_bytes() != old
    assert not (tmp_path / "tls/registry.key.new").exists()
    assert (tmp_path / "tls/ca.crl").read_text() == (tmp_path / "ca/ca.crl").read_text()
    assert [step["changed"] for step in converge(tmp_path)] == [False] * 4


def test_the_new_key_of_a_revoked_certificate_waits_and_is_not_made_twice(tmp_path):
    made = converge(tmp_path)[0]
    crl = revoke(tmp_path / "ca", {"name": "registry.example.org"})["crl"]
    first = request(tmp_path / "tls", made["certificate"], crl=crl)
    waiting = (tmp_path / "tls/registry.key.new").read_bytes()
    second = request(tmp_path / "tls", made["certificate"], crl=crl)
    assert (first["changed"], second["changed"], needs(second)) == (True, False, [["revoked"]])
    assert (tmp_path / "tls/registry.key.new").read_bytes() == waiting


def test_another_kind_of_key_for_a_revoked_certificate_gives_both_reasons(tmp_path):
    converge(tmp_path)
    revoke(tmp_path / "ca", {"name": "registry.example.org"})
    real = converge(tmp_path, entry(key_type="ed25519"))
    assert needs(real[1]) == [["key type changed from ec-p256 to ed25519", "revoked"]]
    assert not needs(converge(tmp_path, entry(key_type="ed25519"))[1])


def test_without_the_crl_a_revoked_certificate_is_not_known_as_such(tmp_path):
    made = converge(tmp_path)[0]
    revoke(tmp_path / "ca", {"name": "registry.example.org"})
    assert not needs(request(tmp_path / "tls", made["certificate"]))


def test_a_crl_of_another_ca_or_rubbish_is_refused_and_nothing_is_installed(tmp_path):
    made = converge(tmp_path)[0]
    other = ca(tmp_path / "other", common_name="Other CA")["crl"]
    before = tree(tmp_path / "tls")
    for crl, message in ((other, "crl: holds a CRL that none of the CAs"), ("rubbish", "crl: holds no whole block"), (made["crl"][:90], "crl: holds no whole")):
        with pytest.raises(HoldfastError, match=message):
            install(tmp_path / "tls", [], made["bundle"], crl=crl)
    assert tree(tmp_path / "tls") == before


@pytest.mark.parametrize("passphrase", [None, PASSPHRASE])
def test_during_an_overlap_a_certificate_of_the_ca_before_can_be_revoked(tmp_path, passphrase):
    alice, bob, _web = three(tmp_path, passphrase=passphrase)
    revoke(tmp_path, {"name": "alice"}, passphrase=passphrase)
    ca(tmp_path, generation=2, passphrase=passphrase)
    assert [len(list(crl)) for crl in crls(tmp_path)] == [0, 1]
    end = end_of(crls(tmp_path)[1])
    done = revoke(tmp_path, {"serial": bob["serial"]}, passphrase=passphrase)
    assert done["warnings"] == []
    assert [single.serial_number for single in crls(tmp_path)[1]] == [int(alice["serial"], 16), int(bob["serial"], 16)]
    assert (len(list(crls(tmp_path)[0])), end_of(crls(tmp_path)[1])) == (0, end)
    assert not revoke(tmp_path, {"serial": bob["serial"]}, passphrase=passphrase)["changed"]
    assert not ca(tmp_path, generation=2, passphrase=passphrase)["changed"]


def kept_keys(directory):
    return sorted(directory.glob("ca-previous-*.key"))


def test_the_key_of_the_ca_before_is_kept_closed_and_goes_with_its_last_certificate(tmp_path):
    three(tmp_path)
    key = (tmp_path / "ca.key").read_bytes()
    ca(tmp_path, generation=2)
    assert [(mode(path), path.read_bytes()) for path in kept_keys(tmp_path)] == [("0o600", key)]
    assert ca(tmp_path, generation=2, now=NOW + 398 * DAY)["changed"]
    assert kept_keys(tmp_path) == []
    assert not ca(tmp_path, generation=2, now=NOW + 398 * DAY)["changed"]


def test_a_stolen_key_is_not_kept(tmp_path):
    three(tmp_path)
    ca(tmp_path, generation=2, keep_previous=False)
    assert kept_keys(tmp_path) == []


def test_a_new_passphrase_closes_the_key_of_the_ca_before_too(tmp_path):
    bob = three(tmp_path)[1]
    ca(tmp_path, generation=2)
    ca(tmp_path, generation=2, new_passphrase=PASSPHRASE)
    assert all(b"ENCRYPTED" in path.read_bytes() for path in [tmp_path / "ca.key", *kept_keys(tmp_path)])
    revoke(tmp_path, {"serial": bob["serial"]}, passphrase=PASSPHRASE)
    assert len(list(crls(tmp_path)[1])) == 1


def test_without_its_key_a_certificate_of_a_replaced_ca_is_recorded_as_revoked_with_a_warning(tmp_path):
    bob = three(tmp_path)[1]
    revoke(tmp_path, {"name": "alice"})
    ca(tmp_path, generation=2)
    kept_keys(tmp_path)[0].unlink()
    done = revoke(tmp_path, {"serial": bob["serial"]})
    assert "signed by a CA that has been replaced and whose key is gone" in done["warnings"][0]
    assert [len(list(crl)) for crl in crls(tmp_path)] == [0, 1]
    assert not ca(tmp_path, generation=2)["changed"]


def test_a_certificate_of_a_ca_before_that_is_revoked_gets_a_new_key(tmp_path):
    converge(tmp_path)
    serial = record(tmp_path / "ca")[0]["serial"]
    ca(tmp_path / "ca", generation=2)
    done = revoke(tmp_path / "ca", {"serial": serial})
    assert needs(request(tmp_path / "tls", (tmp_path / "ca/ca.crt").read_text(), crl=done["crl"])) == [["revoked", "signed by another CA"]]


def test_an_encrypted_ca_revokes_with_its_passphrase_only(tmp_path):
    three(tmp_path, passphrase=PASSPHRASE)
    with pytest.raises(HoldfastError, match="passphrase: does not open"):
        revoke(tmp_path, {"name": "bob"}, passphrase="wrong horse")
    assert revoke(tmp_path, {"name": "bob"}, passphrase=PASSPHRASE)["changed"]
