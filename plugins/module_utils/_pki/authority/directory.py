# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of a certificate authority: which there are, how they are read, and the one lock that guards them.

A key that replaces another one waits as ca.key.new until its certificate is in ca.crt. Wherever a replacement was cut
short, the certificate matches one of the two keys.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import lock
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import names_in, read_bytes, remove_leftovers
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import ca_from_pem, cas_from_pem, key_identifier
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crls_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import is_encrypted, key_bits, key_from_pem

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PrivateKey
    from cryptography import x509

KEY_FILE, WAITING_KEY_FILE, CERTIFICATE_FILE = "ca.key", "ca.key.new", "ca.crt"
BUNDLE_FILE, CRL_FILE, RECORD_FILE = "ca-bundle.crt", "ca.crl", "issued.jsonl"
# Only of a CA below another one: its request, what servers send behind their certificates, and what clients trust.
REQUEST_FILE, CHAIN_FILE, TRUST_FILE = "ca.csr", "ca-chain.crt", "ca-trust.crt"
_PREVIOUS_KEY = re.compile(r"ca-previous-[0-9a-f]{16}\.key")


class Signer(t.NamedTuple):
    """A CA that can sign."""

    key: PrivateKey
    certificate: x509.Certificate


class CaFiles(t.NamedTuple):
    """A CA's key and certificate, as far as they are there. interrupted: the key is still in the file it waited in."""

    key: PrivateKey | None = None
    certificate: x509.Certificate | None = None
    encrypted: bool = False
    interrupted: bool = False

    @property
    def signer(self) -> Signer | None:
        return Signer(self.key, self.certificate) if self.key and self.certificate else None


@contextlib.contextmanager
def held(directory: str, *, check_mode: bool) -> t.Iterator[None]:
    """Hold the lock of the CA's files, and remove what killed runs left behind. Check mode takes no lock."""
    if check_mode:
        yield
        return
    with lock.locked(os.path.join(directory, "ca")):
        previous = {found.group() for found in map(_PREVIOUS_KEY.search, names_in(directory)) if found}
        for name in (KEY_FILE, WAITING_KEY_FILE, CERTIFICATE_FILE, BUNDLE_FILE, CRL_FILE, RECORD_FILE, REQUEST_FILE, CHAIN_FILE, TRUST_FILE, *previous):
            remove_leftovers(os.path.join(directory, name))
        yield


def read_files(directory: str, passphrase: str | None) -> CaFiles:
    """Read the CA in a directory. Raises HoldfastError where its files do not belong together or cannot be read."""
    key_path, certificate_path = os.path.join(directory, KEY_FILE), os.path.join(directory, CERTIFICATE_FILE)
    key_pem, certificate_pem = read_bytes(key_path), read_bytes(certificate_path)
    if key_pem is None:
        if certificate_pem is not None:
            raise HoldfastError(f"{certificate_path}: is there without its key {key_path}; put the key back, or name another directory")
        return CaFiles()
    if certificate_pem is None:
        return CaFiles(key_from_pem(key_pem, key_path, passphrase), None, is_encrypted(key_pem))
    certificate = ca_from_pem(certificate_pem, certificate_path)
    waiting = _waiting_key(directory, passphrase, certificate)
    if waiting:
        return waiting
    key = key_from_pem(key_pem, key_path, passphrase)
    if key_bits(key) != key_bits(certificate.public_key()):
        raise HoldfastError(f"{certificate_path}: does not match the key {key_path}; put the right one of the two back, or name another directory")
    return CaFiles(key, certificate, is_encrypted(key_pem))


def _waiting_key(directory: str, passphrase: str | None, certificate: x509.Certificate) -> CaFiles | None:
    """The CA with the key that waits to take the place of the one before, where the certificate is for it."""
    path = os.path.join(directory, WAITING_KEY_FILE)
    pem = read_bytes(path)
    if pem is not None:
        with contextlib.suppress(HoldfastError):  # it may have another passphrase, and does not matter unless it fits
            key = key_from_pem(pem, path, passphrase)
            if key_bits(key) == key_bits(certificate.public_key()):
                return CaFiles(key, certificate, is_encrypted(pem), interrupted=True)
    return None


def previous_key_path(directory: str, certificate: x509.Certificate) -> str:
    """Where the key of a CA is kept after another one has replaced it: it still signs that CA's CRL, and nothing else."""
    return os.path.join(directory, f"ca-previous-{key_identifier(certificate)[:16]}.key")


def previous_keys(directory: str) -> list[str]:
    """The paths of all such keys that are there."""
    return [os.path.join(directory, name) for name in names_in(directory) if _PREVIOUS_KEY.fullmatch(name)]


def read_previous(directory: str, ca: Signer, bundle: t.Iterable[x509.Certificate], *passphrases: str | None) -> list[Signer]:
    """The CAs of the bundle before ca that can still sign their CRL. Each key opens with one of the passphrases.

    Raises HoldfastError for a key that does not.
    """
    found = []
    for certificate in bundle:
        path = previous_key_path(directory, certificate)
        pem = read_bytes(path)
        if key_bits(certificate.public_key()) == key_bits(ca.key):  # the CA before had another name only
            found += [Signer(ca.key, certificate)] if certificate != ca.certificate else []
        elif pem is not None:
            found.append(Signer(_open(pem, path, passphrases), certificate))
    return found


def _open(pem: bytes, path: str, passphrases: t.Sequence[str | None]) -> PrivateKey:
    *others, last = passphrases
    for passphrase in others:
        with contextlib.suppress(HoldfastError):
            return key_from_pem(pem, path, passphrase)
    return key_from_pem(pem, path, last)


def read_bundle(directory: str) -> list[x509.Certificate]:
    """The CAs that clients have to trust: this one, and those before it that still matter."""
    path = os.path.join(directory, BUNDLE_FILE)
    pem = read_bytes(path)
    return [] if pem is None else cas_from_pem(pem, path)


def read_crls(directory: str) -> list[x509.CertificateRevocationList]:
    """The CRLs in the CA's directory: its own, and the last ones of the CAs before it."""
    path = os.path.join(directory, CRL_FILE)
    pem = read_bytes(path)
    return [] if pem is None else crls_from_pem(pem, path)


def is_missing(directory: str) -> bool:
    """Whether a directory holds no file of a CA, told without the library."""
    return all(read_bytes(os.path.join(directory, name)) is None for name in (KEY_FILE, CERTIFICATE_FILE))


def no_ca(directory: str) -> HoldfastError:
    return HoldfastError(f"directory: there is no CA in {directory}; make it first, with the module holdfast.registry.ca")


def open_key_warnings(directory: str, files: CaFiles, passphrase: str | None) -> list[str]:
    """Warnings if a passphrase is given and the key is not encrypted."""
    if not passphrase or files.encrypted:
        return []
    path = os.path.join(directory, KEY_FILE)
    return [f"passphrase: {path} is not encrypted, so that it was not needed; give it to the module holdfast.registry.ca, which encrypts the key"]
