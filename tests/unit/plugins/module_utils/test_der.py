# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import contextlib
import datetime
import random
import shutil
import subprocess

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils.der import read_certificate
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
KEY = ec.generate_private_key(ec.SECP256R1())
CA = x509.BasicConstraints(ca=True, path_length=0)
PLAIN_NAME = (x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Example"), x509.NameAttribute(NameOID.COMMON_NAME, "Example CA"))


def certificate(subject=PLAIN_NAME, not_after=NOW + datetime.timedelta(days=1), constraints=CA):
    name = subject if isinstance(subject, x509.Name) else x509.Name(subject)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(KEY.public_key()).serial_number(7)
    builder = builder.not_valid_before(datetime.datetime(2000, 1, 1)).not_valid_after(not_after.replace(tzinfo=None))
    builder = builder.add_extension(x509.KeyUsage(True, False, False, False, False, True, True, False, False), critical=True)
    if constraints:
        builder = builder.add_extension(constraints, critical=True)
    return builder.sign(KEY, hashes.SHA256())


def der(*arguments, **keywords):
    return certificate(*arguments, **keywords).public_bytes(serialization.Encoding.DER)


def test_subject_validity_and_fingerprint_are_those_of_the_certificate():
    original = certificate()
    read = read_certificate(original.public_bytes(serialization.Encoding.DER))
    assert read.subject == "O=Example, CN=Example CA"
    assert read.not_after == NOW + datetime.timedelta(days=1)
    assert read.fingerprint_sha256 == original.fingerprint(hashes.SHA256()).hex()


@pytest.mark.parametrize(
    ("constraints", "expected"),
    [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (x509.BasicConstraints(ca=True, path_length=3), True),
        (x509.BasicConstraints(ca=False, path_length=None), False),
        (None, False),
    ],
)
def test_only_basic_constraints_make_a_ca(constraints, expected):
    assert read_certificate(der(constraints=constraints)).is_ca is expected


@pytest.mark.parametrize("year", [2026, 2049, 2050, 9999])
def test_both_ways_to_write_a_time_are_read(year):
    not_after = datetime.datetime(year, 12, 31, 23, 59, 59, tzinfo=datetime.timezone.utc)
    assert read_certificate(der(not_after=not_after)).not_after == not_after


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to compare with")
@pytest.mark.parametrize(
    "subject",
    [
        PLAIN_NAME,
        [],
        x509.Name([x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "a"), x509.NameAttribute(NameOID.COMMON_NAME, "B")])]),
        [x509.NameAttribute(NameOID.COMMON_NAME, "  MiXed \t  White   Space ")],
        [x509.NameAttribute(NameOID.COMMON_NAME, "Zürich Ä 認証")],
        [x509.NameAttribute(NameOID.COMMON_NAME, "Zürich", _type=_ASN1Type.BMPString)],
        [x509.NameAttribute(NameOID.COMMON_NAME, "Old Style", _type=_ASN1Type.PrintableString)],
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "CH"), x509.NameAttribute(NameOID.EMAIL_ADDRESS, "Root@example.com")],
        [x509.NameAttribute(NameOID.COMMON_NAME, "long " * 12 + "name"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "x" * 64)] * 2,
        x509.Name(
            [x509.RelativeDistinguishedName([x509.NameAttribute(NameOID.COMMON_NAME, "Two"), x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, "At Once")])]
        ),
    ],
)
def test_the_subject_hash_is_the_one_openssl_links_by(subject):
    encoded = der(subject)
    output = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-subject_hash"], input=encoded, stdout=subprocess.PIPE, check=True).stdout
    assert read_certificate(encoded).subject_hash == output.decode().strip()


def test_a_subject_cannot_smuggle_control_characters_or_attributes_into_a_message():
    read = read_certificate(der([x509.NameAttribute(NameOID.COMMON_NAME, "a\x1b[31m, O=b\n")]))
    assert read.subject == "CN=a?[31m\\, O\\=b?"


def test_an_attribute_without_a_short_name_is_shown_by_its_identifier():
    subject = [x509.NameAttribute(x509.ObjectIdentifier("2.5.4.15"), "Private"), x509.NameAttribute(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), "x")]
    assert read_certificate(der(subject)).subject == "2.5.4.15=Private, 1.3.6.1.4.1.99999.1=x"


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_certificate_cut_short_anywhere_is_refused(cut):
    with pytest.raises(HoldfastError, match="not a valid X.509 certificate"):
        read_certificate(der()[: -cut - 1])


def test_what_follows_a_certificate_is_refused():
    with pytest.raises(HoldfastError):
        read_certificate(der() + b"\0")


def test_nothing_but_a_holdfast_error_ever_leaves_the_reader():
    source = random.Random(20)
    whole = der()
    for _round in range(20000):
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
            read_certificate(bytes(mutant))
    for length in range(300):
        with pytest.raises(HoldfastError):
            read_certificate(source.randbytes(length))
