# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is in certificate and CRL files, and what is wrong with them. Reads only."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import names_in, read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    alternative_names,
    cas_from_pem,
    certificates_from_pem,
    common_name,
    extension,
    is_ca,
    name_text,
    serial,
    signed_by,
    usages_of,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crls_from_pem, end_of, number_of, serials_in, start_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import is_encrypted, key_bits, key_from_pem, key_type_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import covers, parse_name
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_path
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import days_left, expiry, isoformat, not_after, not_before

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

_SUFFIXES = (".crt", ".pem", ".cer", ".crl")


@dataclass(frozen=True)
class Look:
    """A file or directory to look at, and what has to be true of the certificate in it."""

    path: str
    key: str | None = None
    server_names: tuple[str, ...] = ()
    ca_certificates: tuple[x509.Certificate, ...] = ()


def _parse(entries: list[dict[str, t.Any]]) -> list[Look]:
    """Read the module parameter. Raises HoldfastError naming the place of the first wrong value."""
    return [_parse_one(entry, f"certificates[{index}]") for index, entry in enumerate(entries)]


def _parse_one(entry: dict[str, t.Any], where: str) -> Look:
    for word in ("path", "key"):
        if entry[word] is not None:
            check_path(entry[word], where=f"{where}.{word}")
    checks = [word for word in ("key", "server_names", "ca_certificates") if entry[word]]
    if checks and os.path.isdir(entry["path"]):
        raise HoldfastError(f"{where}.{checks[0]}: goes with the path of one certificate, and {entry['path']} is a directory")
    names = tuple(parse_name(name, f"{where}.server_names[{index}]") for index, name in enumerate(entry["server_names"] or []))
    cas: list[x509.Certificate] = []
    if entry["ca_certificates"]:
        check_no_key(entry["ca_certificates"], where=f"{where}.ca_certificates")
        cas = cas_from_pem(entry["ca_certificates"].encode(), f"{where}.ca_certificates")
    return Look(entry["path"], entry["key"], names, tuple(cas))


def inspect(entries: list[dict[str, t.Any]], *, warn_days: int, now: datetime) -> Result:
    """Look at everything. Returns the module's result."""
    if warn_days < 0:
        raise HoldfastError(f"warn_days: {warn_days} must be 0 or more")
    library.require_library()
    certificates: list[dict[str, t.Any]] = []
    crls: list[dict[str, t.Any]] = []
    for look in _parse(entries):
        for path in _paths(look.path):
            pem = read_bytes(path)
            if pem is not None and b"-----BEGIN X509 CRL-----" in pem:
                crls += _crls(path, pem, warn_days, now)
            else:
                certificates.append(_certificate(look, path, pem, warn_days, now))
    problems = [f"{found['path']}: {problem}" for found in certificates + crls for problem in found["problems"]]
    return {"changed": False, "certificates": certificates, "crls": crls, "problems": problems}


