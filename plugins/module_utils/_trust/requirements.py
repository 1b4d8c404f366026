# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What podman, skopeo and CRI-O require of an image, by the repositories it is for: how a user says it, and how policy.json does."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import dns_problem, parse_endpoint

_PATH = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----\s*\n(.*?)\n-----END \1-----", re.DOTALL)
_PUBLIC, _GPG = "PUBLIC KEY", "PGP PUBLIC KEY BLOCK"
_HUB_NAMES = ("index.docker.io", "registry-1.docker.io", "hub.docker.com")


@dataclasses.dataclass(frozen=True)
class Requirement:
    """What is required of the images of one scope. lookaside is where GPG signatures are kept, if not beside the image."""

    place: str
    scope: str
    kind: str
    keys: list[bytes] = dataclasses.field(repr=False)
    lookaside: str = ""

    @property
    def in_policy(self) -> list[dict[str, t.Any]]:
        """The entry of the scope in policy.json."""
        if self.kind == "reject":
            return [{"type": "reject"}]
        if self.kind == "gpg":
            return [{"type": "signedBy", "keyType": "GPGKeys", "keyData": _text(b"".join(self.keys))}]
        # One key as the versions write it that know one only.
        keys = {"keyData": _text(self.keys[0])} if len(self.keys) == 1 else {"keyDatas": [_text(key) for key in self.keys]}
        # cosign signs the digest and the name of the repository, without a tag.
        return [{"type": "sigstoreSigned", **keys, "signedIdentity": {"type": "matchRepository"}}]

    @property
    def in_registries(self) -> dict[str, t.Any]:
        """The entry of the scope in a file of registries.d: where its signatures are."""
        if self.kind == "sigstore":
            return {"use-sigstore-attachments": True}
        return {"lookaside": self.lookaside} if self.lookaside else {}


def parse(entries: t.Sequence[t.Mapping[str, t.Any]], *, parameter: str) -> list[Requirement]:
    """Read the module's list. Raises HoldfastError naming the place in it, never repeating a key."""
    found: dict[str, Requirement] = {}
    for number, entry in enumerate(entries):
        place = f"{parameter}[{number}]"
        scope = _scope(entry["scope"], f"{place}.scope")
        if scope in found:
            raise HoldfastError(f"{place}.scope: {scope!r} is already in {found[scope].place}; use one entry, which may have several keys")
        kind, lookaside = entry.get("type") or "sigstore", entry.get("lookaside") or ""
        if kind == "reject" and entry.get("keys"):
            raise HoldfastError(f"{place}.keys: go with type sigstore or gpg; type reject accepts no image of the scope")
        if kind != "reject" and not entry.get("keys"):
            raise HoldfastError(f"{place}.keys: is missing or empty; type {kind} needs at least one public key")
        if lookaside and (kind != "gpg" or not re.fullmatch(r"(https?|file)://[!-~]+", lookaside)):
            raise HoldfastError(f"{place}.lookaside: use a URL with https, http or file, such as https://sigs.example.com, and type gpg")
        keys = [key for index, text in enumerate(entry.get("keys") or []) for key in _keys(kind, text, f"{place}.keys[{index}]")]
        found[scope] = Requirement(place, scope, kind, keys, lookaside)
    return list(found.values())


def _scope(text: str, where: str) -> str:
    host, *path = text.split("/")
    right = "use registry.example.com, registry.example.com/team or *.example.com"
    if host.startswith("*."):
        problem = dns_problem(host[2:])
        if problem or path:
            raise HoldfastError(f"{where}: {text!r} {problem or 'has a path'}; {right}")
        return text
    if host in _HUB_NAMES:
        raise HoldfastError(f"{where}: {text!r} never matches; use docker.io, or docker.io/library/NAME")
    if "." not in host and ":" not in host and host != "localhost":
        raise HoldfastError(f"{where}: {text!r} does not begin with a registry; {right}")
    parse_endpoint(host, parameter=where)
    for part in path:
        if not _PATH.fullmatch(part):
            raise HoldfastError(f"{where}: {part!r} in {text!r} cannot be part of a repository's name; {right}, without a tag or digest")
    return text


def _keys(kind: str, text: str, where: str) -> list[bytes]:
    """The keys in a text: for sigstore as PEM, as which they are kept; for GPG as the bytes of a keyring."""
    wanted = _GPG if kind == "gpg" else _PUBLIC
    blocks = _BLOCK.findall(text.replace("\r\n", "\n"))
    if "PRIVATE KEY" in text:
        raise HoldfastError(f"{where}: is a private key, which must stay with whoever signs; use the public one ({'cosign.pub' if kind != 'gpg' else wanted})")
    if not blocks or any(label != wanted for label, _content in blocks):
        raise HoldfastError(f"{where}: is not a public key for type {kind}; use its text, from -----BEGIN {wanted}----- on")
    decoded = [_decoded(content, where) for _label, content in blocks]
    if kind == "gpg":
        return decoded
    if any(not _is_sequence(key) for key in decoded):
        raise HoldfastError(f"{where}: is damaged; use the public key as cosign or openssl has written it")
    lines = [base64.encodebytes(key).decode("ascii").replace("\n", "") for key in decoded]
    return [_pem(line) for line in lines]


def _decoded(content: str, where: str) -> bytes:
    # In an armoured block, headers come before a blank line, and a checksum after the data.
    body = content.split("\n\n", 1)[-1] if re.match(r"[A-Za-z]+: |\n", content) else content
    lines = [line.strip() for line in body.splitlines() if not line.startswith("=")]
    try:
        return base64.b64decode("".join(lines), validate=True)
    except (binascii.Error, ValueError):
        raise HoldfastError(f"{where}: is damaged; use the public key as its program has written it") from None


def _is_sequence(der: bytes) -> bool:
    """Whether this is one whole ASN.1 sequence, as a public key is."""
    if len(der) < 2 or der[0] != 0x30:
        return False
    if der[1] < 0x80:
        return len(der) == 2 + der[1]
    count = der[1] & 0x7F
    return count <= 2 and len(der) == 2 + count + int.from_bytes(der[2 : 2 + count], "big")


def _pem(line: str) -> bytes:
    body = "\n".join(line[start : start + 64] for start in range(0, len(line), 64))
    return f"-----BEGIN {_PUBLIC}-----\n{body}\n-----END {_PUBLIC}-----\n".encode("ascii")


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode("ascii")
