# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils.gateway_store import read_store

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"


def resolved(url, **more):
    store, problems = read_store({"url": url, **more}, "nginx_auth_store", "registry")
    assert problems == []
    return store


@pytest.mark.parametrize("written", [None, {}, {"url": None, "ca_certificate": None, "cache_directory": None, "cache_size": None}])
def test_nothing_is_no_store(written):
    assert read_store(written, "nginx_auth_store", "registry") == ({}, [])


@pytest.mark.parametrize(
    ("url", "server", "authority", "path", "pattern"),
    [
        ("https://s.example.org:8333/b", "s.example.org:8333", "s.example.org:8333", "/b", "https://s[.]example[.]org:8333/b"),
        ("https://s.example.org:8333/b/p/q/", "s.example.org:8333", "s.example.org:8333", "/b/p/q", "https://s[.]example[.]org:8333/b/p/q"),
        ("https://b.s.example.org", "b.s.example.org:443", "b.s.example.org", "", "https://b[.]s[.]example[.]org(?::443)?"),
        ("https://b.s.example.org:443/p.q", "b.s.example.org:443", "b.s.example.org", "/p.q", "https://b[.]s[.]example[.]org(?::443)?/p[.]q"),
    ],
)
def test_both_forms_of_an_address_are_read(url, server, authority, path, pattern):
    store = resolved(url)
    assert (store["server"], store["authority"], store["path"], store["pattern"]) == (server, authority, path, pattern)
    assert store["host"] == server.partition(":")[0]


def test_without_a_ca_of_its_own_the_host_decides_whom_to_trust():
    store = resolved("https://s.example.org/b", ca_certificate="")
    assert (store["trusted"], store["files"]) == ("/etc/ssl/certs/ca-certificates.crt", [])
    store = resolved("https://s.example.org/b", ca_certificate=PEM)
    assert store["files"] == [{"path": store["trusted"], "content": f"{PEM}\n"}]


def test_each_registry_has_a_cache_of_its_own_in_a_directory_of_roots():
    store = resolved("https://s.example.org/b", cache_directory="/srv/cache/")
    assert store["cache"] == "/srv/cache/registry"
    assert store["directories"] == [{"path": "/srv/cache"}]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("https://s.example.org/b", "nginx_auth_store: must be a dictionary such as"),
        ({"host": "s"}, "nginx_auth_store: unknown key 'host'; there are url, "),
        ({"cache_size": "1g"}, "nginx_auth_store.url: is missing"),
        ({"url": 1}, "nginx_auth_store.url: must be a string"),
        ({"url": "http://s.example.org/b"}, "nginx_auth_store.url: is not the https URL of a bucket"),
        ({"url": "https://key:secret@s.example.org/b"}, "nginx_auth_store.url: is not the https URL of a bucket"),
        ({"url": "https://s.example.org/b?x=y"}, "nginx_auth_store.url: is not the https URL"),
        ({"url": "https://s.example.org/b c"}, "nginx_auth_store.url: is not the https URL"),
        ({"url": 'https://s.example.org/b";'}, "nginx_auth_store.url: is not the https URL"),
        ({"url": "https://s.example.org/$b"}, "nginx_auth_store.url: is not the https URL"),
        ({"url": "https://s.example.org/b\n"}, "nginx_auth_store.url: is not the https URL"),
        ({"url": "https://s.example.org//b"}, "nginx_auth_store.url: is not the https URL"),
        ({"url": "https://s.example.org:0/b"}, "nginx_auth_store.url: is not the https URL"),
        ({"url": "https://s.example.org/b/../c"}, "nginx_auth_store.url: has . or .. in its path"),
        ({"url": "https://s.example.org:65536/b"}, "nginx_auth_store.url: 65536 is not a port"),
        ({"url": "https://192.0.2.1/b"}, "nginx_auth_store.url: '192.0.2.1' must be a DNS name"),
        ({"url": "https://S.example.org/b"}, "nginx_auth_store.url: 'S.example.org' must be a DNS name in lower case"),
        ({"url": "https://s_1.example.org/b"}, "nginx_auth_store.url: 's_1.example.org' must be a DNS name"),
        ({"url": "https://s.example.org/b", "cache_size": "10 GB"}, 'nginx_auth_store.cache_size: "10 GB" is not a size'),
        ({"url": "https://s.example.org/b", "cache_size": "63m"}, 'nginx_auth_store.cache_size: "63m" is too small'),
    ],
)
def test_what_cannot_be_a_store_is_refused_with_its_place(written, problem):
    store, problems = read_store(written, "nginx_auth_store", "registry")
    assert store == {}
    assert len(problems) == 1 and problems[0].startswith(problem), problems
    assert "secret" not in problems[0]
