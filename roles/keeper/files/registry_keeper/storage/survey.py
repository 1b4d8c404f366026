# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What one repository needs: from its tags, to manifests, to layers.

Kept are

- what a tag names, if the repository still has that manifest, with everything it refers to;
- referrers (`subject`) of a kept manifest, and what the fallback tags sha256-HEX and cosign's sha256-HEX.sig/.att/.sbom name, as long as
  HEX is kept. A fallback tag whose subject was never in this repository is a tag like any other;
- for the grace period: what was pushed, what clients asked for, what a tag named until lately, and what a deleted manifest refers to.

Everything else is a candidate. Where a manifest that is kept cannot be read, nobody knows what it needs: the repository has no candidates.
"""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from registry_keeper.storage import manifest
from registry_keeper.storage.layout import Layout, digest_of, is_digest, key_of
from registry_keeper.storage.reading import Files, Reader, Written

REMEMBERED = 20_000  # manifests
_FALLBACK = re.compile(r"(sha256|sha384|sha512)-([0-9a-f]{64,128})(\.sig|\.att|\.sbom)?")


def subject_of(tag: str) -> bytes | None:
    """The digest that a fallback tag is named after, in its compact form; None for other tags."""
    match = _FALLBACK.fullmatch(tag)
    digest = f"{match[1]}:{match[2]}" if match else ""
    return key_of(digest) if is_digest(digest) else None


@dataclasses.dataclass(frozen=True)
class Rules:
    """What decides besides the tree. Times are in seconds since 1970, digests in their compact form."""

    now: float
    grace: float
    protected: t.AbstractSet[bytes] = frozenset()
    untagged: t.Mapping[str, t.Mapping[str, float]] = dataclasses.field(default_factory=dict)  # since when earlier runs know it of manifests

    def young(self, moment: float) -> bool:
        return moment > self.now - self.grace


@dataclasses.dataclass
class Quarantined:
    """What runs have taken out of one repository, and where manifests may be that are missing."""

    layers: t.AbstractSet[bytes] = frozenset()
    revisions: t.AbstractSet[bytes] = frozenset()
    trees: tuple[str, ...] = ()


@dataclasses.dataclass
class Survey:
    """What one repository needs, and what it does not. Digests are in their compact form; candidates have their links' time (ns)."""

    repository: str
    needed: set[bytes] = dataclasses.field(default_factory=set)
    elsewhere: set[bytes] = dataclasses.field(default_factory=set)  # of what is needed: no harm where it is not there
    linked: set[bytes] = dataclasses.field(default_factory=set)  # not needed, but its link stays for now
    revisions: dict[bytes, int] = dataclasses.field(default_factory=dict)  # candidates
    layers: dict[bytes, int] = dataclasses.field(default_factory=dict)  # candidates
    tags: dict[str, int] = dataclasses.field(default_factory=dict)  # candidates: fallback tags
    unlinked: set[bytes] = dataclasses.field(default_factory=set)  # layers that have a directory without a link
    unlinked_revisions: set[bytes] = dataclasses.field(default_factory=set)  # manifests that have a directory without a link
    wanted: set[bytes] = dataclasses.field(default_factory=set)  # needed, and only in the quarantine: layers
    wanted_revisions: set[bytes] = dataclasses.field(default_factory=set)  # needed, and in the quarantine: manifests
    unreadable: list[str] = dataclasses.field(default_factory=list)
    broken: list[str] = dataclasses.field(default_factory=list)  # paths of links that are empty or something else
    kept: int = 0  # manifests
    tagged: int = 0
    dangling: int = 0  # tags whose manifest has been deleted
    lately: list[bytes] = dataclasses.field(default_factory=list)  # manifests that a tag may have named until lately
    changed: tuple[int, ...] = ()  # changes when the repository gets a directory that it did not have


class Cache(dict[bytes, manifest.References]):
    """What manifests refer to, by their digest, for one run. Its content never changes, so neither does what it refers to.

    A manifest that cannot be read is not remembered, and is read again each time. Whether its link and its tags are there is never
    remembered: each survey looks. It takes about 1 kB for each manifest. Once it is full it begins anew, so that it has those of the repository at hand.
    """

    def __init__(self, most: float = REMEMBERED) -> None:
        super().__init__()
        self._most = most

    def remember(self, key: bytes, references: manifest.References) -> None:
        """Keep this."""
        if len(self) >= self._most:
            self.clear()
        if self._most > 0:
            self[key] = references


