# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be moved on a host: from where its configuration says that the images are to where the settings say that they belong."""

from __future__ import annotations

import pathlib
import re
import subprocess
import typing as t

import jinja2
import pytest
import yaml
from ansible_collections.holdfast.registry.plugins.filter.elsewhere import elsewhere
from ansible_collections.holdfast.registry.plugins.filter.instances import instances as filtered
from ansible_collections.holdfast.registry.plugins.filter.moves import moves

PLAYBOOKS = pathlib.Path(__file__).parents[4] / "playbooks"
ROLE = PLAYBOOKS.parent / "roles/registry"
DEFAULTS = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
SECRET = "0123456789+/secret"
STORE = {"endpoint": "https://store.example.org:8333", "bucket": "registry", "access_key": "0123", "secret_key": SECRET}
CONFIGURATION = "/etc/docker/registry/config.yml"
TEAM = "/etc/docker/registry/instance-team.yml"
IN_FILES = "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: /var/lib/docker-registry\n"


def resolved(first: dict[str, t.Any] | None = None, *further: dict[str, t.Any], **settings: t.Any) -> list[dict[str, t.Any]]:
    found = filtered({**DEFAULTS, **settings, "registry_storage": {"s3": {**STORE, **first}} if first is not None else {}, "registry_instances": [*further]})
    present: list[dict[str, t.Any]] = found["instances"]
    return present


