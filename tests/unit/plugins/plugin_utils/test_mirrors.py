# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Mirrors and networks among the registries behind the gateway."""

from __future__ import annotations

import re

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils.gateway import registries
from hypothesis import given, settings
from hypothesis import strategies as st

SETTINGS = {
    "server_name": "registry.example.org",
    "server_aliases": [],
    "port": 443,
    "tls": True,
    "certificate": "/etc/ssl/r.crt",
    "certificate_key": "/etc/ssl/r.key",
    "client_certificates": "off",
    "upstream": "unix:/run/registry.sock",
    "storage_directory": "/srv/images",
    "users": [{"name": "alice"}, {"name": "bob"}, {"name": "carol"}],
    "administrators": ["alice"],
    "listing": {},
    "rules": [{"repositories": ["**"], "users": ["bob"], "actions": ["push", "delete"], "name": "bob works"}, {"repositories": ["base"], "users": ["carol"]}],
}
HUB = {"name": "hub", "port": 5444, "upstream": "127.0.0.1:5001", "mirror": True, "namespaces": ["docker.io"]}
GITHUB = {"name": "github", "port": 5444, "upstream": "127.0.0.1:5002", "mirror": True, "namespaces": ["ghcr.io", "quay.io"]}
PRIVATE = {"name": "private", "port": 5444, "upstream": "127.0.0.1:5003", "mirror": True, "namespaces": ["images.example.org:5000"]}
ANYBODY = [{"repositories": ["**"], "anonymous": True}]


def resolved(*further, **changes):
    found, problems = registries({**SETTINGS, "further_registries": list(further), **changes})
    assert problems == []
    return {registry["name"]: registry for registry in found}


def problems(*further, **changes):
    return registries({**SETTINGS, "further_registries": list(further), **changes})[1]


def allowed(registry, action, user="bob", repository="some/app"):
    key = f"{registry['name']}:{action}:{user}:{repository}"
    return [d["label"] for d in registry["decisions"] if re.search(d["regex"].replace(r"\z", r"\Z").replace("(?>", "(?:"), key)]


def test_the_first_registry_is_no_mirror_and_has_a_server_of_its_own():
    registry = resolved()["registry"]
    assert {key: registry[key] for key in ("mirror", "namespaces", "networks", "server", "tokens", "asked", "unnamed")} == {
        "mirror": False,
        "namespaces": [],
        "networks": [],
        "server": "registry",
        "tokens": False,
        "asked": [],
        "unnamed": "registry",
    }


@pytest.mark.parametrize("key", ["mirror", "namespaces", "networks"])
def test_the_first_registry_is_none_whatever_is_among_the_settings(key):
    assert resolved(**{key: True})["registry"][key] in (False, [])


@pytest.mark.parametrize("said", [{}, {"mirror": None}, {"mirror": False, "namespaces": None, "networks": None}, {"mirror": "no", "namespaces": []}])
def test_a_further_registry_is_no_mirror_unless_it_says_so(said):
    other = resolved({"name": "other", "port": 5444, "upstream": "127.0.0.1:5001", **said})["other"]
    assert (other["mirror"], other["namespaces"], other["networks"], other["server"]) == (False, [], [], "other")
    assert allowed(other, "push") == ["bob works"]


@pytest.mark.parametrize("yes", [True, "yes", "true", 1])
def test_a_mirror_can_only_be_pulled_from_whatever_the_rules_for_all_registries_say(yes):
    found = resolved({**HUB, "mirror": yes})
    assert [allowed(found["registry"], action) for action in ("pull", "push", "delete")] == [["bob works"]] * 3
    assert [allowed(found["hub"], action) for action in ("pull", "push", "delete")] == [["bob works"], [], []]
    # the administrators too
    assert [allowed(found["hub"], action, "alice") for action in ("pull", "push", "delete")] == [["nginx_auth_administrators"], [], []]
    assert allowed(found["hub"], "list", "alice", "") == ["nginx_auth_administrators"]


def test_a_mirror_may_have_rules_of_its_own():
    hub = resolved({**HUB, "rules": [{"repositories": ["library/*"], "users": ["carol"], "actions": ["pull"]}], "administrators": []})["hub"]
    assert allowed(hub, "pull", "carol", "library/base") == ["nginx_auth_further_registries[0].rules[0]"]
    assert allowed(hub, "pull", "bob", "library/base") == []


