# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Tags as they should be: what is to be copied and deleted, with reasons, before anything is."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._images.access import Access
from ansible_collections.holdfast.registry.plugins.module_utils._images.client import Registry
from ansible_collections.holdfast.registry.plugins.module_utils._images.copying import (
    Referrers,
    Repository,
    Tree,
    copy_referrers,
    copy_tree,
    gather,
    missing_referrers,
)
from ansible_collections.holdfast.registry.plugins.module_utils._images.names import ImageName, parse_image

# Deleting a tag that is not there shows whether a registry can delete a tag alone, and changes nothing.
_NO_TAG = "holdfast-no-such-tag-3f1c62b09a"


class Wanted(t.NamedTuple):
    """What a tag should be. place is where the user of the module wrote it: images[0]."""

    place: str
    name: ImageName
    source: ImageName | None
    present: bool
    referrers: bool


@dataclasses.dataclass
class Step:
    """What happens to one tag. before and after are digests, or empty."""

    wanted: Wanted
    target: Repository
    before: str
    after: str
    reason: str
    changed: bool
    apply: t.Callable[[], None] = lambda: None
    referrers: list[str] = dataclasses.field(default_factory=list)
    parts: set[str] = dataclasses.field(default_factory=set)

    def result(self) -> dict[str, t.Any]:
        return {
            "name": str(self.wanted.name),
            "digest": self.after,
            "previous_digest": self.before,
            "referrers": self.referrers,
            "changed": self.changed,
            "reason": self.reason,
        }


def parse_images(entries: t.Sequence[t.Mapping[str, t.Any]]) -> list[Wanted]:
    """Read the module's list. Raises HoldfastError naming the place in it."""
    wanted: list[Wanted] = []
    places: dict[ImageName, str] = {}
    changing: dict[ImageName, str] = {}
    for index, entry in enumerate(entries):
        place = f"images[{index}]"
        present = entry["state"] == "present"
        name = parse_image(entry["name"], f"{place}.name", by_digest=False)
        source = None if entry.get("source") is None else parse_image(entry["source"], f"{place}.source", by_digest=True)
        for parameter, given in (("source", source), ("referrers", entry.get("referrers"))):
            if given and not present:
                raise HoldfastError(f"{place}.{parameter}: is for state present only")
        if entry.get("referrers") and not source:
            raise HoldfastError(f"{place}.referrers: there is no source to copy them from")
        first = places.setdefault(name, place)
        if first != place:
            raise HoldfastError(f"{place}.name: {name} is already in {first}")
        if source:
            changing[name] = place
        wanted.append(Wanted(place, name, source, present, bool(entry.get("referrers"))))
    for one in wanted:
        if one.source and changing.get(one.source, one.place) != one.place:
            other = changing[one.source]
            raise HoldfastError(f"{one.place}.source: {one.source} is what {other} changes; use the source of {other}, or a task of its own")
    return wanted


@contextlib.contextmanager
def placed(wanted: Wanted) -> t.Iterator[None]:
    """Errors within begin with the place of the image in the module's list."""
    try:
        yield
    except HoldfastError as error:
        raise HoldfastError(f"{wanted.place}: {error}") from None


