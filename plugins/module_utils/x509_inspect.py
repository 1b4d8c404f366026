# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in certificate and CRL files, and what is wrong with them. Reads only."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509, x509_crl, x509_names
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

if x509.HAS_CRYPTOGRAPHY:
    from cryptography import x509 as cx509
    from cryptography.hazmat.primitives import hashes

SUFFIXES = (".crt", ".pem", ".cer", ".crl")


@dataclass(frozen=True)
class Wanted:
    """A file or directory to look at, and what has to be true of the certificate in it."""

    path: str
    key: str | None = None
    server_names: tuple[str, ...] = ()
    ca_certificates: tuple[t.Any, ...] = ()


def parse(entries: list[dict[str, t.Any]]) -> list[Wanted]:
    """Read the module parameter. Raises HoldfastError naming the place of the first wrong value."""
    return [_parse_one(entry, f"certificates[{index}]") for index, entry in enumerate(entries)]


def _parse_one(entry: dict[str, t.Any], where: str) -> Wanted:
    for word in ("path", "key"):
        if entry[word] is not None and not os.path.isabs(entry[word]):
            raise HoldfastError(f"{where}.{word}: {entry[word]!r} must be an absolute path")
    checks = [word for word in ("key", "server_names", "ca_certificates") if entry[word]]
    if checks and os.path.isdir(entry["path"]):
        raise HoldfastError(f"{where}.{checks[0]}: goes with the path of one certificate, and {entry['path']} is a directory")
    names = tuple(x509_names.parse_name(name, f"{where}.server_names[{index}]") for index, name in enumerate(entry["server_names"] or []))
    cas: list[t.Any] = []
    if entry["ca_certificates"]:
        x509.check_no_key(entry["ca_certificates"], f"{where}.ca_certificates")
        cas = x509.cas_from_pem(entry["ca_certificates"].encode(), f"{where}.ca_certificates")
    return Wanted(entry["path"], entry["key"], names, tuple(cas))


def inspect(entries: list[dict[str, t.Any]], warn_days: int, now: datetime) -> dict[str, t.Any]:
    """Look at everything. Returns the module's result."""
    if warn_days < 0:
        raise HoldfastError(f"warn_days: {warn_days} must be 0 or more")
    x509.require_library()
    certificates, crls = [], []
    for wanted in parse(entries):
        for path in _paths(wanted.path):
            pem = files.read_bytes(path)
            if pem is not None and b"-----BEGIN X509 CRL-----" in pem:
                crls += _crls(path, pem, warn_days, now)
            else:
                certificates.append(_certificate(wanted, path, pem, warn_days, now))
    problems = [f"{found['path']}: {problem}" for found in certificates + crls for problem in found["problems"]]
    return {"changed": False, "certificates": certificates, "crls": crls, "problems": problems}


