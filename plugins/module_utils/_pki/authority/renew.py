# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The CRLs of a CA issued again before they end, without anything else about the CA being changed. For the timer on the CA's host."""

from __future__ import annotations

import os
import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Write, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.crl import crl_needs, issue_crl
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import (
    CHAIN_FILE,
    CRL_FILE,
    TRUST_FILE,
    held,
    no_ca,
    read_bundle,
    read_crls,
    read_files,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.record import read_record, revoked_by
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import all_to_pem, cas_from_pem, to_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crl_of_ca
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_directory
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import not_after, not_before

if t.TYPE_CHECKING:
    from cryptography import x509


class Authority(t.NamedTuple):
    """What a CA has to hand out: its certificate, those of all CAs to trust, what servers send behind theirs, CRLs; and why its CRL was issued again."""

    certificate: str
    bundle: str
    chain: str
    crl: str
    begins: datetime
    ends: datetime
    reasons: list[str]


def renew_crl(directory: str, *, lifetime_days: int, renew_before_days: int, now: datetime) -> Authority:
    """Issue the CRL of the CA in directory again, if that is due.

    lifetime_days is how long the new one is valid, renew_before_days how long before its end it is due. The key of the CA must not be encrypted.
    Raises HoldfastError where the CA is missing, has expired or cannot sign.
    """
    check_directory(directory)
    library.require_library()
    with held(directory, check_mode=False):
        ca = read_files(directory, None).signer
        if ca is None:
            raise no_ca(directory)
        if not_after(ca.certificate) <= now:
            raise HoldfastError(f"directory: the CA in {directory} has expired; run the playbook, which renews it")
        crls, revoked = read_crls(directory), revoked_by(read_record(directory), ca.certificate)
        before = crl_of_ca(crls, ca.certificate)
        reasons = crl_needs(before, revoked, lifetime_days=lifetime_days, renew_before_days=renew_before_days, now=now)
        if reasons:
            crl = issue_crl(ca, revoked, before=before, end=now + timedelta(days=lifetime_days), now=now)
            crls = [crl, *(other for other in crls if other is not before)]
            path = os.path.join(directory, CRL_FILE)
            apply([Write(path, "; ".join(reasons), all_to_pem(crls).encode(), Ownership(mode=0o644), read_bytes(path))])
        trusted, chain = (_certificates(directory, name) for name in (TRUST_FILE, CHAIN_FILE))
        bundle = trusted or read_bundle(directory) or [ca.certificate]
    begins, ends = not_before(ca.certificate), not_after(ca.certificate)
    return Authority(to_pem(ca.certificate), all_to_pem(bundle), all_to_pem(chain), all_to_pem(crls), begins, ends, reasons)


def _certificates(directory: str, name: str) -> list[x509.Certificate]:
    """Those in a file that only a CA below another one has."""
    path = os.path.join(directory, name)
    pem = read_bytes(path)
    return [] if pem is None else cas_from_pem(pem, path)
