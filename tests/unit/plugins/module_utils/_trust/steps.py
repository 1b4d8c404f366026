# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the tests of ca_trust share: certificates, a host of directories, and what can be seen on it afterwards."""

from __future__ import annotations

import dataclasses
import datetime
import os
import shutil
import ssl
import stat

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames
from ansible_collections.holdfast.registry.plugins.module_utils._trust.certificates import read_ca_certificates, subject_hash
from ansible_collections.holdfast.registry.plugins.module_utils._trust.client import ClientPair
from ansible_collections.holdfast.registry.plugins.module_utils._trust.kept import Kept
from ansible_collections.holdfast.registry.plugins.module_utils._trust.registries import RegistryStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.system import SystemStore
from ansible_collections.holdfast.registry.plugins.module_utils._trust.trust import Stores, trust
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

NOW = datetime.datetime.now(datetime.timezone.utc)
UPDATE = shutil.which("update-ca-certificates", path="/usr/sbin:/usr/bin:/sbin:/bin")
needs_update = pytest.mark.skipif(not (UPDATE and shutil.which("openssl")), reason="needs update-ca-certificates")
ENDPOINTS = ["registry.example.com", "[2001:db8::5]:5000"]
ALL = ("system", "docker", "containers", "containerd")


def sign(name, ca=True, days=1, usages=None):
    """A self-signed certificate and its key, as PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(datetime.datetime(2000, 1, 1)).not_valid_after((NOW + datetime.timedelta(days=days)).replace(tzinfo=None))
    builder = builder.add_extension(x509.BasicConstraints(ca, None), critical=True)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    signed = builder.sign(key, hashes.SHA256())
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return signed.public_bytes(serialization.Encoding.PEM).decode(), secret.decode()


def make_ca(name):
    return read_ca_certificates(run_program, sign(name)[0], parameter="content", now=NOW)[0]


def make_client(directory, name="client", **keywords):
    """The files of a client certificate and its key in a directory."""
    certificate, key = sign(name, **{"ca": False, "usages": [x509.ExtendedKeyUsageOID.CLIENT_AUTH], **keywords})
    (directory / f"{name}.crt").write_text(certificate)
    (directory / f"{name}.key").write_text(key)
    (directory / f"{name}.key").chmod(0o600)
    return pair(directory / f"{name}.crt", directory / f"{name}.key")


def pair(certificate, key):
    return ClientPair(Pair(str(certificate), str(key)), PairNames("client_certificate_path", "client_key_path"))


FIRST, SECOND, THIRD = make_ca("First"), make_ca("Second"), make_ca("Third")


def make_host(tmp_path):
    """The real update-ca-certificates on directories of its own, which hold one certificate already."""
    for directory in ("share", "local", "certs", "hooks"):
        (tmp_path / directory).mkdir()
    (tmp_path / "share/Public_Root.crt").write_text(THIRD.pem)
    (tmp_path / "conf").write_text("Public_Root.crt\n")
    command = tmp_path / "update"
    command.write_text(
        f'#!/bin/sh\necho "run $*" >>{tmp_path}/log\nexec {UPDATE} --certsconf {tmp_path}/conf --certsdir {tmp_path}/share'
        f' --localcertsdir {tmp_path}/local --etccertsdir {tmp_path}/certs --hooksdir {tmp_path}/hooks "$@"\n'
    )
    command.chmod(0o755)
    return tmp_path


def request(host, certificates=(), stores=ALL, endpoints=(), name="corp", client=None, exclusive=False, former=(), left=()):
    system = dataclasses.replace(
        SystemStore.of_this_host(str(host / "local")), bundle=str(host / "certs/ca-certificates.crt"), hashes=str(host / "certs"), command=str(host / "update")
    )
    wanted = Kept(name, list(certificates), list(endpoints), client, exclusive, tuple(former))
    stores = [*stores, *left]
    by_registry = {store: RegistryStore(str(host / store / "certs.d"), store == "containerd") for store in stores if store != "system"}
    return wanted, Stores(system if "system" in stores else None, by_registry, frozenset(left))


def present(host, *certificates, **keywords):
    return trust(run_program, *request(host, certificates, **{"endpoints": ENDPOINTS, **keywords}), check_mode=False)


def absent(host, **keywords):
    return trust(run_program, *request(host, **keywords), check_mode=False)


def snapshot(host):
    """Everything below a directory: kind, mode, time and content."""
    found = {}
    for directory, _names, names in os.walk(host):
        found[directory] = os.lstat(directory).st_mode
        for name in names:
            path = os.path.join(directory, name)
            status = os.lstat(path)
            content = os.readlink(path) if stat.S_ISLNK(status.st_mode) else open(path, "rb").read()  # noqa: SIM115
            found[path] = (status.st_mode, status.st_mtime_ns, content)
    return found


def system_trusts(host):
    """Who is trusted by the bundle and, which must be the same, by the links in the directory."""
    bundle = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bundle.load_verify_locations(cafile=str(host / "certs/ca-certificates.crt"))
    in_bundle = {certificate["subject"][0][0][1] for certificate in bundle.get_ca_certs()}
    for certificate in (FIRST, SECOND, THIRD):
        links = [path.read_text() for path in (host / "certs").glob(f"{subject_hash(run_program, certificate.der)}.*")]
        assert any(text.endswith(certificate.pem) for text in links) is (certificate.subject[3:] in in_bundle)
    assert not [path for path in (host / "certs").iterdir() if not path.exists()]
    return in_bundle - {"Third"}
