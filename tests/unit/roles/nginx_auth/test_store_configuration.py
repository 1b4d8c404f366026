# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the configuration for registries with an object store says, as far as that can be told without an nginx."""

from __future__ import annotations

import re

import pytest
from ansible_collections.holdfast.registry.tests.unit.roles.nginx_auth.rendering import Nginx, rendered

PLAIN = {"name": "plain", "port": 5446, "upstream": "127.0.0.1:5005"}
VIRTUAL = {"name": "virtual", "port": 5447, "upstream": "127.0.0.1:5006", "store": {"url": "https://bucket.store.example.org"}}
STORE = {"url": "https://store.example.org:8333/bucket/pre/fix"}
HEX = 64 * "a"
FIRST = "https://store.example.org:8333/bucket/pre/fix/docker/registry/v2/blobs/sha256"
SECOND = "https://bucket.store.example.org/docker/registry/v2/blobs/sha256"
QUERY = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=K%2F20260101%2Fr%2Fs3%2Faws4_request&X-Amz-Signature=0123abcd"


@pytest.fixture(scope="module")
def nginx():
    return Nginx(rendered(nginx_auth_store=STORE, nginx_auth_further_registries=[PLAIN, VIRTUAL]))


def locations(nginx):
    return dict(re.findall(r"^location (?:= )?(\S+) \{\n(.*?)^\}", nginx.files["from-the-store.conf"], re.MULTILINE | re.DOTALL))


@pytest.mark.parametrize(
    ("registry", "location"),
    [
        ("registry", f"{FIRST}/aa/{HEX}/data?{QUERY}"),
        ("virtual", f"{SECOND}/aa/{HEX}/data?{QUERY}"),
        ("virtual", f"{SECOND.replace('.org/', '.org:443/')}/aa/{HEX}/data?{QUERY}"),
    ],
)
def test_the_signature_is_taken_from_an_address_of_the_blob_in_the_registrys_own_store(nginx, registry, location):
    assert nginx("signature", registry=registry, hex=HEX, upstream_http_location=location) == QUERY


