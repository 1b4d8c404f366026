# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Every row of check_mode_rows.py: what check mode says is what the run then does, and a second run does nothing."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import grp
import importlib
import json
import os
import pwd
import re
import stat
from datetime import timedelta

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("bcrypt")

from ansible.module_utils import basic
from ansible_collections.holdfast.registry.plugins.module_utils import _module
from ansible_collections.holdfast.registry.plugins.module_utils._apt import source as apt_source
from ansible_collections.holdfast.registry.plugins.module_utils._docker import login as registry_login
from ansible_collections.holdfast.registry.plugins.module_utils._docker import remembered
from ansible_collections.holdfast.registry.plugins.module_utils._host import group as group_members_logic
from ansible_collections.holdfast.registry.plugins.module_utils._s3 import stores as object_stores
from ansible_collections.holdfast.registry.plugins.module_utils._trust import system as system_trust
from ansible_collections.holdfast.registry.plugins.modules import group_members, signature_policy
from ansible_collections.holdfast.registry.plugins.modules import registry_login as registry_login_module
from ansible_collections.holdfast.registry.tests.unit.plugins.modules import check_mode_rows

ROWS = check_mode_rows.ROWS
NOW = _module.current_time()
# Random by nature, so replaced by a placeholder before check mode and run are compared, in the results of these modules only.
MAKES_KEYS_OR_SIGNS = ("ca", "certificate_request", "certificate_sign", "certificate_revoke")
# The arguments, what Ansible adds about the file named path as it is just now, and the name of a backup, which holds the time it was made.
NOT_COMPARED = ("invocation", "owner", "group", "mode", "uid", "gid", "size", "state", "secontext", "backup_file")
RANDOM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?-----END [A-Z0-9 ]+-----(?:\\n)?|\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b")


class Host:
    """A host of its own for each row: a directory, a day, a way to run modules, and servers that run until the row's end."""

    def __init__(self, path, run, servers):
        self.path, self.day, self._run, self.servers = path, 0, run, servers

    def run(self, name, /, check=False, **arguments):
        module = importlib.import_module(f"ansible_collections.holdfast.registry.plugins.modules.{name}")
        return self._run(module, check, NOW + timedelta(days=self.day), **arguments)

    def done(self, name, /, **arguments):
        """The result of a run that has to succeed."""
        result = self.run(name, **arguments)
        assert not result.get("failed"), result
        return result

    def write(self, name, content, mode=0o640):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(mode)

    def identities(self):
        """Which files and directories there are, and when each was written last."""
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns) for path in [self.path, *self.path.rglob("*")]}

    def state(self):
        """What anybody can see of the files and directories, locks left out."""
        found = {}
        for path in self.path.rglob("*"):
            status = path.lstat()
            if stat.S_ISLNK(status.st_mode):
                found[str(path)] = os.readlink(path)
            elif path.suffix != ".lock":
                found[str(path)] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, path.read_bytes() if path.is_file() else None)
        return found


@pytest.fixture
def host(run, tmp_path, monkeypatch):
    account = pwd.struct_passwd(("alice", "x", os.geteuid(), os.getegid(), "", str(tmp_path), "/bin/sh"))
    monkeypatch.setattr(registry_login.pwd, "getpwnam", {"alice": account}.__getitem__)
    monkeypatch.setattr(
        group_members_logic.grp,
        "getgrnam",
        lambda name: grp.struct_group((name, "x", 990, [path.name for path in (tmp_path / "group").iterdir()])),
    )
    for module in (group_members, registry_login_module, signature_policy, object_stores):
        monkeypatch.setattr(module, "STATE", str(tmp_path / "state"))
    real = system_trust.SystemStore.of_this_host

    def of_this_host(anchors):
        paths = {"bundle": str(tmp_path / "certs/ca-certificates.crt"), "hashes": str(tmp_path / "certs"), "command": str(tmp_path / "update")}
        return dataclasses.replace(real(anchors), **paths)

    monkeypatch.setattr(system_trust.SystemStore, "of_this_host", of_this_host)
    # What modules remember is no part of what a run changes. A row may have programs of its own.
    for module in (apt_source, remembered):
        monkeypatch.setattr(module, "STATE", str(tmp_path.with_name(f"{tmp_path.name}-state")))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    warnings = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, warning: warnings.append(warning))
    monkeypatch.setattr(basic.AnsibleModule, "log", lambda *_args, **_keywords: None)

    def run_at(module, check, now, **arguments):
        warnings.clear()
        monkeypatch.setattr(_module, "current_time", lambda: now)
        result = run(module, check, **arguments)
        return {**{key: value for key, value in result.items() if key not in NOT_COMPARED}, "warnings": sorted(warnings)}

    with contextlib.ExitStack() as servers:
        yield Host(tmp_path, run_at, servers)


def comparable(row, result):
    text = json.dumps(result, sort_keys=True)
    return json.loads(RANDOM.sub("<random>", text) if row.module in MAKES_KEYS_OR_SIGNS else text)


def assert_no_secret(result):
    text = json.dumps(result)
    assert not [secret for secret in check_mode_rows.SECRETS if secret in text]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.module}: {row.title}")
def test_check_mode_says_what_the_run_does_and_a_second_run_does_nothing(host, row):
    arguments = row.prepare(host)
    identities, before = host.identities(), host.state()
    predicted = host.run(row.module, check=True, **arguments)
    assert host.identities() == identities
    real = host.run(row.module, **arguments)
    assert comparable(row, predicted) == comparable(row, real)
    assert_no_secret(predicted)
    assert_no_secret(real)
    assert row.says in json.dumps({**real, "diff": None})
    after = host.state()
    if real.get("failed"):
        assert row.refused
        assert after == before
        return
    assert not row.refused
    assert real["changed"] is (after != before)
    if row.repeats:
        return
    second = host.run(row.module, **arguments)
    assert_no_secret(second)
    assert second["changed"] is False
    assert host.state() == after
    for shown in second["diff"] if isinstance(second["diff"], list) else [second["diff"]]:
        assert shown.get("before") == shown.get("after")


def test_the_table_has_at_least_60_rows_with_different_titles_and_all_changing_modules():
    counted = collections.Counter(row.module for row in ROWS)
    assert len({(row.module, row.title) for row in ROWS}) == len(ROWS) >= 60
    modules = {path.stem for path in check_mode_rows.MODULES.glob("*.py")}
    # files, registry_release and registry_client have the same test in test_sent_files.py, test_releases.py and test_registry_client_module.py,
    # packages and services change a whole host, the others nothing.
    elsewhere = {"files", "registry_client", "registry_release", "packages", "services", "free_ports", "check_settings"}
    assert set(counted) == {name for name in modules - elsewhere if not name.endswith("_info")}
