# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of images: from where a host's configuration says that they are to where the settings say that they belong."""

from __future__ import annotations

import hashlib
import os
import re
import typing as t

import yaml
from ansible_collections.holdfast.registry.plugins.plugin_utils import object_stores

_STATE = "/var/lib/holdfast-move"
_JOBS = "/run/holdfast-move"
# What the copy needs of a store, as the module object_store_probe takes it.
_STORE = ("endpoint", "region", "bucket", "prefix", "access_key", "secret_key", "ca_certificate", "path_style", "encrypt", "key_id")


def files_to_read(present: t.Iterable[t.Mapping[str, t.Any]]) -> list[str]:
    """The files of a host that say where the images of these instances are now. Two of them have secrets, or are not there."""
    return [path for instance in present for path in (instance["configuration"], *_store_files(instance))]


def _store_files(instance: t.Mapping[str, t.Any]) -> tuple[str, str]:
    """The files with the keys of an instance's store, and with its CA."""
    first = instance["unit"] == "docker-registry.service"
    beginning = f"{os.path.dirname(instance['configuration'])}/{'' if first else 'instance-' + instance['name'] + '-'}store"
    return f"{beginning}.env", f"{beginning}-ca.crt"


def elsewhere(present: t.Iterable[t.Mapping[str, t.Any]], lines: t.Iterable[str]) -> list[str]:
    """The names of instances whose images may be elsewhere than the settings say, at a glance: moves() tells for sure.

    A line has a word, the path of a configuration, and what that says of the place: the directory, or endpoint, bucket and prefix. A mirror
    fetches again what it does not have.
    """
    there = {path: " ".join(place).replace('"', "").rstrip() for _word, path, *place in map(str.split, lines)}
    return [one["name"] for one in present if not one["mirror"] and there.get(one["configuration"], _glance(one)) != _glance(one)]


def _glance(instance: t.Mapping[str, t.Any]) -> str:
    store = instance["store"]
    return " ".join(filter(None, (store["endpoint"], store["bucket"], store["prefix"]))) if store else str(instance["storage_directory"])


def moves(present: t.Sequence[t.Mapping[str, t.Any]], there: t.Mapping[str, str], over: bool = False) -> dict[str, t.Any]:
    """What has to be moved: moves, notes for people about what has not, problems, and the directories and files of the moves.

    there has the content of files_to_read() by their paths, as far as they are there. over: what others have written at a target may go.
    directories and files are as the module files takes them; files has secrets.
    """
    found: list[dict[str, t.Any]] = []
    notes: list[str] = []
    problems: list[str] = []
    directories: list[dict[str, t.Any]] = []
    files: list[dict[str, t.Any]] = []
    sources: dict[str, dict[str, t.Any]] = {}
    targets: dict[str, dict[str, t.Any]] = {}
    for instance in present:
        name, configuration = instance["name"], instance["configuration"]
        if instance["mirror"]:
            notes.append(f"{name}: is a mirror, which fetches again what it does not have; nothing is moved")
            continue
        if configuration not in there:
            notes.append(f"{name}: is not set up on this host yet, so it has no images")
            continue
        source, problem = _source(instance, there)
        if source is None:
            problems.append(f"{name}: {problem}")
            continue
        sources[name] = source
        target = _of_store(instance["store"]) if instance["store"] else {"directory": instance["storage_directory"].rstrip("/")}
        if _text(source) == _text(target):
            notes.append(f"{name}: its images are where the settings say, in {_text(target)}; nothing is moved")
        elif _overlap(source, target):
            problems.append(f"{name}: {_text(target)} is inside of {_text(source)}, or the other way round; give it a place of its own")
        else:
            job_file = f"{_JOBS}/{name}-{_shortened(source, target, over)}.json"
            found.append(
                {
                    **{key: instance[key] for key in ("name", "user", "group")},
                    "source": _text(source),
                    "target": _text(target),
                    # what is recorded of it once it is complete
                    "record": f"{name} {_text(target)}",
                    "told": f"{name}: its images are in {_text(source)}, and the settings say {_text(target)}",
                    "from_files": "directory" in source,
                    "directory": target.get("directory", ""),
                    "state": f"{_STATE}/{name}",
                    "job_file": job_file,
                    "unit": f"holdfast-move-{name}",
                }
            )
            owned = {"owner": instance["user"], "group": instance["group"]}
            directories += [{"path": path, "mode": "0750", **owned} for path in (f"{_STATE}/{name}", target.get("directory")) if path]
            job = {"source": source, "target": target, "state": f"{_STATE}/{name}", "over": over}
            # In memory: it is gone after a restart of the host.
            files.append({"path": job_file, "content": job, "mode": "0400", "secret": True, **owned})
            targets[name] = target
    for name, target in targets.items():
        for other, source in sources.items():
            if other != name and (_text(source) == _text(target) or _overlap(source, target)):
                problems.append(f"{name}: {_text(target)} has the images of {other}, or is inside of them, or they of it; give it a place of its own")
    return {"moves": found, "notes": notes, "problems": problems, "directories": directories, "files": files}


