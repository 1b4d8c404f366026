# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors behind the gateway: those that share a name and a port, and those for certain clients."""

import json
import time
from collections.abc import Generator
from typing import Any

import pytest
from client import Answer, Client
from programs import ECHO, MIRROR, UPSTREAM
from scenario import gateway, hosts
from testinfra.host import Host

SHARED = "https://images.holdfast.test:5450"
NEAR = "https://images.holdfast.test:5451"
MACHINES = "https://images.holdfast.test:5452"
ALICE = "alice:alice has a password"
STORAGE = "/srv/mirrors/hub/docker/registry/v2"
UNITS = {"test-upstream": "python3 /run/upstream.py", "test-hub": "docker-registry serve /run/hub.yml", "test-echo": "python3 /run/echo.py"}
ECHOED = "/v2/org/app/tags/list"
# What the registry would otherwise convert for clients of another age.
ACCEPT = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}


@pytest.fixture(scope="module")
def server() -> Generator[Host, None, None]:
    server = hosts.host("server")
    for path, content in [("/run/upstream.py", UPSTREAM), ("/run/hub.yml", MIRROR), ("/run/echo.py", ECHO)]:
        hosts.write(server, path, content)
    # the registry's own unit closes its storage to others than its group
    server.check_output("rm -rf /srv/mirrors/hub /run/wait; mkdir -p /srv/mirrors/hub")
    for unit in UNITS:
        start(server, unit)
    yield server
    server.check_output(f"rm -f /run/wait; systemctl stop {' '.join(UNITS)}")


@pytest.fixture
def client(server: Host) -> Client:
    return Client(server)


@pytest.fixture
def image(server: Host) -> dict[str, str]:
    found: dict[str, str] = json.loads(server.check_output("cat /run/image"))
    return found


def start(server: Host, unit: str) -> None:
    server.check_output(f"systemctl is-active --quiet {unit} || systemd-run --quiet --unit {unit} {UNITS[unit]}")
    port = {"test-upstream": 5003, "test-hub": 5001, "test-echo": 5002}[unit]
    wait(server, f"curl -s -o /dev/null http://127.0.0.1:{port}/v2/")


def wait(server: Host, command: str) -> None:
    waited = server.run(f"for i in $(seq 100); do {command} && exit 0; sleep 0.1; done; exit 1")
    assert waited.rc == 0, command


def logged(server: Host) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(server.file(gateway.ACCESS_LOG).content_string.splitlines()[-1])
    return entry


def code(answer: Answer) -> str:
    """Of an error in JSON."""
    found: str = json.loads(answer.body)["errors"][0]["code"]
    return found


def blob(digest: str) -> str:
    return f"blobs/sha256/{digest[7:9]}/{digest[7:]}/data"


def link(repository: str, digest: str, kind: str = "_layers") -> str:
    return f"repositories/{repository}/{kind}/sha256/{digest[7:]}/link"


def pulled(client: Client, server: Host, repository: str, digest: str) -> None:
    """Have the registry fetch the layer, and wait until it keeps it."""
    assert client.ask(SHARED, f"/v2/{repository}/blobs/{digest}").status == 200
    wait(server, f"test -s {STORAGE}/{link(repository, digest)}")


def sum_of(server: Host, path: str) -> str:
    printed = server.check_output(f"curl -s --cacert /etc/ssl/own.crt --connect-to ::127.0.0.1: {SHARED}{path} | sha256sum")
    return "sha256:" + printed.split()[0]


# What lies in the storage


