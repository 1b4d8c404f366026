# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import base64
import itertools
import json
import shutil
import warnings
from datetime import datetime, timedelta, timezone

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils import (
    x509,
    x509_ca_certificate,
    x509_names,
    x509_request,
    x509_sign,
)
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.x509_steps import (
    DAY,
    NOW,
    PASSPHRASE,
    asked,
    ca,
    converge,
    csr,
    entry,
    in_children,
    install,
    killed_at,
    mode,
    needs,
    needs_openssl,
    openssl,
    predict,
    request,
    sign,
    tree,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # old releases of the library announce the end of old Pythons on import
    from cryptography import x509 as cx509


def pair_matches(tls, key="registry.key"):
    key = x509.key_from_pem((tls / key).read_bytes(), "key")
    certificate = x509.certificate_from_pem((tls / "registry.crt").read_bytes(), "crt")
    return x509.key_bits(key.public_key()) == x509.key_bits(certificate.public_key())


# The CA


@pytest.mark.parametrize("key_type", x509.KEY_TYPES)
def test_every_key_type_gives_a_chain_that_openssl_accepts_strictly(tmp_path, key_type):
    _ca, requested, _signed, _installed = converge(tmp_path, entry(key_type=key_type, usages=["server", "client"]), key_type=key_type)
    certificate = x509.certificate_from_pem((tmp_path / "tls/registry.crt").read_bytes(), "")
    assert x509.key_type_of(certificate.public_key()) == key_type
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
    certificate = x509.certificate_from_pem(result["certificate"].encode(), "")
    constraints = certificate.extensions.get_extension_for_class(cx509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    usage = certificate.extensions.get_extension_for_class(cx509.KeyUsage)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, True, False)
    assert x509.not_before(certificate) == NOW - timedelta(hours=1)
    assert x509.extension(certificate, cx509.SubjectKeyIdentifier)
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
    predicted = ca(tmp_path, True, now=NOW + later, **changed)
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
    assert ca(tmp_path, True)["needs"] == ca(tmp_path)["needs"] == ["key not mode 0600"]
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
        (lambda d: (d / "ca.key").write_bytes(x509.key_to_pem(x509.generate_key("ec-p256"))), "does not match the key"),
        (lambda d: (d / "ca.key").write_bytes(x509.key_to_pem(x509.generate_key("ec-p256"), "other")), "is encrypted and no passphrase"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_damaged_ca_is_refused_and_left_as_it_is(tmp_path, damage, message, check_mode):
    ca(tmp_path)
    damage(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(HoldfastError, match=message):
        ca(tmp_path, check_mode)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"lifetime_days": 90}, r"lifetime_days: 90 must be greater than renew_before_days \(90\)"),
        ({"lifetime_days": 0}, "lifetime_days: 0 must be between 1 and"),
        ({"renew_before_days": -1}, "renew_before_days: -1"),
        ({"common_name": ""}, "common_name: ''"),
        ({"common_name": "x" * 65}, "common_name: "),
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
    key = x509.key_from_pem((tmp_path / "ca.key").read_bytes(), "")
    leaf = x509_ca_certificate.issue(key, x509_ca_certificate.Wanted(str(tmp_path), "Test CA"), NOW)
    other = x509_ca_certificate.issue(x509.generate_key("ec-p256"), x509_ca_certificate.Wanted(str(tmp_path), "Root"), NOW)
    builder = cx509.CertificateBuilder().subject_name(leaf.subject).issuer_name(other.subject).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + DAY).add_extension(cx509.BasicConstraints(True, 0), True)
    (tmp_path / "ca.crt").write_text(x509.to_pem(builder.sign(x509.generate_key("ec-p256"), x509.signing_hash(key))))
    with pytest.raises(HoldfastError, match="is not self-signed"):
        ca(tmp_path)


# Requests


def test_a_second_run_of_all_four_changes_nothing(tmp_path):
    assert [step["changed"] for step in converge(tmp_path)] == [True] * 4
    before = tree(tmp_path)
    again = converge(tmp_path, now=NOW + DAY)
    assert [step["changed"] for step in again] == [False] * 4
    assert again[1]["requests"] == []
    assert again[1]["certificates"][0]["days_left"] == 396
    assert tree(tmp_path) == before
    assert [mode(tmp_path / "tls" / name) for name in ("", "registry.key", "registry.crt", "ca.crt")] == ["0o755", "0o600", "0o644", "0o644"]


