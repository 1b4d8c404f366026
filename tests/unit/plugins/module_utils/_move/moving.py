# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storages to move from and to, and a run of the program between them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._move import main, tree
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._move.programs import registry_keeper
from ansible_collections.holdfast.registry.tests.unit.plugins.modules.object_store import BUCKET, KEY, SECRET, FakeStore, Stored

ROOT = "docker/registry/v2"
IN_STORE = f"images/{ROOT}"


class Directory:
    """A registry's storage in files."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.root = path / ROOT

    def write(self, path: str, content: str | bytes) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    def blob(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.write(tree.blob_path(digest), content)
        return digest

    def image(self, repository: str, tag: str, layer: bytes = b"a layer") -> str:
        """An image as a registry stores it. Returns the digest of its manifest."""
        at = f"repositories/{repository}"
        digest = self.blob(layer)
        self.write(f"{at}/_layers/{digest.replace(':', '/')}/link", digest)
        manifest = self.blob(json.dumps([repository, digest]).encode())
        self.write(f"{at}/_manifests/revisions/{manifest.replace(':', '/')}/link", manifest)
        self.write(f"{at}/_manifests/tags/{tag}/index/{manifest.replace(':', '/')}/link", manifest)
        self.write(f"{at}/_manifests/tags/{tag}/current/link", manifest)
        return manifest

    def remove_tag(self, repository: str, tag: str) -> None:
        for path in sorted((self.root / f"repositories/{repository}/_manifests/tags/{tag}").rglob("*"), reverse=True):
            path.unlink() if path.is_file() else path.rmdir()
        (self.root / f"repositories/{repository}/_manifests/tags/{tag}").rmdir()

    def contents(self) -> dict[str, bytes]:
        """All blobs and links, by their paths."""
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.name in ("data", "link") and path.is_file()}


@dataclasses.dataclass
class Lab:
    directory: Directory
    store: FakeStore
    tmp: pathlib.Path

    def stored(self) -> dict[str, bytes]:
        return {key[len(IN_STORE) + 1 :]: one.content for key, one in self.store.objects.items()}

    def put(self, path: str, content: bytes) -> None:
        self.store.objects[f"{IN_STORE}/{path}"] = Stored(content, 0)

    def job(self, *, back: bool = False, directory: pathlib.Path | None = None, prefixes: tuple[str, ...] = ("images",), **more: t.Any) -> dict[str, t.Any]:
        """From files to the store, back, or with two prefixes from one to the other."""
        buckets = [self._bucket(prefix) for prefix in prefixes]
        places = buckets if len(buckets) == 2 else [{"directory": str(directory or self.directory.path)}, *buckets]
        source, target = reversed(places) if back else places
        return {"source": source, "target": target, "state": str(self.tmp / f"state-{'back-' if back else ''}{'-'.join(prefixes)}"), **more}

    def _bucket(self, prefix: str) -> dict[str, t.Any]:
        return {
            "endpoint": f"http://127.0.0.1:{self.store.port}",
            "url": f"http://store/{BUCKET}/{prefix}",
            "bucket": BUCKET,
            "prefix": prefix,
            "access_key": KEY,
            "secret_key": SECRET,
            "region": "us-east-1",
            "path_style": True,
            "ca_certificate": "",
            "encrypt": False,
            "key_id": "",
        }

    def keepers_client(self) -> t.Any:
        """The store as registry-keeper asks it."""
        credentials = registry_keeper("s3.signing").Credentials(KEY, SECRET, "us-east-1")
        client = registry_keeper("s3.client")
        return client.Client(client.Bucket(f"http://127.0.0.1:{self.store.port}", BUCKET, "images/", credentials))

    def move(self, phase: str = "finish", status: int = 0, **more: t.Any) -> dict[str, t.Any]:
        """Run the program. Returns what it says at its end."""
        job = self.job(**more)
        (self.tmp / "job.json").write_text(json.dumps(job))
        assert main.main([str(self.tmp / "job.json"), phase]) == status
        found: dict[str, t.Any] = json.loads(pathlib.Path(job["state"], f"{phase}.json").read_text())
        assert SECRET not in str(found)
        return found
