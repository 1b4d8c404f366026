# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is killed: for each module some starting states and the run that changes them."""

from __future__ import annotations

import base64
import dataclasses
import grp
import hashlib
import io
import os
import pathlib
import pwd
import shutil
import tarfile
import typing as t

from ansible_collections.holdfast.registry.tests.unit.plugins.openpgp_keys import FINGERPRINTS as APT_FINGERPRINTS
from ansible_collections.holdfast.registry.tests.unit.plugins.openpgp_keys import KEYS as APT_KEYS
from harness import run  # which also makes the collection known

PASSPHRASE = "correct horse"
HASH = "$2y$04$jzs8Lm6Iu1lNvNkDw3SCq.erBMIVakxrdCpZvDil6qMJyr3qsUCj2"
DER = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04" + b"k" * 64
SIGNER = f"-----BEGIN PUBLIC KEY-----\n{base64.b64encode(DER).decode()}\n-----END PUBLIC KEY-----\n"
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


# Names and mirrors


def named(directory: pathlib.Path, *addresses: str, **more: t.Any) -> Arguments:
    entries = [{"address": address, "names": ["registry.example.org", "mirror.example.org"]} for address in addresses]
    return {"path": str(directory / "hosts"), "name": "registry", "entries": entries, "replaces": ["old"], **more}


def _named_before(directory: pathlib.Path, *addresses: str) -> Arguments:
    (directory / "hosts").write_text("# BEGIN old\n192.0.2.9 registry.example.org\n# END old\n127.0.0.1 localhost\n")
    return named(directory, *addresses)


def _named_otherwise(directory: pathlib.Path) -> Arguments:
    succeed("hosts_entries", _named_before(directory, "192.0.2.10"))
    return named(directory, "192.0.2.11", "2001:db8::10")


def _no_longer_named(directory: pathlib.Path) -> Arguments:
    succeed("hosts_entries", _named_before(directory, "192.0.2.10"))
    return named(directory)


def mirrors(directory: pathlib.Path, *upstreams: str, **more: t.Any) -> Arguments:
    """For all clients, below directory."""
    places = {"docker_directory": "docker", "containers_directory": "containers", "containerd_directory": "containerd/certs.d"}
    places.update({"containerd_config": "containerd/config.toml", "buildkit_config": "buildkit/buildkitd.toml"})
    return {
        "name": "company",
        "mirrors": [{"upstream": upstream, "mirror": "mirror.example.org:5444"} for upstream in upstreams],
        "clients": ["docker", "containers", "containerd", "buildkit"],
        **{parameter: str(directory / place) for parameter, place in places.items()},
        **more,
    }


def _mirrored(directory: pathlib.Path) -> Arguments:
    for name, content in (("containerd/config.toml", "version = 2\n"), ("buildkit/buildkitd.toml", "debug = true\n")):
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(content)
    before = mirrors(directory, "docker.io", "ghcr.io")
    succeed("registry_mirrors", before)
    return before


def _other_mirrors(directory: pathlib.Path) -> Arguments:
    _mirrored(directory)
    return mirrors(directory, "ghcr.io", "quay.io", clients=["docker", "containerd"])


def _no_mirrors(directory: pathlib.Path) -> Arguments:
    return {**_mirrored(directory), "state": "absent"}


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


def _renamed_trust(directory: pathlib.Path) -> Arguments:
    return {**_trusted(directory), "name": "other", "former_names": ["corp"], "stores": ["docker", "containerd"], "only_these_stores": True}


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


def _kept_login(directory: pathlib.Path) -> Arguments:
    """A credential helper keeps the passwords, and a login that a run before has written goes."""
    _program(directory, "docker-credential-faults", _HELPER)
    (directory / ".docker").mkdir()
    (directory / ".docker/config.json").write_text('{"credsStore": "faults"}')
    succeed("registry_login", {**logins("old.example.org"), "name": "faults"})
    return {**logins("registry.example.org"), "name": "faults", "exclusive": True}


# A file for each registry, in one step.
_HELPER = """#!/bin/sh
kept=${0%/*}/kept given=$(cat)
name() { printf %s "$given" | sed 's/.*"ServerURL": "\\([^"]*\\)".*/\\1/'; }
case $1 in
  store) mkdir -p "$kept"; printf %s "$given" >"$kept/.$$.holdfast-tmp"; mv "$kept/.$$.holdfast-tmp" "$kept/$(name)" ;;
  erase) rm -f "$kept/$given" ;;
  get) rm -f "$kept"/.*.holdfast-tmp; cat "$kept/$given" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
esac
"""