@pytest.mark.parametrize(
    ("changed", "later", "reason"),
    [
        ({}, 367 * DAY, "expires in 30 days"),
        ({}, 500 * DAY, "expired"),
        (
            {"names": ["registry.example.org", "mirror.example.org"]},
            DAY,
            "names changed from registry.example.org, 192.0.2.10 to registry.example.org, mirror.example.org",
        ),
        ({"usages": ["server", "client"]}, DAY, "usages changed from server to server, client"),
        ({"lifetime_days": 90}, DAY, "lifetime changed from 397 to 90 days"),
        ({"lifetime_days": 800}, DAY, "lifetime changed from 397 to 800 days"),
        ({"common_name": "Registry"}, DAY, "common name changed from registry.example.org to Registry"),
        ({"key_type": "ed25519"}, DAY, "key type changed from ec-p256 to ed25519"),
    ],
)
def test_a_certificate_is_signed_again_for_a_reason_once_and_a_check_run_says_the_same(tmp_path, changed, later, reason):
    converge(tmp_path)
    before = tree(tmp_path)
    predicted = predict(tmp_path, entry(**changed), now=NOW + later)
    assert tree(tmp_path) == before
    real = converge(tmp_path, entry(**changed), now=NOW + later)
    assert needs(real[1]) == needs(predicted[1]) == [[reason]]
    assert [step["changed"] for step in real] == [step["changed"] for step in predicted]
    assert real[1]["changes"] == predicted[1]["changes"]
    assert real[1]["diff"] == predicted[1]["diff"]
    assert real[3]["changes"] == predicted[3]["changes"]
    assert pair_matches(tmp_path / "tls")
    assert not (tmp_path / "tls/registry.key.new").exists()
    assert [step["changed"] for step in converge(tmp_path, entry(**changed), now=NOW + later)] == [False] * 4


def test_another_order_and_repeated_names_are_no_reason(tmp_path):
    converge(tmp_path)
    names = ["192.0.2.10", "REGISTRY.example.org", "registry.example.org"]
    assert not needs(converge(tmp_path, entry(names=names))[1])


def test_a_renamed_ca_signs_everything_again_and_a_check_run_says_so(tmp_path):
    converge(tmp_path)
    before = tree(tmp_path)
    predicted = predict(tmp_path, common_name="Other CA")
    assert tree(tmp_path) == before
    real = converge(tmp_path, common_name="Other CA")
    assert needs(predicted[1]) == needs(real[1]) == [["signed by another CA"]]
    assert [step["changed"] for step in predicted] == [step["changed"] for step in real]
    assert predicted[3]["changes"] == real[3]["changes"]
    assert [step["changed"] for step in converge(tmp_path, common_name="Other CA")] == [False] * 4


def test_a_check_run_that_widens_the_name_constraints_does_not_fail(tmp_path):
    converge(tmp_path, permitted_dns_domains=["example.org"])
    wider = {"permitted_dns_domains": ["example.org", "example.com"]}
    predicted = predict(tmp_path, entry(names=["a.example.com"]), **wider)
    assert "a.example.com lies outside" in predicted[2]["warnings"][0]
    real = converge(tmp_path, entry(names=["a.example.com"]), **wider)
    assert [step["changed"] for step in predicted] == [step["changed"] for step in real]


def test_another_ca_is_a_reason(tmp_path):
    converge(tmp_path)
    shutil.rmtree(tmp_path / "ca")
    predicted, real = predict(tmp_path), converge(tmp_path)
    assert needs(predicted[1]) == needs(real[1]) == [["signed by another CA"]]
    assert not needs(converge(tmp_path)[1])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: (d / "registry.crt").write_text("rubbish"), "unreadable"),
        (lambda d: (d / "registry.crt").unlink(), "missing"),
        (lambda d: (d / "registry.key").unlink(), "key changed"),
        (lambda d: (d / "registry.key").write_bytes(x509.key_to_pem(x509.generate_key("ec-p256"))), "key changed"),
    ],
)
def test_damage_is_a_reason_and_is_repaired(tmp_path, damage, reason):
    converge(tmp_path)
    damage(tmp_path / "tls")
    predicted, real = predict(tmp_path), converge(tmp_path)
    assert needs(predicted[1]) == needs(real[1]) == [[reason]]
    assert [step["changed"] for step in real] == [step["changed"] for step in predicted]
    assert pair_matches(tmp_path / "tls")
    assert [step["changed"] for step in converge(tmp_path)] == [False] * 4


