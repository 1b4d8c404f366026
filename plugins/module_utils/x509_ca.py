# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certification authority in one directory: made once, renewed with the same key."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509, x509_names
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

if x509.HAS_CRYPTOGRAPHY:
    from cryptography import x509 as cx509
    from cryptography.hazmat.primitives import hashes

KEY_FILE, CERTIFICATE_FILE = "ca.key", "ca.crt"


@dataclass(frozen=True)
class Wanted:
    """The CA as it should be."""

    directory: str
    common_name: str
    key_type: str = "ec-p256"
    passphrase: str | None = field(default=None, repr=False)
    lifetime_days: int = 3650
    renew_before_days: int = 90
    permitted_dns_domains: tuple[str, ...] = ()

    @classmethod
    def of(cls, params: dict[str, t.Any]) -> Wanted:
        """Read module parameters. Raises HoldfastError for a value that cannot be meant."""
        x509.check_directory(params["directory"])
        x509_names.check_common_name(params["common_name"], "common_name")
        check_passphrase(params["passphrase"])
        x509.check_lifetime(params["lifetime_days"], params["renew_before_days"], "")
        domains = params["permitted_dns_domains"] or []
        parsed = {x509_names.parse_domain(domain, f"permitted_dns_domains[{index}]") for index, domain in enumerate(domains)}
        return cls(**{**params, "permitted_dns_domains": tuple(sorted(parsed))})


class Files(t.NamedTuple):
    """The CA as its directory holds it."""

    key: t.Any
    certificate: t.Any
    encrypted: bool


def check_passphrase(passphrase: str | None) -> None:
    """Refuse a passphrase that cannot encrypt a key."""
    if passphrase is not None and not 1 <= len(passphrase.encode()) <= 1023:
        raise HoldfastError("passphrase: must be 1 to 1023 bytes long; leave the parameter out for a key that is not encrypted")


def read(directory: str, passphrase: str | None) -> Files:
    """Read the CA in a directory. Raises HoldfastError where its files do not belong together or cannot be read."""
    key_path, certificate_path = os.path.join(directory, KEY_FILE), os.path.join(directory, CERTIFICATE_FILE)
    key_pem, certificate_pem = files.read_bytes(key_path), files.read_bytes(certificate_path)
    if key_pem is None:
        if certificate_pem is not None:
            raise HoldfastError(f"{certificate_path}: is there without its key {key_path}; put the key back, or name another directory")
        return Files(None, None, False)
    key = x509.key_from_pem(key_pem, key_path, passphrase)
    if certificate_pem is None:
        return Files(key, None, x509.is_encrypted(key_pem))
    certificate = x509.ca_from_pem(certificate_pem, certificate_path)
    if x509.key_bits(certificate.public_key()) != x509.key_bits(key.public_key()):
        raise HoldfastError(f"{certificate_path}: does not match the key {key_path}; put the right one of the two back, or name another directory")
    return Files(key, certificate, x509.is_encrypted(key_pem))


def missing(directory: str) -> bool:
    """Whether a directory holds no file of a CA, told without the library."""
    return all(files.read_bytes(os.path.join(directory, name)) is None for name in (KEY_FILE, CERTIFICATE_FILE))


def ensure(wanted: Wanted, check_mode: bool, now: datetime) -> dict[str, t.Any]:
    """Bring the CA into the wanted state, or say what that would take. Returns the module's result."""
    if check_mode and not x509.HAS_CRYPTOGRAPHY and missing(wanted.directory):
        return _predict_without_library(wanted, now)
    x509.require_library()
    if check_mode:
        return _ensure(wanted, True, now)
    files.make_directories(wanted.directory, 0o700)
    with files.locked(os.path.join(wanted.directory, "ca")):
        return _ensure(wanted, False, now)


def _ensure(wanted: Wanted, check_mode: bool, now: datetime) -> dict[str, t.Any]:
    key_path = os.path.join(wanted.directory, KEY_FILE)
    current = read(wanted.directory, wanted.passphrase)
    key_needs, certificate_needs = _key_needs(wanted, current, key_path), _certificate_needs(wanted, current, now)
    key = current.key or x509.generate_key(wanted.key_type)
    certificate = issue(key, wanted, now) if certificate_needs else current.certificate
    if not check_mode:
        if key_needs or current.key is None:
            # Re-encoding an open key is the same whether it is to be encrypted or only to get its mode back.
            files.atomic_write(key_path, x509.key_to_pem(key, wanted.passphrase), files.Ownership(mode=x509.PRIVATE))
        if certificate_needs:
            path = os.path.join(wanted.directory, CERTIFICATE_FILE)
            files.atomic_write(path, x509.to_pem(certificate).encode(), files.Ownership(mode=x509.PUBLIC))
    after = Files(key, certificate, bool(wanted.passphrase))
    return {
        "changed": bool(key_needs or certificate_needs),
        "needs": certificate_needs + key_needs,
        "certificate": x509.to_pem(certificate),
        "path": os.path.join(wanted.directory, CERTIFICATE_FILE),
        "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()).hex(),
        "not_after": x509.isoformat(x509.not_after(certificate)),
        "days_left": x509.days_left(x509.not_after(certificate), now),
        "diff": {"before": _describe(current), "after": _describe(after)},
    }


