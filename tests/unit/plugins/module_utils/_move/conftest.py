# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pathlib
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._move import files, keeper, store
from ansible_collections.holdfast.registry.plugins.module_utils._s3 import client
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._move.moving import Directory, Lab
from ansible_collections.holdfast.registry.tests.unit.plugins.modules.object_store import FakeStore


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_PAUSES", (0.01, 0.02))
    monkeypatch.setattr(store, "PART", 50_000)
    monkeypatch.setattr(store, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(keeper, "_PAUSE", 0.01)
    monkeypatch.setattr(files.Files, "settle", lambda _self: None)


@pytest.fixture
def lab(tmp_path: pathlib.Path) -> t.Iterator[Lab]:
    with FakeStore().serving() as served:
        yield Lab(Directory(tmp_path / "files"), served, tmp_path)
