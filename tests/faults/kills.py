# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kill a module again and again, each time from the same starting state, and look at what is left."""

from __future__ import annotations

import collections
import json
import os
import pathlib
import random
import re
import shutil
import stat
import typing as t

import harness
from cases import PASSPHRASE, Case
from cryptography import x509
from cryptography.hazmat.primitives import serialization

_OWN = (".lock", ".pending")  # no content that anybody reads
_TEMPORARY = ".holdfast-tmp"

Tree = dict[str, bytes]


class Tally(t.NamedTuple):
    """What was seen of one module."""

    kills: int
    old: int
    new: int
    between: int
    leftovers: int
    problems: list[str]


def kill_often(case: Case, count: int, work: pathlib.Path, chance: random.Random) -> Tally:
    """Kill one case's run count times."""
    start = work.with_name("start")
    _reset(work, None)
    arguments = case.prepare(work)
    shutil.rmtree(start, ignore_errors=True)
    shutil.copytree(work, start, symlinks=True)
    span = harness.measure(case.module, arguments, lambda: _reset(work, start))
    old = tree(work)
    harness.run(case.module, arguments)
    new = tree(work)

    seen: collections.Counter[str] = collections.Counter()
    problems = []
    kills = misses = 0
    while kills < count and misses < 20 * count:
        _reset(work, start)
        kill = span.random_kill(chance)
        if not harness.run(case.module, arguments, kill).killed:
            misses += 1  # it had ended before
            continue
        kills += 1
        left = tree(work, temporary=True)
        seen["leftovers"] += any(_is_temporary(path) for path in left)
        seen[_state(tree(work), old, new)] += 1
        problems += [f"{case.module}, {case.title}, {kill}: {problem}" for problem in _broken(work, left, old, new) + _unfinished(case, arguments, work, new)]
    if kills < count:
        problems.append(f"{case.module}, {case.title}: only {kills} of {count} kills hit")
    return Tally(kills, seen["old"], seen["new"], seen["between"], seen["leftovers"], problems)


def tree(root: pathlib.Path, temporary: bool = False) -> Tree:
    """The files below a directory with their content, links with their target. Without locks; with temporary files only if asked for.

    A backup, whose name holds a process and a time, is named as if it did not.
    """
    found = {}
    for directory, _directories, names in os.walk(root):
        for name in names:
            path = pathlib.Path(directory, name)
            below = str(path.relative_to(root))
            if not name.endswith(_OWN) and (temporary or not _is_temporary(below)):
                found[re.sub(r"\.[0-9]+\.[-0-9]+@[0-9:]+~$", ".backup", below)] = os.readlink(path).encode() if path.is_symlink() else path.read_bytes()
    return found


def _is_temporary(path: str) -> bool:
    """Whether it is a temporary file, or in a temporary directory."""
    return any(part.endswith(_TEMPORARY) for part in path.split("/"))


def _reset(work: pathlib.Path, start: pathlib.Path | None) -> None:
    shutil.rmtree(work, ignore_errors=True)
    if start is None:
        work.mkdir(parents=True)
    else:
        shutil.copytree(start, work, symlinks=True)


def _state(now: Tree, old: Tree, new: Tree) -> str:
    """Whether nothing has happened yet, or everything; random content is new where it is not the old one."""
    if now == old:
        return "old"
    changed = {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}
    done = all((path in now) == (path in new) and now.get(path) != old.get(path) for path in changed)
    return "new" if done else "between"


def _broken(work: pathlib.Path, left: Tree, old: Tree, new: Tree) -> list[str]:
    """What is not whole. A file is what it was, or what it becomes, or, where that is random, a whole one of its kind."""
    broken = []
    for path, content in left.items():
        if _is_temporary(path) or path.startswith("certs/"):
            continue  # certs/ is made by update-ca-certificates; that it is right in the end is seen by the next run
        if content not in (old.get(path), new.get(path)) and not _whole(path, content, old.get(path, b"")):
            broken.append(f"{path} is neither old nor new")
        if content != old.get(path) and _too_open(work / path):
            broken.append(f"{path} can be read by everybody")
    broken += [f"{path} is gone" for path in old if path in new and path not in left and not path.startswith("certs/")]
    keys = {path: _public(content) for path, content in left.items() if path.endswith((".key", ".key.new"))}
    for path in left:
        stem = path[: -len(".crt")]
        pair = [keys[name] for name in (f"{stem}.key", f"{stem}.key.new") if name in keys]
        if path.startswith(("ca/", "tls/")) and path.endswith(".crt") and pair and _public(left[path]) not in pair:
            broken.append(f"{path} does not fit its key")
    return broken


def _too_open(path: pathlib.Path) -> bool:
    secret = path.suffix in (".key", ".new", ".jsonl") or path.name in ("htpasswd", "config.json", "registry_login.json")
    return secret and not path.is_symlink() and bool(stat.S_IMODE(path.stat().st_mode) & 0o007)


def _whole(path: str, content: bytes, before: bytes) -> bool:
    """Whether random content is a whole file of its kind."""
    if path.endswith((".key", ".key.new", ".crt")):
        return content.endswith(b"-----\n") and _public(content) is not None
    if path.endswith(".crl"):
        return content.endswith(b"-----\n") and bool(x509.load_pem_x509_crl(content).signature)
    if path.endswith(".jsonl"):
        return content.endswith(b"\n") and _serials(before) <= _serials(content)
    if path.startswith("holdfast/"):  # a record, which knows the old and the new while a run changes one to the other
        return content.endswith(b"}\n") and isinstance(json.loads(content), dict)
    if path == "htpasswd":
        return content.endswith(b"\n") and all(len(line.partition(b":")[2]) == 60 for line in content.splitlines() if line[:1] != b"#")
    return False


def _serials(record: bytes) -> set[str]:
    return {json.loads(line)["serial"] for line in record.splitlines()}


def _public(content: bytes) -> bytes | None:
    """The public key of a key or certificate in PEM."""
    try:
        if b"CERTIFICATE" in content:
            key = x509.load_pem_x509_certificate(content).public_key()
        else:
            key = serialization.load_pem_private_key(content, PASSPHRASE.encode() if b"ENCRYPTED" in content else None).public_key()
    except (ValueError, TypeError):
        return None
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _unfinished(case: Case, arguments: dict[str, t.Any], work: pathlib.Path, new: Tree) -> list[str]:
    """What the next run leaves undone."""
    try:
        after = harness.run(case.module, arguments)
        again = harness.run(case.module, arguments) if case.idempotent else None
    except (RuntimeError, TimeoutError) as error:
        return [f"the next run: {error}"]
    if not after.succeeded:
        return [f"the next run fails: {after.result.get('msg')}"]
    unfinished = []
    if again and (not again.succeeded or again.result["changed"]):
        unfinished.append(f"the run after the next changes something: {again.result}")
    left = tree(work, temporary=True)
    unfinished += [f"{path} is left behind" for path in left if _is_temporary(path)]
    unfinished += [f"{path}: there only after a kill" for path in left.keys() - new.keys() if not _is_temporary(path)]
    unfinished += [f"{path}: missing after a kill" for path in new.keys() - left.keys()]
    return unfinished
