# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.holdfast.registry.plugins.filter.gateway import gateway
from ansible_collections.holdfast.registry.plugins.plugin_utils.gateway import registries

SETTINGS = {
    "server_name": "registry.example.org",
    "server_aliases": ["127.0.0.1"],
    "port": 443,
    "tls": True,
    "certificate": "/etc/ssl/r.crt",
    "certificate_key": "/etc/ssl/r.key",
    "client_certificates": "off",
    "upstream": "unix:/run/registry.sock",
    "storage_directory": "/srv/images",
    "users": [{"name": "alice"}, {"name": "bob"}],
    "administrators": ["alice"],
    "listing": {},
    "rules": [{"repositories": ["**"], "users": ["bob"]}],
}
MIRROR = {"name": "mirror", "port": 5444, "upstream": "127.0.0.1:5001"}


def resolved(*further, **changes):
    found, problems = registries({**SETTINGS, "further_registries": list(further), **changes})
    assert problems == []
    return {registry["name"]: registry for registry in found}


def problems(*further, **changes):
    return registries({**SETTINGS, "further_registries": list(further), **changes})[1]


def labels(registry):
    return [decision["label"] for decision in registry["decisions"]]


def test_one_registry_needs_nothing_but_the_roles_own_variables():
    registry = resolved()["registry"]
    assert registry["server_names"] == ["registry.example.org", "127.0.0.1"]
    assert registry["storage_directory"] == "/srv/images"
    assert labels(registry) == ["nginx_auth_administrators", "nginx_auth_rules[0]", "nginx_auth_administrators"]
    assert not registry["anonymous"]


def test_a_further_registry_takes_what_it_does_not_say_from_the_first_but_never_its_images():
    mirror = resolved(MIRROR)["mirror"]
    assert (mirror["port"], mirror["upstream"], mirror["certificate"]) == (5444, "127.0.0.1:5001", "/etc/ssl/r.crt")
    assert mirror["server_names"] == ["registry.example.org"]
    assert mirror["storage_directory"] == ""
    assert labels(mirror) == ["nginx_auth_administrators", "nginx_auth_rules[0]", "nginx_auth_administrators"]
    assert all(decision["regex"].startswith(r"\Amirror:") for decision in mirror["decisions"])


def test_off_without_quotes_which_yaml_reads_as_false_is_off():
    assert resolved({**MIRROR, "client_certificates": False}, client_certificates=False) == resolved({**MIRROR, "client_certificates": "off"})


def test_false_in_quotes_is_false():
    assert [registry["tls"] for registry in resolved({**MIRROR, "tls": "false"}, tls="yes").values()] == [True, False]


def test_a_key_without_a_value_is_as_one_that_is_not_there():
    assert resolved({**MIRROR, "certificate": None, "storage_directory": None, "rules": None, "server_aliases": None}) == resolved(MIRROR)


def test_a_further_registry_may_have_rules_of_its_own_for_the_same_users():
    found = resolved({**MIRROR, "rules": [{"repositories": ["a"], "anonymous": True}], "administrators": [], "listing": {"users": ["bob"]}})
    assert labels(found["mirror"]) == ["nginx_auth_further_registries[0].rules[0]", "nginx_auth_further_registries[0].listing"]
    assert found["mirror"]["anonymous"]
    assert labels(found["registry"])[1] == "nginx_auth_rules[0]"


@pytest.mark.parametrize(
    ("further", "problem"),
    [
        ("mirror", "[0]: must be a dictionary such as {name: mirror, port: 5444, upstream: 127.0.0.1:5001}"),
        ({**MIRROR, "ports": 1}, "[0]: unknown key 'ports'; there are name, server_aliases, upstream, storage_directory, storage_group,"),
        ({**MIRROR, "name": "My Mirror"}, "[0].name: must be a lower-case letter and then at most 30 lower-case letters, digits and _"),
        ({**MIRROR, "name": "mirror\n"}, "[0].name: must be a lower-case letter and then at most 30 lower-case letters, digits and _"),
        ({**MIRROR, "name": "registry"}, "[0].name: 'registry' is taken; choose another"),
        ({**MIRROR, "name": "passwords"}, "[0].name: 'passwords' is taken; choose another"),
        ({"name": "mirror", "port": 1}, "[0].upstream: is missing; give ADDRESS:PORT or unix:/PATH"),
        ({**MIRROR, "port": 443}, "[0].server_name: registry.example.org at port 443 leads to another registry as well; choose another name or port"),
        (
            {**MIRROR, "rules": [{"repositories": ["a"], "users": ["carol"]}]},
            '[0].rules[0].users[0]: there is no user "carol" in nginx_auth_users or nginx_auth_certificate_users',
        ),
    ],
)
def test_what_is_wrong_with_a_further_registry_is_named_with_its_place(further, problem):
    found = problems(further)
    assert len(found) == 1
    assert found[0].startswith(f"nginx_auth_further_registries{problem}")


