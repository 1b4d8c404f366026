# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64
import functools
import json
import warnings
from datetime import timedelta

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import key_usage
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    certificate_from_pem,
    common_name,
    extension,
    name_text,
    subject_name,
    to_pem,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import (
    generate_key,
    key_from_pem,
    signing_hash,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import matches, parse_pattern
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import not_after, not_before
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    asked,
    ca,
    converge,
    csr,
    entry,
    mode,
    needs_openssl,
    openssl,
    policy,
    revoke,
    sign,
    tree,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # old releases of the library announce the end of old Pythons on import
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH


def raw_csr(key, names):
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(None))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return to_pem(builder.sign(key, signing_hash(key)))


def broken_proof():
    """A request whose signature is of another one."""
    pem = csr()
    der = bytearray(base64.b64decode("".join(pem.splitlines()[1:-1])))
    place = der.find(b"registry.example.org")
    der[place : place + 8] = b"REGISTRY"
    body = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


def extended_csr(*extensions, subject=(), key=None):
    """A request made by other tools, which asks for more."""
    key = key or generate_key("ec-p256")
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([x509.NameAttribute(oid, value) for oid, value in subject]))
    for extension_value in (x509.SubjectAlternativeName([x509.DNSName("a.example.org")]), *extensions):
        builder = builder.add_extension(extension_value, critical=False)
    return to_pem(builder.sign(key, signing_hash(key)))


@functools.cache  # two tests ask for the same request, and a key of this size takes long
def small_exponent_key():
    return rsa.generate_private_key(public_exponent=3, key_size=3072)


@functools.cache
def weak_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


REFUSED = [
    (lambda: asked(lifetime_days=826), {}, r"lifetime_days 826 must be between 1 and max_lifetime_days \(825\)"),
    (lambda: asked(lifetime_days=0), {}, "lifetime_days 0 must be"),
    (lambda: asked(csr="rubbish"), {}, "csr is not a certificate signing request"),
    (lambda: asked(csr=broken_proof()), {}, "signature is wrong"),
    (lambda: asked(csr=raw_csr(generate_key("ec-p256"), [])), {}, "holds no subject alternative names"),
    (
        lambda: asked(csr=raw_csr(generate_key("ec-p256"), [x509.RFC822Name("root@example.org")])),
        {},
        "subject alternative name: 'email:root@example.org'",
    ),
    (lambda: asked(csr=raw_csr(generate_key("ec-p256"), [x509.DNSName("*")])), {}, r"subject alternative name: '\*'"),
    (lambda: asked(csr=raw_csr(weak_key(), [x509.DNSName("a.org")])), {}, "key is of type rsa-2048"),
    (asked, {"allowed_names": ["*.example.org"]}, "192.0.2.10 is not among allowed_names"),
    (lambda: asked(names=["example.org"]), {"allowed_names": ["*.example.org"]}, "example.org is not among allowed_names"),
    (
        lambda: asked(names=["a.example.org"], common_name="bank.example.com"),
        {"allowed_names": ["*.example.org"]},
        "bank.example.com is not among allowed_names",
    ),
    (lambda: asked(usages=[]), {}, "usages must hold"),
    (lambda: asked(csr=raw_csr(small_exponent_key(), [x509.DNSName("a.org")])), {}, "RSA key has the public exponent 3; it must be 65537 or more"),
    (lambda: asked(csr=extended_csr(x509.BasicConstraints(ca=True, path_length=None))), {}, "asks for the certificate of a CA"),
    (lambda: asked(csr=extended_csr(key_usage("key_cert_sign"))), {}, "asks for the key usage of a CA"),
    (lambda: asked(csr=extended_csr(x509.ExtendedKeyUsage([CLIENT]))), {}, r"extended key usage client, which is not among usages \(server\)"),
    (lambda: asked(csr=extended_csr(x509.TLSFeature([x509.TLSFeatureType.status_request]))), {}, r"asks for the extension 1\.3\.6\.1\.5\.5\.7\.1\.24"),
    (lambda: asked(names=["b.example.org"], common_name="evil.test."), {"allowed_names": ["*.example.org"]}, r"evil\.test\. is not among"),
    (lambda: asked(names=["b.example.org"], common_name="evil.example.org:443"), {"allowed_names": ["*.example.org"]}, "evil.example.org:443 is not among"),
    (lambda: asked(names=["b.example.org"], common_name="Our registry"), {"allowed_names": ["*.example.org"]}, "Our registry is not among"),
    (lambda: asked(names=["b.example.org"], common_name="BUILDER", usages=["client"]), {"allowed_names": ["*.example.org", "builder"]}, "BUILDER is not among"),
    (
        lambda: asked(names=["b.example.org"], common_name="bob"),
        {"allowed_common_names": ["a.example.org"]},
        "bob is not among allowed_names or allowed_common_names",
    ),
]


