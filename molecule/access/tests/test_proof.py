# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user and the repository that verify.yml proves the registry with: nobody else is the one or reaches the other."""

from collections.abc import Iterator

import pytest
from people import PASSWORDS
from scenario import gateway, playbook
from scenario.hosts import write
from testinfra.host import Host

USER, PASSWORD = "holdfast-verify", "a password for a minute"
OWN, ANOTHERS = "/v2/holdfast/verify/tags/list", "/v2/team-b/secret/tags/list"


@pytest.fixture
def proof(registry: Host) -> Iterator[None]:
    """As while verify.yml runs."""
    users = {"path": gateway.USERS_FILE, "owner": "root", "group": "holdfast-gateway-passwords"}
    playbook.module("registry", "htpasswd", **users, users=[{"name": USER, "password": PASSWORD}])
    yield
    playbook.module("registry", "htpasswd", **users, users=[{"name": USER, "state": "absent"}])


def ask(registry: Host, path: str, options: str = "", name: str = "registry.holdfast.test") -> str:
    return str(
        registry.check_output(
            f"curl -sS -o /dev/null -w '%{{http_code}}' --cacert /etc/ssl/holdfast/ca.crt --resolve {name}:5443:127.0.0.1 {options} https://{name}:5443{path}"
        )
    )


def user(name: str, password: str) -> str:
    return f"-u '{name}:{password}'"


@pytest.mark.usefixtures("proof")
def test_the_proofs_user_reaches_its_repository_and_nothing_else(registry: Host) -> None:
    me = user(USER, PASSWORD)
    assert [ask(registry, path, me) for path in ("/v2/", OWN)] == ["200", "404"]
    assert [ask(registry, path, me) for path in (ANOTHERS, "/v2/library/base/tags/list", "/v2/_catalog", "/v1/search?q=a")] == ["403"] * 4
    assert ask(registry, "/v2/holdfast/verify/blobs/uploads/", f"{me} -X POST") == "202"
    assert ask(registry, "/v2/library/base/blobs/uploads/", f"{me} -X POST") == "403"
    assert ask(registry, OWN, user(USER, "a guess")) == "401"


@pytest.mark.parametrize("path", [OWN, "/v2/holdfast/verify/manifests/1"])
def test_no_rule_gives_its_repository_to_others(registry: Host, path: str) -> None:
    assert [ask(registry, path, user(name, PASSWORDS[name])) for name in ("admin", "alice")] == ["403", "403"]
    assert ask(registry, path) == "401"


def test_nobody_is_its_user_once_the_proof_is_over(registry: Host) -> None:
    assert ask(registry, OWN, user(USER, "another password")) == "401"


@pytest.mark.usefixtures("proof")
def test_no_client_certificate_names_its_user(registry: Host) -> None:
    registry.check_output(
        "cd /root && umask 077 && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
        f" -subj /O=some/CN={USER} -addext subjectAltName=DNS:robot.holdfast.test -keyout proof.key -out proof.csr"
    )
    request = {"name": "proof", "csr": registry.file("/root/proof.csr").content_string, "usages": ["client"]}
    signed = playbook.module("registry", "certificate_sign", directory="/etc/ssl/holdfast-ca", requests=[request])
    write(registry, "/root/proof.crt", signed["certificates"][0]["certificate"])
    shown = "--cert /root/proof.crt --key /root/proof.key"
    assert [ask(registry, path, shown, "machines.holdfast.test") for path in ("/v2/", OWN)] == ["401", "401"]
    assert ask(registry, OWN, f"{shown} {user(USER, PASSWORD)}", "machines.holdfast.test") == "404"
