# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A storage in an S3 store as a survey reads it: from the store's lists, so that links need no request of their own.

A layer's or manifest's link says nothing that its name does not say. What a tag names is read.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from registry_keeper.s3.client import Answer
from registry_keeper.s3.objects import Item, Objects
from registry_keeper.storage.layout import ALGORITHMS, Layout, digest_of, is_digest, thing_of
from registry_keeper.storage.reading import Written

TREE = Layout("")
_UPLOADS = "/_uploads/"
_BATCH = 1000  # tags and manifests, of some kilobytes each


@dataclasses.dataclass
class Repository:
    """What the list has of one repository. A tag has its link, and those that say what it has been."""

    layers: dict[bytes, Item] = dataclasses.field(default_factory=dict)
    revisions: dict[bytes, Item] = dataclasses.field(default_factory=dict)
    tags: dict[str, Item] = dataclasses.field(default_factory=dict)
    history: dict[str, dict[bytes, Item]] = dataclasses.field(default_factory=dict)


PUSHED = "x-amz-meta-holdfast-pushed"  # seconds since 1970, as plugins/module_utils/_move/store.py writes it


class Listing:
    """What was in the store when it was listed; `Reader` of a survey."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[bytes, Item] = {}
        self.uploads: dict[str, float] = {}  # with when something of each was written last
        self._digests: dict[str, str | None] = {}
        self._pushed: dict[str, float] = {}
        self._manifests: dict[str, Answer | None] = {}
        self._unlisted: dict[str, Written | None] = {}

    @classmethod
    def whole(cls, objects: Objects, version: int = 2, blobs: bool = True) -> Listing:
        """List everything. Raises StoreError."""
        found = cls(objects)
        for name, item in objects.list(f"{TREE.repositories}/", version):
            found.add(name, item)
        if blobs:
            for name, item in objects.list(f"{TREE.blobs}/", version):
                found.add(name, item)
        return found

    @classmethod
    def of(cls, objects: Objects, repository: str, version: int = 2) -> Listing:
        """List one repository, without those below it. Raises StoreError."""
        found = cls(objects)
        for name, item in objects.list(f"{TREE.repository(repository)}/_", version):
            found.add(name, item)
        return found

    def add(self, name: str, item: Item) -> None:
        """An object of a list."""
        kind, repository, thing = thing_of(name)
        if isinstance(thing, str):
            self._repository(repository).tags[thing] = item
        elif kind and len(thing) not in ALGORITHMS.values():
            return
        elif kind == "blobs":
            self.blobs[thing] = item
        elif kind == "layers":
            self._repository(repository).layers[thing] = item
        elif kind == "revisions":
            self._repository(repository).revisions[thing] = item
        elif (upload := upload_of(name)) is not None:
            self.uploads[upload] = max(self.uploads.get(upload, 0.0), item.modified)
        else:
            self._add_history(name, item)

    def _add_history(self, name: str, item: Item) -> None:
        """A link such as repositories/NAME/_manifests/tags/TAG/index/sha256/HEX/link."""
        parts = name.split("/")
        if (
            len(parts) > 11
            and parts[-1] == "link"
            and parts[-4] == "index"
            and parts[-7:-5] == ["_manifests", "tags"]
            and is_digest(f"{parts[-3]}:{parts[-2]}")
        ):
            self._repository("/".join(parts[4:-7])).history.setdefault(parts[-5], {})[bytes.fromhex(parts[-2])] = item

    def _repository(self, name: str) -> Repository:
        return self.repositories.setdefault(name, Repository())

    def get(self, name: str) -> Repository:
        return self.repositories.get(name) or Repository()

    # --- reading ahead

    def batches(self) -> t.Iterator[list[str]]:
        """All repositories, in parts of which what is read ahead does not take much memory."""
        batch: list[str] = []
        size = 0
        for name in sorted(self.repositories):
            one = self.repositories[name]
            batch.append(name)
            size += len(one.tags) + len(one.revisions)
            if size >= _BATCH:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def read_tags(self, names: t.Iterable[str]) -> None:
        """Read what the tags of repositories name, many at once. Raises StoreError."""
        paths = [f"{TREE.tag(name, tag)}/current/link" for name in names for tag in sorted(self.get(name).tags)]
        for path, answer in self._objects.several([path for path in paths if path not in self._digests]):
            self._note(path, answer)

    def read_ahead(self, names: t.Collection[str]) -> None:
        """Read what surveys of repositories will ask for: tags, and then manifests, since a push writes its tag last. Raises StoreError.

        What was read ahead before is forgotten.
        """
        self.read_tags(names)
        self._manifests = dict(self._objects.several(sorted({TREE.data(digest_of(key)) for name in names for key in self.get(name).revisions})))

    # --- Reader

    def changed(self, _tree: Layout, _name: str) -> tuple[int, ...]:
        return ()

    def subdirectories(self, path: str) -> list[str]:
        """Of the directory of a repository's tags, which is the only one that a survey asks for."""
        found = self.get(_repository_of(path))
        return sorted({*found.tags, *found.history})

    def links(self, directory: str) -> t.Iterator[tuple[bytes, str, Written | None]]:
        found = self.get(_repository_of(directory))
        if directory.endswith("/index"):
            entries = found.history.get(directory.split("/")[-2], {})
        else:
            entries = found.layers if directory.endswith("/_layers") else found.revisions
        by_size = {size: name for name, size in ALGORITHMS.items()}
        for key, item in entries.items():
            yield key, f"{directory}/{by_size[len(key)]}/{key.hex()}/link", Written(int(item.modified * 1e9), item.size)

    def settled(self, path: str) -> tuple[str | None, float | None]:
        item = self.get(_repository_of(path)).tags.get(path.split("/")[-3])
        if item is None:
            return None, None
        digest = self.digest(path)
        # Removed since it was listed?
        return (digest, item.modified) if digest is not None or self._objects.head(path) is not None else (None, None)

    def digest(self, path: str) -> str | None:
        if path not in self._digests:
            self._note(path, self._objects.get(path))
        return self._digests[path]

    def _note(self, path: str, answer: Answer | None) -> None:
        content = answer.content.decode("ascii", "replace").strip() if answer else ""
        self._digests[path] = content if is_digest(content) else None
        with contextlib.suppress(ValueError):
            self._pushed[path] = float(answer.headers.get(PUSHED, "") if answer else "")

    def unlisted(self, path: str) -> Written | None:
        """The link of a manifest that a tag or an index names: a list may lack it (known_tags.py)."""
        if path not in self._unlisted:
            item = self._objects.head(path)
            self._unlisted[path] = None if item is None else Written(int(item.modified * 1e9), item.size)
        return self._unlisted[path]

    @property
    def found_unlisted(self) -> dict[str, float]:
        """The links that were found so, with when they were written."""
        return {path: written.moment / 1e9 for path, written in self._unlisted.items() if written is not None}

    def pushed(self, path: str) -> float:
        """When a tag of the list was pushed: migrate.yml notes it on the tags that it writes. The registry's own say it by their time."""
        self.digest(path)
        item = self.get(_repository_of(path)).tags[path.split("/")[-3]]
        return min(item.modified, self._pushed.get(path, item.modified))

    def modified(self, path: str) -> float:
        """A store does not say when something went: it may always have been just now. The record of earlier runs tells (mark.py)."""
        return float("inf")

    def content(self, path: str) -> bytes:
        answer = self._manifests[path] if path in self._manifests else self._objects.get(path)
        if answer is None:
            raise FileNotFoundError(path)
        return answer.content


def upload_of(name: str) -> str | None:
    """The upload that an object belongs to, such as docker/registry/v2/repositories/NAME/_uploads/UUID/; None for any other object."""
    repository, found, rest = name.partition(_UPLOADS)
    upload, below, _file = rest.partition("/")
    if not found or not upload or not below or not repository.startswith(f"{TREE.repositories}/"):
        return None
    return f"{repository}{_UPLOADS}{upload}/"


def _repository_of(path: str) -> str:
    for part in ("/_manifests", "/_layers"):
        if part in path:
            return path[: path.index(part)][len(TREE.repositories) + 1 :]
    return ""