def _paths(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    paths = [os.path.join(path, name) for name in names_in(path) if name.endswith(_SUFFIXES) and not name.startswith(".")]
    return [found for found in paths if os.path.isfile(found)]


def _crls(path: str, pem: bytes, warn_days: int, now: datetime) -> list[dict[str, t.Any]]:
    try:
        crls = crls_from_pem(pem, path)
    except HoldfastError:
        return [{**dict.fromkeys(("issuer", "number", "last_update", "next_update", "days_left", "revoked")), "path": path, "problems": ["cannot be read"]}]
    found = []
    for crl in crls:
        end = end_of(crl)
        due = expiry(end, warn_days, now) if end else None
        found.append(
            {
                "path": path,
                "issuer": name_text(crl.issuer),
                "number": number_of(crl),
                "last_update": isoformat(start_of(crl)),
                "next_update": isoformat(end) if end else None,
                "days_left": days_left(end, now) if end else None,
                "revoked": [f"{number:032x}" for number in serials_in(crl)],
                "problems": [due] if due else [],
            }
        )
    return found


_FIELDS = (
    *("subject", "issuer", "common_name", "names", "serial", "not_before", "not_after", "days_left", "expired", "is_ca", "self_signed"),
    *("key_type", "usages", "fingerprint_sha256", "chain", "key_path", "key_matches"),
)


def _certificate(look: Look, path: str, pem: bytes | None, warn_days: int, now: datetime) -> dict[str, t.Any]:
    unread = {**dict.fromkeys(_FIELDS), "path": path}
    if pem is None:
        return {**unread, "problems": ["is missing"]}
    try:
        chain = certificates_from_pem(pem, path)
        first = chain[0]
        names, usages = alternative_names(first), usages_of(first)
    except (HoldfastError, ValueError):
        return {**unread, "problems": ["is not a certificate in PEM form (-----BEGIN CERTIFICATE-----)"]}
    key_path = look.key or _key_beside(path)
    key_matches, key_problem = _check_key(first, key_path) if key_path else (None, None)
    problems = ([key_problem] if key_problem else []) + problems_of(look, chain, warn_days, now)
    return {
        "path": path,
        "subject": name_text(first.subject),
        "issuer": name_text(first.issuer),
        "common_name": common_name(first.subject),
        "names": names,
        "serial": serial(first),
        "not_before": isoformat(not_before(first)),
        "not_after": isoformat(not_after(first)),
        "days_left": days_left(not_after(first), now),
        "expired": not_after(first) <= now,
        "is_ca": is_ca(first),
        "self_signed": signed_by(first, first),
        "key_type": key_type_of(first.public_key()),
        "usages": usages,
        "fingerprint_sha256": first.fingerprint(hashes.SHA256()).hex(),
        "chain": [name_text(certificate.subject) for certificate in chain[1:]],
        "key_path": key_path,
        "key_matches": key_matches,
        "problems": problems,
    }


def problems_of(look: Look, chain: list[x509.Certificate], warn_days: int, now: datetime) -> list[str]:
    """What is wrong with a certificate, the first of chain, and with those that follow it, for what has to be true of it."""
    first, problems = chain[0], []
    for number, certificate in enumerate(chain, start=1):
        problems += [problem if number == 1 else f"certificate {number} {problem}" for problem in _time_problems(certificate, warn_days, now)]
    if not is_ca(first):
        problems += chain_problems(chain, look.ca_certificates)
    if look.server_names:
        problems += name_problems(alternative_names(first), look.server_names)
        if extension(first, x509.ExtendedKeyUsage) is not None and "server" not in usages_of(first):
            problems.append("is not for servers (extended key usage serverAuth)")
    return problems


def _key_beside(path: str) -> str | None:
    beside = os.path.splitext(path)[0] + ".key"
    return beside if os.path.isfile(beside) else None


def _check_key(certificate: x509.Certificate, path: str) -> tuple[bool | None, str | None]:
    """Whether the key at path is the certificate's, and what is wrong. An encrypted key cannot be told to match or not."""
    pem = read_bytes(path)
    if pem is None:
        return None, f"its key {path} is missing"
    if is_encrypted(pem):
        return None, None
    try:
        key = key_from_pem(pem, path)
    except HoldfastError:
        return False, f"its key {path} holds no private key in PEM form"
    matches = key_bits(key) == key_bits(certificate.public_key())
    return matches, None if matches else f"does not match the key {path}"


def _time_problems(certificate: x509.Certificate, warn_days: int, now: datetime) -> list[str]:
    if not_before(certificate) > now:
        return [f"is not valid before {isoformat(not_before(certificate))}"]
    due = expiry(not_after(certificate), warn_days, now)
    return [due] if due else []


def chain_problems(chain: t.Sequence[x509.Certificate], cas: t.Collection[x509.Certificate]) -> list[str]:
    """What keeps a client from following the chain: each certificate signed by the next, the last by one of the CAs, where some are given."""
    for number, (certificate, issuer) in enumerate(zip(chain, chain[1:]), start=2):
        if not is_ca(issuer):
            return [f"certificate {number} ({name_text(issuer.subject)}) is no CA's; behind the server's certificate belong those of the CAs between"]
        if not signed_by(certificate, issuer):
            return [f"certificate {number} ({name_text(issuer.subject)}) did not sign the one before it: the chain is not in order"]
    if cas and not any(certificate == ca or signed_by(certificate, ca) for certificate in chain for ca in cas):
        return ["is not signed by one of ca_certificates"]
    return []


def name_problems(names: list[str], server_names: t.Iterable[str]) -> list[str]:
    """Which of a server's names clients would not find in the certificate. The common name does not count."""
    lacking = [name for name in server_names if not any(covers(pattern, name) for pattern in names)]
    return [f"is not for {', '.join(lacking)}, only for {', '.join(names) or 'no name'}"] if lacking else []
