# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings merged into an object of JSON that others write too, so that they can be taken out again.

Objects are merged member by member, and lists item by item, ours first. Whatever is set is recorded as a claim, with what
it took the place of. A claim belongs to the name of whoever made it; what two names claim goes when both have let go of it.
"""

from __future__ import annotations

import copy
import dataclasses
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._json_text import kind, same

Path = tuple[str, ...]
Data = dict[str, t.Any]


class _Missing:
    pass


MISSING = _Missing()


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a name has set: the items of a list, or a value, with what was there before. Items that were there before stay when it lets go."""

    path: Path
    value: t.Any
    before: t.Any = MISSING
    earlier: tuple[t.Any, ...] = ()  # what was set before, and is there still if the run that changes it was killed

    @property
    def as_data(self) -> Data:
        more = ({} if self.before is MISSING else {"before": self.before}, {"earlier": list(self.earlier)} if self.earlier else {})
        return {"path": list(self.path), "value": self.value, **more[0], **more[1]}

    @classmethod
    def of(cls, data: Data) -> Claim:
        return cls(tuple(data["path"]), data["value"], data.get("before", MISSING), tuple(data.get("earlier", [])))

    def has_set(self, value: t.Any) -> bool:
        """Whether a value that is no list is there because of this claim."""
        return any(same(value, one) for one in (self.value, *self.earlier))

    @property
    def added(self) -> list[t.Any]:
        """The items of a list that are there because of this claim."""
        before = self.before if isinstance(self.before, list) else []
        return [item for item in self.value if not _holds(before, item)]

    def after(self, old: Claim) -> Claim:
        """This claim, with what one that it takes the place of has set."""
        if isinstance(self.value, list) and isinstance(old.value, list):
            return dataclasses.replace(self, value=self.value + [item for item in old.value if not _holds(self.value, item)])
        known = [] if self.has_set(old.value) else [old.value]
        return dataclasses.replace(self, earlier=(*self.earlier, *known, *old.earlier))


@dataclasses.dataclass(frozen=True)
class Claims:
    """The claims of each name, and the objects and lists that were made for them."""

    by_name: dict[str, list[Claim]] = dataclasses.field(default_factory=dict)
    made: list[Path] = dataclasses.field(default_factory=list)

    def of_others(self, name: str) -> list[tuple[str, Claim]]:
        return [(other, claim) for other, claims in self.by_name.items() if other != name for claim in claims]


class Merged(t.NamedTuple):
    """The object with the settings in it, and the claims."""

    data: Data
    claims: Claims


def merge(data: Data, wanted: Data, name: str, claims: Claims, *, where: str, parameter: str) -> Merged:
    """Put what a name wants into an object, and take out what it no longer wants.

    where and parameter are what messages call the object and the settings. Raises HoldfastError where the two do not fit together.
    """
    work = _Merge(copy.deepcopy(data), name, claims, where, parameter)
    leaves = dict(_leaves(wanted, ()))
    # Taken out first, so that what a setting of the past was is what was there before one of now.
    for claim in work.mine.values():
        work.release(claim, leaves.get(claim.path))
    kept = [claim for path, value in leaves.items() for claim in work.put(path, value)]
    return work.finished(kept)


def shown(path: t.Iterable[str]) -> str:
    """A path as a message has it."""
    return ".".join(path)


def _leaves(value: Data, path: Path) -> t.Iterator[tuple[Path, t.Any]]:
    for key, member in value.items():
        if isinstance(member, dict) and member:
            yield from _leaves(member, (*path, key))
        elif member is not None:
            yield (*path, key), member


