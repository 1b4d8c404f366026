# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""OpenPGP public keys (RFC 9580): their fingerprints, and whether they can still sign.

Signatures are not verified here: a fingerprint from elsewhere says which key is right, and apt verifies with it.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import datetime
import hashlib
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

_ARMOR = re.compile(rb"-----BEGIN PGP ([A-Z ]+)-----\r?\n(.*?)-----END PGP \1-----", re.DOTALL)
_SIGNATURE, _SECRET_KEY, _PUBLIC_KEY, _SECRET_SUBKEY, _PUBLIC_SUBKEY = 2, 5, 6, 7, 14
_ON_USER_OR_KEY = (0x10, 0x11, 0x12, 0x13, 0x1F)
_ON_SUBKEY, _KEY_REVOKED, _SUBKEY_REVOKED = 0x18, 0x20, 0x28
_MADE, _LIFETIME, _ISSUER, _FLAGS, _ISSUER_FINGERPRINT = 2, 9, 16, 27, 33
_MAY_SIGN = 0x02


class _Broken(ValueError):
    """What is no OpenPGP key."""


@dataclasses.dataclass
class Part:
    """A primary key or a subkey. lifetime is in seconds, 0 for ever; flags is None where nothing says what it may do."""

    fingerprint: str
    created: int
    lifetime: int = 0
    flags: int | None = None
    revoked: bool = False
    said_at: int = -1  # when that was said last

    def end(self) -> datetime.datetime | None:
        return datetime.datetime.fromtimestamp(self.created + self.lifetime, datetime.timezone.utc) if self.lifetime else None

    def is_over(self, now: datetime.datetime) -> bool:
        end = self.end()
        return end is not None and end <= now

    @property
    def may_sign(self) -> bool:
        return self.flags is None or bool(self.flags & _MAY_SIGN)


@dataclasses.dataclass
class Key:
    """A key with its subkeys, and the bytes of it all."""

    primary: Part
    subkeys: list[Part] = dataclasses.field(default_factory=list)
    content: bytes = dataclasses.field(default=b"", repr=False)

    @property
    def fingerprint(self) -> str:
        return self.primary.fingerprint

    def problem(self, now: datetime.datetime) -> str:
        """Why it cannot sign any more, or ""."""
        if self.primary.revoked:
            return "is revoked"
        if self.primary.is_over(now):
            return f"expired on {self.primary.end():%Y-%m-%d}"
        signing = [part for part in [self.primary, *self.subkeys] if part.may_sign]
        if not signing:
            return "is not for signing"
        if all(part.revoked or part.is_over(now) for part in signing):
            return "has no subkey for signing that is neither expired nor revoked"
        return ""


def read_keys(content: bytes, parameter: str) -> list[Key]:
    """The keys in a file, in ASCII armor or not. Raises HoldfastError, naming the parameter, for anything but public keys."""
    try:
        keys = _keys(_unarmored(content))
    except (_Broken, IndexError, binascii.Error) as error:
        words = str(error) if isinstance(error, _Broken) else "it is cut short or damaged"
        raise HoldfastError(f"{parameter}: is not an OpenPGP public key: {words}") from None
    if not keys:
        raise HoldfastError(f"{parameter}: is not an OpenPGP public key: there is none in it")
    return keys


def parse_fingerprint(text: str, parameter: str) -> str:
    """A fingerprint as people write it, without blanks and in capitals."""
    found = re.sub(r"[\s:]", "", text).upper()
    if not re.fullmatch(r"(0X)?([0-9A-F]{40}|[0-9A-F]{64})", found):
        raise HoldfastError(f"{parameter}: {text!r} is not the fingerprint of a key: 40 hexadecimal digits, as `gpg --show-keys FILE` prints them")
    return found.removeprefix("0X")


def check(keys: list[Key], fingerprints: list[str], now: datetime.datetime, parameter: str) -> None:
    """Raise HoldfastError unless these are the keys of the fingerprints, and each can sign."""
    for key in keys:
        if key.fingerprint not in fingerprints:
            raise HoldfastError(f"{parameter}: holds the key {key.fingerprint}, which fingerprints does not have; nothing was changed")
        problem = key.problem(now)
        if problem:
            raise HoldfastError(f"{parameter}: the key {key.fingerprint} {problem}; nothing was changed")
    missing = [one for one in fingerprints if one not in {key.fingerprint for key in keys}]
    if missing:
        raise HoldfastError(f"{parameter}: lacks the key {missing[0]} of fingerprints; nothing was changed")


