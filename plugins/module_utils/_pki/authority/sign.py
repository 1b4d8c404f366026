# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signing of certificate signing requests with the CA in a directory, under a policy, with a record."""

from __future__ import annotations

import typing as t
from datetime import datetime, timedelta

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import apply
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.directory import (
    Signer,
    held,
    is_missing,
    no_ca,
    open_key_warnings,
    read_files,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.limits import constraints_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.policy import Policy, Request, parse_request
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.record import entry_of, to_lines, with_lines
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.settings import key_usage
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    alternative_names_extension,
    authority_key_identifier_of,
    crl_url_extension,
    serial,
    serial_number,
    subject_name,
    to_pem,
    usage_oids,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import key_bits, signing_hash
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import USAGES, check_directory, check_file_names, check_passphrase
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import BACKDATED, isoformat, not_after

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

Signed = list[tuple[Request, "x509.Certificate"]]


def sign(directory: str, requests: list[dict[str, t.Any]], policy: Policy, *, passphrase: str | None, check_mode: bool, now: datetime) -> Result:
    """Sign all requests, or none where one is refused. Returns the module's result, with warnings besides."""
    check_directory(directory)
    check_passphrase(passphrase)
    check_file_names([entry["name"] for entry in requests], where="requests")
    if not requests:
        return _result([])
    if check_mode and not library.HAS_CRYPTOGRAPHY and is_missing(directory):
        return {**_result([]), "changed": True}
    library.require_library()
    # A check run on a host without the library has no request to show, though it predicts one.
    parsed = [
        parse_request(entry, policy, where=f"requests[{index}] ({entry['name']})") for index, entry in enumerate(requests) if entry["csr"] or not check_mode
    ]
    if not check_mode and is_missing(directory):
        raise no_ca(directory)
    with held(directory, check_mode=check_mode):
        files = read_files(directory, passphrase)
        ca = files.signer
        expired = ca is not None and not_after(ca.certificate) <= now
        if check_mode and (ca is None or expired):  # the task that makes or renews the CA comes before this one
            return {**_result([]), "changed": True}
        if ca is None:
            raise no_ca(directory)
        if expired:
            raise HoldfastError(f"directory: the CA in {directory} has expired; renew it first, with the module holdfast.registry.ca")
        warnings = open_key_warnings(directory, files, passphrase) + _hold_against_ca(parsed, ca, check_mode=check_mode)
        signed: Signed = [(request, issue_certificate(ca, request, now)) for request in parsed]
        lines = to_lines(entry_of(certificate) for _request, certificate in signed)
        if not check_mode:
            apply([with_lines(directory, lines)])
    return {**_result(signed, lines, warnings + _warnings(signed, now)), "changed": True}


def _hold_against_ca(requests: list[Request], ca: Signer, *, check_mode: bool) -> list[str]:
    """Refuse what this CA cannot sign. A check run only warns of names, since the CA's constraints may be about to change."""
    warnings = []
    constraints = constraints_of(ca.certificate)
    for request in requests:
        if key_bits(request.public_key) == key_bits(ca.key):
            raise HoldfastError(f"{request.where}: the csr's key is the CA's own; a certificate needs a key of its own")
        outside = [name for name in request.names if not constraints.permit(name)]
        if outside:
            refusal = f"{request.where}: {', '.join(outside)} lies outside the CA's name constraints ({constraints})"
            if not check_mode:
                raise HoldfastError(refusal)
            warnings.append(f"{refusal}; refused unless the CA's constraints change before")
    return warnings


def issue_certificate(ca: Signer, request: Request, now: datetime) -> x509.Certificate:
    """A certificate for a request. It never outlives its CA."""
    end = min(now + timedelta(days=request.lifetime_days), not_after(ca.certificate))
    used = ("digital_signature", "key_encipherment") if isinstance(request.public_key, rsa.RSAPublicKey) else ("digital_signature",)
    oids = usage_oids()
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name(request.common_name))
        .issuer_name(ca.certificate.subject)
        .public_key(request.public_key)
        .serial_number(serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(end)
        .add_extension(alternative_names_extension(request.names), critical=not request.common_name)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(*used), critical=True)
        .add_extension(x509.ExtendedKeyUsage([oids[word] for word in USAGES if word in request.usages]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False)
        .add_extension(authority_key_identifier_of(ca.certificate), critical=False)
    )
    if request.crl_url:
        builder = builder.add_extension(crl_url_extension(request.crl_url), critical=False)
    return builder.sign(ca.key, signing_hash(ca.key))


def _warnings(signed: Signed, now: datetime) -> list[str]:
    cut = [
        f"{request.where}: the certificate ends with the CA, {isoformat(not_after(certificate))}, before its lifetime of {request.lifetime_days} days"
        for request, certificate in signed
        if not_after(certificate) < now + timedelta(days=request.lifetime_days)
    ]
    return [warning for request, _certificate in signed for warning in request.warnings] + cut


def _result(signed: Signed, record: str = "", warnings: t.Sequence[str] = ()) -> Result:
    certificates = [
        {
            "name": request.name,
            "certificate": to_pem(certificate),
            "serial": serial(certificate),
            "not_after": isoformat(not_after(certificate)),
        }
        for request, certificate in signed
    ]
    return {"changed": bool(signed), "certificates": certificates, "warnings": list(warnings), "diff": {"before": "", "after": record}}
