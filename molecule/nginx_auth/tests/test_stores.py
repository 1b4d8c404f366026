# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry behind the gateway that keeps its images in an object store: nginx follows its redirects, and nobody else does."""

import hashlib
import json
import random
import time
from collections.abc import Generator
from typing import Any

import pytest
from client import TLS, Answer, Client
from scenario import gateway, hosts
from stores import REGISTRY, REGISTRY_PORT, STORE, STORE_PORT
from testinfra.host import Host

STORED = "https://images.holdfast.test:5460"
MISLED = "https://images.holdfast.test:5461"
ALICE = "alice:alice has a password"
CACHE = "/var/cache/holdfast-gateway/stored"
DRAIN = "/etc/holdfast-gateway/drain"
PLACE = f"https://store.holdfast.test:{STORE_PORT}/bucket/pre/fix/docker/registry/v2/blobs/sha256"
SIGNED = "X-Amz-Signature=for-GET"
ALIASES = [f"sha512:{128 * 'b'}", f"sha384:{96 * 'b'}"]
UNITS = {"test-stored": "python3 /run/stored.py", "test-store": "python3 /run/store.py"}
SLICE = 8 * 2**20
# Three slices, the last of them a small one.
LARGE = 2 * SLICE + 1234


@pytest.fixture(scope="module")
def server() -> Generator[Host, None, None]:
    server = hosts.host("server")
    # Other tests have nginx refuse things on purpose.
    server.check_output(f"wc -c <{gateway.ERROR_LOG} >/run/logged-before")
    hosts.write(server, "/run/stored.py", REGISTRY)
    hosts.write(server, "/run/store.py", STORE)
    server.check_output("rm -rf /run/objects /run/store-mode /run/registry-down; mkdir /run/objects")
    for unit in UNITS:
        start(server, unit)
    yield server
    server.check_output(f"rm -f /run/store-mode /run/registry-down {DRAIN}; systemctl stop {' '.join(UNITS)}")


@pytest.fixture
def client(server: Host) -> Generator[Client, None, None]:
    server.check_output("rm -f /run/store-mode /run/registry-down /run/store-asked /run/registry-asked")
    yield Client(server)
    for unit in UNITS:
        start(server, unit)


def start(server: Host, unit: str) -> None:
    server.check_output(f"systemctl is-active --quiet {unit} || systemd-run --quiet --unit {unit} {UNITS[unit]}")
    port = {"test-stored": REGISTRY_PORT, "test-store": STORE_PORT}[unit]
    waited = server.run(f"for i in $(seq 100); do timeout 1 bash -c '</dev/tcp/127.0.0.1/{port}' 2>/dev/null && exit 0; sleep 0.1; done; exit 1")
    assert waited.rc == 0, unit


def blob(server: Host, size: int) -> str:
    """A new one in the store. Returns its digest in hex."""
    seed = random.SystemRandom().randrange(2**32)
    make = f"import hashlib, random; b = random.Random({seed}).randbytes({size}); h = hashlib.sha256(b).hexdigest(); open('/run/objects/' + h, 'wb').write(b)"
    server.check_output(f'python3 -c "{make}"')
    return hashlib.sha256(random.Random(seed).randbytes(size)).hexdigest()


def path(hex_: str, repository: str = "good/app") -> str:
    return f"/v2/{repository}/blobs/sha256:{hex_}"


def hashed(server: Host, hex_: str, first: int, end: int) -> str:
    """The hash of a part of a blob."""
    return server.check_output(f"python3 -c \"import hashlib; print(hashlib.sha256(open('/run/objects/{hex_}', 'rb').read()[{first}:{end}]).hexdigest())\"")


def get(client: Client, hex_: str, repository: str = "good/app", **request: Any) -> Answer:
    return client.ask(STORED, path(hex_, repository), **{"password": ALICE, **request})


def get_alias(client: Client, alias: str = ALIASES[0], repository: str = "told/app", **request: Any) -> Answer:
    return client.ask(STORED, f"/v2/{repository}/blobs/{alias}", **{"password": ALICE, **request})


def asked(server: Host, whom: str) -> list[list[Any]]:
    """Method, path and headers of what the registry or the store was asked."""
    written = server.check_output(f"cat /run/{whom}-asked 2>/dev/null || true")
    return [json.loads(line) for line in written.splitlines()]


def mode(server: Host, text: str) -> None:
    hosts.write(server, "/run/store-mode", text)


def logged(server: Host) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(server.check_output(f"tail -n 1 {gateway.ACCESS_LOG}"))
    return entry