def test_a_blob_that_is_only_half_fetched_is_never_sent(client: Client, server: Host, image: dict[str, str]) -> None:
    path = f"/v2/half/app/blobs/{image['layer']}"
    server.check_output("touch /run/wait")
    curl = f"curl -s --cacert /etc/ssl/own.crt --connect-to ::127.0.0.1: -w '%{{http_code}}' {SHARED}{path}"
    for number in (1, 2):
        server.check_output(f"{curl} -o /run/half-{number} >/run/half-status-{number} 2>&1 & :")
        wait(server, f"find {STORAGE}/repositories/half/app/_uploads -name data -size +100k | grep -q .")
    # half of it is there, and asking again waits for the other half as the first one does
    assert not server.file(f"{STORAGE}/{blob(image['layer'])}").exists
    assert not server.file(f"{STORAGE}/{link('half/app', image['layer'])}").exists
    assert server.run("cat /run/half-status-1 /run/half-status-2").stdout == ""
    server.check_output("rm /run/wait")
    for number in (1, 2):
        wait(server, f"test -s /run/half-status-{number}")
        assert server.check_output(f"cat /run/half-status-{number}") == "200"
        assert server.check_output(f"sha256sum /run/half-{number}").split()[0] == image["layer"][7:]


def test_a_blob_and_a_manifest_that_were_pulled_are_sent_although_registry_and_upstream_are_gone(client: Client, server: Host, image: dict[str, str]) -> None:
    pulled(client, server, "library/kept", image["layer"])
    manifest = f"/v2/library/kept/manifests/{image['manifest']}"
    # once fetched by the registry, once more from it into nginx's cache
    for _time in range(2):
        assert client.ask(SHARED, manifest).status == 200
    # fetched, but not yet in the cache
    once = f"/v2/library/once/manifests/{image['other-manifest']}"
    assert client.ask(SHARED, once).status == 200
    server.check_output("systemctl stop test-hub test-upstream")
    try:
        assert sum_of(server, f"/v2/library/kept/blobs/{image['layer']}") == image["layer"]
        assert sum_of(server, f"/v2/docker.io/library/kept/blobs/{image['layer']}") == image["layer"]
        assert sum_of(server, f"/v2/docker.io/kept/manifests/{image['manifest']}") == image["manifest"]
        # as 2.8 leaves a link behind when the power fails
        server.check_output(f": >{STORAGE}/{link('library/kept', image['layer'])}")
        assert sum_of(server, f"/v2/library/kept/blobs/{image['layer']}") == image["layer"]
        part = client.ask(SHARED, f"/v2/library/kept/blobs/{image['layer']}", headers={"Range": "bytes=0-99"})
        assert (part.status, part.length) == (206, 100)
        head = client.ask(SHARED, f"/v2/library/kept/blobs/{image['layer']}", method="HEAD")
        assert (head.status, head.header("docker-content-digest")) == (200, image["layer"])
        assert client.ask(SHARED, f"/v2/library/kept/blobs/{image['layer']}", headers={"If-None-Match": f'"{image["layer"]}"'}).status == 304
        # another repository's is not this one's
        for path in (f"/v2/library/other/blobs/{image['layer']}", f"/v2/library/other/manifests/{image['manifest']}", once):
            refused = client.ask(SHARED, path)
            assert (refused.status, code(refused), logged(server)["why"]) == (503, "UNAVAILABLE", "unavailable"), path
    finally:
        for unit in ("test-upstream", "test-hub"):
            start(server, unit)


@pytest.mark.parametrize("lost", ["the blob", "the link", "both", "the repository"])
def test_a_blob_that_has_expired_is_fetched_again(client: Client, server: Host, image: dict[str, str], lost: str) -> None:
    pulled(client, server, "library/expired", image["layer"])
    paths = {
        "the blob": [blob(image["layer"])],
        "the link": [link("library/expired", image["layer"])],
        "both": [blob(image["layer"]), link("library/expired", image["layer"])],
        "the repository": ["repositories/library/expired"],
    }[lost]
    server.check_output(f"cd {STORAGE} && rm -r {' '.join(paths)}; sleep 1.1; : >/run/upstream-asked")
    assert sum_of(server, f"/v2/library/expired/blobs/{image['layer']}") == image["layer"]
    assert f"GET /v2/library/expired/blobs/{image['layer']}" in server.check_output("cat /run/upstream-asked")
    for path in (blob(image["layer"]), link("library/expired", image["layer"])):
        wait(server, f"test -s {STORAGE}/{path}")


