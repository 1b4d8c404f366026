# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of images that are in an S3 store: what keeper_bucket_backup of role keeper says, checked, with its files and settings."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.plugin_utils import backups, object_stores
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import as_number

SETTING = "keeper_bucket_backup"
ENVIRONMENT = "/etc/registry-keeper/bucket-backup.env"
CA = "/etc/registry-keeper/bucket-backup-ca.crt"
# What only the store of a registry has.
_NOT_HERE = ("chunk_mb", "redirect", "probe")


def problems(written: t.Any, backup: t.Mapping[str, t.Any], kept: t.Sequence[t.Mapping[str, t.Any]]) -> list[str]:
    """What is wrong with it. backup has the variables keeper_backup_... without that; kept are the instances of the role."""
    if not written:
        return []
    store, found = object_stores.parse(written, SETTING)
    if store is None:
        return found or [f"{SETTING}: has no key s3, which says in which bucket the backup is to be"]
    given = written["s3"]
    found += [f"{SETTING}.s3.{key}: has no effect on a backup; leave it out" for key in _NOT_HERE if given.get(key) is not None]
    in_stores = [one for one in kept if one["store"]]
    if not in_stores:
        found.append(f"{SETTING}: no instance of keeper_instances has its images in an S3 store; keeper_backup_repository is for images in files")
    for one in in_stores:
        if object_stores.bucket_of(one["store"]) == object_stores.bucket_of(store):
            found.append(f"{SETTING}.s3.bucket: is the bucket with the images of instance {one['name']}, and a backup in it is lost with it; give another")
    found += backups.keep_problems(backup["keep"])
    return found + backups.number_problems(backup, ("check_days", "check_parts"))


def section_of(written: t.Any, backup: t.Mapping[str, t.Any], name: str) -> dict[str, t.Any]:
    """What the program has to know for an instance: not the key, which is in a file of its own."""
    store = object_stores.parse(written, SETTING)[0] or {}
    known = {key: store[key] for key in ("endpoint", "bucket", "region", "path_style", "encrypt", "key_id")}
    return {
        **known,
        "prefix": "/".join(part for part in (store["prefix"], name) if part),
        "ca_file": CA if store["ca_certificate"] else "",
        "environment": ENVIRONMENT,
        "keep": {rule: as_number(value) for rule, value in backup["keep"].items()},
        **{key: as_number(backup[key]) for key in ("check_days", "check_parts")},
    }


def files(written: t.Any) -> list[dict[str, t.Any]]:
    """The key, and the CA of the store, as the module files takes them."""
    store = object_stores.parse(written, SETTING)[0] if written else None
    if store is None:
        return []
    lines = "".join(f"REGISTRY_KEEPER_BACKUP_{key.upper().replace('_', '')}={store[key]}\n" for key in object_stores.SECRETS)
    found = [{"content": lines, "path": ENVIRONMENT, "mode": "0600", "secret": True}]
    return [*found, *([{"content": store["ca_certificate"].rstrip("\n") + "\n", "path": CA}] if store["ca_certificate"] else [])]


def absent(written: t.Any) -> list[str]:
    """What is to be removed: of the backup that is not made any more. What is in the other bucket stays."""
    there = {str(one["path"]) for one in files(written)}
    return [path for path in (ENVIRONMENT, CA) if path not in there]
