# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where podman, skopeo and CRI-O look for signatures: one file of ours in registries.d, and what others have there.

They refuse all images when two files there have an entry for the same scope.
"""

from __future__ import annotations

import json
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import names_in, read_bytes

_MARK = "# Managed by the Ansible module holdfast.registry.signature_policy\n"
_OURS = "holdfast.yaml"
_KEY = re.compile(r"""( *)(?:"([^"]*)"|'([^']*)'|([^\s"'#:{\[][^\s"'#{\[]*)) *:(?: +(.*?))? *(?: #.*)?""")

Entries = dict[str, dict[str, t.Any]]


def plan(directory: str, entries: Entries) -> list[Change]:
    """What it takes for these scopes to be looked up as their entries say, and others as before.

    Raises HoldfastError where a file of somebody else has another entry for one of them.
    """
    path = os.path.join(directory, _OURS)
    before = read_bytes(path)
    if before is not None and not before.startswith(_MARK.encode("ascii")):
        raise HoldfastError(f"{path}: exists and was not written by this module; give it another name")
    missing = {scope: entry for scope, entry in entries.items() if not _is_there(directory, scope, entry)}
    if not missing:
        return Remove.plan(path)
    lines = [f"  {json.dumps(scope)}:\n" + "".join(f"    {key}: {json.dumps(value)}\n" for key, value in missing[scope].items()) for scope in sorted(missing)]
    return Write.plan(path, (_MARK + "docker:\n" + "".join(lines)).encode("ascii"), Ownership(mode=0o644))


def _is_there(directory: str, scope: str, entry: dict[str, t.Any]) -> bool:
    """Whether a file of somebody else says the same of this scope."""
    for name in names_in(directory):
        path = os.path.join(directory, name)
        if not name.endswith(".yaml") or name == _OURS or not os.path.isfile(path):
            continue
        text = (read_bytes(path) or b"").decode("utf-8", "replace")
        there = _entry_in(text, scope)
        if there is None and not (scope in _without_comments(text) and _is_beyond_us(text)):
            continue
        wanted = {key: value if isinstance(value, str) else json.dumps(value) for key, value in entry.items()}
        if there is None or any(there.get(key) != value for key, value in wanted.items()):
            line = ", ".join(f"{key}: {value}" for key, value in wanted.items())
            raise HoldfastError(f"{path}: has an entry for {scope} already, and podman takes only one; use '{line}' there, or remove the entry")
        return True
    return False


def _entry_in(text: str, scope: str) -> dict[str, str] | None:
    """The entry of a scope below "docker", as far as it is written in lines of its own; None where there is none."""
    section, level, inside = "", 0, False
    found: dict[str, str] | None = None
    for line in text.splitlines():
        match = _KEY.fullmatch(line.rstrip())
        if not match:
            continue
        indent, key, value = len(match[1]), match[2] or match[3] or match[4], (match[5] or "").strip("\"'")
        if indent == 0:
            section, level, inside = key, 0, False
        elif section == "docker":
            level = level or indent
            if indent <= level:
                inside = key == scope
                found = {} if inside else found
            elif inside and found is not None:
                found[key] = value
    return found


def _is_beyond_us(text: str) -> bool:
    """Whether YAML is written in a way that is not read here: in braces, with anchors or tabs."""
    return bool(re.search(r"[{}\t&*]", _without_comments(text)))


def _without_comments(text: str) -> str:
    return re.sub(r"(?m)(^|\s)#.*$", "", text)
