# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Revocation: into the record first, then into the CRL. Where that was cut short, the next run of this or of ca finishes."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Write, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.crl import issue_crl, lacking, lifetime_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import (
    CRL_FILE,
    Signer,
    held,
    is_missing,
    no_ca,
    open_key_warnings,
    read_bundle,
    read_crls,
    read_files,
    read_previous,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.record import (
    Entry,
    entry_of,
    is_issued_by,
    read_record,
    revoked_by,
    to_lines,
    with_entries,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import all_to_pem, certificate_from_pem, signed_by
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crl_of_ca
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_directory, check_passphrase
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import from_isoformat, isoformat, not_after

if t.TYPE_CHECKING:
    from cryptography import x509

_SERIAL = re.compile(r"[0-9a-f]{1,40}")
_PUBLIC = Ownership(mode=0o644)


@dataclass(frozen=True)
class Revocation:
    """Certificates to be revoked, named in one of three ways."""

    where: str
    reason: str
    serial: int | None = None
    name: str | None = None
    pem: str | None = None


class RevocationPlan(t.NamedTuple):
    """The record and the CRLs as they will be, the lines that change, and the files that do."""

    entries: list[Entry]
    before: list[Entry]
    after: list[Entry]
    crls: list[x509.CertificateRevocationList]
    reasons: list[str]
    changes: list[Change]


def parse_revocations(entries: list[dict[str, t.Any]]) -> list[Revocation]:
    """Read the module parameter. Raises HoldfastError naming the place of the first wrong value."""
    return [_parse_one(entry, f"certificates[{index}]") for index, entry in enumerate(entries)]


def _parse_one(entry: dict[str, t.Any], where: str) -> Revocation:
    given = [word for word in ("serial", "name", "certificate") if entry[word] is not None]
    if len(given) != 1:
        raise HoldfastError(f"{where}: needs exactly one of serial, name and certificate, and has {' and '.join(given) or 'none'}")
    if entry["certificate"] is not None:
        check_no_key(entry["certificate"], where=f"{where}.certificate")
        return Revocation(where, entry["reason"], pem=entry["certificate"])
    if entry["name"] is not None:
        if not entry["name"]:
            raise HoldfastError(f"{where}.name: must not be empty")
        return Revocation(where, entry["reason"], name=entry["name"])
    serial = entry["serial"].lower().replace(":", "")
    if not _SERIAL.fullmatch(serial):
        raise HoldfastError(f"{where}.serial: {entry['serial']!r} must be hexadecimal digits, such as '5b2f9c0de1a34f7788d0c6ab9e31f542'")
    return Revocation(where, entry["reason"], serial=int(serial, 16))


def revoke(directory: str, wanted: list[Revocation], *, passphrase: str | None, check_mode: bool, now: datetime) -> Result:
    """Revoke all certificates, or none where one is refused. Returns the module's result, with warnings besides."""
    check_directory(directory)
    check_passphrase(passphrase)
    if is_missing(directory):
        if check_mode:  # the task that makes the CA comes before this one
            return {"changed": bool(wanted), "changes": [], "revoked": [], "crl": "", "warnings": [], "diff": {"before": "", "after": ""}}
        raise no_ca(directory)
    library.require_library()
    with held(directory, check_mode=check_mode):
        files = read_files(directory, passphrase)
        ca = files.signer
        if ca is None:
            raise no_ca(directory)
        previous = read_previous(directory, ca, read_bundle(directory), passphrase)
        plan = make_plan(directory, wanted, ca, previous, now)
        if not check_mode:
            apply(plan.changes)
    return _result(plan, [ca, *previous], open_key_warnings(directory, files, passphrase))


def make_plan(directory: str, wanted: list[Revocation], ca: Signer, previous: list[Signer], now: datetime) -> RevocationPlan:
    """Decide everything. previous are the CAs before that can still sign. Changes nothing."""
    entries, before, after, reasons = read_record(directory), [], [], []
    for one in wanted:
        for line in _find(one, entries, ca.certificate, now):
            if "revoked" not in line:
                before.append(dict(line))
                line.update(revoked=isoformat(now), reason=one.reason)
                after.append(line)
                reasons.append(f"{line['serial']} ({line['subject'] or ', '.join(line['names'])}): revoked, {one.reason}")
    changes: list[Change] = [with_entries(directory, entries)] if after else []
    crls, made, reissued = read_crls(directory), False, False
    for signer in (ca, *previous):
        current, ours = crl_of_ca(crls, signer.certificate), revoked_by(entries, signer.certificate)
        if lacking(current, ours) if current is not None else signer is ca:
            # The CRL of a CA before lasts as long as that CA does.
            end = now + lifetime_of(current) if signer is ca else max(not_after(signer.certificate), now + timedelta(days=1))
            crl = issue_crl(signer, ours, before=current, end=end, now=now)
            crls = [crl, *crls] if current is None else [crl if other is current else other for other in crls]
            made, reissued = made or current is None, True
    if reissued:
        change = Write(os.path.join(directory, CRL_FILE), "made" if made else "replaced", all_to_pem(crls).encode(), _PUBLIC)
        reasons.append(change.reason)
        changes.append(change)
    return RevocationPlan(entries, before, after, crls, reasons, changes)


def _find(wanted: Revocation, entries: list[Entry], ca_certificate: x509.Certificate, now: datetime) -> list[Entry]:
    """The lines of the record that are meant. A certificate of this CA that the record lacks is added to it."""
    if wanted.serial is not None:
        found = _with_serial(entries, wanted.serial)
        if not found:
            raise HoldfastError(f"{wanted.where}.serial: this CA's record holds no certificate with the serial {wanted.serial:032x}")
        return found
    if wanted.name is not None:
        name = wanted.name.lower()
        named = [line for line in entries if name in [str(known).lower() for known in (line["subject"], *line["names"]) if known is not None]]
        if not named:
            raise HoldfastError(f"{wanted.where}.name: this CA's record holds no certificate for {wanted.name!r}")
        return [line for line in named if from_isoformat(line["not_after"]) > now]
    certificate = certificate_from_pem((wanted.pem or "").encode(), f"{wanted.where}.certificate")
    found = _with_serial(entries, certificate.serial_number)
    if not found:
        if not signed_by(certificate, ca_certificate):
            raise HoldfastError(f"{wanted.where}.certificate: was not signed by this CA")
        found = [entry_of(certificate)]
        entries += found
    return found


def _with_serial(entries: list[Entry], serial: int) -> list[Entry]:
    return [line for line in entries if int(line["serial"], 16) == serial]


def _result(plan: RevocationPlan, signers: list[Signer], warnings: list[str]) -> Result:
    replaced = [
        f"{line['serial']} was signed by a CA that has been replaced and whose key is gone, so that nobody can sign its CRL: "
        "the certificate stays good until that CA is no longer trusted (keep_previous: false in the module holdfast.registry.ca)"
        for line in plan.after
        if not any(is_issued_by(line, signer.certificate) for signer in signers)
    ]
    shown = ("serial", "subject", "names", "not_after", "revoked", "reason")
    return {
        "changed": bool(plan.reasons),
        "changes": plan.reasons,
        "revoked": [{word: line.get(word) for word in shown} for line in plan.entries if "revoked" in line],
        "crl": all_to_pem(plan.crls),
        "warnings": warnings + replaced,
        "diff": {"before": to_lines(plan.before), "after": to_lines(plan.after)},
    }
