# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys and certificate signing requests on the host that uses the certificates.

A key that is to replace one in use waits as NAME.key.new until its certificate arrives, so that the key and the
certificate in use always belong together. Installing is: certificate, then key, then the waiting file goes. Wherever
that was cut short, the certificate matches the waiting key, and the next run finishes.
"""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import dataclass
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509, x509_crl, x509_names
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

if x509.HAS_CRYPTOGRAPHY:
    from cryptography import x509 as cx509

LOCK = "certificates"


@dataclass(frozen=True)
class Wanted:
    """One certificate as it should be."""

    name: str
    names: tuple[str, ...]
    common_name: str | None = None
    key_type: str = "ec-p256"
    usages: tuple[str, ...] = ("server",)
    lifetime_days: int = 397
    renew_before_days: int = 30

    @property
    def subject(self) -> str | None:
        """The common name to ask for: the one given, else the first DNS name, where it is not too long for the field."""
        if self.common_name:
            return self.common_name
        dns = [name for name in self.names if not x509_names.is_address(name)]
        return dns[0] if dns and len(dns[0]) <= 64 else None


class Paths(t.NamedTuple):
    key: str
    waiting: str
    certificate: str

    @classmethod
    def of(cls, directory: str, name: str) -> Paths:
        path = os.path.join(directory, name)
        return cls(f"{path}.key", f"{path}.key.new", f"{path}.crt")


class Facts(t.NamedTuple):
    """What counts in a certificate that is there."""

    certificate: t.Any
    public_key: bytes
    names: list[str]
    usages: list[str]
    common_name: str | None
    not_before: datetime
    not_after: datetime


class Plan(t.NamedTuple):
    """What one certificate takes: key files to write or remove (content None) first, and the reasons to have it signed."""

    writes: list[tuple[str, bytes | None]]
    changes: list[str]
    before: str
    after: str
    key: t.Any
    facts: Facts | None
    needs: list[str]


def parse(certificates: list[dict[str, t.Any]]) -> list[Wanted]:
    """Read the module parameter. Raises HoldfastError naming the place of the first wrong value."""
    x509_names.check_file_names([entry["name"] for entry in certificates], "certificates")
    return [_parse_one(entry, f"certificates[{index}]") for index, entry in enumerate(certificates)]


def _parse_one(entry: dict[str, t.Any], where: str) -> Wanted:
    if not entry["names"]:
        raise HoldfastError(f"{where}.names: must hold at least one DNS name or IP address")
    names = [x509_names.parse_name(name, f"{where}.names[{index}]") for index, name in enumerate(entry["names"])]
    if entry["common_name"] is not None:
        x509_names.check_common_name(entry["common_name"], f"{where}.common_name")
    if not entry["usages"]:
        raise HoldfastError(f"{where}.usages: must hold at least one of {', '.join(x509.USAGES)}")
    x509.check_lifetime(entry["lifetime_days"], entry["renew_before_days"], f"{where}.")
    usages = tuple(usage for usage in x509.USAGES if usage in entry["usages"])
    return Wanted(**{**entry, "names": tuple(dict.fromkeys(names)), "usages": usages})


class Issuer(t.NamedTuple):
    """The CA that should have signed (None in a check run that only predicts one), and what has been revoked."""

    certificate: t.Any
    crls: list[t.Any]

    @classmethod
    def of(cls, ca_certificate: str, crl: str | None, check_mode: bool) -> Issuer:
        """Read module parameters."""
        x509.check_no_key(ca_certificate, "ca_certificate")
        # A check run on a CA host without the library predicts a CA, but has no certificate of it to show.
        certificate = None if check_mode and not ca_certificate else x509.ca_from_pem(ca_certificate.encode(), "ca_certificate")
        return cls(certificate, x509_crl.from_pem(crl.encode(), "crl") if crl else [])


def ensure(directory: str, wanted: list[Wanted], ca_certificate: str, check_mode: bool, now: datetime, crl: str | None = None) -> dict[str, t.Any]:
    """Make missing keys and say which certificates need signing. Returns the module's result."""
    if check_mode and not x509.HAS_CRYPTOGRAPHY and all(files.read_bytes(path) is None for entry in wanted for path in Paths.of(directory, entry.name)):
        return _predict_without_library(directory, wanted)
    x509.require_library()
    issuer = Issuer.of(ca_certificate, crl, check_mode)
    if check_mode:
        return _result(directory, [(entry, plan(directory, entry, issuer, now)) for entry in wanted], now)
    files.make_directories(directory, 0o755)
    with files.locked(os.path.join(directory, LOCK)):
        plans = [(entry, plan(directory, entry, issuer, now)) for entry in wanted]
        for entry, todo in plans:
            _carry_out(directory, entry.name, todo)
    return _result(directory, plans, now)


