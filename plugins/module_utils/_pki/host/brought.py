# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certificate and key that somebody brings: checked as clients would check them, and installed as a pair or not at all."""

from __future__ import annotations

import contextlib
import re
import tempfile
import typing as t
from datetime import datetime

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Remove, SetMode, Write, apply
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import read_bytes, remove_leftovers, status_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import all_to_pem, cas_from_pem, certificates_from_pem, is_ca, to_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.files import Paths, TakePlace, held, show_certificates, show_key
from ansible_collections.holdfast.registry.plugins.module_utils._pki.info import Look, problems_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import is_encrypted, key_bits, key_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import parse_name
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import check_certificate_name, check_directory, check_path
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import days_left, isoformat, not_after

if t.TYPE_CHECKING:
    from cryptography import x509

_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)


class Wanted(t.NamedTuple):
    """A pair, and what is to be true of it. ownership is that of the key."""

    paths: Paths
    chain: list[x509.Certificate]
    key: bytes
    look: Look
    ownership: Ownership


def ensure(params: dict[str, t.Any], ownership: Ownership, run: Run, *, check_mode: bool, now: datetime) -> Result:
    """Check the pair, and install it. Returns the module's result.

    Raises HoldfastError, with nothing installed, for a pair that does not belong together or that clients would refuse.
    """
    check_directory(params["directory"])
    check_certificate_name(params["name"], "name")
    paths = Paths.of(params["directory"], params["name"])
    if check_mode and not library.HAS_CRYPTOGRAPHY:  # an earlier task would install it
        return _predict(paths)
    library.require_library()
    wanted = _read(params, paths, ownership)
    warnings = _check(wanted, params, run, now)
    with held(params["directory"], check_mode=check_mode):
        changes = _plan(wanted)
        if not check_mode:
            for path in wanted.paths:
                remove_leftovers(path)
            apply(changes)
    end = min(not_after(certificate) for certificate in wanted.chain)
    return {
        "changed": bool(changes),
        "changes": [change.reason for change in changes],
        "path": wanted.paths.certificate,
        "key_path": wanted.paths.key,
        "not_after": isoformat(end),
        "days_left": days_left(end, now),
        "warnings": warnings,
        "diff": [change.diff for change in changes],
    }


def _predict(paths: Paths) -> Result:
    changes = [f"{path}: made" for path in (paths.key, paths.certificate) if status_of(path) is None]
    known: Result = {"path": paths.certificate, "key_path": paths.key, "not_after": None, "days_left": None, "warnings": []}
    return {"changed": bool(changes), "changes": changes, **known, "diff": [{"prepared": f"{change}\n"} for change in changes]}


def _read(params: dict[str, t.Any], paths: Paths, ownership: Ownership) -> Wanted:
    certificate, place = _content(params, "certificate")
    check_no_key(certificate, where=place)
    chain = certificates_from_pem(certificate, place)
    key, key_place = _content(params, "key")
    found = _KEY.search(key)
    if not found:
        raise HoldfastError(f"{key_place}: holds no private key in PEM form")
    names = tuple(parse_name(name, f"server_names[{index}]") for index, name in enumerate(params["server_names"]))
    cas: list[x509.Certificate] = []
    if params["ca_certificates"]:
        check_no_key(params["ca_certificates"], where="ca_certificates")
        cas = cas_from_pem(params["ca_certificates"].encode(), "ca_certificates")
    look = Look(place, None, names, tuple(cas))
    return Wanted(paths, chain, found[0] + b"\n", look, ownership)


def _content(params: dict[str, t.Any], parameter: str) -> tuple[bytes, str]:
    """What a parameter says itself, or the file on the host that it names, and the place to name in messages."""
    source = params[f"{parameter}_source"]
    if source is None:
        return params[parameter].encode(), parameter
    place = f"{parameter}_source ({source})"
    check_path(source, where=f"{parameter}_source")
    content = read_bytes(source)
    if content is None:
        raise HoldfastError(f"{place}: there is no such file on the host")
    return content, place


