# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A root CA that signs the CA below it: with a key that is brought in for this moment, and leaves no other trace than the certificate."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.crl import issue_crl
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import Signer
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.limits import limited
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import key_usage
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    authority_key_identifier_of,
    ca_from_pem,
    common_name,
    extension,
    serial,
    serial_number,
    subject_name,
    to_pem,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import key_bits, key_from_pem, key_type_of, signing_hash
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import Constraints
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import MAX_DAYS, check_common_name
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import BACKDATED, isoformat, not_after

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PublicKey


def sign_ca(
    certificate: str, key_path: str, csr: str, *, passphrase: str | None, wanted_name: str | None, lifetime_days: int, constraints: Constraints, now: datetime
) -> Result:
    """Sign the request of a CA with the CA of certificate, and a CRL of that one. Returns the module's result.

    Raises HoldfastError where the key is not the certificate's, the CA may have none below it, or the request asks for anything else than a CA.
    """
    library.require_library()
    check_no_key(certificate, where="certificate")
    if not 1 <= lifetime_days <= MAX_DAYS:
        raise HoldfastError(f"lifetime_days: {lifetime_days} must be between 1 and {MAX_DAYS}")
    root = _signer(certificate, key_path, passphrase, now)
    subject, public_key = _read(csr, root)
    if wanted_name and subject != wanted_name:
        raise HoldfastError(f"csr: is for {subject!r} and not for common_name, {wanted_name!r}, so nothing was signed")
    signed = _issue(root, subject, public_key, now + timedelta(days=lifetime_days), constraints, now)
    end = not_after(root.certificate)
    crl = issue_crl(root, [], before=None, end=end, now=now)
    return {
        "changed": False,  # nothing on this host
        "certificate": to_pem(signed),
        "crl": to_pem(crl),
        "serial": serial(signed),
        "not_after": isoformat(not_after(signed)),
        "diff": {"prepared": f"{subject}: signed by {common_name(root.certificate.subject)}, until {isoformat(not_after(signed))}\n"},
    }


def _signer(certificate: str, key_path: str, passphrase: str | None, now: datetime) -> Signer:
    parent = ca_from_pem(certificate.encode(), "certificate")
    pem = read_bytes(key_path)
    if pem is None:
        raise HoldfastError(f"key_path: there is no file {key_path}")
    key = key_from_pem(pem, key_path, passphrase)
    if key_bits(key) != key_bits(parent.public_key()):
        raise HoldfastError(f"key_path: the key in {key_path} is not that of certificate, {common_name(parent.subject)}")
    if not_after(parent) <= now:
        raise HoldfastError(f"certificate: {common_name(parent.subject)} expired on {isoformat(not_after(parent))}")
    constraints = extension(parent, x509.BasicConstraints)
    if constraints and constraints.path_length == 0:
        raise HoldfastError(f"certificate: {common_name(parent.subject)} may sign no further CA (its path length is 0)")
    return Signer(key, parent)


def _read(csr: str, root: Signer) -> tuple[str, PublicKey]:
    """The subject and the key of a request."""
    try:
        request = x509.load_pem_x509_csr(csr.encode())
        valid, subject, key = request.is_signature_valid, common_name(request.subject), request.public_key()
        key_type_of(key)
    except library.UNREADABLE:
        raise HoldfastError("csr: is not a certificate signing request in PEM form (-----BEGIN CERTIFICATE REQUEST-----)") from None
    if not valid:
        raise HoldfastError("csr: its signature is wrong, so whoever made it does not have the key")
    if subject is None or len(list(request.subject)) != 1:
        raise HoldfastError("csr: must have a common name as its subject, and nothing else")
    check_common_name(subject, where="csr: common name")
    if key_bits(key) == key_bits(root.key):
        raise HoldfastError("csr: its key is the parent's own; the CA below needs a key of its own")
    return subject, key


def _issue(root: Signer, subject: str, key: PublicKey, end: datetime, constraints: Constraints, now: datetime) -> x509.Certificate:
    """A CA's certificate, which never outlives its parent and may sign no further CA (RFC 5280, 4.2.1.9)."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name(subject))
        .issuer_name(root.certificate.subject)
        .public_key(key)
        .serial_number(serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(end, not_after(root.certificate)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority_key_identifier_of(root.certificate), critical=False)
    )
    return limited(builder, constraints).sign(root.key, signing_hash(root.key))
