# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.holdfast.registry.plugins.filter.instances import instances as filtered
from ansible_collections.holdfast.registry.plugins.plugin_utils import instances as module
from ansible_collections.holdfast.registry.plugins.plugin_utils.upstreams import parse_upstream

ROLE = pathlib.Path(__file__).parents[4] / "roles/registry"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
OURS = "/run/docker-registry-x"
SUM = f"sha256:{'0' * 64}"


def resolved(*further, **settings):
    return module.instances({**DEFAULTS, **settings, "registry_instances": list(further)})


def problems(*further, **settings):
    return resolved(*further, **settings)[1]


def test_one_instance_needs_nothing_but_the_defaults():
    (first,), wrong = resolved()
    assert wrong == []
    assert (first["unit"], first["user"], first["configuration"]) == ("docker-registry.service", "docker-registry", "/etc/docker/registry/config.yml")
    assert first["redis_database"] is None, "without Redis there is no database"


def test_a_further_instance_needs_only_a_name_and_has_everything_of_its_own():
    (first, team), wrong = resolved({"name": "team"}, registry_redis_address="127.0.0.1:6380")
    assert wrong == []
    own = ("unit", "user", "group", "configuration", "secret", "socket", "storage_directory", "redis_database", "runtime")
    assert [key for key in own if first[key] == team[key]] == []
    assert team["log_level"] == DEFAULTS["registry_log_level"]


@pytest.mark.parametrize(
    ("further", "settings", "said"),
    [
        ([{"name": "Team"}], {}, "registry_instances[0].name: 'Team' is not a lower-case letter and then"),
        ([{"name": "a" * 17}], {}, "registry_instances[0].name"),
        ([{"name": "registry"}], {}, "registry_instances[0].name: 'registry' is taken; choose another name"),
        ([{"name": "a"}, {"name": "a"}], {}, "registry_instances[1].name: 'a' is the name of another instance as well"),
        ([{"name": "a", "port": 5000}], {}, "registry_instances[0].port: 5000 is used by instance 'registry' as well; each instance needs its own"),
        (
            [{"name": "a", "socket": "/tmp/a.sock"}],
            {},
            'registry_instances[0].socket: "/tmp/a.sock" is not in a directory',
        ),
        (
            [{"name": "a", "socket": f"{OURS}/r"}, {"name": "b", "socket": f"{OURS}/r"}],
            {},
            f"registry_instances[1].socket: {OURS}/r is used by",
        ),
        (
            [{"name": "a", "socket": f"{OURS}/a"}, {"name": "b", "socket": f"{OURS}/b"}],
            {},
            "registry_instances[1].socket: is in the directory of another",
        ),
        ([{"name": "a", "redis_database": 1}], {}, "registry_instances[0].redis_database: needs registry_redis_address"),
        (
            [{"name": "a", "redis_database": 1, "mirror": {"upstream": "quay.io"}}],
            {"registry_redis_address": "127.0.0.1:6380"},
            "registry_instances[0].redis_database: is not for a mirror",
        ),
        (
            [{"name": "a", "redis_database": 0}],
            {"registry_redis_address": "127.0.0.1:6380"},
            "registry_instances[0].redis_database: 0 is used by instance 'registry' as well",
        ),
        ([{"name": "a", "storage_directory": "/var/lib/docker-registry/a"}], {}, "registry_instances[0].storage_directory: /var/lib/docker-registry/a and"),
        (
            [{"name": "a", "state": "absent", "remove_images": True, "storage_directory": "/var/lib"}],
            {},
            "registry_instances[0].storage_directory: /var/lib and",
        ),
        ([{"name": "a", "upload_purge_age": "1 day"}], {}, "registry_instances[0].upload_purge_age"),
        ([], {"registry_version": "latest"}, 'registry_version: "latest" is neither "distribution", the package, nor a release such as 3.1.1'),
        ([], {"registry_version": "../x"}, "registry_version"),
        ([], {"registry_archive": "/tmp/a.tar.gz"}, "registry_archive: has no effect without registry_version"),
        ([], {"registry_version": "3.1.1", "registry_archive_checksum": "abc"}, 'registry_archive_checksum: "abc" is not sha256: and 64 hexadecimal digits'),
        ([], {"registry_version": "3.1.1", "registry_archive_url": "ftp://x/y"}, 'registry_archive_url: "ftp://x/y" is not a URL such as'),
        ([], {"registry_version": "3.1.1", "registry_archive_url": "https://x/y", "registry_archive": "/y"}, "registry_archive and registry_archive_url"),
        (
            [{"name": "a", "version": "3.1.1", "archive_checksum": SUM}],
            {"registry_version": "3.1.1"},
            "registry_instances[0].archive_checksum: differs from registry_archive_checksum, and both are of version 3.1.1",
        ),
    ],
)
def test_what_cannot_work_is_named_with_its_place(further, settings, said):
    found = problems(*further, **settings)
    assert [problem for problem in found if problem.startswith(said)], found


