# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is trusted by registry: certs.d of Docker, of podman and its kin, and of containerd.

In a registry's directory NAME.crt holds the CA certificates, NAME.cert and NAME.key point to the client's own. NAME.crt says
whether it is this module's, and the pair with it: it is written before them and removed after them.
"""

from __future__ import annotations

import dataclasses
import os

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import changes, whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Link, Remove, RemoveDirectory, Write
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._hosts_toml import NAME, head, is_of_mirrors, of_trust, with_head
from ansible_collections.holdfast.registry.plugins.module_utils._trust.kept import MARK, READABLE, Kept, is_marked, plan_write, refuse_others

_PAIR_MARK = b"# So are the links of the same name to a client's certificate and key.\n"


@dataclasses.dataclass(frozen=True)
class RegistryStore:
    """A directory with a directory for each registry. with_hosts: containerd's, which has a hosts.toml in each."""

    base: str
    with_hosts: bool


def plan(store: RegistryStore, wanted: Kept) -> list[Change]:
    """What it takes for the certificates to be kept at these endpoints under the name, and nowhere else under it.

    Without certificates: for none to be kept at these endpoints, or without endpoints at any. Nothing is changed.
    """
    wanted = wanted.with_those_in(lambda: kept(store, wanted.name))
    directories = [os.path.join(store.base, endpoint) for endpoint in wanted.endpoints]
    planned: list[Change] = []
    if wanted.certificates:
        for directory in directories:
            planned += _plan_directory(store, directory, wanted, keep=True)
        given = {os.path.realpath(directory) for directory in directories}
        others = [directory for directory in _directories(store.base) if os.path.realpath(directory) not in given] if wanted.leave else []
    else:
        others = [directory for directory in directories if os.path.isdir(directory)] if directories else _directories(store.base)
    for directory in others:
        removals = _plan_directory(store, directory, wanted, keep=False)
        planned += removals
        # An empty directory, which a killed run may have left, is in the way: podman looks no further than the first of the registry's name.
        if _removed(removals) == set(whole.names_in(directory)) and not os.path.islink(directory):
            planned.append(RemoveDirectory(directory, "empty directory removed"))
    return planned


def apply(store: RegistryStore, wanted: Kept) -> list[Change]:
    """Make what plan() says, one run at a time. Returns what was made."""
    if not wanted.certificates and not os.path.isdir(store.base):
        return []  # no lock either, whose directory would have to be made
    whole.make_directories(os.path.dirname(store.base), 0o755)
    with locked(store.base):
        planned = plan(store, wanted)
        changes.apply(planned)
    return planned


def kept(store: RegistryStore, name: str) -> list[bytes]:
    """The files that hold certificates under a name, at whatever endpoint."""
    paths = [os.path.join(directory, f"{name}.crt") for directory in _directories(store.base)]
    return [whole.read_bytes(path) or b"" for path in paths if is_marked(path)]


def _removed(planned: list[Change]) -> set[str]:
    """The names in a directory that are to go."""
    return {os.path.basename(change.path) for change in planned if isinstance(change, Remove)}


def _plan_directory(store: RegistryStore, directory: str, wanted: Kept, keep: bool) -> list[Change]:
    written, removed = _plan_kept(directory, wanted) if keep else ([], [])
    for name in _kept_names(directory):
        if (wanted.exclusive and name != wanted.name) or (not keep and name == wanted.name) or (wanted.leave and name in wanted.former):
            removed += [*_plan_removal_of_pair(directory, name), *Remove.plan(os.path.join(directory, f"{name}.crt"))]
    hosts: list[Change] = []
    if store.with_hosts and keep:
        _refuse_hidden(directory)
    path = os.path.join(directory, NAME)
    if (store.with_hosts and (keep or is_marked(path))) or _has_mirrors(path):
        stay = {os.path.basename(change.path) for change in written}
        # In the middle: containerd refuses a hosts.toml that names a missing file.
        hosts = _plan_hosts(directory, (set(whole.names_in(directory)) | stay) - _removed(removed))
    return _plan_leftovers(directory, wanted.name) + written + hosts + removed


