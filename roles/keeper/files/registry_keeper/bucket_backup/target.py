# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The section `bucket_backup` of the settings: in which other bucket the backup of the images is, and which backups stay there."""

from __future__ import annotations

import typing as t

from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.s3.client import canonical
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.settings import client_of, options, read_names, store_settings
from registry_keeper.settings import Settings, number, section

NAMES = {"access_key": "REGISTRY_KEEPER_BACKUP_ACCESSKEY", "secret_key": "REGISTRY_KEEPER_BACKUP_SECRETKEY"}
KEEP = ("last", "hourly", "daily", "weekly", "monthly", "yearly")
_SECTION = "bucket_backup"


def target_options(settings: Settings) -> dict[str, t.Any]:
    """The section with its defaults. Raises KeeperError, by name."""
    if not settings.s3:
        raise KeeperError(f"the images of {settings.instance} are in files; `registry-keeper backup` and `restore` are for these", USAGE)
    if not settings.bucket_backup:
        raise KeeperError(f"no backup of the bucket of {settings.instance} is set up (keeper_bucket_backup)", USAGE)
    known = {**store_settings(), "keep": (_keep, {"last": 3, "daily": 14, "weekly": 8, "monthly": 12})}
    known.update(check_days=number(0, default=7), check_parts=number(1, 1000, default=20))
    found = section(settings.bucket_backup, _SECTION, known)
    source = options(settings)
    if (canonical(found["endpoint"]), found["bucket"]) == (canonical(source["endpoint"]), source["bucket"]):
        raise KeeperError(f"{_SECTION}.bucket: is the bucket of the images, and a backup in it is lost with it", USAGE)
    return found


def _keep(value: t.Any) -> dict[str, int]:
    found = section(value, f"{_SECTION}.keep", {name: number(0, default=0) for name in KEEP})
    kept = {name: int(count) for name, count in found.items() if count}
    if not kept:
        raise KeeperError(f"{_SECTION}.keep: set at least one of {', '.join(KEEP)} to more than 0", USAGE)
    return kept


def prepare(settings: Settings) -> None:
    """Put the key of the backup into the environment from its file, which only root can read. Raises KeeperError."""
    read_names(target_options(settings)["environment"], NAMES)


def target_of(settings: Settings) -> Objects:
    """The objects of the backup. Raises KeeperError where the settings or the key are not right."""
    return Objects(client_of(target_options(settings), NAMES))
