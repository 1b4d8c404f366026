# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the configuration for mirrors says of a request, as far as that can be told without an nginx."""

from __future__ import annotations

import re

import pytest
from ansible_collections.holdfast.registry.tests.unit.roles.nginx_auth.rendering import Nginx, rendered

ANYBODY = [{"repositories": ["**"], "anonymous": True}]
HUB = {"name": "hub", "port": 5444, "upstream": "127.0.0.1:5001", "mirror": True, "namespaces": ["docker.io"], "storage_directory": "/srv/hub"}
GITHUB = {"name": "github", "port": 5444, "upstream": "127.0.0.1:5002", "mirror": True, "namespaces": ["ghcr.io", "ghcr.io.example.org"]}
PRIVATE = {"name": "private", "port": 5444, "upstream": "127.0.0.1:5003", "mirror": True, "namespaces": ["images.example.org:5000"]}
# the same upstream once more, and no docker.io
QUAY = {"name": "quay", "server_name": "quay-mirror.example.org", "port": 5445, "upstream": "127.0.0.1:5004", "mirror": True, "namespaces": ["quay.io"]}
PLAIN = {"name": "plain", "server_name": "plain.example.org", "port": 5446, "upstream": "127.0.0.1:5005", "mirror": True, "storage_directory": "/srv/plain"}
OPEN = {
    "name": "open",
    "server_name": "open.example.org",
    "port": 5447,
    "upstream": "127.0.0.1:5006",
    "rules": ANYBODY,
    "networks": ["192.0.2.0/24", "2001:db8::/32"],
}


@pytest.fixture(scope="module")
def nginx():
    return Nginx(rendered(nginx_auth_further_registries=[HUB, GITHUB, PRIVATE, {**QUAY, "rules": ANYBODY}, PLAIN, OPEN]))


def location(path):
    """What the location of a path captures: the repository, and the action of a GET or an upload."""
    found = re.fullmatch(r"/v2/([a-z0-9._/-]+?)/(manifests/[^/]+|blobs/[^/]+|tags/list|blobs/uploads/[^/]*)", path)
    return {"repository": found[1], "action": "push" if "/uploads/" in path else "pull"} if found else {"action": "login", "repository": ""}


def asked(nginx, port, path, ns="", user="alice", **more):
    """The variables of a request when its location has been found."""
    sets = nginx.sets(port, uri=path, arg_ns=ns)
    known = {"user": user, "password_user": user, "answer": "registry", **sets, **location(sets["path"]), **more}
    return {**known, **{name: nginx(name, **known) for name in ("rule", "way", "decision", "unknown_upstream")}}


LATEST = "manifests/latest"


