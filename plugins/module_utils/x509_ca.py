# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certification authority in one directory: made once, renewed with the same key, replaced by a new key when told to.

The bundle is what clients have to trust: the CA's certificate, and those of the CAs before it that still matter. The
bundle holds the old certificate before a new one takes its place, and the old CA's last CRL is signed before its key goes.
"""

from __future__ import annotations

import os
import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509, x509_ca_files, x509_crl, x509_record
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.x509_ca_certificate import Wanted, constraints_of, generation_of, identity, issue
from ansible_collections.holdfast.registry.plugins.module_utils.x509_ca_files import (
    BUNDLE_FILE,
    CERTIFICATE_FILE,
    CRL_FILE,
    KEY_FILE,
    WAITING_KEY_FILE,
    Files,
)

if x509.HAS_CRYPTOGRAPHY:
    from cryptography import x509 as cx509
    from cryptography.hazmat.primitives import hashes


class Plan(t.NamedTuple):
    """The CA as it will be, the reasons, and the files to write in order (content None: to remove)."""

    after: Files
    bundle: list[t.Any]
    crls: list[t.Any]
    needs: list[str]
    writes: list[tuple[str, bytes | None, int]]


def ensure(wanted: Wanted, check_mode: bool, now: datetime) -> dict[str, t.Any]:
    """Bring the CA into the wanted state, or say what that would take. Returns the module's result."""
    if check_mode and not x509.HAS_CRYPTOGRAPHY and x509_ca_files.missing(wanted.directory):
        return _predict_without_library(wanted, now)
    x509.require_library()
    if check_mode:
        return _ensure(wanted, True, now)
    files.make_directories(wanted.directory, 0o700)
    with x509_ca_files.locked(wanted.directory):
        return _ensure(wanted, False, now)


def _ensure(wanted: Wanted, check_mode: bool, now: datetime) -> dict[str, t.Any]:
    current, rekeyed = _read(wanted)
    bundle, crls = _read_bundle(wanted.directory), read_crls(wanted.directory)
    plan = _plan(wanted, current, rekeyed, bundle, crls, now)
    if not check_mode:
        for name, content, mode in plan.writes:
            path = os.path.join(wanted.directory, name)
            if content is None:
                files.remove(path)
            else:
                files.atomic_write(path, content, files.Ownership(mode=mode))
    certificate = plan.after.certificate
    return {
        "changed": bool(plan.needs),
        "needs": plan.needs,
        "generation": generation_of(certificate),
        "certificate": x509.to_pem(certificate),
        "bundle": "".join(x509.to_pem(ca) for ca in plan.bundle),
        "crl": x509_crl.to_pem(plan.crls),
        **_paths(wanted.directory),
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "not_after": x509.isoformat(x509.not_after(certificate)),
        "days_left": x509.days_left(x509.not_after(certificate), now),
        "diff": {"before": _describe(current, bundle, crls), "after": _describe(plan.after, plan.bundle, plan.crls)},
    }


def _paths(directory: str) -> dict[str, str]:
    return {name: os.path.join(directory, file) for name, file in (("path", CERTIFICATE_FILE), ("bundle_path", BUNDLE_FILE), ("crl_path", CRL_FILE))}


def _read(wanted: Wanted) -> tuple[Files, bool]:
    """The CA, and whether its key has to be encrypted with the new passphrase."""
    if not wanted.new_passphrase:
        return x509_ca_files.read(wanted.directory, wanted.passphrase), False
    try:
        return x509_ca_files.read(wanted.directory, wanted.new_passphrase), False
    except HoldfastError:
        return x509_ca_files.read(wanted.directory, wanted.passphrase), True


