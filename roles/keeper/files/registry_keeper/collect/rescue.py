# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look again, and bring back from the quarantine what is needed after all."""

from __future__ import annotations

import os
import typing as t

from registry_keeper.collect.mark import Index, Mark
from registry_keeper.collect.quarantine import Run
from registry_keeper.storage.layout import Layout, digest_of, key_of, read_link
from registry_keeper.storage.survey import Cache, Rules, Survey, subject_of, survey


class Rescue:
    """Brings things back, and counts them."""

    def __init__(self, tree: Layout, index: Index, mark: Mark) -> None:
        self.tree, self.index, self.mark = tree, index, mark
        self.protected: set[bytes] = set(mark.rules.protected)
        self.read: Cache = mark.read
        self.back = 0
        self.blobs_back = 0

    @property
    def rules(self) -> Rules:
        mark = self.mark.rules
        return Rules(mark.now, mark.grace, self.protected, mark.untagged)

    def all(self) -> None:
        """Bring back what a mark has found to be needed, whichever run has it."""
        names = {name for name, one in self.mark.surveys.items() if one.wanted or one.wanted_revisions}
        # A subject that was pushed again brings back what it is signed with.
        names.update(name for name, tags in self.index.tags.items() if any(subject_of(tag) in self.mark.needed for tag in tags))
        for (kind, name, key), _moment in list(self.index.newest.items()):
            # The registry had this link open when it was moved away, and wrote into it: it is a new one.
            if self.link(kind, name, key):
                names.add(name)
        for name in sorted(names):
            self.repository(name)
        for key in [key for key in self.index.blobs if self.is_needed(key)]:
            self.blob(key)

    def is_needed(self, key: bytes) -> bool:
        """Whether somebody needs, links to or has asked for a blob."""
        return key in self.mark.needed or key in self.mark.linked or key in self.protected

    def repository(self, name: str) -> Survey:
        """Look at a repository, until nothing that it needs is in the quarantine. Returns what it needs now."""
        while True:
            one = survey(self.tree, name, self.rules, self.index.quarantined(name), self.read)
            back = [self.link("revisions", name, key) for key in one.wanted_revisions]
            back += [self.link("layers", name, key) for key in one.wanted]
            back += [self.tag(name, tag) for tag in list(self.index.tags.get(name, {})) if subject_of(tag) in one.needed]
            self.mark.needed |= one.needed
            self.mark.linked |= one.linked
            for key in one.needed:
                if key in self.index.blobs:
                    self.blob(key)
            if not any(back):
                return one

    def link(self, kind: str, name: str, key: bytes) -> bool:
        """Bring back a link: kind is "layers" or "revisions". False where it is not in the quarantine, or one is in its place."""
        entries = (self.index.layers if kind == "layers" else self.index.revisions).get(name, {})
        run = entries.pop(key, None)
        self.index.newest.pop((kind, name, key), None)
        if run is None or not self._is_there(key):
            return False
        self.mark.linked.add(key)
        if key in self.index.blobs:
            self.blob(key)
        done = run.put_back(link_path(self.tree, kind, name, key))
        self.back += done
        return done

    def _is_there(self, key: bytes) -> bool:
        """Whether the content is there, or in the quarantine: what somebody has removed for good has taken what named it along."""
        return key in self.index.blobs or os.path.exists(self.tree.data(digest_of(key)))

    def tag(self, name: str, tag: str) -> bool:
        """Bring back a tag, if what it names can come back as well."""
        run = self.index.tags.get(name, {}).pop(tag, None)
        if run is None:
            return False
        digest = read_link(run.place(os.path.relpath(self.tree.tag(name, tag), self.tree.storage)) + "/current/link")
        if digest is None or not self._is_there(key_of(digest)):
            return False
        done = put_back_tag(run, os.path.relpath(self.tree.tag(name, tag), self.tree.storage))
        self.back += done
        return done

    def blob(self, key: bytes) -> bool:
        """Bring back a blob."""
        run = self.index.blobs.pop(key, None)
        if run is None:
            return False
        done = run.put_back(blob_path(self.tree, key))
        self.blobs_back += done
        return done

    def asked_for(self, keys: t.Iterable[bytes]) -> None:
        """Clients have asked for these: whatever has been taken of them comes back."""
        new = [key for key in keys if key not in self.protected]
        self.protected.update(new)
        for key in new:
            if key in self.index.blobs:
                self.blob(key)
        if new:
            wanted = set(new)
            for kind, every in (("revisions", self.index.revisions), ("layers", self.index.layers)):
                for name, entries in every.items():
                    for key in wanted & entries.keys():
                        self.link(kind, name, key)


def put_back_tag(run: Run, directory: str) -> bool:
    """Bring back a tag, of which its link was taken, or the whole directory. False where the tag has been set again, which stays."""
    if os.path.isdir(os.path.join(run.storage, directory)):
        return run.put_back(f"{directory}/current/link")
    return run.put_back(directory)


def link_path(tree: Layout, kind: str, name: str, key: bytes) -> str:
    """Where a link is, relative to the storage."""
    directory = tree.layer(name, digest_of(key)) if kind == "layers" else tree.revision(name, digest_of(key))
    return tree.relative(directory) + "/link"


def blob_path(tree: Layout, key: bytes) -> str:
    """Where a blob's content is, relative to the storage."""
    return tree.relative(tree.data(digest_of(key)))


def take(run: Run, index: Index, tree: Layout, kind: str, name: str, key: bytes) -> bool:
    """Take a link; False where it has gone already."""
    if not run.take(link_path(tree, kind, name, key)):
        return False
    (index.layers if kind == "layers" else index.revisions).setdefault(name, {})[key] = run
    return True