def written(instance: dict[str, t.Any]) -> dict[str, str]:
    """The files that role registry writes for an instance, as its template makes them."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True)
    environment.filters["to_json"] = lambda value: '"' + str(value) + '"'
    environment.filters["bool"] = bool
    store = instance["store"] and {key: value for key, value in instance["store"].items() if key not in ("access_key", "secret_key")}
    text = environment.get_template("config.yml.j2").render(ansible_managed="", instance={**instance, "store": store}, __registry_packaged_major=2)
    files = {instance["configuration"]: text}
    if store:
        files[store["environment"]] = f"""REGISTRY_STORAGE_S3_ACCESSKEY='"0123"'\nREGISTRY_STORAGE_S3_SECRETKEY='"{SECRET}"'\n"""
        if store["ca_file"]:
            files[store["ca_file"]] = store["ca_certificate"]
    return files


def test_files_go_to_the_store_that_the_settings_name() -> None:
    found = moves(resolved({"prefix": "images"}), {CONFIGURATION: IN_FILES})
    assert found["problems"] == found["notes"] == []
    (move,) = found["moves"]
    assert (move["source"], move["target"]) == ("/var/lib/docker-registry", "https://store.example.org:8333/registry/images")
    assert (move["from_files"], move["directory"]) == (True, "")
    job = found["files"][0]["content"]
    assert job["target"]["secret_key"] == SECRET
    assert job["target"]["prefix"] == "images"
    assert SECRET not in str({**found, "files": []})
    assert (found["files"][0]["mode"], found["files"][0]["owner"], found["files"][0]["secret"]) == ("0400", "docker-registry", True)


@pytest.mark.parametrize("settings", [{}, {"registry_version": "3.1.2"}], ids=["package", "upstream"])
def test_the_way_back_knows_the_store_from_what_the_role_wrote(settings: dict[str, t.Any]) -> None:
    before = resolved({"prefix": "images", "region": "eu-1", "encrypt": True, "key_id": "alias/a"}, **settings)[0]
    found = moves(resolved(**settings), written(before))
    (move,) = found["moves"]
    assert (move["source"], move["target"]) == ("https://store.example.org:8333/registry/images", "/var/lib/docker-registry")
    source = found["files"][0]["content"]["source"]
    assert {key: source[key] for key in ("region", "bucket", "prefix", "access_key", "secret_key", "encrypt", "key_id", "path_style")} == {
        "region": "eu-1",
        "bucket": "registry",
        "prefix": "images",
        "access_key": "0123",
        "secret_key": SECRET,
        "encrypt": True,
        "key_id": "alias/a",
        "path_style": True,
    }
    assert {"path": "/var/lib/docker-registry", "mode": "0750", "owner": "docker-registry", "group": "docker-registry"} in found["directories"]


@pytest.mark.parametrize("first", [None, {}], ids=["files", "store"])
def test_what_is_in_its_place_is_not_moved(first: dict[str, t.Any] | None) -> None:
    present = resolved(first)
    found = moves(present, written(present[0]))
    assert found["moves"] == found["problems"] == []
    assert "nothing is moved" in found["notes"][0]


def test_a_registry_that_is_not_set_up_and_a_mirror_are_not_moved() -> None:
    found = moves(resolved({}, {"name": "hub", "mirror": {"upstream": "docker.io"}}), {})
    assert found["moves"] == found["problems"] == []
    assert ["not set up" in found["notes"][0], "is a mirror" in found["notes"][1]] == [True, True]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("storage: {swift: {}}", "says nothing of storage in files"),
        ("storage: [", "says nothing of storage in files"),
        ("", "says nothing of storage in files"),
        ("storage: {s3: {regionendpoint: 'https://x', region: a, bucket: b}}", "says nothing of storage in files"),
        (f"{IN_FILES}proxy: {{remoteurl: 'https://docker.io'}}", "is a pull-through cache's"),
        ("storage: {filesystem: {rootdirectory: /srv}}", "/srv/team is inside of /srv, or the other way round"),
    ],
    ids=["swift", "no-yaml", "empty", "no-keys", "cache", "overlap"],
)
def test_what_nobody_can_move_is_a_problem(text: str, said: str) -> None:
    found = moves(resolved(None, {"name": "team", "storage_directory": "/srv/team"}), {CONFIGURATION: IN_FILES, TEAM: text})
    assert said in found["problems"][0]
    assert found["problems"][0].startswith("team: ")
    assert found["files"] == []


def test_all_files_that_tell_are_read() -> None:
    assert moves(resolved(None, {"name": "team"})) == [
        *(CONFIGURATION, "/etc/docker/registry/store.env", "/etc/docker/registry/store-ca.crt"),
        *(TEAM, "/etc/docker/registry/instance-team-store.env", "/etc/docker/registry/instance-team-store-ca.crt"),
    ]


def glance(files: dict[str, str]) -> list[str]:
    """What site.yml asks of a host, with the same words for sed."""
    shell = (PLAYBOOKS / "tasks/check-settings.yml").read_text()
    (expression,) = re.findall(r"sed -n '(.+regionendpoint.+)' \$file", shell)
    lines = []
    for path, content in files.items():
        if path.endswith(".yml"):
            said = subprocess.run(["sed", "-n", expression], input=content, stdout=subprocess.PIPE, text=True, check=True).stdout
            lines.append(" ".join([":images", path, *said.split()]))
    return lines


@pytest.mark.parametrize("first", [None, {}, {"prefix": "team/images"}], ids=["files", "store", "store-with-prefix"])
def test_at_a_glance_images_are_where_the_role_has_written(first: dict[str, t.Any] | None) -> None:
    here = resolved(first, {"name": "team", "storage_directory": "/srv/team"})
    files = {path: content for instance in here for path, content in written(instance).items()}
    assert len(glance(files)) == 2
    assert elsewhere(here, glance(files)) == []
    assert elsewhere(here, []) == [], "a host without a registry has no images"


@pytest.mark.parametrize(
    ("first", "settings"),
    [
        ({"bucket": "other"}, {}),
        ({"prefix": "other"}, {}),
        ({"endpoint": "https://other.example.org"}, {}),
        (None, {"registry_storage_directory": "/srv/images"}),
    ],
)
def test_at_a_glance_another_place_is_seen(first: dict[str, t.Any] | None, settings: dict[str, t.Any]) -> None:
    (before,) = resolved({} if first is not None else None)
    assert elsewhere(resolved(first, **settings), glance(written(before))) == ["registry"]


def test_at_a_glance_the_other_kind_of_place_is_seen() -> None:
    (files,), (store,) = resolved(), resolved({})
    assert elsewhere([files], glance(written(store))) == ["registry"]
    assert elsewhere([store], glance(written(files))) == ["registry"]


def test_a_mirror_is_nowhere_else() -> None:
    here = resolved(None, {"name": "hub", "mirror": {"upstream": "https://registry-1.docker.io"}})
    assert elsewhere(here, [":images /etc/docker/registry/instance-hub.yml /somewhere/else"]) == []


def test_a_move_tells_from_where_to_where() -> None:
    (move,) = moves(resolved(registry_storage_directory="/srv/images"), {CONFIGURATION: IN_FILES})["moves"]
    assert move["told"] == "registry: its images are in /var/lib/docker-registry, and the settings say /srv/images"


@pytest.mark.parametrize("directory", ["/srv/images/team", "/srv/images/team/of-the-first", "/srv/images"])
def test_where_another_registry_has_its_images_none_are_moved(directory: str) -> None:
    there = {CONFIGURATION: IN_FILES, TEAM: IN_FILES.replace("/var/lib/docker-registry", "/srv/images/team")}
    # It moves away itself; it does so after the first.
    found = moves(resolved(None, {"name": "team", "storage_directory": "/opt/team"}, registry_storage_directory=directory), there)
    assert found["problems"] == [f"registry: {directory} has the images of team, or is inside of them, or they of it; give it a place of its own"]


def test_a_registry_is_not_moved_to_the_store_that_another_one_uses() -> None:
    present = resolved({}, {"name": "team", "storage_directory": "/opt/team"})
    other = {**resolved({})[0], **{key: present[1][key] for key in ("name", "unit", "configuration")}}
    other["store"] = {**other["store"], "environment": "/etc/docker/registry/instance-team-store.env", "ca_file": ""}
    found = moves(present, {CONFIGURATION: IN_FILES, **written(other)})
    assert [problem.partition(" has the images of ")[2][:4] for problem in found["problems"]] == ["team"]
