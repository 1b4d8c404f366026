# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway before a registry whose images are in an S3 store: what a pull gets, from where, and what of the store a client sees."""

import json
from collections.abc import Iterator

import pytest
from scenario import gateway, hosts
from scenario.images import push
from testinfra.host import Host

TLS = "--cacert /etc/ssl/own.crt --resolve images.holdfast.test:443:127.0.0.1 --resolve images.holdfast.test:444:127.0.0.1"
ALICE, BOB = "-u 'alice:alice has a password'", "-u 'bob:bob has a password'"
URL, VIRTUAL = "https://images.holdfast.test", "https://images.holdfast.test:444"
CACHE = "/var/cache/holdfast-gateway/registry"
UNITS = {"test-behind": 5003, "test-virtual": 5004}

# As role registry would write it, with redirects.
CONFIGURATION = """
version: 0.1
log: {{level: error}}
storage:
  s3: {{regionendpoint: "https://store.holdfast.test:8333", region: us-east-1, bucket: registry, rootdirectory: /behind/gateway, v4auth: true, secure: true,
       accesskey: key-of-the-registry, secretkey: {secret}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}", relativeurls: true, secret: 0123456789abcdef-of-uploads}}
"""
SECRET = "0123456789abcdef-of-the-store"


@pytest.fixture(scope="module")
def server() -> Iterator[Host]:
    server = hosts.host("server")
    server.check_output("cp /etc/docker/registry/store-ca.crt /run/behind-ca.crt")
    for unit, port in UNITS.items():
        hosts.write(server, f"/run/{unit}.yml", CONFIGURATION.format(port=port, secret=SECRET))
        start(server, unit, port)
    yield server
    server.check_output(f"systemctl stop {' '.join(UNITS)}; rm -f /run/test-*.yml /run/behind-ca.crt")


def start(server: Host, unit: str, port: int) -> None:
    server.check_output(f"systemd-run --quiet --unit {unit} --setenv=SSL_CERT_FILE=/run/behind-ca.crt docker-registry serve /run/{unit}.yml")
    server.check_output(f"for i in $(seq 100); do curl -fs -o /dev/null http://127.0.0.1:{port}/v2/ && exit 0; sleep 0.1; done; exit 1")


def curl(server: Host, path: str, options: str = ALICE, url: str = URL) -> str:
    return str(server.check_output(f"curl -sS {TLS} {options} {url}{path}"))


def status(server: Host, path: str, options: str = ALICE, url: str = URL) -> str:
    return curl(server, path, f"-o /dev/null -w '%{{http_code}}' {options}", url)


def hashed(server: Host, path: str, options: str = ALICE) -> str:
    return "sha256:" + server.check_output(f"curl -sS {TLS} {options} {URL}{path} | sha256sum").split()[0]


@pytest.fixture(scope="module")
def layer(server: Host) -> str:
    return push(server, f"{TLS} {ALICE} {URL}", "team/app", size=20_000_000)


def test_a_pull_gets_the_blob_and_nothing_of_the_store(server: Host, layer: str) -> None:
    path = f"/v2/team/app/blobs/{layer}"
    assert hashed(server, path) == layer
    for method in ("", "-I"):
        head = curl(server, path, f"{ALICE} {method} -o /dev/null -D -").lower()
        assert head.startswith("http/1.1 200")
        for wanted in ("content-length: 20000000", f"docker-content-digest: {layer}", f'etag: "{layer}"', "content-type: application/octet-stream"):
            assert head.count(wanted) == 1, wanted
        names = [line.partition(":")[0] for line in head.splitlines()[1:] if line.strip()]
        assert sorted(names) == sorted(
            [
                *("server", "date", "content-type", "content-length", "docker-distribution-api-version", "cache-control", "docker-content-digest"),
                *("etag", "x-content-type-options", "accept-ranges", "connection"),
            ]
        )


def test_the_registry_itself_would_have_sent_the_client_to_the_store(server: Host, layer: str) -> None:
    answer = server.check_output(f"curl -sS -o /dev/null -w '%{{http_code}} %{{redirect_url}}' http://127.0.0.1:5003/v2/team/app/blobs/{layer}")
    assert answer.startswith("307 https://store.holdfast.test:8333/registry/behind/gateway/docker/registry/v2/blobs/sha256/")
    assert "X-Amz-Signature" in answer