def _unarmored(content: bytes) -> bytes:
    blocks = _ARMOR.findall(content)
    if not blocks:
        if b"-----BEGIN" in content or not content or not content[0] & 0x80:
            raise _Broken("it is neither in ASCII armor (-----BEGIN PGP PUBLIC KEY BLOCK-----) nor binary")
        return content
    found = b""
    for label, body in blocks:
        if label != b"PUBLIC KEY BLOCK":
            raise _Broken(f"it is a {label.decode('ascii').lower()}")
        lines = body.replace(b"\r", b"").split(b"\n")
        start = lines.index(b"") + 1 if b"" in lines[:-1] else 0
        found += base64.b64decode(b"".join(line.strip() for line in lines[start:] if not line.startswith(b"=")), validate=True)
    return found


def _packets(content: bytes) -> t.Iterator[tuple[int, bytes, bytes]]:
    """Kind, body and all bytes of each packet."""
    at = 0
    while at < len(content):
        start, first = at, content[at]
        if not first & 0x80:
            raise _Broken("it is damaged")
        at += 1
        if first & 0x40:
            kind = first & 0x3F
            length, at = _length(content, at)
        else:
            kind, size = (first & 0x3C) >> 2, 1 << (first & 3)
            if size == 8:
                raise _Broken("it is damaged")
            length, at = int.from_bytes(content[at : at + size], "big"), at + size
        if at + length > len(content):
            raise _Broken("it is cut short")
        yield kind, content[at : at + length], content[start : at + length]
        at += length


def _length(content: bytes, at: int) -> tuple[int, int]:
    """A length of a packet or subpacket, and where what follows begins."""
    first = content[at]
    if first < 192:
        return first, at + 1
    if first < 224:
        return ((first - 192) << 8) + content[at + 1] + 192, at + 2
    if first == 255:
        return int.from_bytes(content[at + 1 : at + 5], "big"), at + 5
    raise _Broken("it is damaged")


def _keys(content: bytes) -> list[Key]:
    keys: list[Key] = []
    part: Part | None = None
    for kind, body, whole in _packets(content):
        if kind in (_SECRET_KEY, _SECRET_SUBKEY):
            raise _Broken("it is a private key, which must not leave its owner")
        if kind == _PUBLIC_KEY:
            part = _part(body)
            keys.append(Key(part))
        elif not keys:
            raise _Broken("it does not begin with a key")
        elif kind == _PUBLIC_SUBKEY:
            part = _part(body)
            keys[-1].subkeys.append(part)
        elif kind == _SIGNATURE and part:
            _take_up(body, keys[-1].primary, part)
        keys[-1].content += whole
    return keys


def _part(body: bytes) -> Part:
    if body[0] == 4:
        fingerprint = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body).hexdigest()
    elif body[0] == 6:
        fingerprint = hashlib.sha256(b"\x9b" + len(body).to_bytes(4, "big") + body).hexdigest()
    else:
        raise _Broken(f"it is of version {body[0]}; 4 and 6 are in use")
    return Part(fingerprint.upper(), int.from_bytes(body[1:5], "big"))


def _take_up(body: bytes, primary: Part, part: Part) -> None:
    """What a signature that a key made on itself or on its subkey says of it."""
    if body[0] not in (4, 6):
        return
    kind, size = body[1], 2 if body[0] == 4 else 4
    hashed = int.from_bytes(body[4 : 4 + size], "big")
    unhashed_at = 4 + size + hashed
    said = dict(_subpackets(body[4 + size : unhashed_at]))
    unhashed = int.from_bytes(body[unhashed_at : unhashed_at + size], "big")
    issuers = {**dict(_subpackets(body[unhashed_at + size : unhashed_at + size + unhashed])), **said}
    issuer = issuers.get(_ISSUER_FINGERPRINT, b"\x04")[1:].hex().upper() or issuers.get(_ISSUER, b"").hex().upper()
    if not issuer or not (primary.fingerprint.endswith(issuer) or primary.fingerprint.startswith(issuer)):
        return
    if kind == _KEY_REVOKED:
        primary.revoked = True
    elif kind == _SUBKEY_REVOKED and part is not primary:
        part.revoked = True
    elif (kind in _ON_USER_OR_KEY and part is primary) or (kind == _ON_SUBKEY and part is not primary):
        made = int.from_bytes(said.get(_MADE, b""), "big")
        if made >= part.said_at:
            part.said_at = made
            part.lifetime = int.from_bytes(said.get(_LIFETIME, b""), "big")
            part.flags = said[_FLAGS][0] if said.get(_FLAGS) else None


def _subpackets(area: bytes) -> t.Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(area):
        length, at = _length(area, at) if area[at] < 224 or area[at] == 255 else (((area[at] - 192) << 8) + area[at + 1] + 192, at + 2)
        yield area[at] & 0x7F, area[at + 1 : at + length]
        at += length
