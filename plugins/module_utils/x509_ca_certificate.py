# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate of a CA: what is asked for, what it holds, how it is issued."""

from __future__ import annotations

import ipaddress
import re
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils import x509, x509_ca_files, x509_crl, x509_names
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

if x509.HAS_CRYPTOGRAPHY:
    from cryptography import x509 as cx509

_GENERATION = re.compile(r"(.*) G([1-9][0-9]{0,3})")
MAX_GENERATION = 9999


@dataclass(frozen=True)
class Wanted:
    """The CA as it should be."""

    directory: str
    common_name: str
    generation: int = 1
    keep_previous: bool = True
    key_type: str = "ec-p256"
    passphrase: str | None = field(default=None, repr=False)
    new_passphrase: str | None = field(default=None, repr=False)
    lifetime_days: int = 3650
    renew_before_days: int = 90
    path_length: int = 0
    constraints: x509_names.Constraints = field(default_factory=x509_names.Constraints)
    crl_lifetime_days: int = x509_crl.LIFETIME_DAYS
    crl_renew_before_days: int = 400

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> Wanted:
        """Read module parameters. Raises HoldfastError for a value that cannot be meant."""
        x509.check_directory(params["directory"])
        x509_names.check_common_name(params["common_name"], "common_name")
        if _GENERATION.fullmatch(params["common_name"]):
            raise HoldfastError(f"common_name: {params['common_name']!r} ends like a generation; leave that end out, and give the number as generation")
        if not 1 <= params["generation"] <= MAX_GENERATION:
            raise HoldfastError(f"generation: {params['generation']} must be between 1 and {MAX_GENERATION}")
        for parameter in ("passphrase", "new_passphrase"):
            x509_ca_files.check_passphrase(params[parameter], parameter)
        x509.check_lifetime(params["lifetime_days"], params["renew_before_days"], "")
        x509.check_lifetime(params["crl_lifetime_days"], params["crl_renew_before_days"], "crl_")
        if not 0 <= params["path_length"] <= 9:
            raise HoldfastError(f"path_length: {params['path_length']} must be between 0 and 9")
        given = dict(params)
        domains, ranges = given.pop("permitted_dns_domains") or [], given.pop("permitted_ip_ranges") or []
        constraints = x509_names.Constraints(
            tuple(sorted({x509_names.parse_domain(text, f"permitted_dns_domains[{index}]") for index, text in enumerate(domains)})),
            tuple(sorted({x509_names.parse_range(text, f"permitted_ip_ranges[{index}]") for index, text in enumerate(ranges)})),
        )
        wanted = cls(**given, constraints=constraints)
        x509_names.check_common_name(wanted.subject, "common_name (with its generation)")
        return wanted

    @property
    def subject(self) -> str:
        """The common name in the certificate. From the second generation on it says which, so that no two keys have one name."""
        return self.common_name if self.generation == 1 else f"{self.common_name} G{self.generation}"


def generation_of(certificate: t.Any) -> int:
    """The generation of a CA, which its common name ends with from the second on."""
    match = _GENERATION.fullmatch(x509.common_name(certificate.subject) or "")
    return int(match[2]) if match else 1


def identity(ca: t.Any) -> tuple[bytes, bytes]:
    """What makes two CA certificates the same CA: a renewed one has the same."""
    return ca.subject.public_bytes(), x509.key_bits(ca.public_key())


def constraints_of(certificate: t.Any) -> x509_names.Constraints:
    """The names a CA's certificate is limited to."""
    found = x509.extension(certificate, cx509.NameConstraints)
    subtrees = (found.permitted_subtrees if found else None) or []
    domains, ranges = (sorted(str(name.value) for name in subtrees if isinstance(name, kind)) for kind in (cx509.DNSName, cx509.IPAddress))
    return x509_names.Constraints(tuple(domains), tuple(ranges))


def issue(key: t.Any, wanted: Wanted, now: datetime) -> t.Any:
    """A self-signed CA certificate for a key."""
    name = x509.subject_name(wanted.subject)
    unused = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    builder = (
        cx509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.serial_number())
        .not_valid_before(now - x509.BACKDATED)
        .not_valid_after(now + timedelta(days=wanted.lifetime_days))
        .add_extension(cx509.BasicConstraints(ca=True, path_length=wanted.path_length), critical=True)
        .add_extension(cx509.KeyUsage(key_cert_sign=True, crl_sign=True, **dict.fromkeys(unused, False)), critical=True)
        .add_extension(cx509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    permitted = [cx509.DNSName(domain) for domain in wanted.constraints.domains]
    permitted += [cx509.IPAddress(ipaddress.ip_network(network)) for network in wanted.constraints.ranges]
    if permitted:
        builder = builder.add_extension(cx509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
    return builder.sign(key, x509.signing_hash(key))
