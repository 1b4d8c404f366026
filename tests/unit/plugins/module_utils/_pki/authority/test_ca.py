# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import shutil
import warnings
from datetime import timedelta

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import CaSettings, issue_ca
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    certificate_from_pem,
    extension,
    to_pem,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import (
    KEY_TYPES,
    generate_key,
    key_from_pem,
    key_to_pem,
    key_type_of,
    signing_hash,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import not_before
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    ca,
    converge,
    entry,
    mode,
    openssl,
    request,
    tree,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # old releases of the library announce the end of old Pythons on import
    from cryptography import x509


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_every_key_type_gives_a_chain_that_openssl_accepts_strictly(tmp_path, key_type):
    _ca, requested, _signed, _installed = converge(tmp_path, entry(key_type=key_type, usages=["server", "client"]), key_type=key_type)
    certificate = certificate_from_pem((tmp_path / "tls/registry.crt").read_bytes(), "")
    assert key_type_of(certificate.public_key()) == key_type
    if shutil.which("openssl"):
        for purpose in ("sslserver", "sslclient"):
            openssl("verify", "-purpose", purpose, "-x509_strict", "-CAfile", tmp_path / "ca/ca.crt", tmp_path / "tls/registry.crt")
        assert "OK" in openssl("req", "-verify", "-noout", input=requested["requests"][0]["csr"])


def test_a_new_ca_has_private_files_and_the_constraints_of_a_ca(tmp_path):
    result = ca(tmp_path / "deep/er/ca")
    assert (result["changed"], result["needs"], result["days_left"]) == (True, ["missing"], 3650)
    assert [mode(tmp_path / p) for p in ("deep", "deep/er", "deep/er/ca", "deep/er/ca/ca.key", "deep/er/ca/ca.crt")] == [
        "0o755",
        "0o755",
        "0o700",
        "0o600",
        "0o644",
    ]
    certificate = certificate_from_pem(result["certificate"].encode(), "")
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, True, False)
    assert not_before(certificate) == NOW - timedelta(hours=1)
    assert extension(certificate, x509.SubjectKeyIdentifier)
    assert b"BEGIN PRIVATE KEY" in (tmp_path / "deep/er/ca/ca.key").read_bytes()


def test_a_second_run_of_the_ca_changes_nothing(tmp_path):
    first = ca(tmp_path)
    before = tree(tmp_path)
    second = ca(tmp_path, now=NOW + DAY)
    assert (second["changed"], second["needs"], second["days_left"]) == (False, [], 3649)
    assert second["certificate"] == first["certificate"]
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("later", "changed", "reason"),
    [
        (3560 * DAY, {}, "expires in 90 days"),
        (4000 * DAY, {}, "expired"),
        (DAY, {"common_name": "Other CA"}, "common name changed from Test CA to Other CA"),
        (DAY, {"permitted_dns_domains": ["Example.org"]}, "name constraints changed from none to example.org"),
    ],
)
def test_a_ca_is_renewed_for_a_reason_and_keeps_its_key(tmp_path, later, changed, reason):
    changed = {"crl_lifetime_days": 9000, **changed}
    ca(tmp_path, crl_lifetime_days=9000)
    key = (tmp_path / "ca.key").read_bytes()
    predicted = ca(tmp_path, check_mode=True, now=NOW + later, **changed)
    result = ca(tmp_path, now=NOW + later, **changed)
    assert (result["changed"], result["needs"]) == (predicted["changed"], predicted["needs"])
    assert (result["changed"], result["needs"][0]) == (True, reason)
    assert (tmp_path / "ca.key").read_bytes() == key
    assert not ca(tmp_path, now=NOW + later, **changed)["changed"]


def test_a_ca_is_left_alone_a_day_before_it_is_due(tmp_path):
    ca(tmp_path, crl_lifetime_days=9000)
    assert not ca(tmp_path, now=NOW + 3559 * DAY, crl_lifetime_days=9000)["changed"]


def test_leaves_of_a_renewed_ca_stay_valid(tmp_path):
    converge(tmp_path)
    renewed = ca(tmp_path / "ca", now=NOW + 3560 * DAY)
    assert "signed by another CA" not in request(tmp_path / "tls", renewed["certificate"])["certificates"][0]["needs"]
    if shutil.which("openssl"):
        openssl("verify", "-x509_strict", "-CAfile", tmp_path / "ca/ca.crt", "-no_check_time", tmp_path / "tls/registry.crt")


