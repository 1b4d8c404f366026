# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backup as the role's variables describe it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.holdfast.registry.plugins.filter.keepers import keepers
from ansible_collections.holdfast.registry.plugins.plugin_utils import backups

BACKUP = {
    "repository": "/srv/backup",
    "password": "a password of some length",
    "environment": {},
    "schedule": "00:30",
    "keep": {"last": 3},
    "prune_days": 7,
    "check_days": "7",
    "check_parts": 20,
    "host": "registry",
    "mirrors": False,
    "paths": ["/etc/ssl/holdfast-ca"],
    "configuration_paths": ["/etc/docker/registry"],
}
KEPT = [
    {"name": "registry", "storage_directory": "/var/lib/docker-registry", "user": "docker-registry", "group": "docker-registry", "mirror": False},
    {"name": "hub", "storage_directory": "/srv/hub", "user": "docker-registry-hub", "group": "docker-registry-hub", "mirror": True},
]


@pytest.mark.parametrize(
    "repository",
    ["/srv/backup", "sftp:backup@store.example.org:/srv/registry", "s3:https://store.example.org/bucket/registry", "rest:https://u:p@store.example.org/"],
)
def test_what_restic_takes_for_a_repository_is_right(repository):
    assert backups.problems({**BACKUP, "repository": repository}) == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        pytest.param({"repository": "backup"}, "keeper_backup_repository: is neither a directory", id="relative"),
        pytest.param({"repository": "ftp://store.example.org"}, "keeper_backup_repository: is neither a directory", id="no protocol of restic"),
        pytest.param({"repository": "/srv/two words"}, "keeper_backup_repository: is neither a directory", id="blank"),
        pytest.param({"password": "short"}, "keeper_backup_password: needs at least 16 characters", id="short password"),
        pytest.param({"password": "a password with\na line break"}, "keeper_backup_password: needs at least 16 characters in one line", id="two lines"),
        pytest.param({"host": "two words"}, "keeper_backup_host: 'two words'", id="host"),
        pytest.param({"environment": {"AWS-KEY": "x"}}, "keeper_backup_environment: 'AWS-KEY'", id="variable"),
        pytest.param({"environment": {"AWS_KEY": "x\ny"}}, "keeper_backup_environment: 'AWS_KEY'", id="value of two lines"),
        pytest.param({"environment": {"RESTIC_PASSWORD": "x"}}, "keeper_backup_environment: RESTIC_PASSWORD is set by", id="set twice"),
        pytest.param({"keep": {"lasts": 3}}, "keeper_backup_keep.lasts: there is no such key", id="misspelt"),
        pytest.param({"keep": {"last": "all"}}, "keeper_backup_keep.last: 'all'", id="no number"),
        pytest.param({"keep": {}}, "keeper_backup_keep: set at least one", id="keeps nothing"),
        pytest.param({"keep": {"daily": 0}}, "keeper_backup_keep: set at least one", id="keeps none"),
        pytest.param({"check_parts": 0}, "keeper_backup_check_parts: 0 is not a number from 1", id="no parts"),
        pytest.param({"prune_days": "weekly"}, "keeper_backup_prune_days: 'weekly'", id="no days"),
        pytest.param({"paths": ["etc"]}, 'keeper_backup_paths[0]: "etc"', id="relative path"),
    ],
)
def test_what_cannot_work_is_refused_by_name_and_shows_no_secret(changed, message):
    (found,) = backups.problems({**BACKUP, **changed})
    assert found.startswith(message)
    assert "short" not in found and "line break" not in found


def test_images_of_mirrors_are_backed_up_only_where_that_is_asked():
    assert [one["included"] for one in backups.settings_of(BACKUP, KEPT)["instances"]] == [True, False]
    assert [one["included"] for one in backups.settings_of({**BACKUP, "mirrors": "yes"}, KEPT)["instances"]] == [True, True]


def test_secrets_are_roots_and_never_shown():
    files = {one["path"]: one for one in backups.files({**BACKUP, "environment": {"AWS_SECRET_ACCESS_KEY": "hidden"}}, KEPT)}
    for name in ("password", "environment", "settings.json"):
        one = files[f"{backups.DIRECTORY}/{name}"]
        assert (one["mode"], one["secret"], one.get("owner", "root")) == ("0600", True, "root")
    assert files[f"{backups.DIRECTORY}/environment"]["content"] == "AWS_SECRET_ACCESS_KEY=hidden\n"
    assert files[f"{backups.DIRECTORY}/password"]["keep"], "a password made anew would not open the repository"


def resolved(**changed):
    settings = {"keeper_state": "present", "keeper_instances": [{"name": "registry"}], "keeper_redis_address": "", "keeper_redis_password": ""}
    return keepers({**settings, "keeper_access_log": "", "keeper_retention": []}, [], {}, {**BACKUP, **changed})


def test_without_a_repository_there_is_no_backup_and_its_secrets_go():
    found = resolved(repository="")
    assert not [one for one in found["files"] if "backup" in one["path"] and "/registry_keeper/" not in one["path"]]
    assert found["services"] == []
    assert f"{backups.DIRECTORY}/password" in found["absent"]
    assert "/etc/systemd/system/registry-keeper-backup.service" in found["absent"]
    # It is stopped first, by the module services.
    assert "/etc/systemd/system/registry-keeper-backup.timer" not in found["absent"]


def test_the_role_fails_where_its_check_has_let_through_what_is_wrong():
    """Otherwise it would remove the backup, and everything would seem right."""
    with pytest.raises(AnsibleFilterError, match=r"^keeper_backup_paths\[0\]: "):
        resolved(paths=["relative"])


def test_with_one_it_has_a_timer_and_units():
    found = resolved()
    assert found["services"] == [{"name": "registry-keeper-backup.timer"}]
    assert not any(path.startswith(f"{backups.DIRECTORY}/") for path in found["absent"])
    assert {"/srv/backup", backups.DIRECTORY} <= {one["path"] for one in found["directories"]}
    units = {one["path"] for one in found["files"] if one["path"].startswith("/etc/systemd/system/")}
    assert units == {f"/etc/systemd/system/registry-keeper-{name}" for name in ("backup.service", "backup.timer", "repair.service")}


def test_without_a_schedule_only_a_person_makes_backups():
    found = resolved(schedule="")
    assert found["services"] == []
    assert not [one for one in found["files"] if one["path"].endswith("backup.timer")]
