# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks of lines that are ours in somebody else's text: between two comments, which are the mark."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError


class Markers(t.NamedTuple):
    """The first and the last line of a block."""

    begin: str
    end: str

    @classmethod
    def of(cls, label: str) -> Markers:
        """As Ansible's own blockinfile writes them: # BEGIN LABEL, # END LABEL."""
        return cls(f"# BEGIN {label}", f"# END {label}")


def read(content: bytes) -> list[str]:
    """The lines of a text in UTF-8, each with its end. Other bytes survive."""
    return [line.decode("utf-8", "surrogateescape") for line in content.splitlines(keepends=True)]


def written(lines: t.Iterable[str]) -> bytes:
    """The text of these lines."""
    return "".join(lines).encode("utf-8", "surrogateescape")


def without(path: str, lines: list[str], markers: Markers) -> tuple[list[str], int | None]:
    """The lines without the block, and the place where it was, if it was there.

    Raises HoldfastError where the block has lost its end: how far it goes, nobody knows.
    """
    left: list[str] = []
    place, begun = None, 0
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if text == markers.begin:
            if begun:
                break
            begun = number
            place = len(left) if place is None else place
        elif begun and text == markers.end:
            begun = 0
        elif not begun:
            left.append(line)
    if begun:
        raise HoldfastError(f"{path}: line {begun} begins a block of this collection, and no line '{markers.end}' ends it; add that line where the block ends")
    return left, place


def block(markers: Markers, body: t.Iterable[str]) -> list[str]:
    """The lines of a block."""
    return [f"{line}\n" for line in (markers.begin, *body, markers.end)]


def with_end(lines: list[str]) -> list[str]:
    """The lines, the last one with an end too, so that another can follow."""
    return [*lines[:-1], f"{lines[-1]}\n"] if lines and not lines[-1].endswith("\n") else lines
