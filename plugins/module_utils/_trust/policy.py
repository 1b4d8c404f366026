# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy that podman, skopeo and CRI-O hold images to: entries of ours merged into policy.json, and taken out again.

Entries are told from others' by a record of what was written under which name.
"""

from __future__ import annotations

import dataclasses
import os
import re
import tempfile
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _json_text
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import changes, remembered, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._json_text import same
from ansible_collections.holdfast.registry.plugins.module_utils._trust import lookups
from ansible_collections.holdfast.registry.plugins.module_utils._trust.requirements import Requirement

_TYPES = ("insecureAcceptAnything", "reject", "signedBy", "sigstoreSigned", "signedBaseLayer")
_ACCEPT = {"default": [{"type": "insecureAcceptAnything"}]}
# The first versions that read a sigstore key, and several for one scope. Older ones refuse the whole file, and so every image.
_SINCE = {"podman": ((4, 2), (5, 3)), "skopeo": ((1, 9), (1, 17)), "buildah": ((1, 27), (1, 38))}

Scopes = dict[str, t.Any]


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is required under a name. directory holds policy.json and registries.d."""

    name: str
    requirements: list[Requirement]
    directory: str

    @property
    def policy(self) -> str:
        return os.path.join(self.directory, "policy.json")


class _Plan(t.NamedTuple):
    """files is in the order of writing; during and after are the record."""

    files: list[Change]
    lines: list[str]
    warnings: list[str]
    during: remembered.Record
    after: remembered.Record


def manage(run_program: Run, wanted: Wanted, record: str, *, check_mode: bool) -> dict[str, t.Any]:
    """Have the policy hold what is wanted under the name, and nothing else under it. Returns the module's result.

    record is the path of the file that remembers what was written.
    """
    plan = _plan(run_program, wanted, record)
    if not check_mode and (plan.lines or plan.files or plan.after != remembered.read(record)):
        whole.make_directories(os.path.dirname(record), 0o755)
        with locked(record):
            plan = _plan(run_program, wanted, record)
            # Before the entries: those of a run that is killed are known as ours to the next one.
            if plan.lines and plan.during != remembered.read(record):
                remembered.write(record, plan.during)
            changes.apply(plan.files)
            if plan.after != remembered.read(record):
                remembered.write(record, plan.after)
    lines = plan.lines + [change.reason for change in plan.files if change.path != wanted.policy]
    return {"changed": bool(lines), "changes": lines, "warnings": plan.warnings, "diff": [change.diff for change in plan.files]}


def _plan(run_program: Run, wanted: Wanted, path: str) -> _Plan:
    record = remembered.read(path)
    before = whole.read_bytes(wanted.policy)
    policy = dict(_ACCEPT) if before is None else _json_text.read_object(wanted.policy, before)
    scopes = _check(wanted.policy, policy)
    merge = _Merge(wanted, record, dict(scopes))
    merge.run()
    files = lookups.plan(os.path.join(wanted.directory, "registries.d"), merge.lookups())
    if merge.scopes != scopes:
        content = _json_text.write_object(_with(policy, merge.scopes), before or b'{\n    "')
        _refuse_old_programs(run_program, wanted)
        _ask_skopeo(run_program, content)
        # After registries.d: an image is required to be signed once its signature is looked for.
        files += Write.plan(wanted.policy, content, Ownership(mode=0o644) if before is None else Ownership())
    return _Plan(files, merge.lines, merge.warnings, merge.record(during=True), merge.record(during=False))


class _Merge:
    """The entries of policy.json for scopes of registries, as they become. known: what was written under the name before, by scope."""

    def __init__(self, wanted: Wanted, record: remembered.Record, scopes: Scopes) -> None:
        self.wanted, self.scopes, self._record = wanted, scopes, record
        self.lines: list[str] = []
        self.warnings: list[str] = []
        self._known = self._written_by(wanted.name)
        self._others = {scope: name for name in record if name != wanted.name for scope in self._written_by(name)}
        self._kept: Scopes = {}

    def run(self) -> None:
        for requirement in self.wanted.requirements:
            self._put(requirement)
        for scope in self._known:
            if scope not in [requirement.scope for requirement in self.wanted.requirements]:
                self._take_out(scope)

    def lookups(self) -> lookups.Entries:
        """The entries for registries.d, those of other names included."""
        found = {scope: made["lookup"] for name in self._record if name != self.wanted.name for scope, made in self._written_by(name).items()}
        found.update({requirement.scope: requirement.in_registries for requirement in self.wanted.requirements})
        return {scope: entry for scope, entry in found.items() if entry}

    def record(self, *, during: bool) -> remembered.Record:
        """The record once the work is done, or while it may be half done, which knows the old values as well."""
        kept = {scope: dict(made) for scope, made in self._kept.items()}
        if during:
            for scope, made in self._known.items():
                entry = kept.setdefault(scope, {**made, "values": []})
                entry["values"] = [*entry["values"], *(value for value in made["values"] if value not in entry["values"])]
        there = {directory: made for directory, made in self._record.get(self.wanted.name, {}).items() if directory != self.wanted.directory}
        if kept:
            there[self.wanted.directory] = kept
        others = {name: made for name, made in self._record.items() if name != self.wanted.name}
        return {**others, **({self.wanted.name: there} if there else {})}

    def _put(self, requirement: Requirement) -> None:
        scope, new, there = requirement.scope, requirement.in_policy, self.scopes.get(requirement.scope)
        is_same, is_ours = same(there, new), self._is_ours(scope, there)
        if is_same and scope in self._others and scope not in self._known:
            self.lines.append(f"{scope}: was required under the name {self._others[scope]}, and is kept for this one too")
        elif is_same and not is_ours:
            return  # somebody else's, who says the same
        elif not is_same:
            if there is not None and scope in self._others:
                raise HoldfastError(
                    f"{requirement.place}.scope: something else is required of {scope} under the name {self._others[scope]}; right: one of the two"
                )
            if there is not None and not is_ours:
                raise HoldfastError(
                    f"{requirement.place}.scope: {self.wanted.policy} has another entry for {scope}, which this module did not write or which was changed "
                    "since; remove it there, or leave the scope out here"
                )
            self.lines.append(f"{scope}: {'added' if there is None else 'changed'}, {requirement.kind}")
            self.scopes[scope] = new
        self._kept[scope] = {"values": [new], "lookup": requirement.in_registries}

    def _take_out(self, scope: str) -> None:
        there = self.scopes.get(scope)
        if scope in self._others:
            self.lines.append(f"{scope}: stays for the name {self._others[scope]}")
        elif there is None:
            self.lines.append(f"{scope}: is not there any more, forgotten")
        elif self._is_ours(scope, there):
            self.lines.append(f"{scope}: removed")
            del self.scopes[scope]
        else:
            self.lines.append(f"{scope}: was changed by somebody else, left as it is")
            self.warnings.append(f"{self.wanted.policy}: the entry for {scope} was changed since this module has written it, so it stays; remove it by hand")

    def _is_ours(self, scope: str, there: t.Any) -> bool:
        return any(same(there, value) for value in self._known.get(scope, {}).get("values", []))

    def _written_by(self, name: str) -> Scopes:
        made = self._record.get(name, {}).get(self.wanted.directory)
        return (
            {scope: entry for scope, entry in made.items() if isinstance(entry, dict) and {"values", "lookup"} <= set(entry)} if isinstance(made, dict) else {}
        )