def _key_needs(wanted: Wanted, current: Files, path: str) -> list[str]:
    """Why the key file is to be written again. The key in it stays."""
    if current.key is None:
        return []
    key_type = x509.key_type_of(current.key.public_key())
    if key_type != wanted.key_type:
        raise HoldfastError(
            f"key_type: the CA in {wanted.directory} has an {key_type} key, not {wanted.key_type}, and a CA keeps its key: set key_type to {key_type}, "
            f"name another directory, or remove {wanted.directory} to start a new CA, whose certificates must then all be made again"
        )
    needs = []
    if wanted.passphrase and not current.encrypted:
        needs.append("key not encrypted")
    if files.Ownership(mode=x509.PRIVATE).differs(path):
        needs.append("key not mode 0600")
    return needs


def _certificate_needs(wanted: Wanted, current: Files, now: datetime) -> list[str]:
    """Why the CA's certificate is to be issued again."""
    if current.certificate is None:
        return ["missing"]
    if not x509.signed_by(current.certificate, current.certificate):
        raise HoldfastError(f"directory: the certificate in {wanted.directory} is not self-signed; a CA below another one has to be renewed there")
    needs = [x509.expiry(x509.not_after(current.certificate), wanted.renew_before_days, now)]
    name = x509.common_name(current.certificate.subject)
    if name != wanted.common_name:
        needs.append(f"common name changed from {name} to {wanted.common_name}")
    domains = permitted_domains(current.certificate)
    if domains != list(wanted.permitted_dns_domains):
        needs.append(f"name constraints changed from {', '.join(domains) or 'none'} to {', '.join(wanted.permitted_dns_domains) or 'none'}")
    return [need for need in needs if need]


def permitted_domains(certificate: t.Any) -> list[str]:
    """The DNS domains a CA's certificate is constrained to, sorted."""
    constraints = x509.extension(certificate, cx509.NameConstraints)
    subtrees = constraints.permitted_subtrees if constraints else None
    return sorted(name.value for name in subtrees or [] if isinstance(name, cx509.DNSName))


def issue(key: t.Any, wanted: Wanted, now: datetime) -> t.Any:
    """A self-signed CA certificate for a key."""
    name = x509.subject_name(wanted.common_name)
    unused = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only", "decipher_only")
    builder = (
        cx509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.serial_number())
        .not_valid_before(now - x509.BACKDATED)
        .not_valid_after(now + timedelta(days=wanted.lifetime_days))
        .add_extension(cx509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(cx509.KeyUsage(key_cert_sign=True, crl_sign=True, **dict.fromkeys(unused, False)), critical=True)
        .add_extension(cx509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if wanted.permitted_dns_domains:
        permitted = [cx509.DNSName(domain) for domain in wanted.permitted_dns_domains]
        builder = builder.add_extension(cx509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
    return builder.sign(key, x509.signing_hash(key))


def _describe(state: Files) -> str:
    if state.key is None:
        return ""
    lines = f"key file: {x509.key_type_of(state.key.public_key())}, {'encrypted' if state.encrypted else 'not encrypted'}\n"
    if state.certificate is None:
        return lines
    return f"{lines}{x509.describe(state.certificate)}permitted DNS domains: {', '.join(permitted_domains(state.certificate)) or 'all'}\n"


def _predict_without_library(wanted: Wanted, now: datetime) -> dict[str, t.Any]:
    """What a first run would do on a host where a task before it would install the library."""
    end = x509.isoformat(now + timedelta(days=wanted.lifetime_days))
    return {
        "changed": True,
        "needs": ["missing"],
        "certificate": "",
        "path": os.path.join(wanted.directory, CERTIFICATE_FILE),
        "fingerprint_sha256": "",
        "not_after": end,
        "days_left": wanted.lifetime_days,
        "diff": {"before": "", "after": f"key file: {wanted.key_type}\ncommon name: {wanted.common_name}\nnot after: {end}\n"},
    }