@pytest.mark.parametrize(("make", "policy", "message"), REFUSED)
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_refused_request_is_named_and_nothing_at_all_is_signed(tmp_path, make, policy, message, check_mode):
    ca(tmp_path)
    before = tree(tmp_path)
    good = asked(name="good", names=["a.example.org"])
    with pytest.raises(HoldfastError, match=rf"requests\[1\] \(registry\): .*{message}"):
        sign(tmp_path, [good, make()], check_mode=check_mode, **policy)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("pattern", "message"), [("10.0.0.1/8", "not a network"), ("b_c", "neither a DNS name"), ("*.org", "two labels")])
def test_a_wrong_allowed_name_is_named_with_its_place(pattern, message):
    with pytest.raises(HoldfastError, match=rf"allowed_names\[1\]: .*{message}"):
        policy(allowed_names=["ok.org", pattern])


@pytest.mark.parametrize(
    ("changed", "allowed"),
    [
        ({"names": ["a.test"], "common_name": "A.test"}, {"allowed_names": ["a.test"]}),
        ({"names": ["a.test"], "common_name": "builder", "usages": ["client"]}, {"allowed_names": ["a.test", "builder"]}),
        (
            {"names": ["a.test"], "common_name": "Alice@example.org", "usages": ["client"]},
            {"allowed_names": ["a.test"], "allowed_common_names": ["Alice@example.org"]},
        ),
        ({"names": ["a.test"], "common_name": "Alice"}, {"allowed_common_names": ["Alice"]}),
        ({"names": ["a.test"], "common_name": "Our registry"}, {}),
    ],
)
def test_a_common_name_that_is_allowed_is_signed(tmp_path, changed, allowed):
    ca(tmp_path)
    usages = changed.pop("usages", ["server"])
    signed = sign(tmp_path, [{**asked(**changed), "usages": usages}], **allowed)["certificates"][0]["certificate"]
    assert common_name(certificate_from_pem(signed.encode(), "").subject) == changed["common_name"]


def test_the_cas_own_key_gets_no_certificate(tmp_path):
    ca(tmp_path)
    key = key_from_pem((tmp_path / "ca.key").read_bytes(), "")
    for check_mode in (True, False):
        with pytest.raises(HoldfastError, match=r"requests\[0\] \(registry\): the csr's key is the CA's own"):
            sign(tmp_path, [asked(csr=extended_csr(key=key))], check_mode=check_mode)


def test_what_other_tools_ask_for_is_signed_where_it_changes_nothing_and_what_is_left_out_is_said(tmp_path):
    ca(tmp_path)
    usual = (x509.BasicConstraints(ca=False, path_length=None), key_usage("digital_signature"), x509.ExtendedKeyUsage([SERVER]))
    text = extended_csr(*usual, subject=[(NameOID.ORGANIZATION_NAME, "Example, Inc"), (NameOID.COMMON_NAME, "a.example.org")])
    signed = sign(tmp_path, [asked(csr=text)])
    assert signed["warnings"] == [r"requests[0] (registry): of the subject CN=a.example.org,O=Example\, Inc only the common name goes into the certificate"]
    assert name_text(certificate_from_pem(signed["certificates"][0]["certificate"].encode(), "").subject) == "CN=a.example.org"


def test_a_passphrase_for_an_open_key_is_warned_of(tmp_path):
    ca(tmp_path)
    for result in (sign(tmp_path, [asked()], passphrase=PASSPHRASE), revoke(tmp_path, passphrase=PASSPHRASE)):
        assert result["warnings"][0].startswith(f"passphrase: {tmp_path}/ca.key is not encrypted") and PASSPHRASE not in result["warnings"][0]
    ca(tmp_path, passphrase=PASSPHRASE)
    assert sign(tmp_path, [asked()], passphrase=PASSPHRASE)["warnings"] == []


def test_names_are_matched_by_suffix_exactly_or_by_network():
    patterns = [parse_pattern(text, "") for text in ("*.example.org", "one.example.com", "192.0.2.0/24", "2001:db8::1")]
    for name in ("a.example.org", "a.b.example.org", "*.example.org", "one.example.com", "192.0.2.77", "2001:db8::1"):
        assert matches(name, patterns), name
    for name in ("example.org", "badexample.org", "two.example.com", "x.one.example.com", "192.0.3.1", "2001:db8::2"):
        assert not matches(name, patterns), name


