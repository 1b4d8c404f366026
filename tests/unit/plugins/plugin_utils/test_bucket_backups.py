# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The backup of a bucket as the role's variables describe it."""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.holdfast.registry.plugins.filter.keepers import keepers
from ansible_collections.holdfast.registry.plugins.plugin_utils import bucket_backups

sys.path.insert(0, str(pathlib.Path(__file__).parents[4] / "roles/keeper/files"))
from registry_keeper import settings as program
from registry_keeper.backup import backup
from registry_keeper.backup import settings as backup_settings
from registry_keeper.bucket_backup import target

PEM = "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"
STORE = {"endpoint": "https://store.example.org", "bucket": "registry", "access_key": "one", "secret_key": "hidden"}
OTHER = {"endpoint": "https://other.example.org", "bucket": "backup", "access_key": "two", "secret_key": "hidden2", "ca_certificate": PEM}
RULES = {"keep": {"last": "3"}, "check_days": "7", "check_parts": 20}
RESTIC = {"repository": "", "schedule": "", "password": "", "environment": {}, "prune_days": 7, "host": "h", "mirrors": False, "paths": []}
COMMANDS = [
    {"name": "collect", "schedule": "daily", "stores": True},
    {"name": "backup-bucket", "schedule": "daily", "stores": True, "files": False, "wanted": "True"},
]
INSTANCES = [{"name": "registry", "storage": {"s3": STORE}}, {"name": "plain"}]


def resolve(bucket=None, instances=None, **changed):
    settings = {
        "keeper_state": "present",
        "keeper_instances": INSTANCES if instances is None else instances,
        "keeper_redis_address": "",
        "keeper_redis_password": "",
        "keeper_access_log": "",
        "keeper_retention": [],
        "keeper_bucket_backup": bucket or {},
    }
    return keepers(settings, COMMANDS, {}, {**RESTIC, "configuration_paths": [], **RULES, **changed})


def file(found, path):
    return next((one for one in found["files"] if one["path"] == path), None)


def test_the_program_takes_the_section_and_the_key_is_only_in_a_file_of_root():
    found = resolve({"s3": {**OTHER, "prefix": "of/here"}})
    written = file(found, "/etc/registry-keeper/registry.json")["content"]
    known = target.target_options(program.parse(json.loads(json.dumps(written))))
    assert (known["bucket"], known["prefix"], known["keep"], known["ca_file"]) == ("backup", "of/here/registry", {"last": 3}, bucket_backups.CA)
    assert "hidden2" not in json.dumps([one for one in found["files"] if one["path"] != bucket_backups.ENVIRONMENT])
    key = file(found, bucket_backups.ENVIRONMENT)
    assert key == {
        "content": "REGISTRY_KEEPER_BACKUP_ACCESSKEY=two\nREGISTRY_KEEPER_BACKUP_SECRETKEY=hidden2\n",
        "path": bucket_backups.ENVIRONMENT,
        "mode": "0600",
        "secret": True,
    }
    assert set(target.NAMES.values()) == {line.partition("=")[0] for line in key["content"].splitlines()}


def test_only_instances_in_a_store_have_it():
    found = resolve({"s3": OTHER})
    assert "bucket_backup" not in file(found, "/etc/registry-keeper/plain.json")["content"]
    timers = [one["name"] for one in found["services"]]
    assert "registry-keeper-backup-bucket@registry.timer" in timers and "registry-keeper-backup-bucket@plain.timer" not in timers


def test_without_it_nothing_of_it_is_left():
    found = resolve()
    assert {bucket_backups.ENVIRONMENT, bucket_backups.CA} <= set(found["absent"])
    assert "bucket_backup" not in file(found, "/etc/registry-keeper/registry.json")["content"]
    assert bucket_backups.CA in resolve({"s3": {**OTHER, "ca_certificate": ""}})["absent"]


def test_restic_has_the_files_of_a_host_whose_images_are_in_a_store_and_its_status_tells_so(tmp_path):
    found = resolve(repository="/srv/backup", password="a password of some length", instances=INSTANCES[:1])
    written = file(found, "/etc/registry-keeper/backup/settings.json")["content"]
    (tmp_path / "settings.json").write_text(json.dumps(written))
    known = backup_settings.load(str(tmp_path))
    assert known.instances == () and [one.storage for one in known.told] == ["/var/lib/registry-keeper/registry"]
    assert "/var/lib/registry-keeper/registry/keeper" in [one["path"] for one in found["directories"]]
    (tmp_path / "keeper").mkdir()
    (tmp_path / "settings.json").write_text(json.dumps({**written, "state": str(tmp_path), "told": [{"name": "registry", "storage": str(tmp_path)}]}))
    backup.publish(argparse.Namespace(list=False, check=False, backup_settings=str(tmp_path)), {"exit_status": 1})
    assert json.loads((tmp_path / "keeper/status/backup.json").read_text()) == {"exit_status": 1}


@pytest.mark.parametrize(
    ("bucket", "instances", "rules", "message"),
    [
        pytest.param({"s4": {}}, INSTANCES, {}, "keeper_bucket_backup.s4: is no key of it", id="misspelt"),
        pytest.param({"s3": None}, INSTANCES, {}, "keeper_bucket_backup: has no key s3", id="empty"),
        pytest.param({"s3": {**OTHER, "bucket": None}}, INSTANCES, {}, "keeper_bucket_backup.s3.bucket: is missing", id="no bucket"),
        pytest.param({"s3": {**OTHER, "endpoint": "http://x"}}, INSTANCES, {}, "keeper_bucket_backup.s3.endpoint: ", id="no TLS"),
        pytest.param({"s3": {**OTHER, "redirect": True}}, INSTANCES, {}, "keeper_bucket_backup.s3.redirect: has no effect", id="no effect"),
        pytest.param(
            {"s3": {**STORE, "prefix": "x"}}, INSTANCES, {}, "keeper_bucket_backup.s3.bucket: is the bucket with the images of inst", id="same bucket"
        ),
        pytest.param(
            {"s3": {**STORE, "endpoint": "https://Store.example.org:443"}},
            INSTANCES,
            {},
            "keeper_bucket_backup.s3.bucket: is the bucket with the images of inst",
            id="same bucket, written otherwise",
        ),
        pytest.param({"s3": OTHER}, [{"name": "plain"}], {}, "keeper_bucket_backup: no instance of keeper_instances has its images in an S3", id="files"),
        pytest.param({"s3": OTHER}, INSTANCES, {"keep": {"last": 0}}, "keeper_backup_keep: set at least one", id="keeps none"),
        pytest.param({"s3": OTHER}, INSTANCES, {"check_parts": 0}, "keeper_backup_check_parts: 0 is not a number from 1", id="no parts"),
    ],
)
def test_what_cannot_work_is_named_and_no_secret_shown(bucket, instances, rules, message):
    kept = [{"name": one["name"], "store": one.get("storage", {}).get("s3")} for one in instances]
    (problem,) = bucket_backups.problems(bucket, {**RULES, **rules}, kept)
    assert problem.startswith(message) and "hidden" not in problem
    with pytest.raises(AnsibleFilterError, match=re.escape(message)):
        resolve(bucket, instances, **rules)
