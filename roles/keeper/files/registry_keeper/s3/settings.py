# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The section `s3` of the settings: which store has the images, and who asks.

The key is not in the settings, but where the registry has it: in a file of root's that systemd reads for the registry and for the keeper.
"""

from __future__ import annotations

import os
import re
import typing as t

from registry_keeper.errors import USAGE, KeeperError
from registry_keeper.s3.client import Bucket, Client
from registry_keeper.s3.objects import Objects
from registry_keeper.s3.signing import Credentials
from registry_keeper.settings import Settings, section, text, true_or_false

_NAMES = {"access_key": "REGISTRY_STORAGE_S3_ACCESSKEY", "secret_key": "REGISTRY_STORAGE_S3_SECRETKEY"}
_ON_THIS_HOST = r"http://(127\.0\.0\.1|localhost)(:\d+)?"


def options(settings: Settings) -> dict[str, t.Any]:
    """The section with its defaults. Raises KeeperError, by name."""
    return section(settings.s3, "s3", store_settings())


def store_settings() -> dict[str, t.Any]:
    """What a section has to say of a store."""
    return {
        "endpoint": text(rf"https://[^/]+|{_ON_THIS_HOST}"),
        "bucket": text(r"[a-z0-9][a-z0-9.-]+"),
        "prefix": text(r"|[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", ""),
        "region": text(default="us-east-1"),
        "ca_file": text(r"|/.*", ""),
        "path_style": (true_or_false, True),
        "encrypt": (true_or_false, False),
        "key_id": text(r".*", ""),
        "environment": text(r"|/.*", ""),
    }


def read_key(settings: Settings) -> None:
    """Put the key into the environment from its file, which only root can read. Raises KeeperError."""
    read_names(options(settings)["environment"], _NAMES)


def read_names(path: str, names: t.Mapping[str, str]) -> None:
    """Put a store's key into the environment, unless it is there. Raises KeeperError."""
    if not path or all(name in os.environ for name in names.values()):
        return
    try:
        with open(path, encoding="utf-8") as file:
            found = dict(re.findall(r"^([A-Z0-9_]+)=(.*)$", file.read(), re.MULTILINE))
    except OSError as error:
        raise KeeperError(f"{path}: {error.strerror}; it has the key of the store", USAGE) from error
    os.environ.update({name: found[name] for name in names.values() if name in found})


def objects_of(settings: Settings) -> Objects:
    """The registry's objects. Raises KeeperError where the settings or the key are not right."""
    return Objects(client_of(options(settings), _NAMES))


def client_of(known: t.Mapping[str, t.Any], names: t.Mapping[str, str]) -> Client:
    """Who asks a store that a section names. names are the key's in the environment. Raises KeeperError where it is not there."""
    missing = [name for name in names.values() if not os.environ.get(name)]
    if missing:
        raise KeeperError(
            f"the key of the store is not known: {', '.join(missing)} in the environment, or in {known['environment'] or 's3.environment'}", USAGE
        )
    # The registry reads the values as YAML, in which they are quoted, as they are for systemd.
    credentials = Credentials(**{key: os.environ[name].strip("\"'") for key, name in names.items()}, region=known["region"])
    encryption: dict[str, str] = {}
    if known["encrypt"]:
        encryption["x-amz-server-side-encryption"] = "aws:kms" if known["key_id"] else "AES256"
        if known["key_id"]:
            encryption["x-amz-server-side-encryption-aws-kms-key-id"] = known["key_id"]
    prefix = f"{known['prefix']}/" if known["prefix"] else ""
    return Client(Bucket(known["endpoint"], known["bucket"], prefix, credentials, known["ca_file"], known["path_style"], encryption))
