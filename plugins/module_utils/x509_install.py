# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Signed certificates put to use: beside their keys, in an order that leaves a matching pair wherever it is cut short."""

from __future__ import annotations

import os
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import files, x509, x509_crl, x509_names
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.x509_request import LOCK, Paths, read_facts

CA_FILE, CRL_FILE = "ca.crt", "ca.crl"


class Step(t.NamedTuple):
    """One certificate to write, and the paths to swap where the waiting key takes the place of the one in use with it."""

    paths: Paths
    certificate: t.Any
    swapped: Paths | None


class Trust(t.NamedTuple):
    """The CAs whose certificates are installed, in the order of ca.crt, and their CRLs; None leaves ca.crl as it is."""

    cas: list[t.Any]
    crls: list[t.Any] | None

    @classmethod
    def of(cls, ca_certificate: str, crl: str | None) -> Trust:
        """Read module parameters."""
        x509.check_no_key(ca_certificate, "ca_certificate")
        cas = x509.cas_from_pem(ca_certificate.encode(), "ca_certificate")
        crls = x509_crl.from_pem(crl.encode(), "crl") if crl else None
        return cls(cas, crls)


def ensure(directory: str, certificates: list[dict[str, t.Any]], ca_certificate: str, check_mode: bool, crl: str | None = None) -> dict[str, t.Any]:
    """Install certificates, the CA's certificate and its CRL, all or, where one is refused, none. Returns the module's result."""
    x509.check_directory(directory)
    x509_names.check_file_names([entry["name"] for entry in certificates], "certificates")
    for index, entry in enumerate(certificates):
        x509.check_no_key(entry["certificate"], f"certificates[{index}].certificate ({entry['name']})")
    if check_mode and not (x509.HAS_CRYPTOGRAPHY and ca_certificate):
        return _predict(directory, [entry["name"] for entry in certificates], crl is not None)
    x509.require_library()
    trust = Trust.of(ca_certificate, crl)
    if check_mode:
        return _ensure(directory, certificates, trust, True)
    _check_crls(trust)
    files.make_directories(directory, 0o755)
    with files.locked(os.path.join(directory, LOCK)):
        return _ensure(directory, certificates, trust, False)


def _check_crls(trust: Trust) -> None:
    for crl in trust.crls or []:
        if all(x509_crl.of_ca([crl], ca) is None for ca in trust.cas):
            raise HoldfastError("crl: holds a CRL that none of the CAs of ca_certificate signed; hand on both from one run of the module holdfast.registry.ca")


def _ensure(directory: str, certificates: list[dict[str, t.Any]], trust: Trust, check_mode: bool) -> dict[str, t.Any]:
    steps = [_examine(directory, entry, f"certificates[{index}]", trust, check_mode) for index, entry in enumerate(certificates)]
    changes, before, after = [], "", ""

    def write(path: str, content: str, describe: t.Callable[[str], str]) -> None:
        nonlocal before, after
        if not check_mode:
            files.remove_leftovers(path)
        current = files.read_bytes(path)
        if current == content.encode():
            return
        changes.append(f"{path}: {'made' if current is None else 'replaced'}")
        before += f"{path}\n{describe(current.decode('ascii', 'replace'))}" if current is not None else ""
        after += f"{path}\n{describe(content)}"
        if not check_mode:
            files.atomic_write(path, content.encode(), files.Ownership(mode=x509.PUBLIC))

    # Clients of this host trust a new CA before a certificate of it is there.
    write(os.path.join(directory, CA_FILE), "".join(x509.to_pem(ca) for ca in trust.cas), _describe_certificates)
    if trust.crls is not None:
        write(os.path.join(directory, CRL_FILE), x509_crl.to_pem(trust.crls), _describe_crls)
    for step in steps:
        write(step.paths.certificate, x509.to_pem(step.certificate), _describe_certificates)
        if step.swapped:
            changes.append(f"{step.swapped.key}: replaced by the new key, which the certificate is for")
            if not check_mode:
                _swap(step.swapped)
    return {"changed": bool(changes), "changes": changes, "diff": {"before": before, "after": after}}


