# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates as plain values: read, compared and described."""

from __future__ import annotations

import contextlib
import ipaddress
import secrets
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import is_address, subject_text
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import key_type_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import pem_blocks
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import isoformat, not_after, not_before

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, SignatureAlgorithmOID

    Extension = t.TypeVar("Extension", bound=x509.ExtensionType)
    _NOT_SIGNED: tuple[type[Exception], ...] = (InvalidSignature, AttributeError, *library.UNREADABLE)

_KINDS = {"RFC822Name": "email", "UniformResourceIdentifier": "URI", "DirectoryName": "DirName", "RegisteredID": "Registered ID", "OtherName": "othername"}


def serial_number() -> int:
    """128 random bits, never zero."""
    return secrets.randbits(128) or 1


def to_pem(thing: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList) -> str:
    return thing.public_bytes(serialization.Encoding.PEM).decode("ascii")


def to_der(thing: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return thing.public_bytes(serialization.Encoding.DER)


def all_to_pem(things: t.Iterable[x509.Certificate | x509.CertificateRevocationList]) -> str:
    return "".join(to_pem(thing) for thing in things)


def certificates_from_pem(pem: bytes, where: str) -> list[x509.Certificate]:
    """Every certificate in pem, in order."""
    return [certificate_from_pem(block, where) for block in pem_blocks(pem, "CERTIFICATE", where=where)]


def cas_from_pem(pem: bytes, where: str) -> list[x509.Certificate]:
    """Every certificate in pem, each of which must be a CA's."""
    return [ca_from_pem(block, where) for block in pem_blocks(pem, "CERTIFICATE", where=where)]


def certificate_from_pem(pem: bytes, where: str) -> x509.Certificate:
    """The one certificate in pem. where names the parameter or the file it comes from."""
    found = pem.count(b"-----BEGIN CERTIFICATE-----")
    if found > 1:
        raise HoldfastError(f"{where}: holds {found} certificates; exactly one is expected")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        # Read lazily: a broken one shows here.
        certificate.extensions, certificate.subject, certificate.issuer, certificate.public_key(), not_after(certificate)
    except library.UNREADABLE:
        raise HoldfastError(f"{where}: is not a certificate in PEM form (-----BEGIN CERTIFICATE-----)") from None
    return certificate


def ca_from_pem(pem: bytes, where: str) -> x509.Certificate:
    """The one certificate in pem, which must be a CA's."""
    certificate = certificate_from_pem(pem, where)
    if not is_ca(certificate):
        raise HoldfastError(f"{where}: is not the certificate of a CA (basicConstraints CA:TRUE)")
    return certificate


def is_ca(certificate: x509.Certificate) -> bool:
    constraints = extension(certificate, x509.BasicConstraints)
    return bool(constraints and constraints.ca)


def extension(holder: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList, kind: type[Extension]) -> Extension | None:
    """The value of an extension, or None."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def serial(certificate: x509.Certificate) -> str:
    """A serial number as this collection writes it: 32 hexadecimal digits or more."""
    return f"{certificate.serial_number:032x}"


def key_identifier(ca_certificate: x509.Certificate) -> str:
    """What certificates name a CA's key by, in hexadecimal digits."""
    return (authority_key_identifier_of(ca_certificate).key_identifier or b"").hex()


def authority_key_identifier_of(ca_certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The extension for what this CA signs."""
    found = extension(ca_certificate, x509.SubjectKeyIdentifier) or x509.SubjectKeyIdentifier.from_public_key(ca_certificate.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found)


def authority_key_identifier(certificate: x509.Certificate) -> str | None:
    """By which identifier a certificate names its CA's key."""
    found = extension(certificate, x509.AuthorityKeyIdentifier)
    return found.key_identifier.hex() if found and found.key_identifier else None


# Names


def common_name(subject: x509.Name) -> str | None:
    found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else None


def name_text(name: x509.Name) -> str:
    """A distinguished name in the one notation of this collection."""
    return subject_text([[(part.oid.dotted_string, _as_text(part.value)) for part in parts] for parts in name.rdns])


def _as_text(value: str | bytes) -> str:
    return value if isinstance(value, str) else f"#{value.hex()}"


def subject_name(name: str | None) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


def alternative_names(holder: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """The subject alternative names of a certificate or a request; kinds other than DNS and IP as OpenSSL writes them, "kind:value"."""
    return [_alternative_name(name) for name in extension(holder, x509.SubjectAlternativeName) or []]


def _alternative_name(name: x509.GeneralName) -> str:
    if isinstance(name, (x509.DNSName, x509.IPAddress)):
        return str(name.value)
    value = getattr(name, "value", "")
    text = name_text(value) if isinstance(value, x509.Name) else getattr(value, "dotted_string", value)
    return f"{_KINDS.get(type(name).__name__, type(name).__name__)}:{text if isinstance(text, str) else '<unsupported>'}"


def alternative_names_extension(names: t.Iterable[str]) -> x509.SubjectAlternativeName:
    """The extension for names that parse_name() has seen."""
    return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name) for name in names])


