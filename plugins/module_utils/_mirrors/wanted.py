# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients are to be told of mirrors, and the mark of the files that say so."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._hosts_toml import MARK_OF_MIRRORS

READABLE = Ownership(mode=0o644)


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is kept under a name.

    mirrors are the endpoints to ask first, by upstream as image names have it. ca and client are the paths of the CA certificate
    that the mirrors and registries are trusted by, and of the client's certificate and key. Under the former names nothing is kept any longer.
    """

    name: str
    mirrors: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    registries: tuple[str, ...] = ()
    ca: str | None = None
    client: tuple[str, str] | None = None
    short_names: dict[str, str] = dataclasses.field(default_factory=dict)
    search: tuple[str, ...] = ()
    former: tuple[str, ...] = ()

    def nothing(self) -> Wanted:
        """The same names, under which nothing is kept."""
        return Wanted(self.name, former=self.former)

    @property
    def names(self) -> tuple[str, ...]:
        """Its name and the former ones."""
        return (self.name, *self.former)

    @property
    def mark(self) -> str:
        return f"{MARK_OF_MIRRORS} for {self.name}"

    @property
    def endpoints(self) -> list[str]:
        """The mirrors and registries, each once."""
        return list(dict.fromkeys([*(endpoint for endpoints in self.mirrors.values() for endpoint in endpoints), *self.registries]))


def keeper(content: bytes | None) -> str | None:
    """The name that a file of this module is kept under. None for a file of somebody else."""
    first = (content or b"").partition(b"\n")[0].decode("utf-8", "replace")
    return first[len(MARK_OF_MIRRORS) + len(" for ") :] if first.startswith(f"{MARK_OF_MIRRORS} for ") else None


def plan_own(path: str, wanted: Wanted, lines: t.Iterable[str], *, in_place_of: bytes | None = None) -> list[Change]:
    """What it takes for path to be a file of ours with these lines. Raises HoldfastError where something else is in its place.

    in_place_of is the mark of a file whose place it may take.
    """
    there = whole.read_bytes(path)
    other = keeper(there)
    if os.path.islink(path) or (there is not None and other is None and not (in_place_of and there.startswith(in_place_of))):
        raise HoldfastError(f"{path}: exists and was not written by this module for {wanted.name}; remove it, or choose another name")
    if other is not None and other not in wanted.names:
        raise kept_under(other, path)
    return Write.plan(path, "".join(f"{line}\n" for line in (wanted.mark, *lines)).encode(), READABLE)


def kept_under(other: str, place: str) -> HoldfastError:
    """The error for an upstream that has mirrors under another name already."""
    return HoldfastError(f"{place}: is kept under the name {other}, and each upstream has the mirrors of one name; leave it out of the mirrors of one of them")


def is_own(path: str, wanted: Wanted) -> bool:
    """Whether a file is of ours and kept under this name or a former one. A symbolic link is not followed."""
    return os.path.isfile(path) and not os.path.islink(path) and keeper(whole.read_bytes(path)) in wanted.names