@pytest.mark.parametrize(
    ("path", "ns", "registry", "repository"),
    [
        # Docker's registry-mirrors
        (f"/v2/library/nginx/{LATEST}", "", "hub", "library/nginx"),
        (f"/v2/nginx/{LATEST}", "", "hub", "nginx"),
        # containerd
        (f"/v2/library/nginx/{LATEST}", "docker.io", "hub", "library/nginx"),
        (f"/v2/org/app/{LATEST}", "ghcr.io", "github", "org/app"),
        (f"/v2/app/{LATEST}", "ghcr.io", "github", "app"),
        (f"/v2/org/app/{LATEST}", "ghcr.io.example.org", "github", "org/app"),
        (f"/v2/org/app/{LATEST}", "images.example.org:5000", "private", "org/app"),
        (f"/v2/org/app/{LATEST}", "images.example.org%3A5000", "private", "org/app"),
        (f"/v2/org/app/{LATEST}", "images.example.org%3a5000", "private", "org/app"),
        # podman, and names that people write
        (f"/v2/docker.io/library/nginx/{LATEST}", "", "hub", "library/nginx"),
        (f"/v2/docker.io/nginx/{LATEST}", "", "hub", "library/nginx"),
        ("/v2/docker.io/nginx/tags/list", "", "hub", "library/nginx"),
        ("/v2/docker.io/nginx/blobs/sha256:0", "", "hub", "library/nginx"),
        ("/v2/docker.io/nginx/blobs/uploads/", "", "hub", "library/nginx"),
        (f"/v2/ghcr.io/app/{LATEST}", "", "github", "app"),
        (f"/v2/ghcr.io/org/team/app/{LATEST}", "", "github", "org/team/app"),
        # what the path says goes before the query
        (f"/v2/ghcr.io/org/app/{LATEST}", "docker.io", "github", "org/app"),
        (f"/v2/ghcr.io/org/app/{LATEST}", "nonsense", "github", "org/app"),
        # no more than one part of the path, and only the whole of it
        (f"/v2/docker.io/ghcr.io/app/{LATEST}", "", "hub", "ghcr.io/app"),
        (f"/v2/docker.io/docker.io/{LATEST}", "", "hub", "library/docker.io"),
        (f"/v2/docker.io/docker.io/app/{LATEST}", "", "hub", "docker.io/app"),
        (f"/v2/docker.io.example.org/app/{LATEST}", "", "hub", "docker.io.example.org/app"),
        (f"/v2/dockerxio/app/{LATEST}", "", "hub", "dockerxio/app"),
        (f"/v2/quay.io/app/{LATEST}", "", "hub", "quay.io/app"),
        # a repository with the name of an upstream
        (f"/v2/ghcr.io/{LATEST}", "", "hub", "ghcr.io"),
        (f"/v2/ghcr.io/{LATEST}", "ghcr.io", "github", "ghcr.io"),
        # repositories with the names of what a registry's paths are made of
        (f"/v2/docker.io/manifests/{LATEST}", "", "hub", "library/manifests"),
        (f"/v2/docker.io/some/manifests/{LATEST}", "", "hub", "some/manifests"),
        (f"/v2/docker.io/tags/{LATEST}", "", "hub", "library/tags"),
        ("/v2/docker.io/some/blobs/tags/list", "", "hub", "some/blobs"),
    ],
)
def test_the_path_or_the_query_or_else_nothing_says_which_mirror_and_which_repository(nginx, path, ns, registry, repository):
    found = asked(nginx, "5444", path, ns, user="bob")
    assert (found["registry"], found["repository"], found["unknown_upstream"]) == (registry, repository, "")
    assert found["way"] == ("denied" if "uploads" in path else "registry")


@pytest.mark.parametrize(
    ("port", "path", "ns"),
    [
        ("5444", f"/v2/library/nginx/{LATEST}", "unknown"),
        ("5444", f"/v2/library/nginx/{LATEST}", "quay.io"),
        ("5444", f"/v2/library/nginx/{LATEST}", "Docker.io"),
        ("5444", f"/v2/library/nginx/{LATEST}", "docker.io."),
        ("5444", f"/v2/library/nginx/{LATEST}", "docker.io%00"),
        ("5444", f"/v2/library/nginx/{LATEST}", "docker.io\n"),
        ("5444", f"/v2/library/nginx/{LATEST}", "%64ocker.io"),
        ("5444", f"/v2/library/nginx/{LATEST}", "docker.io,ghcr.io"),
        ("5444", f"/v2/library/nginx/{LATEST}", "dockerxio"),
        ("5444", f"/v2/library/nginx/{LATEST}", "hub"),
        ("5444", f"/v2/library/nginx/{LATEST}", "images.example.org"),
        ("5444", f"/v2/library/nginx/{LATEST}", "images.example.org%253A5000"),
        # nothing there is for docker.io
        ("5445", f"/v2/library/nginx/{LATEST}", ""),
        ("5445", f"/v2/library/nginx/{LATEST}", "docker.io"),
        ("5445", f"/v2/ghcr.io/org/app/{LATEST}", ""),
        ("5445", f"/v2/quay.io/{LATEST}", ""),
    ],
)
@pytest.mark.parametrize("user", ["", "alice"])
@pytest.mark.parametrize("refusal", ["", "wrong-password"])
def test_an_upstream_that_nothing_there_mirrors_is_unknown_to_everyone(nginx, port, path, ns, user, refusal):
    assert asked(nginx, port, path, ns, user=user, refusal=refusal)["way"] == "unknown_upstream"


