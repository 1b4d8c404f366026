# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names of images: REGISTRY/REPOSITORY:TAG and REGISTRY/REPOSITORY@DIGEST."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint

_COMPONENT = r"[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io")


class ImageName(t.NamedTuple):
    """An image of a repository, by a tag or by a digest; the other one is an empty string."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def reference(self) -> str:
        return self.digest or self.tag

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}{'@' if self.digest else ':'}{self.reference}"


def parse_image(text: str, place: str, *, by_digest: bool) -> ImageName:
    """Read the name of an image. place is the parameter for messages. Without by_digest it has to be a tag."""
    registry, slash, rest = text.partition("/")
    example = "registry.example.com/team/app:1.4" + (" or registry.example.com/team/app@sha256:..." if by_digest else "")
    if not slash or not ("." in registry or ":" in registry or registry == "localhost"):
        raise HoldfastError(f"{place}: {text!r} does not begin with the name of a registry; use {example}")
    parse_endpoint(registry, parameter=place)
    rest, at, digest = rest.partition("@")
    repository, colon, tag = rest.partition(":")
    if at and (colon or not by_digest):
        raise HoldfastError(f"{place}: {text!r} must name a tag{' or a digest, not both' if by_digest else ', not a digest'}; use {example}")
    if not at and not colon:
        raise HoldfastError(f"{place}: {text!r} names no tag; use {example}")
    check_repository(repository, place)
    if colon and not _TAG.fullmatch(tag):
        raise HoldfastError(f"{place}: {tag!r} is not a tag: letters, digits, '.', '_' and '-', the first a letter, a digit or '_', at most 128")
    if at:
        check_digest(digest, place)
    if registry in _HUB:
        registry, repository = _HUB[0], repository if "/" in repository else f"library/{repository}"
    return ImageName(registry, repository, tag, digest)


def check_repository(name: str, place: str) -> None:
    """Refuse what cannot be the name of a repository."""
    if not _REPOSITORY.fullmatch(name) or len(name) > 255:
        raise HoldfastError(f"{place}: {name!r} is not the name of a repository, such as team/app: small letters, digits, and '.', '_' and '-' between them")


def check_digest(digest: str, place: str) -> None:
    """Refuse what is not a SHA-256 digest."""
    if not _DIGEST.fullmatch(digest):
        raise HoldfastError(f"{place}: {digest!r} is not a digest; use sha256: and 64 digits 0-9 and a-f")


def is_digest(text: t.Any) -> bool:
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


def api_host(registry: str) -> str:
    """Where the API of a registry is."""
    return _HUB[-1] if registry in _HUB else registry
