# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When tags were pushed comes along: a rule of the keeper such as keep_newest would remove the wrong ones otherwise."""

from __future__ import annotations

import os
import pathlib
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._move import files, store
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._move.moving import IN_STORE, ROOT, Lab
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._move.programs import registry_keeper

YESTERDAY, LONG_AGO = 1_700_086_400.25, 1_600_000_000.0


def tag(name: str) -> str:
    return f"repositories/team/app/_manifests/tags/{name}/current/link"


def pushed(lab: Lab, name: str, when: float, layer: bytes = b"a layer") -> None:
    lab.directory.image("team/app", name, layer)
    os.utime(lab.directory.root / tag(name), (when, when))


def in_store(lab: Lab, name: str) -> float:
    return float(dict(lab.store.objects[f"{IN_STORE}/{tag(name)}"].meta)[store.PUSHED])


def in_files(directory: pathlib.Path, name: str) -> float:
    return (directory / ROOT / tag(name)).stat().st_mtime


def test_it_is_noted_in_a_store_and_is_the_time_of_a_file_again(lab: Lab) -> None:
    pushed(lab, "1", YESTERDAY)
    pushed(lab, "2", LONG_AGO)
    lab.move()
    assert [in_store(lab, "1"), in_store(lab, "2")] == [YESTERDAY, LONG_AGO]
    lab.move(back=True, directory=lab.tmp / "other")
    assert [in_files(lab.tmp / "other", "1"), in_files(lab.tmp / "other", "2")] == [YESTERDAY, LONG_AGO]


def test_only_tags_have_a_note(lab: Lab) -> None:
    pushed(lab, "1", YESTERDAY)
    lab.move()
    assert [key for key, one in lab.store.objects.items() if one.meta] == [f"{IN_STORE}/{tag('1')}"]


def test_a_tag_that_the_registry_pushed_into_a_store_has_the_time_of_its_object(lab: Lab) -> None:
    pushed(lab, "1", YESTERDAY)
    lab.move()
    key = f"{IN_STORE}/{tag('1')}"
    lab.store.objects[key] = lab.store.objects[key]._replace(meta=(), at=lab.store.objects[key].at - 5000)
    lab.move(back=True, directory=lab.tmp / "other")
    assert lab.directory.path.stat().st_mtime - in_files(lab.tmp / "other", "1") == pytest.approx(5000, abs=60)


def test_a_tag_that_is_pushed_again_with_the_same_image_is_newer_then(lab: Lab) -> None:
    pushed(lab, "1", LONG_AGO)
    lab.move("copy")
    pushed(lab, "1", YESTERDAY)
    lab.move()
    assert in_store(lab, "1") == YESTERDAY
    assert lab.move()["links"] == 0


def test_a_tag_that_goes_while_it_is_copied_ends_no_copy(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed(lab, "1", YESTERDAY)

    def gone(_self: files.Files, path: str) -> t.NoReturn:
        raise files.Gone(path)

    monkeypatch.setattr(files.Files, "pushed", gone)
    lab.move("copy")
    assert lab.stored() == lab.directory.contents()


def test_the_keeper_reads_what_is_written(lab: Lab) -> None:
    pushed(lab, "1", YESTERDAY)
    pushed(lab, "2", LONG_AGO, b"another layer")
    lab.move()
    objects = registry_keeper("s3.objects").Objects(lab.keepers_client())
    listing = registry_keeper("s3.listing").Listing.whole(objects)
    found = {name: listing.pushed(f"{ROOT}/{tag(name)}") for name in listing.get("team/app").tags}
    assert found == {"1": YESTERDAY, "2": LONG_AGO}
