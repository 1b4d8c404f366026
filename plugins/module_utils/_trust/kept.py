# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is kept in the stores under a name, and the mark by which the files that ca_trust wrote are told from others."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._hosts_toml import MARK_OF_TRUST
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import Certificate, certificates_in
from ansible_collections.holdfast.registry.plugins.module_utils._trust.client import ClientPair

MARK = MARK_OF_TRUST
READABLE = Ownership(mode=0o644)


@dataclasses.dataclass(frozen=True)
class Kept:
    """What shall be kept under a name, and with exclusive nothing under another. No certificates: nothing.

    Under the former names nothing shall be kept any longer. Without leave, what is kept by registry under these, or at other endpoints, stays for now.
    With additional, which reads the valid certificates in files, those that are there already stay too, and nothing goes, nor does a client's own certificate.
    """

    name: str
    certificates: list[Certificate]
    endpoints: list[str]
    client: ClientPair | None = None
    exclusive: bool = False
    former: tuple[str, ...] = ()
    leave: bool = True
    additional: t.Callable[[list[bytes]], list[Certificate]] | None = None

    def with_those_in(self, files: t.Callable[[], list[bytes]]) -> Kept:
        """The same, with additional also the certificates in a store's files, which another call may have written since the parameters were read."""
        if self.additional is None:
            return self
        wanted = {certificate.der for certificate in self.certificates}
        return dataclasses.replace(self, certificates=self.certificates + [each for each in self.additional(files()) if each.der not in wanted])

    def nothing(self) -> Kept:
        """The same names, under which nothing is kept anywhere."""
        return Kept(self.name, [], [], former=self.former)


def is_marked(path: str) -> bool:
    """Whether a file has the mark. A symbolic link is not followed."""
    return os.path.isfile(path) and not os.path.islink(path) and (read_bytes(path) or b"").startswith(MARK)


def plan_write(path: str, content: bytes) -> list[Change]:
    """What it takes for path to be a file with the mark and this content. Raises HoldfastError where it is a symbolic link."""
    if os.path.islink(path):
        raise HoldfastError(f"{path}: is a symbolic link, and what it points to is not this module's to change; remove the link or choose another name")
    return Write.plan(path, MARK + content, READABLE)


def refuse_others(path: str, certificates: list[Certificate]) -> None:
    """Raise HoldfastError where somebody else keeps other certificates in path than these."""
    content = read_bytes(path)
    if content is None or content.startswith(MARK) or certificates_in(content) == {certificate.der for certificate in certificates}:
        return
    raise HoldfastError(f"{path}: exists, holds other certificates and was not written by this module; remove it or choose another name")
