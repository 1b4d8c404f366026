# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tree that a registry stores, docker/registry/v2: where things are, and walks through it.

All walks are tolerant: a registry writes and deletes meanwhile, and a power cut leaves empty links. Digests are strings such as
"sha256:0123...", as in manifests; key_of() has the compact form for large sets.
"""

from __future__ import annotations

import binascii
import os
import re
import typing as t

from registry_keeper.errors import USAGE, KeeperError

ALGORITHMS = {"sha256": 32, "sha384": 48, "sha512": 64}  # bytes
_ALGORITHM_OF = {size: name for name, size in ALGORITHMS.items()}
ROOT = "docker/registry/v2"  # below the storage
DIGEST = re.compile(r"(sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})")
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_LONGEST_LINK = 200


def is_digest(text: t.Any) -> bool:
    """Whether it is a digest that a registry stores under."""
    return isinstance(text, str) and DIGEST.fullmatch(text) is not None


def key_of(digest: str) -> bytes:
    """A digest in its compact form: the bytes of the hash, whose number tells the algorithm."""
    return binascii.unhexlify(digest.partition(":")[2])


def digest_of(key: bytes) -> str:
    """The digest of a compact form."""
    return f"{_ALGORITHM_OF[len(key)]}:{key.hex()}"


class Layout:
    """Paths of one storage, and walks."""

    def __init__(self, storage: str) -> None:
        self.storage = storage
        self.root = os.path.join(storage, ROOT)
        self.blobs = os.path.join(self.root, "blobs")
        self.repositories = os.path.join(self.root, "repositories")

    def relative(self, path: str) -> str:
        """A path of this class, relative to the storage. It is asked for so often that os.path.relpath() took most of a sweep's time."""
        return f"{ROOT}{path[len(self.root) :]}"

    def repository(self, name: str) -> str:
        return os.path.join(self.repositories, name)

    def blob(self, digest: str) -> str:
        """The directory of a blob; its content is the file data in it."""
        algorithm, _colon, name = digest.partition(":")
        return f"{self.blobs}/{algorithm}/{name[:2]}/{name}"

    def data(self, digest: str) -> str:
        return self.blob(digest) + "/data"

    def layer(self, repository: str, digest: str) -> str:
        """The directory of a layer link; its content is the file link in it."""
        return f"{self.repositories}/{repository}/_layers/{digest.replace(':', '/', 1)}"

    def revisions(self, repository: str) -> str:
        return f"{self.repositories}/{repository}/_manifests/revisions"

    def revision(self, repository: str, digest: str) -> str:
        """The directory of a manifest's link: without link in it, the registry does not have that manifest in this repository."""
        return f"{self.revisions(repository)}/{digest.replace(':', '/', 1)}"

    def tag(self, repository: str, tag: str) -> str:
        """The directory of a tag: current/link says which manifest it is, index/ALGORITHM/HEX/link which ones it has been."""
        return f"{self.repositories}/{repository}/_manifests/tags/{tag}"

    def uploads(self, repository: str) -> str:
        return f"{self.repositories}/{repository}/_uploads"

    def walk_repositories(self) -> t.Iterator[str]:
        """The names of all repositories, sorted within each directory. A repository is what has _manifests, _layers or _uploads."""
        pending = [""]
        while pending:
            name = pending.pop()
            below = subdirectories(self.repository(name) if name else self.repositories)
            if name and any(child in ("_manifests", "_layers", "_uploads") for child in below):
                yield name
            pending.extend(f"{name}/{child}" if name else child for child in sorted(below, reverse=True) if not child.startswith("_"))

    def walk_tags(self, repository: str) -> t.Iterator[tuple[str, str | None]]:
        """Each tag, with the digest it names; None where its link is missing, empty or not a digest."""
        for tag in sorted(subdirectories(f"{self.repositories}/{repository}/_manifests/tags")):
            yield tag, read_link(f"{self.tag(repository, tag)}/current/link")

    def walk_revisions(self, repository: str) -> t.Iterator[str]:
        """The digests of the manifests that a repository has a directory for, with a link in it or not."""
        return walk_digests(self.revisions(repository))

    def walk_layers(self, repository: str) -> t.Iterator[str]:
        """The digests that a repository has a layer directory for, with a link in it or not."""
        return walk_digests(f"{self.repositories}/{repository}/_layers")

    def walk_blobs(self) -> t.Iterator[str]:
        """The digests of all blobs' directories, complete or not."""
        for algorithm, size in ALGORITHMS.items():
            for two in subdirectories(f"{self.blobs}/{algorithm}"):
                for name in subdirectories(f"{self.blobs}/{algorithm}/{two}"):
                    if len(name) == 2 * size and is_digest(f"{algorithm}:{name}"):
                        yield f"{algorithm}:{name}"


