# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PEM text to certificates and back."""

from __future__ import annotations

import base64
import datetime
import re
import ssl

from ansible_collections.holdfast.registry.plugins.module_utils.der import Certificate, read_certificate
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

_BEGIN = re.compile(r"-----BEGIN ([^\r\n]*?)-----")


def read_ca_certificates(text: str, *, parameter: str, now: datetime.datetime) -> list[Certificate]:
    """The CA certificates in a PEM text, each once, in their order.

    Raises HoldfastError naming the parameter and the place when there is none, or when there is anything else:
    a private key, another kind of block, a certificate that is broken, expired or no CA's. The text is never repeated.
    """
    certificates: dict[bytes, Certificate] = {}
    for number, certificate in enumerate(read_certificates(text, parameter=parameter), start=1):
        place = f"{parameter}: certificate {number} ({certificate.subject})"
        if not certificate.is_ca:
            raise HoldfastError(f"{place} is no CA's: its basicConstraints are not CA:TRUE; right would be the certificate of the CA")
        if certificate.not_after <= now:
            raise HoldfastError(f"{place} expired on {certificate.not_after:%Y-%m-%d %H:%M} UTC; right would be the CA's current one")
        certificates[certificate.der] = certificate
    return list(certificates.values())


def read_certificates(text: str, *, parameter: str) -> list[Certificate]:
    """The certificates in a PEM text, whatever they are for. Raises HoldfastError when there is none, anything else or one that is broken."""
    if "PRIVATE KEY" in text:
        raise HoldfastError(f"{parameter}: holds a private key; right would be certificates only")
    blocks = _BEGIN.split(text)[1:]
    if not blocks:
        raise HoldfastError(f"{parameter}: holds no certificate; right would be PEM text that starts with -----BEGIN CERTIFICATE-----")
    certificates = []
    for number, (label, rest) in enumerate(zip(blocks[::2], blocks[1::2]), start=1):
        if label != "CERTIFICATE":
            raise HoldfastError(f"{parameter}: block {number} is a {label[:40]!r}; right would be CERTIFICATE blocks only")
        certificates.append(_read_block(rest, f"{parameter}: certificate {number}"))
    return certificates


def _read_block(text: str, place: str) -> Certificate:
    """Read what follows a BEGIN line. The reader gives the subject and the reasons, OpenSSL has the last word."""
    body, end, _rest = text.partition("-----END CERTIFICATE-----")
    if not end:
        raise HoldfastError(f"{place} has no line -----END CERTIFICATE-----")
    try:
        der = base64.b64decode("".join(body.split()), validate=True)
        certificate = read_certificate(der)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=der)
    except HoldfastError as error:
        raise HoldfastError(f"{place} {error}") from error
    except ValueError as error:
        raise HoldfastError(f"{place} is not PEM: its text is not base64") from error
    except OSError as error:
        raise HoldfastError(f"{place} is not a valid X.509 certificate: OpenSSL cannot read it") from error
    return certificate


def to_pem(certificate: Certificate) -> str:
    """The PEM text of a certificate, without anything around it."""
    return ssl.DER_cert_to_PEM_cert(certificate.der)


def certificates_in(content: bytes | None) -> set[bytes]:
    """The DER of every certificate in a file somebody else may have written. What is not one is passed over."""
    found = set()
    for body in re.findall(rb"-----BEGIN CERTIFICATE-----([^-]*)-----END CERTIFICATE-----", content or b""):
        try:
            found.add(base64.b64decode(b"".join(body.split()), validate=True))
        except ValueError:
            continue
    return found