@needs_openssl
def test_name_constraints_bind_the_signer_and_openssl_agrees(tmp_path):
    converge(tmp_path, entry(names=["registry.example.org", "*.example.org"]), permitted_dns_domains=["example.org"])
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "ca/ca.crt", tmp_path / "tls/registry.crt")
    with pytest.raises(HoldfastError, match=r"requests\[0\] \(registry\): badexample.org lies outside the CA's name constraints \(example.org\)"):
        sign(tmp_path / "ca", [asked(names=["badexample.org"])])


def test_a_leaf_is_a_leaf_and_knows_its_ca(tmp_path):
    ca(tmp_path)
    leaf = certificate_from_pem(sign(tmp_path, [asked()])["certificates"][0]["certificate"].encode(), "")
    constraints = leaf.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    usage = leaf.extensions.get_extension_for_class(x509.KeyUsage)
    assert (usage.critical, usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (True, True, False, False)
    issuer = certificate_from_pem((tmp_path / "ca.crt").read_bytes(), "")
    assert extension(leaf, x509.AuthorityKeyIdentifier).key_identifier == extension(issuer, x509.SubjectKeyIdentifier).digest
    assert 0 < leaf.serial_number < 2**128
    assert not_before(leaf) == NOW - timedelta(hours=1)
    assert not_after(leaf) == NOW + 397 * DAY


def test_a_leaf_ends_with_its_ca_and_that_is_warned_of(tmp_path):
    made = ca(tmp_path, lifetime_days=100)
    signed = sign(tmp_path, [asked()])
    assert signed["certificates"][0]["not_after"] == made["not_after"]
    assert "requests[0] (registry): the certificate ends with the CA" in signed["warnings"][0]


def test_every_signature_is_recorded(tmp_path):
    ca(tmp_path)
    first = sign(tmp_path, [asked(), asked(name="two")])
    (tmp_path / "issued.jsonl").write_text((tmp_path / "issued.jsonl").read_text().rstrip("\n"))  # as an editor may leave it
    second = sign(tmp_path, [asked()])
    record = [json.loads(line) for line in (tmp_path / "issued.jsonl").read_text().splitlines()]
    assert [line["serial"] for line in record] == [c["serial"] for c in first["certificates"] + second["certificates"]]
    assert record[0]["names"] == ["registry.example.org", "192.0.2.10"]
    assert set(record[0]) == {"serial", "subject", "names", "not_before", "not_after", "issuer", "issuer_key"}
    assert mode(tmp_path / "issued.jsonl") == "0o600"


def test_signing_in_check_mode_returns_certificates_and_records_nothing(tmp_path):
    ca(tmp_path)
    before = tree(tmp_path)
    assert sign(tmp_path, [asked()], check_mode=True)["certificates"][0]["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert tree(tmp_path) == before


def test_signing_nothing_needs_no_ca(tmp_path):
    assert not sign(tmp_path / "none", [])["changed"]


def test_signing_without_a_ca_says_to_make_it_first(tmp_path):
    with pytest.raises(HoldfastError, match="there is no CA in .*holdfast.registry.ca"):
        sign(tmp_path, [asked()])
    predicted = sign(tmp_path, [asked()], check_mode=True)
    assert (predicted["changed"], predicted["certificates"]) == (True, [])
    ca(tmp_path)
    with pytest.raises(HoldfastError, match="has expired; renew it"):
        sign(tmp_path, [asked()], now=NOW + 4000 * DAY)


def test_an_encrypted_ca_signs_with_its_passphrase_only(tmp_path):
    converge(tmp_path, passphrase=PASSPHRASE)
    with pytest.raises(HoldfastError, match="passphrase: does not open") as caught:
        sign(tmp_path / "ca", [asked()], passphrase="wrong horse")
    assert "wrong horse" not in str(caught.value)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"allowed_key_types": ["ed25519"]}, r"requests\[0\] \(registry\): the csr's key is of type ec-p256, which is not among allowed_key_types \(ed25519\)"),
        ({"allowed_usages": ["client"]}, r"requests\[0\] \(registry\): usage server is not among allowed_usages \(client\)"),
        ({"allowed_key_types": []}, "allowed_key_types: must hold at least one"),
        ({"allowed_usages": []}, "allowed_usages: must hold at least one"),
    ],
)
def test_keys_and_usages_outside_the_policy_are_refused_by_name(tmp_path, policy, message):
    ca(tmp_path)
    with pytest.raises(HoldfastError, match=message):
        sign(tmp_path, [asked()], **policy)


def test_the_common_name_that_a_server_would_know_a_client_by_is_held_to_the_allowed_names(tmp_path):
    ca(tmp_path)
    mallory = asked(names=["bob.example.org"], common_name="alice", usages=["client"])
    with pytest.raises(HoldfastError, match="alice is not among allowed_names"):
        sign(tmp_path, [mallory], allowed_names=["bob.example.org"])
    sign(tmp_path, [mallory], allowed_names=["bob.example.org", "alice"])
