# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A CA that is not its own root: the CAs above it, and the certificate that the one right above it has signed."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.limits import constraints_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    ca_from_pem,
    cas_from_pem,
    common_name,
    extension,
    name_text,
    signed_by,
    subject_name,
    to_pem,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crl_of_ca, crls_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import key_bits, signing_hash
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import Constraints
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import isoformat, not_after, not_before

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PrivateKey


@dataclass(frozen=True)
class Above:
    """cas are the CAs above: the parent first, the root last. signed is this CA's certificate as the parent signed it, crls those of the CAs above."""

    cas: tuple[x509.Certificate, ...]
    signed: x509.Certificate | None
    crls: tuple[x509.CertificateRevocationList, ...]

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> Above | None:
        """Read module parameters; None for a CA that is its own root. Raises HoldfastError for certificates that are no chain up to a root."""
        for parameter in ("parent_certificate", "parent_crl", "signed_certificate"):
            if params.get(parameter):
                check_no_key(params[parameter], where=parameter)
        if not params.get("parent_certificate"):
            for parameter in ("parent_crl", "signed_certificate"):
                if params.get(parameter):
                    raise HoldfastError(f"{parameter}: goes with parent_certificate, the certificate of the CA above this one, which is missing")
            return None
        library.require_library()
        cas = cas_from_pem(params["parent_certificate"].encode(), "parent_certificate")
        for place, (certificate, issuer) in enumerate(zip(cas, [*cas[1:], cas[-1]])):
            if not signed_by(certificate, issuer):
                raise HoldfastError(
                    f"parent_certificate: certificate {place + 1} ({name_text(certificate.subject)}) is not signed by "
                    + ("itself: the last one has to be the root" if issuer is certificate else "the one after it; put the parent first and the root last")
                )
        signed = ca_from_pem(params["signed_certificate"].encode(), "signed_certificate") if params.get("signed_certificate") else None
        crls = tuple(crls_from_pem(params["parent_crl"].encode(), "parent_crl")) if params.get("parent_crl") else ()
        for crl in crls:
            if all(crl_of_ca([crl], ca) is None for ca in cas):
                raise HoldfastError("parent_crl: holds a CRL that none of the CAs of parent_certificate signed")
        return cls(tuple(cas), signed, crls)

    @property
    def root(self) -> x509.Certificate:
        return self.cas[-1]

    def needs(self, certificate: x509.Certificate) -> list[str]:
        """Why a certificate does not do as one of a CA below these."""
        return [] if signed_by(certificate, self.cas[0]) else [f"not signed by {common_name(self.cas[0].subject)}"]

    def chain(self, certificate: x509.Certificate) -> list[x509.Certificate]:
        """What a server sends behind its own certificate: this CA and those above it, without the root, which clients have."""
        return [certificate, *self.cas[:-1]]

    def check_signed(self, key: PrivateKey, subject: str, constraints: Constraints, now: datetime) -> x509.Certificate | None:
        """The certificate that the parent signed, if there is one and it is for this key. Raises HoldfastError where it cannot do."""
        if self.signed is None:
            return None
        if key_bits(self.signed.public_key()) != key_bits(key):
            return None
        wrong = self.needs(self.signed)
        if common_name(self.signed.subject) != subject:
            wrong.append(f"its common name is {common_name(self.signed.subject)}, not {subject}")
        if not_before(self.signed) > now:
            wrong.append(f"is not valid before {isoformat(not_before(self.signed))}")
        if not_after(self.signed) <= now:
            wrong.append(f"expired on {isoformat(not_after(self.signed))}")
        usage = extension(self.signed, x509.KeyUsage)
        if usage is None or not (usage.key_cert_sign and usage.crl_sign):
            wrong.append("its key usage lacks keyCertSign or cRLSign")
        # Where none are wanted, the parent may limit names on its own account.
        if constraints.are_set and constraints_of(self.signed) != constraints:
            wrong.append(f"its name constraints are {constraints_of(self.signed)}, not {constraints}")
        if wrong:
            raise HoldfastError(f"signed_certificate: {'; '.join(wrong)}; have ca.csr signed again")
        return self.signed


def build_ca_csr(key: PrivateKey, subject: str) -> str:
    """A request for a CA's certificate, in PEM, signed by the key it is for."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject_name(subject))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    return to_pem(builder.sign(key, signing_hash(key)))
