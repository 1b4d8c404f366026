# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a message calls a setting of site.yml that a role knows by another name."""

from __future__ import annotations

import pathlib
import re

import jinja2.nativetypes
import pytest
import yaml
from ansible_collections.holdfast.registry.plugins.action import check_settings
from ansible_collections.holdfast.registry.plugins.plugin_utils.further import further
from ansible_collections.holdfast.registry.plugins.plugin_utils.gateway import registries
from ansible_collections.holdfast.registry.plugins.plugin_utils.instances import instances
from ansible_collections.holdfast.registry.plugins.plugin_utils.keepers import instances as kept

ROOT = pathlib.Path(__file__).parents[4]
WIRING = yaml.safe_load((ROOT / "playbooks/site_wiring/vars/main.yml").read_text())
STORE = {"endpoint": "https://store.example.org:8333", "bucket": "registry", "access_key": "k", "secret_key": "s"}


def called(found, own=()):
    """holdfast_called as site.yml has it, where the inventory has set these variables itself."""
    jinja = jinja2.nativetypes.NativeEnvironment()
    jinja.filters["combine"] = lambda one, *others: {key: value for each in (one, *others) for key, value in each.items()}
    jinja.filters["dict2items"] = lambda given: [{"key": key, "value": value} for key, value in given.items()]
    jinja.filters["items2dict"] = lambda items: {item["key"]: item["value"] for item in items}
    jinja.tests["match"] = lambda text, pattern: bool(re.match(pattern, text))
    known = jinja.from_string(WIRING["holdfast_called"]).render(holdfast_further=found._asdict(), holdfast_places_of_others="-")
    return check_settings._called(known, set(own))


def said(own=(), s3=None, **site):
    storage = {"s3": {**STORE, **(s3 or {})}}
    site = {"holdfast_server_name": "registry.example.org", "holdfast_storage": storage, "holdfast_keeper": True, **site}
    found = further(site)
    gateway = {
        "server_name": "registry.example.org",
        "port": 443,
        "tls": True,
        "certificate": "/c",
        "certificate_key": "/k",
        "client_certificates": "off",
        "upstream": "unix:/run/r.sock",
        "rules": [],
        "administrators": [],
        "listing": {},
        "store": found.store,
        "further_registries": found.registries,
    }
    defaults = yaml.safe_load((ROOT / "roles/registry/defaults/main.yml").read_text())
    registry = {**defaults, "registry_storage": storage, "registry_instances": found.instances}
    keeper = {"keeper_access_log": "", "keeper_redis_address": "", "keeper_retention": []}
    keeper["keeper_instances"] = [{"name": "registry", "storage": storage}, *found.kept]
    names = called(found, own)
    problems = [*registries(gateway)[1], *instances(registry)[1], *kept(keeper)[1]]
    return sorted({check_settings._renamed(problem, names).split(": ")[0] for problem in problems})


TEAM = {"name": "team", "port": 5445}
OWN = {**TEAM, "storage": {"s3": {**STORE, "prefix": "team"}}}


@pytest.mark.parametrize(
    ("settings", "places"),
    [
        ({"s3": {"endpoint": "https://192.0.2.10:8333"}}, ["holdfast_storage.s3.endpoint"]),
        ({"s3": {"endpoint": "https://Store.example.org"}}, ["holdfast_storage.s3.endpoint"]),
        ({"s3": {"endpoint": "https://192.0.2.10:8333"}, "holdfast_registries": [TEAM]}, ["holdfast_storage.s3.endpoint"]),
        ({"s3": {"bucket": "Bad"}, "holdfast_registries": [TEAM]}, ["holdfast_storage.s3.bucket"]),
        ({"holdfast_cache_size": "10", "holdfast_registries": [TEAM]}, ["holdfast_cache_size"]),
        (
            {"holdfast_registries": [{**OWN, "storage": {"s3": {**STORE, "endpoint": "https://192.0.2.10", "prefix": "team"}}}]},
            ["holdfast_registries[0].storage.s3.endpoint"],
        ),
        ({"holdfast_registries": [{**OWN, "storage": {"s3": {**STORE, "bucket": "Bad"}}}]}, ["holdfast_registries[0].storage.s3.bucket"]),
        ({"holdfast_mirrors": [{"name": "hub", "upstream": "index.docker.io"}]}, ["holdfast_mirrors[0].upstream"]),
        (
            {"holdfast_mirrors": [{"name": "hub", "upstream": "docker.io"}, {"name": "two", "upstream": "https://docker.io"}]},
            ["holdfast_mirrors[1].upstream"],
        ),
        ({"holdfast_mirrors": [{"name": "hub", "upstream": "docker.io", "namespace": "hub"}]}, ["holdfast_mirrors[0].namespace"]),
        # as the inventory has it
        ({"s3": {"endpoint": "https://192.0.2.10"}, "own": ["registry_storage"], "holdfast_registries": [TEAM]}, ["registry_storage.s3.endpoint"]),
        (
            {"s3": {"endpoint": "https://192.0.2.10"}, "own": ["registry_storage", "nginx_auth_store"]},
            ["nginx_auth_store.url", "registry_storage.s3.endpoint"],
        ),
    ],
)
def test_a_message_names_what_the_user_of_site_yml_has_set(settings, places):
    assert said(**settings) == places


def test_a_store_without_redirects_may_have_an_address():
    assert said(s3={"endpoint": "https://192.0.2.10:8333", "redirect": False}) == []
