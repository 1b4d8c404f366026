# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of the certificates a CA has issued: a line of JSON for each, with the time and reason of its revocation."""

from __future__ import annotations

import json
import os
import typing as t
from datetime import datetime, timezone

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.x509_ca_files import RECORD_FILE

Entry = dict[str, t.Any]


def entry(certificate: t.Any) -> Entry:
    """What is recorded of a certificate."""
    return {
        "serial": x509.serial(certificate),
        "subject": x509.common_name(certificate.subject),
        "names": x509.alternative_names(certificate),
        "not_before": x509.isoformat(x509.not_before(certificate)),
        "not_after": x509.isoformat(x509.not_after(certificate)),
        "issuer": x509.common_name(certificate.issuer),
        "issuer_key": x509.authority_key_identifier(certificate),
    }


def to_lines(entries: t.Iterable[Entry]) -> str:
    return "".join(json.dumps(line) + "\n" for line in entries)


def append(directory: str, lines: str) -> None:
    """Add lines at the end. Only for the holder of the CA's lock."""
    path = os.path.join(directory, RECORD_FILE)
    before = files.read_bytes(path) or b""
    if before and not before.endswith(b"\n"):
        before += b"\n"
    files.atomic_write(path, before + lines.encode(), files.Ownership(mode=x509.PRIVATE))


def write(directory: str, entries: t.Iterable[Entry]) -> None:
    """Replace the record. Only for the holder of the CA's lock."""
    files.atomic_write(os.path.join(directory, RECORD_FILE), to_lines(entries).encode(), files.Ownership(mode=x509.PRIVATE))


def read(directory: str) -> list[Entry]:
    """Every line of the record, in order. Raises HoldfastError naming the first line that is not one."""
    path = os.path.join(directory, RECORD_FILE)
    entries = []
    for number, line in enumerate((files.read_bytes(path) or b"").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line.decode())
            _check(found)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise HoldfastError(f"{path}: line {number} is not one that certificate_sign wrote; correct it, or restore the file from a backup") from None
        entries.append(found)
    return entries


def _check(line: Entry) -> None:
    """Raise ValueError, KeyError or TypeError for a line that nothing can be done with."""
    if not 0 < int(line["serial"], 16) < 2**159:
        raise ValueError("serial")
    if not isinstance(line.get("names", []), list):
        raise TypeError("names")
    for word in ("not_after", "revoked"):
        if (word == "not_after" or word in line) and moment(line[word]).year < 1950:
            raise ValueError(word)


def moment(text: str) -> datetime:
    """A time as x509.isoformat() writes it."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)


def issued_by(line: Entry, ca_certificate: t.Any) -> bool:
    """Whether a recorded certificate is of this name and key of the CA. A line that does not say counts for each of them."""
    if "issuer_key" not in line:
        return True
    return (line.get("issuer"), line["issuer_key"]) == (x509.common_name(ca_certificate.subject), x509.key_identifier(ca_certificate))


def in_use(entries: list[Entry], ca_certificate: t.Any, now: datetime) -> bool:
    """Whether a certificate of this CA has neither expired nor been revoked."""
    return any("revoked" not in line and moment(line["not_after"]) > now and issued_by(line, ca_certificate) for line in entries)


def revoked_by(entries: list[Entry], ca_certificate: t.Any) -> list[Entry]:
    """The revoked certificates of this CA."""
    return [line for line in entries if "revoked" in line and issued_by(line, ca_certificate)]