def _describe_certificates(pem: str) -> str:
    try:
        return "".join(x509.describe(certificate) for certificate in x509.certificates_from_pem(pem.encode(), ""))
    except HoldfastError:
        return "unreadable\n"


def _describe_crls(pem: str) -> str:
    try:
        return "".join(f"CRL of {x509.common_name(crl.issuer)}: {len(list(crl))} revoked\n" for crl in x509_crl.from_pem(pem.encode(), ""))
    except HoldfastError:
        return "unreadable\n"


def _examine(directory: str, entry: dict[str, t.Any], where: str, trust: Trust, check_mode: bool) -> Step:
    """Refuse a certificate that would not work where it is to go."""
    paths = Paths.of(directory, entry["name"])
    place = f"{where}.certificate ({entry['name']})"
    certificate = x509.certificate_from_pem(entry["certificate"].encode(), place)
    # In a check run the CA that signs is still the one of before: it may lack the new name, or be the one to be replaced.
    signed = x509.signed_with_key_of if check_mode else x509.signed_by
    if not any(signed(certificate, ca) for ca in trust.cas + (_installed_cas(directory) if check_mode else [])):
        raise HoldfastError(f"{place}: is not signed by the CA of ca_certificate; sign the request again with that CA")
    public_key = certificate.public_key()
    waiting, in_use = _public_key(paths.waiting), _public_key(paths.key)
    # The waiting key first: it is also the one in use where a swap was cut short before its end.
    for found, swapped in ((waiting, paths), (in_use, None)):
        if found is not None and x509.key_bits(found) == x509.key_bits(public_key):
            return Step(paths, certificate, swapped)
    replaced = in_use is None or (waiting is None and (x509.key_type_of(in_use) != x509.key_type_of(public_key) or _is_revoked(paths, trust)))
    if check_mode and replaced:  # the key is one that certificate_request only predicted
        return Step(paths, certificate, paths if in_use is not None else None)
    if in_use is None:
        raise HoldfastError(f"{paths.key}: is missing; make it and its request first, with the module holdfast.registry.certificate_request")
    raise HoldfastError(f"{place}: does not match the key {paths.key}; sign the request that certificate_request returned on this host")


def _is_revoked(paths: Paths, trust: Trust) -> bool:
    """Whether the certificate in use is revoked, so that it gets a new key with the new one."""
    facts = read_facts(paths.certificate)
    return facts is not None and x509_crl.lists(trust.crls or [], facts.certificate)


def _installed_cas(directory: str) -> list[t.Any]:
    path = os.path.join(directory, CA_FILE)
    try:
        return x509.cas_from_pem(files.read_bytes(path) or b"", path)
    except HoldfastError:
        return []


def _swap(paths: Paths) -> None:
    files.remove_leftovers(paths.key)
    waiting = files.read_bytes(paths.waiting)
    if waiting is not None:
        files.atomic_write(paths.key, waiting, files.Ownership(mode=x509.PRIVATE))
        files.remove(paths.waiting)


def _public_key(path: str) -> t.Any:
    pem = files.read_bytes(path)
    return None if pem is None else x509.key_from_pem(pem, path).public_key()


def _predict(directory: str, names: list[str], with_crl: bool) -> dict[str, t.Any]:
    """What a first run would do where tasks before it would install the library or make the CA."""
    shared = [os.path.join(directory, name) for name in (CA_FILE, *([CRL_FILE] if with_crl else []))]
    paths = shared + [Paths.of(directory, name).certificate for name in names]
    if not x509.HAS_CRYPTOGRAPHY and any(os.path.exists(path) for path in paths):
        x509.require_library()
    changes = [f"{path}: {'replaced' if os.path.exists(path) else 'made'}" for path in paths]
    return {"changed": True, "changes": changes, "diff": {"before": "", "after": "".join(f"{path}\n" for path in paths)}}
