# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.plugin_utils import further as module

SITE = {"holdfast_server_name": "Registry.example.org", "holdfast_port": 443}
HUB = {"name": "hub", "upstream": "docker.io"}
QUAY = {"name": "quay", "upstream": "https://quay.io", "username": "robot", "password": "hunter2"}


def resolve(**settings):
    return module.further({**SITE, **settings})


def problems(**settings):
    return list(module.problems({**SITE, **settings}, redis_databases=16))


def test_nothing_is_added_where_there_is_one_registry():
    assert resolve() == ([], [], [], [], [], [], {}, {})
    assert problems() == []


def test_mirrors_share_one_address_that_the_certificate_covers_and_clients_trust():
    found = resolve(holdfast_mirrors=[HUB, QUAY], holdfast_mirror_name="mirror.example.org")
    assert [registry["namespaces"] for registry in found.registries] == [["docker.io"], ["quay.io"]]
    assert {(registry["server_name"], registry["port"]) for registry in found.registries} == {("mirror.example.org", 5444)}
    assert found.names == ["mirror.example.org"]
    assert found.endpoints == ["mirror.example.org:5444"]
    assert found.mirrors == [{"upstream": upstream, "mirror": "mirror.example.org:5444"} for upstream in ("docker.io", "quay.io")]
    assert found.places["registry_instances[1].mirror"] == "holdfast_mirrors[1]"


def test_the_keeper_knows_every_instance_by_the_users_name():
    rules = [{"repositories": ["**"], "keep_newest": 5}]
    found = resolve(
        registry_instances=[{"name": "old", "storage_directory": "/srv/old", "redis_database": 3, "log_level": "warn"}],
        nginx_auth_further_registries=[{"name": "former", "storage_directory": "/srv/old"}, {"name": "elsewhere", "upstream": "192.0.2.1:5000"}],
        holdfast_registries=[{"name": "team", "port": 5445, "retention": rules}, {"name": "gone", "state": "absent", "port": 5446}],
        holdfast_mirrors=[QUAY],
    )
    assert found.kept == [
        {"name": "old", "storage_directory": "/srv/old", "redis_database": 3, "mirror": False, "log_names": ["former"]},
        {"name": "team", "mirror": False, "retention": rules},
        {"name": "gone", "mirror": False, "state": "absent"},
        {"name": "quay", "mirror": True},
    ]
    # The first is what the role's own variables describe.
    assert (found.places["keeper_instances[2]"], found.places["keeper_instances[4]"]) == ("holdfast_registries[0]", "holdfast_mirrors[0]")


def test_a_mirror_has_no_rules_about_tags():
    assert any("holdfast_mirrors[0].retention" in problem for problem in problems(holdfast_mirrors=[{**HUB, "retention": []}]))


def test_the_passwords_of_upstreams_are_for_the_instance_only():
    found = resolve(holdfast_mirrors=[QUAY])
    assert found.instances[0]["mirror"]["password"] == "hunter2"
    assert "hunter2" not in str(found.registries)


@pytest.mark.parametrize(
    ("settings", "subjects", "networks"),
    [
        ({}, [{"groups": ["users"]}], None),
        ({"holdfast_mirror_anonymous": True}, [{"groups": ["users"]}, {"anonymous": True}], None),
        ({"holdfast_mirror_networks": ["192.0.2.0/24"]}, [{"groups": ["users"]}, {"anonymous": True}], ["192.0.2.0/24"]),
    ],
)
def test_a_mirror_admits_users_and_where_told_a_network_or_everyone(settings, subjects, networks):
    registry = resolve(holdfast_mirrors=[HUB], **settings).registries[0]
    assert [{key: rule[key] for key in ("groups", "anonymous") if key in rule} for rule in registry["rules"]] == subjects
    assert registry.get("networks") == networks
    assert all("actions" not in rule for rule in registry["rules"]), "pull is the default, and no other action is for a mirror"


def test_a_further_registry_goes_to_each_role():
    team = {"name": "team", "server_name": "team.example.org", "rules": [], "storage_directory": "/srv/team", "redis_database": 3}
    found = resolve(holdfast_registries=[team])
    assert found.instances == [{"name": "team", "storage_directory": "/srv/team", "redis_database": 3}]
    assert found.registries == [
        {
            "name": "team",
            "upstream": "unix:/run/docker-registry-team/registry.sock",
            "storage_directory": "/srv/team",
            "storage_group": "docker-registry-team",
            "rules": [],
            "server_name": "team.example.org",
        }
    ]
    assert (found.names, found.endpoints) == (["team.example.org"], ["team.example.org"])


def test_an_absent_one_is_only_for_role_registry():
    found = resolve(holdfast_registries=[{"name": "old", "state": "absent", "remove_images": True}])
    assert found.instances == [{"name": "old", "state": "absent", "remove_images": True}]
    assert (found.registries, found.names, found.endpoints) == ([], [], [])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"holdfast_mirrors": ["docker.io"]}, "holdfast_mirrors[0]: must be a dictionary such as {name: hub, upstream: docker.io}"),
        ({"holdfast_mirrors": [{"upstream": "docker.io"}]}, "holdfast_mirrors[0].name: is missing"),
        ({"holdfast_mirrors": [{"name": "hub"}]}, "holdfast_mirrors[0].upstream: is missing"),
        ({"holdfast_mirrors": [{**HUB, "user": "x"}]}, "holdfast_mirrors[0].user: is no key of it; there are name,"),
        ({"holdfast_mirrors": [{"name": "x", "upstream": "gopher://x"}]}, "holdfast_mirrors[0].upstream: 'gopher://x' begins with gopher://"),
        (
            {"holdfast_mirrors": [{"name": "x", "upstream": "registry.example.org:5444"}]},
            "holdfast_mirrors[0].upstream: registry.example.org:5444 is",
        ),
        ({"holdfast_mirrors": [{**HUB, "redis_database": 1}]}, "holdfast_mirrors[0].redis_database: is no key of it"),
        ({"holdfast_registries": [{"name": "a", "port": 1, "redis_database": 16}]}, "holdfast_registries[0].redis_database: 16 is not below redis_databases"),
        ({"holdfast_registries": [{"name": "team"}]}, "holdfast_registries[0]: needs a server_name or a port of its own"),
        ({"holdfast_registries": [{"name": "team", "port": 5445, "socket": "/run/x/y"}]}, "holdfast_registries[0].socket: is no key of it"),
    ],
)
def test_what_makes_no_sense_is_named_and_stops_nothing_else_from_being_checked(settings, said):
    found = problems(**settings)
    assert [problem for problem in found if problem.startswith(said)], found
    resolve(**settings)


