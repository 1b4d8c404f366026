# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import contextlib
import datetime
import random

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._trust import certificates
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import certificates_in, read_ca_certificates, read_facts
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import no_program, run_program
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
KEY = ec.generate_private_key(ec.SECP256R1())
KEY_PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def sign(name, ca=True, not_after=NOW + datetime.timedelta(days=1), extensions=()):
    subject = name if isinstance(name, x509.Name) else x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key()).serial_number(7)
    builder = builder.not_valid_before(datetime.datetime(2000, 1, 1)).not_valid_after(not_after.replace(tzinfo=None))
    for extension in ([] if ca is None else [x509.BasicConstraints(ca, None)]) + list(extensions):
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(KEY, hashes.SHA256())


def pem(*arguments, **keywords):
    return sign(*arguments, **keywords).public_bytes(serialization.Encoding.PEM).decode()


FIRST, SECOND = pem("First"), pem("Second")
OLD = NOW - datetime.timedelta(days=1)


def read(text, programs=run_program):
    return read_ca_certificates(programs, text, parameter="content", now=NOW)


def test_several_certificates_are_read_in_their_order_and_each_once():
    assert [certificate.subject for certificate in read(SECOND + FIRST + SECOND)] == ["CN=Second", "CN=First"]


def test_text_around_the_certificates_and_other_line_ends_do_not_matter():
    assert read(f"subject: First\r\n{FIRST}# end\n".replace("\n", "\r\n")) == read(FIRST)


def test_what_is_written_is_what_was_read():
    assert "".join(certificate.pem for certificate in read(FIRST + SECOND)) == FIRST + SECOND


def test_a_client_needs_nothing_but_python_to_read_a_ca():
    original = sign("First")
    (certificate,) = read(original.public_bytes(serialization.Encoding.PEM).decode(), no_program)
    assert certificate.subject == "CN=First"
    assert certificate.not_after == NOW + datetime.timedelta(days=1)
    assert certificate.fingerprint_sha256 == original.fingerprint(hashes.SHA256()).hex()
    with pytest.raises(HoldfastError, match=r"^content: certificate 1 is no CA's"):
        read(pem("server", ca=False), no_program)
    assert certificates.subject_hash(no_program, certificate.der) is None
    with pytest.raises(HoldfastError, match="^client cannot be read without the command openssl, which is not on this host"):
        read_facts(no_program, certificate.der, "client")


@pytest.mark.parametrize(
    "subject",
    [
        x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "DE"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example, Inc")]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Zürich 認証")]),
        x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "root@example.com"), x509.NameAttribute(NameOID.COMMON_NAME, "a+b;c")]),
        x509.Name([x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), "x"), x509.NameAttribute(NameOID.DOMAIN_COMPONENT, "example")]),
        x509.Name(
            [x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "Two"), x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "At Once")])]
        ),
    ],
    ids=lambda subject: subject.rfc4514_string(),
)
def test_a_subject_is_written_as_certificate_info_writes_it(subject):
    (certificate,) = read(pem(subject))
    assert sorted(certificate.subject.split("+")) == sorted(subject.rfc4514_string().split("+"))


def test_a_certificate_without_a_subject_is_shown_as_such():
    assert read(pem(x509.Name([])))[0].subject == "(no subject)"


@pytest.mark.parametrize("year", [2049, 2050, 9999])
def test_both_ways_to_write_a_time_are_read(year):
    not_after = datetime.datetime(year, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
    assert read(pem("First", not_after=not_after))[0].not_after == not_after


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no certificate"),
        ("/etc/ssl/ca.crt", "holds no certificate"),
        (KEY_PEM, "holds a private key"),
        (FIRST + KEY_PEM, "holds a private key"),
        (KEY_PEM.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")[:80], "holds a private key"),
        (FIRST.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "block 1 is a 'TRUSTED CERTIFICATE'"),
        (FIRST + SECOND.replace("CERTIFICATE", "X509 CRL"), "block 2 is a 'X509 CRL'"),
        (FIRST + SECOND[:-30], "certificate 2 has no line -----END CERTIFICATE-----"),
        (FIRST.replace("\n", "\n!", 2), "certificate 1 is not PEM"),
        (FIRST.replace("MII", "MIJ", 1), "certificate 1 is not a valid X.509 certificate"),
        (FIRST + pem("server", ca=False), r"certificate 2 \(CN=server\) is no CA's"),
        (FIRST + pem("server", ca=None), r"certificate 2 \(CN=server\) is no CA's"),
        (FIRST + pem("Old", not_after=OLD), r"certificate 2 \(CN=Old\) expired on"),
    ],
    ids=lambda value: value.split("\n", 1)[0],
)
def test_what_is_no_valid_ca_certificate_is_refused_with_its_place(text, message):
    with pytest.raises(HoldfastError, match=f"^content: {message}"):
        read(text)


@pytest.mark.parametrize("ca", [True, False])
def test_a_subject_cannot_smuggle_control_characters_into_a_message(ca):
    with pytest.raises(HoldfastError) as refusal:
        read(pem("a\x1b[31m\n", ca=ca, not_after=OLD))
    assert str(refusal.value).isprintable()


def test_a_bundle_with_broken_blocks_still_yields_its_good_certificates():
    bundle = f"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n{FIRST}-----BEGIN CERTIFICATE-----\n"
    assert certificates_in(bundle.encode()) == {read(FIRST)[0].der}
    assert certificates_in(None) == set()


@pytest.mark.parametrize(
    ("extensions", "is_for_clients"),
    [
        ([], True),
        ([x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])], True),
        ([x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])], True),
        ([x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])], False),
    ],
)
def test_what_a_client_can_show_is_told_by_its_usages(extensions, is_for_clients):
    facts = read_facts(run_program, sign("client", ca=False, extensions=extensions).public_bytes(serialization.Encoding.DER), "here")
    assert facts == ("CN=client", NOW + datetime.timedelta(days=1), is_for_clients)


def test_nothing_but_a_holdfast_error_ever_leaves_the_reader():
    source = random.Random(20)
    whole = sign("First").public_bytes(serialization.Encoding.DER)
    for _round in range(3000):
        mutant = bytearray(whole)
        for _change in range(source.randint(1, 4)):
            place = source.randrange(len(mutant))
            kind = source.randrange(3)
            if kind == 0:
                mutant[place] = source.choice([0, 1, 0x7F, 0x80, 0x84, 0xFF, source.randrange(256)])
            elif kind == 1:
                del mutant[place : place + source.randint(1, 5)]
            else:
                mutant[place:place] = source.randbytes(source.randint(1, 5))
        with contextlib.suppress(HoldfastError):
            certificates._read_ca_certificate(no_program, bytes(mutant), "here")
    for length in range(300):
        with pytest.raises(HoldfastError):
            certificates._read_ca_certificate(no_program, source.randbytes(length), "here")
    for more in (b"\0", whole):
        with pytest.raises(HoldfastError):
            certificates._read_ca_certificate(no_program, whole + more, "here")