class _Repository:
    """The work on one repository."""

    def __init__(self, tree: Layout, name: str, rules: Rules, quarantined: Quarantined, cache: Cache, reader: Reader) -> None:
        self.tree, self.name, self.rules, self.quarantined, self.cache, self.reader = tree, name, rules, quarantined, cache, reader
        self.survey = Survey(name)
        self.read: dict[bytes, manifest.References] = {}  # in this survey
        self.present: dict[bytes, int] = {}  # manifests with a link, and its time (ns)
        self.deleted: dict[bytes, float] = {}  # manifests without a link, and when it went
        self.kept: set[bytes] = set()
        self.referrers: dict[bytes, list[bytes]] = {}
        self.hold = False

    def run(self) -> Survey:
        survey, base = self.survey, f"{self.tree.repositories}/{self.name}"
        survey.changed = self.reader.changed(self.tree, self.name)
        # Tags are read first, and manifests afterwards: a push writes a manifest and then its tag.
        tags = self._tags()
        for key, path, status in self.reader.links(f"{base}/_manifests/revisions"):
            if status is None:
                self.deleted[key] = self.reader.modified(os.path.dirname(path))
                survey.unlinked_revisions.add(key)
            else:
                self.present[key] = status.moment
                self._check(path, status, key)
        for key in self.present:
            references = self._references(key)
            if references is not None and references.subject is not None:
                self.referrers.setdefault(references.subject, []).append(key)
        self._keep_tagged(tags)
        self._keep_for_now()
        self._keep_fallback()
        self._keep_lately_tagged()
        survey.kept = len(self.kept)
        survey.needed |= self.kept
        for key in self.kept:
            references = self._references(key)
            if references is None:
                self.hold = True
                survey.unreadable.append(digest_of(key))
            else:
                survey.needed.update(references.needed)
                survey.elsewhere.update(references.elsewhere)
        self._sort_candidates(base)
        return survey

    def _tags(self) -> list[tuple[str, bytes, float]]:
        """Each tag with the manifest it names and since when; and what tags named until lately is kept for the grace period."""
        found: list[tuple[str, bytes, float]] = []
        for tag in self.reader.subdirectories(f"{self.tree.repositories}/{self.name}/_manifests/tags"):
            directory = self.tree.tag(self.name, tag)
            path = f"{directory}/current/link"
            digest, since = self.reader.settled(path)
            if digest is None:
                if since is not None:
                    # Nobody knows what it names. What it has named is kept until somebody has looked at it.
                    self.survey.broken.append(path)
                    found.extend((tag, key, since) for key, _path, status in self.reader.links(f"{directory}/index") if status is not None)
                continue
            key = key_of(digest)
            found.append((tag, key, since or 0.0))
            if self.rules.young(since or 0.0):
                found.extend(("", former, 0.0) for former in self._named_lately(f"{directory}/index") if former != key)
        return found

    def _named_lately(self, history: str) -> list[bytes]:
        """What a tag has named within the grace period.

        The registry writes an entry of the history each time that it sets the tag to it. So these are the young entries, and the newest of
        the others, which the tag named when the period began. Entries of the same time all count. Should the host's clock have been set back, the
        wrong one of the old entries may be chosen: then a pull of what the tag named at that time is not waited for.
        """
        moments = {key: status.moment for key, _path, status in self.reader.links(history) if status is not None}
        before = max((moment for moment in moments.values() if not self.rules.young(moment / 1e9)), default=0)
        return [key for key, moment in moments.items() if moment >= before]

    def _keep_tagged(self, tags: list[tuple[str, bytes, float]]) -> None:
        self.fallback: dict[str, tuple[bytes, bytes, float]] = {}
        for tag, key, since in tags:
            if tag:
                self.survey.tagged += 1
            if key not in self.present:
                if key in self.quarantined.revisions:
                    self.survey.wanted_revisions.add(key)
                    continue
                if not tag:
                    continue
                if not self._is_unlisted(key):
                    self.survey.dangling += 1
                    continue
            subject = subject_of(tag)
            if subject is not None and (subject in self.present or subject in self.deleted) and not self.rules.young(since):
                self.fallback[tag] = (subject, key, since)
                continue
            self._keep(key)

    def _keep_for_now(self) -> None:
        for key, written in self.present.items():
            if self.rules.young(written / 1e9) or key in self.rules.protected:
                self._keep(key)
        for key, moment in self.deleted.items():
            if self.rules.young(moment) and key not in self.quarantined.revisions:
                # Deleted by a client, and somebody may be in the middle of pulling it.
                references = self._references(key)
                if references is not None:
                    self.survey.needed.add(key)
                    self.survey.needed.update(references.needed)

    def _keep_fallback(self) -> None:
        """A signature can be signed as well, so what is kept is followed until nothing is added."""
        waiting, again = dict(self.fallback), True
        while again:
            again = False
            for tag, (subject, key, _since) in list(waiting.items()):
                if subject in self.kept or key in self.kept:
                    del waiting[tag]
                    self._keep(key)
                    again = True
        for tag, (_subject, _key, since) in waiting.items():
            self.survey.tags[tag] = int(since * 1e9)

    def _keep_lately_tagged(self) -> None:
        """A tag that has been removed leaves no more than the time of the directory it was in. What it may have named is kept for the grace period."""
        if not self.rules.young(self.reader.modified(f"{self.tree.repositories}/{self.name}/_manifests/tags")):
            return
        known = self.rules.untagged.get(self.name, {})
        for key in [key for key in self.present if key not in self.kept]:
            since = known.get(digest_of(key))
            if since is None or self.rules.young(since):
                self.survey.lately.append(key)
        for key in self.survey.lately:
            self._keep(key)
        if self.survey.lately:
            self.survey.tags.clear()
            self._keep_fallback()

    def _keep(self, key: bytes) -> None:
        pending, children = [key], set[bytes]()
        while pending:
            one = pending.pop()
            if one in self.kept:
                continue
            if one not in self.present:
                if one in self.quarantined.revisions:
                    self.survey.wanted_revisions.add(one)
                    continue
                if one not in children or not self._is_unlisted(one):
                    continue
            self.kept.add(one)
            references = self._references(one)
            if references is not None:
                pending.extend(reference for reference in references.needed if reference not in self.kept)
                children |= references.elsewhere
            pending.extend(self.referrers.get(one, ()))

    def _is_unlisted(self, key: bytes) -> bool:
        """Whether a manifest that something names has a link that was not listed. It is present then."""
        written = self.reader.unlisted(f"{self.tree.revision(self.name, digest_of(key))}/link")
        if written is not None:
            self.present[key] = written.moment
        return written is not None

    def _references(self, key: bytes) -> manifest.References | None:
        """What a manifest refers to; None where it cannot be read."""
        known = self.read.get(key) or self.cache.get(key)
        if known is not None:
            return known
        path = self.tree.data(digest_of(key))
        for root in ("", *(os.path.join(tree, os.path.relpath(path, self.tree.storage)) for tree in self.quarantined.trees)):
            try:
                known = self.read[key] = manifest.parse(self.reader.content(root or path), key)
                self.cache.remember(key, known)
                return known
            except (FileNotFoundError, manifest.NotAManifest):
                continue
        return None

    def _sort_candidates(self, base: str) -> None:
        survey = self.survey
        survey.wanted = survey.needed & self.quarantined.layers
        for key, path, status in self.reader.links(f"{base}/_layers"):
            if status is None:
                survey.unlinked.add(key)
                continue
            survey.wanted.discard(key)  # pushed again: what is in the quarantine is a second one
            self._check(path, status, key)
            if key in survey.needed:
                continue
            if self.hold or self.rules.young(status.moment / 1e9) or key in self.rules.protected:
                survey.linked.add(key)
            else:
                survey.layers[key] = status.moment
        for key, moment in self.present.items():
            if key not in self.kept:
                if self.hold:
                    survey.linked.add(key)
                else:
                    survey.revisions[key] = moment
        if self.hold:
            survey.tags.clear()

    def _check(self, path: str, status: Written, key: bytes) -> None:
        """Remember a link that cannot be right: the registry writes the digest, and nothing else."""
        if status.size != len(digest_of(key)) and not is_digest(self.reader.digest(path)):
            self.survey.broken.append(path)


def survey(tree: Layout, name: str, rules: Rules, quarantined: Quarantined | None = None, cache: Cache | None = None, reader: Reader | None = None) -> Survey:
    """Look at one repository. cache has what manifests refer to that have been read before, and gets what is read now. Raises OSError."""
    return _Repository(tree, name, rules, quarantined or Quarantined(), Cache(0) if cache is None else cache, reader or Files()).run()