class _Merge:
    def __init__(self, data: Data, name: str, claims: Claims, where: str, parameter: str) -> None:
        self._data, self._name, self._where, self._parameter = data, name, where, parameter
        self.mine = {claim.path: claim for claim in claims.by_name.get(name, [])}
        self._before, self._others, self._made = claims, claims.of_others(name), list(claims.made)

    def release(self, claim: Claim, wanted: t.Any) -> None:
        """Take out what a claim stands for, other than what is wanted still."""
        parent = self._object(claim.path[:-1])
        key = claim.path[-1]
        if parent is None or key not in parent:
            return
        if isinstance(claim.value, list):
            self._release_items(parent, key, claim, wanted if isinstance(wanted, list) else [])
        elif (
            (wanted is None or isinstance(wanted, (list, dict)))
            and claim.has_set(parent[key])
            and not any(other.path == claim.path for _owner, other in self._others)
        ):
            if claim.before is MISSING:
                del parent[key]
            else:
                parent[key] = claim.before

    def _release_items(self, parent: Data, key: str, claim: Claim, wanted: list[t.Any]) -> None:
        if not isinstance(parent[key], list):
            return
        kept = wanted + self._items_of_others(claim.path)
        left = [item for item in parent[key] if _holds(kept, item) or not _holds(claim.added, item)]
        theirs = [item for item in left if not _holds(claim.added, item)]
        # While it is wanted as it was, what others did to its order since stays.
        if _same_items(theirs, claim.before) and not same(_once(wanted), claim.value) and not self._claims_of_others(claim.path):
            left = [item for item in left if _holds(claim.added, item)] + claim.before
        parent[key] = left

    def put(self, path: Path, value: t.Any) -> list[Claim]:
        """Put a value to its place. Returns the claims on it: none where it was somebody else's already."""
        if isinstance(value, list) and not value:
            return []
        parent = self._make(path[:-1])
        if isinstance(value, dict):
            self._make(path)
            return []
        return self._put_items(parent, path, value) if isinstance(value, list) else self._put_value(parent, path, value)

    def _put_items(self, parent: Data, path: Path, items: list[t.Any]) -> list[Claim]:
        there = parent.get(path[-1])
        if there is None:
            there = []
            self._remember(path)
        elif not isinstance(there, list):
            raise self._unfit(path, there, "a list")
        known = [*([self.mine[path]] if path in self.mine else []), *self._claims_of_others(path)]
        added = [item for claim in known if isinstance(claim.value, list) for item in claim.added]
        theirs = [item for item in there if not _holds(added, item)]
        before = next((claim.before for claim in known if _same_items(theirs, claim.before)), theirs)
        ours = _once(items)
        if not self._in_place(there, ours, self._items_of_others(path)):
            there = parent[path[-1]] = ours + [item for item in there if not _holds(ours, item)]
        claim = Claim(path, ours, before)
        return [claim] if claim.added or not same([item for item in there if _holds(before, item)], before) else []

    @staticmethod
    def _in_place(there: list[t.Any], ours: list[t.Any], claimed: list[t.Any]) -> bool:
        """Whether our items are all there, in their order and before those that nobody claims. Two names would take turns to be the first."""
        alone = [item for item in ours if not _holds(claimed, item)]
        places = [number for number, item in enumerate(there) if _holds(ours, item)]
        if len(places) < len(ours) or not same([item for item in there if _holds(alone, item)], alone):
            return False
        return all(_holds(ours, item) or _holds(claimed, item) for item in there[: places[-1]])

    def _put_value(self, parent: Data, path: Path, value: t.Any) -> list[Claim]:
        there = parent.get(path[-1], MISSING)
        if isinstance(there, (dict, list)):
            raise self._unfit(path, there, kind(value))
        for owner, claim in self._others:
            if claim.path == path and not same(claim.value, value):
                raise HoldfastError(f"{self._parameter}.{shown(path)}: {owner!r} has set another value in {self._where}; leave it out of one")
        shared = [claim for _owner, claim in self._others if claim.path == path] + ([self.mine[path]] if path in self.mine else [])
        before = next((claim.before for claim in shared if there is not MISSING and claim.has_set(there)), there)
        parent[path[-1]] = value
        return [Claim(path, value, before)]

    def finished(self, kept: list[Claim]) -> Merged:
        names = {**self._before.by_name, self._name: kept}
        claims = {owner: found for owner, found in names.items() if found}
        every = [claim.path for found in claims.values() for claim in found]
        for path in sorted(self._made, key=len, reverse=True):
            parent = self._object(path[:-1])
            there = parent.get(path[-1]) if parent is not None else None
            if parent is not None and path[-1] in parent and there in ([], {}) and not any(claimed[: len(path)] == path for claimed in every):
                del parent[path[-1]]
                there = None
            if there is None:
                self._made.remove(path)
        return Merged(self._data, Claims(claims, self._made))

    def _items_of_others(self, path: Path) -> list[t.Any]:
        return [item for claim in self._claims_of_others(path) if isinstance(claim.value, list) for item in claim.value]

    def _claims_of_others(self, path: Path) -> list[Claim]:
        return [claim for _owner, claim in self._others if claim.path == path]

    def _object(self, path: Path) -> Data | None:
        """The object at a path, or None if there is none."""
        found: t.Any = self._data
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    def _make(self, path: Path) -> Data:
        found = self._data
        for number, key in enumerate(path, 1):
            if found.get(key) is None:
                found[key] = {}
                self._remember(path[:number])
            if not isinstance(found[key], dict):
                raise self._unfit(path[:number], found[key], "an object")
            found = found[key]
        return found

    def _remember(self, path: Path) -> None:
        if path not in self._made:
            self._made.append(path)

    def _unfit(self, path: Path, there: t.Any, right: str) -> HoldfastError:
        return HoldfastError(
            f"{self._where}: {shown(path)} is {kind(there)}, and {self._parameter} has {right} for it; it is left as it is, correct the one or the other"
        )


def _holds(items: list[t.Any], item: t.Any) -> bool:
    return any(same(one, item) for one in items)


def _once(items: list[t.Any]) -> list[t.Any]:
    return [item for number, item in enumerate(items) if not _holds(items[:number], item)]


def _same_items(one: list[t.Any], other: t.Any) -> bool:
    """Whether two lists have the same items, in whatever order."""
    return isinstance(other, list) and all(_holds(other, item) for item in one) and all(_holds(one, item) for item in other)
