# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import site
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Host

STORE = {"s3": {"endpoint": "https://store.example.org", "bucket": "registry"}}


def problems(servers=("a", "b"), **settings):
    given = {"holdfast_server_name": "registry.example.org", "holdfast_users": [{"name": "alice"}], **settings}
    validated = ArgumentSpecValidator(site.SPEC).validate(given)
    assert validated.error_messages == []
    return site.problems(validated.validated_parameters, Host("a", groups={"registry_servers": list(servers)}))


def test_several_hosts_share_a_store():
    assert problems(registry_storage=STORE) == []


def test_several_hosts_without_a_store_are_refused_with_the_setting_that_is_missing():
    (problem,) = problems()
    assert problem.startswith("holdfast_storage: registry_servers has 2 hosts, a, b, which can share only what is in an object store: set it to {s3: ")


def test_a_virtual_address_for_one_host_is_refused():
    (problem,) = problems(servers=["a"], holdfast_virtual_address="192.0.2.10/24")
    assert problem == "holdfast_virtual_address: moves between hosts, and registry_servers has only a; add another, or leave it out"


def test_a_group_without_a_host_is_refused():
    assert problems(servers=[]) == ["registry_servers: the group must have at least one host, which runs the registry"]


@pytest.mark.parametrize(
    ("instance", "refused"),
    [
        ({"name": "team"}, True),
        ({"name": "team", "storage": STORE}, False),
        ({"name": "hub", "mirror": {}}, True),
        ({"name": "team", "state": "absent"}, False),
    ],
)
def test_every_instance_of_several_hosts_is_in_a_store(instance, refused):
    found = problems(registry_storage=STORE, registry_instances=[instance])
    assert [problem.split(":")[0] for problem in found] == (["registry_instances[0].storage"] if refused else [])


def test_a_mirror_has_files_of_its_own_on_each_host():
    assert problems(registry_storage=STORE, registry_instances=[{"name": "hub", "mirror": {"upstream": "docker.io"}}]) == []
    # one host can have what it likes
    assert problems(servers=["a"], registry_storage=STORE, registry_instances=[{"name": "team"}]) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"holdfast_redis_host": "c"}, 'holdfast_redis_host: "c" is not in registry_servers (a, b); for a Redis elsewhere set registry_redis_address'),
        ({"holdfast_redis_host": "b"}, "redis_bind_addresses: needs an address of b that the other hosts of registry_servers reach"),
        ({"holdfast_certificate_source": "acme"}, "acme_challenge: with http-01 the ACME server asks any of the hosts"),
        (
            {"keeper_retention": [{"keep_newest": 1}]},
            "keeper_retention: has no effect: holdfast_storage puts images into an object store, where the keeper works only",
        ),
        ({"keeper_backup_repository": "/srv/backup"}, "keeper_backup_repository: has no effect: holdfast_storage puts images into an object store, where"),
        (
            {"keeper_bucket_backup": {"s3": {}}},
            "keeper_bucket_backup: has no effect: holdfast_storage puts images into an object store, where the keeper works",
        ),
        ({"holdfast_drain_seconds": 4000}, "holdfast_drain_seconds: 4000 is not between 0 and 3600 seconds"),
        ({"holdfast_virtual_address": "192.0.2.10"}, 'holdfast_virtual_address: "192.0.2.10" is not an IP address with the prefix length of its network'),
        (
            {"holdfast_virtual_address": "192.0.2.10/24", "holdfast_drain_seconds": 4},
            "holdfast_drain_seconds: 4 is less than the 5 seconds in which holdfast_virtual_address moves",
        ),
        ({"holdfast_server_address": ["192.0.2.1", "web"]}, 'holdfast_server_address[1]: "web" is not an IP address'),
    ],
)
def test_what_several_hosts_or_a_store_cannot_have_is_named(settings, said):
    (problem,) = problems(registry_storage=STORE, **settings)
    assert problem.startswith(said)


@pytest.mark.parametrize(
    "settings",
    [
        {"holdfast_keeper": False},
        {"holdfast_virtual_address": "192.0.2.10/24"},
        {"holdfast_drain_seconds": 0},
        {"holdfast_keeper": True, "keeper_retention": [{"keep_newest": 1}]},
        {"holdfast_keeper": True, "keeper_backup_repository": "/srv/backup", "keeper_bucket_backup": {"s3": {}}},
        {"holdfast_redis_host": "b", "redis_bind_addresses": ["127.0.0.1", "192.0.2.2"]},
        {"holdfast_certificate_source": "acme", "acme_challenge": "dns-01"},
        {"holdfast_server_address": ["192.0.2.1", "2001:db8::1"]},
        # the mirror is in files
        {"holdfast_keeper": True, "registry_instances": [{"name": "hub", "mirror": {"upstream": "docker.io"}}]},
    ],
)
def test_what_they_can_have_is_let_through(settings):
    assert problems(registry_storage=STORE, **settings) == []
