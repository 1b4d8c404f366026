# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes to files: planned first, each with its reason, then shown or applied.

plan() of each kind looks at what is there and returns the changes that it takes, none or one. Whoever applies them holds
the lock that guards these files, and has planned with the lock held.
"""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import errno
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership

Show = t.Callable[[bytes], str]


def as_text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


@dataclasses.dataclass(frozen=True)
class Change(abc.ABC):
    """One path, and why it changes."""

    path: str
    why: str

    @property
    def reason(self) -> str:
        return f"{self.path}: {self.why}"

    @property
    def diff(self) -> dict[str, str]:
        """What a diff may show, in the form that Ansible prints."""
        return {"prepared": f"{self.reason}\n"}

    @abc.abstractmethod
    def apply(self) -> None:
        """Make the change. Raises HoldfastError where that is not possible."""

    def _diff(self, before: str | None, after: str | None) -> dict[str, str]:
        return {
            "before_header": self.path if before is not None else f"{self.path} (absent)",
            "after_header": self.path if after is not None else f"{self.path} (absent)",
            "before": before or "",
            "after": after or "",
        }


@dataclasses.dataclass(frozen=True)
class Write(Change):
    """A file gets this content. show says what a diff may show of it."""

    content: bytes = dataclasses.field(repr=False)
    ownership: Ownership
    before: bytes | None = dataclasses.field(default=None, repr=False)
    show: Show = as_text

    @classmethod
    def plan(cls, path: str, content: bytes, ownership: Ownership, *, show: Show = as_text, why: str = "") -> list[Change]:
        """Where a link is in its place, the file it leads to is meant."""
        before = whole.read_bytes(path)
        if before == content:
            return SetMode.plan(path, ownership)
        return [cls(path, why or ("added" if before is None else "content changed"), content, ownership, before, show)]

    @property
    def diff(self) -> dict[str, str]:
        return self._diff(None if self.before is None else self.show(self.before), self.show(self.content))

    def apply(self) -> None:
        whole.make_directories(os.path.dirname(self.path), 0o755)
        whole.remove_leftovers(self.path)
        whole.atomic_write(self.path, self.content, self.ownership)


@dataclasses.dataclass(frozen=True)
class SetMode(Change):
    """A file gets another mode, owner or group, and keeps its content."""

    ownership: Ownership

    @classmethod
    def plan(cls, path: str, ownership: Ownership, *, why: str = "") -> list[Change]:
        status = whole.status_of(path)
        differences = ownership.differences(status) if status else []
        return [cls(path, why or ", ".join(differences), ownership)] if differences else []

    def apply(self) -> None:
        whole.set_ownership(self.path, self.ownership)


@dataclasses.dataclass(frozen=True)
class Link(Change):
    """The path becomes a symbolic link to target."""

    target: str
    before: str | None = None

    @classmethod
    def plan(cls, path: str, target: str) -> list[Change]:
        """What is there must be a link or nothing: a file would be lost."""
        before = whole.link_target(path)
        if before == target:
            return []
        return [cls(path, "added" if before is None else f"points to {target} instead of {before}", target, before)]

    @property
    def diff(self) -> dict[str, str]:
        return self._diff(None if self.before is None else f"link to {self.before}\n", f"link to {self.target}\n")

    def apply(self) -> None:
        whole.make_directories(os.path.dirname(self.path), 0o755)
        whole.atomic_link(self.path, self.target)


@dataclasses.dataclass(frozen=True)
class Remove(Change):
    """A file or a link goes, never what the link leads to. shown is what a diff shows of it."""

    shown: str

    @classmethod
    def plan(cls, path: str, *, show: Show = as_text, why: str = "removed") -> list[Change]:
        target = whole.link_target(path)
        if target is not None:
            return [cls(path, why, f"link to {target}\n")]
        before = whole.read_bytes(path)
        return [] if before is None else [cls(path, why, show(before))]

    @property
    def diff(self) -> dict[str, str]:
        return self._diff(self.shown, None)

    def apply(self) -> None:
        whole.remove(self.path)


@dataclasses.dataclass(frozen=True)
class MakeDirectory(Change):
    """A directory is made; its missing parents get mode 0755."""

    ownership: Ownership

    @classmethod
    def plan(cls, path: str, ownership: Ownership) -> list[Change]:
        if os.path.isdir(path):
            return SetMode.plan(path, ownership)
        return [cls(path, "directory made", ownership)]

    def apply(self) -> None:
        # Closed until it has its owner.
        whole.make_directories(self.path, 0o700 if self.ownership.mode is None else self.ownership.mode & 0o700)
        whole.set_ownership(self.path, self.ownership)


@dataclasses.dataclass(frozen=True)
class RemoveDirectory(Change):
    """A directory goes, unless there is something in it by then."""

    def apply(self) -> None:
        try:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(self.path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise HoldfastError(f"{self.path}: cannot be removed: {error.strerror}") from error


def apply(changes: t.Iterable[Change]) -> None:
    """Make the changes, in this order."""
    for change in changes:
        change.apply()