@pytest.mark.parametrize("action", ["push", "delete"])
def test_a_rule_of_a_mirrors_own_for_more_than_pulls_is_refused_by_its_place(action):
    rules = [{"repositories": ["a"], "users": ["bob"]}, {"repositories": ["b"], "users": ["bob"], "actions": ["pull", action], "name": "named"}]
    assert problems({**HUB, "rules": rules}) == [
        f"nginx_auth_further_registries[0].rules[1].actions[1]: nobody can {action} in a mirror; actions must be [pull]",
    ]


def test_nothing_is_searched_in_a_mirror():
    found = resolved({**HUB, "rules": ANYBODY})
    assert found["hub"]["search"] == {"list": {"users": [], "everyone": False, "anonymous": False}, "pull": []}
    assert found["registry"]["search"]["list"]["users"] == ["alice"]


def test_mirrors_share_a_server_if_their_clients_name_the_upstream():
    found = resolved(GITHUB, HUB, PRIVATE)
    assert [registry["server"] for registry in found.values()] == ["registry", "github", "github", "github"]
    assert found["github"]["asked"] == [
        {"namespace": "ghcr.io", "registry": "github", "in_query": "ghcr[.]io", "in_path": "ghcr[.]io"},
        {"namespace": "quay.io", "registry": "github", "in_query": "quay[.]io", "in_path": "quay[.]io"},
        {"namespace": "docker.io", "registry": "hub", "in_query": "docker[.]io", "in_path": "docker[.]io"},
        # no repository's name has a colon
        {"namespace": "images.example.org:5000", "registry": "private", "in_query": "images[.]example[.]org(?::|%3[aA])5000", "in_path": ""},
    ]
    assert found["hub"]["asked"] == found["private"]["asked"] == []
    # who does not name one means docker.io, and for what is for none it does not matter
    assert found["github"]["unnamed"] == "hub"
    assert resolved(GITHUB, PRIVATE)["github"]["unnamed"] == "github"


def test_a_mirror_with_namespaces_may_stand_alone():
    found = resolved(HUB, {**GITHUB, "port": 5445}, {**PRIVATE, "server_name": "other.example.org"})
    assert [registry["server"] for registry in found.values()] == ["registry", "hub", "github", "private"]
    assert [len(registry["asked"]) for registry in found.values()] == [0, 1, 2, 1]


def test_the_same_upstream_may_have_a_mirror_at_each_server():
    assert problems(HUB, {**HUB, "name": "open", "port": 5445, "rules": ANYBODY}) == []


def test_clients_of_one_server_are_asked_for_tokens_if_one_of_its_mirrors_is_open():
    found = resolved(HUB, {**GITHUB, "rules": ANYBODY}, {**PRIVATE, "port": 5445})
    assert [(registry["anonymous"], registry["tokens"]) for registry in found.values()] == [(False, False), (False, True), (True, True), (False, False)]


def test_networks_are_written_without_bits_of_a_host():
    networks = ["192.0.2.7/24", "198.51.100.1", "2001:DB8::5/32", "10.0.0.0/255.0.0.0"]
    hub = resolved({**HUB, "networks": networks, "rules": ANYBODY})["hub"]
    assert hub["networks"] == ["192.0.2.0/24", "198.51.100.1/32", "2001:db8::/32", "10.0.0.0/8"]


def test_any_further_registry_may_have_networks():
    other = {"name": "other", "port": 5444, "upstream": "127.0.0.1:5001", "networks": ["192.0.2.0/24"]}
    assert resolved({**other, "rules": ANYBODY})["other"]["networks"] == ["192.0.2.0/24"]
    # also with the rules for all registries
    assert resolved(other, rules=ANYBODY)["other"]["networks"] == ["192.0.2.0/24"]