# Members of a group


# A group is a directory, with a file for each member.
_GPASSWD = """#!/bin/sh
case $1 in --add) : >"${0%/*}/../group/$2" ;; *) rm -f "${0%/*}/../group/$2" ;; esac
"""


def members(directory: pathlib.Path, *users: str) -> Arguments:
    _program(directory, "gpasswd", _GPASSWD)
    (directory / "group").mkdir(exist_ok=True)
    return {"group": "docker", "users": list(users), "name": "faults"}


def _program(directory: pathlib.Path, name: str, content: str) -> None:
    path = directory / "bin" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    path.chmod(0o755)


def _other_members(directory: pathlib.Path) -> Arguments:
    succeed("group_members", members(directory, "alice", "bob"))
    (directory / "group/carol").write_text("")
    return members(directory, "bob", "dave")


# What must be signed


def policies(directory: pathlib.Path, *scopes: str) -> Arguments:
    wanted = [{"scope": scope, "keys": [SIGNER]} for scope in scopes]
    return {"name": "faults", "policies": wanted, "directory": str(directory / "containers")}


def _other_policy(directory: pathlib.Path) -> Arguments:
    (directory / "containers").mkdir()
    (directory / "containers/policy.json").write_text(
        '{"default": [{"type": "reject"}], "transports": {"docker": {"theirs.example.org": [{"type": "reject"}]}}}'
    )
    before = policies(directory, "registry.example.org", "old.example.org")
    succeed("signature_policy", before)
    changed = {"scope": "registry.example.org", "type": "reject"}
    return {**before, "policies": [changed, *policies(directory, "new.example.org")["policies"]]}


def _no_policy(directory: pathlib.Path) -> Arguments:
    succeed("signature_policy", policies(directory, "registry.example.org", "old.example.org"))
    return policies(directory)


# The engine's settings, and where it is from


def programs(directory: pathlib.Path, **scripts: str) -> None:
    (directory / "bin").mkdir(exist_ok=True)
    for name, script in scripts.items():
        path = directory / "bin" / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def daemon(directory: pathlib.Path, **settings: t.Any) -> Arguments:
    programs(directory, dockerd="exit 0", systemctl="exit 1")
    (directory / "docker").mkdir(exist_ok=True)
    return {"name": "faults", "path": str(directory / "docker/daemon.json"), "settings": settings}


def _other_daemon(directory: pathlib.Path) -> Arguments:
    wanted = daemon(directory, mtu=1500, labels=["b=1", "c=1"], **{"log-opts": {"max-size": "1m"}})
    (directory / "docker/daemon.json").write_text('{"mtu": 1400, "labels": ["theirs=1"]}')
    succeed("docker_daemon", {**wanted, "settings": {"mtu": 1450, "debug": True, "labels": ["a=1", "b=1"]}})
    return wanted


def _no_daemon(directory: pathlib.Path) -> Arguments:
    return {**_other_daemon(directory), "state": "absent"}


def source(directory: pathlib.Path, *, theirs: bool = True) -> Arguments:
    programs(directory, apt_get="exit 0")
    (directory / "apt/sources.list.d").mkdir(parents=True, exist_ok=True)
    if theirs:
        (directory / "apt/sources.list.d/theirs.list").write_text("deb https://packages.example.org x stable\n")
    wanted = {"uris": ["https://packages.example.org"], "suites": ["x"], "components": ["stable"]}
    return {"name": "faults", "directory": str(directory / "apt"), **wanted, "key": APT_KEYS["good"], "fingerprints": [APT_FINGERPRINTS["good"]]}


def _other_source(directory: pathlib.Path) -> Arguments:
    succeed("apt_source", source(directory))
    more = {"uris": ["https://mirror.example.org"], "key": APT_KEYS["rsa"], "fingerprints": [APT_FINGERPRINTS["rsa"]]}
    return {**source(directory, theirs=False), **more}


