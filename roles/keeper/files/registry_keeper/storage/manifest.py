# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a manifest refers to."""

from __future__ import annotations

import hashlib
import json
import re
import typing as t

from registry_keeper.storage.layout import digest_of, is_digest, key_of

# As the registry's Go reads JSON: integers are of any length, and a key may be there twice. So an object is a tuple of pairs.
_DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_int=float)
_DEEPEST = 100  # no registry knows a descriptor that is nested deeper
_BRACKET = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[][{}]', re.DOTALL)


class References(t.NamedTuple):
    """Digests in their compact form: what a manifest needs, what it is about (a referrer's subject), and what of it may be elsewhere."""

    needed: tuple[bytes, ...]
    subject: bytes | None
    elsewhere: frozenset[bytes] = frozenset()


class NotAManifest(ValueError):
    """The content is no manifest: cut short by a power cut, or damaged."""


def parse(content: bytes, key: bytes | None = None) -> References:
    """The references of a manifest or index of any type. Raises NotAManifest, also for what is not what its digest, the key, says.

    All descriptors count, wherever they are: a type that is not known yet must not lose what it needs. Annotations do not: they are
    text that people and builders write. Layers with URLs are fetched from there,
    and an index may list platforms that nobody has pushed.

    Go takes a key in any case, so the registry accepts "Layers" as well, and so does this.
    """
    # A changed bit in a digest leaves a manifest of another image.
    if key is not None and hashlib.new(digest_of(key).partition(":")[0], content).digest() != key:
        raise NotAManifest("is not what its digest says")
    needed: dict[bytes, None] = {}
    elsewhere: set[bytes] = set()
    subject: bytes | None = None
    pending: list[tuple[t.Any, bool]] = []
    for name, value in _read(content):
        field = name.casefold()
        if field == "subject":
            subject = next((key_of(inner) for name, inner in _fields(value) if name.casefold() == "digest" and is_digest(inner)), subject)
        elif field != "annotations":
            pending.append((value, field == "manifests"))
    while pending:
        value, optional = pending.pop()
        if isinstance(value, list):
            pending.extend((inner, optional) for inner in value)
            continue
        digests, urls = [], optional
        for name, inner in _fields(value):
            field = name.casefold()
            if field in ("digest", "blobsum") and is_digest(inner):
                digests.append(key_of(inner))
            elif field != "annotations" and isinstance(inner, (tuple, list)):
                pending.append((inner, optional))
                urls = urls or (field == "urls" and bool(inner))
        needed.update(dict.fromkeys(digests))
        if urls:
            elsewhere.update(digests)
    return References(tuple(needed), subject, frozenset(elsewhere))


def _fields(value: t.Any) -> tuple[tuple[str, t.Any], ...]:
    """The keys and values of an object; none of anything else."""
    return value if isinstance(value, tuple) else ()


def _read(content: bytes) -> tuple[tuple[str, t.Any], ...]:
    text = content.decode("utf-8", "replace")  # as Go does, too
    try:
        try:
            document = _DECODER.decode(text)
        except RecursionError:
            document = _DECODER.decode(_shallow(text))
    except ValueError as error:
        raise NotAManifest(str(error)) from error
    if not isinstance(document, tuple):
        raise NotAManifest("not an object")
    return document


def _shallow(text: str) -> str:
    """JSON with null in place of what is nested so deeply that Python cannot read it. The registry accepts 10,000 levels. Raises ValueError."""
    kept: list[str] = []
    depth = begin = 0
    for found in _BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == _DEEPEST:
                kept += (text[begin : found.start()], "null")
        elif found[0] in ("]", "}"):
            if depth == _DEEPEST:
                begin = found.end()
            depth -= 1
    if depth:
        raise ValueError("brackets are open at the end")
    return "".join(kept) + text[begin:]
