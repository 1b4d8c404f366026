# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""PEM text, before it is known what is in it."""

from __future__ import annotations

import re

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError


def check_no_key(text: str | bytes, *, where: str) -> None:
    """Refuse a private key that was pasted where something public belongs. The text is never repeated."""
    if b"PRIVATE KEY" in (text.encode() if isinstance(text, str) else text):
        raise HoldfastError(
            f"{where}: holds a private key, which belongs nowhere but in its own file; leave it out, and make a new key if others have seen this one"
        )


def pem_blocks(pem: bytes, label: str, *, where: str) -> list[bytes]:
    """Every block of a kind in pem, of which there must be one at least, and nothing that is cut short."""
    begin, end = (f"-----{word} {label}-----".encode() for word in ("BEGIN", "END"))
    blocks = re.findall(re.escape(begin) + b"[^-]*" + re.escape(end), pem)
    if not blocks or pem.count(begin) != len(blocks):
        raise HoldfastError(f"{where}: holds no whole block in PEM form ({begin.decode()} ... {end.decode()})")
    return [block + b"\n" for block in blocks]