def _no_source(directory: pathlib.Path) -> Arguments:
    succeed("apt_source", source(directory))
    return {"name": "faults", "directory": str(directory / "apt"), "state": "absent"}


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
    Case("ca_trust", "new, three stores by registry", lambda directory: trust(directory, "first", "second")),
    Case("ca_trust", "other certificates, one registry less", _changed_trust),
    Case("ca_trust", "removed", _removed_trust),
    Case("ca_trust", "a client's certificate added", _mutual),
    Case("ca_trust", "another name, a store less", _renamed_trust),
    Case("ca_trust", "new, the system's store", _first_system),
    Case("ca_trust", "another certificate, the system's store", _changed_system),
    Case("ca_trust", "removed, the system's store", _removed_system),
    Case("hosts_entries", "new, in the place of another block", lambda directory: _named_before(directory, "192.0.2.10", "2001:db8::10")),
    Case("hosts_entries", "other addresses", _named_otherwise),
    Case("hosts_entries", "removed", _no_longer_named),
    Case("registry_mirrors", "new, all clients", lambda directory: mirrors(directory, "docker.io", "ghcr.io")),
    Case("registry_mirrors", "an upstream added, another and two clients removed", _other_mirrors),
    Case("registry_mirrors", "removed", _no_mirrors),
    Case("registry_login", "a new file", _first_login),
    Case("registry_login", "a login added, another removed", _further_login),
    Case("registry_login", "kept by a helper, another removed", _kept_login),
    Case("group_members", "three new members", lambda directory: members(directory, "alice", "bob", "carol")),
    Case("group_members", "one added, another removed", _other_members),
    Case("signature_policy", "two scopes, no policy before", lambda directory: policies(directory, "registry.example.org", "other.example.org")),
    Case("signature_policy", "scopes added, changed and removed", _other_policy),
    Case("signature_policy", "all removed", _no_policy),
    Case("docker_daemon", "new", lambda directory: daemon(directory, mtu=1500, labels=["a=1"])),
    Case("docker_daemon", "settings added, changed and removed beside those of others", _other_daemon),
    Case("docker_daemon", "removed", _no_daemon),
    Case("apt_source", "new, beside one of others", source),
    Case("apt_source", "another repository and key", _other_source),
    Case("apt_source", "removed", _no_source),
    Case("registry_release", "two new releases", lambda directory: releases(directory, "3.1.2", "2.8.3")),
    Case("registry_release", "another release, two removed", _other_release),
    Case("registry_release", "a changed program installed again", _changed_release),
]


def pretend_host(directory: pathlib.Path) -> None:
    """Let modules find alice's home, their state and the system's store below a directory, and run programs there that others cannot reach."""
    from ansible_collections.holdfast.registry.plugins.module_utils._apt import source as apt_source
    from ansible_collections.holdfast.registry.plugins.module_utils._docker import login as registry_login
    from ansible_collections.holdfast.registry.plugins.module_utils._docker import remembered
    from ansible_collections.holdfast.registry.plugins.module_utils._host import group, release_archive
    from ansible_collections.holdfast.registry.plugins.module_utils._host import releases as releases_of_registry
    from ansible_collections.holdfast.registry.plugins.module_utils._trust import system as system_trust
    from ansible_collections.holdfast.registry.plugins.modules import group_members, signature_policy
    from ansible_collections.holdfast.registry.plugins.modules import registry_login as registry_login_module

    account = pwd.struct_passwd(("alice", "x", os.geteuid(), os.getegid(), "", str(directory), "/bin/sh"))
    release_archive._AS_NOBODY = ()  # type: ignore[assignment]
    releases_of_registry.STATE = str(directory.with_name("state"))
    registry_login.pwd.getpwnam = lambda _name: account  # type: ignore[assignment]
    group.grp.getgrnam = lambda name: grp.struct_group((name, "x", 990, os.listdir(directory / "group")))  # type: ignore[assignment]
    os.environ["PATH"] = f"{directory}/bin:{os.environ['PATH']}"
    for module in (group_members, registry_login_module, signature_policy, apt_source, remembered):
        module.STATE = str(directory / "holdfast")  # type: ignore[attr-defined]
    real = system_trust.SystemStore.of_this_host

    def of_this_host(anchors: str | None) -> t.Any:
        paths = {"bundle": str(directory / "certs/ca-certificates.crt"), "hashes": str(directory / "certs"), "command": str(directory / "update")}
        return dataclasses.replace(real(anchors), **paths)

    system_trust.SystemStore.of_this_host = staticmethod(of_this_host)  # type: ignore[method-assign]
