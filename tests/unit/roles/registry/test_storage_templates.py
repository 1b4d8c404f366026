# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the registry is told of an S3 store: each version reads other settings."""

from __future__ import annotations

import json
import pathlib

import pytest

jinja2, yaml = pytest.importorskip("jinja2"), pytest.importorskip("yaml")

from ansible_collections.holdfast.registry.plugins.filter.instances import instances

ROLE = pathlib.Path(__file__).parents[4] / "roles/registry"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
SECRET = "0123456789+/secret"
STORE = {"endpoint": "https://store.example.org:8333", "bucket": "registry", "access_key": "0123", "secret_key": SECRET}
CA = {"ca_certificate": "-----BEGIN CERTIFICATE-----"}


def rendered(template: str, *, version: str = "distribution", storage: dict | None = None, **settings: object) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters.update(bool=bool, to_json=json.dumps, dirname=lambda path: path.rpartition("/")[0], basename=lambda path: path.rpartition("/")[2])
    found = instances({**DEFAULTS, "registry_version": version, "registry_storage": {"s3": {**STORE, **storage}} if storage is not None else {}, **settings})
    variables = next(file["vars"] for file in found["files"] if file.get("template") == "config.yml.j2")
    names = {"__registry_packaged_major": 2, "__registry_upstream_unit": "u", "__registry_programs": "/p", "__registry_secrets": "/s", "ansible_managed": "m"}
    text = environment.get_template(template).render({**DEFAULTS, **settings, **names, **variables})
    assert SECRET not in text
    return str(text)


def configuration(**more: object) -> dict:
    return dict(yaml.safe_load(rendered("config.yml.j2", **more))["storage"])


@pytest.mark.parametrize(("version", "more"), [("distribution", {}), ("2.8.3", {}), ("3.1.1", {"forcepathstyle": True, "loglevel": "off"})])
def test_a_version_gets_the_settings_that_it_reads(version: str, more: dict) -> None:
    storage = configuration(version=version, storage={"prefix": "/team/", "chunk_mb": "25", "redirect": False})
    assert storage["s3"] == {
        "regionendpoint": "https://store.example.org:8333",
        "region": "us-east-1",
        "bucket": "registry",
        "rootdirectory": "team",
        "secure": True,
        "skipverify": False,
        "v4auth": True,
        "chunksize": 26214400,
        "encrypt": False,
        **more,
    }
    assert storage["redirect"] == {"disable": True}
    assert "filesystem" not in storage


def test_a_host_of_its_own_for_a_bucket_and_a_key_of_the_store() -> None:
    storage = configuration(version="3.1.1", storage={"path_style": False, "encrypt": True, "key_id": "alias/registry"})
    assert (storage["s3"]["forcepathstyle"], storage["s3"]["encrypt"], storage["s3"]["keyid"]) == (False, True, "alias/registry")
    assert storage["redirect"] == {"disable": False}


@pytest.mark.parametrize(
    ("version", "address", "storage", "cache"),
    [
        ("distribution", "", None, "inmemory"),
        ("distribution", "127.0.0.1:6380", None, "redis"),
        ("distribution", "127.0.0.1:6380", {}, None),
        ("3.0.0", "127.0.0.1:6380", {}, None),
        ("3.1.1", "", {}, None),
        ("3.1.1", "192.0.2.5:6380", {}, "redis"),
    ],
)
def test_descriptors_of_a_store_are_cached_in_redis_or_not_at_all(version: str, address: str, storage: dict | None, cache: str | None) -> None:
    assert configuration(version=version, storage=storage, registry_redis_address=address).get("cache") == ({"blobdescriptor": cache} if cache else None)


@pytest.mark.parametrize(
    ("version", "storage", "enabled"), [("distribution", None, True), ("distribution", {}, False), ("2.8.3", {}, False), ("3.0.0", {}, True)]
)
def test_the_clean_up_that_crashes_in_a_store_is_off_there(version: str, storage: dict | None, enabled: bool) -> None:
    assert configuration(version=version, storage=storage)["maintenance"]["uploadpurging"]["enabled"] is enabled


@pytest.mark.parametrize(
    ("version", "ca", "line"),
    [
        ("distribution", CA, "Environment=SSL_CERT_FILE=/etc/docker/registry/store-ca.crt"),
        ("3.1.1", CA, "Environment=AWS_CA_BUNDLE=/etc/docker/registry/store-ca.crt"),
        ("3.1.1", {}, ""),
    ],
)
def test_the_stores_ca_is_trusted_in_the_way_of_the_version(version: str, ca: dict, line: str) -> None:
    unit = rendered("units/service.j2", version=version, storage=ca).splitlines()
    assert [found for found in unit if "SSL_CERT" in found or "AWS_CA" in found] == ([line] if line else [])
    assert "EnvironmentFile=/etc/docker/registry/store.env" in unit


def test_a_registry_with_a_store_may_write_no_file_and_shares_its_cache_with_other_hosts() -> None:
    unit = rendered("units/service.j2", version="3.1.1", storage={"prefix": "a"}, registry_redis_address="192.0.2.5:6380")
    assert "ReadWritePaths" not in unit
    assert "claim-cache 192.0.2.5:6380 0 registry:https://store.example.org:8333/registry/a /run/holdfast-registry/registry/cache.env none\n" in unit


def test_files_are_as_they_were() -> None:
    unit = rendered("units/service.j2", registry_redis_address="127.0.0.1:6380")
    assert "ReadWritePaths=/var/lib/docker-registry\n" in unit
    assert "claim-cache 127.0.0.1:6380 0 registry:/var/lib/docker-registry /run/holdfast-registry/registry/cache.env\n" in unit
    assert configuration() == {**configuration(), "filesystem": {"rootdirectory": "/var/lib/docker-registry"}}
    assert "redirect" not in configuration()


@pytest.mark.parametrize(("storage", "rare"), [(None, True), ({}, False)])
def test_garbage_is_collected_rarely_only_where_no_parts_of_uploads_are_in_memory(storage: dict | None, rare: bool) -> None:
    assert ("Environment=GOGC=400" in rendered("units/service.j2", storage=storage).splitlines()) is rare