def test_parts_and_conditions_are_right(server: Host, layer: str) -> None:
    path = f"/v2/team/app/blobs/{layer}"
    server.check_output(f"curl -sS {TLS} {ALICE} -o /run/whole {URL}{path}")
    for first, last, asked in [(5, 9, "5-9"), (8388606, 8388609, "8388606-8388609"), (19999990, 19999999, "-10"), (16777216, 19999999, "16777216-")]:
        server.check_output(f"curl -fsS {TLS} {ALICE} -r {asked} -o /run/part {URL}{path}")
        server.check_output(f"tail -c +{first + 1} /run/whole | head -c {last - first + 1} | cmp - /run/part")
    assert status(server, path, f"{ALICE} -r 20000000-") == "416"
    assert status(server, path, f"{ALICE} -r 99999999-") == "416"
    assert status(server, path, f"{ALICE} -H 'If-None-Match: \"{layer}\"'") == "304"
    server.check_output("rm /run/whole /run/part")


def test_the_other_form_of_the_stores_address_is_another_place(server: Host, layer: str) -> None:
    """The registry has the bucket in the path, and the second gateway is told that it is in the name."""
    assert status(server, f"/v2/team/app/blobs/{layer}", url=VIRTUAL) == "502"


def test_a_hot_blob_is_for_those_who_may_pull_it_where_it_is(server: Host, layer: str) -> None:
    path = f"/v2/team/app/blobs/{layer}"
    assert hashed(server, path) == layer
    assert status(server, path, "") == "401"
    assert status(server, path, "-u alice:wrong") == "401"
    assert status(server, path, BOB) == "403"
    assert status(server, f"/v2/shared/app/blobs/{layer}", BOB) == "404", "the repository does not hold it"


def test_a_deleted_blob_is_gone_although_the_cache_has_it(server: Host) -> None:
    digest = push(server, f"{TLS} {ALICE} {URL}", "shared/deleted", size=100_000)
    kept = push(server, f"{TLS} {ALICE} {URL}", "shared/kept", size=100_000)
    path = f"/v2/shared/deleted/blobs/{digest}"
    assert hashed(server, path, BOB) == digest
    assert status(server, path, f"{BOB} -X DELETE") == "202"
    for method in ("", "-I"):
        assert status(server, path, f"{BOB} {method}") == "404"
    assert hashed(server, f"/v2/shared/kept/blobs/{kept}", BOB) == kept


def test_pulls_of_hot_blobs_go_on_without_the_store(server: Host, store: Host, layer: str) -> None:
    """The registry asks its store for the link of the blob, and answers nothing but errors."""
    path = f"/v2/team/app/blobs/{layer}"
    cold = push(server, f"{TLS} {ALICE} {URL}", "team/cold", size=100_000)
    assert hashed(server, path) == layer
    store.check_output("systemctl stop seaweedfs")
    try:
        assert server.run(f"curl -s -m 60 -o /dev/null -w '%{{http_code}}' http://127.0.0.1:5003{path}").stdout in ("500", "503")
        assert hashed(server, path) == layer
        assert status(server, path, f"{ALICE} -r 5-9") == "206"
        assert status(server, path, "") == "401"
        assert status(server, path, BOB) == "403"
        assert status(server, f"/v2/team/cold/blobs/{cold}") in ("502", "503")
        assert status(server, f"/v2/team/other/blobs/{layer}") == "503"
    finally:
        store.check_output("systemctl start seaweedfs")
        server.check_output(
            f"for i in $(seq 200); do [ $(curl -s -o /dev/null -w '%{{http_code}}' http://127.0.0.1:5003{path}) = 307 ] && exit 0; sleep 0.3; done"
        )
        # The registries of the other tests answer everything with 503 until their own look at the store finds it again.
        for port in (5000, 5002):
            server.check_output(f"for i in $(seq 200); do curl -fs -o /dev/null http://127.0.0.1:{port}/v2/ && exit 0; sleep 0.3; done; exit 1")
    assert hashed(server, f"/v2/team/cold/blobs/{cold}") == cold


def test_no_log_and_no_file_has_a_signed_address_or_a_password(server: Host, layer: str) -> None:
    assert hashed(server, f"/v2/team/app/blobs/{layer}") == layer
    entries = [json.loads(line) for line in server.file(gateway.ACCESS_LOG).content_string.splitlines()]
    assert {"registry", "virtual"} <= {entry["registry"] for entry in entries}
    found = server.run(
        f"grep -rlaE 'X-Amz-Signature|X-Amz-Credential|alice has a password|{SECRET}' {gateway.LOGS} {CACHE} {gateway.RUNTIME}/held {gateway.CONFIGURATION}"
    )
    assert found.stdout == ""
