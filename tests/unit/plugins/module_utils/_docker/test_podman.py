# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each order of files means was seen with podman 5.4 and skopeo 1.18."""

from __future__ import annotations

import os
import pathlib
import pwd
import time

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._docker import podman
from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login

LOGIN = Login("logins[0]", "alice", "a.test", username="alice", password="correct-horse", client="podman")
OTHER = 'credential-helpers = ["secretservice"]\n'
BOTH = 'credential-helpers = ["secretservice", "containers-auth.json"]\n'
NOTHING = 'unqualified-search-registries = ["docker.io"]\n'
MAIN, SYSTEM_A, SYSTEM_B = "etc/registries.conf", "etc/registries.conf.d/a.conf", "etc/registries.conf.d/b.conf"
OWN, OWN_0 = "alice/.config/containers/registries.conf", "alice/.config/containers/registries.conf.d/0.conf"


def said(path: pathlib.Path, *logins: Login) -> list[str]:
    account = pwd.struct_passwd(("alice", "x", os.geteuid(), os.getegid(), "", str(path / "alice"), "/bin/sh"))
    return podman.unused(account, logins or [LOGIN])


@pytest.fixture(autouse=True)
def system(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "SYSTEM", str(tmp_path / "etc"))


def write(path: pathlib.Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(content)


@pytest.mark.parametrize(
    ("files", "place"),
    [
        ({MAIN: OTHER}, MAIN),
        ({SYSTEM_A: OTHER}, SYSTEM_A),
        ({MAIN: NOTHING, SYSTEM_A: OTHER, SYSTEM_B: NOTHING}, SYSTEM_A),
        ({SYSTEM_A: BOTH, SYSTEM_B: OTHER}, SYSTEM_B),
        ({OWN: OTHER}, OWN),
        ({SYSTEM_A: BOTH, OWN_0: OTHER}, OWN_0),
        ({OWN: BOTH, OWN_0: OTHER}, OWN_0),
        ({SYSTEM_A: OTHER, SYSTEM_B: "not = = TOML"}, SYSTEM_A),
    ],
)
def test_credential_helpers_that_leave_the_file_out_are_a_warning_that_names_where_they_are(tmp_path: pathlib.Path, files: dict[str, str], place: str) -> None:
    write(tmp_path, files)
    (line,) = said(tmp_path)
    assert line == (
        f"logins[0]: podman does not read {tmp_path}/alice/.config/containers/auth.json, where the credentials of a.test are: "
        f"credential-helpers in {tmp_path / place} does not name containers-auth.json; add it there"
    )


@pytest.mark.parametrize(
    "files",
    [
        {},
        {MAIN: NOTHING},
        {MAIN: BOTH},
        {SYSTEM_A: OTHER, SYSTEM_B: "credential-helpers = []\n"},
        {SYSTEM_A: OTHER, SYSTEM_B: BOTH},
        {SYSTEM_A: OTHER, OWN_0: BOTH},
        {MAIN: OTHER, SYSTEM_A: OTHER, OWN: NOTHING},
        {"etc/registries.conf.d/a.conf.bak": OTHER},
    ],
)
def test_others_are_none(tmp_path: pathlib.Path, files: dict[str, str]) -> None:
    write(tmp_path, files)
    assert said(tmp_path) == []


def test_a_configuration_that_is_linked_is_read(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {"alice/dotfiles/registries.conf": OTHER, "alice/.config/containers/nothing": ""})
    (tmp_path / OWN).symlink_to(tmp_path / "alice/dotfiles/registries.conf")
    assert len(said(tmp_path)) == 1


def test_only_logins_of_podman_that_are_to_be_there_are_named(tmp_path: pathlib.Path) -> None:
    write(tmp_path, {MAIN: OTHER})
    assert said(tmp_path, Login("logins[0]", "alice", "a.test"), Login("logins[1]", "alice", "b.test", present=False, client="podman")) == []


@pytest.mark.parametrize("name", ["registries.conf", "auth.json"])
@pytest.mark.parametrize(
    "content",
    [None, b"[" * 100000, b"a = " + b"[" * 100000, b"# a comment\n" * 2000000, b"".join(b"[t%d]\n" % number for number in range(80000))],
    ids=["pipe", "deep", "deep-toml", "huge", "many-tables"],
)
def test_no_file_of_the_user_keeps_the_run_waiting(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None) -> None:
    monkeypatch.setattr(podman, "VOLATILE", str(tmp_path / "run"))
    path = tmp_path / "alice/.config/containers" / name if name == "registries.conf" else tmp_path / f"run/user/{os.geteuid()}/containers" / name
    path.parent.mkdir(parents=True)
    if content is None:
        os.mkfifo(path)
    else:
        path.write_bytes(content)
    started = time.monotonic()
    assert said(tmp_path) == []
    assert time.monotonic() - started < 20


def test_a_file_that_goes_while_it_is_looked_at_keeps_nobody_from_a_login(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(podman, "VOLATILE", str(tmp_path / "run"))
    name, look = f"run/user/{os.geteuid()}/containers/auth.json", os.stat
    path = tmp_path / name
    write(tmp_path, {name: OTHER})

    def once(what: str, **more: bool) -> os.stat_result:
        status = look(what, **more)
        if what == str(path):
            path.unlink()
        return status

    monkeypatch.setattr(os, "stat", once)
    assert said(tmp_path) == []
    monkeypatch.undo()
    assert not path.exists()
