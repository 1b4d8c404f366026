# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import dataclasses
import datetime

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.pem import certificates_in, read_ca_certificates, to_pem
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime.now(datetime.timezone.utc)
KEY = ec.generate_private_key(ec.SECP256R1())
KEY_PEM = KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def pem(name, ca=True, days=1):
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(KEY.public_key()).serial_number(7)
    builder = builder.not_valid_before(datetime.datetime(2000, 1, 1)).not_valid_after((NOW + datetime.timedelta(days=days)).replace(tzinfo=None))
    signed = builder.add_extension(x509.BasicConstraints(ca, None), critical=True).sign(KEY, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode()


FIRST, SECOND = pem("First"), pem("Second")


def read(text):
    return read_ca_certificates(text, parameter="content", now=NOW)


def test_several_certificates_are_read_in_their_order_and_each_once():
    assert [certificate.subject for certificate in read(SECOND + FIRST + SECOND)] == ["CN=Second", "CN=First"]


def test_text_around_the_certificates_and_other_line_ends_do_not_matter():
    assert read(f"subject: First\r\n{FIRST}# end\n".replace("\n", "\r\n")) == read(FIRST)


def test_what_is_written_is_what_was_read():
    assert "".join(to_pem(certificate) for certificate in read(FIRST + SECOND)) == FIRST + SECOND


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
        (FIRST + pem("Old", days=-1), r"certificate 2 \(CN=Old\) expired on"),
    ],
    ids=lambda value: value.split("\n", 1)[0],
)
def test_what_is_no_valid_ca_certificate_is_refused_with_its_place(text, message):
    with pytest.raises(HoldfastError, match=f"^content: {message}"):
        read(text)


def test_a_certificate_openssl_cannot_read_is_refused():
    certificate = read(FIRST)[0]
    broken = certificate.der.replace(bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("05082a8648ce3d040302"))
    with pytest.raises(HoldfastError, match="OpenSSL cannot read it"):
        read(to_pem(dataclasses.replace(certificate, der=broken)))


def test_no_line_of_a_private_key_is_repeated_in_the_refusal():
    with pytest.raises(HoldfastError) as refusal:
        read(FIRST + KEY_PEM)
    assert not any(line in str(refusal.value) for line in KEY_PEM.splitlines())


def test_a_bundle_with_broken_blocks_still_yields_its_good_certificates():
    bundle = f"-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----\n{FIRST}-----BEGIN CERTIFICATE-----\n"
    assert certificates_in(bundle.encode()) == {read(FIRST)[0].der}
    assert certificates_in(None) == set()
