# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificate revocation lists (CRLs): made from the record, read, and held against it."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta, timezone

from ansible_collections.holdfast.registry.plugins.module_utils import x509, x509_record
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

if x509.HAS_CRYPTOGRAPHY:
    from cryptography import x509 as cx509

# Reasons of RFC 5280, 5.3.1, that fit a certificate in use: no CA's, and for good.
REASONS = ("unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn")


# Modules make a CRL that lasts this long unless told otherwise. ca renews it in time.
LIFETIME_DAYS = 825


def issue(ca_certificate: t.Any, key: t.Any, revoked: list[x509_record.Entry], number: int, now: datetime, end: datetime) -> t.Any:
    """A CRL of the CA that is good until end."""
    builder = (
        cx509.CertificateRevocationListBuilder()
        .issuer_name(ca_certificate.subject)
        .last_update(now - x509.BACKDATED)
        .next_update(end)
        .add_extension(cx509.CRLNumber(number), critical=False)
        .add_extension(x509.authority_key_identifier_of(ca_certificate), critical=False)
    )
    for line in revoked:
        single = cx509.RevokedCertificateBuilder().serial_number(int(line["serial"], 16)).revocation_date(x509_record.moment(line["revoked"]))
        if line.get("reason") in REASONS[1:]:  # RFC 5280 wants the extension left out instead of "unspecified"
            single = single.add_extension(cx509.CRLReason(cx509.ReasonFlags(line["reason"])), critical=False)
        builder = builder.add_revoked_certificate(single.build())
    return builder.sign(key, x509.signing_hash(key))


def from_pem(pem: bytes, where: str) -> list[t.Any]:
    """Every CRL in pem. where names the parameter or the file it comes from."""
    x509.check_no_key(pem, where)
    crls = []
    for block in x509.pem_blocks(pem, "X509 CRL", where):
        try:
            crl = cx509.load_pem_x509_crl(block)
            list(crl), number_of(crl), start_of(crl), end_of(crl), crl.issuer  # read lazily: a broken one shows here
        except x509.UNREADABLE:
            raise HoldfastError(f"{where}: is not a certificate revocation list in PEM form (-----BEGIN X509 CRL-----)") from None
        crls.append(crl)
    return crls


def to_pem(crls: t.Iterable[t.Any]) -> str:
    return "".join(x509.to_pem(crl) for crl in crls)


def of_ca(crls: list[t.Any], ca_certificate: t.Any) -> t.Any:
    """The CRL that this name and key of a CA signed, or None."""
    return next((crl for crl in crls if crl.issuer == ca_certificate.subject and x509.signed_with_key_of(crl, ca_certificate)), None)


def lists(crls: list[t.Any], certificate: t.Any) -> bool:
    """Whether one of the CRLs says that the certificate is revoked."""
    return any(crl.issuer == certificate.issuer and crl.get_revoked_certificate_by_serial_number(certificate.serial_number) for crl in crls)


def end_of(crl: t.Any) -> datetime | None:
    """When the next CRL is due; None where the CRL does not say."""
    if hasattr(crl, "next_update_utc"):  # from 42 on, where the other one is deprecated
        return crl.next_update_utc
    return None if crl.next_update is None else crl.next_update.replace(tzinfo=timezone.utc)


def start_of(crl: t.Any) -> datetime:
    return crl.last_update_utc if hasattr(crl, "last_update_utc") else crl.last_update.replace(tzinfo=timezone.utc)


def lifetime_of(crl: t.Any) -> timedelta:
    """How long a CRL was made to last; for one that is missing or does not say, how long one does by default."""
    end = None if crl is None else end_of(crl)
    return timedelta(days=LIFETIME_DAYS) if end is None else end - start_of(crl) - x509.BACKDATED


def number_of(crl: t.Any) -> int | None:
    found = x509.extension(crl, cx509.CRLNumber)
    return found.crl_number if found else None


def next_number(crl: t.Any, now: datetime) -> int:
    """A number above every one before. The clock keeps it so where the file with the last one was lost."""
    return max(int(now.timestamp()), ((number_of(crl) or 0) + 1) if crl is not None else 0)


def needs(crl: t.Any, revoked: list[x509_record.Entry], lifetime_days: int, renew_before_days: int, now: datetime) -> list[str]:
    """Why a CA's CRL is to be issued again. crl is None where there is none."""
    if crl is None:
        return ["CRL missing"]
    found = []
    end = end_of(crl)
    due = "has no end" if end is None else x509.expiry(end, renew_before_days, now)
    if due:
        found.append(f"CRL {due}")
    if end is not None and lifetime_of(crl) != timedelta(days=lifetime_days):
        found.append(f"CRL lifetime changed from {lifetime_of(crl).days} to {lifetime_days} days")
    added = sum(crl.get_revoked_certificate_by_serial_number(int(line["serial"], 16)) is None for line in revoked)
    unknown = {single.serial_number for single in crl} - {int(line["serial"], 16) for line in revoked}
    if added or unknown:
        found.append(f"CRL lacks {added} revoked certificates" if added else f"CRL lists {len(unknown)} certificates that the record does not")
    return found
