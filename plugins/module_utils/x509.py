# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys and certificates as plain values: made, read, compared and described. Needs the Python library cryptography."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import sys
import typing as t
from datetime import datetime, timedelta, timezone

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.x509_names import is_address

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    HAS_CRYPTOGRAPHY = True
    # What the library raises for text that is not what it should be. Not all of it is a ValueError.
    UNREADABLE = (
        ValueError,
        TypeError,
        OverflowError,
        InternalError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )
except ImportError:
    HAS_CRYPTOGRAPHY = False

KEY_TYPES = ("ec-p256", "ec-p384", "rsa-3072", "rsa-4096", "ed25519")
USAGES = ("server", "client")
MAX_DAYS = 36500
BACKDATED = timedelta(hours=1)  # a host whose clock is a little behind accepts a new certificate at once
PRIVATE, PUBLIC = 0o600, 0o644

_CURVES = {"secp256r1": "ec-p256", "secp384r1": "ec-p384"}


def require_library() -> None:
    """Raise HoldfastError where the library is missing."""
    if not HAS_CRYPTOGRAPHY:
        raise HoldfastError(f"the Python library cryptography is missing for {sys.executable} on this host: install the package python3-cryptography")


def check_directory(directory: str) -> None:
    """Refuse a relative path: what it means would depend on where Ansible happens to run the module."""
    if not os.path.isabs(directory):
        raise HoldfastError(f"directory: {directory!r} must be an absolute path such as /etc/holdfast/pki")


def check_lifetime(lifetime_days: int, renew_before_days: int, where: str) -> None:
    """Refuse lifetimes that make no sense. where is put before the parameters' names, such as "certificates[0]."."""
    if not 1 <= lifetime_days <= MAX_DAYS:
        raise HoldfastError(f"{where}lifetime_days: {lifetime_days} must be between 1 and {MAX_DAYS}")
    if renew_before_days < 0:
        raise HoldfastError(f"{where}renew_before_days: {renew_before_days} must be 0 or more")
    if renew_before_days >= lifetime_days:
        raise HoldfastError(
            f"{where}lifetime_days: {lifetime_days} must be greater than {where}renew_before_days ({renew_before_days}), "
            "else a new certificate would be due for renewal at once"
        )


# Time


def current_time() -> datetime:
    """Now, in UTC, in the whole seconds certificates count in."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def not_before(certificate: x509.Certificate) -> datetime:
    if hasattr(certificate, "not_valid_before_utc"):  # from 42 on, where the other one is deprecated
        return certificate.not_valid_before_utc
    return certificate.not_valid_before.replace(tzinfo=timezone.utc)


def not_after(certificate: x509.Certificate) -> datetime:
    if hasattr(certificate, "not_valid_after_utc"):
        return certificate.not_valid_after_utc
    return certificate.not_valid_after.replace(tzinfo=timezone.utc)


def isoformat(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def days_left(end: datetime, now: datetime) -> int:
    """Whole days until end, below zero once it has passed."""
    return (end - now) // timedelta(days=1)


def expiry(end: datetime, renew_before_days: int, now: datetime) -> str | None:
    """Why a certificate that ends then is due for renewal, or None where it is not."""
    if end <= now:
        return "expired"
    if end - now <= timedelta(days=renew_before_days):
        return f"expires in {days_left(end, now)} days"
    return None


# Keys


def generate_key(key_type: str) -> t.Any:
    """A new private key of one of KEY_TYPES."""
    if key_type == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    if key_type.startswith("rsa-"):
        return rsa.generate_private_key(public_exponent=65537, key_size=int(key_type[4:]))
    return ec.generate_private_key(ec.SECP384R1() if key_type == "ec-p384" else ec.SECP256R1())


def key_type_of(public_key: t.Any) -> str:
    """The type of a key in the words of KEY_TYPES; for any other key in words that are not among them."""
    if isinstance(public_key, ec.EllipticCurvePublicKey):
        return _CURVES.get(public_key.curve.name, f"ec-{public_key.curve.name}")
    if isinstance(public_key, rsa.RSAPublicKey):
        return f"rsa-{public_key.key_size}"
    return "ed25519" if isinstance(public_key, ed25519.Ed25519PublicKey) else "unsupported"


def key_to_pem(key: t.Any, passphrase: str | None = None) -> bytes:
    """A private key as PKCS #8, encrypted where there is a passphrase."""
    encryption = serialization.BestAvailableEncryption(passphrase.encode()) if passphrase else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