@pytest.mark.parametrize(("port", "registry"), [("5444", "hub"), ("5445", "quay")])
@pytest.mark.parametrize("ns", ["", "docker.io", "unknown"])
@pytest.mark.parametrize(("path", "action"), [("/v2/", "login"), ("/v2/token", "token")])
def test_a_login_and_a_token_need_no_upstream(nginx, port, registry, ns, path, action):
    found = asked(nginx, port, path, ns, user="alice", action=action)
    assert found["registry"] == registry
    assert found["way"] == ("registry" if action == "login" or port == "5445" else "denied")


def test_nobody_pushes_to_a_mirror_or_is_asked_for_a_password_for_that(nginx):
    for port, ns in [("5444", "ghcr.io"), ("5446", "")]:
        for action in ("push", "delete", "unsupported"):
            for user in ("", "alice", "bob"):
                found = asked(nginx, port, f"/v2/org/app/{LATEST}", ns, user=user, action=action)
                assert (found["way"], found["decision"]) == ("denied", "no rule allows it")
        assert asked(nginx, port, f"/v2/org/app/{LATEST}", ns, user="")["way"] == "challenge"
        assert asked(nginx, port, f"/v2/org/app/{LATEST}", ns, user="bob")["way"] == "registry"
    # elsewhere a login may help
    assert asked(nginx, "443", f"/v2/org/app/{LATEST}", user="", action="push")["way"] == "challenge"


@pytest.mark.parametrize(
    ("port", "ns", "storage", "blob", "manifest"),
    [
        ("5444", "docker.io", "/srv/hub/docker/registry/v2", "mirrored_blob", "mirrored_manifest"),
        ("5444", "", "/srv/hub/docker/registry/v2", "mirrored_blob", "mirrored_manifest"),
        ("5444", "ghcr.io", "/nonexistent", "registry", "registry"),
        ("5446", "", "/srv/plain/docker/registry/v2", "mirrored_blob", "mirrored_manifest"),
        ("5447", "", "/nonexistent", "registry", "registry"),
        ("443", "", "/nonexistent", "registry", "registry"),
    ],
)
def test_nginx_sends_what_lies_in_the_storage_of_the_mirror_that_is_asked(nginx, port, ns, storage, blob, manifest):
    found = asked(nginx, port, "/v2/library/nginx/blobs/sha256:0", ns)
    assert found["storage"] == storage
    for method in ("GET", "HEAD"):
        assert nginx("blob_answer", **found, request_method=method) == blob
        assert nginx("manifest_answer", **found, request_method=method) == manifest
    assert nginx("blob_answer", **found, request_method="DELETE") == "registry_write"


def test_anonymous_rules_with_networks_are_for_their_clients_and_for_whoever_logs_in(nginx):
    path = f"/v2/org/app/{LATEST}"
    assert asked(nginx, "5447", path, user="", near_open="yes")["way"] == "registry"
    assert asked(nginx, "5447", path, user="", near_open="no")["way"] == "challenge"
    for near in ("yes", "no"):
        assert asked(nginx, "5447", path, user="bob", near_open=near)["way"] == "registry"
        # a token grants nothing, so anyone may have one
        assert asked(nginx, "5447", "/v2/token", user="", action="token", near_open=near)["way"] == "registry"
        assert asked(nginx, "5447", "/v2/", user="", near_open=near)["way"] == "challenge"
        # the networks of one registry are not those of another
        assert asked(nginx, "5445", path, ns="quay.io", user="", near_open=near)["way"] == "registry"
        assert asked(nginx, "5447", path, user="", action="push", near_open=near)["way"] == "challenge"
    assert re.search(r"geo \$near_open \{\n    default no;\n    192.0.2.0/24 yes;\n    2001:db8::/32 yes;\n\}", nginx.files["may-they.conf"])