NOT_AN_UPSTREAM = "is no upstream for clients but a repository: use a name with a dot or a port, such as docker.io"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"mirror": "treu"}, "mirror: must be true or false"),
        ({"mirror": []}, "mirror: must be true or false"),
        ({"mirror": False}, "namespaces: only a mirror answers for upstreams; set nginx_auth_further_registries[0].mirror to true, or leave it out"),
        ({"mirror": None}, "namespaces: only a mirror answers for upstreams; set nginx_auth_further_registries[0].mirror to true, or leave it out"),
        ({"namespaces": "docker.io"}, "namespaces: must be a list of upstreams such as docker.io, not a string"),
        ({"namespaces": {"docker.io": 1}}, "namespaces: must be a list of upstreams such as docker.io, not a dictionary"),
        ({"namespaces": ["docker.io", 5000]}, "namespaces[1]: must be a string, not a number: put it in quotes"),
        ({"namespaces": [""]}, "namespaces[0]: '' has no valid host name"),
        ({"namespaces": ["https://ghcr.io"]}, "namespaces[0]: 'https://ghcr.io' must be HOST or HOST:PORT alone, without a scheme"),
        ({"namespaces": ["ghcr.io/"]}, "namespaces[0]: 'ghcr.io/' must be HOST or HOST:PORT alone"),
        ({"namespaces": ["ghcr.io/org"]}, "namespaces[0]: 'ghcr.io/org' must be HOST or HOST:PORT alone"),
        ({"namespaces": ["me:secret@ghcr.io"]}, "namespaces[0]: must be HOST or HOST:PORT, without a username or password"),
        ({"namespaces": ["ghcr.io:0"]}, "namespaces[0]: 'ghcr.io:0' has no valid port"),
        ({"namespaces": ["ghcr.io:99999"]}, "namespaces[0]: 'ghcr.io:99999' has no valid port"),
        ({"namespaces": ["gh_cr.io"]}, "namespaces[0]: 'gh_cr.io' has no valid host name"),
        ({"namespaces": ["*.io"]}, "namespaces[0]: '*.io' has no valid host name"),
        ({"namespaces": ["ghcr.io\n"]}, "namespaces[0]: 'ghcr.io\\n' has no valid host name"),
        ({"namespaces": ['ghcr.io" x;']}, "namespaces[0]: 'ghcr.io\" x;' has no valid host name"),
        ({"namespaces": ["Ghcr.io"]}, "namespaces[0]: 'Ghcr.io' must be in lower case, as clients send it: 'ghcr.io'"),
        ({"namespaces": ["library"]}, f"namespaces[0]: 'library' {NOT_AN_UPSTREAM}"),
        ({"namespaces": ["registry-1.docker.io"]}, "namespaces[0]: 'registry-1.docker.io' is 'docker.io' for clients; write that"),
        ({"namespaces": ["index.docker.io"]}, "namespaces[0]: 'index.docker.io' is 'docker.io' for clients; write that"),
        ({"namespaces": ["ghcr.io", "quay.io", "ghcr.io"]}, "namespaces[2]: 'ghcr.io' is there twice; remove one"),
        ({"namespaces": [".".join(["a" * 60] * 3)]}, "namespaces[0]: 'aaaaaaaaaa"),
        (
            {"namespaces": ["registry.example.org:5444"]},
            "namespaces: 'registry.example.org:5444' is the name of this mirror itself; name an upstream",
        ),
        ({"port": 8443, "server_name": "Hub.example.org", "namespaces": ["hub.example.org:8443"]}, "namespaces: 'hub.example.org:8443' is the name of this"),
        ({"networks": "192.0.2.0/24"}, "networks: must be a list of networks such as 192.0.2.0/24, not a string"),
        ({"networks": []}, "networks: is empty; give networks such as 192.0.2.0/24, or leave it out"),
        ({"networks": ["192.0.2.0/33"]}, 'networks[0]: "192.0.2.0/33" is not an address or a network such as 192.0.2.0/24'),
        ({"networks": ["office"]}, 'networks[0]: "office" is not an address or a network such as 192.0.2.0/24'),
        ({"networks": ["192.0.2.0/24\n"]}, 'networks[0]: "192.0.2.0/24\n" is not an address or a network such as 192.0.2.0/24'),
        ({"networks": ["fe80::%eth0/64"]}, 'networks[0]: "fe80::%eth0/64" is not an address or a network'),
        ({"networks": [1]}, "networks[0]: must be a string, not a number: put it in quotes"),
        ({"networks": ["192.0.2.1/24", "192.0.2.0/24"]}, "networks[1]: '192.0.2.0/24' is there twice; remove one"),
        (
            {"networks": ["192.0.2.0/24"], "rules": [{"repositories": ["**"], "groups": ["users"]}]},
            "networks: limits rules with anonymous: true, and there is none for this registry; add one, or leave networks out",
        ),
    ],
)
def test_what_is_wrong_with_a_mirror_is_named_with_its_place(changes, problem):
    found = problems({**HUB, "rules": ANYBODY, **changes})
    assert len(found) == 1, found
    assert found[0].startswith(f"nginx_auth_further_registries[0].{problem}")


def test_a_mirror_for_its_own_name_is_refused_where_clients_leave_out_the_port():
    found = problems({**HUB, "port": 443, "server_name": "hub.example.org", "namespaces": ["hub.example.org"]})
    assert found == ["nginx_auth_further_registries[0].namespaces: 'hub.example.org' is the name of this mirror itself; name an upstream"]