def _check(path: str, policy: dict[str, t.Any]) -> Scopes:
    """The entries for scopes of registries. Raises HoldfastError for what podman refuses as well, so that it is not taken for the module's doing."""
    unknown = sorted(set(policy) - {"default", "transports"})
    if unknown:
        raise HoldfastError(f"{path}: has a key {unknown[0]!r}, for which podman refuses every image; use default and transports alone")
    if "default" not in policy:
        raise HoldfastError(f'{path}: has no default, without which podman refuses every image; use "default": [{{"type": "insecureAcceptAnything"}}]')
    _check_list(path, "default", policy["default"])
    transports = policy.get("transports", {})
    for place, entries in [("transports", transports), *((f"transports.{name}", entries) for name, entries in _items(transports))]:
        if not isinstance(entries, dict):
            raise HoldfastError(f"{path}: {place} is {_json_text.kind(entries)}, and must be an object ({{...}})")
    for name, entries in transports.items():
        for scope, entry in entries.items():
            _check_list(path, f"transports.{name}[{scope!r}]", entry)
    scopes: Scopes = transports.get("docker", {})
    return scopes


def _items(value: t.Any) -> t.Iterable[tuple[str, t.Any]]:
    return value.items() if isinstance(value, dict) else ()


def _check_list(path: str, place: str, value: t.Any) -> None:
    if not isinstance(value, list) or not value:
        raise HoldfastError(f"{path}: {place} is {'an empty list' if value == [] else _json_text.kind(value)}, and must be a list of requirements")
    for number, requirement in enumerate(value):
        kind = requirement.get("type") if isinstance(requirement, dict) else None
        if kind not in _TYPES:
            raise HoldfastError(f"{path}: {place}[{number}] has the unknown type {kind!r}; podman knows {', '.join(_TYPES)}")


def _with(policy: dict[str, t.Any], scopes: Scopes) -> dict[str, t.Any]:
    """The policy with these entries for registries, and no empty objects that are left by those that went."""
    transports = dict(policy.get("transports", {}))
    transports["docker"] = scopes
    if not scopes:
        del transports["docker"]
    new = {**policy, "transports": transports}
    if not transports:
        del new["transports"]
    return new


def _refuse_old_programs(run_program: Run, wanted: Wanted) -> None:
    for requirement in wanted.requirements:
        if requirement.kind != "sigstore":
            continue
        for program, versions in _SINCE.items():
            needed = versions[len(requirement.keys) > 1]
            found = re.search(r"version (\d+)\.(\d+)", run_program(program, "--version").out)
            if found and (int(found[1]), int(found[2])) < needed:
                what = "several sigstore keys for one scope" if len(requirement.keys) > 1 else "sigstore keys"
                raise HoldfastError(
                    f"{requirement.place}.keys: {program} {found[1]}.{found[2]} on this host does not know {what}, and would refuse every image; "
                    f"use {program} {needed[0]}.{needed[1]} or newer{', or one key' if len(requirement.keys) > 1 else ''}"
                )


def _ask_skopeo(run_program: Run, content: bytes) -> None:
    """Have skopeo read the policy, where there is one, before it takes the old one's place."""
    with tempfile.NamedTemporaryFile(prefix="holdfast-policy.") as file:
        file.write(content)
        file.flush()
        # It reads the policy before it looks at either place, and would make a directory as the second: none can be made there.
        said = run_program("skopeo", "--policy", file.name, "copy", "dir:/dev/null/nothing", "dir:/dev/null/nothing").words
    if "trust policy" in said:
        raise HoldfastError(f"skopeo refuses the new policy: {said}. Nothing was changed")