def test_a_registry_of_the_same_host_at_another_port_is_no_loop():
    assert problems(holdfast_mirrors=[{"name": "own", "upstream": "registry.example.org"}]) == []


@pytest.mark.parametrize("said", [False, "false", "no", "False"])
def test_what_is_not_to_be_open_to_all_is_not_because_it_came_as_text(said):
    (registry,) = resolve(holdfast_mirrors=[HUB], holdfast_mirror_anonymous=said).registries
    assert not any("anonymous" in rule for rule in registry["rules"])


def test_a_single_network_may_come_as_text():
    assert resolve(holdfast_mirrors=[HUB], holdfast_mirror_networks="192.0.2.0/24").registries[0]["networks"] == ["192.0.2.0/24"]


def test_networks_limit_anonymous_rules_only():
    rules = [{"repositories": ["**"], "users": ["alice"]}]
    found = resolve(holdfast_mirrors=[{**HUB, "rules": rules}], holdfast_mirror_networks=["192.0.2.0/24"])
    assert "networks" not in found.registries[0]


def test_what_all_mirrors_share_is_called_by_its_setting():
    assert resolve(holdfast_mirrors=[HUB]).places["nginx_auth_further_registries[0].port"] == "holdfast_mirror_port"
    assert list(resolve(holdfast_mirrors=[HUB]).places).index("nginx_auth_further_registries[0].port") < list(resolve(holdfast_mirrors=[HUB]).places).index(
        "nginx_auth_further_registries[0]"
    )


STORE = {"s3": {"endpoint": "https://store.example.org:8333", "bucket": "images", "prefix": "first", "ca_certificate": "PEM"}}
TEAM = {"name": "team", "port": 5445}


def test_further_registries_are_in_the_same_store_below_a_prefix_of_their_own():
    found = resolve(holdfast_storage=STORE, holdfast_registries=[TEAM], holdfast_cache_size="20g")
    assert found.store == {"url": "https://store.example.org:8333/images/first", "ca_certificate": "PEM", "cache_size": "20g"}
    assert found.instances[0]["storage"] == {"s3": {**STORE["s3"], "prefix": "first/team"}}
    assert found.registries[0]["store"] == {**found.store, "url": "https://store.example.org:8333/images/first/team"}
    assert found.registries[0]["storage_directory"] == ""


def test_a_further_registry_can_have_a_store_of_its_own_and_a_mirror_stays_in_files():
    other = {"s3": {**STORE["s3"], "bucket": "other", "path_style": False}}
    found = resolve(holdfast_storage=STORE, holdfast_registries=[{**TEAM, "storage": other}], holdfast_mirrors=[HUB])
    assert found.registries[0]["store"]["url"] == "https://other.store.example.org:8333/first"
    assert found.instances[1]["storage"] == {}
    assert found.registries[1]["storage_directory"] == "/var/lib/docker-registry-hub"
    assert "store" not in found.registries[1]


def test_what_is_in_a_store_is_for_the_keeper_where_that_is_asked_for():
    instances = [{"name": "own", "storage": STORE}]
    found = resolve(holdfast_storage=STORE, holdfast_registries=[TEAM], holdfast_mirrors=[HUB], registry_instances=instances, holdfast_keeper=True)
    assert [(kept["name"], kept.get("storage")) for kept in found.kept] == [
        ("own", STORE),
        ("team", {"s3": {**STORE["s3"], "prefix": "first/team"}}),
        ("hub", None),
    ]
    # Before it are the registry and the instance of the inventory.
    assert found.places["keeper_instances[2]"] == "holdfast_registries[0]"


def test_what_is_in_a_store_is_not_for_the_keeper_by_default():
    found = resolve(holdfast_storage=STORE, holdfast_registries=[TEAM], holdfast_mirrors=[HUB], registry_instances=[{"name": "own", "storage": STORE}])
    assert [kept["name"] for kept in found.kept] == ["hub"]
    assert found.places["keeper_instances[0]"] == "holdfast_mirrors[0]"


def test_a_registry_that_sends_no_redirects_has_no_store_for_the_gateway():
    assert resolve(holdfast_storage={"s3": {**STORE["s3"], "redirect": "false"}}).store == {}


@pytest.mark.parametrize("storage", [{"s3": {}}, {"s3": "bucket"}, {"gcs": {}}, {**STORE, "gcs": {}}])
def test_storage_that_is_no_store_is_named(storage):
    assert problems(holdfast_storage=storage)[0].startswith("holdfast_storage: is neither {}, for files, nor a store such as {s3: ")


def test_a_cache_of_no_store_is_named():
    assert problems(holdfast_cache_size="20g") == [
        "holdfast_cache_size: has no effect without holdfast_storage: it is the gateway's cache of what is in the store"
    ]