ELSEWHERE = "choose another name or port"


@pytest.mark.parametrize(
    ("one", "other", "problem"),
    [
        (HUB, {**GITHUB, "namespaces": []}, f"server_name: registry.example.org at port 5444 leads to another registry as well; {ELSEWHERE}, or give both"),
        ({**HUB, "namespaces": []}, GITHUB, f"server_name: registry.example.org at port 5444 leads to another registry as well; {ELSEWHERE}, or give both"),
        (HUB, {"name": "own", "port": 5444, "upstream": "127.0.0.1:1"}, "server_name: registry.example.org at port 5444 leads to another registry as well"),
        (HUB, {**GITHUB, "port": 443}, "server_name: registry.example.org at port 443 leads to another registry as well"),
        (HUB, {**GITHUB, "server_name": "Registry.Example.org", "namespaces": []}, "server_name: Registry.Example.org at port 5444 leads to another registry"),
        (
            HUB,
            {**GITHUB, "namespaces": ["quay.io", "docker.io"]},
            "namespaces: 'docker.io' is in nginx_auth_further_registries[0].namespaces as well, at the same server name and port; remove one of them",
        ),
        (HUB, {**GITHUB, "certificate": "/etc/ssl/o.crt"}, "certificate: must be the same as nginx_auth_further_registries[0].certificate, whose server name"),
        (HUB, {**GITHUB, "certificate_key": "/etc/ssl/o.key"}, "certificate_key: must be the same as nginx_auth_further_registries[0].certificate_key, whose"),
        (HUB, {**GITHUB, "client_certificates": "required"}, "client_certificates: must be the same as nginx_auth_further_registries[0].client_certificates"),
        (HUB, {**GITHUB, "tls": False}, "tls: must be the same as nginx_auth_further_registries[0].tls, whose port it shares"),
        (HUB, {**GITHUB, "server_aliases": ["m"]}, "server_aliases: must be the same as nginx_auth_further_registries[0].server_aliases, whose server name"),
        (HUB, {**HUB, "namespaces": ["ghcr.io"]}, "name: 'hub' is the name of another registry as well"),
    ],
)
def test_mirrors_that_cannot_share_a_server_are_refused(one, other, problem):
    found = problems(one, other)
    assert len(found) == 1, found
    assert found[0].startswith(f"nginx_auth_further_registries[1].{problem}")


def test_the_third_mirror_of_a_server_is_held_to_both_before_it():
    found = problems(HUB, GITHUB, {**PRIVATE, "namespaces": ["quay.io", "docker.io"]})
    assert [problem.partition(" as well")[0] for problem in found] == [
        "nginx_auth_further_registries[2].namespaces: 'docker.io' is in nginx_auth_further_registries[0].namespaces",
        "nginx_auth_further_registries[2].namespaces: 'quay.io' is in nginx_auth_further_registries[1].namespaces",
    ]


def test_certificates_off_without_quotes_are_the_same_as_with_them():
    assert problems({**HUB, "client_certificates": False}, {**GITHUB, "client_certificates": "off"}) == []
    assert problems({**HUB, "tls": "yes"}, {**GITHUB, "tls": True}) == []


def test_an_address_may_be_an_upstream():
    asked = resolved({**HUB, "namespaces": ["192.0.2.1:5000", "[2001:db8::1]:5000"]})["hub"]["asked"]
    for namespace, forms in [("192.0.2.1:5000", ["192.0.2.1%3A5000", "192.0.2.1:5000"]), ("[2001:db8::1]:5000", ["%5B2001%3Adb8%3a%3A1%5D%3A5000"])]:
        (regex,) = (entry["in_query"] for entry in asked if entry["namespace"] == namespace)
        assert all(re.fullmatch(regex, form) for form in forms)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["docker.io", "ghcr.io:5000", "192.0.2.0/24", "yes"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(*[st.fixed_dictionaries({}, optional={"mirror": ANYTHING, "namespaces": ANYTHING, "networks": ANYTHING})] * 2)
def test_whatever_is_written_is_answered_with_problems_or_a_server(one, other):
    found, wrong = registries({**SETTINGS, "further_registries": [{**HUB, "rules": ANYBODY, **one}, {**GITHUB, "rules": ANYBODY, **other}]})
    assert all(isinstance(problem, str) for problem in wrong)
    assert all(registry["server"] in ("registry", "hub", "github") for registry in found)
    # a registry that shares a server is a mirror that says what it answers for
    assert wrong or all(registry["mirror"] and registry["namespaces"] for registry in found if registry["server"] != registry["name"])
