# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json

import yaml
from ansible_collections.holdfast.registry.plugins.filter import access_rules as plugin

access_rules = plugin.FilterModule().filters()["access_rules"]


def test_good_rules_become_a_map_and_what_search_reads():
    rules = [{"repositories": ["base/*"], "anonymous": True}]
    answer = access_rules(rules, administrators=["alice"], users=[{"name": "alice"}])
    assert answer["problems"] == []
    assert r"\Alist:(?:alice):\z" in answer["map"]
    assert answer["search"] == {
        "list": {"users": ["alice"], "everyone": False, "anonymous": False},
        "pull": [
            {"users": ["alice"], "everyone": False, "anonymous": False, "repositories": ["[a-z0-9._/-]*?"]},
            {"users": [], "everyone": False, "anonymous": True, "repositories": ["base/[a-z0-9._-]*?"]},
        ],
    }
    assert json.loads(json.dumps(answer)) == answer


def test_nothing_is_allowed_while_there_is_a_problem():
    answer = access_rules([{"repositories": ["a"], "users": ["bobb"]}], administrators=["alice"], users=[{"name": "alice"}])
    assert answer["problems"] == ['nginx_auth_rules[0].users[0]: there is no user "bobb" in nginx_auth_users or nginx_auth_certificate_users']
    assert answer["map"] == []
    assert answer["search"] == {"list": {"users": [], "everyone": False, "anonymous": False}, "pull": []}


def test_the_documented_parameters_are_those_there_are():
    documented = yaml.safe_load(plugin.DOCUMENTATION)["options"]
    assert [*documented][1:] == [*access_rules.__annotations__][1:-1]
