# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates, as far as trusting them needs to know them.

Python's ssl reads those of CAs, so that a client needs nothing but Python. What it does not tell is asked of the command
openssl, which the package ca-certificates brings.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import datetime
import hashlib
import re
import ssl
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import subject_text

_BEGIN = re.compile(r"-----BEGIN ([^\r\n]*?)-----")
_END = "-----END CERTIFICATE-----"


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The certificate of a CA."""

    der: bytes
    subject: str
    not_after: datetime.datetime

    @property
    def fingerprint_sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        return ssl.DER_cert_to_PEM_cert(self.der)


class Facts(t.NamedTuple):
    """What the command openssl says of a certificate, whatever it is for."""

    subject: str
    not_after: datetime.datetime
    is_for_clients: bool


def read_ca_certificates(run_program: Run, text: str, *, parameter: str, now: datetime.datetime) -> list[Certificate]:
    """The CA certificates in a PEM text, each once, in their order.

    Raises HoldfastError naming the parameter and the place when there is none, or when there is anything else:
    a private key, another kind of block, a certificate that is broken, expired or no CA's. The text is never repeated.
    """
    certificates: dict[bytes, Certificate] = {}
    for number, der in enumerate(read_blocks(text, parameter=parameter), start=1):
        place = f"{parameter}: certificate {number}"
        certificate = _read_ca_certificate(run_program, der, place)
        if certificate.not_after <= now:
            raise HoldfastError(f"{place} ({shown(certificate.subject)}) expired on {on_day(certificate.not_after)}; use the CA's current one")
        certificates[der] = certificate
    return list(certificates.values())


def read_valid_ones(run_program: Run, contents: list[bytes], *, now: datetime.datetime) -> list[Certificate]:
    """The CA certificates in files that were written before, each once. What is no longer valid, or cannot be read, is passed over."""
    found = []
    for der in sorted(set().union(*map(certificates_in, contents))):
        with contextlib.suppress(HoldfastError):
            found.append(_read_ca_certificate(run_program, der, ""))
    return [certificate for certificate in found if certificate.not_after > now]


def read_blocks(text: str, *, parameter: str) -> list[bytes]:
    """The DER of the certificates in a PEM text. Raises HoldfastError when there is none, or anything else."""
    if "PRIVATE KEY" in text:
        raise HoldfastError(f"{parameter}: holds a private key; use certificates only")
    blocks = _BEGIN.split(text)[1:]
    if not blocks:
        raise HoldfastError(f"{parameter}: holds no certificate; use PEM text that starts with -----BEGIN CERTIFICATE-----")
    found = []
    for number, (label, rest) in enumerate(zip(blocks[::2], blocks[1::2]), start=1):
        if label != "CERTIFICATE":
            raise HoldfastError(f"{parameter}: block {number} is a {label[:40]!r}; use CERTIFICATE blocks only")
        body, end, _rest = rest.partition(_END)
        if not end:
            raise HoldfastError(f"{parameter}: certificate {number} has no line {_END}")
        der = _decoded(body)
        if der is None:
            raise HoldfastError(f"{parameter}: certificate {number} is not PEM: its text is not base64")
        found.append(der)
    return found


def certificates_in(content: bytes | None) -> set[bytes]:
    """The DER of every certificate in a file somebody else may have written. What is not one is passed over."""
    bodies = re.findall(r"-----BEGIN CERTIFICATE-----([^-]*)" + _END, (content or b"").decode("latin-1"))
    return {der for der in map(_decoded, bodies) if der is not None}


def _decoded(body: str) -> bytes | None:
    try:
        return base64.b64decode("".join(body.split()), validate=True)
    except ValueError:
        return None


def _read_ca_certificate(run_program: Run, der: bytes, place: str) -> Certificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(cadata=der)
        authorities: list[t.Any] = context.get_ca_certs()
        if context.cert_store_stats()["x509"] != 1 or (authorities and context.get_ca_certs(binary_form=True) != [der]):
            raise ValueError("something follows where the certificate should end")
        found = [Certificate(der, subject_text(each["subject"]) or "(no subject)", _time(each["notAfter"])) for each in authorities]
    except (OSError, ValueError):
        raise HoldfastError(f"{place} is not a valid X.509 certificate: OpenSSL cannot read it") from None
    if not found:
        facts = _ask_openssl(run_program, der)
        named = f" ({shown(facts.subject)})" if facts else ""
        raise HoldfastError(f"{place}{named} is no CA's: its basicConstraints are not CA:TRUE; use the certificate of the CA")
    return found[0]


def read_facts(run_program: Run, der: bytes, place: str) -> Facts:
    """What the command openssl says. Raises HoldfastError where it can't read the certificate, or is missing."""
    facts = _ask_openssl(run_program, der)
    if facts is None and _openssl(run_program, ["version"]) is None:
        raise HoldfastError(f"{place} cannot be read without the command openssl, which is not on this host; install the package openssl")
    if facts is None:
        raise HoldfastError(f"{place} is not a valid X.509 certificate: OpenSSL cannot read it")
    return facts


def _ask_openssl(run_program: Run, der: bytes) -> Facts | None:
    said = _openssl(run_program, ["x509", "-inform", "DER", "-noout", "-nameopt", "RFC2253,-esc_msb", "-subject", "-enddate", "-purpose"], der)
    subject, not_after = re.search(r"^subject= ?(.*)$", said or "", re.MULTILINE), re.search(r"^notAfter=(.*)$", said or "", re.MULTILINE)
    if said is None or subject is None or not_after is None:
        return None
    try:
        return Facts(subject[1] or "(no subject)", _time(not_after[1]), "SSL client : Yes" in said.splitlines())
    except ValueError:
        return None


def subject_hash(run_program: Run, der: bytes) -> str | None:
    """What OpenSSL names the links in a directory of certificates after; None where the command openssl is missing."""
    said = _openssl(run_program, ["x509", "-inform", "DER", "-noout", "-subject_hash"], der)
    return said.strip() if said else None


def _openssl(run_program: Run, arguments: list[str], given: bytes = b"") -> str | None:
    """What openssl prints, or None where it fails or is not there."""
    result = run_program("openssl", *arguments, given=given)
    return None if result.code else result.out


def _time(text: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(ssl.cert_time_to_seconds(text), datetime.timezone.utc)


def on_day(moment: datetime.datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def shown(subject: str) -> str:
    """A subject that is safe in a message: its text comes from the certificate's issuer."""
    return "".join(character if character.isprintable() else "?" for character in subject)