class Planner:
    """Compares the registries with what is wanted. Each registry is spoken to through one client."""

    def __init__(self, find: t.Callable[[str], Access], hide: t.Callable[[str], None]) -> None:
        self._find, self._hide = find, hide
        self._clients: dict[str, Registry] = {}

    def repository(self, name: ImageName) -> Repository:
        if name.registry not in self._clients:
            self._clients[name.registry] = Registry(self._find(name.registry), self._hide)
        return Repository(self._clients[name.registry], name.repository)

    def steps(self, wanted: t.Sequence[Wanted], *, delete_other_tags: bool) -> list[Step]:
        """A step for each image, in the order in which they are to be applied: what is deleted comes last."""
        moved = {one.name for one in wanted if not one.present}
        steps = [self._named(one, lambda one: self._present(one, moved)) for one in wanted if one.present]
        absent = [self._named(one, self._absent) for one in wanted if not one.present]
        for step in absent:
            if step.changed:
                with placed(step.wanted):
                    self._plan_deletion(step, steps + absent, delete_other_tags)
        return steps + absent

    def _named(self, wanted: Wanted, work: t.Callable[[Wanted], Step]) -> Step:
        with placed(wanted):
            return work(wanted)

    def _present(self, wanted: Wanted, moved: set[ImageName]) -> Step:
        target = self.repository(wanted.name)
        before = target.digest(wanted.name.tag) or ""
        if wanted.source is None:
            if not before:
                raise HoldfastError(f"{wanted.name} is not there; give the image that it should be as source")
            return Step(wanted, target, before, before, "is there", False)
        source = self.repository(wanted.source)
        top = source.manifest(wanted.source.reference)
        if top is None and before and wanted.source in moved:
            return Step(wanted, target, before, before, "is there; its source is absent", False)
        if top is None:
            raise HoldfastError(f"source: {wanted.source} is not there")
        reason = "" if before == top.digest else f"digest changed from {before} to {top.digest}" if before else "added"
        tree = gather(source, top) if reason or wanted.referrers else [top]
        referrers = missing_referrers(tree, source, target) if wanted.referrers else Referrers([], [])
        reasons = [reason] if reason else []
        if referrers.digests:
            reasons.append(f"{len(referrers.digests)} referring to it added")

        def apply() -> None:
            self._copy(tree if reason else [], referrers, source, target, wanted)

        parts = {child.digest for manifest in tree for child in manifest.children}
        return Step(wanted, target, before, top.digest, "; ".join(reasons) or "up to date", bool(reasons), apply, referrers.digests, parts)

    def _copy(self, tree: Tree, referrers: Referrers, source: Repository, target: Repository, wanted: Wanted) -> None:
        """The tag comes last, so that whoever sees it finds everything that belongs to it."""
        if referrers.digests:
            if tree:
                copy_tree(tree, source, target, tree[-1].digest)
            copy_referrers(referrers, source, target)
        if tree:
            copy_tree(tree, source, target, wanted.name.tag)

    def _absent(self, wanted: Wanted) -> Step:
        target = self.repository(wanted.name)
        before = target.digest(wanted.name.tag) or ""
        return Step(wanted, target, before, "", "removed" if before else "is not there", bool(before))

    def _plan_deletion(self, step: Step, steps: list[Step], delete_other_tags: bool) -> None:
        target, name = step.target, step.wanted.name
        answer = target.registry.delete(target.name, _NO_TAG)
        if answer.status in (404, 202):
            step.apply = lambda: self._delete(target, name.tag)
            return
        if answer.status not in (400, 405):
            raise answer.error()
        if answer.status == 405:
            raise HoldfastError(f"{name.registry} deletes nothing; with the role registry that is registry_delete_enabled")
        # Versions before 3.0 delete a manifest, and with it every tag that names it.
        others, parts = self._other_users(step, steps)
        if parts:
            raise HoldfastError(f"{name} is {step.before}, which is a part of {', '.join(parts)}; the registry can only delete that, and would break them")
        if others and not delete_other_tags:
            raise HoldfastError(
                f"{name} is {step.before}, and so are the tags {', '.join(others)}. This registry can only delete the manifest, and them with it: "
                "list them as absent too, make them something else, or set delete_other_tags: true"
            )
        if others:
            step.reason = f"removed, and with it {', '.join(others)}"
        step.apply = lambda: self._delete(target, step.before)

    def _other_users(self, step: Step, steps: list[Step]) -> tuple[list[str], list[str]]:
        """The tags of the repository that will name the same digest once all other steps are done, and those of an index with it."""
        planned = {other.wanted.name.tag: (other.after, other.parts) for other in steps if other.target == step.target and other.changed}
        others, parts = [], []
        for tag in sorted({*step.target.registry.tags(step.target.name), *planned}):
            manifest = None if tag in planned else step.target.manifest(tag)
            found = {child.digest for child in manifest.children} if manifest else set()
            digest, children = planned.get(tag, (manifest.digest if manifest else "", found))
            if digest == step.before:
                others.append(tag)
            elif step.before in children:
                parts.append(tag)
        return others, parts

    def _delete(self, target: Repository, reference: str) -> None:
        answer = target.registry.delete(target.name, reference)
        # A tag that was absent like another one of the same digest has gone with that one.
        if answer.status not in (202, 404):
            raise answer.error()
