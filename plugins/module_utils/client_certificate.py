# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate and key a client shows to a registry that asks for one (mutual TLS), where they lie on the host."""

from __future__ import annotations

import dataclasses
import datetime
import os
import ssl
import stat

from ansible_collections.holdfast.registry.plugins.module_utils import files
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.pem import read_certificates

CERTIFICATE, KEY = "client_certificate_path", "client_key_path"


@dataclasses.dataclass(frozen=True)
class ClientCertificate:
    """Two files. The certificate's may hold the chain up to its CA, the client's own first."""

    certificate: str
    key: str

    def check(self, now: datetime.datetime) -> None:
        """Raise HoldfastError, naming the parameter, unless a server could accept this certificate with this key."""
        text = _read(self.certificate, CERTIFICATE).decode("latin-1")
        leaf = read_certificates(text, parameter=f"{CERTIFICATE}: {self.certificate}")[0]
        place = f"{CERTIFICATE}: {self.certificate} ({leaf.subject})"
        if not leaf.is_for_clients:
            raise HoldfastError(f"{place} is not for clients: its extendedKeyUsage lacks clientAuth; right would be a client certificate, first in the file")
        if leaf.not_after <= now:
            raise HoldfastError(f"{place} expired on {leaf.not_after:%Y-%m-%d %H:%M} UTC; renew it first")
        self._check_key(_read(self.key, KEY))

    def missing(self) -> list[str]:
        """A line for each of the two files that is not there."""
        return [f"{parameter}: {path} does not exist" for parameter, path in ((CERTIFICATE, self.certificate), (KEY, self.key)) if not os.path.exists(path)]

    def _check_key(self, content: bytes) -> None:
        mode = stat.S_IMODE(os.stat(self.key).st_mode)
        if mode & stat.S_IRWXO:
            raise HoldfastError(f"{KEY}: {self.key} is open to every user (mode {mode:04o}); right would be 0600, or 0640 with a group")
        if b"ENCRYPTED" in content:
            raise HoldfastError(f"{KEY}: {self.key} is encrypted, and no store's programs ask for a passphrase; right would be a key without one")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("ALL:@SECLEVEL=0")  # what is strong enough is the server's to say
        try:
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        except ssl.SSLError as error:
            if "MISMATCH" in str(error.reason):
                raise HoldfastError(f"{KEY}: {self.key} is not the key of {self.certificate}") from error
            raise HoldfastError(f"{KEY}: {self.key} is not a private key in PEM form that OpenSSL can read") from error
        except OSError as error:
            raise HoldfastError(f"{KEY}: {self.key} cannot be read: {error.strerror}") from error


def _read(path: str, parameter: str) -> bytes:
    if not os.path.isfile(path):
        raise HoldfastError(f"{parameter}: {path} {'is not a file' if os.path.exists(path) else 'does not exist'}; right would be a file on the host")
    try:
        return files.read_bytes(path) or b""
    except HoldfastError as error:
        raise HoldfastError(f"{parameter}: {error}") from error
