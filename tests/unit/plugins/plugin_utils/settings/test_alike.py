# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hosts of one registry have one set of settings."""

from __future__ import annotations

import pathlib
import re

import pytest
from ansible.errors import AnsibleError
from ansible_collections.holdfast.registry.plugins.action import check_settings
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import alike
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import UNSET, Host

ROOT = pathlib.Path(__file__).parents[5]
RULES = [{"repositories": "team/**", "users": ["alice"], "access": "push"}]


def problems(inventory, name="one", servers=("one", "two", "three")):
    host = Host(name, setting_of=check_settings._setting_of({"hostvars": inventory}))
    return list(alike.problems(host, servers))


def test_hosts_with_the_same_settings_are_let_through():
    same = {"nginx_auth_rules": RULES, "holdfast_port": 5443}
    assert problems({"one": same, "two": {**same, "holdfast_port": "5443"}, "three": dict(same)}) == []
    assert problems({"one": {}, "two": {}, "three": {}}) == []


@pytest.mark.parametrize(
    ("name", "one", "two"),
    [
        ("registry_http_secret", "a" * 16, "b" * 16),
        ("holdfast_users", [{"name": "alice"}], [{"name": "alice"}, {"name": "bob"}]),
        ("nginx_auth_rules", RULES, []),
        ("holdfast_storage", {"s3": {"bucket": "a"}}, {"s3": {"bucket": "b"}}),
        ("holdfast_server_name", "registry.example.org", "registry2.example.org"),
        ("holdfast_redis_host", "one", "two"),
        ("registry_redis_address", "192.0.2.1:6379", "192.0.2.2:6379"),
        ("keeper_retention", [{"keep_newest": 50}], [{"keep_newest": 5}]),
        ("keeper_collect_grace", "7d", "1h"),
        ("keeper_collect_undo", "14d", "1d"),
        ("holdfast_virtual_address", "192.0.2.10/24", "192.0.2.11/24"),
    ],
)
def test_a_setting_that_differs_is_named_with_both_hosts_and_what_would_be_right_but_without_its_values(name, one, two):
    (problem,) = problems({"one": {name: one}, "two": {name: two}, "three": {name: one}})
    assert problem == (
        f"{name}: differs between one and two, which are one registry; "
        "give it once for all of them, in all: vars: or in the vars: of the group registry_servers"
    )


def test_hosts_that_back_up_one_bucket_keep_the_same_backups_of_it_and_others_may_keep_what_they_like():
    bucket, much, little = {"s3": {"bucket": "backup"}}, {"daily": 14}, {"last": 1}
    one, two = {"keeper_backup_keep": much}, {"keeper_backup_keep": little}
    assert problems({"one": one, "two": two}, servers=("one", "two")) == []
    with_bucket = {"one": {**one, "keeper_bucket_backup": bucket}, "two": {**two, "keeper_bucket_backup": bucket}}
    assert [problem.split(":")[0] for problem in problems(with_bucket, servers=("one", "two"))] == ["keeper_backup_keep"]


def test_a_setting_that_only_one_host_has_is_named():
    assert problems({"one": {"nginx_auth_rules": RULES}, "two": {}}, servers=("one", "two"))[0].startswith("nginx_auth_rules: is set for one and not for two,")
    assert problems({"one": {}, "two": {"nginx_auth_rules": RULES}}, servers=("one", "two"))[0].startswith("nginx_auth_rules: is set for two and not for one,")


def test_a_host_is_compared_with_the_first_also_where_the_run_is_limited_to_it():
    inventory = {"one": {"holdfast_port": 1}, "two": {"holdfast_port": 1}, "three": {"holdfast_port": 2}}
    assert [problem.split(",")[0] for problem in problems(inventory, "three")] == ["holdfast_port: differs between one and three"]
    assert problems(inventory, "two") == []
    assert [problem.split(",")[0] for problem in problems(inventory, "one")] == ["holdfast_port: differs between one and three"]
    assert problems(inventory, "client") == []


def test_what_belongs_to_one_host_may_differ():
    own = (
        "nginx_auth_attempts_per_minute",
        "redis_bind_addresses",
        "virtual_address_interface",
        "virtual_address_source",
        "registry_version",
        "pki_certificates",
    )
    assert not set(own) & set(alike.ALIKE)
    assert problems({"one": dict.fromkeys(own, "a"), "two": dict.fromkeys(own, "b"), "three": {}}) == []


def test_a_setting_that_cannot_be_resolved_is_left_to_the_check_of_its_host():
    class Broken(dict):
        def __getitem__(self, name):
            raise AnsibleError("no such file")

    setting_of = check_settings._setting_of({"hostvars": {"one": Broken(holdfast_port=1)}})
    assert setting_of("one", "holdfast_port") is UNSET
    assert setting_of("two", "holdfast_port") is UNSET


def test_all_that_the_playbook_reads_from_the_first_host_is_compared():
    wiring = (ROOT / "playbooks/site_wiring/vars/main.yml").read_text()
    read = set(re.findall(r"hostvars\[holdfast_server\]\.(\w+)", wiring))
    assert read == set(alike.OF_THE_FIRST)
    assert len(set(alike.ALIKE)) == len(alike.ALIKE)
