# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pathlib
import re
import sys

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.holdfast.registry.plugins.filter.keepers import keepers
from ansible_collections.holdfast.registry.plugins.plugin_utils import keepers as module

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import settings as program
from registry_keeper.s3 import settings as s3_settings

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"

RULES = [{"repositories": ["**"], "keep_newest": 5, "tags": None}]
COMMANDS = [
    {"name": "collect", "schedule": "daily", "stores": True},
    {"name": "scrub", "schedule": "", "mirrors": True},
    {"name": "metrics", "schedule": "hourly", "mirrors": True},
]
SECTIONS = {"collect": {"grace_seconds": "7d", "undo_seconds": "2w", "other": "7d"}}


def resolve(**settings):
    defaults = {
        "keeper_state": "present",
        "keeper_instances": [{"name": "registry"}],
        "keeper_redis_address": "",
        "keeper_redis_password": "",
        "keeper_access_log": "",
        "keeper_retention": [],
    }
    return keepers({**defaults, **settings}, COMMANDS, SECTIONS)


def content(found, instance):
    return next(entry["content"] for entry in found["files"] if entry["path"] == f"/etc/registry-keeper/{instance}.json")


def test_an_instance_is_where_the_role_registry_has_it():
    kept = resolve(keeper_instances=[{"name": "registry"}, {"name": "team"}, {"name": "gone", "state": "absent"}])["instances"]
    assert [(one["name"], one["user"], one["storage_directory"]) for one in kept] == [
        ("registry", "docker-registry", "/var/lib/docker-registry"),
        ("team", "docker-registry-team", "/var/lib/docker-registry-team"),
    ]


def test_the_program_takes_the_settings_that_the_role_writes():
    found = resolve(
        keeper_instances=[{"name": "team", "redis_database": 0}],
        keeper_redis_address="[::1]:6380",
        keeper_redis_password="a password of the cache",
        keeper_access_log="/var/log/g/access.log",
        keeper_retention=RULES,
    )
    parsed = program.parse(content(found, "team"))
    assert (parsed.instance, parsed.storage, parsed.server_names) == ("team", "/var/lib/docker-registry-team", ("team",))
    assert parsed.redis == program.Redis("::1", 6380, 0, "a password of the cache")
    assert parsed.access_logs == ("/var/log/g/access.log", "/var/log/g/access.log.*", "/var/log/g/access.log-*")
    assert parsed.retention == [{"repositories": ["**"], "keep_newest": 5}]
    assert parsed.collect == {"grace_seconds": 604800, "undo_seconds": 1209600, "other": "7d"}


def test_the_program_knows_the_file_that_keeps_it_from_changing_anything():
    found = resolve(keeper_instances=[{"name": "registry"}, {"name": "team"}], keeper_freeze_file="/etc/g/read-only")
    assert [program.parse(content(found, name)).freeze_file for name in ("registry", "team")] == ["/etc/g/read-only"] * 2
    assert program.parse(content(resolve(), "registry")).freeze_file == ""


def test_an_instance_without_a_database_is_told_nothing_of_redis():
    found = resolve(keeper_redis_address="127.0.0.1:6380", keeper_redis_password="a password of the cache")
    assert content(found, "registry")["redis"] is None
    assert "a password" not in str(found["files"])


STORE = {"s3": {"endpoint": "https://store.example.org", "bucket": "images", "access_key": "a-key", "secret_key": "a-secret", "ca_certificate": PEM}}


def test_an_instance_in_a_store_gets_the_commands_that_have_a_form_for_it_and_no_secret():
    found = resolve(keeper_instances=[{"name": "registry", "storage": STORE}, {"name": "team", "storage": {"s3": {**STORE["s3"], "prefix": "team"}}}])
    assert [one["name"] for one in found["services"]] == ["registry-keeper-collect@registry.timer", "registry-keeper-collect@team.timer"]
    parsed = program.parse(content(found, "team"))
    assert parsed.storage == "/var/lib/registry-keeper/team"
    assert parsed.s3["environment"] == "/etc/docker/registry/instance-team-store.env" and parsed.s3["prefix"] == "team"
    assert s3_settings.options(parsed)["ca_file"] == "/etc/docker/registry/instance-team-store-ca.crt"
    assert "a-secret" not in str(found) and "a-key" not in str(found)
    directory = {"path": "/var/lib/registry-keeper/team", "owner": "docker-registry-team", "group": "docker-registry-team", "mode": "0750"}
    assert directory in found["directories"]