def test_a_cached_manifest_outlives_its_expiry_only_while_its_link_exists(client: Client, server: Host, image: dict[str, str]) -> None:
    path = f"/v2/library/manifest/manifests/{image['manifest']}"
    revision = f"{STORAGE}/{link('library/manifest', image['manifest'], '_manifests/revisions')}"
    for _time in range(2):
        assert client.ask(SHARED, path).status == 200
    server.check_output(f"test -s {revision}; : >/run/upstream-asked")
    assert client.ask(SHARED, path).status == 200
    assert server.check_output("cat /run/upstream-asked") == ""
    server.check_output(f"rm {revision}; sleep 1.1")
    assert sum_of(server, path) == image["manifest"]
    assert f"GET {path}" in server.check_output("cat /run/upstream-asked")
    server.check_output(f"test -s {revision}")


def test_what_the_upstream_does_not_have_is_answered_by_the_registry(client: Client) -> None:
    blob = client.ask(SHARED, f"/v2/library/app/blobs/sha256:{64 * 'a'}")
    assert (blob.status, code(blob)) == (404, "BLOB_UNKNOWN")
    # 2.8 takes what the upstream says of a manifest for an error of its own
    manifest = client.ask(SHARED, f"/v2/library/app/manifests/sha256:{64 * 'a'}")
    assert (manifest.status, code(manifest)) in ((404, "MANIFEST_UNKNOWN"), (500, "UNKNOWN"))


@pytest.mark.parametrize("status", [404, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("what", ["manifests/latest", f"manifests/sha256:{64 * 'a'}", f"blobs/sha256:{64 * 'a'}", "tags/list"])
def test_errors_of_the_registry_itself_pass(client: Client, status: int, what: str) -> None:
    path = f"/v2/status/{status}/{what}"
    answer = client.ask(SHARED, f"{path}?ns=ghcr.io", password=ALICE)
    assert (answer.status, json.loads(answer.body)) == (status, {"asked": f"{path}?&" if what == "tags/list" else path})


def test_a_symbolic_link_in_the_storage_is_not_followed(client: Client, server: Host) -> None:
    digest = f"sha256:{64 * 'b'}"
    storage = "/srv/mirrors/others/docker/registry/v2"
    for path in (blob(digest), link("org/app", digest)):
        server.check_output(f"mkdir -p $(dirname {storage}/{path}); ln -sf /etc/hostname {storage}/{path}")
    answer = client.ask(SHARED, f"/v2/org/app/blobs/{digest}?ns=ghcr.io", password=ALICE)
    assert server.check_output("cat /etc/hostname") not in answer.body


# Which mirror


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v2/org/app/manifests/1?ns=ghcr.io", "/v2/org/app/manifests/1"),
        ("/v2/org/app/manifests/1?ns=upstream.holdfast.test%3A5000", "/v2/org/app/manifests/1"),
        ("/v2/org/app/manifests/1?ns=upstream.holdfast.test:5000", "/v2/org/app/manifests/1"),
        ("/v2/org/app/manifests/1?ns=ghcr.io&ns=docker.io", "/v2/org/app/manifests/1"),
        ("/v2/org/app/manifests/1?x=1&ns=ghcr.io", "/v2/org/app/manifests/1"),
        ("/v2/ghcr.io/org/app/manifests/1", "/v2/org/app/manifests/1"),
        ("/v2/ghcr.io%2Forg%2fapp/manifests/1", "/v2/org/app/manifests/1"),
        ("/v2/ghcr.io/org/app/manifests/1?ns=docker.io", "/v2/org/app/manifests/1"),
        ("/v2/ghcr.io/app/manifests/1", "/v2/app/manifests/1"),
        ("/v2/ghcr.io/docker.io/app/manifests/1", "/v2/docker.io/app/manifests/1"),
        ("/v2/ghcr.io/org/app/tags/list?n=1", "/v2/org/app/tags/list?n=1&"),
    ],
)
def test_the_path_or_the_query_says_which_mirror_is_asked(client: Client, server: Host, path: str, asked: str) -> None:
    answer = client.ask(SHARED, path, password=ALICE)
    assert (answer.status, json.loads(answer.body)) == (200, {"asked": asked})
    entry = logged(server)
    # the rules and the log see what the registry sees
    assert (entry["registry"], entry["repository"]) == ("others", asked.removeprefix("/v2/").rsplit("/", 2)[0])
    assert entry["path"] == path.partition("?")[0]


