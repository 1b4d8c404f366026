# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine's daemon.json: settings merged into it and taken out of it, by whoever asks for them."""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._docker import engine, remembered
from ansible_collections.holdfast.registry.plugins.module_utils._docker.merge import Claims, Merged, merge
from ansible_collections.holdfast.registry.plugins.module_utils._docker.remembered import Places, Remembered
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, SetMode, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import make_directories, read_bytes
from ansible_collections.holdfast.registry.plugins.module_utils._json_text import read_object, same, write_object
from ansible_collections.holdfast.registry.plugins.module_utils._urls import masked_json

_CLOSED = "closed to other users, since it has a password"


class Wanted(t.NamedTuple):
    """What a name wants in the file at a path, which the engine of a unit reads. The former names no longer want anything there."""

    name: str
    path: str
    unit: str
    settings: dict[str, t.Any]
    former: tuple[str, ...] = ()


class _Plan(t.NamedTuple):
    changes: list[Change]
    action: str
    marks: list[str]
    before: Remembered
    after: Remembered
    content: bytes


def configure(run_program: Run, wanted: Wanted, *, check_mode: bool) -> dict[str, t.Any]:
    """Bring the file into its state, or in check mode only say what that would change. Returns what the module returns."""
    places, warnings = Places.of(wanted.path), []
    if not wanted.settings and not os.path.exists(places.record):
        # Nothing to put in and nothing to take out: then the file is not our business, whatever is in it.
        return _result(_Plan([], "none", [], Remembered(), Remembered(), b""), places, [])
    if not check_mode:
        make_directories(os.path.dirname(places.record), 0o700)
    with contextlib.nullcontext() if check_mode else locked(places.record):
        plan = _plan(wanted, places)
        if any(isinstance(change, Write) for change in plan.changes):
            words = engine.arguments(run_program, wanted.unit)
            engine.check_path(wanted.path, words)
            if not check_mode or os.path.isdir(os.path.dirname(wanted.path)):
                warnings = [line for line in [engine.validate(run_program, words, wanted.path, plan.content)] if line]
        if not check_mode:
            _carry_out(plan, places)
    return _result(plan, places, warnings)


def _result(plan: _Plan, places: Places, warnings: list[str]) -> dict[str, t.Any]:
    return {
        "changed": bool(plan.changes),
        "action": plan.action,
        "reasons": [change.reason for change in plan.changes],
        "restart_mark": places.restart,
        "reload_mark": places.reload,
        "diff": [change.diff for change in plan.changes],
        "warnings": warnings,
    }


def _plan(wanted: Wanted, places: Places) -> _Plan:
    before, content = remembered.read(places), _read(wanted.path)
    data = read_object(wanted.path, content or b"", with_mark=True)
    merged = Merged(data, before.claims)
    # Those of the past first, or what they have set otherwise would be in the way.
    for name, settings in (*((former, {}) for former in wanted.former), (wanted.name, wanted.settings)):
        merged = merge(merged.data, settings, name, merged.claims, where=wanted.path, parameter="settings")
    original = before.original if before.claims.by_name else content
    access = _access(wanted.path, content, before, merged.claims)
    after = Remembered(merged.claims, original, access.former)
    if same(merged.data, data):
        return _Plan(SetMode.plan(wanted.path, access.ownership, why=access.why), "none", [], before, after, content or b"")
    action = engine.action(data, merged.data)
    marks = [places.restart] if action == "restart" else []
    marks += [places.reload] if action == "reload" or engine.reloads_first(data, merged.data) else []
    new = write_object(merged.data, content or b"")
    changes: list[Change]
    if not merged.claims.by_name and not merged.data and original is None:
        changes = Remove.plan(wanted.path, show=_show, why="removed, since nothing is left in it")
    else:
        if (
            not merged.claims.by_name
            and original is not None
            and same(_without_null(read_object(wanted.path, original, with_mark=True)), _without_null(merged.data))
        ):
            new = original
        keys = [key for key in {**data, **merged.data} if not same([data.get(key), key in data], [merged.data.get(key), key in merged.data])]
        why = "; ".join([f"{'added' if content is None else 'changed'}: {', '.join(keys)}", *([access.why] if access.why else [])])
        changes = Write.plan(wanted.path, new, access.ownership, show=_show, why=why)
    return _Plan(changes, action, marks, before, after, new)


class _Access(t.NamedTuple):
    """The mode that the file gets, why, and the mode to give back once nothing in it has to be closed any longer."""

    ownership: Ownership
    why: str = ""
    former: int | None = None


def _access(path: str, content: bytes | None, before: Remembered, claims: Claims) -> _Access:
    """Other users are not to read a password that is set in the file. One that was there before is not ours to hide."""
    if content is None:
        return _Access(Ownership(mode=0o600))
    there = stat.S_IMODE(os.stat(path).st_mode)
    has_secret = any(True for made in claims.by_name.values() for claim in made for _secret in engine.credentials(claim.value, claim.path[-1]))
    if has_secret:
        closed = there & 0o770
        return _Access(Ownership(mode=closed), _CLOSED, before.mode or there) if there != closed else _Access(Ownership(), former=before.mode)
    if before.mode is not None and there == before.mode & 0o770:
        return _Access(Ownership(mode=before.mode), "open again, since its password is gone")
    return _Access(Ownership())


def _without_null(value: t.Any) -> t.Any:
    """A value without members that are null, which the engine takes for those that are not there."""
    return {key: _without_null(member) for key, member in value.items() if member is not None} if isinstance(value, dict) else value


def _carry_out(plan: _Plan, places: Places) -> None:
    """The record comes first, and forgets last: what a killed run leaves is in it, and at worst something that the file does not have."""
    remembered.remove_leftovers(places)
    if plan.changes:
        remembered.write(places, _both(plan.before, plan.after))
        for path in plan.marks:
            remembered.mark(path, plan.content)
    for change in plan.changes:
        change.apply()
    if plan.changes or plan.before != plan.after:
        remembered.write(places, plan.after)


def _both(before: Remembered, after: Remembered) -> Remembered:
    """The claims of after, and those of before that it has let go."""
    by_name = {}
    for name in {**before.claims.by_name, **after.claims.by_name}:
        claims = {claim.path: claim for claim in after.claims.by_name.get(name, [])}
        for old in before.claims.by_name.get(name, []):
            claims[old.path] = claims[old.path].after(old) if old.path in claims else old
        by_name[name] = list(claims.values())
    made = after.claims.made + [path for path in before.claims.made if path not in after.claims.made]
    return Remembered(Claims(by_name, made), after.original, before.mode if after.mode is None else after.mode)


def _read(path: str) -> bytes | None:
    """The file's content, or None without a file. A link to nothing, and what is no file, is refused."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            raise HoldfastError(f"{path}: is a symbolic link to {os.readlink(path)}, which is not there; it is left as it is, correct or remove it") from None
        return None
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be read: {error.strerror}; it is left as it is, correct or remove it") from error
    if not stat.S_ISREG(status.st_mode):
        raise HoldfastError(f"{path}: is not a plain file; it is left as it is, correct or remove it")
    return read_bytes(path)


def _show(content: bytes) -> str:
    return masked_json(content.decode("utf-8", errors="replace"))
