# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tree that a registry stores, docker/registry/v2: which paths make images, and what a link has in it."""

from __future__ import annotations

import re
import typing as t

# Below the storage's directory, or the prefix in a bucket. All paths of this package are below it.
ROOT = "docker/registry/v2"
ALGORITHMS = {"sha256": 64, "sha384": 96, "sha512": 128}  # hexadecimal digits
# In the order in which a registry writes them: what is named is there before what names it.
KINDS = ("layer", "revision", "index", "tag")

DIGEST = re.compile(r"(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
_DIGEST_PATH = r"(?:sha256/[0-9a-f]{64}|sha384/[0-9a-f]{96}|sha512/[0-9a-f]{128})"
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*"
_LINK = re.compile(
    rf"repositories/(?P<repository>{_COMPONENT}(?:/{_COMPONENT})*)/(?:_layers/(?P<layer>{_DIGEST_PATH})|_manifests/revisions/(?P<revision>{_DIGEST_PATH})"
    rf"|_manifests/tags/(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})/(?:current|index/(?P<index>{_DIGEST_PATH})))/link",
    re.ASCII,
)
_BLOB = re.compile(r"blobs/(?P<algorithm>sha(?:256|384|512))/(?P<two>[0-9a-f]{2})/(?P<name>[0-9a-f]+)/data")


class Link(t.NamedTuple):
    """A link: where it is, and the digest that its path says it has. A tag's is empty: only its content says which manifest it names."""

    kind: str
    repository: str
    digest: str


def link_of(path: str) -> Link | None:
    """The link at a path; None for everything else that a storage has, such as uploads under way."""
    found = _LINK.fullmatch(path)
    if not found:
        return None
    for kind in ("layer", "revision", "index"):
        if found[kind]:
            return Link(kind, found["repository"], found[kind].replace("/", ":", 1))
    return Link("tag", found["repository"], "")


def blob_of(path: str) -> str | None:
    """The digest of the blob at a path; None for everything else."""
    found = _BLOB.fullmatch(path)
    if not found or len(found["name"]) != ALGORITHMS[found["algorithm"]] or not found["name"].startswith(found["two"]):
        return None
    return f"{found['algorithm']}:{found['name']}"


def blob_path(digest: str) -> str:
    """Where the content of a blob is."""
    algorithm, _colon, name = digest.partition(":")
    return f"blobs/{algorithm}/{name[:2]}/{name}/data"


def digest_in(content: bytes) -> str:
    """The digest that a link has in it; empty where it is something else, as after a power cut."""
    text = content.decode("ascii", "replace").strip()
    return text if DIGEST.fullmatch(text) else ""