@pytest.mark.parametrize(
    ("instance", "said"),
    [
        ({"mirror": True}, "keeper_instances[0].storage: is not for a mirror"),
        ({"retention": [{"repositories": ["**"], "keep_pulled_within": "30d"}]}, "keeper_instances[0].retention[0].keep_pulled_within: needs images in files"),
        ({"storage": {"s3": {**STORE["s3"], "endpoint": "http://store"}}}, "keeper_instances[0].storage.s3.endpoint: "),
    ],
)
def test_what_cannot_be_kept_in_a_store_is_named(instance, said):
    with pytest.raises(AnsibleFilterError, match=re.escape(said)):
        resolve(keeper_instances=[{"name": "registry", "storage": STORE, **instance}], keeper_access_log="/var/log/g/access.log")


def test_a_common_rule_about_pulls_is_refused_for_a_store():
    rules = [{"repositories": ["**"], "keep_pulled_within": "30d"}]
    with pytest.raises(AnsibleFilterError, match=r"^keeper_retention\[0\].keep_pulled_within: needs images in files"):
        resolve(keeper_instances=[{"name": "registry", "storage": STORE}], keeper_access_log="/var/log/g/access.log", keeper_retention=rules)


def test_rules_are_inherited_unless_an_instance_has_its_own():
    others = [{"repositories": ["a"], "keep_newest": 1}]
    instances = [{"name": "registry"}, {"name": "own", "retention": others}, {"name": "none", "retention": []}, {"name": "hub", "mirror": True}]
    kept = resolve(keeper_instances=instances, keeper_retention=RULES)["instances"]
    assert [one["retention"] for one in kept] == [[{"repositories": ["**"], "keep_newest": 5}], others, [], []]


def test_commands_have_a_unit_and_those_with_a_schedule_a_timer():
    found = resolve(keeper_instances=[{"name": "registry"}, {"name": "hub", "mirror": True}])
    units = [entry["path"].rpartition("/")[2] for entry in found["files"] if entry["path"].startswith("/etc/systemd/system/")]
    assert units == [
        "registry-keeper-collect@registry.service",
        "registry-keeper-collect@registry.timer",
        "registry-keeper-scrub@registry.service",
        "registry-keeper-metrics@registry.service",
        "registry-keeper-metrics@registry.timer",
        "registry-keeper-scrub@hub.service",
        "registry-keeper-metrics@hub.service",
        "registry-keeper-metrics@hub.timer",
    ]
    assert [service["name"] for service in found["services"]] == [unit for unit in units if unit.endswith(".timer")]


def test_every_module_of_the_program_is_installed():
    sources = {entry["src"] for entry in resolve()["files"] if "src" in entry}
    there = pathlib.Path(__file__).parents[4] / "roles/keeper/files"
    assert sources == {str(path.relative_to(there)) for path in there.rglob("*") if path.is_file() and not {"__pycache__", "monitoring"} & set(path.parts)}


def test_absent_removes_what_present_has_written():
    there, gone = resolve(), resolve(keeper_state="absent")
    written = {entry["path"] for entry in there["files"] if not entry["path"].startswith("/etc/systemd/system/")}
    assert gone["files"] == gone["services"] == []
    assert written <= set(gone["absent"])
    assert gone["directories"] == [{"path": "/etc/systemd/system", "purge": "registry-keeper-*@*.service"}]


def test_the_role_fails_where_its_check_has_let_through_what_is_wrong():
    """Otherwise it would remove the keeper, and everything would seem right."""
    wrong = [{"repositories": ["**"]}]
    with pytest.raises(AnsibleFilterError, match=r"^keeper_retention\[0\]: keeps nothing"):
        resolve(keeper_retention=wrong)
    assert resolve(keeper_retention=wrong, keeper_state="absent")["files"] == []


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "daily",
        "Hourly",
        "03:30",
        "3:30:15",
        "Sun 03:30",
        "Mon..Fri 22:00",
        "Sat,Sun *-*-* 04:00:00",
        "*-*-01 04:00",
        "2026-12-24 18:00",
        "12-24 18:00",
        "*-*~01 02:00",
        "*:0/15",
        "*-*-* 0..6:30 UTC",
        "Sun 03:30 Europe/Berlin",
        "monday",
        "*-*-1,15 02:00",
    ],
)
def test_times_that_systemd_knows_are_taken(schedule):
    assert module.schedule_problem("keeper_x_schedule", schedule) == []
    # The program knows when a run is overdue.
    assert not schedule or module.program_module("status/schedule").overdue_after(schedule) >= 3 * 86400


@pytest.mark.parametrize(
    "schedule",
    [
        "every day",
        "24:00",
        "03:60",
        "3",
        "Son 03:30",
        "*-13-01 04:00",
        "*-*-32",
        "daily 03:00",
        "03:30\n",
        "6..1:00",
        "*:0/0",
        "@daily",
        None,
        5,
        "0 3 * * *",
    ],
)
def test_other_times_are_refused_by_name(schedule):
    (problem,) = module.schedule_problem("keeper_x_schedule", schedule)
    assert problem.startswith("keeper_x_schedule: ")
