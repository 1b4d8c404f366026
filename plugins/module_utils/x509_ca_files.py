# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a certification authority: which there are, how they are read, and the one lock that guards them.

A key that replaces another one waits as ca.key.new until its certificate is in ca.crt. Wherever a replacement was cut
short, the certificate matches one of the two keys.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

KEY_FILE, WAITING_KEY_FILE, CERTIFICATE_FILE = "ca.key", "ca.key.new", "ca.crt"
BUNDLE_FILE, CRL_FILE, RECORD_FILE = "ca-bundle.crt", "ca.crl", "issued.jsonl"


class Files(t.NamedTuple):
    """A CA's key and certificate. interrupted: the key is still in the file it waited in."""

    key: t.Any
    certificate: t.Any
    encrypted: bool
    interrupted: bool = False


@contextlib.contextmanager
def locked(directory: str) -> t.Iterator[None]:
    """Hold the lock that guards every file of the CA, what killed runs left beside them removed."""
    with files.locked(os.path.join(directory, "ca")):
        for name in (KEY_FILE, WAITING_KEY_FILE, CERTIFICATE_FILE, BUNDLE_FILE, CRL_FILE, RECORD_FILE):
            files.remove_leftovers(os.path.join(directory, name))
        yield


def check_passphrase(passphrase: str | None, parameter: str = "passphrase") -> None:
    """Refuse a passphrase that cannot encrypt a key."""
    if passphrase is not None and not 1 <= len(passphrase.encode()) <= 1023:
        raise HoldfastError(f"{parameter}: must be 1 to 1023 bytes long; leave the parameter out for a key that is not encrypted")


def read(directory: str, passphrase: str | None) -> Files:
    """Read the CA in a directory. Raises HoldfastError where its files do not belong together or cannot be read."""
    key_path, certificate_path = os.path.join(directory, KEY_FILE), os.path.join(directory, CERTIFICATE_FILE)
    key_pem, certificate_pem = files.read_bytes(key_path), files.read_bytes(certificate_path)
    if key_pem is None:
        if certificate_pem is not None:
            raise HoldfastError(f"{certificate_path}: is there without its key {key_path}; put the key back, or name another directory")
        return Files(None, None, False)
    if certificate_pem is None:
        return Files(x509.key_from_pem(key_pem, key_path, passphrase), None, x509.is_encrypted(key_pem))
    certificate = x509.ca_from_pem(certificate_pem, certificate_path)
    waiting_path = os.path.join(directory, WAITING_KEY_FILE)
    waiting_pem = files.read_bytes(waiting_path)
    if waiting_pem is not None:
        with contextlib.suppress(HoldfastError):  # it may have another passphrase, and does not matter unless it fits
            waiting = x509.key_from_pem(waiting_pem, waiting_path, passphrase)
            if _matches(waiting, certificate):
                return Files(waiting, certificate, x509.is_encrypted(waiting_pem), interrupted=True)
    key = x509.key_from_pem(key_pem, key_path, passphrase)
    if not _matches(key, certificate):
        raise HoldfastError(f"{certificate_path}: does not match the key {key_path}; put the right one of the two back, or name another directory")
    return Files(key, certificate, x509.is_encrypted(key_pem))


def missing(directory: str) -> bool:
    """Whether a directory holds no file of a CA, told without the library."""
    return all(files.read_bytes(os.path.join(directory, name)) is None for name in (KEY_FILE, CERTIFICATE_FILE))


def no_ca(directory: str) -> HoldfastError:
    return HoldfastError(f"directory: there is no CA in {directory}; make it first, with the module holdfast.registry.ca")


def _matches(key: t.Any, certificate: t.Any) -> bool:
    return x509.key_bits(certificate.public_key()) == x509.key_bits(key.public_key())