def test_an_unreadable_key_is_refused_and_left_as_it_is(tmp_path):
    converge(tmp_path)
    (tmp_path / "tls/registry.key").write_text("rubbish")
    with pytest.raises(HoldfastError, match="registry.key: holds no private key"):
        converge(tmp_path)
    assert (tmp_path / "tls/registry.key").read_text() == "rubbish"


def test_a_key_of_another_type_waits_until_its_certificate_is_installed(tmp_path):
    made = converge(tmp_path)[0]
    tls = tmp_path / "tls"
    old = (tls / "registry.key").read_bytes()
    first = request(tls, made["certificate"], entry(key_type="ec-p384"))
    assert (tls / "registry.key").read_bytes() == old
    assert pair_matches(tls)
    again = request(tls, made["certificate"], entry(key_type="ec-p384"))
    assert (first["changed"], again["changed"]) == (True, False)
    back = request(tls, made["certificate"])
    assert (back["changed"], back["requests"]) == (True, [])
    assert not (tls / "registry.key.new").exists()


def test_a_swap_that_was_cut_short_is_finished(tmp_path):
    made = converge(tmp_path)[0]
    tls = tmp_path / "tls"
    signed = sign(tmp_path / "ca", request(tls, made["certificate"], entry(key_type="ec-p384"))["requests"])
    (tls / "registry.crt").write_text(signed["certificates"][0]["certificate"])
    predicted = request(tls, made["certificate"], entry(key_type="ec-p384"), check_mode=True)
    real = request(tls, made["certificate"], entry(key_type="ec-p384"))
    assert predicted == real
    assert (real["changed"], real["requests"]) == (True, [])
    assert pair_matches(tls)
    assert not (tls / "registry.key.new").exists()


def test_a_certificate_that_ends_with_its_ca_waits_for_the_cas_renewal(tmp_path):
    converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5)
    assert not needs(converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5)[1])
    later = converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5, now=NOW + 45 * DAY)
    assert later[0]["needs"] == ["expires in 5 days"]
    assert needs(later[1]) == [["expires in 5 days", "lifetime changed from 50 to 397 days"]]
    assert "lifetime changed" not in str(needs(converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5, now=NOW + 45 * DAY)[1]))


def test_two_hundred_certificates_are_examined_without_being_touched(tmp_path):
    entries = [entry(name=f"host{number}") for number in range(200)]
    converge(tmp_path, *entries)
    before = tree(tmp_path)
    assert not needs(converge(tmp_path, *entries)[1])
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(name="../x")], r"certificates\[0\]\.name: '\.\./x'"),
        ([entry(), entry(name="ca")], r"certificates\[1\]\.name: 'ca' is taken"),
        ([entry(), entry()], r"certificates\[1\]\.name: 'registry' is already used by certificates\[0\]"),
        ([entry(names=[])], r"certificates\[0\]\.names: must hold"),
        ([entry(names=["a.org", "b_c.org"])], r"certificates\[0\]\.names\[1\]: 'b_c\.org' is neither"),
        ([entry(names=["bücher.example"])], r"names\[0\]: 'bücher\.example' must be written in its ASCII form: 'xn--bcher-kva\.example'"),
        ([entry(names=["192.0.2.300"])], "is neither a DNS name"),
        ([entry(names=["[2001:db8::1]"])], "is neither a DNS name"),
        ([entry(names=["fe80::1%eth0"])], "is neither a DNS name"),
        ([entry(names=["a.org."])], "is neither a DNS name"),
        ([entry(names=["a.*.org"])], "is neither a DNS name"),
        ([entry(names=["*.org"])], "wildcard needs two labels"),
        ([entry(names=["x" * 64 + ".org"])], "is neither a DNS name"),
        ([entry(common_name="x" * 65)], r"certificates\[0\]\.common_name"),
        ([entry(usages=[])], r"certificates\[0\]\.usages"),
        ([entry(lifetime_days=30)], r"certificates\[0\]\.lifetime_days: 30 must be greater than certificates\[0\]\.renew_before_days \(30\)"),
        ([entry(lifetime_days=36501)], r"certificates\[0\]\.lifetime_days: 36501 must be between"),
    ],
)
def test_a_wrong_certificate_parameter_is_named_with_its_place(entries, message):
    with pytest.raises(HoldfastError, match=message):
        x509_request.parse(entries)


