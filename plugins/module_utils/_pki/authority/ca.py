# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certificate authority in one directory: made once, renewed with the same key, replaced by a new key when told to.

The bundle is what clients have to trust: the CA's certificate, and those of the CAs before it that still matter. The
bundle holds the old certificate before a new one takes its place. The old CA's key is kept to sign its CRL as long as it is trusted.
"""

from __future__ import annotations

import os
import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, SetMode, Write, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import make_directories, read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.below import Settled, crls_above, settle, trusted
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.crl import crl_needs, issue_crl
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import (
    BUNDLE_FILE,
    CERTIFICATE_FILE,
    CHAIN_FILE,
    CRL_FILE,
    KEY_FILE,
    REQUEST_FILE,
    TRUST_FILE,
    WAITING_KEY_FILE,
    CaFiles,
    Signer,
    held,
    is_missing,
    previous_key_path,
    previous_keys,
    read_bundle,
    read_crls,
    read_files,
    read_previous,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.limits import constraints_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.record import (
    Entry,
    is_in_use,
    is_issued_by,
    read_record,
    revoked_by,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import (
    CaSettings,
    generation_of,
    identity,
    issue_ca,
    shortcomings,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import all_to_pem, common_name, describe, signed_by, to_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crl_of_ca, end_of, serials_in
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import generate_key, key_to_pem, key_type_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_directory
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import days_left, earliness, expiry, isoformat, not_after, not_before

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PrivateKey

_PRIVATE, _PUBLIC = Ownership(mode=0o600), Ownership(mode=0o644)


class State(t.NamedTuple):
    """Everything that is in the directory. rekeyed: the key has to be encrypted with the new passphrase."""

    files: CaFiles
    rekeyed: bool
    bundle: list[x509.Certificate]
    crls: list[x509.CertificateRevocationList]
    entries: list[Entry]


class CaPlan(t.NamedTuple):
    """The CA as it will be, the reasons, and the changes in their order. csr is what a parent still has to sign."""

    ca: Signer
    trusted: list[x509.Certificate]
    csr: str
    crls: list[x509.CertificateRevocationList]
    needs: list[str]
    changes: list[Change]


def ensure(directory: str, wanted: CaSettings, *, check_mode: bool, now: datetime) -> Result:
    """Bring the CA into the wanted state, or say what that would take. Returns the module's result."""
    check_directory(directory)
    if check_mode and not library.HAS_CRYPTOGRAPHY and is_missing(directory):
        return _predict_without_library(directory, wanted, now)
    library.require_library()
    if not check_mode:
        make_directories(directory, 0o700)
    with held(directory, check_mode=check_mode):
        there = read_state(directory, wanted)
        settled = settle(directory, wanted, wanted.above, there.files, now) if wanted.above else None
        if settled and settled.ca is None:
            if not check_mode:
                apply(settled.changes)
            return _waiting(directory, wanted, settled)
        plan = make_plan(directory, wanted, there, settled, now)
        if not check_mode:
            apply(plan.changes)
    return _result(directory, wanted, there, plan, now)


def read_state(directory: str, wanted: CaSettings) -> State:
    files, rekeyed = _read_files(directory, wanted)
    return State(files, rekeyed, read_bundle(directory), read_crls(directory), read_record(directory))


def _read_files(directory: str, wanted: CaSettings) -> tuple[CaFiles, bool]:
    if not wanted.new_passphrase:
        return read_files(directory, wanted.passphrase), False
    try:
        return read_files(directory, wanted.new_passphrase), False
    except HoldfastError:
        return read_files(directory, wanted.passphrase), True


