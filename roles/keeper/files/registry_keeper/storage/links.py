# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The links of one instance as a list: what makes images out of blobs. A backup has this list, written before any blob is read.

A line is the path of a link below docker/registry/v2/repositories, a space, and the digest that the link has:

    team/app/_manifests/tags/1.0/current/link sha256:...

Links in an order in which each one's target comes later are read in that order too: tags, revisions, layers, and after all links the
blobs. A registry writes the other way round: blobs, layers, revisions, tags. So whatever a link in the list leads to was there.

A second list has the path of each tag's link, a space, and when the tag was pushed, which rules about tags go by: seconds since 1970. It is a file of
its own, so that earlier versions can read the first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import typing as t

from registry_keeper.storage.layout import ALGORITHMS, DIGEST, Layout, is_digest, key_of, read_link, subdirectories

_DIGEST_PATH = r"(?:sha256/[0-9a-f]{64}|sha384/[0-9a-f]{96}|sha512/[0-9a-f]{128})"
REPOSITORY = r"[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*)*"
TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
# Nothing else becomes a path, whatever is in the list.
_PATH = re.compile(
    rf"(?P<repository>{REPOSITORY})/(?:_layers/(?P<layer>{_DIGEST_PATH})|_manifests/revisions/(?P<revision>{_DIGEST_PATH})"
    rf"|_manifests/tags/(?P<tag>{TAG})/(?:current|index/(?P<index>{_DIGEST_PATH})))/link",
    re.ASCII,
)
_PUSHED = re.compile(r"(\S+) ([0-9]{1,11}\.[0-9]{6})\n")


@dataclasses.dataclass(frozen=True)
class Link:
    """One link: in which repository it is, what it is (tag, index, revision or layer), and the digest that it has."""

    repository: str
    kind: str
    digest: str
    tag: str = ""
    # when a tag was pushed, in seconds since 1970; 0: nobody knows
    pushed: float = dataclasses.field(default=0.0, compare=False)

    @property
    def path(self) -> str:
        """Where it is below repositories."""
        target = self.digest.replace(":", "/", 1)
        if self.kind == "layer":
            return f"{self.repository}/_layers/{target}/link"
        if self.kind == "revision":
            return f"{self.repository}/_manifests/revisions/{target}/link"
        return f"{self.repository}/_manifests/tags/{self.tag}/{'current' if self.kind == 'tag' else f'index/{target}'}/link"

    @property
    def line(self) -> str:
        return f"{self.path} {self.digest}\n"


def parse(line: str) -> Link | None:
    """The link of a line; None for anything that is none."""
    path, space, digest = line.strip("\n").partition(" ")
    found = _PATH.fullmatch(path)
    if not space or not found or not is_digest(digest):
        return None
    target = found["layer"] or found["revision"] or found["index"]
    if target and target.replace("/", ":", 1) != digest:
        return None
    kind = "layer" if found["layer"] else "revision" if found["revision"] else "index" if found["index"] else "tag"
    return Link(found["repository"], kind, digest, found["tag"] or "")


def pushed_of(lines: t.Iterable[str]) -> dict[str, float]:
    """When tags were pushed, by the paths of their links, from the lines of the second list."""
    found = map(_PUSHED.fullmatch, lines)
    return {one[1]: float(one[2]) for one in found if one}


def walk(layout: Layout) -> t.Iterator[Link]:
    """All links that have the content they should have. Those that are empty or wrong are no part of an image."""
    for repository in layout.walk_repositories():
        tags = subdirectories(f"{layout.repositories}/{repository}/_manifests/tags")
        if not re.fullmatch(REPOSITORY, repository, re.ASCII):
            continue
        named = []
        for tag in sorted(tags):
            if not re.fullmatch(TAG, tag, re.ASCII):
                continue
            path = f"{layout.tag(repository, tag)}/current/link"
            digest = read_link(path)
            if digest:
                # Looked at afterwards: of a tag that is pushed meanwhile, its new time with its former image does no harm.
                named.append(Link(repository, "tag", digest, tag, _modified(path)))
            index = f"{layout.tag(repository, tag)}/index"
            named += [Link(repository, "index", one, tag) for one in _linked(index)]
        revisions = list(_linked(layout.revisions(repository)))
        there = set(revisions)
        # An image that was being deleted: its revision had gone before the list came to it.
        yield from (link for link in named if link.digest in there)
        yield from (Link(repository, "revision", digest) for digest in revisions)
        yield from (Link(repository, "layer", digest) for digest in _linked(f"{layout.repositories}/{repository}/_layers"))


def _modified(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return 0.0


def _linked(directory: str) -> t.Iterator[str]:
    """The digests that have a link with them in it, from directories ALGORITHM/HEX."""
    for algorithm in ALGORITHMS:
        for name in sorted(subdirectories(f"{directory}/{algorithm}")):
            digest = f"{algorithm}:{name}"
            if DIGEST.fullmatch(digest) and read_link(f"{directory}/{algorithm}/{name}/link") == digest:
                yield digest


@dataclasses.dataclass
class Listed:
    """What a list has: how many links of each kind, and how many images lack a blob."""

    links: int = 0
    tags: int = 0
    repositories: int = 0
    # links whose blob is not there: broken before the backup, and left out of it
    broken: int = 0
    blobs: set[bytes] = dataclasses.field(default_factory=set)


def write(layout: Layout, path: str, pushed_path: str) -> Listed:
    """Write both lists of a storage into files, mode 0600. Raises OSError."""
    listed = Listed()
    gone: set[bytes] = set()
    seen = None
    with _new(path) as file, _new(pushed_path) as pushed:
        for link in walk(layout):
            key = key_of(link.digest)
            if key not in listed.blobs:
                if key in gone or not os.path.exists(layout.data(link.digest)):
                    gone.add(key)
                    listed.broken += 1
                    continue
                listed.blobs.add(key)
            file.write(link.line)
            if link.pushed:
                pushed.write(f"{link.path} {link.pushed:.6f}\n")
            listed.links += 1
            listed.tags += link.kind == "tag"
            listed.repositories += link.repository != seen
            seen = link.repository
    return listed


@contextlib.contextmanager
def _new(path: str) -> t.Iterator[t.TextIO]:
    temporary = f"{path}.new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
