# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible_collections.holdfast.registry.plugins.action import check_settings
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import redis, site

SPEC = {"redis_port": {}, "redis_password": {}}


def test_a_misspelt_variable_of_the_inventory_is_named_with_the_closest_one():
    (warning,) = check_settings._unknown("redis", SPEC, {"redis_prot", "redis_port", "registry_port", "ansible_user"}, ())
    assert warning.startswith("redis_prot: is no variable of holdfast.registry and has no effect; the closest is redis_port")


def test_what_the_role_itself_registers_is_not_taken_for_a_setting():
    assert check_settings._unknown("pki", {"pki_directory": {}}, {"pki_ca"}, ("pki_ca",)) == []


def test_what_a_playbook_sets_is_a_misspelt_setting_before_it_has_run():
    assert "holdfast_address" not in check_settings._results(site, {"holdfast_address"})
    assert "holdfast_address" in check_settings._results(site, {"holdfast_address", "holdfast_there"})
    assert check_settings._results(redis, {"holdfast_there"}) == ()


def test_messages_use_the_name_that_the_user_knows():
    called = {"nginx_auth_users": "holdfast_users"}
    assert check_settings._renamed("nginx_auth_users[2].name: x; nginx_auth_users_exclusive", called) == "holdfast_users[2].name: x; nginx_auth_users_exclusive"


def test_what_several_registries_have_from_one_setting_is_said_once():
    called = {"nginx_auth_store.url": "holdfast_storage.s3.endpoint", "nginx_auth_further_registries[0].store.url": "holdfast_storage.s3.endpoint"}
    problems = ["nginx_auth_store.url: x", "nginx_auth_port: y", "nginx_auth_further_registries[0].store.url: x"]
    assert check_settings._as_known(problems, called) == ["holdfast_storage.s3.endpoint: x", "nginx_auth_port: y"]


@pytest.mark.parametrize("role", ["nginx_auth", "redis", "registry"])
def test_a_taken_port_is_refused_under_that_name_too(role):
    tasks = yaml.safe_load((pathlib.Path(check_settings.ROLES) / role / "tasks/validate.yml").read_text())
    (checked,) = (task["register"] for task in tasks if "holdfast.registry.check_settings" in task)
    (asked,) = (task["holdfast.registry.free_ports"] for task in tasks if "holdfast.registry.free_ports" in task)
    assert asked["called"] == f"{{{{ {checked}.called | default({{}}) }}}}"


def test_every_role_that_is_checked_in_python_has_its_variables_in_one_spec():
    roles = pathlib.Path(check_settings.ROLES)
    for role in ("docker_client", "nginx_auth", "pki", "redis", "registry"):
        document = yaml.safe_load((roles / role / "meta/argument_specs.yml").read_text())
        assert list(document["argument_specs"]) == ["main"]
        assert all(name.startswith(f"{role}_") for name in document["argument_specs"]["main"]["options"])


def test_a_key_that_nobody_wrote_is_not_taken_for_one_without_a_value():
    given = {"users": [{"name": "alice"}, {"name": "bob", "password": None}]}
    validated = {"users": [{"name": "alice", "password": None, "state": "present"}, {"name": "bob", "password": None, "state": "present"}], "port": 443}
    assert check_settings._as_written(validated, given) == {
        "users": [{"name": "alice", "state": "present"}, {"name": "bob", "password": None, "state": "present"}],
        "port": 443,
    }


@pytest.mark.parametrize("value", [{"a": [1, {"b": "c"}]}, ["x"], "y", None, 3])
def test_values_stay_what_they_are(value):
    assert check_settings._plain(value) == value
