# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signed certificates put to use: beside their keys, in an order that leaves a matching pair wherever it is cut short."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509, x509_names
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.x509_request import LOCK, Paths, read_facts

CA_FILE = "ca.crt"


class Step(t.NamedTuple):
    """One certificate to write, and the paths to swap where the waiting key takes the place of the one in use with it."""

    paths: Paths
    certificate: t.Any
    swapped: Paths | None


def ensure(directory: str, certificates: list[dict[str, t.Any]], ca_certificate: str, check_mode: bool) -> dict[str, t.Any]:
    """Install certificates and the CA's certificate, all or, where one is refused, none. Returns the module's result."""
    x509.check_directory(directory)
    x509_names.check_file_names([entry["name"] for entry in certificates], "certificates")
    ca_path = os.path.join(directory, CA_FILE)
    if check_mode and not (x509.HAS_CRYPTOGRAPHY and ca_certificate):
        return _predict(directory, [entry["name"] for entry in certificates], ca_path)
    x509.require_library()
    ca = x509.ca_from_pem(ca_certificate.encode(), "ca_certificate")
    if check_mode:
        return _ensure(directory, certificates, ca, ca_path, True)
    files.make_directories(directory, 0o755)
    with files.locked(os.path.join(directory, LOCK)):
        return _ensure(directory, certificates, ca, ca_path, False)


def _ensure(directory: str, certificates: list[dict[str, t.Any]], ca: t.Any, ca_path: str, check_mode: bool) -> dict[str, t.Any]:
    steps = [_examine(directory, entry, f"certificates[{index}]", ca, check_mode) for index, entry in enumerate(certificates)]
    changes, before, after = [], "", ""
    for path, certificate, swapped in [(ca_path, ca, None)] + [(step.paths.certificate, step.certificate, step.swapped) for step in steps]:
        pem = x509.to_pem(certificate).encode()
        if files.read_bytes(path) != pem:
            current = read_facts(path)
            changes.append(f"{path}: {'replaced' if os.path.exists(path) else 'made'}")
            before += f"{path}\n{x509.describe(current.certificate)}" if current else ""
            after += f"{path}\n{x509.describe(certificate)}"
            if not check_mode:
                files.remove_leftovers(path)
                files.atomic_write(path, pem, files.Ownership(mode=x509.PUBLIC))
        if swapped:
            changes.append(f"{swapped.key}: replaced by the new key, which the certificate is for")
            if not check_mode:
                _swap(swapped)
    return {"changed": bool(changes), "changes": changes, "diff": {"before": before, "after": after}}


def _examine(directory: str, entry: dict[str, t.Any], where: str, ca: t.Any, check_mode: bool) -> Step:
    """Refuse a certificate that would not work where it is to go."""
    paths = Paths.of(directory, entry["name"])
    place = f"{where}.certificate ({entry['name']})"
    certificate = x509.certificate_from_pem(entry["certificate"].encode(), place)
    # In a check run the CA that signs still has the name it had before.
    if not (x509.signed_with_key_of(certificate, ca) if check_mode else x509.signed_by(certificate, ca)):
        raise HoldfastError(f"{place}: is not signed by the CA of ca_certificate; sign the request again with that CA")
    public_key = certificate.public_key()
    keys = {path: _public_key(path) for path in (paths.key, paths.waiting)}
    for path, found in keys.items():
        if found is not None and x509.key_bits(found) == x509.key_bits(public_key):
            return Step(paths, certificate, paths if path == paths.waiting else None)
    in_use, waiting = keys.values()
    replaced = in_use is None or (waiting is None and x509.key_type_of(in_use) != x509.key_type_of(public_key))
    if check_mode and replaced:  # the key is one that certificate_request only predicted
        return Step(paths, certificate, paths if in_use is not None else None)
    if in_use is None:
        raise HoldfastError(f"{paths.key}: is missing; make it and its request first, with the module holdfast.registry.certificate_request")
    raise HoldfastError(f"{place}: does not match the key {paths.key}; sign the request that certificate_request returned on this host")


def _swap(paths: Paths) -> None:
    waiting = files.read_bytes(paths.waiting)
    if waiting is not None:
        files.atomic_write(paths.key, waiting, files.Ownership(mode=x509.PRIVATE))
        files.remove(paths.waiting)


def _public_key(path: str) -> t.Any:
    pem = files.read_bytes(path)
    return None if pem is None else x509.key_from_pem(pem, path).public_key()


def _predict(directory: str, names: list[str], ca_path: str) -> dict[str, t.Any]:
    """What a first run would do where tasks before it would install the library or make the CA."""
    paths = [ca_path] + [Paths.of(directory, name).certificate for name in names]
    if not x509.HAS_CRYPTOGRAPHY and any(os.path.exists(path) for path in paths):
        x509.require_library()
    changes = [f"{path}: {'replaced' if os.path.exists(path) else 'made'}" for path in paths]
    return {"changed": True, "changes": changes, "diff": {"before": "", "after": "".join(f"{path}\n" for path in paths)}}
