# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One source of packages with a key of its own: checked before it is written, and the only source of its repository."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import os
import tempfile
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._apt import openpgp, sources
from ansible_collections.holdfast.registry.plugins.module_utils._apt.sources import Repository
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result, Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, MakeDirectory, Remove, RemoveDirectory, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._host.state import STATE

_READABLE = Ownership(mode=0o644)
_LOCKED = ("Could not get lock", "Unable to lock", "Unable to acquire", "is locked by another process")
_HEAD = "# Managed by the Ansible module holdfast.registry.apt_source\n"

GetKey = t.Callable[[], bytes]


@dataclasses.dataclass(frozen=True)
class Source:
    """A repository under a name, below apt's directory. get_key reads its key from where the user has it."""

    name: str
    directory: str
    repository: Repository
    architectures: list[str]
    fingerprints: list[str]
    key_parameter: str
    get_key: GetKey
    lock_timeout: int

    @property
    def path(self) -> str:
        return os.path.join(self.directory, "sources.list.d", f"{self.name}.sources")

    @property
    def keyring(self) -> str:
        return os.path.join(self.directory, "keyrings", f"{self.name}.gpg")

    @property
    def record(self) -> str:
        """What says that these files are this module's, written before they are and removed after them."""
        return os.path.join(STATE, "apt", f"{self.name}.json")

    def content(self, keyring: str) -> bytes:
        """The source in deb822."""
        fields = {
            "Types": self.repository.types,
            "URIs": self.repository.uris,
            "Suites": self.repository.suites,
            "Components": self.repository.components,
            "Architectures": self.architectures,
            "Signed-By": [keyring],
        }
        return (_HEAD + "".join(f"{field}: {' '.join(values)}\n" for field, values in fields.items() if values)).encode()


def ensure(run_program: Run, source: Source, now: datetime.datetime, *, check_mode: bool) -> dict[str, t.Any]:
    """Have the source and no other one for its repository, or in check mode only say what that would change. Returns what the module returns."""
    with _alone(source, check_mode):
        key = _key(source, now)
        changes, others = _plan(source, key)
        ours = [change for change in changes if change.path in (source.path, source.keyring)]
        if ours:
            _verify(run_program, source, key)
        warnings = _trusted_elsewhere(source) if changes else []
        if changes and not check_mode:
            _write_record(source, others)
            for change in changes:
                change.apply()
            answer = _update(run_program, source, ["-o", f"Dir::Etc::SourceList={source.path}", "-o", "APT::Get::List-Cleanup=0"])
            if answer.code != 0:
                warnings.append(f"the lists of packages of {source.path} could not be updated: {answer.words}")
    return _result(changes, warnings, source)


def remove(source: Source, *, check_mode: bool) -> dict[str, t.Any]:
    """Remove the source, and have again what it took the place of."""
    with _alone(source, check_mode or not os.path.isdir(os.path.dirname(source.record))):
        record = _read_record(source)
        changes: list[Change] = []
        if record is not None:
            for path in record["others"]:
                content = whole.read_bytes(path)
                if content is not None:
                    changes += Write.plan(path, sources.switched_on(content, source.name), Ownership(), why="has its own entries for the repository again")
            changes += Remove.plan(source.path) + Remove.plan(source.keyring, show=lambda _content: "a keyring\n")
            directory = os.path.dirname(source.keyring)
            if record["directory"] and os.path.isdir(directory) and set(whole.names_in(directory)) <= {os.path.basename(source.keyring)}:
                changes.append(RemoveDirectory(directory, "removed"))
            if not check_mode:
                for change in changes:
                    change.apply()
                whole.remove(source.record)
    return _result(changes, [], source)


def _result(changes: list[Change], warnings: list[str], source: Source) -> dict[str, t.Any]:
    return {
        "changed": bool(changes),
        "reasons": [change.reason for change in changes],
        "source": source.path,
        "keyring": source.keyring,
        "diff": [change.diff for change in changes],
        "warnings": warnings,
    }


@contextlib.contextmanager
def _alone(source: Source, check_mode: bool) -> t.Iterator[None]:
    """One run at a time for all sources: two may be about the same file of others. What a killed run left of the record goes."""
    if check_mode:
        yield
        return
    whole.make_directories(os.path.dirname(source.record), 0o700)
    with locked(os.path.join(STATE, "apt", "sources")):
        whole.remove_leftovers(source.record)
        yield


def _key(source: Source, now: datetime.datetime) -> bytes:
    """The keyring: the one that is there, as long as its keys are right, or a new one."""
    there = whole.read_bytes(source.keyring) if _read_record(source) is not None else None
    if there is not None:
        try:
            openpgp.check(openpgp.read_keys(there, "key"), source.fingerprints, now, "key")
        except HoldfastError:
            pass
        else:
            return there
    keys = openpgp.read_keys(source.get_key(), source.key_parameter)
    openpgp.check(keys, source.fingerprints, now, source.key_parameter)
    return b"".join(key.content for key in keys)


