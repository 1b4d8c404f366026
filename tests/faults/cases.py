# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is killed: for each module some starting states and the run that changes them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pathlib
import pwd
import shutil
import tarfile
import typing as t

from harness import run

PASSPHRASE = "correct horse"
HASH = "$2y$04$jzs8Lm6Iu1lNvNkDw3SCq.erBMIVakxrdCpZvDil6qMJyr3qsUCj2"
UPDATE = shutil.which("update-ca-certificates", path="/usr/sbin:/usr/bin:/sbin:/bin")

Arguments = dict[str, t.Any]


class Case(t.NamedTuple):
    """A module, a starting state that prepare() makes below a directory, and the arguments it returns for the run."""

    module: str
    title: str
    prepare: t.Callable[[pathlib.Path], Arguments]
    idempotent: bool = True


def succeed(module: str, arguments: Arguments) -> Arguments:
    outcome = run(module, arguments)
    if not outcome.succeeded:
        raise RuntimeError(f"{module}: {outcome.result}")
    return outcome.result


# htpasswd


def _users(directory: pathlib.Path, *users: Arguments, **more: t.Any) -> Arguments:
    return {"path": str(directory / "htpasswd"), "bcrypt_cost": 4, "users": list(users), **more}


def _new_file(directory: pathlib.Path) -> Arguments:
    return _users(directory, *({"name": f"user{number}", "password_hash": HASH} for number in range(20)))


def _changed_file(directory: pathlib.Path) -> Arguments:
    (directory / "htpasswd").write_text(f"# by hand\nbob:{HASH}\nmallory:{HASH}\n")
    users = [{"name": "alice", "password": PASSPHRASE}, {"name": "bob", "password": PASSPHRASE}, {"name": "mallory", "state": "absent"}]
    return _users(directory, *users, exclusive=True, backup=True)


def _other_mode(directory: pathlib.Path) -> Arguments:
    (directory / "htpasswd").write_text(f"bob:{HASH}\n")
    return _users(directory, {"name": "bob", "password_hash": HASH}, mode="0600")


# CA and certificates


def authority(directory: pathlib.Path, **more: t.Any) -> Arguments:
    return {"directory": str(directory / "ca"), **more}


def _certificates(directory: pathlib.Path, issuer: Arguments, *names: str, crl: str | None = None, **more: t.Any) -> Arguments:
    certificates = [{"name": name, "names": [f"{name}.example.org"], **more} for name in names]
    return {"directory": str(directory / "tls"), "ca_certificate": issuer["certificate"], "crl": crl, "certificates": certificates}


def _renewed_ca(directory: pathlib.Path) -> Arguments:
    succeed("ca", authority(directory))
    return authority(directory, common_name="Another name", passphrase=PASSPHRASE)


def _replaced_ca(directory: pathlib.Path) -> Arguments:
    _issued(directory, passphrase=PASSPHRASE)
    return authority(directory, passphrase=PASSPHRASE, generation=2)


def _revocation(directory: pathlib.Path) -> Arguments:
    _issued(directory)
    return authority(directory, certificates=[{"name": "one.example.org"}, {"name": "two.example.org"}])


def _revoked_keys(directory: pathlib.Path) -> Arguments:
    revocation = _revocation(directory)
    crl = succeed("certificate_revoke", revocation)["crl"]
    return _certificates(directory, {"certificate": (directory / "ca/ca.crt").read_text()}, "one", "two", crl=crl)


def _first_keys(directory: pathlib.Path) -> Arguments:
    return _certificates(directory, succeed("ca", authority(directory)), "one", "two", "three")


def _issued(directory: pathlib.Path, usages: t.Sequence[str] = ("server",), **more: t.Any) -> Arguments:
    """A CA and two certificates signed and installed. Returns the CA's result."""
    issuer = succeed("ca", authority(directory, **more))
    requested = succeed("certificate_request", _certificates(directory, issuer, "one", "two", usages=list(usages)))
    signed = succeed("certificate_sign", {**authority(directory, **more), "requests": requested["requests"]})
    installed = {"directory": str(directory / "tls"), "ca_certificate": issuer["certificate"]}
    succeed("certificate_install", {**installed, "certificates": signed["certificates"]})
    return issuer


def _other_keys(directory: pathlib.Path) -> Arguments:
    return _certificates(directory, _issued(directory), "one", "two", key_type="ec-p384")


