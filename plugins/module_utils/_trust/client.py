# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificate and key a client shows to a registry that asks for one (mutual TLS), where they lie on the host."""

from __future__ import annotations

import dataclasses
import datetime
import os
import ssl
import stat

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames, load_pair
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import on_day, read_blocks, read_facts, shown


@dataclasses.dataclass(frozen=True)
class ClientPair:
    """Two files, and what the user calls them. The certificate's may hold the chain up to its CA, the client's own first."""

    files: Pair
    names: PairNames

    def check(self, run_program: Run, now: datetime.datetime) -> None:
        """Raise HoldfastError, naming the parameter, unless a server could accept this certificate with this key."""
        place = f"{self.names.certificate}: {self.files.certificate}"
        text = _read(self.files.certificate, self.names.certificate).decode("latin-1")
        facts = read_facts(run_program, read_blocks(text, parameter=place)[0], place)
        place += f" ({shown(facts.subject)})"
        if not facts.is_for_clients:
            raise HoldfastError(
                f"{place} is not for clients: its extendedKeyUsage lacks clientAuth, or its keyUsage digitalSignature; "
                "use a client certificate, first in the file"
            )
        if facts.not_after <= now:
            raise HoldfastError(f"{place} expired on {on_day(facts.not_after)}; renew it first")
        self._check_key()

    def missing(self) -> list[str]:
        """A line for each of the two files that is not there."""
        return [f"{name}: {path} does not exist" for name, path in zip(self.names, self.files) if not os.path.exists(path)]

    def _check_key(self) -> None:
        _read(self.files.key, self.names.key)
        mode = stat.S_IMODE(os.stat(self.files.key).st_mode)
        if mode & stat.S_IRWXO:
            raise HoldfastError(f"{self.names.key}: {self.files.key} is open to every user (mode {mode:04o}); use 0600, or 0640 with a group")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.set_ciphers("ALL:@SECLEVEL=0")  # what is strong enough is the server's to say
        load_pair(context, self.files, self.names)


def _read(path: str, name: str) -> bytes:
    if not os.path.isfile(path):
        raise HoldfastError(f"{name}: {path} {'is not a file' if os.path.exists(path) else 'does not exist'}; use a file on the host")
    try:
        return read_bytes(path) or b""
    except HoldfastError as error:
        raise HoldfastError(f"{name}: {error}") from error