def test_anyone_gets_a_token_where_one_of_the_mirrors_is_open_also_without_naming_it():
    nginx = Nginx(rendered(nginx_auth_further_registries=[HUB, {**GITHUB, "rules": ANYBODY}]))
    assert "Bearer realm" in nginx.sets("5444", uri="/v2/", arg_ns="")["challenge"]
    assert asked(nginx, "5444", "/v2/token", user="", action="token")["decision"] == "token"
    assert asked(nginx, "5444", f"/v2/org/app/{LATEST}", "ghcr.io", user="")["way"] == "registry"
    assert asked(nginx, "5444", f"/v2/org/app/{LATEST}", "docker.io", user="")["way"] == "challenge"


LINK = '</v2/org/app/tags/list?last=b&n=1>; rel="next"'


@pytest.mark.parametrize(
    ("upstream_in_path", "ns", "link", "right"),
    [
        ("", "", LINK, LINK),
        ("", "", "", ""),
        ("", "ghcr.io", "", ""),
        ("ghcr.io", "", LINK, '</v2/ghcr.io/org/app/tags/list?last=b&n=1>; rel="next"'),
        ("ghcr.io", "quay.io", LINK, '</v2/ghcr.io/org/app/tags/list?last=b&n=1>; rel="next"'),
        ("", "ghcr.io", LINK, '</v2/org/app/tags/list?last=b&n=1&ns=ghcr.io>; rel="next"'),
        ("", "a.b%3A5000", LINK, '</v2/org/app/tags/list?last=b&n=1&ns=a.b%3A5000>; rel="next"'),
        ("", 'x">', LINK, LINK),
    ],
)
def test_the_link_to_the_next_page_leads_to_the_same_upstream(nginx, upstream_in_path, ns, link, right):
    assert nginx("link", upstream_in_path=upstream_in_path, arg_ns=ns, upstream_http_link=link) == right


def test_without_mirrors_there_is_nothing_of_them():
    alone = "".join(rendered().values())
    plain = "".join(rendered(nginx_auth_further_registries=[{**OPEN, "networks": None}]).values())
    for unwanted in ("mirror", "upstream_in", "shared_server", "arg_ns", "geo ", "$near", "$subject", " Link", "no_use", "recursive"):
        assert unwanted not in alone, unwanted
        assert unwanted not in plain, unwanted


def test_a_mirror_without_namespaces_needs_no_map_of_upstreams():
    files = rendered(nginx_auth_further_registries=[PLAIN])
    assert "@mirrored_blob" in files["what-answers.conf"]
    assert "set $has_files           mirror;" in files["registries.conf"]
    for unwanted in ("upstream_in", "shared_server", "arg_ns"):
        assert unwanted not in "".join(files.values())


def test_each_registry_has_an_upstream_and_each_server_its_ports_once(nginx):
    written = nginx.files["registries.conf"]
    assert re.findall(r"^upstream (\w+) ", written, re.MULTILINE) == ["registry", "hub", "github", "private", "quay", "plain", "open"]
    assert re.findall(r"listen (\d+)", written) == ["443", "5444", "5445", "5446", "5447"]


def test_a_location_with_an_error_page_of_its_own_has_the_gateways_as_well(nginx):
    """nginx drops those of the server there, and a registry that is down would be answered in HTML."""
    locations = dict(re.findall(r"^location @(\w+) \{\n(.*?)^\}", nginx.files["what-answers.conf"], re.MULTILINE | re.DOTALL))
    for name, content in locations.items():
        if "error_page" in content:
            assert "error_page 500 502 503 504 = @unavailable;" in content, name
            # one that leads to the registry leaves the registry's errors to the server's
            assert ("error_page 404 = @registry;" in content) == ("recursive_error_pages on;" in content), name
