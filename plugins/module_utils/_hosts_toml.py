# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""hosts.toml, which says for one registry what it is trusted by, and the mirrors to ask first.

Two modules write it. The one of registry_mirrors has its mirrors and the same head as that of ca_trust, and takes its place.
So each has to know the other's: a file that names a certificate which is gone is refused by its readers, with all the mirrors in it.
"""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._toml import quoted

NAME = "hosts.toml"
MARK_OF_TRUST = b"# Managed by the Ansible module holdfast.registry.ca_trust\n"
MARK_OF_MIRRORS = "# Managed by the Ansible module holdfast.registry.registry_mirrors"


def head(directory: str, names: t.Collection[str]) -> list[str]:
    """What the registry of a directory with these files is trusted by, and what is shown to it."""
    shown = sorted(name for name in names if not name.startswith("."))
    authorities = [os.path.join(directory, name) for name in shown if name.endswith(".crt")]
    pairs = [os.path.join(directory, name[: -len(".key")]) for name in shown if name.endswith(".key") and f"{name[:-4]}.cert" in names]
    lines = ['capabilities = ["pull", "resolve", "push"]']
    if authorities:
        lines.append(f"ca = {array(authorities)}")
    if pairs:
        lines.append(f"client = [{', '.join(array([f'{pair}.cert', f'{pair}.key']) for pair in pairs)}]")
    return lines


def of_trust(directory: str, names: t.Collection[str]) -> bytes | None:
    """The whole file without mirrors; None where there is no certificate to name."""
    if not any(name.endswith(".crt") for name in names):
        return None
    # No table [host]: containerd asks the server after every host, and would ask it without a host's ca.
    server = f"server = {quoted(f'https://{os.path.basename(directory)}')}"
    return MARK_OF_TRUST + "".join(f"{line}\n" for line in [server, *head(directory, names)]).encode()


def is_of_mirrors(content: bytes | None) -> bool:
    """Whether this is what registry_mirrors has written."""
    return (content or b"").startswith(f"{MARK_OF_MIRRORS} for ".encode())


def with_head(content: bytes, lines: t.Sequence[str]) -> bytes:
    """The file of registry_mirrors with another head: its lines up to the first empty one, but for the mark."""
    mark, _end, _rest = content.partition(b"\n")
    _head, gap, mirrors = content.partition(b"\n\n")
    # Somebody may have changed it, in another way than this could know. The next run of registry_mirrors puts it right.
    return b"\n".join([mark, *(line.encode() for line in lines), b"", mirrors]) if gap else content


def array(texts: t.Iterable[str]) -> str:
    """A list of texts."""
    return f"[{', '.join(quoted(text) for text in texts)}]"