def usage_oids() -> dict[str, x509.ObjectIdentifier]:
    return {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def usages_of(holder: x509.Certificate | x509.CertificateSigningRequest) -> list[str]:
    """The extended key usages: "server", "client", and any other by its number."""
    words = {oid: word for word, oid in usage_oids().items()}
    return [words.get(oid, oid.dotted_string) for oid in extension(holder, x509.ExtendedKeyUsage) or []]


def crl_url_extension(url: str) -> x509.CRLDistributionPoints:
    """Where the CRL is that a certificate is checked with (RFC 5280, 4.2.1.13)."""
    return x509.CRLDistributionPoints([x509.DistributionPoint([x509.UniformResourceIdentifier(url)], relative_name=None, reasons=None, crl_issuer=None)])


def crl_url_of(certificate: x509.Certificate) -> str:
    """The first such URL; empty where a certificate names none."""
    found = extension(certificate, x509.CRLDistributionPoints)
    names = [name for point in found or () for name in point.full_name or ()]
    return next((str(name.value) for name in names if isinstance(name, x509.UniformResourceIdentifier)), "")


# Signatures


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether issuer's name and key made this certificate. A CA renewed with the same key and name still did."""
    return certificate.issuer == issuer.subject and signed_with_key_of(certificate, issuer)


def signed_with_key_of(signed: x509.Certificate | x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Whether a certificate or a CRL was signed with the key of issuer."""
    key = issuer.public_key()
    content = signed.tbs_certlist_bytes if isinstance(signed, x509.CertificateRevocationList) else signed.tbs_certificate_bytes
    try:
        if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            key.verify(signed.signature, content)
        elif isinstance(key, rsa.RSAPublicKey) and signed.signature_algorithm_oid == SignatureAlgorithmOID.RSASSA_PSS:
            _verify_pss(key, signed, content)
        elif isinstance(key, rsa.RSAPublicKey) and signed.signature_hash_algorithm:
            key.verify(signed.signature, content, padding.PKCS1v15(), signed.signature_hash_algorithm)
        elif isinstance(key, ec.EllipticCurvePublicKey) and signed.signature_hash_algorithm:
            key.verify(signed.signature, content, ec.ECDSA(signed.signature_hash_algorithm))
        else:
            return False
    except _NOT_SIGNED:
        return False
    return True


def _verify_pss(key: rsa.RSAPublicKey, signed: x509.Certificate | x509.CertificateRevocationList, content: bytes) -> None:
    """Raise InvalidSignature, or another of _NOT_SIGNED, unless key made this signature by RSASSA-PSS (RFC 8017, 8.1)."""
    if hasattr(signed, "signature_algorithm_parameters"):
        way, algorithm = signed.signature_algorithm_parameters, signed.signature_hash_algorithm
        if not isinstance(way, padding.PSS) or algorithm is None:
            raise InvalidSignature
        key.verify(signed.signature, content, way, algorithm)
        return
    # Older releases of the library, below 41 for certificates and below 42 for CRLs, do not tell the hash and the length of the salt.
    for guess in (hashes.SHA256(), hashes.SHA384(), hashes.SHA512()):
        for length in (guess.digest_size, padding.PSS.MAX_LENGTH):
            with contextlib.suppress(InvalidSignature):
                key.verify(signed.signature, content, padding.PSS(padding.MGF1(guess), length), guess)
                return
    raise InvalidSignature


def describe(certificate: x509.Certificate) -> str:
    """A certificate in lines for a diff."""
    lines = [
        f"common name: {common_name(certificate.subject) or '-'}",
        f"names: {', '.join(alternative_names(certificate)) or '-'}",
        f"usages: {', '.join(usages_of(certificate)) or '-'}",
        f"key: {key_type_of(certificate.public_key())}",
        f"serial: {serial(certificate)}",
        f"not before: {isoformat(not_before(certificate))}",
        f"not after: {isoformat(not_after(certificate))}",
    ]
    return "\n".join(lines) + "\n"
