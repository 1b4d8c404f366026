# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signing of certificate signing requests with the CA in a directory, under a policy, with a record."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils import x509, x509_ca_certificate, x509_ca_files, x509_names, x509_record
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

if x509.HAS_CRYPTOGRAPHY:
    from cryptography import x509 as cx509
    from cryptography.hazmat.primitives.asymmetric import rsa


class Policy(t.NamedTuple):
    """What this CA signs. No patterns: every name."""

    max_lifetime_days: int
    patterns: list[x509_names.Pattern]
    key_types: tuple[str, ...] = x509.KEY_TYPES
    usages: tuple[str, ...] = x509.USAGES

    @classmethod
    def of(
        cls, max_lifetime_days: int, allowed_names: list[str] | None, key_types: t.Sequence[str] = x509.KEY_TYPES, usages: t.Sequence[str] = x509.USAGES
    ) -> Policy:
        """Read module parameters."""
        for parameter, allowed in (("allowed_key_types", key_types), ("allowed_usages", usages)):
            if not allowed:
                raise HoldfastError(f"{parameter}: must hold at least one value; leave it out to allow all")
        if not 1 <= max_lifetime_days <= x509.MAX_DAYS:
            raise HoldfastError(f"max_lifetime_days: {max_lifetime_days} must be between 1 and {x509.MAX_DAYS}")
        patterns = [x509_names.parse_pattern(text, f"allowed_names[{index}]") for index, text in enumerate(allowed_names or [])]
        return cls(max_lifetime_days, patterns, tuple(key_types), tuple(usages))


class Request(t.NamedTuple):
    """A request that the policy allows."""

    name: str
    where: str
    public_key: t.Any
    names: list[str]
    common_name: str | None
    lifetime_days: int
    usages: list[str]


def sign(directory: str, passphrase: str | None, requests: list[dict[str, t.Any]], policy: Policy, check_mode: bool, now: datetime) -> dict[str, t.Any]:
    """Sign all requests, or none where one is refused. Returns the module's result, with warnings besides."""
    x509.check_directory(directory)
    x509_ca_files.check_passphrase(passphrase)
    x509_names.check_file_names([entry["name"] for entry in requests], "requests")
    if not requests:
        return _result([], "", [])
    if check_mode and not x509.HAS_CRYPTOGRAPHY and x509_ca_files.missing(directory):
        return {**_result([], "", []), "changed": True}
    x509.require_library()
    # A check run on a host without the library has no request to show, though it predicts one.
    parsed = [parse(entry, index, policy) for index, entry in enumerate(requests) if entry["csr"] or not check_mode]
    if check_mode:
        return _sign(directory, passphrase, parsed, True, now)
    if x509_ca_files.missing(directory):
        raise x509_ca_files.no_ca(directory)
    with x509_ca_files.locked(directory):
        return _sign(directory, passphrase, parsed, False, now)


def _sign(directory: str, passphrase: str | None, requests: list[Request], check_mode: bool, now: datetime) -> dict[str, t.Any]:
    ca = x509_ca_files.read(directory, passphrase)
    if ca.certificate is None or x509.not_after(ca.certificate) <= now:
        if check_mode:  # the task that makes or renews the CA comes before this one
            return {**_result([], "", []), "changed": True}
        if ca.certificate is None:
            raise x509_ca_files.no_ca(directory)
        raise HoldfastError(f"directory: the CA in {directory} has expired; renew it first, with the module holdfast.registry.ca")
    warnings = []
    constraints = x509_ca_certificate.constraints_of(ca.certificate)
    for request in requests:
        outside = [name for name in request.names if not constraints.permit(name)]
        if outside:
            refusal = f"{request.where}: {', '.join(outside)} lies outside the CA's name constraints ({constraints})"
            if not check_mode:
                raise HoldfastError(refusal)
            warnings.append(f"{refusal}; refused unless the CA's constraints change before")  # the CA on disk may be due for other ones
    signed = [(request, issue(ca, request, now)) for request in requests]
    lines = x509_record.to_lines(x509_record.entry(certificate) for _request, certificate in signed)
    if not check_mode:
        x509_record.append(directory, lines)
    warnings += [
        f"{request.where}: the certificate ends with the CA, {x509.isoformat(x509.not_after(certificate))}, before its lifetime of {request.lifetime_days} days"
        for request, certificate in signed
        if x509.not_after(certificate) < now + timedelta(days=request.lifetime_days)
    ]
    return {**_result(signed, lines, warnings), "changed": True}