def make_plan(directory: str, wanted: CaSettings, there: State, settled: Settled | None, now: datetime) -> CaPlan:
    """Decide everything. settled is what is decided already for a CA below another one. Changes nothing."""
    old = there.files.signer
    replaced = old is not None and _is_replaced(directory, wanted, old.certificate)
    if settled and settled.ca:
        ca, certificate_needs = settled.ca, settled.needs if settled.ca != old else []
        certificate, replaced = ca.certificate, replaced and ca != old
        key_needs = [] if replaced or settled.csr or there.files.key is None else _key_needs(directory, wanted, there)
    else:
        key, key_needs = _plan_key(directory, wanted, there, replaced)
        certificate, certificate_needs = _plan_certificate(wanted, there.files.certificate, key, replaced, now)
        ca = Signer(key, certificate)
    retiring = old if old and identity(old.certificate) != identity(certificate) else None
    before = _with_retired(there, retiring, now) if retiring else there
    previous, dropped = _plan_previous(wanted, certificate, before, now)
    crl, crl_reasons = _plan_crl(wanted, ca, before, now)
    bundle = [certificate, *previous]
    crls = [crl, *(found for found in (crl_of_ca(before.crls, previous_ca) for previous_ca in previous) if found is not None)]
    crls += crls_above(wanted.above, there.crls)
    trust = trusted(wanted.above, bundle)

    changes: list[Change] = list(settled.changes) if settled else []
    if retiring:
        changes += [_public(directory, BUNDLE_FILE, before.bundle), _public(directory, CRL_FILE, before.crls)]
    changes += _kept_keys(directory, wanted, there, retiring if replaced else None, previous, rekeyed=bool(key_needs))
    if replaced or key_needs or there.files.key is None:
        changes += _key_changes(directory, wanted, ca, replaced)
    if certificate_needs and not replaced:
        changes.append(_public(directory, CERTIFICATE_FILE, [certificate]))
    lists = [_public(directory, BUNDLE_FILE, bundle), _public(directory, CRL_FILE, crls)]
    if wanted.above:
        lists += [_public(directory, TRUST_FILE, trust), _public(directory, CHAIN_FILE, wanted.above.chain(certificate))]
    stale: list[Write | Remove] = [change for change in lists if retiring or change.before != change.content]
    stale += _keys_to_drop(directory, previous)
    if not wanted.above:
        paths = [os.path.join(directory, name) for name in (TRUST_FILE, CHAIN_FILE, REQUEST_FILE)]
        stale += [Remove(path, "no CA above it", "") for path in paths if os.path.exists(path)]
    changes += stale

    needs = certificate_needs + key_needs + dropped
    if old and not retiring:
        needs += crl_reasons
    needs = needs or [change.why for change in [*(settled.changes if settled else []), *stale]]
    return CaPlan(ca, trust, settled.csr if settled else "", crls, needs, changes)


def _is_replaced(directory: str, wanted: CaSettings, certificate: x509.Certificate) -> bool:
    if not wanted.above and not signed_by(certificate, certificate):
        raise HoldfastError(f"directory: the certificate in {directory} is not self-signed; give parent_certificate, the certificate of the CA above it")
    there = generation_of(certificate)
    if wanted.generation < there:
        raise HoldfastError(f"generation: the CA in {directory} is of generation {there}, and there is no way back to {wanted.generation}: set it to {there}")
    return wanted.generation > there


def _plan_key(directory: str, wanted: CaSettings, there: State, replaced: bool) -> tuple[PrivateKey, list[str]]:
    """The CA's key, and why the file of one that stays is to be written again."""
    key, certificate = there.files.key, there.files.certificate
    if key is None or replaced:
        return generate_key(wanted.key_type), []
    key_type = key_type_of(key)
    if key_type != wanted.key_type:
        way = "set key_type to " + key_type
        if certificate is not None:
            way += f", or replace the CA by one with a new key: set generation to {generation_of(certificate) + 1}"
        raise HoldfastError(f"key_type: the CA in {directory} has an {key_type} key, not {wanted.key_type}, and a CA keeps its key: {way}")
    return key, _key_needs(directory, wanted, there)


def _key_needs(directory: str, wanted: CaSettings, there: State) -> list[str]:
    needs = []
    if there.files.interrupted:
        needs.append("replacement of the key interrupted")
    else:
        if SetMode.plan(os.path.join(directory, KEY_FILE), _PRIVATE):
            needs.append("key not mode 0600")
        if os.path.exists(os.path.join(directory, WAITING_KEY_FILE)):
            needs.append("key left behind by an interrupted replacement")
    if (wanted.new_passphrase or wanted.passphrase) and not there.files.encrypted:
        needs.append("key not encrypted")
    elif there.rekeyed:
        needs.append("passphrase changed")
    return needs


def _key_changes(directory: str, wanted: CaSettings, ca: Signer, replaced: bool) -> list[Change]:
    """Write the key. It is encoded again also where only its mode is wrong: that is the same work, and the same order."""
    path, waiting = os.path.join(directory, KEY_FILE), os.path.join(directory, WAITING_KEY_FILE)
    pem = key_to_pem(ca.key, wanted.new_passphrase or wanted.passphrase)
    changes: list[Change] = []
    if replaced:
        changes += [_secret(waiting, pem), _public(directory, CERTIFICATE_FILE, [ca.certificate])]
    return [*changes, _secret(path, pem), Remove(waiting, "no longer waiting", "")]


