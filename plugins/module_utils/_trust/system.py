# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CA certificates in the system's store: the anchors an administrator adds, and what the distribution's command makes of them."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import changes, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import Certificate, certificates_in, subject_hash
from ansible_collections.holdfast.registry.plugins.module_utils._trust.kept import Kept, is_marked, plan_write, refuse_others

_SPLIT = r"(?:-[0-9a-f]{16})?"


@dataclasses.dataclass(frozen=True)
class SystemStore:
    """Where a distribution keeps its trust.

    command is the path of the program that turns anchors into the bundle and, where there is a directory hashes,
    into OpenSSL's links there; None where it is not installed. refreshes are the arguments to try it with in turn.
    """

    anchors: str
    bundle: str
    hashes: str | None
    command: str | None
    refreshes: t.Sequence[t.Sequence[str]] = ((),)

    @classmethod
    def of_this_host(cls, anchors: str | None, root: str = "/") -> SystemStore:
        """The store of the host whose files begin at root."""
        programs = [os.path.join(root, directory) for directory in ("usr/sbin", "usr/bin", "sbin", "bin")]
        path = os.pathsep.join([*programs, os.environ.get("PATH", "")])
        if os.path.isdir(os.path.join(root, "etc/pki/ca-trust/source")):
            return cls(
                anchors=anchors or os.path.join(root, "etc/pki/ca-trust/source/anchors"),
                bundle=os.path.join(root, "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
                hashes=None,
                command=shutil.which("update-ca-trust", path=path),
            )
        return cls(
            anchors=anchors or os.path.join(root, "usr/local/share/ca-certificates"),
            bundle=os.path.join(root, "etc/ssl/certs/ca-certificates.crt"),
            hashes=os.path.join(root, "etc/ssl/certs"),
            command=shutil.which("update-ca-certificates", path=path),
            # --fresh removes all links for a moment, so it is tried last; most changes do not need it.
            refreshes=((), ("--fresh",)),
        )


@dataclasses.dataclass(frozen=True)
class SystemPlan:
    """What the files need, and if they need nothing, why the command has to run all the same."""

    changes: list[Change]
    stale: list[str]

    @property
    def reasons(self) -> list[str]:
        return [change.reason for change in self.changes] or self.stale

    @property
    def diff(self) -> list[dict[str, str]]:
        return [change.diff for change in self.changes] or [{"prepared": f"{reason}\n"} for reason in self.stale]


def plan(run_program: Run, store: SystemStore, wanted: Kept) -> SystemPlan:
    """What it takes for exactly these certificates to be trusted under a name, and with exclusive nothing under another. Nothing is changed."""
    wanted = wanted.with_those_in(lambda: kept(store, wanted.name))
    anchors = _anchors(store, wanted)
    ours = _ours(wanted.name, *wanted.former)
    planned: list[Change] = []
    for path, certificate in anchors.items():
        _refuse_clash(store, path)
        refuse_others(path, [certificate])
        planned += plan_write(path, certificate.pem.encode())
    for path in _entries(store.anchors):
        leftover = whole.leftover_of(os.path.basename(path))
        if leftover and ours.fullmatch(leftover):
            planned += Remove.plan(path, why="left by a run that was killed, removed")
        elif path not in anchors and (wanted.exclusive or ours.fullmatch(os.path.basename(path))) and path.endswith(".crt") and is_marked(path):
            planned += Remove.plan(path)
    stale = [f"{store.bundle}: an earlier run did not finish its refresh"] if os.path.exists(_pending(store)) else []
    return SystemPlan(planned, stale + _stale(run_program, store, wanted.certificates))


def apply(run_program: Run, store: SystemStore, wanted: Kept) -> SystemPlan:
    """Make what plan() says, one run at a time. Returns what was made.

    A file beside the anchors' directory stands for a refresh that has begun and has not been seen to succeed.
    """
    whole.make_directories(store.anchors, 0o755)
    with locked(store.anchors) as lock:
        todo = plan(run_program, store, wanted)
        if not todo.reasons:
            return todo
        command = require_command(store)
        refreshes = store.refreshes
        if os.path.exists(_pending(store)):
            # update-ca-certificates would append to the partial bundle of a killed run, and not restore links that it had removed.
            whole.remove(f"{store.bundle}.new")
            refreshes = refreshes[-1:]
        whole.remove_leftovers(_pending(store))
        whole.atomic_write(_pending(store), b"", Ownership(mode=0o600))
        changes.apply(todo.changes)
        left: list[str] = []
        for arguments in refreshes:
            # The command inherits the lock: should this process be killed, the next one waits for it to end.
            _refresh(run_program, [command, *arguments], lock.descriptor)
            left = _stale(run_program, store, wanted.certificates)
            if not left:
                whole.remove(_pending(store))
                return todo
    raise HoldfastError(f"{command} ran without an error, but {'; '.join(left)}; does it read {store.anchors}?")


def files_of(store: SystemStore, wanted: Kept) -> list[str]:
    """The files that hold the certificates, and first the one that would hold a single one, whether there is one or not."""
    return list(dict.fromkeys([os.path.join(store.anchors, f"{wanted.name}.crt"), *_anchors(store, wanted)]))


def kept(store: SystemStore, name: str) -> list[bytes]:
    """The files that hold certificates under a name."""
    paths = [path for path in _entries(store.anchors) if _ours(name).fullmatch(os.path.basename(path)) and is_marked(path)]
    return [whole.read_bytes(path) or b"" for path in paths]


def require_command(store: SystemStore) -> str:
    if store.command is None:
        wanted = "update-ca-certificates" if store.hashes else "update-ca-trust"
        raise HoldfastError(f"stores: the system store needs {wanted}, which is not on this host; install the package ca-certificates first")
    return store.command


def _ours(*names: str) -> re.Pattern[str]:
    """The names of files that hold certificates under these names."""
    return re.compile(rf"(?:{'|'.join(re.escape(name) for name in names)}){_SPLIT}\.crt")


def _anchors(store: SystemStore, wanted: Kept) -> dict[str, Certificate]:
    """One file for each certificate: OpenSSL makes no link for a file that holds several."""
    if len(wanted.certificates) == 1:
        return {os.path.join(store.anchors, f"{wanted.name}.crt"): wanted.certificates[0]}
    return {os.path.join(store.anchors, f"{wanted.name}-{certificate.fingerprint_sha256[:16]}.crt"): certificate for certificate in wanted.certificates}


def _refuse_clash(store: SystemStore, anchor: str) -> None:
    """Two anchors of one file name, wherever they lie, take each other's link away at every refresh."""
    if store.hashes is None:
        return
    link = os.path.join(store.hashes, os.path.basename(anchor)[: -len(".crt")] + ".pem")
    if os.path.exists(link) and whole.link_target(link) != anchor:
        raise HoldfastError(f"name: {link} already belongs to another certificate; choose another name")


def _stale(run_program: Run, store: SystemStore, certificates: list[Certificate]) -> list[str]:
    """Why the store as clients see it does not agree with the anchors."""
    stale = []
    bundle = certificates_in(whole.read_bytes(store.bundle)) if certificates else set()
    for certificate in certificates:
        if certificate.der not in bundle:
            stale.append(f"{store.bundle}: lacks {certificate.subject}")
        if store.hashes is not None and not _is_linked(run_program, store.hashes, certificate):
            stale.append(f"{store.hashes}: has no link for {certificate.subject}")
    for path in _entries(store.hashes) if store.hashes else []:
        # What has no target is a link, or was a temporary file of another run.
        if not os.path.exists(path) and os.path.islink(path) and os.path.dirname(os.path.realpath(path)) in _places(store):
            stale.append(f"{path}: points to a certificate that is gone")
    return stale


def _places(store: SystemStore) -> list[str]:
    return [os.path.realpath(directory) for directory in (store.anchors, store.hashes) if directory]


def _is_linked(run_program: Run, directory: str, certificate: Certificate) -> bool:
    """Look the certificate up the way OpenSSL does: the hash of its subject, numbered from 0 without a gap."""
    stem = subject_hash(run_program, certificate.der) if os.path.isdir(directory) else None
    number = 0
    while stem:
        content = whole.read_bytes(os.path.join(directory, f"{stem}.{number}"))
        if content is None:
            break
        if certificate.der in certificates_in(content):
            return True
        number += 1
    return False


def _entries(directory: str) -> list[str]:
    return [os.path.join(directory, name) for name in whole.names_in(directory)]


def _pending(store: SystemStore) -> str:
    parent, directory = os.path.split(os.path.realpath(store.anchors))
    return os.path.join(parent, f"{directory}.pending")


def _refresh(run_program: Run, command: list[str], lock: int) -> None:
    result = run_program(*command, descriptors=[lock])
    if result.code:
        output = (result.out + result.err).strip()
        raise HoldfastError(f"{' '.join(command)} failed with exit code {result.code}: {output[-500:]}")
