# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The record of the certificates a CA has issued: a line of JSON for each, with the time and reason of its revocation."""

from __future__ import annotations

import json
import os
import typing as t
from datetime import datetime

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import RECORD_FILE
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    alternative_names,
    authority_key_identifier,
    common_name,
    key_identifier,
    serial,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import from_isoformat, isoformat, not_after, not_before

if t.TYPE_CHECKING:
    from cryptography import x509

Entry = dict[str, t.Any]

_PRIVATE = Ownership(mode=0o600)


def entry_of(certificate: x509.Certificate) -> Entry:
    """The record of a certificate."""
    return {
        "serial": serial(certificate),
        "subject": common_name(certificate.subject),
        "names": alternative_names(certificate),
        "not_before": isoformat(not_before(certificate)),
        "not_after": isoformat(not_after(certificate)),
        "issuer": common_name(certificate.issuer),
        "issuer_key": authority_key_identifier(certificate),
    }


def to_lines(entries: t.Iterable[Entry]) -> str:
    return "".join(json.dumps(line) + "\n" for line in entries)


def with_lines(directory: str, lines: str) -> Write:
    """The change that adds lines at the end of the record."""
    path = os.path.join(directory, RECORD_FILE)
    before = read_bytes(path)
    start = before or b""
    if start and not start.endswith(b"\n"):
        start += b"\n"
    return Write(path, "certificates added", start + lines.encode(), _PRIVATE, before)


def with_entries(directory: str, entries: t.Iterable[Entry]) -> Write:
    """The change that makes these the lines of the record."""
    path = os.path.join(directory, RECORD_FILE)
    return Write(path, "revocations noted", to_lines(entries).encode(), _PRIVATE, read_bytes(path))


def read_record(directory: str) -> list[Entry]:
    """Every line of the record, in order. Raises HoldfastError naming the first line that is not one."""
    path = os.path.join(directory, RECORD_FILE)
    entries = []
    for number, line in enumerate((read_bytes(path) or b"").splitlines(), start=1):
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
    if not isinstance(line["names"], list):
        raise TypeError("names")
    for word in ("not_after", "revoked"):
        if (word == "not_after" or word in line) and from_isoformat(line[word]).year < 1950:
            raise ValueError(word)
    for word in ("subject", "issuer", "issuer_key"):
        if not isinstance(line[word], (str, type(None))):
            raise TypeError(word)


def is_issued_by(line: Entry, ca_certificate: x509.Certificate) -> bool:
    """Whether a recorded certificate is of this name and key of the CA."""
    return (line["issuer"], line["issuer_key"]) == (common_name(ca_certificate.subject), key_identifier(ca_certificate))


def is_in_use(line: Entry, now: datetime) -> bool:
    """Whether a certificate has neither expired nor been revoked."""
    return "revoked" not in line and from_isoformat(line["not_after"]) > now


def revoked_by(entries: list[Entry], ca_certificate: x509.Certificate) -> list[Entry]:
    """The revoked certificates of this CA."""
    return [line for line in entries if "revoked" in line and is_issued_by(line, ca_certificate)]
