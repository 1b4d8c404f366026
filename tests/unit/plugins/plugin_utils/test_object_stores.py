# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Images in an S3 store: what the settings must say, and where the secrets go."""

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible_collections.holdfast.registry.plugins.filter.instances import instances as filtered
from ansible_collections.holdfast.registry.plugins.plugin_utils import object_stores
from ansible_collections.holdfast.registry.plugins.plugin_utils.instances import instances

ROLE = pathlib.Path(__file__).parents[4] / "roles/registry"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
SECRET = "0123456789+/secret"
STORE = {"endpoint": "https://store.example.org:8333", "bucket": "registry", "access_key": "0123", "secret_key": SECRET}
REDIS = {"registry_redis_address": "192.0.2.5:6380"}


def storage(**more):
    return {"s3": {**STORE, **more}}


def written(*further, first=None, **settings):
    return {**DEFAULTS, **settings, "registry_storage": storage() if first is None else first, "registry_instances": list(further)}


def found(*further, **settings):
    return filtered(written(*further, **settings))


def problems(*further, **settings):
    return instances(written(*further, **settings))[1]


@pytest.mark.parametrize(
    ("storing", "said"),
    [
        ("s3", ": is neither {}, for files, nor a dictionary with the key s3"),
        ({"S3": {}}, ".S3: is no key of it; the only one is s3"),
        ({"s3": []}, ".s3: must be a dictionary such as {endpoint:"),
        ({"s3": {}}, ".s3.endpoint: is missing; give https://store.example.org:8333"),
        (storage(secret_key=""), ".s3.secret_key: is missing"),
        (storage(chunksize=10), ".s3.chunksize: is no key of it; the closest is chunk_mb"),
        (storage(endpoint="http://store.example.org"), '.s3.endpoint: "http://store.example.org" does not begin with https://'),
        (storage(endpoint=f"https://a:{SECRET}@store"), ".s3.endpoint: must be a URL without a username or password"),
        (storage(endpoint="https://store/registry"), '.s3.endpoint: "https://store/registry" is not https://HOST or https://HOST:PORT; the bucket and'),
        (storage(endpoint="https://store:99999"), ".s3.endpoint: "),
        (storage(bucket="Registry"), '.s3.bucket: "Registry" is not 3 to 63'),
        (storage(bucket="a.b.c", path_style=False), '.s3.bucket: "a.b.c" has a dot'),
        (storage(prefix="a//b"), '.s3.prefix: "a//b" is neither empty nor names'),
        (storage(prefix="../b"), '.s3.prefix: "../b"'),
        (storage(region="eu west"), '.s3.region: "eu west" is not a region'),
        (storage(secret_key=f"{SECRET}'"), ".s3.secret_key: has other characters than"),
        (storage(access_key="a b"), ".s3.access_key: has other characters than"),
        (storage(ca_certificate="PRIVATE KEY"), ".s3.ca_certificate: holds a private key"),
        (storage(ca_certificate="/etc/ssl/ca.pem"), ".s3.ca_certificate: is not a PEM certificate"),
        (storage(key_id="alias/x"), ".s3.key_id: has no effect without encrypt: true"),
        (storage(chunk_mb=4), ".s3.chunk_mb: 4 is not a number of megabytes from 5 to 1024"),
        (storage(chunk_mb="many"), ".s3.chunk_mb: 'many' is not"),
        (storage(redirect="perhaps"), ".s3.redirect: 'perhaps' is neither true nor false"),
        (storage(endpoint="https://192.0.2.1:8333", redirect=False, path_style=False), ".s3.path_style: must be true, since the host of"),
        (storage(endpoint="https://[2001:db8::1]", redirect=False, path_style=False), ".s3.path_style: must be true, since the host of"),
        (storage(path_style=False), ".s3.path_style: must be true with registry_version distribution, which knows no other style"),
    ],
)
def test_a_setting_that_cannot_work_is_named_with_its_place(storing, said):
    of_first = problems(first=storing)
    assert any(problem.startswith(f"registry_storage{said}") for problem in of_first), of_first
    further = {"name": "team", "version": "3.1.1" if "registry_version" not in said else None, "storage": storing}
    of_further = problems(further, first={})
    place = said.replace("registry_version", "registry_instances[0].version")
    assert any(problem.startswith(f"registry_instances[0].storage{place}") for problem in of_further), of_further
    assert SECRET not in str(of_first + of_further)


@pytest.mark.parametrize("more", [{}, {"prefix": "/team/images/", "chunk_mb": "25", "redirect": "no"}, {"encrypt": True, "key_id": "alias/registry"}])
def test_a_setting_that_can_work_has_no_problem(more):
    assert problems(first=storage(**more)) == []


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({}, "https://store.example.org:8333/registry"),
        ({"prefix": "/a/b/"}, "https://store.example.org:8333/registry/a/b"),
        ({"endpoint": "https://store.example.org/", "path_style": False, "prefix": "a"}, "https://registry.store.example.org/a"),
    ],
)
def test_the_url_of_all_objects(more, url):
    assert object_stores.url(object_stores.parse(storage(**more), "x")[0]) == url