def _first_signing(directory: pathlib.Path) -> Arguments:
    return {**authority(directory), "requests": succeed("certificate_request", _first_keys(directory))["requests"]}


def _further_signing(directory: pathlib.Path) -> Arguments:
    return {**authority(directory), "requests": succeed("certificate_request", _other_keys(directory))["requests"]}


def _signed(directory: pathlib.Path, signing: Arguments) -> Arguments:
    certificates = succeed("certificate_sign", signing)["certificates"]
    return {"directory": str(directory / "tls"), "ca_certificate": (directory / "ca/ca.crt").read_text(), "certificates": certificates}


def _brought(directory: pathlib.Path, name: str = "one") -> Arguments:
    issuer = _issued(directory) if not (directory / "ca").exists() else {"certificate": (directory / "ca/ca.crt").read_text()}
    pair = {"certificate_source": str(directory / f"tls/{name}.crt"), "key_source": str(directory / f"tls/{name}.key")}
    return {"directory": str(directory / "own"), "ca_certificates": issuer["certificate"], **pair}


def _other_pair(directory: pathlib.Path) -> Arguments:
    succeed("certificate_files", _brought(directory))
    return _brought(directory, "two")


# Trust


def trust(directory: pathlib.Path, *authorities: str, **more: t.Any) -> Arguments:
    content = "".join(succeed("ca", {"directory": str(directory / name), "common_name": name})["certificate"] for name in authorities)
    endpoints = ["registry.example.org", "[2001:db8::5]:5000"]
    directories = {f"{store}_directory": str(directory / store / "certs.d") for store in ("docker", "containers", "containerd")}
    return {"name": "corp", "content": content, "endpoints": endpoints, "stores": ["docker", "containers", "containerd"], **directories, **more}


def _trusted(directory: pathlib.Path, **more: t.Any) -> Arguments:
    before = trust(directory, "first", "second", **more)
    succeed("ca_trust", before)
    return before


def _removed_trust(directory: pathlib.Path) -> Arguments:
    return {**_trusted(directory), "state": "absent"}


def _changed_trust(directory: pathlib.Path) -> Arguments:
    return {**_trusted(directory), **trust(directory, "third"), "endpoints": ["registry.example.org"]}


def _mutual(directory: pathlib.Path) -> Arguments:
    _issued(directory, usages=["client"])
    pair = {"client_certificate_path": str(directory / "tls/one.crt"), "client_key_path": str(directory / "tls/one.key")}
    return {**_trusted(directory), **pair, "exclusive": True}


def _system(directory: pathlib.Path) -> Arguments:
    """The real update-ca-certificates, on directories of its own that hold nothing yet."""
    for name in ("share", "local", "certs", "hooks"):
        (directory / name).mkdir()
    (directory / "conf").write_text("")
    command = directory / "update"
    options = f"--certsconf {directory}/conf --certsdir {directory}/share --localcertsdir {directory}/local --etccertsdir {directory}/certs"
    command.write_text(f'#!/bin/sh\nexec {UPDATE} {options} --hooksdir {directory}/hooks "$@"\n')
    command.chmod(0o755)
    return {"stores": ["system"], "anchors_directory": str(directory / "local")}


def _first_system(directory: pathlib.Path) -> Arguments:
    return trust(directory, "first", **_system(directory))


def _changed_system(directory: pathlib.Path) -> Arguments:
    store = _system(directory)
    return {**_trusted(directory, **store), **trust(directory, "third", **store)}


def _removed_system(directory: pathlib.Path) -> Arguments:
    return {**_trusted(directory, **_system(directory)), "state": "absent"}


# Logins


def logins(*registries: str) -> Arguments:
    entries = [{"user": "alice", "registry": registry, "username": "alice", "password": PASSPHRASE} for registry in registries]
    return {"logins": entries, "check_credentials": False}


def _first_login(directory: pathlib.Path) -> Arguments:
    return logins("registry.example.org", "registry.example.org:5000")


def _further_login(directory: pathlib.Path) -> Arguments:
    (directory / ".docker").mkdir()
    (directory / ".docker/config.json").write_text('{"auths": {"old.example.org": {"auth": "eDp5"}}, "detachKeys": "ctrl-x"}')
    gone = {"user": "alice", "registry": "old.example.org", "state": "absent"}
    return {"logins": [*logins("registry.example.org")["logins"], gone], "check_credentials": False}


# Releases


