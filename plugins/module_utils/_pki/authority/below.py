# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A CA below another one: its request for the parent, and the certificate that comes back. Until that is there, the CA stays as it is."""

from __future__ import annotations

import os
import typing as t
from datetime import datetime

from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.above import Above, build_ca_csr
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import (
    KEY_FILE,
    REQUEST_FILE,
    WAITING_KEY_FILE,
    CaFiles,
    Signer,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.limits import constraints_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import CaSettings, generation_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import common_name, extension, signed_by
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crl_of_ca, start_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import generate_key, key_bits, key_from_pem, key_to_pem, key_type_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import EXPIRED, earliness, expiry, not_after, not_before

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PrivateKey

_PRIVATE, _PUBLIC = Ownership(mode=0o600), Ownership(mode=0o644)


class Settled(t.NamedTuple):
    """The CA as it is now or becomes with a certificate that the parent has signed (None: it has none yet), why that is a new one,
    the request that the parent still has to sign, and the changes for that request."""

    ca: Signer | None
    needs: list[str]
    csr: str
    changes: list[Change]


def settle(directory: str, wanted: CaSettings, above: Above, there: CaFiles, now: datetime) -> Settled:
    """Decide which certificate the CA has from now on. Changes nothing. Raises HoldfastError for a signed certificate that cannot do."""
    needs = _needs(wanted, above, there.certificate, now)
    if not needs:
        return Settled(there.signer, [], "", Remove.plan(os.path.join(directory, REQUEST_FILE), why="request answered"))
    key, changes = _key(directory, wanted, there)
    # A certificate that is in use was the answer to a former request.
    signed = None if above.signed == there.certificate else above.check_signed(key, wanted.subject, wanted.constraints, now)
    if signed is not None:
        return Settled(Signer(key, signed), needs, "", Remove.plan(os.path.join(directory, REQUEST_FILE), why="request answered"))
    csr = _request_there(directory, key, wanted.subject)
    if csr is None:
        csr = build_ca_csr(key, wanted.subject)
        changes += Write.plan(os.path.join(directory, REQUEST_FILE), csr.encode(), _PUBLIC, why=f"request for the parent: {', '.join(needs)}")
    return Settled(there.signer, needs, csr, changes)


def _needs(wanted: CaSettings, above: Above, certificate: x509.Certificate | None, now: datetime) -> list[str]:
    if certificate is None:
        return ["missing"]
    if wanted.generation > generation_of(certificate):
        return [f"generation changed from {generation_of(certificate)} to {wanted.generation}"]
    needs = above.needs(certificate)
    early = earliness(not_before(certificate), now)
    if early:
        needs.append(early)
    due = expiry(not_after(certificate), wanted.renew_before_days, now)
    # A certificate that ends together with its parent is as long as it gets.
    if due and (due == EXPIRED or not_after(certificate) < not_after(above.cas[0])):
        needs.append(due)
    if common_name(certificate.subject) != wanted.subject:
        needs.append(f"common name changed from {common_name(certificate.subject)} to {wanted.subject}")
    # Where the parent limits names on its own account, that is its decision.
    if wanted.constraints.are_set and constraints_of(certificate) != wanted.constraints:
        needs.append(f"name constraints changed from {constraints_of(certificate)} to {wanted.constraints}")
    usage = extension(certificate, x509.KeyUsage)
    if usage is None or not (usage.key_cert_sign and usage.crl_sign):
        needs.append("key usage lacks keyCertSign or cRLSign")
    return needs


def _key(directory: str, wanted: CaSettings, there: CaFiles) -> tuple[PrivateKey, list[Change]]:
    """The key that the next certificate is for. The key of another generation waits beside the one in use."""
    replaced = there.certificate is not None and wanted.generation > generation_of(there.certificate)
    if there.key is not None and not replaced:
        return there.key, []
    path = os.path.join(directory, WAITING_KEY_FILE if replaced else KEY_FILE)
    passphrase = wanted.new_passphrase or wanted.passphrase
    waiting = read_bytes(path) if replaced else None
    if waiting is not None:
        key = key_from_pem(waiting, path, passphrase)
        if key_type_of(key) == wanted.key_type:
            return key, []
    key = generate_key(wanted.key_type)
    return key, [Write(path, "key written", key_to_pem(key, passphrase), _PRIVATE, show=lambda _pem: "private key\n")]


def _request_there(directory: str, key: PrivateKey, subject: str) -> str | None:
    """The request of a former run, where it is still the right one: signed anew, it would be another text each time."""
    pem = read_bytes(os.path.join(directory, REQUEST_FILE))
    if pem is None:
        return None
    try:
        csr = x509.load_pem_x509_csr(pem)
        is_right = key_bits(csr.public_key()) == key_bits(key) and common_name(csr.subject) == subject
    except library.UNREADABLE:
        return None
    return pem.decode("ascii", "replace") if is_right else None


def trusted(above: Above | None, bundle: t.Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """What clients have to trust: the root, and CAs that were roots themselves and still matter; without parent all CAs of the bundle."""
    return list(bundle) if above is None else [above.root, *(ca for ca in bundle if signed_by(ca, ca) and ca != above.root)]


def crls_above(above: Above | None, there: t.Sequence[x509.CertificateRevocationList]) -> list[x509.CertificateRevocationList]:
    """The newest CRL of each CA above, from the parameters or from former runs. Who checks a chain needs one of every CA in it."""
    found = []
    for ca in above.cas if above else ():
        of_ca = [crl for crl in (crl_of_ca(above.crls if above else (), ca), crl_of_ca(there, ca)) if crl is not None]
        if of_ca:
            found.append(max(of_ca, key=start_of))
    return found
