# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read what trusting a certificate takes from its DER encoding, with nothing but Python's standard library."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

_BOOLEAN, _OCTET_STRING, _OID = 0x01, 0x04, 0x06
_UTF8_STRING, _SEQUENCE, _SET = 0x0C, 0x30, 0x31
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS = 0xA0, 0xA3

_BASIC_CONSTRAINTS, _EXTENDED_KEY_USAGE = bytes.fromhex("551d13"), bytes.fromhex("551d25")
_CLIENT_AUTH = bytes.fromhex("2b06010505070302")
_ATTRIBUTES = {
    bytes.fromhex("550403"): "CN",
    bytes.fromhex("550405"): "serialNumber",
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
    bytes.fromhex("0992268993f22c640119"): "DC",
}
# The string types a name may be written in: UTF8, Printable, Teletex, IA5, Visible, Universal and BMP.
_ENCODINGS = {0x0C: "utf-8", 0x13: "latin-1", 0x14: "latin-1", 0x16: "latin-1", 0x1A: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}


@dataclasses.dataclass(frozen=True)
class Certificate:
    """An X.509 certificate. subject_hash is what OpenSSL names the links in a certificate directory after.

    is_for_clients: no extended key usage forbids to log in to a server with it.
    """

    der: bytes
    subject: str
    subject_hash: str
    not_after: datetime.datetime
    is_ca: bool
    is_for_clients: bool

    @property
    def fingerprint_sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()


class _Element(t.NamedTuple):
    tag: int
    value: bytes


def read_certificate(der: bytes) -> Certificate:
    """Read one certificate. Raises HoldfastError, and nothing else, when the bytes are not exactly one."""
    try:
        return _read_certificate(der)
    except (ValueError, OverflowError) as error:
        raise HoldfastError(f"is not a valid X.509 certificate: {error}") from error


def _read_certificate(der: bytes) -> Certificate:
    outer = _elements(_only(der, _SEQUENCE))
    body = list(_elements(_next(outer, _SEQUENCE)))
    if body and body[0].tag == _VERSION:
        body.pop(0)
    fields = iter(body)
    next(fields, None)  # serial number
    _next(fields, _SEQUENCE)  # signature algorithm
    _next(fields, _SEQUENCE)  # issuer
    validity = _elements(_next(fields, _SEQUENCE))
    _next(validity, _UTC_TIME, _GENERALIZED_TIME)
    not_after = _time(next(validity, None))
    subject = _next(fields, _SEQUENCE)
    _next(fields, _SEQUENCE)  # public key
    extensions = _extensions(next((field.value for field in fields if field.tag == _EXTENSIONS), None))
    name = _name(subject)
    return Certificate(
        der=bytes(der),
        subject=", ".join("+".join(f"{_ATTRIBUTES.get(oid, _dotted(oid))}={_display(value)}" for oid, value in part) for part in name) or "(no subject)",
        subject_hash=_subject_hash(name),
        not_after=not_after,
        is_ca=_is_ca(extensions.get(_BASIC_CONSTRAINTS)),
        is_for_clients=_is_for_clients(extensions.get(_EXTENDED_KEY_USAGE)),
    )


def _elements(data: bytes) -> t.Iterator[_Element]:
    """The elements one after the other in data, which they must fill exactly."""
    position = 0
    while position < len(data):
        if len(data) - position < 2:
            raise ValueError("it is cut short")
        tag, length = data[position], data[position + 1]
        if tag & 0x1F == 0x1F:
            raise ValueError("it has a tag no certificate has")
        position += 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 4 or len(data) - position < size:
                raise ValueError("it has a length that is not DER")
            length = int.from_bytes(data[position : position + size], "big")
            position += size
        if length > len(data) - position:
            raise ValueError("it is cut short")
        yield _Element(tag, data[position : position + length])
        position += length


def _next(elements: t.Iterator[_Element], *tags: int) -> bytes:
    element = next(elements, None)
    if element is None or element.tag not in tags:
        raise ValueError("it does not have the fields of a certificate")
    return element.value