def code(answer: Answer) -> str:
    """Of an error in JSON."""
    found: str = json.loads(answer.body)["errors"][0]["code"]
    return found


# What a pull gets


@pytest.mark.parametrize("size", [1, SLICE, LARGE])
def test_a_blob_comes_whole_from_the_store_and_then_from_the_cache(client: Client, server: Host, size: int) -> None:
    hex_ = blob(server, size)
    for times in (1, 2):
        answer = get(client, hex_)
        assert (answer.status, answer.length, answer.hex, answer.whole) == (200, size, hex_, True)
        assert len(asked(server, "registry")) == times
    assert len(asked(server, "store")) == -(-size // SLICE)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_answer_has_a_registrys_headers_and_none_of_the_stores(client: Client, server: Host, method: str) -> None:
    hex_ = blob(server, 1000)
    for _time in range(2):
        answer = get(client, hex_, method=method)
        assert answer.status == 200
        assert {name: value for name, value in answer.headers if name != "date"} == {
            "server": "nginx",
            "content-type": "application/octet-stream",
            "content-length": "1000",
            "connection": "keep-alive",
            "docker-distribution-api-version": "registry/2.0",
            "cache-control": "max-age=31536000",
            "docker-content-digest": f"sha256:{hex_}",
            "etag": f'"sha256:{hex_}"',
            "x-content-type-options": "nosniff",
            "accept-ranges": "bytes",
        }
        assert len(answer.headers) == len(dict(map(tuple, answer.headers))), "a header is there twice"
    assert [request[0] for request in asked(server, "store")] == [method]
    assert [request[0] for request in asked(server, "registry")] == [method, method]


def test_the_store_learns_nothing_of_the_client(client: Client, server: Host) -> None:
    hex_ = blob(server, 10)
    headers = {"Cookie": "a=b", "X-Custom": "c", "User-Agent": "d", "Referer": "e", "Range": "bytes=2-3", "If-Match": '"of the store"'}
    assert get(client, hex_, headers=headers).status == 412
    (request,) = asked(server, "store")
    assert request[2] == {"Host": f"store.holdfast.test:{STORE_PORT}", "Range": f"bytes=0-{SLICE - 1}"}
    assert "Authorization" not in asked(server, "registry")[0][2]


PARTS = {
    "bytes=5-9": (5, 9),
    f"bytes={SLICE - 2}-{SLICE + 1}": (SLICE - 2, SLICE + 1),
    f"bytes={SLICE}-{SLICE}": (SLICE, SLICE),
    f"bytes={2 * SLICE + 1}-": (2 * SLICE + 1, LARGE - 1),
    "bytes=-2000": (LARGE - 2000, LARGE - 1),
    f"bytes=-{LARGE + 5}": (0, LARGE - 1),
    f"bytes={LARGE - 1}-{LARGE + 99}": (LARGE - 1, LARGE - 1),
}


@pytest.mark.parametrize("hot", [False, True])
def test_a_part_is_the_part_that_was_asked_for(client: Client, server: Host, hot: bool) -> None:
    hex_ = blob(server, LARGE)
    if hot:
        get(client, hex_)
    for asked_for, (first, last) in PARTS.items():
        answer = get(client, hex_, headers={"Range": asked_for})
        assert (answer.status, answer.header("content-range"), answer.length) == (206, f"bytes {first}-{last}/{LARGE}", last - first + 1)
        assert answer.hex == hashed(server, hex_, first, last + 1)
        assert answer.header("docker-content-digest") == f"sha256:{hex_}"
    for start in (LARGE, 9 * SLICE):
        answer = get(client, hex_, headers={"Range": f"bytes={start}-"})
        assert (answer.status, answer.header("content-range")) == (416, f"bytes */{LARGE}")
        assert "Error" not in answer.body


def test_what_is_no_single_part_is_answered_with_the_whole_or_refused(client: Client, server: Host) -> None:
    hex_ = blob(server, 1000)
    for ranges in ("bytes=0-1,5-6", "bytes=9-1", "apples=1-2", "bytes=abc"):
        answer = get(client, hex_, headers={"Range": ranges})
        assert (answer.status, answer.hex) == (200, hex_) or answer.status == 416, ranges


def test_a_client_that_has_the_blob_gets_it_not_once_more(client: Client, server: Host) -> None:
    hex_ = blob(server, 1000)
    for method in ("GET", "HEAD"):
        answer = get(client, hex_, method=method, headers={"If-None-Match": f'"sha256:{hex_}"'})
        assert (answer.status, answer.length, answer.header("etag")) == (304, 0, f'"sha256:{hex_}"')
    assert asked(server, "store") == []
    assert get(client, hex_, headers={"If-None-Match": '"of the store"'}).hex == hex_
    assert get(client, hex_, repository="gone/app", headers={"If-None-Match": f'"sha256:{hex_}"'}).status == 404


def test_a_blob_without_content_is_one_as_well(client: Client, server: Host) -> None:
    empty = hashlib.sha256(b"").hexdigest()
    server.check_output(f": >/run/objects/{empty}")
    answer = get(client, empty)
    assert (answer.status, answer.length, answer.whole, answer.header("content-type")) == (200, 0, True, "application/octet-stream")
    assert get(client, empty, repository="gone/app").status == 404


# Who gets it


def test_a_hot_blob_is_for_those_who_may_and_in_repositories_that_hold_it(client: Client, server: Host) -> None:
    hex_ = blob(server, 1000)
    assert get(client, hex_).hex == hex_
    for method in ("GET", "HEAD"):
        assert get(client, hex_, method=method, password="").status == 401
        assert get(client, hex_, method=method, password="alice:wrong").status == 401
        refused = get(client, hex_, method=method, repository="gone/app")
        assert (refused.status, refused.length) == (404, 0 if method == "HEAD" else refused.length)
    assert code(get(client, hex_, repository="gone/app")) == "BLOB_UNKNOWN"


def test_other_methods_never_lead_to_the_store(client: Client, server: Host) -> None:
    hex_ = blob(server, 10)
    for method in ("DELETE", "PUT", "POST", "PATCH", "OPTIONS"):
        answer = get(client, hex_, method=method)
        assert answer.status in (307, 403), method
        assert "location" not in dict(map(tuple, answer.headers))
    for other in ("/v2/good/app/manifests/latest", "/v2/good/app/tags/list", f"/v2/good/app/manifests/sha256:{hex_}", "/v2/good/app/blobs/uploads/"):
        answer = client.ask(STORED, other, password=ALICE)
        assert "location" not in dict(map(tuple, answer.headers)), other
        assert "X-Amz" not in str(answer.headers) + answer.body
    assert asked(server, "store") == []


def test_a_registry_that_sends_the_blob_itself_may_do_that(client: Client, server: Host) -> None:
    assert get(client, blob(server, 10), repository="direct/app").body == "sent by the registry"


# Where the registry redirects elsewhere

HEX = "{hex}"
OTHER = 64 * "a"


ELSEWHERE = [
    f"http://store.holdfast.test:{STORE_PORT}/bucket/pre/fix/docker/registry/v2/blobs/sha256/aa/{HEX}/data?{SIGNED}",
    f"{PLACE.replace('store.', 'other.')}/aa/{HEX}/data?{SIGNED}",
    f"{PLACE.replace(str(STORE_PORT), '9444')}/aa/{HEX}/data?{SIGNED}",
    f"{PLACE.replace('://', '://user:password@')}/aa/{HEX}/data?{SIGNED}",
    f"https://evil.test@{PLACE.removeprefix('https://')}/aa/{HEX}/data?{SIGNED}",
    f"https://store.holdfast.test:{STORE_PORT}.evil.test/bucket/pre/fix/docker/registry/v2/blobs/sha256/aa/{HEX}/data?{SIGNED}",
    f"{PLACE.replace('/bucket/', '/other/')}/aa/{HEX}/data?{SIGNED}",
    f"{PLACE.replace('/pre/fix/', '/pre/')}/aa/{HEX}/data?{SIGNED}",
    f"{PLACE.replace('/bucket/', '/bucket/../bucket/')}/aa/{HEX}/data?{SIGNED}",
    f"{PLACE}/aa/{HEX}/../../bb/{OTHER}/data?{SIGNED}",
    f"{PLACE}/aa/{HEX}/%2e%2e/%2e%2e/bb/{OTHER}/data?{SIGNED}",
    f"{PLACE}/aa/{OTHER}/data?{SIGNED}",
    f"{PLACE}/aa/{HEX}/data",
    f"{PLACE}/aa/{HEX}/data?{SIGNED}#fragment",
    f"{PLACE}/aa/{HEX}/data?{SIGNED} HTTP/1.1",
    f"{PLACE}/aa/{HEX}/data?{SIGNED}%0d%0aX-Injected:1 ",
    f"//store.holdfast.test:{STORE_PORT}/bucket/pre/fix/docker/registry/v2/blobs/sha256/aa/{HEX}/data?{SIGNED}",
    f"/v2/good/app/blobs/sha256:{HEX}",
    "https://169.254.169.254/latest/meta-data/",
    "",
]


def test_no_redirect_to_another_place_is_followed_or_passed_on(client: Client, server: Host) -> None:
    hex_ = blob(server, 10)
    for location in ELSEWHERE:
        hosts.write(server, "/run/location", location)
        answer = get(client, hex_, repository="told/app")
        assert answer.status == 502, location
        assert "location" not in dict(map(tuple, answer.headers)), location
        assert "X-Amz" not in answer.body + str(answer.headers), location
    assert logged(server)["why"] == "redirected to another place than the store"
    assert get(client, hex_, repository="told/app", method="HEAD").status == 502
    assert asked(server, "store") == []


def test_a_line_break_that_is_encoded_stays_encoded(client: Client, server: Host) -> None:
    hex_ = blob(server, 10)
    hosts.write(server, "/run/location", f"{PLACE}/aa/{{hex}}/data?{SIGNED}%0d%0aX-Injected%3A1")
    assert get(client, hex_, repository="told/app").status == 200
    (request,) = asked(server, "store")
    assert set(request[2]) == {"Host", "Range"}
    # What the path has is the gateway's own.
    assert request[1].startswith(f"/bucket/pre/fix/docker/registry/v2/blobs/sha256/{hex_[:2]}/{hex_}/data?")


def test_a_store_without_the_name_in_its_certificate_gets_no_request(client: Client, server: Host) -> None:
    hex_ = blob(server, 10)
    hosts.write(server, "/run/location", f"{PLACE.replace('store.', 'false.')}/aa/{{hex}}/data?{SIGNED}")
    answer = client.ask(MISLED, path(hex_, "told/app"), password=ALICE)
    assert (answer.status, logged(server)["why"]) == (502, "the store failed with 502")
    assert asked(server, "store") == []


# By another digest, which the registry knows as a second name of a blob by SHA-256


@pytest.mark.parametrize("alias", ALIASES)
def test_a_blob_comes_by_another_digest_from_the_store_and_then_from_the_cache(client: Client, server: Host, alias: str) -> None:
    hex_ = blob(server, LARGE)
    hosts.write(server, "/run/location", f"{PLACE}/{hex_[:2]}/{hex_}/data?{SIGNED}")
    for times in (1, 2):
        answer = get_alias(client, alias)
        assert (answer.status, answer.hex, answer.header("docker-content-digest")) == (200, hex_, f"sha256:{hex_}")
        assert "location" not in dict(map(tuple, answer.headers))
        assert len(asked(server, "registry")) == times
    # The same slices serve who asks for it by its other digest.
    assert get(client, hex_, repository="told/app").hex == hex_
    assert len(asked(server, "store")) == 3
    part = get_alias(client, alias, headers={"Range": "bytes=5-9"})
    assert (part.status, part.length) == (206, 5)


def test_a_client_is_told_of_one_by_another_digest_without_fetching_it(client: Client, server: Host) -> None:
    hex_ = blob(server, 1000)
    hosts.write(server, "/run/location", f"{PLACE}/{hex_[:2]}/{hex_}/data?{SIGNED.replace('GET', 'HEAD')}")
    answer = get_alias(client, method="HEAD")
    assert (answer.status, answer.header("content-length"), answer.header("docker-content-digest")) == (200, "1000", f"sha256:{hex_}")


def test_by_another_digest_no_redirect_to_another_place_is_followed_or_passed_on(client: Client, server: Host) -> None:
    hex_ = blob(server, 10)
    for location in ELSEWHERE:
        if location == f"{PLACE}/aa/{OTHER}/data?{SIGNED}":
            continue  # a blob of the store, as the registry may name one
        hosts.write(server, "/run/location", location.replace(HEX, hex_))
        for method in ("GET", "HEAD"):
            answer = get_alias(client, method=method)
            assert answer.status == 502, location
            assert "location" not in dict(map(tuple, answer.headers)), location
            assert "X-Amz" not in answer.body + str(answer.headers), location
    assert logged(server)["why"] == "redirected to another place than the store"
    assert asked(server, "store") == []


@pytest.mark.parametrize(("repository", "password", "status"), [("gone/app", ALICE, 404), ("down/app", ALICE, 503), ("told/app", "", 401)])
def test_what_is_refused_is_refused_by_another_digest_too(client: Client, server: Host, repository: str, password: str, status: int) -> None:
    answer = get_alias(client, repository=repository, password=password)
    assert (answer.status, code(answer)) == (status, {404: "BLOB_UNKNOWN", 503: "UNAVAILABLE", 401: "UNAUTHORIZED"}[status])
    assert asked(server, "store") == []


# Where the store fails


@pytest.mark.parametrize("status", [302, 400, 403, 404, 416, 429, 503])
def test_an_error_of_the_store_is_not_passed_on(client: Client, server: Host, status: int) -> None:
    hex_ = blob(server, 1000)
    mode(server, str(status))
    for method in ("GET", "HEAD"):
        answer = get(client, hex_, method=method)
        assert answer.status == (416 if status == 416 else 502)
        assert "secret of the store" not in answer.body
        assert {"location", "set-cookie", "x-amz-request-id"}.isdisjoint(dict(map(tuple, answer.headers)))
    if status != 416:
        assert logged(server)["why"] == f"the store failed with {status}"
    server.check_output("rm /run/store-mode")
    assert get(client, hex_).hex == hex_, "the error is in the cache"


@pytest.mark.parametrize("fault", ["403", "416", "302", "200", "longer", "whole"])
def test_an_error_in_the_middle_ends_the_connection_and_adds_nothing_to_the_blob(client: Client, server: Host, fault: str) -> None:
    hex_ = blob(server, LARGE)
    mode(server, f"late-{fault}")
    answer = get(client, hex_)
    assert (answer.status, answer.whole) == (200, False)
    assert answer.length < LARGE
    assert answer.hex == hashed(server, hex_, 0, answer.length), "there is something else in the blob"
    server.check_output("rm /run/store-mode")
    assert get(client, hex_).hex == hex_


@pytest.mark.parametrize("fault", ["truncated", "late-truncated"])
def test_a_blob_of_another_length_is_not_cached(client: Client, server: Host, fault: str) -> None:
    hex_ = blob(server, LARGE)
    mode(server, fault)
    assert not get(client, hex_).whole
    server.check_output("rm /run/store-mode")
    assert get(client, hex_).hex == hex_


def test_a_store_that_ignores_what_part_is_asked_for_gives_the_whole(client: Client, server: Host) -> None:
    hex_ = blob(server, LARGE)
    mode(server, "whole")
    answer = get(client, hex_)
    assert (answer.status, answer.hex) == (200, hex_)


def test_many_first_pulls_at_once_fetch_once(client: Client, server: Host) -> None:
    hex_ = blob(server, LARGE)
    mode(server, "slow")
    many = f"curl -s -o /run/pulled-$i --cacert /etc/ssl/own.crt --resolve images.holdfast.test:5460:127.0.0.1 -u '{ALICE}' {STORED}{path(hex_)} & "
    server.check_output(f"for i in 1 2 3 4 5 6; do {many} done; wait")
    assert set(server.check_output("sha256sum /run/pulled-* | cut -c1-64; rm /run/pulled-*").split()) == {hex_}
    assert len(asked(server, "store")) == 3


def test_a_hot_blob_is_served_while_the_store_is_away(client: Client, server: Host) -> None:
    hex_, cold = blob(server, LARGE), blob(server, 1000)
    get(client, hex_)
    server.check_output("systemctl stop test-store")
    assert get(client, hex_).hex == hex_
    assert get(client, hex_, repository="gone/app").status == 404
    refused = get(client, cold)
    assert (refused.status, code(refused)) == (502, "UNAVAILABLE")


def test_what_the_registry_said_is_remembered_while_it_knows_nothing_and_no_longer(client: Client, server: Host) -> None:
    hex_, cold = blob(server, LARGE), blob(server, 1000)
    get(client, hex_)
    get(client, hex_, method="HEAD")
    get(client, hex_, repository="good/deleted")
    get(client, hex_, method="DELETE", repository="good/deleted")
    server.check_output("touch /run/registry-down; systemctl stop test-store")
    assert get(client, hex_).hex == hex_
    assert get(client, hex_, headers={"Range": "bytes=5-9"}).status == 206
    assert get(client, hex_, method="HEAD").header("content-length") == str(LARGE)
    # who may is decided as ever
    assert get(client, hex_, password="").status == 401
    assert get(client, hex_, password="alice:wrong").status == 401
    # no other repository, no other blob, and not what was deleted
    for repository, other in [("good/other", hex_), ("gone/app", hex_), ("good/deleted", hex_), ("good/app", cold)]:
        assert get(client, other, repository=repository).status == 503
    assert logged(server)["user"] == "alice"


def test_no_pull_fails_because_nothing_can_be_remembered(client: Client, server: Host) -> None:
    """While nginx stops, it still answers requests, and does not listen any more."""
    hex_ = blob(server, 1000)
    server.check_output(f"mv {gateway.RUNTIME}/memory.sock {gateway.RUNTIME}/moved.sock")
    try:
        assert get(client, hex_).hex == hex_
        assert get(client, hex_, repository="gone/app").status == 404
        assert get(client, hex_, method="DELETE").status == 307
    finally:
        server.check_output(f"mv {gateway.RUNTIME}/moved.sock {gateway.RUNTIME}/memory.sock")


def test_what_the_registry_denies_is_forgotten(client: Client, server: Host) -> None:
    hex_ = blob(server, 1000)
    hosts.write(server, "/run/location", f"{PLACE}/aa/{{hex}}/data?{SIGNED}")
    # told/app redirects, and once it does not, the registry says it is unknown
    assert get(client, hex_, repository="told/app").hex == hex_
    server.check_output(
        'sed -i \'s/kind == "told"/kind == "never"/; s/kind != "gone"/kind not in ("gone", "told")/\' /run/stored.py; systemctl restart test-stored || true'
    )
    server.check_output("systemctl stop test-stored || true")
    start(server, "test-stored")
    assert get(client, hex_, repository="told/app").status == 404
    hosts.write(server, "/run/stored.py", REGISTRY)
    server.check_output("touch /run/registry-down; systemctl stop test-stored")
    start(server, "test-stored")
    assert get(client, hex_, repository="told/app").status == 503


# The cache, the logs, and the gateway's health


def test_the_cache_stays_within_its_size(client: Client, server: Host) -> None:
    for _blob in range(5):
        hex_ = blob(server, LARGE)
        assert get(client, hex_).hex == hex_
        server.check_output(f"rm /run/objects/{hex_}")
    waited = server.run(f"for i in $(seq 25); do [ $(du -sm {CACHE} | cut -f1) -le 65 ] && exit 0; sleep 1; done; exit 1")
    assert waited.rc == 0, server.check_output(f"du -sm {CACHE}")


def test_the_cache_is_the_gateways_own_and_lasts(client: Client, server: Host) -> None:
    hex_ = blob(server, LARGE)
    get(client, hex_)
    assert server.check_output(f"stat -c '%U %a' {CACHE} $(dirname {CACHE})").splitlines() == [f"{gateway.USER} 700", "root 755"]
    server.check_output(f"systemctl restart {gateway.UNIT}; sleep 2")
    server.check_output("rm -f /run/store-asked")
    assert get(client, hex_).hex == hex_
    assert asked(server, "store") == []


def test_no_log_and_no_file_of_the_cache_has_a_signature(client: Client, server: Host) -> None:
    get(client, blob(server, 1000))
    server.check_output("systemctl stop test-store")
    get(client, blob(server, 1000))
    assert server.run(f"grep -rlaE 'X-Amz-Signature|X-Amz-Credential|alice has' {gateway.LOGS} {CACHE} {gateway.RUNTIME}/held").stdout == ""


@pytest.mark.parametrize("url", [TLS, STORED])
def test_the_gateway_says_how_it_is_and_serves_while_it_is_drained(client: Client, server: Host, url: str) -> None:
    hex_ = blob(server, 10)
    answer = client.ask(url, "/healthz")
    assert (answer.status, answer.body, answer.header("content-type")) == (200, "ok\n", "text/plain")
    server.check_output(f"touch {DRAIN}; sleep 1.2")
    try:
        answer = client.ask(url, "/healthz")
        assert (answer.status, answer.body) == (503, "draining\n")
        assert get(client, hex_).hex == hex_
    finally:
        server.check_output(f"rm {DRAIN}; sleep 1.2")
    assert client.ask(url, "/healthz").status == 200
    server.check_output("systemctl stop test-stored")
    assert client.ask(STORED, "/healthz").status == 503
    assert client.ask(TLS, "/healthz").status == 200


def test_the_gateway_has_logged_no_alarm(server: Host) -> None:
    time.sleep(0.5)
    written = server.check_output(f"tail -c +$(($(cat /run/logged-before) + 1)) {gateway.ERROR_LOG}")
    assert written, "the tests before this one have had nothing refused, or the log was rotated"
    assert gateway.alarms(written) == []