@pytest.mark.parametrize("name", ["registry", "passwords", "search", "default", "hostnames", "include", "volatile"])
def test_a_name_that_nginx_or_the_role_uses_for_something_else_is_refused(name):
    assert problems({**MIRROR, "name": name}) == [f"nginx_auth_further_registries[0].name: {name!r} is taken; choose another"]


def test_two_further_registries_of_one_name_are_refused():
    assert problems(MIRROR, {**MIRROR, "port": 5445}) == ["nginx_auth_further_registries[1].name: 'mirror' is the name of another registry as well"]


def test_an_alias_counts_as_a_name_at_its_port():
    found = problems({**MIRROR, "port": 443, "server_name": "mirror.example.org", "server_aliases": ["127.0.0.1"]})
    assert found == ["nginx_auth_further_registries[0].server_name: 127.0.0.1 at port 443 leads to another registry as well; choose another name or port"]


@pytest.mark.parametrize(("first", "other"), [(True, False), (False, True)])
def test_registries_at_one_port_all_have_tls_or_none(first, other):
    """nginx would ask for TLS from the clients of both."""
    team = {**MIRROR, "name": "team", "port": "443", "server_name": "team.example.org", "tls": other}
    (found,) = problems(MIRROR, team, tls=first)
    assert found.startswith("nginx_auth_further_registries[1].tls: must be the same as nginx_auth_tls, whose port it shares")
    assert problems(MIRROR, {**team, "port": 5445}, tls=first) == []


def test_a_problem_that_registries_inherit_is_reported_once():
    assert problems(MIRROR, rules=[{"repositories": ["A"], "users": ["bob"]}]) == [
        'nginx_auth_rules[0].repositories[0]: "A" has characters other than lower-case letters, digits and any of . _ - / *'
    ]


def test_as_long_as_there_is_a_problem_no_registry_allows_anything():
    found, wrong = registries({**SETTINGS, "further_registries": [MIRROR, "nonsense"]})
    assert wrong
    assert [registry["decisions"] for registry in found] == [[], []]
    assert [registry["search"]["pull"] for registry in found] == [[], []]


def test_ports_and_certificates_are_listed_once_each():
    found = gateway({**SETTINGS, "further_registries": [{**MIRROR, "port": 443, "server_name": "mirror.example.org"}, {**MIRROR, "name": "other"}]})
    assert found["ports"] == [{"port": 443, "setting": "nginx_auth_port"}, {"port": 5444, "setting": "nginx_auth_further_registries[1].port"}]
    assert found["certificates"] == [
        {"path": "/etc/ssl/r.crt", "key": "/etc/ssl/r.key", "server_names": ["127.0.0.1", "mirror.example.org", "registry.example.org"]}
    ]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"administrators": "alice"}, "nginx_auth_administrators: must be a list of names of users"),
        ({"certificate_users": "robot"}, "nginx_auth_certificate_users: must be a list of names"),
        ({"server_aliases": "a.example.org"}, "nginx_auth_server_aliases: must be a list of names"),
        (
            {"further_registries": [{**MIRROR, "server_aliases": "a.example.org"}]},
            r"nginx_auth_further_registries\[0\].server_aliases: must be a list of names",
        ),
        ({"further_registries": [{**MIRROR, "store": '{"url": "x"}'}]}, r"nginx_auth_further_registries\[0\].store: must be a dictionary"),
    ],
)
def test_the_role_fails_where_its_check_has_let_through_what_is_wrong(wrong, said):
    """Otherwise it would allow nobody anything, and everything would seem right."""
    with pytest.raises(AnsibleFilterError, match=said):
        gateway({**SETTINGS, **wrong})


@pytest.mark.parametrize("off", [False, "False", "off"])
def test_an_unquoted_off_is_off(off):
    found = resolved({**MIRROR, "client_certificates": "required"}, client_certificates=off)
    assert [registry["client_certificates"] for registry in found.values()] == ["off", "required"]