def _only(data: bytes, tag: int) -> bytes:
    elements = _elements(data)
    value = _next(elements, tag)
    if next(elements, None) is not None:
        raise ValueError("something follows where it should end")
    return value


def _time(element: _Element | None) -> datetime.datetime:
    text = element.value.decode("latin-1") if element else ""
    if element and element.tag == _UTC_TIME and re.fullmatch(r"[0-9]{12}Z", text):
        text = ("19" if text >= "5" else "20") + text
    if not element or element.tag not in (_UTC_TIME, _GENERALIZED_TIME) or not re.fullmatch(r"[0-9]{14}Z", text):
        raise ValueError("its validity is not a UTC time")
    year, *rest = int(text[:4]), *(int(text[start : start + 2]) for start in range(4, 14, 2))
    return datetime.datetime(year, *rest, tzinfo=datetime.timezone.utc)


def _name(data: bytes) -> list[list[tuple[bytes, _Element]]]:
    """The parts of a name: each a set of attributes, each an object identifier and its value."""
    parts = []
    for part in _elements(data):
        if part.tag != _SET:
            raise ValueError("it has a malformed subject")
        attributes = []
        for attribute in _elements(part.value):
            fields = _elements(attribute.value)
            oid, value = _next(fields, _OID), next(fields, None)
            if attribute.tag != _SEQUENCE or value is None or not oid:
                raise ValueError("it has a malformed subject")
            attributes.append((oid, value))
        parts.append(attributes)
    return parts


def _display(value: _Element) -> str:
    text = value.value.decode(_ENCODINGS.get(value.tag, "latin-1"), errors="replace")
    text = "".join(character if character.isprintable() else "?" for character in text)
    return re.sub(r'([,+"\\<>;=])', r"\\\1", text)


def _dotted(oid: bytes) -> str:
    numbers, number = [], 0
    for byte in oid:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(number)
            number = 0
    first = min(numbers[0] // 40, 2) if numbers else 0
    return ".".join(str(number) for number in [first, *(numbers[:1] and [numbers[0] - 40 * first]), *numbers[1:]])


def _subject_hash(name: list[list[tuple[bytes, _Element]]]) -> str:
    """The hash OpenSSL finds a subject by: over the name in UTF-8, in lower case, with white space collapsed."""
    canonical = b"".join(
        _encode(_SET, b"".join(sorted(_encode(_SEQUENCE, _encode(_OID, oid) + _canonical(value)) for oid, value in attributes))) for attributes in name
    )
    digest = hashlib.sha1(canonical, usedforsecurity=False).digest()
    return format(int.from_bytes(digest[:4], "little"), "08x")


def _canonical(value: _Element) -> bytes:
    if value.tag not in _ENCODINGS:
        return _encode(value.tag, value.value)
    text = value.value.decode(_ENCODINGS[value.tag]).encode("utf-8")
    return _encode(_UTF8_STRING, re.sub(rb"[ \t\n\v\f\r]+", b" ", text).strip(b" ").lower())


def _encode(tag: int, value: bytes) -> bytes:
    length = len(value)
    if length < 0x80:
        return bytes([tag, length]) + value
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(octets)]) + octets + value


def _extensions(data: bytes | None) -> dict[bytes, bytes]:
    """The value of each extension by its object identifier."""
    found: dict[bytes, bytes] = {}
    for extension in _elements(_only(data, _SEQUENCE)) if data is not None else ():
        fields = list(_elements(extension.value))
        if len(fields) < 2 or fields[0].tag != _OID or fields[-1].tag != _OCTET_STRING:
            raise ValueError("it has a malformed extension")
        found.setdefault(fields[0].value, fields[-1].value)
    return found


def _is_ca(constraints: bytes | None) -> bool:
    if constraints is None:
        return False
    ca = next(_elements(_only(constraints, _SEQUENCE)), None)
    return ca is not None and ca.tag == _BOOLEAN and ca.value not in (b"", b"\0")


def _is_for_clients(usages: bytes | None) -> bool:
    return usages is None or _Element(_OID, _CLIENT_AUTH) in _elements(_only(usages, _SEQUENCE))
