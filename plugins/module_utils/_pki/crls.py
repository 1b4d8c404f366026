# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificate revocation lists (CRLs), read."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import extension, signed_with_key_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key, pem_blocks

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509


def crls_from_pem(pem: bytes, where: str) -> list[x509.CertificateRevocationList]:
    """Every CRL in pem. where names the parameter or the file it comes from."""
    check_no_key(pem, where=where)
    crls = []
    for block in pem_blocks(pem, "X509 CRL", where=where):
        try:
            crl = x509.load_pem_x509_crl(block)
            list(crl), number_of(crl), start_of(crl), end_of(crl), crl.issuer  # read lazily: a broken one shows here
        except library.UNREADABLE:
            raise HoldfastError(f"{where}: is not a certificate revocation list in PEM form (-----BEGIN X509 CRL-----)") from None
        crls.append(crl)
    return crls


def crl_of_ca(crls: t.Iterable[x509.CertificateRevocationList], ca_certificate: x509.Certificate) -> x509.CertificateRevocationList | None:
    """The CRL that this name and key of a CA signed, or None."""
    return next((crl for crl in crls if crl.issuer == ca_certificate.subject and signed_with_key_of(crl, ca_certificate)), None)


def is_revoked(certificate: x509.Certificate, crls: t.Iterable[x509.CertificateRevocationList]) -> bool:
    """Whether one of the CRLs says that the certificate is revoked."""
    return any(crl.issuer == certificate.issuer and lists(crl, certificate.serial_number) for crl in crls)


def lists(crl: x509.CertificateRevocationList, serial_number: int) -> bool:
    return crl.get_revoked_certificate_by_serial_number(serial_number) is not None


def serials_in(crl: x509.CertificateRevocationList) -> list[int]:
    return [single.serial_number for single in crl]


def end_of(crl: x509.CertificateRevocationList) -> datetime | None:
    """When the next CRL is due; None where the CRL does not say."""
    if hasattr(crl, "next_update_utc"):  # from 42 on, where the other one is deprecated
        return crl.next_update_utc
    return None if crl.next_update is None else crl.next_update.replace(tzinfo=timezone.utc)


def start_of(crl: x509.CertificateRevocationList) -> datetime:
    return crl.last_update_utc if hasattr(crl, "last_update_utc") else crl.last_update.replace(tzinfo=timezone.utc)


def number_of(crl: x509.CertificateRevocationList) -> int | None:
    found = extension(crl, x509.CRLNumber)
    return found.crl_number if found else None
