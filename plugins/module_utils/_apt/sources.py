# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""apt's lists of repositories: what is in them, and entries switched off in a way that can be taken back."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole

_OFF = ("no", "false", "without", "off", "disable", "0")  # what apt takes for no


@dataclasses.dataclass(frozen=True)
class Repository:
    """What a source names."""

    types: list[str]
    uris: list[str]
    suites: list[str]
    components: list[str]

    def touches(self, other: Repository) -> bool:
        """Whether apt would find one repository in both."""
        return bool(set(map(_bare, self.uris)) & set(map(_bare, other.uris)) and set(self.suites) & set(other.suites))

    def covers(self, other: Repository) -> bool:
        """Whether nothing is lost without the other."""
        pairs = ((map(_bare, other.uris), map(_bare, self.uris)), (other.types, self.types), (other.suites, self.suites), (other.components, self.components))
        return all(set(theirs) <= set(ours) for theirs, ours in pairs)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A repository in a file of others, in the lines from first up to the one before end."""

    repository: Repository
    first: int
    end: int
    is_stanza: bool


def switched_off(path: str, content: bytes, name: str, ours: Repository) -> bytes:
    """The content of a file of others without its entries for our repository.

    Raises HoldfastError, naming file and line, where an entry has more than ours.
    """
    lines = content.decode("utf-8", "surrogateescape").split("\n")
    found = [entry for entry in (_stanzas(lines) if path.endswith(".sources") else _one_liners(lines)) if ours.touches(entry.repository)]
    for entry in reversed(found):
        if not ours.covers(entry.repository):
            raise HoldfastError(
                f"{path}: line {entry.first + 1} has a repository of uris with other types, suites or components than these, and apt takes only one "
                "key for a repository; remove the line, or name all that is in it"
            )
        for number in range(entry.first, entry.end):
            if not entry.is_stanza or re.match(r"enabled\s*:", lines[number], re.IGNORECASE):
                lines[number] = _mark(name) + lines[number]
        if entry.is_stanza:
            lines[entry.first : entry.first] = [_mark(name).rstrip(), "Enabled: no"]
    return "\n".join(lines).encode("utf-8", "surrogateescape")


def switched_on(content: bytes, name: str) -> bytes:
    """The content of a file of others with the entries again that were switched off for a name."""
    text = content.decode("utf-8", "surrogateescape")
    text = re.sub(rf"^{re.escape(_mark(name).rstrip())}\nEnabled: no\n", "", text, flags=re.MULTILINE)
    return re.sub(rf"^{re.escape(_mark(name))}", "", text, flags=re.MULTILINE).encode("utf-8", "surrogateescape")


def files(directory: str) -> list[str]:
    """The files that apt reads sources from."""
    parts = os.path.join(directory, "sources.list.d")
    names = [name for name in whole.names_in(parts) if re.fullmatch(r"[A-Za-z0-9_.-]+\.(list|sources)", name) and not name.startswith(".")]
    main = os.path.join(directory, "sources.list")
    return ([main] if os.path.exists(main) else []) + [os.path.join(parts, name) for name in names]


def _mark(name: str) -> str:
    return f"# holdfast.registry has it in {name}.sources: "


def _bare(uri: str) -> str:
    """A URI without what makes no other repository of it."""
    return re.sub(r"^[a-z+]+://", "", uri.strip(), flags=re.IGNORECASE).rstrip("/").lower()


def _one_liners(lines: list[str]) -> t.Iterator[Entry]:
    for number, line in enumerate(lines):
        words = re.sub(r"\[[^]]*\]", " ", line.split("#")[0], count=1).split()
        if len(words) >= 3 and words[0] in ("deb", "deb-src"):
            yield Entry(Repository([words[0]], [words[1]], [words[2]], words[3:]), number, number + 1, is_stanza=False)


def _stanzas(lines: list[str]) -> t.Iterator[Entry]:
    fields: dict[str, list[str]] = {}
    first, field = 0, ""
    for number, line in enumerate([*lines, ""]):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields.get("uris") and (fields.get("enabled") or ["yes"])[0].lower() not in _OFF:
                members = (fields.get(key, []) for key in ("types", "uris", "suites", "components"))
                yield Entry(Repository(*members), first, number, is_stanza=True)
            fields, field = {}, ""
            continue
        if not fields:
            first = number
        if not line[0].isspace():
            field, _colon, line = line.partition(":")
            field = field.strip().lower()
        fields.setdefault(field, []).extend(line.split())
