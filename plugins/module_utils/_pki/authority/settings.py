# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A CA as it should be, and its certificate: what it holds, how it is issued."""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.above import Above
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.limits import limited
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import common_name, extension, serial_number, subject_name
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import key_bits, signing_hash
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import Constraints, constraints_of_parameters
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import (
    check_common_name,
    check_lifetime,
    check_passphrase,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import BACKDATED

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PrivateKey

_GENERATION = re.compile(r"(.*) G([1-9][0-9]{0,3})")
_MAX_GENERATION = 9999
_PATH_LENGTH = 0  # it signs certificates, and no further CA


@dataclass(frozen=True)
class CaSettings:
    """The CA as it should be."""

    common_name: str
    generation: int = 1
    keep_previous: bool = True
    key_type: str = "ec-p256"
    passphrase: str | None = field(default=None, repr=False)
    new_passphrase: str | None = field(default=None, repr=False)
    lifetime_days: int = 3650
    renew_before_days: int = 90
    constraints: Constraints = field(default_factory=Constraints)
    crl_lifetime_days: int = 825
    crl_renew_before_days: int = 400
    above: Above | None = None

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> CaSettings:
        """Read module parameters. Raises HoldfastError for a value that cannot be meant."""
        check_common_name(params["common_name"], where="common_name")
        if _GENERATION.fullmatch(params["common_name"]):
            raise HoldfastError(f"common_name: {params['common_name']!r} ends like a generation; leave that end out, and give the number as generation")
        if not 1 <= params["generation"] <= _MAX_GENERATION:
            raise HoldfastError(f"generation: {params['generation']} must be between 1 and {_MAX_GENERATION}")
        for parameter in ("passphrase", "new_passphrase"):
            check_passphrase(params[parameter], parameter=parameter)
        check_lifetime(params["lifetime_days"], params["renew_before_days"])
        check_lifetime(params["crl_lifetime_days"], params["crl_renew_before_days"], where="crl_")
        constraints = constraints_of_parameters(params["permitted_dns_domains"], params["permitted_ip_ranges"])
        taken = ("directory", "permitted_dns_domains", "permitted_ip_ranges", "parent_certificate", "parent_crl", "signed_certificate")
        wanted = cls(**{name: value for name, value in params.items() if name not in taken}, constraints=constraints, above=Above.of(params))
        check_common_name(wanted.subject, where="common_name (with its generation)")
        return wanted

    @property
    def subject(self) -> str:
        """The common name in the certificate. From the second generation on it says which, so that no two keys have one name."""
        return self.common_name if self.generation == 1 else f"{self.common_name} G{self.generation}"


def generation_of(certificate: x509.Certificate) -> int:
    """The generation of a CA, which its common name ends with from the second on."""
    match = _GENERATION.fullmatch(common_name(certificate.subject) or "")
    return int(match[2]) if match else 1


def identity(ca: x509.Certificate) -> tuple[bytes, bytes]:
    """The identity of a CA, which a renewed certificate keeps."""
    return ca.subject.public_bytes(), key_bits(ca.public_key())


def shortcomings(certificate: x509.Certificate) -> list[str]:
    """The differences between a CA's certificate and one that this collection issues."""
    found = []
    constraints, usage = extension(certificate, x509.BasicConstraints), extension(certificate, x509.KeyUsage)
    length = constraints.path_length if constraints else None
    if length != _PATH_LENGTH:
        found.append(f"path length changed from {'none' if length is None else length} to {_PATH_LENGTH}")
    if usage is None or not (usage.key_cert_sign and usage.crl_sign):
        found.append("key usage lacks keyCertSign or cRLSign")
    return found


def issue_ca(key: PrivateKey, wanted: CaSettings, now: datetime) -> x509.Certificate:
    """A self-signed CA certificate for a key."""
    name = subject_name(wanted.subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + timedelta(days=wanted.lifetime_days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=_PATH_LENGTH), critical=True)
        .add_extension(key_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return limited(builder, wanted.constraints).sign(key, signing_hash(key))


def key_usage(*used: str) -> x509.KeyUsage:
    """The extension that allows these usages of a key and no other."""
    return x509.KeyUsage(
        digital_signature="digital_signature" in used,
        content_commitment=False,
        key_encipherment="key_encipherment" in used,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign="key_cert_sign" in used,
        crl_sign="crl_sign" in used,
        encipher_only=False,
        decipher_only=False,
    )