def _paths(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    paths = [os.path.join(path, name) for name in files.names_in(path) if name.endswith(SUFFIXES) and not name.startswith(".")]
    return [found for found in paths if os.path.isfile(found)]


def _crls(path: str, pem: bytes, warn_days: int, now: datetime) -> list[dict[str, t.Any]]:
    try:
        crls = x509_crl.from_pem(pem, path)
    except HoldfastError:
        return [{**dict.fromkeys(("issuer", "number", "last_update", "next_update", "days_left", "revoked")), "path": path, "problems": ["cannot be read"]}]
    found = []
    for crl in crls:
        end = x509_crl.end_of(crl)
        due = x509.expiry(end, warn_days, now) if end else None
        found.append(
            {
                "path": path,
                "issuer": crl.issuer.rfc4514_string(),
                "number": x509_crl.number_of(crl),
                "last_update": x509.isoformat(x509_crl.start_of(crl)),
                "next_update": x509.isoformat(end) if end else None,
                "days_left": x509.days_left(end, now) if end else None,
                "revoked": [f"{single.serial_number:032x}" for single in crl],
                "problems": [due] if due else [],
            }
        )
    return found


FIELDS = ("subject", "issuer", "common_name", "names", "serial", "not_before", "not_after", "days_left", "expired", "is_ca", "self_signed")
FIELDS += ("key_type", "usages", "fingerprint_sha256", "chain", "key_path", "key_matches")


def _certificate(wanted: Wanted, path: str, pem: bytes | None, warn_days: int, now: datetime) -> dict[str, t.Any]:
    unread = {**dict.fromkeys(FIELDS), "path": path}
    if pem is None:
        return {**unread, "problems": ["is missing"]}
    try:
        chain = x509.certificates_from_pem(pem, path)
        first, names, usages = chain[0], x509.alternative_names(chain[0]), x509.usages(chain[0])
    except (HoldfastError, ValueError):
        return {**unread, "problems": ["is not a certificate in PEM form (-----BEGIN CERTIFICATE-----)"]}
    key_path = wanted.key or _key_beside(path)
    key_matches, key_problem = _check_key(first, key_path) if key_path else (None, None)
    problems = [key_problem] if key_problem else []
    for number, certificate in enumerate(chain, start=1):
        problems += [problem if number == 1 else f"certificate {number} {problem}" for problem in _time_problems(certificate, warn_days, now)]
    if not x509.is_ca(first):
        problems += chain_problems(chain, list(wanted.ca_certificates))
    if wanted.server_names:
        problems += name_problems(names, wanted.server_names)
        if x509.extension(first, cx509.ExtendedKeyUsage) is not None and "server" not in usages:
            problems.append("is not for servers (extended key usage serverAuth)")
    return {
        "path": path,
        "subject": first.subject.rfc4514_string(),
        "issuer": first.issuer.rfc4514_string(),
        "common_name": x509.common_name(first.subject),
        "names": names,
        "serial": x509.serial(first),
        "not_before": x509.isoformat(x509.not_before(first)),
        "not_after": x509.isoformat(x509.not_after(first)),
        "days_left": x509.days_left(x509.not_after(first), now),
        "expired": x509.not_after(first) <= now,
        "is_ca": x509.is_ca(first),
        "self_signed": x509.signed_by(first, first),
        "key_type": x509.key_type_of(first.public_key()),
        "usages": usages,
        "fingerprint_sha256": first.fingerprint(hashes.SHA256()).hex(),
        "chain": [certificate.subject.rfc4514_string() for certificate in chain[1:]],
        "key_path": key_path,
        "key_matches": key_matches,
        "problems": problems,
    }


def _key_beside(path: str) -> str | None:
    beside = os.path.splitext(path)[0] + ".key"
    return beside if os.path.isfile(beside) else None


def _check_key(certificate: t.Any, path: str) -> tuple[bool | None, str | None]:
    """Whether the key at path is the certificate's, and what is wrong. An encrypted key cannot be told to match or not."""
    pem = files.read_bytes(path)
    if pem is None:
        return None, f"its key {path} is missing"
    if x509.is_encrypted(pem):
        return None, None
    try:
        key = x509.key_from_pem(pem, path)
    except HoldfastError:
        return False, f"its key {path} holds no private key in PEM form"
    matches = x509.key_bits(key.public_key()) == x509.key_bits(certificate.public_key())
    return matches, None if matches else f"does not match the key {path}"


def _time_problems(certificate: t.Any, warn_days: int, now: datetime) -> list[str]:
    if x509.not_before(certificate) > now:
        return [f"is not valid before {x509.isoformat(x509.not_before(certificate))}"]
    due = x509.expiry(x509.not_after(certificate), warn_days, now)
    return [due] if due else []


def chain_problems(chain: list[t.Any], cas: list[t.Any]) -> list[str]:
    """What keeps a client from following the chain: each certificate signed by the next, the last by one of the CAs, where some are given."""
    for number, (certificate, issuer) in enumerate(zip(chain, chain[1:]), start=2):
        if not x509.is_ca(issuer):
            return [f"certificate {number} ({issuer.subject.rfc4514_string()}) is no CA's; behind the server's certificate belong those of the CAs between"]
        if not x509.signed_by(certificate, issuer):
            return [f"certificate {number} ({issuer.subject.rfc4514_string()}) did not sign the one before it: the chain is not in order"]
    if cas and not any(certificate == ca or x509.signed_by(certificate, ca) for certificate in chain for ca in cas):
        return ["is not signed by one of ca_certificates"]
    return []


def name_problems(names: list[str], server_names: t.Iterable[str]) -> list[str]:
    """Which of a server's names clients would not find in the certificate. The common name does not count."""
    lacking = [name for name in server_names if not any(x509_names.covers(pattern, name) for pattern in names)]
    return [f"is not for {', '.join(lacking)}, only for {', '.join(names) or 'no name'}"] if lacking else []
