# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a manifest refers to."""

from __future__ import annotations

import json
import typing as t

from registry_keeper.layout import is_digest, key_of


class References(t.NamedTuple):
    """Digests in their compact form: what a manifest needs, and what it is about (a referrer's subject)."""

    needed: tuple[bytes, ...]
    subject: bytes | None


class NotAManifest(ValueError):
    """The content is no manifest: cut short by a power cut, or damaged."""


def parse(content: bytes) -> References:
    """The references of a manifest or index of any type. Raises NotAManifest.

    All descriptors count, wherever they are: a type that is not known yet must not lose what it needs. Annotations do not: they are
    text that people and builders write.
    """
    try:
        document = json.loads(content)
    except ValueError as error:  # also where it is not UTF-8
        raise NotAManifest(str(error)) from error
    if not isinstance(document, dict):
        raise NotAManifest("not an object")
    needed: dict[bytes, None] = {}
    pending: list[t.Any] = [value for name, value in document.items() if name not in ("subject", "annotations")]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                if name in ("digest", "blobSum") and is_digest(inner):
                    needed[key_of(inner)] = None
                elif name != "annotations" and isinstance(inner, (dict, list)):
                    pending.append(inner)
        elif isinstance(value, list):
            pending.extend(value)
    subject = document.get("subject")
    about = subject.get("digest") if isinstance(subject, dict) else None
    return References(tuple(needed), key_of(str(about)) if is_digest(about) else None)