@pytest.mark.parametrize(
    ("registry", "location"),
    [
        # another registry's
        ("virtual", f"{FIRST}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"{SECOND}/aa/{HEX}/data?{QUERY}"),
        ("plain", f"{FIRST}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"{FIRST.replace('https', 'http')}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"{FIRST.replace('https', 'HTTPS')}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"{FIRST.replace('store.example', 'store-example')}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"{FIRST.replace('/bucket/', '/bucket/../bucket/')}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"{FIRST.replace('//', '//user@')}/aa/{HEX}/data?{QUERY}"),
        ("registry", f" {FIRST}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"https://evil.test/{FIRST}/aa/{HEX}/data?{QUERY}"),
        ("registry", f"{FIRST}/aa/{64 * 'b'}/data?{QUERY}"),
        ("registry", f"{FIRST}/aa/{HEX}/data"),
        ("registry", f"{FIRST}/aa/{HEX}/data?"),
        ("registry", f"{FIRST}/aa/{HEX}/link?{QUERY}"),
        ("registry", f"{FIRST}/aa/{HEX}/data?{QUERY}\r\nHost: evil.test"),
        ("registry", f"{FIRST}/aa/{HEX}/data?{QUERY}\n"),
        ("registry", f"{FIRST}/aa/{HEX}/data?{QUERY} HTTP/1.0"),
        ("registry", f"{FIRST}/aa/{HEX}/data?{QUERY}#x"),
        ("registry", f"{FIRST}/aa/{HEX}/data?$host"),
        ("registry", ""),
    ],
)
def test_of_any_other_place_nothing_is_taken(nginx, registry, location):
    assert nginx("signature", registry=registry, hex=HEX, upstream_http_location=location) == ""


@pytest.mark.parametrize(
    ("registry", "status", "location", "passed_on"),
    [
        ("registry", "202", "/v2/a/blobs/uploads/1?_state=x", True),
        ("registry", "201", "https://r.example.org/v2/a/blobs/sha256:1", True),
        ("registry", "202", "https://r.example.org.evil.test/v2/a", False),
        ("registry", "202", "//evil.test/v2/a", False),
        ("registry", "307", "/v2/a/blobs/sha256:1", False),
        ("registry", "307", f"{FIRST}/aa/{HEX}/data?{QUERY}", False),
        ("virtual", "201", f"{SECOND}/aa/{HEX}/data?{QUERY}", False),
        ("plain", "307", "https://elsewhere.example.org/", True),
    ],
)
def test_no_address_of_a_store_leaves_the_gateway(nginx, registry, status, location, passed_on):
    known = {"registry": registry, "upstream_status": status, "scheme": "https", "authority": "r.example.org"}
    assert nginx("location", **known, upstream_http_location=location) == (location if passed_on else "")


def test_only_get_and_head_of_a_blob_lead_to_the_store(nginx):
    answers = {method: nginx("blob_answer", has_files="store", request_method=method) for method in ("GET", "HEAD", "DELETE", "PUT", "POST", "PATCH")}
    assert [answers[method] for method in ("GET", "HEAD", "DELETE")] == ["stored_blob", "stored_blob_head", "deleted_blob"]
    assert [answers[method] for method in ("PUT", "POST", "PATCH")] == ["registry_write"] * 3
    assert nginx("manifest_answer", has_files="store", request_method="GET") == "registry"
    assert nginx.sets("443", uri="/v2/")["has_files"] == "store"
    assert nginx.sets("5446", uri="/v2/")["has_files"] == "no"


def test_a_blob_by_another_digest_leads_to_the_store_too(nginx):
    answers = {method: nginx("other_digest_answer", has_files="store", request_method=method) for method in ("GET", "HEAD", "DELETE")}
    assert answers == {"GET": "stored_alias", "HEAD": "stored_alias_head", "DELETE": "registry_write"}
    assert "set $answer $other_digest_answer;" in nginx.files["where-to.conf"]


def test_a_blob_by_another_digest_is_taken_from_the_registrys_own_store_and_nothing_is_remembered_of_it(nginx):
    found = locations(nginx)
    for name in ("@alias-registry", "@alias_head-registry"):
        (where,) = re.findall(r'if \(\$upstream_http_location !~ "(.*)"\) \{\n        return 471;', found[name])
        asked = re.search(where.replace("(?<", "(?P<"), f"{FIRST}/aa/{HEX}/data?{QUERY}")
        assert asked.groupdict() == {"hex": HEX, "hex_start": "aa"}
        assert nginx("signature", registry="registry", hex=asked["hex"], upstream_http_location=f"{FIRST}/aa/{HEX}/data?{QUERY}") == QUERY
        assert found[name].index(where) < found[name].index("set $signed $signature;")
        assert "auth_request off;" in found[name]
        assert "remember" not in found[name]
    for name in ("@stored_alias", "@stored_alias_head"):
        assert "error_page 404 = @unknown_blob;" in found[name]
        assert "error_page 500 502 503 504 = @unavailable;" in found[name]


def test_each_request_to_a_store_is_verified_and_has_nothing_of_the_client(nginx):
    found = {name: content for name, content in locations(nginx).items() if "proxy_pass https://" in content}
    ways = ("store", "store_head", "alias", "alias_head")
    assert set(found) == {f"@{way}-{registry}" for way in ways for registry in ("registry", "virtual")}
    for name, content in found.items():
        for line in (
            "proxy_ssl_verify on;",
            "proxy_ssl_server_name on;",
            "proxy_pass_request_headers off;",
            "proxy_pass_request_body off;",
            "proxy_intercept_errors on;",
            "recursive_error_pages on;",
        ):
            assert f"    {line}\n" in content, (name, line)
        # Of the path nothing is the registry's or the client's word but the digest, which is hex.
        assert re.search(r"proxy_pass https://store-\w+[a-z/]*/docker/registry/v2/blobs/sha256/\$hex_start/\$hex/data\?\$signed;", content), name
        assert "X-Amz" not in re.search("proxy_cache_key (.*);", content)[1] and "signed" not in re.search("proxy_cache_key (.*);", content)[1]
    assert "proxy_ssl_name bucket.store.example.org;" in found["@store-virtual"]
    assert "proxy_set_header Host store.example.org:8333;" in found["@store-registry"]


@pytest.mark.parametrize("name", ["failed", "head_registry"])
def test_no_name_of_a_registry_makes_a_location_that_is_there_already(name):
    """nginx does not compare named locations, and takes the first."""
    written = "".join(rendered(nginx_auth_store=STORE, nginx_auth_further_registries=[{**PLAIN, "name": name, "store": STORE}]).values())
    for server in written.split("server {"):
        found = re.findall(r"^location (@\S+) \{", server, re.MULTILINE)
        assert len(found) == len(set(found))


def test_a_location_that_fetches_does_not_inherit_what_the_password_check_has_set(nginx):
    """nginx would take the user from the answer to another question."""
    for name, content in locations(nginx).items():
        if re.search("auth_request /", content):
            assert "auth_request_set" in content, name


def test_no_request_fails_because_it_cannot_be_remembered(nginx):
    found = locations(nginx)
    for name in ("/.remember", "/.forget"):
        assert "error_page 500 502 503 504 = @no_memory;" in found[name]
    assert "return 204;" in found["@no_memory"]


def test_what_was_remembered_leads_to_the_cache_and_everything_else_to_a_refusal(nginx):
    for way, answer in (("store", "store-virtual"), ("store_head", "store_head-virtual")):
        assert nginx("memory_answer", remembered="yes", way_from_memory=f"{way}-virtual") == answer
        for remembered in ("no", "", "yes yes"):
            assert nginx("memory_answer", remembered=remembered, way_from_memory=f"{way}-virtual") == "unavailable"


def test_nothing_is_remembered_where_that_is_not_wanted():
    written = "".join(rendered(nginx_auth_store=STORE, nginx_auth_store_memory_seconds=0).values())
    assert "@store-registry" in written
    for unwanted in ("/.remember", "@remembered", "memory.sock", "memory_answer", "keys_zone=held", "deleted_blob"):
        assert unwanted not in written, unwanted


def test_without_a_store_there_is_nothing_of_one():
    written = "".join(rendered(nginx_auth_further_registries=[PLAIN]).values())
    for unwanted in ("@store", "stored_blob", "alias", "proxy_ssl", "slice ", "$signature", "memory.sock", "Location $location", "from-the-store.conf;"):
        assert unwanted not in written, unwanted


@pytest.mark.parametrize(("version", "has_it"), [("1.18.0", False), ("1.22.1", True), ("1.26.3", True)])
def test_the_cache_is_bounded_and_leaves_space_where_nginx_knows_how(version, has_it):
    written = rendered(nginx_auth_store={**STORE, "cache_size": "3g"}, __nginx_auth_packages={"versions": {"nginx": version}})["registries.conf"]
    (line,) = re.findall(r"proxy_cache_path .*keys_zone=blobs_registry.*;", written)
    assert " max_size=3g" in line
    assert ("min_free=" in line) == has_it


def test_every_server_says_how_it_is_and_asks_the_registry(nginx):
    health = re.search(r"location = /healthz \{\n(.*?)^\}", nginx.files["where-to.conf"], re.MULTILINE | re.DOTALL)[1]
    assert "if (-f /etc/holdfast-gateway/drain) {" in health
    assert "auth_request /.registry-answers;" in health
