# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Other names, other sources, and back. After test_acme.py, in this order."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import CERTIFICATE, KEY, NAME, serial, served, unreachable
from scenario import hosts, playbook
from scenario.docker import Docker
from testinfra.host import Host

PASSWORD = "a password of alice's own"
BROUGHT = hosts.KEPT / "brought"
INSTALLED = "/etc/ssl/holdfast-files/registry.crt"
OWN_CA = {"holdfast_certificate_source": "own-ca", "holdfast_certificate_ca": ""}

MAKE = f"""
set -eu
ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
ca="-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign"
openssl req -x509 $ec -keyout root.key -out root.crt -days 30 -subj /CN=Root $ca
openssl req -new $ec -keyout middle.key -out middle.csr -subj /CN=Middle
printf 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n' >middle.ext
openssl x509 -req -in middle.csr -CA root.crt -CAkey root.key -CAcreateserial -days 20 -extfile middle.ext -out middle.crt
sign() {{ # NAME KEY SUBJECT DAYS
  printf "subjectAltName=critical,DNS:$3\nextendedKeyUsage=serverAuth\nkeyUsage=critical,digitalSignature\n" >$1.ext
  printf "basicConstraints=CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n" >>$1.ext
  openssl req -new -key $2 -subj / -out $1.csr
  openssl x509 -req -in $1.csr -CA middle.crt -CAkey middle.key -CAcreateserial -days $4 -extfile $1.ext -out $1.leaf
  cat $1.leaf middle.crt >$1.crt
}}
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out good.key
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out other.key
sign good good.key {NAME} 10
sign name good.key other.holdfast.test 10
sign expired good.key {NAME} 0
cat middle.crt good.leaf >order.crt
cp good.leaf short.crt
"""


@pytest.fixture(scope="module")
def brought() -> Path:
    BROUGHT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["sh", "-c", MAKE], cwd=BROUGHT, check=True, capture_output=True)
    return BROUGHT


def source_of(brought: Path) -> dict[str, Any]:
    return {
        "holdfast_certificate_source": "files",
        "holdfast_certificate_file": str(brought / "good.crt"),
        "holdfast_certificate_key": (brought / "good.key").read_text(),
        "holdfast_certificate_ca": (brought / "root.crt").read_text(),
    }


@pytest.fixture
def image(docker: Docker) -> str:
    return pushed(docker)


def pushed(docker: Docker) -> str:
    assert docker.login("alice", PASSWORD).rc == 0
    image, _digest = docker.push("team/app")
    return image


def pulls(docker: Docker) -> None:
    image = pushed(docker)
    docker.ok(f"pull {image}")
    docker.ok(f"image rm {image}")


def test_other_names_are_not_lost_to_a_server_that_is_away(server: Host) -> None:
    before = serial(server)
    with unreachable(server):
        run = playbook.converge("--tags", "acme", holdfast_extra_names=["other.holdfast.test"])
    assert not run.succeeded
    assert "a certificate is needed (it is for registry.holdfast.test instead of other.holdfast.test, registry.holdfast.test)" in run.output
    assert served(server) == serial(server) == before


def test_other_names_and_another_type_of_key_come_with_one_certificate(server: Host) -> None:
    playbook.converged("--tags", "acme", holdfast_extra_names=["other.holdfast.test"], acme_key_type="ec-p384")
    assert "other.holdfast.test" in server.check_output(f"openssl x509 -in {CERTIFICATE} -noout -ext subjectAltName")
    assert "P-384" in server.check_output(f"openssl pkey -in {KEY} -noout -text")
    assert server.run(f"test -e {KEY}.new").rc != 0
    assert served(server) == serial(server)


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        ("good", "other", "does not match key"),
        ("name", "good", "is not for registry.holdfast.test, only for other.holdfast.test"),
        ("expired", "good", "expired"),
        ("order", "good", "begins with the certificate of a CA"),
        ("short", "good", "is not signed by one of ca_certificates"),
    ],
    ids=["another key", "another name", "expired", "in another order", "without the CA between"],
)
def test_files_that_clients_would_refuse_are_not_installed(server: Host, brought: Path, certificate: str, key: str, why: str) -> None:
    pair = {"certificate": (brought / f"{certificate}.crt").read_text(), "key": (brought / f"{key}.key").read_text()}
    more = {"ca_certificates": (brought / "root.crt").read_text(), "server_names": [NAME]}
    with pytest.raises(AssertionError) as refused:
        playbook.module("server", "certificate_files", directory="/etc/ssl/holdfast-files", **pair, **more)
    assert why in str(refused.value)
    assert "PRIVATE KEY" not in str(refused.value)
    assert server.run(f"test -e {INSTALLED}").rc != 0