@pytest.mark.parametrize(
    ("mirror", "said"),
    [
        ({}, ".upstream: is missing"),
        ({"upstream": "docker.io"}, None),
        ({"upstream": "ftp://a:secret@c"}, ".upstream: must be HOST, HOST:PORT or a URL, without a username or password"),
        ({"upstream": "docker.io", "token_hosts": 5}, ".token_hosts: must be a list of hosts"),
        ({"upstream": "docker.io", "ca_certificate": "-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n"}, ".ca_certificate: is not a PEM"),
        ({"upstream": "docker.io", "tag_seconds": "5"}, None),
        ({"upstream": ""}, ".upstream: is missing"),
        ({"upstream": "ftp://example.org"}, ".upstream: 'ftp://example.org' begins with ftp://, and a registry is reached by https:// or http://"),
        ({"upstream": "https://example.org/path"}, ".upstream: 'example.org/path' must be HOST or HOST:PORT alone"),
        ({"upstream": "https://user:secret@example.org"}, ".upstream: must be HOST, HOST:PORT or a URL, without a username or password"),
        ({"upstream": "docker.io", "username": "a"}, ".username and registry_instances[0].mirror.password: give both or neither"),
        ({"upstream": "http://example.org", "username": "a", "password": "b"}, ".upstream: is asked without TLS, over which a password is not sent"),
        ({"upstream": "docker.io", "username": "a:b", "password": "c"}, ".username: must not contain a colon"),
        ({"upstream": "docker.io", "password": "a\nb", "username": "a"}, ".password: must not contain control characters"),
        ({"upstream": "docker.io", "ca_certificate": "/etc/ca.crt"}, ".ca_certificate: is not a PEM certificate"),
        ({"upstream": "docker.io", "token_hosts": ["a b"]}, ".token_hosts[0]"),
        ({"upstream": "docker.io", "tag_seconds": -1}, ".tag_seconds: -1 is not a number of seconds between 0 and 86400"),
        ({"upstream": "docker.io", "timeout_seconds": True}, ".timeout_seconds"),
        ({"upstream": "docker.io", "ttl": "72h"}, ".ttl: needs version 3 or newer"),
        ({"upstream": "docker.io", "remote": "x"}, ".remote: is no key of a mirror; there are upstream"),
    ],
)
def test_a_mirror_that_cannot_work_is_named_with_its_place(mirror, said):
    found = problems({"name": "hub", "mirror": mirror})
    assert (found == []) if said is None else any(problem.startswith(f"registry_instances[0].mirror{said}") for problem in found), found
    assert not any("secret" in problem for problem in found)


def test_a_time_to_live_is_for_version_3():
    assert problems({"name": "hub", "version": "3.1.1", "mirror": {"upstream": "docker.io", "ttl": "72h"}}) == []


@pytest.mark.parametrize(
    ("text", "namespace", "origin"),
    [
        ("docker.io", "docker.io", "https://registry-1.docker.io"),
        ("GHCR.io", "ghcr.io", "https://ghcr.io"),
        ("https://quay.io/", "quay.io", "https://quay.io"),
        ("https://registry.example.org:443", "registry.example.org", "https://registry.example.org"),
        ("registry.example.org:5000", "registry.example.org:5000", "https://registry.example.org:5000"),
        ("http://192.0.2.7:5000", "192.0.2.7:5000", "http://192.0.2.7:5000"),
        ("[2001:db8::1]:5000", "[2001:db8::1]:5000", "https://[2001:db8::1]:5000"),
    ],
)
def test_an_upstream_has_a_name_and_an_origin(text, namespace, origin):
    assert parse_upstream(text, "upstream") == (namespace, origin)