def parse(entry: dict[str, t.Any], index: int, policy: Policy) -> Request:
    """Read one request and hold it against the policy. Raises HoldfastError saying why it is refused."""
    where = f"requests[{index}] ({entry['name']})"
    if entry["lifetime_days"] < 1 or entry["lifetime_days"] > policy.max_lifetime_days:
        raise HoldfastError(f"{where}: lifetime_days {entry['lifetime_days']} must be between 1 and max_lifetime_days ({policy.max_lifetime_days})")
    if not entry["usages"]:
        raise HoldfastError(f"{where}: usages must hold at least one of {', '.join(x509.USAGES)}")
    unwanted = [usage for usage in entry["usages"] if usage not in policy.usages]
    if unwanted:
        raise HoldfastError(f"{where}: usage {', '.join(unwanted)} is not among allowed_usages ({', '.join(policy.usages)})")
    x509.check_no_key(entry["csr"], f"{where}: csr")
    try:
        csr = cx509.load_pem_x509_csr(entry["csr"].encode())
        public_key, names, proven = csr.public_key(), x509.alternative_names(csr), csr.is_signature_valid
    except x509.UNREADABLE:
        raise HoldfastError(f"{where}: csr is not a certificate signing request in PEM form (-----BEGIN CERTIFICATE REQUEST-----)") from None
    if not proven:
        raise HoldfastError(f"{where}: the csr's signature is wrong: whoever made it does not hold the key, or it was damaged on its way")
    key_type = x509.key_type_of(public_key)
    if key_type not in x509.KEY_TYPES:
        raise HoldfastError(f"{where}: the csr's key is of type {key_type}; it must be one of {', '.join(x509.KEY_TYPES)}")
    if key_type not in policy.key_types:
        raise HoldfastError(f"{where}: the csr's key is of type {key_type}, which is not among allowed_key_types ({', '.join(policy.key_types)})")
    if not names:
        raise HoldfastError(f"{where}: the csr holds no subject alternative names; clients look at no others")
    names = [x509_names.parse_name(name, f"{where}: subject alternative name") for name in names]
    common_name = x509.common_name(csr.subject)
    if common_name is not None:
        x509_names.check_common_name(common_name, f"{where}: common name")
    # Servers know a client by its common name, and some clients still look for the host there.
    claims = common_name and ("client" in entry["usages"] or x509_names.is_host_name(common_name))
    claimed = names + ([common_name.lower()] if common_name and claims else [])
    refused = [name for name in claimed if policy.patterns and not x509_names.matches(name, policy.patterns)]
    if refused:
        raise HoldfastError(f"{where}: {', '.join(dict.fromkeys(refused))} is not among allowed_names")
    return Request(entry["name"], where, public_key, names, common_name, entry["lifetime_days"], entry["usages"])


def issue(ca: x509_ca_files.Files, request: Request, now: datetime) -> t.Any:
    """A certificate for a request. It never outlives its CA."""
    end = min(now + timedelta(days=request.lifetime_days), x509.not_after(ca.certificate))
    unused = ("content_commitment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")
    rsa_key = isinstance(request.public_key, rsa.RSAPublicKey)
    usage = cx509.KeyUsage(digital_signature=True, key_encipherment=rsa_key, **dict.fromkeys(unused, False))
    oids = x509.usage_oids()
    builder = (
        cx509.CertificateBuilder()
        .subject_name(x509.subject_name(request.common_name))
        .issuer_name(ca.certificate.subject)
        .public_key(request.public_key)
        .serial_number(x509.serial_number())
        .not_valid_before(now - x509.BACKDATED)
        .not_valid_after(end)
        .add_extension(x509.alternative_names_extension(request.names), critical=not request.common_name)
        .add_extension(cx509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(cx509.ExtendedKeyUsage([oids[word] for word in x509.USAGES if word in request.usages]), critical=False)
        .add_extension(cx509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False)
        .add_extension(x509.authority_key_identifier_of(ca.certificate), critical=False)
    )
    return builder.sign(ca.key, x509.signing_hash(ca.key))


def _result(signed: list[tuple[Request, t.Any]], record: str, warnings: list[str]) -> dict[str, t.Any]:
    certificates = [
        {
            "name": request.name,
            "certificate": x509.to_pem(certificate),
            "serial": x509.serial(certificate),
            "not_after": x509.isoformat(x509.not_after(certificate)),
        }
        for request, certificate in signed
    ]
    return {"changed": bool(signed), "certificates": certificates, "warnings": warnings, "diff": {"before": "", "after": record}}
