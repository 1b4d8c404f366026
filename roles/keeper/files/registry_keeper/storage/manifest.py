# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a manifest refers to."""

from __future__ import annotations

import json
import typing as t

from registry_keeper.storage.layout import is_digest, key_of


class References(t.NamedTuple):
    """Digests in their compact form: what a manifest needs, what it is about (a referrer's subject), and what of it may be elsewhere."""

    needed: tuple[bytes, ...]
    subject: bytes | None
    elsewhere: frozenset[bytes] = frozenset()


class NotAManifest(ValueError):
    """The content is no manifest: cut short by a power cut, or damaged."""


def parse(content: bytes) -> References:
    """The references of a manifest or index of any type. Raises NotAManifest.

    All descriptors count, wherever they are: a type that is not known yet must not lose what it needs. Annotations do not: they are
    text that people and builders write. Layers with URLs are fetched from there,
    and an index may list platforms that nobody has pushed.
    """
    try:
        document = json.loads(content)
    except ValueError as error:  # also where it is not UTF-8
        raise NotAManifest(str(error)) from error
    if not isinstance(document, dict):
        raise NotAManifest("not an object")
    needed: dict[bytes, None] = {}
    elsewhere = set()
    pending: list[tuple[t.Any, bool]] = [(value, name == "manifests") for name, value in document.items() if name not in ("subject", "annotations")]
    while pending:
        value, optional = pending.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in ("digest", "blobSum") and is_digest(inner):
                    key = key_of(inner)
                    needed[key] = None
                    if optional or value.get("urls"):
                        elsewhere.add(key)
                elif name != "annotations" and isinstance(inner, (dict, list)):
                    pending.append((inner, optional))
        elif isinstance(value, list):
            pending.extend((inner, optional) for inner in value)
    subject = document.get("subject")
    about = subject.get("digest") if isinstance(subject, dict) else None
    return References(tuple(needed), key_of(str(about)) if is_digest(about) else None, frozenset(elsewhere))