def releases(directory: pathlib.Path, *versions: str, **more: t.Any) -> Arguments:
    """Archives with a script in the place of the program."""
    entries = []
    for version in versions:
        archive = directory.with_name(f"registry-{version}.tar.gz")
        script = f"#!/bin/sh\necho registry github.com/distribution/distribution/v3 {version}\n".encode()
        member = tarfile.TarInfo("registry")
        member.size = len(script)
        with tarfile.open(archive, "w:gz") as packed:
            packed.addfile(member, io.BytesIO(script))
        entries.append({"version": version, "archive": str(archive), "checksum": f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"})
    return {"directory": str(directory / "opt"), "releases": entries, "links": [{"name": "first", "version": versions[0]}], **more}


def _other_release(directory: pathlib.Path) -> Arguments:
    before = releases(directory, "3.1.1", "2.8.3", links=[{"name": "first", "version": "2.8.3"}, {"name": "second", "version": "3.1.1"}])
    succeed("registry_release", before)
    return releases(directory, "3.1.2", prune=True)


def _changed_release(directory: pathlib.Path) -> Arguments:
    wanted = releases(directory, "3.1.2")
    succeed("registry_release", wanted)
    (directory / "opt/releases/3.1.2/registry").write_text("changed\n")
    return wanted


CASES = [
    Case("htpasswd", "a new file with 20 users", _new_file),
    Case("htpasswd", "users added, changed and removed", _changed_file),
    Case("htpasswd", "another mode only", _other_mode),
    Case("ca", "a new CA", authority),
    Case("ca", "another name, and the key encrypted", _renewed_ca),
    Case("ca", "replaced by one with a new key", _replaced_ca),
    Case("certificate_revoke", "two certificates", _revocation),
    Case("certificate_request", "three new keys", _first_keys),
    Case("certificate_request", "two keys of another type", _other_keys),
    Case("certificate_request", "two revoked certificates", _revoked_keys),
    Case("certificate_sign", "three certificates", _first_signing, idempotent=False),
    Case("certificate_sign", "two more certificates", _further_signing, idempotent=False),
    Case("certificate_install", "three certificates", lambda directory: _signed(directory, _first_signing(directory))),
    Case("certificate_install", "two certificates and their new keys", lambda directory: _signed(directory, _further_signing(directory))),
    Case("certificate_files", "a pair that is brought", _brought),
    Case("certificate_files", "another pair", _other_pair),
    Case("ca_trust", "new, three stores by registry", lambda directory: trust(directory, "first", "second")),
    Case("ca_trust", "other certificates, one registry less", _changed_trust),
    Case("ca_trust", "removed", _removed_trust),
    Case("ca_trust", "a client's certificate added", _mutual),
    Case("ca_trust", "new, the system's store", _first_system),
    Case("ca_trust", "another certificate, the system's store", _changed_system),
    Case("ca_trust", "removed, the system's store", _removed_system),
    Case("registry_login", "a new file", _first_login),
    Case("registry_login", "a login added, another removed", _further_login),
    Case("registry_release", "two new releases", lambda directory: releases(directory, "3.1.2", "2.8.3")),
    Case("registry_release", "another release, two removed", _other_release),
    Case("registry_release", "a changed program installed again", _changed_release),
]


def pretend_host(directory: pathlib.Path) -> None:
    """Let modules find alice's home, their state and the system's store below a directory, and run programs there that others cannot reach."""
    from ansible_collections.holdfast.registry.plugins.module_utils._docker import login as registry_login
    from ansible_collections.holdfast.registry.plugins.module_utils._host import release_archive
    from ansible_collections.holdfast.registry.plugins.module_utils._host import releases as releases_of_registry
    from ansible_collections.holdfast.registry.plugins.module_utils._trust import system as system_trust

    account = pwd.struct_passwd(("alice", "x", os.geteuid(), os.getegid(), "", str(directory), "/bin/sh"))
    release_archive._AS_NOBODY = ()  # type: ignore[assignment]
    releases_of_registry.STATE = str(directory.with_name("state"))
    registry_login.pwd.getpwnam = {"alice": account}.__getitem__  # type: ignore[assignment]
    real = system_trust.SystemStore.of_this_host

    def of_this_host(anchors: str | None) -> t.Any:
        paths = {"bundle": str(directory / "certs/ca-certificates.crt"), "hashes": str(directory / "certs"), "command": str(directory / "update")}
        return dataclasses.replace(real(anchors), **paths)

    system_trust.SystemStore.of_this_host = staticmethod(of_this_host)  # type: ignore[method-assign]