def thing_of(relative: str) -> tuple[str, str, bytes | str]:
    """What a path below the storage is: its kind, repository, and digest in its compact form.

    The kinds are blobs, layers, revisions, and tags, which have their name in place of a digest; or nothing for what the keeper does not know.
    """
    parts = relative.split("/")[3:]
    try:
        if parts[0] == "blobs" and parts[-1] == "data":
            return "blobs", "", bytes.fromhex(parts[3])
        if parts[0] == "repositories" and parts[-1] == "link" and parts[-4] == "_layers":
            return "layers", "/".join(parts[1:-4]), bytes.fromhex(parts[-2])
        if parts[0] == "repositories" and parts[-1] == "link" and parts[-4:-2] == ["revisions", parts[-3]] and parts[-5] == "_manifests":
            return "revisions", "/".join(parts[1:-5]), bytes.fromhex(parts[-2])
        if parts[0] == "repositories" and parts[-2:] == ["current", "link"] and parts[-5:-3] == ["_manifests", "tags"]:
            return "tags", "/".join(parts[1:-5]), parts[-3]
    except (IndexError, ValueError):
        pass  # an upload, or something that the keeper does not know
    return "", "", b""


def refuse_mirror(storage: str) -> None:
    """Raise KeeperError where the storage is a pull-through cache's: the registry keeps in a file there when each thing expires.

    Most of what a mirror has was pulled by its digest, so no tag needs it, and taken away it would be fetched again.
    """
    if os.path.exists(os.path.join(storage, "scheduler-state.json")):
        raise KeeperError(f"{storage}: is a mirror's, which removes by itself what it has had for long enough", USAGE)


def walk_digests(directory: str) -> t.Iterator[str]:
    """Digests from directories ALGORITHM/HEX."""
    for algorithm in ALGORITHMS:
        for name in subdirectories(f"{directory}/{algorithm}"):
            if is_digest(f"{algorithm}:{name}"):
                yield f"{algorithm}:{name}"


def subdirectories(path: str) -> list[str]:
    """The names of the directories in a directory; none where it does not exist (any more). Raises KeeperError for a symbolic link in it."""
    names = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    names.append(entry.name)
                elif entry.is_symlink() and not entry.is_file():
                    refuse_symbolic_link(entry.path)
    except (FileNotFoundError, NotADirectoryError):
        refuse_symbolic_link(path)
        return []
    return names


def refuse_symbolic_link(path: str) -> None:
    """Raise KeeperError for a symbolic link in place of a directory.

    The registry serves what is behind it, and a collection that did not see it, or saw nothing since its disk is not mounted, would take its layers.
    """
    if os.path.islink(path):
        raise KeeperError(
            f"{path}: is a symbolic link, which the registry follows and the keeper does not, since it moves things within one file system; "
            "move what it leads to into its place, or the whole storage to where it leads"
        )


def read_link(path: str) -> str | None:
    """The digest that a link file has; None where it is missing, empty or something else."""
    try:
        with open(path, "rb") as file:
            content = file.read(_LONGEST_LINK).decode("ascii", "replace").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return content if is_digest(content) else None