def plan(directory: str, wanted: Wanted, issuer: Issuer, now: datetime) -> Plan:
    """Decide for one certificate. Changes nothing."""
    paths = Paths.of(directory, wanted.name)
    key, waiting = _read_key(paths.key), _read_key(paths.waiting)
    facts = read_facts(paths.certificate)
    before = _describe(paths, key, waiting, stat.S_IMODE(os.stat(paths.key).st_mode) if key else 0)
    writes: list[tuple[str, bytes | None]] = []
    changes = []

    if waiting and (not key or (facts and facts.public_key == _bits(waiting))):
        if not key or _bits(key) != _bits(waiting):
            writes.append((paths.key, x509.key_to_pem(waiting)))
        writes.append((paths.waiting, None))
        changes.append(f"{paths.key}: took the place of the key before, which an interrupted run had left to do")
        key, waiting = waiting, None
    elif key and files.Ownership(mode=x509.PRIVATE).differs(paths.key):
        writes.append((paths.key, x509.key_to_pem(key)))
        changes.append(f"{paths.key}: mode set to 0600")

    why_new_key = _why_new_key(wanted, key, facts, issuer)
    if not key:
        key = x509.generate_key(wanted.key_type)
        writes.append((paths.key, x509.key_to_pem(key)))
        changes.append(f"{paths.key}: made, {wanted.key_type}")
    elif why_new_key:
        if not waiting or _type(waiting) != wanted.key_type:
            waiting = x509.generate_key(wanted.key_type)
            writes.append((paths.waiting, x509.key_to_pem(waiting)))
            changes.append(f"{paths.waiting}: made, {wanted.key_type}; it replaces {paths.key} together with the certificate")
    elif waiting:
        writes.append((paths.waiting, None))
        changes.append(f"{paths.waiting}: removed, no longer wanted")
        waiting = None
    after = _describe(paths, key, waiting, x509.PRIVATE)
    key = waiting or key
    return Plan(writes, changes, before, after, key, facts, _needs(paths, wanted, facts, key, why_new_key, issuer, now))


def _why_new_key(wanted: Wanted, key: t.Any, facts: Facts | None, issuer: Issuer) -> list[str]:
    """Why the key in use has to give way to another one, which is always a reason to sign as well."""
    reasons = []
    if key and _type(key) != wanted.key_type:
        reasons.append(f"key type changed from {_type(key)} to {wanted.key_type}")
    if key and facts and facts.public_key == _bits(key) and x509_crl.lists(issuer.crls, facts.certificate):
        reasons.append("revoked")
    return reasons


def _needs(paths: Paths, wanted: Wanted, facts: Facts | None, key: t.Any, why_new_key: list[str], issuer: Issuer, now: datetime) -> list[str]:
    """Why the certificate has to be signed (again)."""
    if facts is None:
        return why_new_key + ["missing" if files.read_bytes(paths.certificate) is None else "unreadable"]
    ca, needs = issuer.certificate, list(why_new_key)
    if not why_new_key and facts.public_key != _bits(key):
        needs += ["key changed"] + (["revoked"] if x509_crl.lists(issuer.crls, facts.certificate) else [])
    if ca is None or not x509.signed_by(facts.certificate, ca):
        needs.append("signed by another CA")
    due = x509.expiry(facts.not_after, wanted.renew_before_days, now)
    # A certificate that ends together with its CA cannot get any later end: renewing it waits for the CA's renewal.
    if due and (due == "expired" or ca is None or facts.not_after != x509.not_after(ca)):
        needs.append(due)
    if set(facts.names) != set(wanted.names):
        needs.append(f"names changed from {', '.join(facts.names) or 'none'} to {', '.join(wanted.names)}")
    if wanted.common_name and facts.common_name != wanted.common_name:
        needs.append(f"common name changed from {facts.common_name or 'none'} to {wanted.common_name}")
    if set(facts.usages) != set(wanted.usages):
        needs.append(f"usages changed from {', '.join(facts.usages) or 'none'} to {', '.join(wanted.usages)}")
    lifetime, asked = facts.not_after - facts.not_before - x509.BACKDATED, timedelta(days=wanted.lifetime_days)
    # Shorter than asked for, and ending together with its CA, is as long as it gets.
    if lifetime > asked or (lifetime < asked and (ca is None or facts.not_after != x509.not_after(ca))):
        needs.append(f"lifetime changed from {lifetime.days} to {wanted.lifetime_days} days")
    return needs