def _kept_keys(directory: str, wanted: CaSettings, there: State, retiring: Signer | None, previous: list[x509.Certificate], *, rekeyed: bool) -> list[Change]:
    """Keep the key of a CA as long as its certificates are trusted: without it, none of them could be revoked."""
    kept = [retiring] if retiring and retiring.certificate in previous else []
    if rekeyed and there.files.signer:
        kept += [
            signer
            for signer in read_previous(directory, there.files.signer, previous, wanted.new_passphrase, wanted.passphrase)
            if signer.key is not there.files.key
        ]
    return [_secret(previous_key_path(directory, ca.certificate), key_to_pem(ca.key, wanted.new_passphrase or wanted.passphrase)) for ca in kept]


def _keys_to_drop(directory: str, previous: list[x509.Certificate]) -> list[Remove]:
    wanted = {previous_key_path(directory, ca) for ca in previous}
    return [Remove(path, "key of a CA that is no longer trusted", "") for path in previous_keys(directory) if path not in wanted]


def _plan_certificate(
    wanted: CaSettings, certificate: x509.Certificate | None, key: PrivateKey, replaced: bool, now: datetime
) -> tuple[x509.Certificate, list[str]]:
    """The CA's certificate, and why it is to be issued (again)."""
    needs = ["missing"] if certificate is None else _certificate_needs(wanted, certificate, replaced, now)
    if certificate is None or needs:
        certificate = issue_ca(key, wanted, now)
    return certificate, needs


def _certificate_needs(wanted: CaSettings, certificate: x509.Certificate, replaced: bool, now: datetime) -> list[str]:
    if replaced:
        return [f"generation changed from {generation_of(certificate)} to {wanted.generation}"]
    needs = [why for why in (earliness(not_before(certificate), now), expiry(not_after(certificate), wanted.renew_before_days, now)) if why]
    name = common_name(certificate.subject)
    if name != wanted.subject:
        needs.append(f"common name changed from {name} to {wanted.subject}")
    constraints = constraints_of(certificate)
    if constraints != wanted.constraints:
        needs.append(f"name constraints changed from {constraints} to {wanted.constraints}")
    return needs + shortcomings(certificate)


def _with_retired(there: State, retiring: Signer, now: datetime) -> State:
    """The state with the retiring CA in the bundle, and its last CRL.

    That lasts as long as the CA does: a later one is signed only for a revocation.
    """
    before = crl_of_ca(there.crls, retiring.certificate)
    end = max(not_after(retiring.certificate), now + timedelta(days=1))
    last = issue_crl(retiring, revoked_by(there.entries, retiring.certificate), before=before, end=end, now=now)
    others = [crl for crl in there.crls if crl is not before]
    return there._replace(bundle=[retiring.certificate, *there.bundle], crls=[last, *others])


def _plan_previous(wanted: CaSettings, certificate: x509.Certificate, there: State, now: datetime) -> tuple[list[x509.Certificate], list[str]]:
    """The CAs before this one that clients still have to trust, and why others are dropped."""
    kept, dropped = [], []
    for ca in {identity(ca): ca for ca in there.bundle if identity(ca) != identity(certificate)}.values():
        why = _why_dropped(wanted, ca, there.entries, now)
        if why:
            dropped.append(f"{common_name(ca.subject)} no longer trusted: {why}")
        else:
            kept.append(ca)
    return kept, dropped


def _why_dropped(wanted: CaSettings, ca: x509.Certificate, entries: list[Entry], now: datetime) -> str | None:
    if not wanted.keep_previous:
        return "keep_previous is false"
    if not_after(ca) <= now:
        return "expired"
    in_use = any(is_in_use(line, now) and is_issued_by(line, ca) for line in entries)
    return None if in_use else "none of its certificates is in use"


def _plan_crl(wanted: CaSettings, ca: Signer, there: State, now: datetime) -> tuple[x509.CertificateRevocationList, list[str]]:
    """The CA's own CRL, and why it is a new one."""
    crl = crl_of_ca(there.crls, ca.certificate)
    revoked = revoked_by(there.entries, ca.certificate)
    needs = crl_needs(crl, revoked, lifetime_days=wanted.crl_lifetime_days, renew_before_days=wanted.crl_renew_before_days, now=now)
    if crl is None or needs:
        crl = issue_crl(ca, revoked, before=crl, end=now + timedelta(days=wanted.crl_lifetime_days), now=now)
    return crl, needs