def test_a_wrong_ca_certificate_is_refused_before_a_key_is_made(tmp_path):
    leaf = converge(tmp_path)[2]["certificates"][0]["certificate"]
    both = (tmp_path / "ca/ca.crt").read_text() * 2
    for pem, message in (("", "is not a certificate"), (leaf, "is not the certificate of a CA"), (both, "holds 2 certificates")):
        with pytest.raises(HoldfastError, match=f"ca_certificate: {message}"):
            request(tmp_path / "new", pem)
    assert not (tmp_path / "new").exists()


def test_a_certificate_for_addresses_only_and_one_for_a_long_name_have_no_common_name(tmp_path):
    long = "a" * 60 + ".example.org"
    made = converge(tmp_path, entry(name="address", names=["2001:DB8::1"]), entry(name="long", names=[long]))[2]["certificates"]
    assert not needs(converge(tmp_path, entry(name="address", names=["2001:DB8::1"]), entry(name="long", names=[long]))[1])
    for signed, names in zip(made, (["2001:db8::1"], [long])):
        certificate = x509.certificate_from_pem(signed["certificate"].encode(), "")
        assert (x509.common_name(certificate.subject), x509.alternative_names(certificate)) == (None, names)
        if shutil.which("openssl"):
            openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "ca/ca.crt", tmp_path / f"tls/{signed['name']}.crt")


# Signing


def raw_csr(key, names, common_name=None):
    builder = cx509.CertificateSigningRequestBuilder().subject_name(x509.subject_name(common_name))
    if names:
        builder = builder.add_extension(cx509.SubjectAlternativeName(names), critical=False)
    return x509.to_pem(builder.sign(key, x509.signing_hash(key)))


def broken_proof():
    """A request whose signature is of another one."""
    pem = csr()
    der = bytearray(base64.b64decode("".join(pem.splitlines()[1:-1])))
    place = der.find(b"registry.example.org")
    der[place : place + 8] = b"REGISTRY"
    body = base64.encodebytes(bytes(der)).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"


def weak_key():
    rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


REFUSED = [
    (lambda: asked(lifetime_days=826), {}, r"lifetime_days 826 must be between 1 and max_lifetime_days \(825\)"),
    (lambda: asked(lifetime_days=0), {}, "lifetime_days 0 must be"),
    (lambda: asked(csr="rubbish"), {}, "csr is not a certificate signing request"),
    (lambda: asked(csr=broken_proof()), {}, "signature is wrong"),
    (lambda: asked(csr=raw_csr(x509.generate_key("ec-p256"), [])), {}, "holds no subject alternative names"),
    (
        lambda: asked(csr=raw_csr(x509.generate_key("ec-p256"), [cx509.RFC822Name("root@example.org")])),
        {},
        "subject alternative name: 'RFC822Name:root@example.org'",
    ),
    (lambda: asked(csr=raw_csr(x509.generate_key("ec-p256"), [cx509.DNSName("*")])), {}, r"subject alternative name: '\*'"),
    (lambda: asked(csr=raw_csr(weak_key(), [cx509.DNSName("a.org")])), {}, "key is of type rsa-2048"),
    (asked, {"allowed_names": ["*.example.org"]}, "192.0.2.10 is not among allowed_names"),
    (lambda: asked(names=["example.org"]), {"allowed_names": ["*.example.org"]}, "example.org is not among allowed_names"),
    (
        lambda: asked(names=["a.example.org"], common_name="bank.example.com"),
        {"allowed_names": ["*.example.org"]},
        "bank.example.com is not among allowed_names",
    ),
    (lambda: asked(usages=[]), {}, "usages must hold"),
]


@pytest.mark.parametrize(("make", "policy", "message"), REFUSED)
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_refused_request_is_named_and_nothing_at_all_is_signed(tmp_path, make, policy, message, check_mode):
    ca(tmp_path)
    before = tree(tmp_path)
    good = asked(name="good", names=["a.example.org"])
    with pytest.raises(HoldfastError, match=rf"requests\[1\] \(registry\): .*{message}"):
        sign(tmp_path, [good, make()], check_mode, **policy)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(("pattern", "message"), [("10.0.0.1/8", "not a network"), ("b_c", "neither a DNS name"), ("*.org", "two labels")])
def test_a_wrong_allowed_name_is_named_with_its_place(pattern, message):
    with pytest.raises(HoldfastError, match=rf"allowed_names\[1\]: .*{message}"):
        x509_sign.Policy.of(825, ["ok.org", pattern])