def _shortened(source: t.Mapping[str, t.Any], target: t.Mapping[str, t.Any], over: bool) -> str:
    """What tells a move from one of other settings. Everybody may see it, so it says nothing of the keys of a store."""
    return hashlib.sha256(f"{_text(source)} {_text(target)} {over}".encode()).hexdigest()[:12]


def _text(place: t.Mapping[str, t.Any]) -> str:
    return str(place.get("directory") or place["url"])


def _overlap(source: t.Mapping[str, t.Any], target: t.Mapping[str, t.Any]) -> bool:
    if "directory" not in source or "directory" not in target:
        return False
    one, other = f"{os.path.normpath(source['directory'])}/", f"{os.path.normpath(target['directory'])}/"
    return one.startswith(other) or other.startswith(one)


def _of_store(store: t.Mapping[str, t.Any]) -> dict[str, t.Any]:
    return {**{key: store[key] for key in _STORE}, "url": object_stores.url(store)}


def _source(instance: t.Mapping[str, t.Any], files: t.Mapping[str, str]) -> tuple[dict[str, t.Any] | None, str]:
    """Where the images are by the host's configuration; or what is wrong with it."""
    path = instance["configuration"]
    try:
        written = yaml.safe_load(files[path])
        storage = written["storage"]
        if "proxy" in written:
            return None, f"{path}: is a pull-through cache's, which fetches again what it does not have; remove what it has, and nothing has to be moved"
        if "filesystem" in storage:
            return {"directory": str(storage["filesystem"]["rootdirectory"]).rstrip("/")}, ""
        s3 = storage["s3"]
        environment, ca_file = _store_files(instance)
        store = {
            "endpoint": str(s3["regionendpoint"]).rstrip("/"),
            "region": str(s3["region"]),
            "bucket": str(s3["bucket"]),
            "prefix": str(s3.get("rootdirectory") or "").strip("/"),
            "access_key": _key("ACCESSKEY", files[environment]),
            "secret_key": _key("SECRETKEY", files[environment]),
            "ca_certificate": files.get(ca_file, ""),
            "path_style": bool(s3.get("forcepathstyle", True)),
            "encrypt": bool(s3.get("encrypt")),
            "key_id": str(s3.get("keyid") or ""),
        }
    except (yaml.YAMLError, KeyError, TypeError, ValueError):
        return None, f"{path}: says nothing of storage in files or in an S3 store that role registry has written, so nobody knows where its images are"
    return _of_store(store), ""


def _key(name: str, environment: str) -> str:
    """A key of a store, as role registry writes it. Raises ValueError."""
    found = re.search(rf"""^REGISTRY_STORAGE_S3_{name}='"([^'"]+)"'$""", environment, re.MULTILINE)
    if not found:
        raise ValueError(name)
    return found[1]