def _public(directory: str, name: str, things: t.Sequence[x509.Certificate | x509.CertificateRevocationList]) -> Write:
    path = os.path.join(directory, name)
    before = read_bytes(path)
    return Write(path, f"{name} {'missing' if before is None else 'not up to date'}", all_to_pem(things).encode(), _PUBLIC, before)


def _secret(path: str, pem: bytes) -> Write:
    return Write(path, "key written", pem, _PRIVATE, show=lambda _pem: "private key\n")


def _result(directory: str, wanted: CaSettings, there: State, plan: CaPlan, now: datetime) -> Result:
    certificate = plan.ca.certificate
    encrypted = bool(wanted.new_passphrase or wanted.passphrase)
    before = _describe(there.files, trusted(wanted.above, there.bundle), there.crls)
    after = _describe(CaFiles(*plan.ca, encrypted), plan.trusted, plan.crls)
    return {
        "changed": bool(plan.needs),
        "needs": plan.needs,
        "generation": generation_of(certificate),
        "certificate": to_pem(certificate),
        "bundle": all_to_pem(plan.trusted),
        "chain": all_to_pem(wanted.above.chain(certificate)) if wanted.above else "",
        "csr": plan.csr,
        "warnings": _warnings(wanted, plan.crls),
        "crl": all_to_pem(plan.crls),
        **_paths(directory, wanted),
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "not_after": isoformat(not_after(certificate)),
        "days_left": days_left(not_after(certificate), now),
        "diff": {"before": before, "after": after},
    }


def _paths(directory: str, wanted: CaSettings) -> dict[str, str]:
    names = (("path", CERTIFICATE_FILE), ("bundle_path", TRUST_FILE if wanted.above else BUNDLE_FILE), ("crl_path", CRL_FILE), ("csr_path", REQUEST_FILE))
    return {name: os.path.join(directory, file) for name, file in names}


def _warnings(wanted: CaSettings, crls: list[x509.CertificateRevocationList]) -> list[str]:
    lacking = [ca for ca in wanted.above.cas if crl_of_ca(crls, ca) is None] if wanted.above else []
    return [
        f"parent_crl: there is no CRL of {common_name(ca.subject)}; a server that checks clients' certificates with the CRLs refuses all of them without it"
        for ca in lacking
    ]


def _waiting(directory: str, wanted: CaSettings, settled: Settled) -> Result:
    """The result for a CA that has no certificate before its parent has signed its request."""
    return {
        "changed": bool(settled.changes),
        "needs": settled.needs,
        "generation": wanted.generation,
        **dict.fromkeys(("certificate", "bundle", "chain", "crl", "fingerprint_sha256"), ""),
        "csr": settled.csr,
        **_paths(directory, wanted),
        "not_after": None,
        "days_left": None,
        "diff": {"before": "", "after": f"key file: {wanted.key_type}\nrequest for: {wanted.subject}\n" if settled.changes else ""},
    }


def _describe(files: CaFiles, bundle: list[x509.Certificate], crls: list[x509.CertificateRevocationList]) -> str:
    if files.key is None:
        return ""
    lines = f"key file: {key_type_of(files.key)}, {'encrypted' if files.encrypted else 'not encrypted'}\n"
    if files.certificate is None:
        return lines
    lines += f"{describe(files.certificate)}name constraints: {constraints_of(files.certificate)}\n"
    for ca in bundle:
        lines += f"to be trusted: {common_name(ca.subject)}, until {isoformat(not_after(ca))}\n"
    for crl in crls:
        end = end_of(crl)
        lines += f"CRL of {common_name(crl.issuer)}: {len(serials_in(crl))} revoked, until {isoformat(end) if end else '-'}\n"
    return lines


def _predict_without_library(directory: str, wanted: CaSettings, now: datetime) -> Result:
    """The prediction for a first run on a host where an earlier task would install the library."""
    end = isoformat(now + timedelta(days=wanted.lifetime_days))
    return {
        "changed": True,
        "needs": ["missing"],
        "generation": wanted.generation,
        **dict.fromkeys(("certificate", "bundle", "chain", "csr", "crl"), ""),
        **_paths(directory, wanted),
        "fingerprint_sha256": "",
        "not_after": end,
        "days_left": wanted.lifetime_days,
        "diff": {"before": "", "after": f"key file: {wanted.key_type}\ncommon name: {wanted.subject}\nnot after: {end}\n"},
    }
