# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keys and certificate signing requests on the host that uses the certificates."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._errors import Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, SetMode, Write, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes, remove_leftovers
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    alternative_names,
    alternative_names_extension,
    common_name,
    crl_url_of,
    signed_by,
    subject_name,
    to_pem,
    usages_of,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import is_revoked
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.files import (
    Paths,
    TakePlace,
    check_no_ca,
    held,
    read_certificate,
    read_key,
    read_waiting_key,
    show_key,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import Issuer, WantedCertificate
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import generate_key, key_bits, key_to_pem, key_type_of, signing_hash
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_directory
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import (
    BACKDATED,
    EXPIRED,
    days_left,
    earliness,
    expiry,
    isoformat,
    not_after,
    not_before,
)

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PrivateKey

OF_ANOTHER_CA = "signed by another CA"


class Pair(t.NamedTuple):
    """What there is of one certificate: the key in use, the key that waits to take its place, the certificate."""

    key: PrivateKey | None
    waiting: PrivateKey | None
    certificate: x509.Certificate | None


class RequestPlan(t.NamedTuple):
    """What one certificate takes: changes to its keys first, then, where there are needs, a signature for key."""

    wanted: WantedCertificate
    paths: Paths
    key: PrivateKey
    certificate: x509.Certificate | None
    changes: list[Change]
    needs: list[str]


def ensure(directory: str, wanted: list[WantedCertificate], *, ca_certificate: str, crl: str | None, check_mode: bool, now: datetime) -> Result:
    """Make missing keys and say which certificates need signing. Returns the module's result."""
    check_directory(directory)
    check_no_ca(directory)
    files = [path for entry in wanted for path in Paths.of(directory, entry.name)]
    if check_mode and not library.HAS_CRYPTOGRAPHY and all(read_bytes(path) is None for path in files):
        return _predict_without_library(directory, wanted)
    library.require_library()
    issuer = Issuer.of(ca_certificate, crl, check_mode=check_mode)
    with held(directory, check_mode=check_mode):
        plans = [make_plan(directory, entry, issuer, now) for entry in wanted]
        if not check_mode:
            for path in files:
                remove_leftovers(path)
            for plan in plans:
                apply(plan.changes)
    return _result(plans, now)


def make_plan(directory: str, wanted: WantedCertificate, issuer: Issuer, now: datetime) -> RequestPlan:
    """Decide for one certificate. Changes nothing."""
    paths = Paths.of(directory, wanted.name)
    there = Pair(read_key(paths.key), read_waiting_key(paths.waiting), read_certificate(paths.certificate))
    damaged = Remove.plan(paths.waiting, show=show_key, why="removed, damaged and in use nowhere") if there.waiting is None else []
    there, changes = _finish_swap(paths, wanted, there)
    why_new_key = _why_new_key(wanted, there, issuer)
    key, more = _plan_key(paths, wanted, there, why_new_key)
    needs = _needs(paths, wanted, there.certificate, key, why_new_key, issuer, now)
    return RequestPlan(wanted, paths, key, there.certificate, [*damaged, *changes, *more], needs)


def _finish_swap(paths: Paths, wanted: WantedCertificate, there: Pair) -> tuple[Pair, list[Change]]:
    """Finish what an interrupted run left: the waiting key takes its place where the certificate is for it, or where it is the only one."""
    waits_in_vain = there.key is not None and (there.certificate is None or not _belong(there.waiting, there.certificate))
    if there.waiting is None or waits_in_vain:
        return there, (SetMode.plan(paths.key, wanted.ownership) if there.key else [])
    why = "took the place of the key before, which an interrupted run had left to do"
    changes: list[Change] = [TakePlace(paths.key, why, paths, wanted.ownership)]
    return there._replace(key=there.waiting, waiting=None), changes


def _why_new_key(wanted: WantedCertificate, there: Pair, issuer: Issuer) -> list[str]:
    """Why the key in use has to give way to another one, which is always a reason to sign as well."""
    reasons = []
    if there.key and key_type_of(there.key) != wanted.key_type:
        reasons.append(f"key type changed from {key_type_of(there.key)} to {wanted.key_type}")
    if there.key and there.certificate and _belong(there.key, there.certificate) and is_revoked(there.certificate, issuer.crls):
        reasons.append("revoked")
    return reasons


def _plan_key(paths: Paths, wanted: WantedCertificate, there: Pair, why_new_key: list[str]) -> tuple[PrivateKey, list[Change]]:
    """The key that the certificate is to be for, and what that changes."""
    if there.key is None:
        key = generate_key(wanted.key_type)
        return key, Write.plan(paths.key, key_to_pem(key), wanted.ownership, show=show_key, why=f"made, {wanted.key_type}")
    if not why_new_key:
        return there.key, Remove.plan(paths.waiting, show=show_key, why="removed, no longer wanted") if there.waiting else []
    if there.waiting and key_type_of(there.waiting) == wanted.key_type:
        return there.waiting, SetMode.plan(paths.waiting, wanted.ownership)
    key = generate_key(wanted.key_type)
    why = f"made, {wanted.key_type}; it replaces {paths.key} together with the certificate"
    return key, Write.plan(paths.waiting, key_to_pem(key), wanted.ownership, show=show_key, why=why)


def _belong(key: PrivateKey | None, certificate: x509.Certificate) -> bool:
    return key is not None and key_bits(key) == key_bits(certificate.public_key())


def _needs(
    paths: Paths,
    wanted: WantedCertificate,
    certificate: x509.Certificate | None,
    key: PrivateKey,
    why_new_key: list[str],
    issuer: Issuer,
    now: datetime,
) -> list[str]:
    """Why the certificate has to be signed (again)."""
    if certificate is None:
        return [*why_new_key, "missing" if read_bytes(paths.certificate) is None else "unreadable"]
    needs = list(why_new_key)
    if not why_new_key and not _belong(key, certificate):
        needs += ["key changed"] + (["revoked"] if is_revoked(certificate, issuer.crls) else [])
    return needs + _issuer_needs(wanted, certificate, issuer.certificate, now) + _content_needs(wanted, certificate)


def _issuer_needs(wanted: WantedCertificate, certificate: x509.Certificate, ca: x509.Certificate | None, now: datetime) -> list[str]:
    """What is wrong with who signed, and until when."""
    needs = []
    if ca is None or not signed_by(certificate, ca):
        needs.append(OF_ANOTHER_CA)
    early = earliness(not_before(certificate), now)
    if early:
        needs.append(early)
    # A certificate that ends together with its CA is as long as it gets: renewing it waits for the CA's renewal.
    ends_with_ca = ca is not None and not_after(certificate) == not_after(ca)
    due = expiry(not_after(certificate), wanted.renew_before_days, now)
    if due and (due == EXPIRED or not ends_with_ca):
        needs.append(due)
    lifetime, asked = not_after(certificate) - not_before(certificate) - BACKDATED, timedelta(days=wanted.lifetime_days)
    if lifetime > asked or (lifetime < asked and not ends_with_ca):
        needs.append(f"lifetime changed from {lifetime.days} to {wanted.lifetime_days} days")
    return needs


def _content_needs(wanted: WantedCertificate, certificate: x509.Certificate) -> list[str]:
    """What is wrong with what the certificate says."""
    needs = []
    names, usages, subject = alternative_names(certificate), usages_of(certificate), common_name(certificate.subject)
    if set(names) != set(wanted.names):
        needs.append(f"names changed from {', '.join(names) or 'none'} to {', '.join(wanted.names)}")
    if wanted.common_name and subject != wanted.common_name:
        needs.append(f"common name changed from {subject or 'none'} to {wanted.common_name}")
    if crl_url_of(certificate) != wanted.crl_url:
        needs.append(f"URL of the CRL changed from {crl_url_of(certificate) or 'none'} to {wanted.crl_url or 'none'}")
    if set(usages) != set(wanted.usages):
        needs.append(f"usages changed from {', '.join(usages) or 'none'} to {', '.join(wanted.usages)}")
    return needs


def build_csr(key: PrivateKey, wanted: WantedCertificate) -> str:
    """A certificate signing request in PEM, signed by the key it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(wanted.subject))
    names = alternative_names_extension(wanted.names)
    return to_pem(builder.add_extension(names, critical=not wanted.subject).sign(key, signing_hash(key)))


def _result(plans: list[RequestPlan], now: datetime) -> Result:
    changes = [change for plan in plans for change in plan.changes]
    return {
        "changed": bool(changes),
        "changes": [change.reason for change in changes],
        "requests": [_request(plan.wanted, build_csr(plan.key, plan.wanted), plan.needs) for plan in plans if plan.needs],
        "certificates": [_certificate(plan.wanted, plan.paths, plan.needs, not_after(plan.certificate) if plan.certificate else None, now) for plan in plans],
        "diff": [change.diff for change in changes],
    }


def _request(wanted: WantedCertificate, csr: str, needs: list[str]) -> dict[str, t.Any]:
    return {"name": wanted.name, "csr": csr, "needs": needs, "lifetime_days": wanted.lifetime_days, "usages": list(wanted.usages), "crl_url": wanted.crl_url}


def _certificate(wanted: WantedCertificate, paths: Paths, needs: list[str], end: datetime | None, now: datetime | None) -> dict[str, t.Any]:
    return {
        "name": wanted.name,
        "path": paths.certificate,
        "key_path": paths.key,
        "not_after": isoformat(end) if end else None,
        "days_left": days_left(end, now) if end and now else None,
        "needs": needs,
    }


def _predict_without_library(directory: str, wanted: list[WantedCertificate]) -> Result:
    """The prediction for a first run on a host where an earlier task would install the library."""
    changes = [f"{Paths.of(directory, entry.name).key}: made, {entry.key_type}" for entry in wanted]
    return {
        "changed": bool(changes),
        "changes": changes,
        "requests": [_request(entry, "", ["missing"]) for entry in wanted],
        "certificates": [_certificate(entry, Paths.of(directory, entry.name), ["missing"], None, None) for entry in wanted],
        "diff": [{"prepared": f"{change}\n"} for change in changes],
    }
