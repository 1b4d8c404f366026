# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Revocation: into the record first, then into the CRL. Where that was cut short, the next run of this or of ca finishes."""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509, x509_ca, x509_ca_files, x509_crl, x509_record
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

_SERIAL = re.compile(r"[0-9a-f]{1,40}")


@dataclass(frozen=True)
class Wanted:
    """Certificates to be revoked, named in one of three ways."""

    where: str
    reason: str
    serial: int | None = None
    name: str | None = None
    pem: str | None = None


def parse(entries: list[dict[str, t.Any]]) -> list[Wanted]:
    """Read the module parameter. Raises HoldfastError naming the place of the first wrong value."""
    return [_parse_one(entry, f"certificates[{index}]") for index, entry in enumerate(entries)]


def _parse_one(entry: dict[str, t.Any], where: str) -> Wanted:
    given = [word for word in ("serial", "name", "certificate") if entry[word] is not None]
    if len(given) != 1:
        raise HoldfastError(f"{where}: needs exactly one of serial, name and certificate, and has {' and '.join(given) or 'none'}")
    if entry["certificate"] is not None:
        x509.check_no_key(entry["certificate"], f"{where}.certificate")
        return Wanted(where, entry["reason"], pem=entry["certificate"])
    if entry["name"] is not None:
        if not entry["name"]:
            raise HoldfastError(f"{where}.name: must not be empty")
        return Wanted(where, entry["reason"], name=entry["name"])
    serial = entry["serial"].lower().replace(":", "")
    if not _SERIAL.fullmatch(serial):
        raise HoldfastError(f"{where}.serial: {entry['serial']!r} must be hexadecimal digits, such as '5b2f9c0de1a34f7788d0c6ab9e31f542'")
    return Wanted(where, entry["reason"], serial=int(serial, 16))


def revoke(directory: str, passphrase: str | None, wanted: list[Wanted], check_mode: bool, now: datetime) -> dict[str, t.Any]:
    """Revoke all certificates, or none where one is refused. Returns the module's result, with warnings besides."""
    x509.check_directory(directory)
    x509_ca_files.check_passphrase(passphrase)
    if x509_ca_files.missing(directory):
        if check_mode:  # the task that makes the CA comes before this one
            return {"changed": bool(wanted), "changes": [], "revoked": [], "crl": "", "warnings": [], "diff": {"before": "", "after": ""}}
        raise x509_ca_files.no_ca(directory)
    x509.require_library()
    if check_mode:
        return _revoke(directory, passphrase, wanted, True, now)
    with x509_ca_files.locked(directory):
        return _revoke(directory, passphrase, wanted, False, now)


def _revoke(directory: str, passphrase: str | None, wanted: list[Wanted], check_mode: bool, now: datetime) -> dict[str, t.Any]:
    ca = x509_ca_files.read(directory, passphrase)
    if ca.certificate is None:
        raise x509_ca_files.no_ca(directory)
    entries = x509_record.read(directory)
    changes, before, after = [], [], []
    for one in wanted:
        for line in _find(one, entries, ca.certificate, now):
            if "revoked" in line:
                continue
            before.append(dict(line))
            line.update(revoked=x509.isoformat(now), reason=one.reason)
            after.append(line)
            changes.append(f"{line['serial']} ({line.get('subject') or ', '.join(line.get('names', []))}): revoked, {one.reason}")
    crls = x509_ca.read_crls(directory)
    current = x509_crl.of_ca(crls, ca.certificate)
    ours = x509_record.revoked_by(entries, ca.certificate)
    if current is None or any(not current.get_revoked_certificate_by_serial_number(int(line["serial"], 16)) for line in ours):
        end = now + x509_crl.lifetime_of(current)
        new = x509_crl.issue(ca.certificate, ca.key, ours, x509_crl.next_number(current, now), now, end)
        crls = [new] + [crl for crl in crls if crl is not current]
        changes.append(f"{os.path.join(directory, x509_ca_files.CRL_FILE)}: {'made' if current is None else 'replaced'}")
    if changes and not check_mode:
        if after:
            x509_record.write(directory, entries)
        files.atomic_write(os.path.join(directory, x509_ca_files.CRL_FILE), x509_crl.to_pem(crls).encode(), files.Ownership(mode=x509.PUBLIC))
    return {
        "changed": bool(changes),
        "changes": changes,
        "revoked": [_shown(line) for line in entries if "revoked" in line],
        "crl": x509_crl.to_pem(crls),
        "warnings": [
            f"{line['serial']} was signed by a CA that has been replaced, whose CRL nobody can sign any more: "
            "the certificate stays good until that CA is no longer trusted (keep_previous: false in the module holdfast.registry.ca)"
            for line in after
            if not x509_record.issued_by(line, ca.certificate)
        ],
        "diff": {"before": x509_record.to_lines(before), "after": x509_record.to_lines(after)},
    }


def _find(wanted: Wanted, entries: list[x509_record.Entry], ca_certificate: t.Any, now: datetime) -> list[x509_record.Entry]:
    """The lines of the record that are meant. A certificate of this CA that the record lacks is added to it."""
    if wanted.serial is not None:
        found = [line for line in entries if int(line["serial"], 16) == wanted.serial]
        if not found:
            raise HoldfastError(f"{wanted.where}.serial: this CA's record holds no certificate with the serial {wanted.serial:032x}")
        return found
    if wanted.name is not None:
        name = wanted.name.lower()
        named = [line for line in entries if name in [str(known).lower() for known in (line.get("subject"), *line.get("names", []))]]
        if not named:
            raise HoldfastError(f"{wanted.where}.name: this CA's record holds no certificate for {wanted.name!r}")
        return [line for line in named if x509_record.moment(line["not_after"]) > now]
    certificate = x509.certificate_from_pem((wanted.pem or "").encode(), f"{wanted.where}.certificate")
    found = [line for line in entries if int(line["serial"], 16) == certificate.serial_number]
    if not found:
        if not x509.signed_by(certificate, ca_certificate):
            raise HoldfastError(f"{wanted.where}.certificate: was not signed by this CA")
        found = [x509_record.entry(certificate)]
        entries += found
    return found


def _shown(line: x509_record.Entry) -> dict[str, t.Any]:
    return {word: line.get(word) for word in ("serial", "subject", "names", "not_after", "revoked", "reason")}