@pytest.mark.parametrize(
    ("path", "repository"),
    [
        ("/v2/library/app/manifests/latest", "library/app"),
        ("/v2/library/app/manifests/latest?ns=docker.io", "library/app"),
        ("/v2/app/manifests/latest?ns=docker.io", "app"),
        ("/v2/docker.io/library/app/manifests/latest", "library/app"),
        ("/v2/docker.io/app/manifests/latest", "library/app"),
        ("/v2/quay.io/app/manifests/latest", "quay.io/app"),
    ],
)
def test_the_mirror_of_docker_io_is_asked_where_nothing_is_said(client: Client, server: Host, path: str, repository: str) -> None:
    server.check_output(": >/run/upstream-asked")
    assert client.ask(SHARED, path, headers=ACCEPT).status == 200
    entry = logged(server)
    assert (entry["registry"], entry["repository"], entry["user"]) == ("hub", repository, "")
    assert f" /v2/{repository}/manifests/latest" in server.check_output("cat /run/upstream-asked")


@pytest.mark.parametrize(
    ("url", "query"), [(SHARED, "?ns=quay.io"), (SHARED, "?ns=Ghcr.io"), (SHARED, "?ns=ghcr.io%00"), (SHARED, "?ns=x&ns=ghcr.io"), (MACHINES, "")]
)
@pytest.mark.parametrize("password", ["", ALICE, "alice:wrong"])
def test_an_unknown_upstream_is_refused_by_the_parameters_name(client: Client, server: Host, url: str, query: str, password: str) -> None:
    answer = client.ask(url, f"{ECHOED}{query}", password=password)
    assert (answer.status, code(answer)) == (404, "NAME_UNKNOWN")
    assert "the parameter ns" in answer.body
    assert (logged(server)["why"], logged(server)["registry"]) == ("unknown namespace", "")


@pytest.mark.parametrize("query", ["", "?ns=ghcr.io", "?ns=unknown"])
def test_a_login_a_token_and_a_ping_need_no_upstream(client: Client, query: str) -> None:
    challenge = client.ask(SHARED, f"/v2/{query}")
    assert challenge.status == 401
    assert challenge.header("www-authenticate").startswith('Bearer realm="https://images.holdfast.test:5450/v2/token"')
    assert json.loads(client.ask(SHARED, f"/v2/token{query}").body)["token"] == "anonymous"
    assert client.ask(SHARED, f"/v2/token{query}", password="alice:wrong").status == 401
    assert client.ask(SHARED, f"/v2/{query}", password=ALICE).status == 200
    assert client.ask(SHARED, f"/v2/{query}", password="alice:wrong").status == 401
    # as a client that names no upstream, where there is none for Docker Hub
    assert client.ask(MACHINES, f"/v2/{query}", password=ALICE).status == 200
    for path in ("/_ping", "/v1/_ping"):
        assert client.ask(SHARED, f"{path}{query}").body == "true"
        assert client.ask(MACHINES, f"{path}{query}").body == "true"


def test_each_mirror_of_a_server_has_rules_of_its_own(client: Client) -> None:
    anonymous = {"Authorization": "Bearer anonymous", **ACCEPT}
    assert client.ask(SHARED, "/v2/app/manifests/latest", headers=anonymous).status == 200
    for path in (f"{ECHOED}?ns=ghcr.io", "/v2/ghcr.io/org/app/tags/list"):
        assert client.ask(SHARED, path, headers=anonymous).status == 401
        assert client.ask(SHARED, path, password=ALICE).status == 200


