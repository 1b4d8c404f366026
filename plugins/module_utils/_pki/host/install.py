# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Installs signed certificates next to their keys, in an order that leaves a matching pair wherever a run is killed."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Write, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes, remove_leftovers, status_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    all_to_pem,
    cas_from_pem,
    certificate_from_pem,
    common_name,
    signed_by,
    signed_with_key_of,
    to_der,
    to_pem,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crl_of_ca, crls_from_pem, is_revoked, serials_in
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.files import (
    CA_FILE,
    CRL_DER_FILE,
    CRL_FILE,
    Paths,
    TakePlace,
    check_no_ca,
    held,
    read_certificate,
    read_key,
    read_waiting_key,
    show_certificates,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import key_bits, key_type_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_directory, check_file_names
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key

if t.TYPE_CHECKING:
    from cryptography import x509


class Trust(t.NamedTuple):
    """The CAs whose certificates are installed, in the order of ca.crt, their CRLs (None leaves ca.crl as it is), and the chain between.

    The chain begins with the CA that signs, and lacks the root. It is empty where the root signs itself.
    """

    cas: list[x509.Certificate]
    crls: list[x509.CertificateRevocationList] | None
    chain: list[x509.Certificate]

    @classmethod
    def of(cls, ca_certificate: str, crl: str | None, chain: str | None) -> Trust:
        """Read module parameters. Raises HoldfastError for a chain that does not lead to one of the CAs."""
        check_no_key(ca_certificate, where="ca_certificate")
        cas = cas_from_pem(ca_certificate.encode(), "ca_certificate")
        crls = crls_from_pem(crl.encode(), "crl") if crl else None
        if chain:
            check_no_key(chain, where="chain")
        between = cas_from_pem(chain.encode(), "chain") if chain else []
        for place, certificate in enumerate(between):
            above = between[place + 1 : place + 2] or cas
            if not any(signed_by(certificate, ca) for ca in above):
                raise HoldfastError(
                    f"chain: certificate {place + 1} is signed neither by the next one nor by a CA of ca_certificate; put the CA that signs first"
                )
        return cls(cas, crls, between)

    def with_chain(self, certificate: x509.Certificate) -> str:
        """The content of a certificate's file: itself, and the CAs between it and the root."""
        signed = bool(self.chain) and signed_by(certificate, self.chain[0])
        return to_pem(certificate) + (all_to_pem(self.chain) if signed else "")

    def check_crls(self) -> None:
        # With a chain, the CRLs of CAs before the one that signs now are among them, and those CAs are in none of the two.
        for crl in [] if self.chain else self.crls or []:
            if all(crl_of_ca([crl], ca) is None for ca in self.cas):
                raise HoldfastError(
                    "crl: holds a CRL that none of the CAs of ca_certificate signed; pass on both from one run of the module holdfast.registry.ca"
                )


def ensure(
    directory: str,
    certificates: list[dict[str, t.Any]],
    *,
    ca_certificate: str,
    crl: str | None,
    ownership: Ownership,
    check_mode: bool,
    chain: str | None = None,
    names: t.Sequence[str] = (),
    crl_der: bool = False,
) -> Result:
    """Install certificates, the CA's certificate and its CRL, all or, where one is refused, none. Returns the module's result.

    names are certificates that are installed already and only get the chain of today. crl_der also writes the CRL of the CA that signs in DER form, the
    one that a URL in certificates leads to (RFC 5280, 4.2.1.13).
    """
    check_directory(directory)
    check_no_ca(directory)
    check_file_names([entry["name"] for entry in certificates], where="certificates")
    for index, entry in enumerate(certificates):
        check_no_key(entry["certificate"], where=f"certificates[{index}].certificate ({entry['name']})")
    if check_mode and not (library.HAS_CRYPTOGRAPHY and ca_certificate):
        return _predict(directory, [entry["name"] for entry in certificates], with_crl=crl is not None)
    library.require_library()
    trust = Trust.of(ca_certificate, crl, chain)
    if not check_mode:
        trust.check_crls()
    with held(directory, check_mode=check_mode):
        changes = make_plan(directory, certificates, trust, ownership, check_mode=check_mode)
        renewed = {entry["name"] for entry in certificates}
        if trust.crls and crl_der:
            # The first is that of the CA that signs; in DER form, a file has one.
            changes += Write.plan(os.path.join(directory, CRL_DER_FILE), to_der(trust.crls[0]), Ownership(mode=0o644), show=_show_der, why="CRL to be served")
        changes += [change for name in names if name not in renewed for change in _plan_chain(Paths.of(directory, name), trust, ownership)]
        if not check_mode:
            for name in (CA_FILE, CRL_FILE, CRL_DER_FILE, *(os.path.basename(path) for entry in certificates for path in Paths.of(directory, entry["name"]))):
                remove_leftovers(os.path.join(directory, name))
            apply(changes)
    return {
        "changed": bool(changes),
        "changes": [change.reason for change in changes],
        "diff": [change.diff for change in changes],
    }


def make_plan(directory: str, certificates: list[dict[str, t.Any]], trust: Trust, ownership: Ownership, *, check_mode: bool) -> list[Change]:
    """What has to change, in its order. Raises HoldfastError for a certificate that would not work where it is to go."""
    # Clients of this host trust a new CA before a certificate of it is there.
    changes = _plan_file(os.path.join(directory, CA_FILE), all_to_pem(trust.cas), ownership, show_certificates)
    if trust.crls is not None:
        changes += _plan_file(os.path.join(directory, CRL_FILE), all_to_pem(trust.crls), ownership, _show_crls)
    for index, entry in enumerate(certificates):
        place = f"certificates[{index}].certificate ({entry['name']})"
        paths = Paths.of(directory, entry["name"])
        certificate = certificate_from_pem(entry["certificate"].encode(), place)
        _check_signature(directory, certificate, trust, place, check_mode=check_mode)
        swap = _is_for_waiting_key(paths, certificate, trust, place, check_mode=check_mode)
        changes += _plan_file(paths.certificate, trust.with_chain(certificate), ownership, show_certificates)
        if swap:  # the key keeps the mode, owner and group that certificate_request gave it while it waited
            changes.append(TakePlace(paths.key, "replaced by the new key, which the certificate is for", paths, Ownership()))
    return changes


def _plan_chain(paths: Paths, trust: Trust, ownership: Ownership) -> list[Change]:
    """What gives a certificate that stays the chain of today: a CA between may have been renewed, or be new."""
    certificate = read_certificate(paths.certificate)
    if certificate is None or not any(signed_by(certificate, ca) for ca in (*trust.chain[:1], *trust.cas)):
        return []
    return _plan_file(paths.certificate, trust.with_chain(certificate), ownership, show_certificates)


def _plan_file(path: str, text: str, ownership: Ownership, show: t.Callable[[bytes], str]) -> list[Change]:
    why = "made" if status_of(path) is None else "replaced"
    ownership = ownership if ownership.mode is not None or why == "replaced" else ownership._replace(mode=0o644)
    return Write.plan(path, text.encode(), ownership, show=show, why=why)


def _check_signature(directory: str, certificate: x509.Certificate, trust: Trust, place: str, *, check_mode: bool) -> None:
    # In a check run the CA that signs is still the one of before: it may lack the new name, or be the one to be replaced.
    signed = signed_with_key_of if check_mode else signed_by
    if not any(signed(certificate, ca) for ca in trust.cas + trust.chain + (_installed_cas(directory) if check_mode else [])):
        raise HoldfastError(f"{place}: is not signed by the CA of ca_certificate; sign the request again with that CA")


def _is_for_waiting_key(paths: Paths, certificate: x509.Certificate, trust: Trust, place: str, *, check_mode: bool) -> bool:
    """Whether the waiting key has to take the place of the one in use. Raises HoldfastError where the certificate is for neither."""
    waiting, in_use = read_waiting_key(paths.waiting), read_key(paths.key)
    bits = key_bits(certificate.public_key())
    # The waiting key first: it is also the one in use where a swap was cut short before its end.
    if waiting is not None and key_bits(waiting) == bits:
        return True
    if in_use is not None and key_bits(in_use) == bits:
        return False
    gets_new_key = in_use is None or key_type_of(in_use) != key_type_of(certificate.public_key()) or _is_revoked(paths, trust)
    if check_mode and (in_use is None or (waiting is None and gets_new_key)):  # the key is one that certificate_request only predicted
        return in_use is not None
    if in_use is None:
        raise HoldfastError(f"{paths.key}: is missing; make it and its request first, with the module holdfast.registry.certificate_request")
    raise HoldfastError(f"{place}: does not match the key {paths.key}; sign the request that certificate_request returned on this host")


def _is_revoked(paths: Paths, trust: Trust) -> bool:
    """Whether the certificate in use is revoked, so that it gets a new key with the new one."""
    certificate = read_certificate(paths.certificate)
    return certificate is not None and is_revoked(certificate, trust.crls or [])


def _installed_cas(directory: str) -> list[x509.Certificate]:
    path = os.path.join(directory, CA_FILE)
    try:
        return cas_from_pem(read_bytes(path) or b"", path)
    except HoldfastError:
        return []


def _show_der(der: bytes) -> str:
    return f"CRL in DER form, {len(der)} bytes\n"


def _show_crls(pem: bytes) -> str:
    try:
        return "".join(f"CRL of {common_name(crl.issuer)}: {len(serials_in(crl))} revoked\n" for crl in crls_from_pem(pem, ""))
    except HoldfastError:
        return "unreadable\n"


def _predict(directory: str, names: list[str], *, with_crl: bool) -> Result:
    """What a first run would do where tasks before it would install the library or make the CA."""
    shared = [os.path.join(directory, name) for name in (CA_FILE, *([CRL_FILE] if with_crl else []))]
    paths = shared + [Paths.of(directory, name).certificate for name in names]
    if any(os.path.exists(path) for path in paths):
        library.require_library()
    changes = [f"{path}: {'replaced' if os.path.exists(path) else 'made'}" for path in paths]
    return {"changed": True, "changes": changes, "diff": [{"prepared": f"{change}\n"} for change in changes]}