def is_encrypted(pem: bytes) -> bool:
    """Whether a private key in PEM is encrypted, in PKCS #8 or in the older form."""
    return b"ENCRYPTED" in pem


def key_from_pem(pem: bytes, path: str, passphrase: str | None = None) -> t.Any:
    """Read the private key from the content of the file at path. A passphrase an open key does not need is ignored."""
    encrypted = is_encrypted(pem)
    if encrypted and not passphrase:
        raise HoldfastError(f"{path}: the private key is encrypted and no passphrase for it was given")
    try:
        return serialization.load_pem_private_key(pem, passphrase.encode() if encrypted and passphrase else None)
    except UNREADABLE:
        if encrypted:
            raise HoldfastError(f"passphrase: does not open {path}: the passphrase is wrong, or the file is damaged") from None
        raise HoldfastError(f"{path}: holds no private key in PEM form; it was left as it is: restore it, or move it away") from None


def key_bits(public_key: t.Any) -> bytes:
    """What makes two public keys equal, in bytes."""
    return public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def signing_hash(key: t.Any) -> t.Any:
    """The hash to sign with: Ed25519 has its own, the larger curve gets the larger one."""
    kind = key_type_of(key.public_key())
    if kind == "ed25519":
        return None
    return hashes.SHA384() if kind == "ec-p384" else hashes.SHA256()


# Certificates


def serial_number() -> int:
    """128 random bits, never zero."""
    return secrets.randbits(128) or 1


def to_pem(certificate: t.Any) -> str:
    """A certificate, a certificate signing request or a CRL as PEM text."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def check_no_key(text: str | bytes, where: str) -> None:
    """Refuse a private key that was pasted where something public belongs. The text is never repeated."""
    if (b"PRIVATE KEY" if isinstance(text, bytes) else "PRIVATE KEY") in text:
        raise HoldfastError(
            f"{where}: holds a private key, which belongs nowhere but in its own file; leave it out, and make a new key if others have seen this one"
        )


def pem_blocks(pem: bytes, label: str, where: str) -> list[bytes]:
    """Every block of a kind in pem, of which there must be one at least, and nothing that is cut short."""
    begin, end = (f"-----{word} {label}-----".encode() for word in ("BEGIN", "END"))
    blocks = re.findall(re.escape(begin) + b"[^-]*" + re.escape(end), pem)
    if not blocks or pem.count(begin) != len(blocks):
        raise HoldfastError(f"{where}: holds no whole block in PEM form ({begin.decode()} ... {end.decode()})")
    return [block + b"\n" for block in blocks]


def certificates_from_pem(pem: bytes, where: str) -> list[t.Any]:
    """Every certificate in pem, in order."""
    return [certificate_from_pem(block, where) for block in pem_blocks(pem, "CERTIFICATE", where)]


def cas_from_pem(pem: bytes, where: str) -> list[t.Any]:
    """Every certificate in pem, each of which must be a CA's."""
    return [ca_from_pem(block, where) for block in pem_blocks(pem, "CERTIFICATE", where)]


def certificate_from_pem(pem: bytes, where: str) -> x509.Certificate:
    """The one certificate in pem. where names the parameter or the file it comes from."""
    found = pem.count(b"-----BEGIN CERTIFICATE-----")
    if found > 1:
        raise HoldfastError(f"{where}: holds {found} certificates; exactly one is expected")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        # Read lazily: a broken one shows here.
        certificate.extensions, certificate.subject, certificate.issuer, certificate.public_key(), not_after(certificate)
    except UNREADABLE:
        raise HoldfastError(f"{where}: is not a certificate in PEM form (-----BEGIN CERTIFICATE-----)") from None
    return certificate


