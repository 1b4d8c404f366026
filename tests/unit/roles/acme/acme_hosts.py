# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A host with an ACME certificate, for the tests of the role's program."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import subprocess

NAME = "registry.example.org"
CA = "-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
EC = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
LEAF = "extendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"


def configured(path, authority):
    """The configuration of a host whose files are below path."""
    return {
        "names": [NAME],
        "certificate": str(path / "registry.crt"),
        "key": str(path / "registry.key"),
        "csr": str(path / "registry.csr"),
        "key_type": "ec-p256",
        "state": str(path / "state"),
        "server": "https://acme.example.org/dir",
        "server_ca": "",
        "issuer_ca": str(authority / "ca.crt"),
        "options": ["--register-unsafely-without-email"],
        "eab": "",
        "challenge": "http-01",
        "webroot": "",
        "renew_percent": 33,
        "services": [],
    }


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def shell(path, command):
    subprocess.run(["sh", "-ec", command], cwd=path, check=True, capture_output=True)


def issued(host, authority, names=(NAME,), *, ca="ca", days=30, csr=None):
    """What an ACME server returns for the request."""
    alternatives = ",".join(f"DNS:{name}" for name in names)
    extensions = pathlib.Path(host["state"], "extensions")
    extensions.write_text(f"subjectAltName=critical,{alternatives}\n{LEAF}")
    made = pathlib.Path(host["state"], "made.crt")
    sign = f"openssl x509 -req -in {csr or host['csr']} -CA {ca}.crt -CAkey {ca}.key -set_serial $(date +%s%N) -days {days} -extfile {extensions} -out {made}"
    shell(authority, sign)
    return made.read_text() + (authority / f"{ca}.crt").read_text()


def bring(host, chain):
    pathlib.Path(host["state"], "issued.pem").write_text(chain)


def read(host, what):
    return pathlib.Path(host[what]).read_text()


def status(host):
    return json.loads(pathlib.Path(host["state"], "status.json").read_text())