def read_facts(path: str) -> Facts | None:
    """Read the certificate at path, or None where there is none that can be read."""
    pem = files.read_bytes(path)
    if pem is None:
        return None
    try:
        certificate = x509.certificate_from_pem(pem.split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n", path)
        names, usages = x509.alternative_names(certificate), x509.usages(certificate)
    except (HoldfastError, ValueError):
        return None
    key = x509.key_bits(certificate.public_key())
    name = x509.common_name(certificate.subject)
    return Facts(certificate, key, names, usages, name, x509.not_before(certificate), x509.not_after(certificate))


def build_csr(key: t.Any, wanted: Wanted) -> str:
    """A certificate signing request in PEM, signed by the key it is for."""
    builder = cx509.CertificateSigningRequestBuilder().subject_name(x509.subject_name(wanted.subject))
    names = x509.alternative_names_extension(wanted.names)
    return x509.to_pem(builder.add_extension(names, critical=not wanted.subject).sign(key, x509.signing_hash(key)))


def _describe(paths: Paths, key: t.Any, waiting: t.Any, mode: int) -> str:
    lines = [f"{paths.key}: {_type(key)}, mode {mode:04o}\n"] if key else []
    return "".join(lines + ([f"{paths.waiting}: {_type(waiting)}\n"] if waiting else []))


def _read_key(path: str) -> t.Any:
    pem = files.read_bytes(path)
    return None if pem is None else x509.key_from_pem(pem, path)


def _bits(key: t.Any) -> bytes:
    return x509.key_bits(key.public_key())


def _type(key: t.Any) -> str:
    return x509.key_type_of(key.public_key())


def _carry_out(directory: str, name: str, todo: Plan) -> None:
    for path in Paths.of(directory, name):
        files.remove_leftovers(path)
    for path, content in todo.writes:
        if content is None:
            files.remove(path)
        else:
            files.atomic_write(path, content, files.Ownership(mode=x509.PRIVATE))


def _result(directory: str, plans: list[tuple[Wanted, Plan]], now: datetime) -> dict[str, t.Any]:
    requests, certificates = [], []
    for entry, todo in plans:
        paths = Paths.of(directory, entry.name)
        end = todo.facts.not_after if todo.facts else None
        certificates.append(
            {
                "name": entry.name,
                "path": paths.certificate,
                "key_path": paths.key,
                "not_after": x509.isoformat(end) if end else None,
                "days_left": x509.days_left(end, now) if end else None,
                "needs": todo.needs,
            }
        )
        if todo.needs:
            requests.append(_request(entry, build_csr(todo.key, entry), todo.needs))
    changes = [change for _entry, todo in plans for change in todo.changes]
    diff = {"before": "".join(todo.before for _entry, todo in plans), "after": "".join(todo.after for _entry, todo in plans)}
    return {"changed": bool(changes), "changes": changes, "requests": requests, "certificates": certificates, "diff": diff}


def _request(wanted: Wanted, csr: str, needs: list[str]) -> dict[str, t.Any]:
    return {"name": wanted.name, "csr": csr, "needs": needs, "lifetime_days": wanted.lifetime_days, "usages": list(wanted.usages)}


def _predict_without_library(directory: str, wanted: list[Wanted]) -> dict[str, t.Any]:
    """What a first run would do on a host where a task before it would install the library."""
    changes, requests, certificates = [], [], []
    for entry in wanted:
        paths = Paths.of(directory, entry.name)
        changes.append(f"{paths.key}: made, {entry.key_type}")
        requests.append(_request(entry, "", ["missing"]))
        certificates.append({"name": entry.name, "path": paths.certificate, "key_path": paths.key, "not_after": None, "days_left": None, "needs": ["missing"]})
    diff = {"before": "", "after": "".join(f"{change}\n" for change in changes)}
    return {"changed": bool(changes), "changes": changes, "requests": requests, "certificates": certificates, "diff": diff}