def test_site_stops_at_files_that_clients_would_refuse(server: Host, brought: Path) -> None:
    before = served(server)
    run = playbook.converge("--tags", "certificate,nginx_auth", **{**source_of(brought), "holdfast_certificate_file": str(brought / "order.crt")})
    assert not run.succeeded
    assert "nothing was installed" in run.output
    assert "PRIVATE KEY" not in run.output
    assert served(server) == before


def test_brought_files_are_used_and_what_asked_the_acme_server_is_gone(server: Host, docker: Docker, image: str, brought: Path) -> None:
    with docker.pulling(image) as failed:
        run = playbook.converged("--diff", **source_of(brought))
    assert failed == []
    assert "PRIVATE KEY" not in run.output
    assert served(server) == serial(server, INSTALLED)
    pulls(docker)
    assert server.run("systemctl cat holdfast-acme.timer").rc != 0
    assert server.run("id holdfast-acme").rc != 0
    assert server.run("ls -d /etc/holdfast-acme /var/lib/holdfast-acme /usr/local/lib/holdfast-acme").stdout == ""
    assert server.run(f"test -s {CERTIFICATE} -a -s {KEY}").rc == 0
    assert server.run("ss -Hltn sport = :80").stdout == ""
    assert playbook.converged(**source_of(brought)).changed == 0


def trusted(client: Host) -> list[str]:
    """Whom Docker trusts for the registry."""
    split = "csplit -sz -f /run/trusted. - '/BEGIN/' '{*}' && for each in /run/trusted.*; do openssl x509 -in $each -noout -subject -nameopt RFC2253; done"
    found = client.check_output(f"rm -f /run/trusted.*; cat /etc/docker/certs.d/{NAME}/*.crt | sed -n '/BEGIN/,/END/p' | {split}")
    return sorted(line.split("CN=")[1] for line in found.splitlines())


def test_back_to_the_own_ca(server: Host, client: Host, docker: Docker, image: str) -> None:
    with docker.pulling(image) as failed:
        playbook.converged(**OWN_CA)
    assert failed == []
    assert served(server) == serial(server, "/etc/ssl/holdfast/registry.crt")
    pulls(docker)
    assert trusted(client) == ["Holdfast registry CA"]


def test_a_new_ca_is_trusted_before_the_registry_presents_it(server: Host, client: Host, docker: Docker, image: str) -> None:
    before = served(server)
    with docker.pulling(image) as failed:
        playbook.converged(**OWN_CA, pki_ca_generation=2)
    assert failed == []
    assert served(server) != before
    assert trusted(client) == ["Holdfast registry CA", "Holdfast registry CA G2"]


def test_a_stolen_ca_is_trusted_until_the_registry_has_another_and_no_longer(server: Host, client: Host, docker: Docker, image: str) -> None:
    with docker.pulling(image) as failed:
        playbook.converged(**OWN_CA, pki_ca_generation=3, pki_ca_keep_previous=False)
    assert failed == []
    assert trusted(client) == ["Holdfast registry CA G3"]
    assert playbook.converged(**OWN_CA, pki_ca_generation=3, pki_ca_keep_previous=False).changed == 0
