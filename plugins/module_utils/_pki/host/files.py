# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The files of certificates on the host that uses them: which there are, how they are read, and the one lock that guards them.

A key that is to replace one in use waits as NAME.key.new until its certificate arrives, so that the key and the
certificate in use always belong together. Installing is: certificate, then key, then the waiting file goes. Wherever
that was cut short, the certificate matches the waiting key, and the next run finishes.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import atomic_write, make_directories, read_bytes, remove, status_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    alternative_names,
    certificate_from_pem,
    certificates_from_pem,
    describe,
    usages_of,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import is_encrypted, key_from_pem, key_type_of

if t.TYPE_CHECKING:
    from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import PrivateKey
    from cryptography import x509

CA_FILE, CRL_FILE, CRL_DER_FILE = "ca.crt", "ca.crl", "ca.crl.der"

_LOCK = "certificates"
_END = b"-----END CERTIFICATE-----"


class Paths(t.NamedTuple):
    """Where a certificate of this name has its files."""

    key: str
    waiting: str
    certificate: str

    @classmethod
    def of(cls, directory: str, name: str) -> Paths:
        path = os.path.join(directory, name)
        return cls(f"{path}.key", f"{path}.key.new", f"{path}.crt")


@dataclasses.dataclass(frozen=True)
class TakePlace(Change):
    """The waiting key takes the place of the one in use. What ownership leaves open stays as it is for the waiting key."""

    paths: Paths
    ownership: Ownership

    def apply(self) -> None:
        waiting, status = read_bytes(self.paths.waiting), status_of(self.paths.waiting)
        if waiting is not None and status is not None:
            atomic_write(self.paths.key, waiting, self.ownership.or_of(status))
            remove(self.paths.waiting)


@contextlib.contextmanager
def held(directory: str, *, check_mode: bool) -> t.Iterator[None]:
    """Make the directory, and hold the lock that guards every file in it. A check run does neither."""
    if check_mode:
        yield
        return
    make_directories(directory, 0o755)
    with locked(os.path.join(directory, _LOCK)):
        yield


def check_no_ca(directory: str) -> None:
    """Refuse the directory of a CA: it has files of the same names, whose content is another after the CA was replaced."""
    if status_of(os.path.join(directory, "ca.key")) is not None:
        raise HoldfastError(f"directory: {directory} is that of a CA (it has a ca.key), whose ca.crt and ca.crl would be replaced; give another one")


def read_key(path: str) -> PrivateKey | None:
    """The key at path, or None where there is none. It must be open: whatever uses it starts without anybody to type a passphrase."""
    pem = read_bytes(path)
    if pem is None:
        return None
    if is_encrypted(pem):
        raise HoldfastError(f"{path}: the private key is encrypted, and no server asks for a passphrase; replace it by the same key without one")
    return key_from_pem(pem, path)


def read_waiting_key(path: str) -> PrivateKey | None:
    """The key that waits at path, or None where there is none, or one that is damaged: no certificate in use can be for that. Else as read_key()."""
    pem = read_bytes(path)
    if pem is not None and not is_encrypted(pem):
        with contextlib.suppress(HoldfastError):
            return key_from_pem(pem, path)
        return None
    return read_key(path)


def read_certificate(path: str) -> x509.Certificate | None:
    """The first certificate in the file at path, or None where there is none that can be read."""
    pem = read_bytes(path)
    if pem is None:
        return None
    try:
        certificate = certificate_from_pem(pem.split(_END)[0] + _END + b"\n", path)
        alternative_names(certificate), usages_of(certificate)  # read lazily: a broken one shows here
    except (HoldfastError, ValueError):
        return None
    return certificate


def show_key(pem: bytes) -> str:
    """A private key as a diff may show it."""
    try:
        return f"private key, {key_type_of(key_from_pem(pem, ''))}\n"
    except HoldfastError:
        return "unreadable\n"


def show_certificates(pem: bytes) -> str:
    """Certificates as a diff shows them."""
    try:
        return "".join(describe(certificate) for certificate in certificates_from_pem(pem, ""))
    except HoldfastError:
        return "unreadable\n"