def is_ca(certificate: x509.Certificate) -> bool:
    constraints = extension(certificate, x509.BasicConstraints)
    return bool(constraints and constraints.ca)


def ca_from_pem(pem: bytes, where: str) -> x509.Certificate:
    """The one certificate in pem, which must be a CA's."""
    certificate = certificate_from_pem(pem, where)
    if not is_ca(certificate):
        raise HoldfastError(f"{where}: is not the certificate of a CA (basicConstraints CA:TRUE)")
    return certificate


def extension(holder: t.Any, kind: t.Any) -> t.Any:
    """The value of an extension of a certificate or a request, or None."""
    try:
        return holder.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def serial(certificate: x509.Certificate) -> str:
    """A serial number as this collection writes it: 32 hexadecimal digits or more."""
    return f"{certificate.serial_number:032x}"


def key_identifier(ca_certificate: x509.Certificate) -> str:
    """What certificates name a CA's key by, in hexadecimal digits."""
    return authority_key_identifier_of(ca_certificate).key_identifier.hex()


def authority_key_identifier_of(ca_certificate: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """The extension for what this CA signs."""
    subject_key_identifier = extension(ca_certificate, x509.SubjectKeyIdentifier) or x509.SubjectKeyIdentifier.from_public_key(ca_certificate.public_key())
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key_identifier)


def authority_key_identifier(certificate: x509.Certificate) -> str | None:
    """By which identifier a certificate names its CA's key."""
    found = extension(certificate, x509.AuthorityKeyIdentifier)
    return found.key_identifier.hex() if found and found.key_identifier else None


def common_name(subject: x509.Name) -> str | None:
    found = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else None


def subject_name(name: str | None) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])


def alternative_names(holder: t.Any) -> list[str]:
    """The subject alternative names of a certificate or a request; kinds other than DNS and IP as "Kind:value"."""
    names = []
    for name in extension(holder, x509.SubjectAlternativeName) or []:
        known = isinstance(name, (x509.DNSName, x509.IPAddress))
        names.append(str(name.value) if known else f"{type(name).__name__}:{getattr(name, 'value', '')}")
    return names


def alternative_names_extension(names: t.Iterable[str]) -> x509.SubjectAlternativeName:
    """The extension for names that parse_name() has seen."""
    return x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(name)) if is_address(name) else x509.DNSName(name) for name in names])


def usage_oids() -> dict[str, t.Any]:
    return {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def usages(certificate: x509.Certificate) -> list[str]:
    """The extended key usages of a certificate: "server", "client", and any other by its number."""
    words = {oid: word for word, oid in usage_oids().items()}
    return [words.get(oid, oid.dotted_string) for oid in extension(certificate, x509.ExtendedKeyUsage) or []]


def signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether issuer's name and key made this certificate. A CA renewed with the same key and name still did."""
    return certificate.issuer == issuer.subject and signed_with_key_of(certificate, issuer)


def signed_with_key_of(signed: t.Any, issuer: x509.Certificate) -> bool:
    """Whether a certificate or a CRL was signed with the key of issuer."""
    key = issuer.public_key()
    is_crl = isinstance(signed, x509.CertificateRevocationList)
    signature, content = signed.signature, signed.tbs_certlist_bytes if is_crl else signed.tbs_certificate_bytes
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, content)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, content, padding.PKCS1v15(), signed.signature_hash_algorithm)
        else:
            key.verify(signature, content, ec.ECDSA(signed.signature_hash_algorithm))
    except (InvalidSignature, AttributeError, *UNREADABLE):
        return False
    return True


def describe(certificate: x509.Certificate) -> str:
    """A certificate in lines for a diff."""
    lines = [
        f"common name: {common_name(certificate.subject) or '-'}",
        f"names: {', '.join(alternative_names(certificate)) or '-'}",
        f"usages: {', '.join(usages(certificate)) or '-'}",
        f"key: {key_type_of(certificate.public_key())}",
        f"serial: {serial(certificate)}",
        f"not before: {isoformat(not_before(certificate))}",
        f"not after: {isoformat(not_after(certificate))}",
    ]
    return "\n".join(lines) + "\n"