def _plan(wanted: Wanted, current: Files, rekeyed: bool, old_bundle: list[t.Any], old_crls: list[t.Any], now: datetime) -> Plan:
    """Decide everything. Changes nothing."""
    replaced = _is_replaced(wanted, current)
    key = x509.generate_key(wanted.key_type) if replaced or current.key is None else current.key
    key_needs = [] if current.key is None or replaced else _key_needs(wanted, current, rekeyed)
    certificate_needs = _certificate_needs(wanted, current, replaced, now)
    certificate = issue(key, wanted, now) if certificate_needs else current.certificate
    retires = current.certificate is not None and identity(current.certificate) != identity(certificate)
    entries = x509_record.read(wanted.directory)
    if retires:
        old_bundle = [current.certificate, *old_bundle]
        old_crls = _with_last_crl(current, entries, old_crls, now)
    previous, dropped = _previous(wanted, certificate, old_bundle, entries, now)
    bundle = [certificate, *previous]
    crl, crl_needs = _crl(wanted, certificate, key, old_crls, entries, now)
    crls = [crl] + [found for found in (x509_crl.of_ca(old_crls, ca) for ca in previous) if found is not None]

    writes: list[tuple[str, bytes | None, int]] = []
    if retires:
        writes += [_public(BUNDLE_FILE, old_bundle), _public(CRL_FILE, old_crls)]
    if replaced or key_needs or current.key is None:
        # Re-encoding an open key is the same whether it is to be encrypted or only to get its mode back.
        key_pem = x509.key_to_pem(key, wanted.new_passphrase or wanted.passphrase)
        if replaced:
            writes += [(WAITING_KEY_FILE, key_pem, x509.PRIVATE), _public(CERTIFICATE_FILE, [certificate])]
        writes += [(KEY_FILE, key_pem, x509.PRIVATE), (WAITING_KEY_FILE, None, x509.PRIVATE)]
    if certificate_needs and not replaced:
        writes.append(_public(CERTIFICATE_FILE, [certificate]))
    stale = []
    for name, objects in ((BUNDLE_FILE, bundle), (CRL_FILE, crls)):
        change = _public(name, objects)
        there = files.read_bytes(os.path.join(wanted.directory, name))
        if retires or there != change[1]:
            writes.append(change)
            stale.append(f"{name} {'missing' if there is None else 'not up to date'}")

    needs = certificate_needs + key_needs + dropped
    if current.certificate is not None and not retires:
        needs += crl_needs
    return Plan(Files(key, certificate, bool(wanted.new_passphrase or wanted.passphrase)), bundle, crls, needs or stale, writes)


def _previous(wanted: Wanted, certificate: t.Any, bundle: list[t.Any], entries: list[x509_record.Entry], now: datetime) -> tuple[list[t.Any], list[str]]:
    """The CAs before this one that clients still have to trust, and why others are dropped."""
    kept, dropped = [], []
    for ca in {identity(ca): ca for ca in bundle if identity(ca) != identity(certificate)}.values():
        why = _why_dropped(wanted, ca, entries, now)
        if why:
            dropped.append(f"{x509.common_name(ca.subject)} no longer trusted: {why}")
        else:
            kept.append(ca)
    return kept, dropped


def _crl(wanted: Wanted, certificate: t.Any, key: t.Any, crls: list[t.Any], entries: list[x509_record.Entry], now: datetime) -> tuple[t.Any, list[str]]:
    """The CA's own CRL, and why it is a new one."""
    crl = x509_crl.of_ca(crls, certificate)
    revoked = x509_record.revoked_by(entries, certificate)
    needs = x509_crl.needs(crl, revoked, wanted.crl_lifetime_days, wanted.crl_renew_before_days, now)
    if needs:
        end = now + timedelta(days=wanted.crl_lifetime_days)
        crl = x509_crl.issue(certificate, key, revoked, x509_crl.next_number(crl, now), now, end)
    return crl, needs


def _public(name: str, objects: t.Iterable[t.Any]) -> tuple[str, bytes | None, int]:
    return name, "".join(x509.to_pem(thing) for thing in objects).encode(), x509.PUBLIC


def _has_waiting(directory: str) -> bool:
    return os.path.exists(os.path.join(directory, WAITING_KEY_FILE))


def _read_bundle(directory: str) -> list[t.Any]:
    path = os.path.join(directory, BUNDLE_FILE)
    pem = files.read_bytes(path)
    return [] if pem is None else x509.cas_from_pem(pem, path)


def read_crls(directory: str) -> list[t.Any]:
    """The CRLs in the CA's directory: its own, and the last ones of the CAs before it."""
    path = os.path.join(directory, CRL_FILE)
    pem = files.read_bytes(path)
    return [] if pem is None else x509_crl.from_pem(pem, path)


def _with_last_crl(retiring: Files, entries: list[x509_record.Entry], crls: list[t.Any], now: datetime) -> list[t.Any]:
    """The CRLs with one of the retiring CA that lasts as long as it does: nobody can sign another one once its key is gone."""
    before = x509_crl.of_ca(crls, retiring.certificate)
    revoked = x509_record.revoked_by(entries, retiring.certificate)
    end = max(x509.not_after(retiring.certificate), now + timedelta(days=1))
    last = x509_crl.issue(retiring.certificate, retiring.key, revoked, x509_crl.next_number(before, now), now, end)
    return [last] + [crl for crl in crls if crl is not before]


def _why_dropped(wanted: Wanted, ca: t.Any, entries: list[x509_record.Entry], now: datetime) -> str | None:
    """Why clients need not trust a CA of before any longer."""
    if not wanted.keep_previous:
        return "keep_previous is false"
    if x509.not_after(ca) <= now:
        return "expired"
    return None if x509_record.in_use(entries, ca, now) else "none of its certificates is in use"


