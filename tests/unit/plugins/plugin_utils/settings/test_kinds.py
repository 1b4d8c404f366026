# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import copy
import functools

import pytest
import yaml
from ansible_collections.holdfast.registry.plugins.action import check_settings
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import kinds, nginx_auth, registry, site

ROLES = [path.parent.parent.name for path in sorted(check_settings.ROLES.glob("*/meta/argument_specs.yml"))]
SCALARS = ("str", "path", "int", "bool")


@functools.cache
def spec_of(role):
    if role == "site":
        return site.SPEC
    return yaml.safe_load((check_settings.ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]


def every_option(options, place="", wrap=lambda value: value):
    """Each option with its name in messages, and what makes a setting of a value for it."""
    for name, option in options.items():

        def within(value, name=name):
            return wrap({name: value})

        yield f"{place}{name}", option, within
        if option.get("options") and option["type"] == "list":
            yield from every_option(option["options"], f"{place}{name}[0].", lambda value, within=within: within([value]))
        elif option.get("options"):
            yield from every_option(option["options"], f"{place}{name}.", within)


each_role = pytest.mark.parametrize("role", [*ROLES, "site"])


def options_of(role, *types):
    return [(name, option, within) for name, option, within in every_option(spec_of(role)) if option.get("type") in types]


def refused(role, given):
    return [problem.split(":")[0] for problem in kinds.problems(spec_of(role), given)]


# The rest of what is said of a number with white space around it.
FOLDED = "a block of YAML that begins with > ends in a line break, one with >- does not"


@each_role
@pytest.mark.parametrize("value", ["alice", "alice,bob", "", 5, True, {"a": "b"}, '["alice"]'], ids=repr)
def test_anything_else_is_refused_where_a_role_reads_a_list(role, value):
    for name, _option, within in options_of(role, "list"):
        assert refused(role, within(value)) == [name]


@each_role
@pytest.mark.parametrize("value", ["a=b", '{"a": "b"}', "", 5, False, ["a=b"]], ids=repr)
def test_anything_else_is_refused_where_a_role_reads_a_dictionary(role, value):
    for name, _option, within in options_of(role, "dict"):
        assert refused(role, within(value)) == [name]


@each_role
@pytest.mark.parametrize("value", [["a"], {"a": "b"}, []], ids=repr)
def test_lists_and_dictionaries_are_refused_where_a_role_reads_a_single_value(role, value):
    for name, _option, within in options_of(role, *SCALARS):
        assert refused(role, within(value)) == [name]


@each_role
@pytest.mark.parametrize("value", ["5443", "yes", "", 5443, True, 1.5, None], ids=repr)
def test_text_may_come_as_a_number_or_a_boolean(role, value):
    for _name, _option, within in options_of(role, "str", "path"):
        assert refused(role, within(value)) == []


@each_role
@pytest.mark.parametrize("value", ["5443", "0", 5443, 0, -1], ids=repr)
def test_numbers_may_come_as_text(role, value):
    for _name, _option, within in options_of(role, "int"):
        assert refused(role, within(value)) == []


@each_role
@pytest.mark.parametrize("value", ["yes", "", "443s", " 443", "0443", "4_43", "\u0664\u0664\u0663", "443\n", True, 443.0, 1.5], ids=repr)
def test_anything_else_is_refused_where_a_role_reads_a_number(role, value):
    for name, _option, within in options_of(role, "int"):
        assert refused(role, within(value)) == [name]


@each_role
@pytest.mark.parametrize("value", ["yes", "False", "0", 1, False], ids=repr)
def test_booleans_may_come_as_text(role, value):
    for _name, _option, within in options_of(role, "bool"):
        assert refused(role, within(value)) == []


@each_role
@pytest.mark.parametrize("value", ["maybe", "", 5443, 1.5], ids=repr)
def test_anything_else_is_refused_where_a_role_reads_a_boolean(role, value):
    for name, _option, within in options_of(role, "bool"):
        assert refused(role, within(value)) == [name]


@each_role
def test_what_has_a_default_is_not_left_empty(role):
    for name, option, within in options_of(role, "int", "bool", "list", "dict"):
        needed = option.get("required") or option.get("default") is not None
        assert refused(role, within(None)) == ([name] if needed else [])


@each_role
def test_the_members_of_a_list_are_of_one_kind(role):
    wrong = {"str": [["a"], {"a": "b"}, 5, None], "dict": ["name=alice", ["a"], None], "raw": []}
    for name, option, within in options_of(role, "list"):
        for value in wrong[option.get("elements", "raw")]:
            assert refused(role, within([value])) == [f"{name}[0]"]


@each_role
def test_the_specs_have_no_other_types(role):
    assert len(options_of(role, "list", "dict", "raw", *SCALARS)) == len(list(every_option(spec_of(role)))) > 5


@each_role
def test_the_defaults_are_of_the_right_kind(role):
    options = spec_of(role)
    assert refused(role, {name: option["default"] for name, option in options.items() if "default" in option}) == []


@pytest.mark.parametrize(
    ("role", "given", "said"),
    [
        ("nginx_auth", {"nginx_auth_administrators": "alice"}, "nginx_auth_administrators: must be a list, such as [alice], not a string"),
        ("nginx_auth", {"nginx_auth_administrators": "alice, bob"}, "nginx_auth_administrators: must be a list, such as [alice, bob], not a string"),
        ("nginx_auth", {"nginx_auth_trusted_proxies": '["192.0.2.1"]'}, "nginx_auth_trusted_proxies: must be a list, not a string"),
        ("nginx_auth", {"nginx_auth_administrators": [2026]}, "nginx_auth_administrators[0]: must be a string, not a number; put it in quotes"),
        ("nginx_auth", {"nginx_auth_rules": {"users": ["alice"]}}, "nginx_auth_rules: must be a list of dictionaries, not a dictionary"),
        ("nginx_auth", {"nginx_auth_users": ["alice"]}, "nginx_auth_users[0]: must be a dictionary, such as {name: ...}, not a string"),
        ("site", {"holdfast_users": {"alice": {}}}, "holdfast_users: must be a list, such as [{name: ...}], not a dictionary"),
        ("site", {"holdfast_users": "alice:secret"}, "holdfast_users: must be a list, such as [{name: ...}], not a string"),
        ("site", {"holdfast_mirrors": "docker.io"}, "holdfast_mirrors: must be a list, such as [{name: ...}], not a string"),
        ("nginx_auth", {"nginx_auth_users": "alice:secret"}, "nginx_auth_users: must be a list, such as [{name: ...}], not a string"),
        ("nginx_auth", {"nginx_auth_groups": "team=alice"}, "nginx_auth_groups: must be a dictionary, not a string"),
        ("nginx_auth", {"nginx_auth_realm": ["a"]}, "nginx_auth_realm: must be a string, not a list"),
        ("nginx_auth", {"nginx_auth_port": [443]}, "nginx_auth_port: must be a whole number, not a list"),
        ("site", {"holdfast_port": "https"}, "holdfast_port: must be a whole number, such as 443, not 'https'"),
        ("site", {"holdfast_port": 443.5}, "holdfast_port: must be a whole number, such as 443, not 443.5"),
        ("site", {"holdfast_port": "0443"}, "holdfast_port: must be a whole number, such as 443, not '0443' with zeros in front"),
        ("site", {"holdfast_port": "443\n"}, f"holdfast_port: must be a whole number, such as 443, not a string with white space around it; {FOLDED}"),
        ("site", {"holdfast_port": True}, "holdfast_port: must be a whole number, such as 443, not a boolean"),
        ("site", {"holdfast_port": "a key\nof two lines"}, "holdfast_port: must be a whole number, such as 443, not a string"),
        ("site", {"holdfast_port": None}, "holdfast_port: is empty; give it a value, or leave the line out"),
        ("site", {"holdfast_hosts_entry": "maybe"}, "holdfast_hosts_entry: must be true or false, not 'maybe'"),
        ("nginx_auth", {"nginx_auth_tls": {}}, "nginx_auth_tls: must be true or false, not a dictionary"),
        ("registry", {"registry_storage": '{"s3": {"secret_key": "hidden"}}'}, "registry_storage: must be a dictionary, such as {s3: ...}, not a string"),
    ],
)
def test_a_message_says_what_would_be_right(role, given, said):
    assert list(kinds.problems(spec_of(role), given)) == [said]


class Action(check_settings.ActionModule):
    """The action without a task, whose variables need no template."""

    def __init__(self):
        self._templar = self
        self._task = self

    check_mode = False

    def template(self, value):
        return value


@pytest.mark.parametrize(
    ("role", "checks", "variables", "said"),
    [
        ("nginx_auth", nginx_auth, {"nginx_auth_administrators": "alice"}, "nginx_auth_administrators: must be a list"),
        (
            "nginx_auth",
            nginx_auth,
            {"nginx_auth_further_registries": [{"name": "team", "upstream": "127.0.0.1:5001", "port": 5444, "server_aliases": "m.example.org"}]},
            "nginx_auth_further_registries[0].server_aliases: must be a list, such as [m.example.org]",
        ),
        ("registry", registry, {"registry_storage": '{"s3": {}}'}, "registry_storage: must be a dictionary"),
        ("site", site, {"holdfast_extra_names": "a.example.org"}, "holdfast_extra_names: must be a list, such as [a.example.org]"),
    ],
)
def test_the_check_does_not_let_through_what_only_the_validation_makes_right(role, checks, variables, said):
    needed = {"nginx_auth_server_name": "registry.example.org", "nginx_auth_users": [{"name": "alice", "password": "x"}]}
    needed.update(nginx_auth_port=443, nginx_auth_certificate="/etc/ssl/r.crt", nginx_auth_certificate_key="/etc/ssl/r.key")
    (problem,) = Action()._problems(copy.deepcopy(spec_of(role)), checks, {**needed, **variables})
    assert problem.startswith(said)


def test_the_check_takes_a_port_as_text():
    needed = {"nginx_auth_server_name": "registry.example.org", "nginx_auth_users": [{"name": "alice", "password": "x"}], "nginx_auth_tls": "false"}
    assert Action()._problems(copy.deepcopy(spec_of("nginx_auth")), nginx_auth, {**needed, "nginx_auth_port": "5443"}) == []