def _plan_kept(directory: str, wanted: Kept) -> tuple[list[Change], list[Change]]:
    """What the wanted name takes: what may be named in hosts.toml once it is there, and what only after nothing there names it."""
    path = os.path.join(directory, f"{wanted.name}.crt")
    refuse_others(path, wanted.certificates)
    has_pair = _has_pair(path)
    pair_stays = has_pair and wanted.additional is not None
    content = (_PAIR_MARK if wanted.client or pair_stays else b"") + "".join(certificate.pem for certificate in wanted.certificates).encode()
    if wanted.client is None and pair_stays:
        return plan_write(path, content), []
    if wanted.client is None:
        pair = _plan_removal_of_pair(directory, wanted.name)
        return ([], pair + plan_write(path, content)) if pair else (plan_write(path, content), [])
    written = plan_write(path, content)
    files, names = wanted.client.files, wanted.client.names
    # The key first: Docker refuses a registry with a certificate that has no key.
    for parameter, target, kind in ((names.key, files.key, "key"), (names.certificate, files.certificate, "cert")):
        written += _plan_link(os.path.join(directory, f"{wanted.name}.{kind}"), target, parameter, ours=has_pair)
    return written, []


def _plan_link(path: str, target: str, parameter: str, ours: bool) -> list[Change]:
    if _place(target) == _place(path):
        raise HoldfastError(f"{parameter}: {target} is where this module puts its link; use a file outside of the stores")
    if os.path.lexists(path) and whole.link_target(path) != target and not (ours and os.path.islink(path)):
        raise HoldfastError(f"{path}: exists and was not put there by this module; remove it or choose another name")
    return Link.plan(path, target)


def _place(path: str) -> str:
    """One spelling for a path, which may be a link itself."""
    directory, name = os.path.split(path)
    return os.path.join(os.path.realpath(directory), name)


def _plan_removal_of_pair(directory: str, name: str) -> list[Change]:
    """The removal of links alone: a file in their place holds a key that somebody may have nowhere else."""
    if not _has_pair(os.path.join(directory, f"{name}.crt")):
        return []
    links = [os.path.join(directory, f"{name}.{kind}") for kind in ("cert", "key")]
    return [change for link in links if os.path.islink(link) for change in Remove.plan(link)]


def _has_pair(path: str) -> bool:
    return (whole.read_bytes(path) or b"").startswith(MARK + _PAIR_MARK)


def _kept_names(directory: str) -> list[str]:
    """The names under which this module keeps something in a registry's directory."""
    return [entry[: -len(".crt")] for entry in whole.names_in(directory) if entry.endswith(".crt") and is_marked(os.path.join(directory, entry))]


def _plan_leftovers(directory: str, name: str) -> list[Change]:
    made_for = [f"{name}.crt", f"{name}.cert", f"{name}.key", NAME]
    leftovers = [entry for entry in whole.names_in(directory) if whole.leftover_of(entry) in made_for]
    return [change for entry in leftovers for change in Remove.plan(os.path.join(directory, entry), why="left by a run that was killed, removed")]


def _plan_hosts(directory: str, entries: set[str]) -> list[Change]:
    """The hosts.toml that names the CA files and pairs among these entries, whatever they were put there for."""
    path = os.path.join(directory, NAME)
    if _has_mirrors(path):
        return Write.plan(path, with_head(whole.read_bytes(path) or b"", head(directory, entries)), READABLE)
    if os.path.lexists(path) and not is_marked(path):
        raise HoldfastError(f"{path}: exists and was not written by this module; add the CA to it by hand, or remove it, or leave containerd out of stores")
    content = of_trust(directory, entries)
    return Write.plan(path, content, READABLE) if content else Remove.plan(path)


def _has_mirrors(path: str) -> bool:
    """Whether registry_mirrors keeps this file, in whichever store."""
    return os.path.isfile(path) and not os.path.islink(path) and is_of_mirrors(whole.read_bytes(path))


def _refuse_hidden(directory: str) -> None:
    base, endpoint = os.path.split(directory)
    host, _colon, port = endpoint.rpartition(":")
    preferred = os.path.join(base, f"{host}_{port}_")
    if host and os.path.exists(preferred):
        raise HoldfastError(f"{preferred}: exists, and containerd would read it instead of {directory}; remove it or leave containerd out of stores")


def _directories(base: str) -> list[str]:
    paths = [os.path.join(base, entry) for entry in whole.names_in(base)]
    return [path for path in paths if os.path.isdir(path) and not os.path.islink(path)]
