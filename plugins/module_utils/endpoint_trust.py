# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CA certificates in the stores that keep them by registry: certs.d of Docker, of podman and its kin, and of containerd."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import files
from ansible_collections.holdfast.registry.plugins.module_utils.der import Certificate
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.file_changes import FileChange, to_remove, to_write
from ansible_collections.holdfast.registry.plugins.module_utils.pem import certificates_in, to_pem

_MARK = "# Managed by the Ansible module holdfast.registry.ca_trust\n"
_HOSTS = "hosts.toml"


@dataclasses.dataclass(frozen=True)
class EndpointStore:
    """A directory with a directory for each registry. with_hosts: containerd's, which has a hosts.toml in each."""

    base: str
    with_hosts: bool


def plan(store: EndpointStore, name: str, certificates: list[Certificate], endpoints: t.Sequence[str]) -> list[FileChange]:
    """What it takes for these certificates to be trusted at these endpoints under name, and nowhere else under it.

    Without certificates: for none to be trusted at these endpoints, or without endpoints at any. Nothing is changed.
    """
    directories = [os.path.join(store.base, endpoint) for endpoint in endpoints]
    changes = []
    if certificates:
        for directory in directories:
            changes += _plan_endpoint(store, directory, name, certificates)
        given = {os.path.realpath(directory) for directory in directories}
        others = [directory for directory in _directories(store.base) if os.path.realpath(directory) not in given]
    else:
        others = [directory for directory in directories if os.path.isdir(directory)] if directories else _directories(store.base)
    for directory in others:
        removals = _plan_removal(store, directory, name)
        changes += removals
        gone = {os.path.basename(change.path) for change in removals if change.after is None}
        # An empty directory is in the way: podman looks no further than the first directory of the registry's name.
        if (removals or not certificates) and gone == set(_entries(directory)) and not os.path.islink(directory):
            changes.append(FileChange(directory, None, None, "empty directory removed", directory=True))
    return changes


def apply(store: EndpointStore, name: str, certificates: list[Certificate], endpoints: t.Sequence[str]) -> list[FileChange]:
    """Make what plan() says, one run at a time. Returns what was made."""
    files.make_directories(os.path.dirname(store.base), 0o755)
    with files.locked(store.base):
        changes = plan(store, name, certificates, endpoints)
        for change in changes:
            change.make()
    return changes


def _plan_endpoint(store: EndpointStore, directory: str, name: str, certificates: list[Certificate]) -> list[FileChange]:
    path = os.path.join(directory, f"{name}.crt")
    before = files.read_bytes(path)
    if before is not None and not _is_ours(before) and certificates_in(before) != {certificate.der for certificate in certificates}:
        raise HoldfastError(f"{path}: exists, holds other certificates and was not written by this module; remove it or choose another name")
    content = _MARK + "".join(to_pem(certificate) for certificate in certificates)
    changes = _plan_leftovers(directory, name) + to_write(path, content.encode())
    if store.with_hosts:
        _refuse_hidden(directory)
        changes += _plan_hosts(directory, _authorities(directory) | {f"{name}.crt"})
    return changes


def _plan_removal(store: EndpointStore, directory: str, name: str) -> list[FileChange]:
    path = os.path.join(directory, f"{name}.crt")
    changes = _plan_leftovers(directory, name)
    gone = {f"{name}.crt"} if _is_ours(files.read_bytes(path)) else set()
    # hosts.toml first: containerd refuses one that names a missing file.
    if store.with_hosts and _is_ours(files.read_bytes(os.path.join(directory, _HOSTS))):
        changes += _plan_hosts(directory, _authorities(directory) - gone)
    if gone:
        changes.append(to_remove(path))
    return changes


def _plan_leftovers(directory: str, name: str) -> list[FileChange]:
    leftovers = [entry for entry in _entries(directory) if files.leftover_of(entry) in (f"{name}.crt", _HOSTS)]
    return [to_remove(os.path.join(directory, entry), "left by a run that was killed, removed") for entry in leftovers]


def _refuse_hidden(directory: str) -> None:
    base, endpoint = os.path.split(directory)
    host, _colon, port = endpoint.rpartition(":")
    preferred = os.path.join(base, f"{host}_{port}_")
    if host and os.path.exists(preferred):
        raise HoldfastError(f"{preferred}: exists, and containerd would read it instead of {directory}; remove it or leave containerd out of stores")


def _authorities(directory: str) -> set[str]:
    return {entry for entry in _entries(directory) if entry.endswith(".crt")}


def _plan_hosts(directory: str, authorities: set[str]) -> list[FileChange]:
    """The hosts.toml that names these CA files of its directory, whatever they were put there for."""
    path = os.path.join(directory, _HOSTS)
    before = files.read_bytes(path)
    if before is not None and not _is_ours(before):
        raise HoldfastError(f"{path}: exists and was not written by this module; add the CA to it by hand, or remove it, or leave containerd out of stores")
    if not authorities:
        return [to_remove(path)]
    url = json.dumps(f"https://{os.path.basename(directory)}")
    paths = json.dumps([os.path.join(directory, entry) for entry in sorted(authorities)])
    # No table [host]: containerd asks the server after every host, and would ask it without a host's ca.
    content = f'{_MARK}server = {url}\ncapabilities = ["pull", "resolve", "push"]\nca = {paths}\n'
    return to_write(path, content.encode())


def _is_ours(content: bytes | None) -> bool:
    return content is not None and content.startswith(_MARK.encode())


def _directories(base: str) -> list[str]:
    paths = [os.path.join(base, entry) for entry in _entries(base)]
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]


def _entries(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HoldfastError(f"{directory}: cannot be read: {error.strerror}") from error