def test_a_passphrase_encrypts_the_key_also_of_a_ca_that_is_there(tmp_path):
    first = ca(tmp_path)
    result = ca(tmp_path, passphrase=PASSPHRASE)
    assert (result["changed"], result["needs"], result["certificate"]) == (True, ["key not encrypted"], first["certificate"])
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in (tmp_path / "ca.key").read_bytes()
    assert not ca(tmp_path, passphrase=PASSPHRASE)["changed"]
    with pytest.raises(HoldfastError, match="passphrase: does not open .*ca.key") as caught:
        ca(tmp_path, passphrase="wrong horse")
    assert "wrong horse" not in str(caught.value)
    with pytest.raises(HoldfastError, match="ca.key: the private key is encrypted and no passphrase"):
        ca(tmp_path)


def test_a_key_others_can_read_gets_its_mode_back(tmp_path):
    ca(tmp_path)
    (tmp_path / "ca.key").chmod(0o644)
    assert ca(tmp_path, check_mode=True)["needs"] == ca(tmp_path)["needs"] == ["key not mode 0600"]
    assert mode(tmp_path / "ca.key") == "0o600"


def test_a_certificate_is_made_again_from_a_key_that_stands_alone(tmp_path):
    ca(tmp_path)
    key = (tmp_path / "ca.key").read_bytes()
    (tmp_path / "ca.crt").unlink()
    assert ca(tmp_path)["needs"] == ["missing"]
    assert (tmp_path / "ca.key").read_bytes() == key


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "ca.key").unlink(), "is there without its key"),
        (lambda d: (d / "ca.key").write_bytes(b"rubbish"), "holds no private key"),
        (lambda d: (d / "ca.crt").write_bytes(b"rubbish"), "is not a certificate"),
        (lambda d: (d / "ca.key").write_bytes(key_to_pem(generate_key("ec-p256"))), "does not match the key"),
        (lambda d: (d / "ca.key").write_bytes(key_to_pem(generate_key("ec-p256"), "other")), "is encrypted and no passphrase"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_damaged_ca_is_refused_and_left_as_it_is(tmp_path, damage, message, check_mode):
    ca(tmp_path)
    damage(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(HoldfastError, match=message):
        ca(tmp_path, check_mode=check_mode)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lifetime_days": 90}, r"lifetime_days: 90 must be greater than renew_before_days \(90\)"),
        ({"lifetime_days": 0}, "lifetime_days: 0 must be between 1 and"),
        ({"renew_before_days": -1}, "renew_before_days: -1"),
        ({"common_name": ""}, "common_name: ''"),
        ({"common_name": "x" * 65}, "common_name: "),
        ({"common_name": "ä" * 32 + "x"}, "must be 1 to 64 bytes"),
        ({"common_name": "\udc80"}, "common_name: "),
        ({"passphrase": ""}, "passphrase: must be 1 to 1023 bytes"),
        ({"permitted_dns_domains": ["ok.org", "*.example.org"]}, r"permitted_dns_domains\[1\]: '\*\.example\.org'"),
        ({"permitted_dns_domains": ["10.0.0.1"]}, r"permitted_dns_domains\[0\]"),
    ],
)
def test_a_wrong_ca_parameter_is_named_and_nothing_is_made(tmp_path, changed, message):
    with pytest.raises(HoldfastError, match=message):
        ca(tmp_path / "ca", **changed)
    assert not (tmp_path / "ca").exists()


def test_a_relative_directory_is_refused():
    with pytest.raises(HoldfastError, match="directory: 'relative/path' must be an absolute path"):
        ca("relative/path")


def test_another_key_type_is_refused_and_the_ways_out_are_said(tmp_path):
    ca(tmp_path)
    with pytest.raises(HoldfastError, match="key_type: .* has an ec-p256 key, not ed25519.*set key_type to ec-p256, or .*: set generation to 2"):
        ca(tmp_path, key_type="ed25519")


def test_a_certificate_that_is_not_self_signed_is_not_renewed(tmp_path):
    ca(tmp_path)
    key = key_from_pem((tmp_path / "ca.key").read_bytes(), "")
    leaf = issue_ca(key, CaSettings("Test CA"), NOW)
    other = issue_ca(generate_key("ec-p256"), CaSettings("Root"), NOW)
    builder = x509.CertificateBuilder().subject_name(leaf.subject).issuer_name(other.subject).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + DAY).add_extension(x509.BasicConstraints(True, 0), True)
    (tmp_path / "ca.crt").write_text(to_pem(builder.sign(generate_key("ec-p256"), signing_hash(key))))
    with pytest.raises(HoldfastError, match="is not self-signed"):
        ca(tmp_path)
