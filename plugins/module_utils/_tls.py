# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The client's side of TLS: the CAs it trusts, and the certificate and key that it shows."""

from __future__ import annotations

import ssl
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError


class Pair(t.NamedTuple):
    """The files of a certificate and its key. Those of intermediate CAs may follow in the certificate's file."""

    certificate: str
    key: str


class PairNames(t.NamedTuple):
    """What the user calls the two files of a pair, for messages."""

    certificate: str
    key: str


def trusting_context(ca_file: str | None = None, ca_certificate: str | None = None) -> ssl.SSLContext:
    """A context which trusts the given CA certificates alone, or else the system store, and speaks TLS 1.2 or later."""
    parameter, given = ("ca_certificate", ca_certificate) if ca_file is None else ("ca_file", ca_file)
    if given is not None and not given.strip():  # an empty string would silently mean the system store
        raise HoldfastError(f"{parameter}: is empty; leave it out to trust the system store")
    if ca_certificate and "PRIVATE KEY" in ca_certificate:
        raise HoldfastError(
            f"{parameter}: holds a private key, which belongs nowhere but in its own file; leave it out, and make a new key if others have seen this one"
        )
    # Bundles carry the CAs' names in any script between the certificates; ssl takes ASCII only.
    ca_data = None if ca_certificate is None else ca_certificate.encode("ascii", "replace").decode("ascii")
    try:
        context = ssl.create_default_context(cafile=ca_file, cadata=ca_data)
    except ssl.SSLError:
        where = f"{ca_file} " if ca_file else ""
        raise HoldfastError(f"{parameter}: {where}holds no valid PEM certificate (-----BEGIN CERTIFICATE-----)") from None
    except (OSError, ValueError) as error:
        raise HoldfastError(f"{parameter}: {ca_file} cannot be read: {_reason(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 would refuse what older ones and container engines take, such as a CA that openssl has made without key usages.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def load_pair(context: ssl.SSLContext, pair: Pair, names: PairNames) -> None:
    """Have a context show this certificate. Raises HoldfastError, with the name of the file that is wrong."""
    _read(pair.certificate, names.certificate)
    if b"ENCRYPTED" in _read(pair.key, names.key):
        raise HoldfastError(f"{names.key}: {pair.key} is encrypted; use a key without a passphrase")
    try:
        context.load_cert_chain(pair.certificate, pair.key, password=lambda: "")
    except ssl.SSLError as error:
        if "MISMATCH" in str(error.reason):
            raise HoldfastError(f"{names.key}: {pair.key} is not the key of {pair.certificate}") from None
        if not _holds_certificate(pair.certificate):
            raise HoldfastError(f"{names.certificate}: {pair.certificate} holds no valid PEM certificate (-----BEGIN CERTIFICATE-----)") from None
        raise HoldfastError(f"{names.key}: {pair.key} is not a private key in PEM form that OpenSSL can read") from None


def _read(path: str, name: str) -> bytes:
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except (OSError, ValueError) as error:
        raise HoldfastError(f"{name}: {path} cannot be read: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def _holds_certificate(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except OSError:
        return False
    return True