def test_the_link_to_the_next_page_leads_to_the_same_upstream(client: Client) -> None:
    path = "/v2/ghcr.io/org/app/tags/list"
    assert client.ask(SHARED, f"{path}?n=1", password=ALICE).header("link") == f'<{path}?last=b&n=1>; rel="next"'
    assert client.ask(SHARED, f"{ECHOED}?n=1&ns=ghcr.io", password=ALICE).header("link") == f'<{ECHOED}?last=b&n=1&ns=ghcr.io>; rel="next"'
    assert client.ask(NEAR, ECHOED, password=ALICE).header("link") == f'<{ECHOED}?last=b&n=1>; rel="next"'


# Who may


@pytest.mark.parametrize("password", ["", ALICE])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/org/app/blobs/uploads/"),
        ("PUT", "/v2/org/app/manifests/1"),
        ("DELETE", f"/v2/org/app/manifests/sha256:{64 * 'a'}"),
        ("DELETE", f"/v2/org/app/blobs/sha256:{64 * 'a'}"),
        ("PATCH", "/v2/org/app/manifests/1"),
        ("POST", "/v2/org/app/tags/list"),
    ],
)
@pytest.mark.parametrize(("url", "query"), [(SHARED, ""), (SHARED, "?ns=ghcr.io"), (NEAR, "")])
def test_nobody_pushes_to_a_mirror_or_deletes_from_it(client: Client, url: str, query: str, method: str, path: str, password: str) -> None:
    answer = client.ask(url, f"{path}{query}", method=method, password=password)
    assert (answer.status, code(answer)) == (403, "DENIED")


@pytest.mark.parametrize(
    ("address", "headers", "password", "status"),
    [
        ("127.9.0.1", {}, "", 200),
        ("127.9.255.254", {}, "", 200),
        ("127.8.0.1", {}, "", 401),
        ("127.10.0.1", {}, "", 401),
        ("127.8.0.1", {}, ALICE, 200),
        ("127.9.0.1", {}, ALICE, 200),
        ("127.9.0.1", {}, "alice:wrong", 401),
        ("127.9.0.1", {"Authorization": "Bearer anonymous"}, "", 200),
        ("127.8.0.1", {"Authorization": "Bearer anonymous"}, "", 401),
        # what a proxy says counts only where it is a trusted one
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7"}, "", 200),
        ("127.0.0.1", {"X-Forwarded-For": "198.51.100.7"}, "", 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.7, 198.51.100.7"}, "", 401),
        ("127.8.0.1", {"X-Forwarded-For": "192.0.2.7"}, "", 401),
    ],
)
def test_a_mirror_with_networks_lets_in_their_clients_and_whoever_logs_in(
    client: Client, address: str, headers: dict[str, str], password: str, status: int
) -> None:
    assert client.ask(NEAR, ECHOED, address=address, headers=headers, password=password).status == status
    # anyone is told how to log in
    assert client.ask(NEAR, "/v2/", address=address, headers=headers).status == 401
    assert client.ask(NEAR, "/v2/token", address=address).status == 200


def test_a_mirror_may_be_for_clients_with_a_certificate(client: Client, server: Host) -> None:
    path = f"{ECHOED}?ns=quay.io"
    assert client.ask(MACHINES, path, certificate="builder").status == 200
    assert (logged(server)["user"], logged(server)["registry"]) == ("builder", "machines")
    assert client.ask(MACHINES, path).status == 401
    assert client.ask(MACHINES, path, password=ALICE).status == 200
    # one that nobody has issued for clients
    refused = client.ask(MACHINES, path, certificate="own")
    assert (refused.status, code(refused)) == (403, "DENIED")
    # and where no certificate is asked for, it lets in nobody
    assert client.ask(SHARED, f"{ECHOED}?ns=ghcr.io", certificate="builder").status == 401


@pytest.mark.parametrize("password", ["", ALICE])
def test_nothing_is_searched_in_a_mirror(client: Client, password: str) -> None:
    assert client.ask(SHARED, "/v1/search?q=app", password=password).status == (403 if password else 401)
    assert client.ask(NEAR, "/v1/search?q=app", password=password).status == (403 if password else 401)


def test_the_gateway_has_logged_no_alarm(server: Host) -> None:
    time.sleep(0.5)
    assert gateway.alarms(server.file(gateway.ERROR_LOG).content_string) == []
