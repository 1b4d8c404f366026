# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The CA's own certificate revocation list (CRL): made from the record, and held against it."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import Signer
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.record import Entry
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import authority_key_identifier_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import end_of, lists, number_of, serials_in, start_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import signing_hash
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import BACKDATED, earliness, expiry, from_isoformat

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509

# Reasons of RFC 5280, 5.3.1, that fit a certificate in use: no CA's, and for good.
REASONS = ("unspecified", "keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn")

_LIFETIME = timedelta(days=825)  # of a CRL that the module ca has not made


def issue_crl(
    ca: Signer, revoked: list[Entry], *, before: x509.CertificateRevocationList | None, end: datetime, now: datetime
) -> x509.CertificateRevocationList:
    """A CRL of the CA that is good until end, and follows the one before."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.certificate.subject)
        .last_update(now - BACKDATED)
        .next_update(end)
        .add_extension(x509.CRLNumber(_next_number(before, now)), critical=False)
        .add_extension(authority_key_identifier_of(ca.certificate), critical=False)
    )
    for line in revoked:
        single = x509.RevokedCertificateBuilder().serial_number(int(line["serial"], 16)).revocation_date(from_isoformat(line["revoked"]))
        if line.get("reason") in REASONS[1:]:  # RFC 5280 wants the extension left out instead of "unspecified"
            single = single.add_extension(x509.CRLReason(x509.ReasonFlags(line["reason"])), critical=False)
        builder = builder.add_revoked_certificate(single.build())
    return builder.sign(ca.key, signing_hash(ca.key))


def _next_number(before: x509.CertificateRevocationList | None, now: datetime) -> int:
    """A number above every one before. The clock keeps it so where the file with the last one was lost."""
    return max(int(now.timestamp()), ((number_of(before) or 0) + 1) if before is not None else 0)


def lifetime_of(crl: x509.CertificateRevocationList | None) -> timedelta:
    """How long a CRL was made to last; for one that is missing or does not say, how long one does by default."""
    end = None if crl is None else end_of(crl)
    return _LIFETIME if crl is None or end is None else end - start_of(crl) - BACKDATED


def crl_needs(crl: x509.CertificateRevocationList | None, revoked: list[Entry], *, lifetime_days: int, renew_before_days: int, now: datetime) -> list[str]:
    """Why a CA's CRL is to be issued again. crl is None where there is none."""
    if crl is None:
        return ["CRL missing"]
    found = []
    end = end_of(crl)
    due = "has no end" if end is None else expiry(end, renew_before_days, now)
    found += [f"CRL {why}" for why in (earliness(start_of(crl), now), due) if why]
    if end is not None and lifetime_of(crl) != timedelta(days=lifetime_days):
        found.append(f"CRL lifetime changed from {lifetime_of(crl).days} to {lifetime_days} days")
    added = len(lacking(crl, revoked))
    unknown = set(serials_in(crl)) - {int(line["serial"], 16) for line in revoked}
    if added or unknown:
        found.append(f"CRL lacks {added} revoked certificates" if added else f"CRL lists {len(unknown)} certificates that the record does not")
    return found


def lacking(crl: x509.CertificateRevocationList, revoked: t.Iterable[Entry]) -> list[Entry]:
    """The revoked certificates that a CRL does not list."""
    return [line for line in revoked if not lists(crl, int(line["serial"], 16))]