def _is_replaced(wanted: Wanted, current: Files) -> bool:
    if current.certificate is None:
        return False
    if not x509.signed_by(current.certificate, current.certificate):
        raise HoldfastError(f"directory: the certificate in {wanted.directory} is not self-signed; a CA below another one has to be renewed there")
    there = generation_of(current.certificate)
    if wanted.generation < there:
        raise HoldfastError(
            f"generation: the CA in {wanted.directory} is of generation {there}, and there is no way back to {wanted.generation}: set it to {there}"
        )
    return wanted.generation > there


def _key_needs(wanted: Wanted, current: Files, rekeyed: bool) -> list[str]:
    """Why the key file is to be written again. The key in it stays."""
    key_type = x509.key_type_of(current.key.public_key())
    if key_type != wanted.key_type:
        way = "set key_type to " + key_type
        if current.certificate is not None:
            way += f", or replace the CA by one with a new key: set generation to {generation_of(current.certificate) + 1}"
        raise HoldfastError(f"key_type: the CA in {wanted.directory} has an {key_type} key, not {wanted.key_type}, and a CA keeps its key: {way}")
    needs = []
    if current.interrupted:
        needs.append("replacement of the key interrupted")
    elif files.Ownership(mode=x509.PRIVATE).differs(os.path.join(wanted.directory, KEY_FILE)):
        needs.append("key not mode 0600")
    if _has_waiting(wanted.directory) and not current.interrupted:
        needs.append("key left behind by an interrupted replacement")
    if (wanted.new_passphrase or wanted.passphrase) and not current.encrypted:
        needs.append("key not encrypted")
    elif rekeyed:
        needs.append("passphrase changed")
    return needs


def _certificate_needs(wanted: Wanted, current: Files, replaced: bool, now: datetime) -> list[str]:
    """Why the CA's certificate is to be issued (again)."""
    certificate = current.certificate
    if certificate is None:
        return ["missing"]
    if replaced:
        return [f"generation changed from {generation_of(certificate)} to {wanted.generation}"]
    needs = [x509.expiry(x509.not_after(certificate), wanted.renew_before_days, now)]
    name = x509.common_name(certificate.subject)
    if name != wanted.subject:
        needs.append(f"common name changed from {name} to {wanted.subject}")
    constraints = constraints_of(certificate)
    if constraints != wanted.constraints:
        needs.append(f"name constraints changed from {constraints} to {wanted.constraints}")
    path_length = x509.extension(certificate, cx509.BasicConstraints).path_length
    if path_length != wanted.path_length:
        needs.append(f"path length changed from {'none' if path_length is None else path_length} to {wanted.path_length}")
    usage = x509.extension(certificate, cx509.KeyUsage)
    if usage is None or not (usage.key_cert_sign and usage.crl_sign):
        needs.append("key usage lacks keyCertSign or cRLSign")
    return [need for need in needs if need]


def _describe(state: Files, bundle: list[t.Any], crls: list[t.Any]) -> str:
    if state.key is None:
        return ""
    lines = f"key file: {x509.key_type_of(state.key.public_key())}, {'encrypted' if state.encrypted else 'not encrypted'}\n"
    if state.certificate is None:
        return lines
    lines += f"{x509.describe(state.certificate)}name constraints: {constraints_of(state.certificate)}\n"
    lines += f"path length: {x509.extension(state.certificate, cx509.BasicConstraints).path_length}\n"
    for ca in bundle:
        lines += f"to be trusted: {x509.common_name(ca.subject)}, until {x509.isoformat(x509.not_after(ca))}\n"
    for crl in crls:
        lines += (
            f"CRL of {x509.common_name(crl.issuer)}: {len(list(crl))} revoked, until {x509.isoformat(x509_crl.end_of(crl)) if x509_crl.end_of(crl) else '-'}\n"
        )
    return lines


def _predict_without_library(wanted: Wanted, now: datetime) -> dict[str, t.Any]:
    """What a first run would do on a host where a task before it would install the library."""
    end = x509.isoformat(now + timedelta(days=wanted.lifetime_days))
    return {
        "changed": True,
        "needs": ["missing"],
        "generation": wanted.generation,
        "certificate": "",
        "bundle": "",
        "crl": "",
        **_paths(wanted.directory),
        "fingerprint_sha256": "",
        "not_after": end,
        "days_left": wanted.lifetime_days,
        "diff": {"before": "", "after": f"key file: {wanted.key_type}\ncommon name: {wanted.subject}\nnot after: {end}\n"},
    }