def _check(wanted: Wanted, params: dict[str, t.Any], run: Run, now: datetime) -> list[str]:
    """Returns warnings. Raises HoldfastError for what cannot work."""
    first, place = wanted.chain[0], wanted.look.path
    key_place = "key" if params["key_source"] is None else f"key_source ({params['key_source']})"
    if is_encrypted(wanted.key):
        raise HoldfastError(f"{key_place}: is encrypted, and no server asks for a passphrase; give the key without one, encrypted with Ansible Vault")
    problems = [f"does not match {key_place}"] if key_bits(_key(wanted.key, key_place)) != key_bits(first.public_key()) else []
    if is_ca(first):
        problems.append("begins with the certificate of a CA; the server's own comes first, those of the CAs between after it")
    problems += problems_of(wanted.look, wanted.chain, 0, now)
    refused = None if problems else _refused(wanted, run)
    if refused:
        trusted = "ca_certificates" if wanted.look.ca_certificates else "a CA that the system trusts (ca_certificates is empty)"
        problems.append(f"clients would not find their way to {trusted}: {refused}")
    if problems:
        raise HoldfastError(f"{place}: {'; '.join(problems)}; nothing was installed")
    strict = _refused(wanted, run, "-x509_strict")
    return [f"{place}: clients that are strict, such as Python from 3.13 on, refuse it: {strict}"] if strict else []


def _key(pem: bytes, place: str) -> t.Any:
    try:
        return key_from_pem(pem, place)
    except HoldfastError:
        raise HoldfastError(f"{place}: holds no private key in PEM form of a kind that servers use (EC, RSA or Ed25519)") from None


def _refused(wanted: Wanted, run: Run, *strictness: str) -> str | None:
    """Why OpenSSL refuses the chain, with the CAs that were given or those of the system. A host without the program says nothing."""
    with contextlib.ExitStack() as stack:
        options, kept = list(strictness), []
        for option, certificates in (("-CAfile", wanted.look.ca_certificates), ("-untrusted", wanted.chain[1:])):
            if certificates:
                file = stack.enter_context(tempfile.TemporaryFile())
                file.write(all_to_pem(certificates).encode())
                file.flush()
                kept.append(file.fileno())
                options += [option, f"/proc/self/fd/{file.fileno()}"]
        # With CAs of its own, none of the system counts.
        environment = {"SSL_CERT_DIR": "/nonexistent", "SSL_CERT_FILE": "/nonexistent"} if wanted.look.ca_certificates else {}
        command = ("openssl", "verify", "-purpose", "sslserver", *options)
        done = run(*command, given=to_pem(wanted.chain[0]).encode(), environment=environment, descriptors=kept)
    if done.code in (0, 127):
        return None
    words = re.findall(r"error \d+ at \d+ depth lookup: ?(.*)", f"{done.out}\n{done.err}")
    return words[0] if words else done.words


def _plan(wanted: Wanted) -> list[Change]:
    """First the waiting key, then the certificate, then the key takes its place: see files.py."""
    paths = wanted.paths
    certificate = Write.plan(
        paths.certificate,
        all_to_pem(wanted.chain).encode(),
        Ownership(mode=0o644) if status_of(paths.certificate) is None else Ownership(),
        show=show_certificates,
        why="made" if status_of(paths.certificate) is None else "replaced",
    )
    there = read_bytes(paths.key)
    if there == wanted.key:
        left = Remove.plan(paths.waiting, show=show_key, why="removed, left by an interrupted run")
        return [*SetMode.plan(paths.key, wanted.ownership), *certificate, *left]
    if there is None:
        return [*Write.plan(paths.key, wanted.key, wanted.ownership, show=show_key, why="made"), *certificate]
    status = status_of(paths.key)
    ownership = wanted.ownership.or_of(status) if status else wanted.ownership
    waits = Write.plan(paths.waiting, wanted.key, ownership, show=show_key, why="made, it waits for its certificate")
    return [*waits, *certificate, TakePlace(paths.key, "replaced together with the certificate", paths, wanted.ownership)]
