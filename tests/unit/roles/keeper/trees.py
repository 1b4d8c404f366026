# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Storages as a registry writes them, for tests of the keeper."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import sys
import typing as t

PROGRAM = pathlib.Path(__file__).parents[4] / "roles/keeper/files"
if str(PROGRAM) not in sys.path:
    sys.path.insert(0, str(PROGRAM))

from registry_keeper.storage.layout import Layout, digest_of, read_link

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Storage:
    """Does to the disk what a registry (2.8) does."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.tree = Layout(path)
        os.makedirs(self.tree.repositories, exist_ok=True)
        os.makedirs(self.tree.blobs, exist_ok=True)

    def blob(self, content: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        self._write(self.tree.data(digest), content)
        return digest

    def layer(self, repository: str, content: bytes) -> str:
        digest = self.blob(content)
        self.link(repository, digest)
        return digest

    def link(self, repository: str, digest: str) -> None:
        self._write(self.tree.layer(repository, digest) + "/link", digest.encode())

    def manifest(self, repository: str, document: dict[str, t.Any], tag: str | None = None) -> str:
        digest = self.blob(json.dumps(document).encode())
        self._write(self.tree.revision(repository, digest) + "/link", digest.encode())
        if tag is not None:
            self.tag(repository, tag, digest)
        return digest

    def tag(self, repository: str, tag: str, digest: str) -> None:
        directory = self.tree.tag(repository, tag)
        self._write(f"{directory}/index/{digest.replace(':', '/', 1)}/link", digest.encode())
        self._write(f"{directory}/current/link", digest.encode())

    def image(self, repository: str, name: str, tag: str | None = None, layers: int = 2, subject: str | None = None, shared: t.Sequence[bytes] = ()) -> str:
        """An image of its own config and layers, and of layers that others have too."""
        contents = [f"{name} layer {number}".encode() for number in range(layers)] + list(shared)
        described = [{"mediaType": "layer", "digest": self.layer(repository, content), "size": len(content)} for content in contents]
        config = {"mediaType": "config", "digest": self.layer(repository, f"{name} config".encode()), "size": 1}
        document: dict[str, t.Any] = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": described}
        if subject:
            document["subject"] = {"mediaType": MANIFEST, "digest": subject, "size": 1}
        return self.manifest(repository, document, tag)

    def index(self, repository: str, children: t.Sequence[str], tag: str | None = None) -> str:
        described = [{"mediaType": MANIFEST, "digest": digest, "size": 1} for digest in children]
        return self.manifest(repository, {"schemaVersion": 2, "mediaType": INDEX, "manifests": described}, tag)

    def age(self, seconds: float) -> None:
        """Make everything that is there so much older."""
        for directory, _names, files in os.walk(self.tree.root, topdown=False):
            for path in (*(os.path.join(directory, file) for file in files), directory):
                moment = os.stat(path).st_mtime - seconds
                os.utime(path, (moment, moment))

    def untag(self, repository: str, tag: str) -> None:
        import shutil

        shutil.rmtree(self.tree.tag(repository, tag))

    def pull(self, repository: str, reference: str) -> str | None:
        """What a client would find wrong with an image and everything about it; None where it is whole."""
        digest = reference if ":" in reference else read_link(self.tree.tag(repository, reference) + "/current/link")
        if digest is None:
            return f"{repository}:{reference} names nothing"
        if read_link(self.tree.revision(repository, digest) + "/link") != digest:
            return f"{repository}@{digest} has no link"
        content = self.content(digest)
        if content is None:
            return f"{repository}@{digest} has no content, or a wrong one"
        document = json.loads(content)
        for child in document.get("manifests", ()):
            problem = self.pull(repository, child["digest"])
            if problem:
                return problem
        for layer in [*([document["config"]] if "config" in document else []), *document.get("layers", ())]:
            if read_link(self.tree.layer(repository, layer["digest"]) + "/link") != layer["digest"]:
                return f"{repository} has no link to the layer {layer['digest']}"
            if self.content(layer["digest"]) is None:
                return f"the layer {layer['digest']} has no content, or a wrong one"
        return None

    def content(self, digest: str) -> bytes | None:
        try:
            content = pathlib.Path(self.tree.data(digest)).read_bytes()
        except FileNotFoundError:
            return None
        return content if "sha256:" + hashlib.sha256(content).hexdigest() == digest else None

    def tags(self) -> list[tuple[str, str]]:
        return [(repository, tag) for repository in self.tree.walk_repositories() for tag, _digest in self.tree.walk_tags(repository)]

    def files(self) -> dict[str, bytes]:
        """All files of the registry, by path."""
        root = pathlib.Path(self.tree.root)
        return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def _write(self, path: str, content: bytes) -> None:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)


__all__ = ["PROGRAM", "Storage", "digest_of", "read_link"]