def test_the_secrets_are_in_the_environment_file_and_the_probe_alone():
    further = {"name": "team", "version": "3.1.1", "storage": storage(prefix="team")}
    resolved = found(further)
    having = [file for file in resolved["files"] if SECRET in str(file)]
    assert [(file["path"], file["mode"], file["secret"]) for file in having] == [
        ("/etc/docker/registry/store.env", "0600", True),
        ("/etc/docker/registry/instance-team-store.env", "0600", True),
    ]
    assert having[0]["content"] == f"REGISTRY_STORAGE_S3_ACCESSKEY='\"0123\"'\nREGISTRY_STORAGE_S3_SECRETKEY='\"{SECRET}\"'\n"
    assert SECRET not in str([resolved[key] for key in ("services", "directories", "absent", "releases", "links", "unwanted")])
    assert [(one["name"], one["secret_key"]) for one in resolved["stores"]] == [("registry", SECRET), ("team", SECRET)]


def test_a_store_that_is_not_to_be_probed_is_not():
    assert found(first=storage(probe=False))["stores"] == []


def test_a_registry_restarts_for_another_key_or_ca():
    resolved = found(first=storage(ca_certificate="-----BEGIN CERTIFICATE-----"))
    assert {"/etc/docker/registry/store.env", "/etc/docker/registry/store-ca.crt"} <= set(resolved["services"][0]["restart_on"])
    assert resolved["directories"] == [], "no directory of images is made"
    assert resolved["absent"] == []


def test_what_is_left_of_a_store_is_removed():
    assert found(first={})["absent"] == ["/etc/docker/registry/store.env", "/etc/docker/registry/store-ca.crt"]
    assert found()["absent"] == ["/etc/docker/registry/store-ca.crt"]


@pytest.mark.parametrize(("version", "database"), [("distribution", None), ("2.8.3", None), ("3.0.0", None), ("3.1.0", 0), ("3.12.0", 0), ("4.0.0", 0)])
def test_descriptors_of_a_store_are_cached_only_by_versions_that_forget_deleted_blobs(version, database):
    assert found(registry_version=version, **REDIS)["instances"][0]["redis_database"] == database
    wrong = problems({"name": "a", "version": version, "redis_database": 1, "storage": storage(prefix="a")}, first={}, **REDIS)
    assert [problem.split(":")[0] for problem in wrong] == ([] if database == 0 else ["registry_instances[0].redis_database"])


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        *[("", "", True), ("a", "a", True), ("", "docker/registry", True), ("", "a", False), ("a", "a/b", False), ("a", "ab", False)],
        # A run of the keeper, of which a purge removes everything; and what only looks like one.
        *[("", "holdfast-keeper/runs/b", True), ("a/holdfast-keeper", "a", True), ("a", "holdfast-keeper", False), ("", "holdfast-keepers", False)],
    ],
)
def test_two_instances_need_different_places_in_a_store(one, other, overlap):
    wrong = problems({"name": "team", "storage": storage(prefix=other)}, first=storage(prefix=one))
    assert [problem.split(":")[0] for problem in wrong] == (["registry_instances[0].storage.s3.prefix"] if overlap else [])


@pytest.mark.parametrize(
    "other", [{"endpoint": "https://store.example.org:443"}, {"path_style": False}, {"endpoint": "https://STORE.example.org", "redirect": False}]
)
def test_one_place_in_a_store_is_one_however_it_is_written(other):
    one = storage(endpoint="https://store.example.org", prefix="a")
    further = {"name": "team", "version": "3.1.2", "storage": {"s3": {**one["s3"], **other}}}
    assert [problem.split(":")[0] for problem in problems(further, first=one)] == ["registry_instances[0].storage.s3.prefix"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"storage_directory": "/srv/a"}, "registry_instances[0].storage_directory: is for images in files"),
        ({"mirror": {"upstream": "docker.io"}}, "registry_instances[0].storage: is not for a mirror"),
        ({"state": "absent", "remove_images": True}, "registry_instances[0].remove_images: is not for images in a store; remove the objects below https://"),
    ],
)
def test_what_does_not_go_with_a_store_is_refused(entry, said):
    wrong = problems({"name": "a", "storage": storage(prefix="a"), **entry})
    assert any(problem.startswith(said) for problem in wrong), wrong


def test_files_are_where_they_were():
    resolved = found({"name": "team"}, first={})
    assert [(one["store"], one["images"]) for one in resolved["instances"]] == [(None, "/var/lib/docker-registry"), (None, "/var/lib/docker-registry-team")]
    assert [one["path"] for one in resolved["directories"]] == ["/var/lib/docker-registry", "/var/lib/docker-registry-team"]