def test_an_entry_with_a_version_of_its_own_does_not_take_the_archive_of_another():
    (_first, old), wrong = resolved({"name": "old", "version": "2.8.3"}, registry_version="3.1.1", registry_archive="/a.tar.gz", registry_archive_checksum=SUM)
    assert wrong == []
    assert (old["archive"], old["archive_checksum"], old["major"], old["program"]) == ("", "", 2, "/opt/holdfast-registry/old")


def test_passwords_of_upstreams_are_in_the_mirrors_and_nowhere_else():
    mirror = {"upstream": "docker.io", "username": "robot", "password": "hunter2"}
    found = filtered({**DEFAULTS, "registry_instances": [{"name": "hub", "mirror": mirror}]})
    assert found["mirrors"]["hub"]["password"] == "hunter2"
    assert "hunter2" not in str([found[key] for key in ("files", "services", "directories", "releases")])


def test_an_absent_instance_neither_runs_nor_stands_in_the_way():
    found = filtered({**DEFAULTS, "registry_instances": [{"name": "old", "state": "absent", "port": 5000}]})
    assert [one["name"] for one in found["services"]] == ["docker-registry.service"]


def test_where_databases_can_change_hands_all_that_restart_stop_first():
    """Also one that has no database now: it may have had one before."""
    further = [{"name": "a", "redis_database": 1}, {"name": "b"}]
    found = filtered({**DEFAULTS, "registry_redis_address": "127.0.0.1:6380", "registry_instances": further})
    assert [one["stop_first"] for one in found["services"]] == [True, True, True]
    assert [one["stop_first"] for one in filtered({**DEFAULTS, "registry_instances": [{"name": "b"}]})["services"]] == [False, False]


def test_numbers_and_booleans_may_come_as_text():
    """As from the command line, or from an INI inventory."""
    further = {"name": "a", "state": "absent", "remove_images": "false", "port": "5001"}
    found = filtered({**DEFAULTS, "registry_port": "5002", "registry_drain_timeout": "30", "registry_instances": [further]})
    assert (found["instances"][0]["port"], found["instances"][0]["drain_timeout"]) == (5002, 30)
    assert found["unwanted"][0]["remove_images"] is False
    assert problems({"name": "a", "port": "x"}) == ["registry_instances[0].port: 'x' is not a number"]


def test_the_role_fails_where_its_check_has_let_through_what_is_wrong():
    """Otherwise it would write no configuration, and everything would seem right."""
    with pytest.raises(AnsibleFilterError, match=r"registry_storage: is neither .*; registry_instances\[0\].port: 'x' is not a number"):
        filtered({**DEFAULTS, "registry_storage": '{"s3": {}}', "registry_instances": [{"name": "a", "port": "x"}]})


@pytest.mark.parametrize("directory", ["/srv", "/mnt", "/home", "/var/lib", "/var/lib/", "/"])
def test_the_first_instance_has_none_either(directory):
    (found,) = problems(registry_storage_directory=directory)
    assert found.startswith("registry_storage_directory: ")
    assert directory == "/" or "belongs to the system; give a directory of its own, such as /srv/images" in found


@pytest.mark.parametrize("directory", ["/etc", "/home", "/var/lib", "/srv/../etc", "/var/lib//docker-registry", "../x", "/"])
@pytest.mark.parametrize("more", [{}, {"state": "absent", "remove_images": True}])
def test_no_instance_has_a_directory_of_the_system(directory, more):
    found = problems({"name": "a", "storage_directory": directory, **more})
    assert [problem for problem in found if problem.startswith("registry_instances[0].storage_directory:")], found


@pytest.mark.parametrize(("entries", "settings"), [([{"name": "a", "port": 5099}], {}), ([], {"registry_upstream_port": 5000})])
def test_the_program_that_asks_upstreams_needs_a_port_of_its_own(entries, settings):
    found = problems(*entries, {"name": "hub", "mirror": {"upstream": "docker.io"}}, **settings)
    assert [problem.split(":")[0] for problem in found] == ["registry_upstream_port"]


def test_an_instance_that_goes_does_not_decide_about_archives():
    assert problems({"name": "old", "state": "absent", "version": "3.1.1"}, {"name": "new", "version": "3.1.1", "archive": "/a.tar.gz"}) == []