def _plan(source: Source, key: bytes) -> tuple[list[Change], list[str]]:
    """The changes, and the files of others that have something switched off for this source."""
    if _read_record(source) is None:
        _refuse_others(source, key)
    changes: list[Change] = []
    others: list[str] = []
    for path in sources.files(source.directory):
        if path == source.path:
            continue
        there = whole.read_bytes(path) or b""
        before = sources.switched_on(there, source.name)
        content = sources.switched_off(path, before, source.name, source.repository)
        if content != before:
            others.append(path)
        why = f"has the repository too, switched off in favour of {source.path}" if content != before else "has its own entries again"
        changes += [] if content == there else Write.plan(path, content, Ownership(), why=why)
    directory = os.path.dirname(source.keyring)
    made: list[Change] = [] if os.path.isdir(directory) else MakeDirectory.plan(directory, Ownership(mode=0o755))
    keyring = Write.plan(source.keyring, key, _READABLE, show=lambda _content: f"a keyring of {', '.join(source.fingerprints)}\n")
    # The key first, and the others go before ours comes: with two, apt refuses to work.
    return made + keyring + changes + Write.plan(source.path, source.content(source.keyring), _READABLE), others


def _refuse_others(source: Source, key: bytes) -> None:
    """Raise HoldfastError where somebody else has written our files."""
    for path, content in ((source.path, source.content(source.keyring)), (source.keyring, key)):
        there = whole.read_bytes(path)
        if there not in (None, content):
            raise HoldfastError(f"{path}: exists and was not written by this module; remove it or choose another name")


def _verify(run_program: Run, source: Source, key: bytes) -> None:
    """Let apt fetch the repository's index into a directory of its own. Raises HoldfastError with apt's words."""
    with tempfile.TemporaryDirectory(prefix="holdfast-apt.") as stage:
        os.chmod(stage, 0o755)  # apt downloads and verifies as a user of its own
        for name in ("lists/partial", "cache/archives/partial"):
            os.makedirs(os.path.join(stage, name))
        keyring, path = os.path.join(stage, "key.gpg"), os.path.join(stage, "staged.sources")
        for name, content in ((keyring, key), (path, source.content(keyring))):
            whole.atomic_write(name, content, _READABLE)
        options = ["-o", f"Dir::Etc::SourceList={path}", "-o", f"Dir::State::Lists={stage}/lists", "-o", f"Dir::Cache={stage}/cache"]
        answer = _update(run_program, source, options)
        if answer.code != 0:
            said = [line.strip() for line in (answer.out + "\n" + answer.err).replace(stage, "").splitlines() if line.startswith(("E:", "W:", "Err:"))]
            raise HoldfastError(f"uris: apt does not accept {' '.join(source.repository.uris)}, so nothing was changed: {'; '.join(said[-4:]) or answer.words}")


def _update(run_program: Run, source: Source, options: list[str]) -> Result:
    """apt-get update for one source, waiting while another program has the lists."""
    command = ("apt-get", "--quiet", "update", "-o", "APT::Update::Error-Mode=any", "-o", "Dir::Etc::SourceParts=/dev/null", *options)
    deadline = time.monotonic() + source.lock_timeout
    while True:
        answer = run_program(*command, environment={"DEBIAN_FRONTEND": "noninteractive"})
        if answer.code == 0 or not any(word in answer.err for word in _LOCKED) or time.monotonic() > deadline:
            return answer
        time.sleep(2)


def _trusted_elsewhere(source: Source) -> list[str]:
    """A warning for each keyring with one of the keys, from which apt trusts it for every repository."""
    found = []
    directory = os.path.join(source.directory, "trusted.gpg.d")
    paths = [os.path.join(directory, name) for name in whole.names_in(directory) if name.endswith((".gpg", ".asc"))]
    for path in [*paths, os.path.join(source.directory, "trusted.gpg")]:
        try:
            keys = openpgp.read_keys(whole.read_bytes(path) or b"", path)
        except HoldfastError:
            continue  # none, or one in another format, which is not ours to judge
        if {key.fingerprint for key in keys} & set(source.fingerprints):
            found.append(f"{path}: trusts this key for every repository; remove it, the new source does not need it")
    return found


def _read_record(source: Source) -> dict[str, t.Any] | None:
    content = whole.read_bytes(source.record)
    if content is None:
        return None
    try:
        data = json.loads(content)
        return {"others": [str(path) for path in data["others"]], "directory": bool(data["directory"])}
    except (ValueError, KeyError, TypeError):
        return {"others": sources.files(source.directory), "directory": False}


def _write_record(source: Source, others: list[str]) -> None:
    before = _read_record(source)
    made = before["directory"] if before else not os.path.isdir(os.path.dirname(source.keyring))
    known = [path for path in (before["others"] if before else []) if path not in others]
    content = json.dumps({"others": known + others, "directory": made}) + "\n"
    whole.atomic_write(source.record, content.encode(), Ownership(mode=0o600))