def test_names_are_matched_by_suffix_exactly_or_by_network():
    patterns = [x509_names.parse_pattern(text, "") for text in ("*.example.org", "one.example.com", "192.0.2.0/24", "2001:db8::1")]
    for name in ("a.example.org", "a.b.example.org", "*.example.org", "one.example.com", "192.0.2.77", "2001:db8::1"):
        assert x509_names.matches(name, patterns), name
    for name in ("example.org", "badexample.org", "two.example.com", "x.one.example.com", "192.0.3.1", "2001:db8::2"):
        assert not x509_names.matches(name, patterns), name


@needs_openssl
def test_name_constraints_bind_the_signer_and_openssl_agrees(tmp_path):
    converge(tmp_path, entry(names=["registry.example.org", "*.example.org"]), permitted_dns_domains=["example.org"])
    openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "ca/ca.crt", tmp_path / "tls/registry.crt")
    with pytest.raises(HoldfastError, match=r"requests\[0\] \(registry\): badexample.org lies outside the CA's name constraints \(example.org\)"):
        sign(tmp_path / "ca", [asked(names=["badexample.org"])])


def test_a_leaf_is_a_leaf_and_knows_its_ca(tmp_path):
    ca(tmp_path)
    leaf = x509.certificate_from_pem(sign(tmp_path, [asked()])["certificates"][0]["certificate"].encode(), "")
    constraints = leaf.extensions.get_extension_for_class(cx509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca) == (True, False)
    usage = leaf.extensions.get_extension_for_class(cx509.KeyUsage)
    assert (usage.critical, usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (True, True, False, False)
    issuer = x509.certificate_from_pem((tmp_path / "ca.crt").read_bytes(), "")
    assert x509.extension(leaf, cx509.AuthorityKeyIdentifier).key_identifier == x509.extension(issuer, cx509.SubjectKeyIdentifier).digest
    assert 0 < leaf.serial_number < 2**128
    assert x509.not_before(leaf) == NOW - timedelta(hours=1)
    assert x509.not_after(leaf) == NOW + 397 * DAY


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
    assert sign(tmp_path, [asked()], True)["certificates"][0]["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert tree(tmp_path) == before


def test_signing_nothing_needs_no_ca(tmp_path):
    assert not sign(tmp_path / "none", [])["changed"]


def test_signing_without_a_ca_says_to_make_it_first(tmp_path):
    with pytest.raises(HoldfastError, match="there is no CA in .*holdfast.registry.ca"):
        sign(tmp_path, [asked()])
    predicted = sign(tmp_path, [asked()], True)
    assert (predicted["changed"], predicted["certificates"]) == (True, [])
    ca(tmp_path)
    with pytest.raises(HoldfastError, match="has expired; renew it"):
        sign(tmp_path, [asked()], now=NOW + 4000 * DAY)


def test_an_encrypted_ca_signs_with_its_passphrase_only(tmp_path):
    converge(tmp_path, passphrase=PASSPHRASE)
    with pytest.raises(HoldfastError, match="passphrase: does not open") as caught:
        sign(tmp_path / "ca", [asked()], passphrase="wrong horse")
    assert "wrong horse" not in str(caught.value)


# Installing


def test_a_certificate_that_does_not_fit_is_refused_and_nothing_is_installed(tmp_path):
    made, _requested, signed, _installed = converge(tmp_path)
    before = tree(tmp_path)
    good = signed["certificates"][0]
    foreign = sign(tmp_path / "ca", [asked()])["certificates"][0]
    other_ca = ca(tmp_path / "other")["certificate"]
    before = tree(tmp_path / "tls")
    for certificates, ca_pem, message in (
        ([good, {**foreign, "name": "two"}], made["certificate"], "two.key: is missing"),
        ([foreign], made["certificate"], r"certificates\[0\]\.certificate \(registry\): does not match the key"),
        ([good], other_ca, "is not signed by the CA"),
        ([{**good, "certificate": "rubbish"}], made["certificate"], "is not a certificate"),
        ([{**good, "name": "ca"}], made["certificate"], "'ca' is taken"),
        ([good], "", "ca_certificate: holds no whole block"),
    ):
        with pytest.raises(HoldfastError, match=message):
            install(tmp_path / "tls", certificates, ca_pem)
    assert tree(tmp_path / "tls") == before


def test_the_cas_certificate_is_kept_right_without_any_certificate(tmp_path):
    made = ca(tmp_path / "ca")
    assert install(tmp_path / "tls", [], made["certificate"])["changes"] == [f"{tmp_path}/tls/ca.crt: made"]
    assert not install(tmp_path / "tls", [], made["certificate"])["changed"]
    renewed = ca(tmp_path / "ca", common_name="Other CA")["certificate"]
    assert install(tmp_path / "tls", [], renewed, True)["changes"] == install(tmp_path / "tls", [], renewed)["changes"]
    assert (tmp_path / "tls/ca.crt").read_text() == renewed


def test_a_check_run_on_a_fresh_host_predicts_everything_and_writes_nothing(tmp_path):
    predicted = predict(tmp_path)
    assert [step["changed"] for step in predicted] == [True] * 4
    assert tree(tmp_path) == {}
    ca(tmp_path / "ca")
    assert [step["changed"] for step in predict(tmp_path)] == [False, True, True, True]
    assert not (tmp_path / "tls").exists()


def test_a_check_run_without_the_library_predicts_on_a_fresh_host_and_fails_clearly_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(x509, "HAS_CRYPTOGRAPHY", False)
    predicted = predict(tmp_path)
    assert [step["changed"] for step in predicted] == [True] * 4
    assert (predicted[0]["needs"], needs(predicted[1])) == (["missing"], [["missing"]])
    assert tree(tmp_path) == {}
    for run in (
        lambda: ca(tmp_path / "x"),
        lambda: request(tmp_path / "x", ""),
        lambda: sign(tmp_path / "x", [asked(csr="")]),
        lambda: install(tmp_path / "x", [], ""),
    ):
        with pytest.raises(HoldfastError, match="python3-cryptography"):
            run()
    monkeypatch.undo()
    signed = converge(tmp_path)[2]["certificates"]
    monkeypatch.setattr(x509, "HAS_CRYPTOGRAPHY", False)
    for run in (
        lambda: ca(tmp_path / "ca", True),
        lambda: request(tmp_path / "tls", "", check_mode=True),
        lambda: sign(tmp_path / "ca", [asked(csr="")], True),
        lambda: install(tmp_path / "tls", signed, "", True),
    ):
        with pytest.raises(HoldfastError, match="python3-cryptography"):
            run()


# Together


def test_no_result_or_diff_holds_a_private_key_or_a_passphrase(tmp_path):
    entries = [entry(), entry(name="two", key_type="ed25519")]
    results = predict(tmp_path, *entries, passphrase=PASSPHRASE) + converge(tmp_path, *entries, passphrase=PASSPHRASE)
    text = json.dumps(results)
    assert "PRIVATE KEY" not in text
    assert PASSPHRASE not in text
    assert PASSPHRASE not in repr(x509_ca_certificate.Wanted(str(tmp_path), "x", passphrase=PASSPHRASE))


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
            x509.key_from_pem(path.read_bytes(), str(path))
        elif path.suffix == ".crt":
            x509.certificate_from_pem(path.read_bytes(), str(path))
        elif path.suffix == ".jsonl":
            [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("changed", [None, {"key_type": "ed25519"}, {"names": ["new.example.org"]}])
def test_killed_at_any_step_files_are_whole_and_the_next_run_finishes(tmp_path, changed):
    kills = 0
    for step in itertools.count():
        root = tmp_path / str(step)
        root.mkdir()
        if changed:
            converge(root)
        if not killed_at(step, root, lambda root=root: converge(root, entry(**(changed or {})))):
            break
        kills += 1
        whole(root)
        if changed:
            assert pair_matches(root / "tls") or pair_matches(root / "tls", key="registry.key.new")
        converge(root, entry(**(changed or {})))
        assert pair_matches(root / "tls")
        assert [s["changed"] for s in converge(root, entry(**(changed or {})))] == [False] * 4
        assert not [path for path in root.rglob("*") if path.name.endswith((".new", ".holdfast-tmp"))]
        assert [mode(root / place) for place in ("ca", "tls")] == ["0o700", "0o755"]
    assert kills >= 25


def test_nothing_here_uses_what_the_library_deprecates(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        converge(tmp_path, entry(), entry(name="two", key_type="ed25519"), permitted_dns_domains=["example.org"])
        converge(tmp_path, entry(), entry(name="two", key_type="rsa-3072"), permitted_dns_domains=["example.org"])


def test_times_are_utc():
    assert x509.isoformat(datetime(2036, 1, 31, 12, tzinfo=timezone.utc)) == "2036-01-31T12:00:00Z"
