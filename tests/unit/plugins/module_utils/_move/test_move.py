# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A move from files to a store and back: order, what is verified, what is refused, and what a killed run leaves."""

from __future__ import annotations

import os
import typing as t

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._move import files, main, progress, store, tree
from ansible_collections.holdfast.registry.plugins.module_utils._s3 import client
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._move.moving import IN_STORE, ROOT, Directory, Lab


def writes(lab: Lab) -> list[str]:
    """The paths that were written or removed since the last call, in that order."""
    asked = [line.partition(" ") for line in lab.store.asked]
    lab.store.asked.clear()
    return [f"{method} {path.partition(f'{ROOT}/')[2]}" for method, _space, path in asked if method in ("PUT", "DELETE")]


def test_everything_arrives_and_uploads_under_way_do_not(lab: Lab) -> None:
    lab.directory.image("team/app", "1", b"x" * 180_000)
    lab.directory.image("tags", "1")
    lab.directory.write("repositories/team/app/_uploads/1234/data", b"half")
    lab.directory.write("repositories/team/app/_uploads/1234/startedat", b"now")
    said = lab.move()
    expected = {path: content for path, content in lab.directory.contents().items() if "_uploads" not in path}
    assert lab.stored() == expected
    assert said["state"] == "complete"
    assert said["blobs"] == 4
    assert "2 repositories, 2 tags, 4 blobs" in said["line"]


def test_what_is_named_is_there_before_what_names_it(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.move()
    order = [
        "blob" if "blobs/" in path else "layer" if "_layers" in path else "revision" if "revisions" in path else "index" if "index" in path else "tag"
        for path in writes(lab)
    ]
    assert order == ["blob", "blob", "layer", "revision", "index", "tag"]


def test_blobs_that_no_link_names_stay_behind(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    unnamed = lab.directory.blob(b"a layer of an image that was deleted")
    lab.move()
    assert tree.blob_path(unnamed) not in lab.stored()


def test_what_was_verified_is_not_copied_again(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.move("copy")
    writes(lab)
    lab.directory.image("team/app", "2", b"another layer")
    said = lab.move()
    assert [said["blobs"], len(writes(lab))] == [2, 6]
    assert lab.stored() == lab.directory.contents()


def test_a_tag_that_moved_follows(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.move("copy")
    newer = lab.directory.image("team/app", "1", b"another layer")
    lab.move()
    assert lab.stored()["repositories/team/app/_manifests/tags/1/current/link"] == newer.encode()


def test_a_deleted_tag_goes_only_in_the_last_pass_and_nothing_else_does(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.directory.image("team/app", "old", b"another layer")
    lab.move("copy")
    lab.directory.remove_tag("team/app", "old")
    writes(lab)
    lab.move("copy")
    assert writes(lab) == []
    lab.move()
    assert [line.partition(" ")[0] for line in writes(lab)] == ["DELETE", "DELETE"]
    assert lab.stored() == lab.directory.contents()


def test_the_source_is_only_read(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    before = {path: path.stat().st_mtime_ns for path in lab.directory.path.rglob("*")}
    lab.move()
    assert {path: path.stat().st_mtime_ns for path in lab.directory.path.rglob("*")} == before
    objects = dict(lab.store.objects)
    lab.move(back=True, directory=lab.tmp / "back-in-files")
    assert lab.store.objects == objects


def test_a_list_that_may_lack_something_is_no_move(lab: Lab) -> None:
    for number in range(3):
        lab.directory.image("team/app", str(number), f"layer {number}".encode())
    lab.move()
    lab.store.page = 5
    lab.store.lies.add("one page only")
    said = lab.move(status=1, prefixes=("images", "elsewhere"))
    assert said["state"] == "failed" and "does not say whether it ends" in said["line"]
    lab.store.lies.clear()
    assert "3 tags" in lab.move(prefixes=("images", "elsewhere"))["line"]


def test_one_store_under_two_names_is_refused_before_a_tag_is_written_over(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.move()
    objects = dict(lab.store.objects)
    for phase, over in (("copy", False), ("finish", False), ("finish", True)):
        said = lab.move(phase, status=1, prefixes=("images", "images"), over=over)
        assert said["state"] == "failed" and "is the same place as" in said["line"] and "Remove neither" in said["line"]
    assert lab.store.objects == objects


def test_one_directory_under_two_names_is_refused(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    (lab.tmp / "link").symlink_to(lab.directory.path)
    (lab.tmp / "below").symlink_to(lab.directory.path / "docker")
    before = lab.directory.contents()
    for name in ("link", "below"):
        job = {"source": {"directory": str(lab.directory.path)}, "target": {"directory": str(lab.tmp / name)}, "state": str(lab.tmp / "state")}
        with pytest.raises(HoldfastError, match="is the same place as"):
            main.run(job, True, progress.Progress(str(lab.tmp / "progress.json")))
    assert lab.directory.contents() == before


def test_the_way_back_gives_the_same_files(lab: Lab) -> None:
    lab.directory.image("team/app", "1", b"x" * 180_000)
    lab.move()
    assert lab.move(back=True, directory=lab.tmp / "other")["blobs"] == 2
    assert Directory(lab.tmp / "other").contents() == lab.directory.contents()
    assert not (lab.tmp / "other/holdfast-move").exists()


def test_a_tag_deleted_in_the_store_is_no_directory_in_files(lab: Lab) -> None:
    """The registry lists the directories of tags."""
    lab.directory.image("team/app", "1")
    lab.directory.image("team/app", "old", b"another layer")
    lab.move()
    lab.move("copy", back=True, directory=lab.tmp / "other")
    for key in [key for key in lab.store.objects if "/tags/old/" in key]:
        del lab.store.objects[key]
    lab.move(back=True, directory=lab.tmp / "other")
    assert os.listdir(lab.tmp / "other" / ROOT / "repositories/team/app/_manifests/tags") == ["1"]


@pytest.mark.parametrize("content", [b"", b"a layeR", b"something longer"], ids=["empty", "same-size", "longer"])
def test_a_blob_damaged_at_the_target_is_found_and_copied_again(lab: Lab, content: bytes) -> None:
    lab.directory.image("team/app", "1")
    lab.move("copy")
    path = tree.blob_path(lab.directory.blob(b"a layer"))
    lab.put(path, content)
    assert lab.move()["blobs"] == 1
    assert lab.stored() == lab.directory.contents()


def test_a_blob_that_is_lost_at_the_target_is_copied_again(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.move("copy")
    del lab.store.objects[f"{IN_STORE}/{tree.blob_path(lab.directory.blob(b'a layer'))}"]
    assert lab.move()["blobs"] == 1


@pytest.mark.parametrize("kind", ["_layers", "revisions", "index", "current"])
def test_a_link_damaged_at_the_target_is_written_again(lab: Lab, kind: str) -> None:
    lab.directory.image("team/app", "1")
    lab.move("copy")
    path = next(path for path in lab.stored() if kind in path)
    lab.put(path, b"")
    assert lab.move()["links"] == 1
    assert lab.stored() == lab.directory.contents()


def test_a_blob_damaged_at_the_source_is_named_and_never_becomes_one_at_the_target(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    manifest = lab.directory.image("team/broken", "1", b"x" * 180_000)
    damaged = lab.directory.blob(b"x" * 180_000)
    lab.directory.write(tree.blob_path(damaged), b"x" * 179_999 + b"y")
    said = lab.move()
    assert said["left_out"] == [f"{damaged} is damaged in the source"]
    assert "left out 1" in said["line"]
    assert not [path for path in lab.stored() if damaged.partition(":")[2] in path]
    assert tree.blob_path(manifest) in lab.stored()
    assert lab.store.uploads == {}, "the upload was given up"


def test_links_that_lead_nowhere_are_named_and_left_out(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.directory.write("repositories/team/app/_manifests/tags/empty/current/link", b"")
    lost = f"sha256:{'0' * 64}"
    lab.directory.write(f"repositories/team/app/_layers/{lost.replace(':', '/')}/link", lost)
    said = lab.move()
    assert sorted(said["left_out"]) == ["repositories/team/app/_manifests/tags/empty/current/link has no digest in it", f"{lost} is not in the source"]
    assert not [path for path in lab.stored() if "empty" in path or "0000" in path]


def test_a_tag_whose_manifest_is_being_deleted_is_not_copied(lab: Lab) -> None:
    manifest = lab.directory.image("team/app", "1")
    (lab.directory.root / f"repositories/team/app/_manifests/revisions/{manifest.replace(':', '/')}/link").unlink()
    lab.move("copy")
    assert not [path for path in lab.stored() if "current" in path]


def test_an_interrupted_run_goes_on_and_what_it_wrote_is_its_own(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is ended before it has recorded the tag that it wrote, and the tag is deleted at the source before the next run."""
    lab.directory.image("team/app", "1")
    real = store.Store.content

    def ends(self: store.Store, path: str) -> tuple[bytes, str]:
        if "/tags/" in path:
            raise KeyboardInterrupt
        return real(self, path)

    monkeypatch.setattr(store.Store, "content", ends)
    with pytest.raises(KeyboardInterrupt):
        lab.move("copy")
    monkeypatch.setattr(store.Store, "content", real)
    lab.directory.remove_tag("team/app", "1")
    writes(lab)
    said = lab.move()
    assert [said["blobs"], said["links"]] == [0, 0]
    assert lab.stored() == lab.directory.contents()


def test_a_target_that_lost_its_record_is_read_and_not_written_again(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.move()
    (lab.tmp / "state-images/record").unlink()
    writes(lab)
    lab.move()
    assert [line for line in writes(lab) if "blobs" in line] == []


def test_a_target_with_images_of_another_registry_is_refused_before_anything_is_written(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    other = "repositories/other/_manifests/tags/1/current/link"
    lab.put(other, f"sha256:{'1' * 64}".encode())
    said = lab.move("copy", status=1)
    assert said["state"] == "failed"
    assert other in said["line"]
    assert "holdfast_migrate_over=true" in said["line"]
    assert writes(lab) == []


def test_a_target_where_somebody_pushes_is_refused(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.move("copy")
    lab.put("repositories/team/app/_manifests/tags/1/current/link", f"sha256:{'1' * 64}".encode())
    assert "is in use" in lab.move(status=1)["line"]
    assert lab.stored()["repositories/team/app/_manifests/tags/1/current/link"] == f"sha256:{'1' * 64}".encode()


def test_where_it_is_said_that_all_may_go_the_target_becomes_what_the_source_is(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.put("repositories/other/_manifests/tags/1/current/link", f"sha256:{'1' * 64}".encode())
    lab.put("repositories/team/app/_manifests/tags/1/current/link", f"sha256:{'1' * 64}".encode())
    lab.move(over=True)
    assert lab.stored() == lab.directory.contents()


def test_too_little_space_is_refused_before_anything_is_copied(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.directory.image("team/app", "1")
    lab.move()
    monkeypatch.setattr(files.os, "statvfs", lambda _path: os.statvfs_result((4096, 4096, 250_000, 250_000, 200_000, 1000, 1000, 1000, 0, 255)))
    said = lab.move(back=True, directory=lab.tmp / "other", status=1)
    assert "0.8 GB free" in said["line"]
    assert Directory(lab.tmp / "other").contents() == {}


def test_a_store_that_gives_something_else_than_it_took_is_an_error(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.directory.image("team/app", "1", b"x" * 180_000)
    lab.store.lies.add("lost parts")
    assert "cannot keep images" in lab.move(status=1)["line"]
    assert not [path for path in lab.stored() if path.startswith("repositories/")]


def test_a_store_that_is_away_for_a_moment_ends_nothing(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.store.lies.add("503 at first")
    lab.move()
    assert lab.stored() == lab.directory.contents()


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("TLS failed: tlsv1 alert internal error", True),
        ("Connection reset by peer, while in the TLS handshake", True),
        ("certificate verify failed: self-signed certificate", False),
        ("TLS failed: wrong version number", False),
    ],
    ids=["alert", "reset", "certificate", "no-tls"],
)
def test_a_handshake_that_fails_is_tried_again_unless_it_will_always_fail(lab: Lab, monkeypatch: pytest.MonkeyPatch, said: str, passes: bool) -> None:
    lab.directory.image("team/app", "1")
    real, failed = client.Client.ask, []

    def ask(self: client.Client, *arguments: t.Any, **more: t.Any) -> client.Answer:
        if not failed:
            failed.append(said)
            raise client.StoreError("tls", f"https://store:8333/ (at 192.0.2.1:8333): {said}")
        return real(self, *arguments, **more)

    monkeypatch.setattr(client.Client, "ask", ask)
    ended = lab.move("copy", status=0 if passes else 1)
    assert passes or said in ended["line"]


def test_a_store_that_refuses_connections_when_the_last_pass_begins_is_waited_for(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.directory.image("team/app", "1")

    def refused(_self: client.Client) -> t.NoReturn:
        raise client.StoreError("connect", "refused")

    monkeypatch.setattr(client.Client, "find_addresses", refused)
    assert "refused" in lab.move("copy", status=1)["line"]
    assert lab.move()["state"] == "complete"


def test_a_store_that_stays_away_ends_the_run_with_its_reason(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    lab.store.lies.add("503")
    assert "unavailable" in lab.move("copy", status=1)["line"]


def test_an_image_that_is_pushed_while_the_source_is_listed_is_whole_or_not_there(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is complete after the tags were listed: nothing of it is named that is not there."""
    lab.directory.image("team/app", "1")
    real = files.Files.links
    names: list[str] = []

    def links(self: files.Files, kind: str) -> t.Iterator[files.Found]:
        yield from list(real(self, kind))
        if len(names) < 3:
            names.append(lab.directory.image("team/app", f"during-{kind}", kind.encode()))

    monkeypatch.setattr(files.Files, "links", links)
    monkeypatch.setattr(main, "_MOST_PASSES", 1)
    lab.move("copy")
    stored = lab.stored()
    digests = {content.decode() for path, content in stored.items() if path.endswith("/link")}
    assert all(tree.blob_path(digest) in stored for digest in digests)
    assert not [path for path in stored if "during-tag" in path]


@pytest.mark.parametrize(
    "path",
    [
        "repositories/../../etc/_layers/sha256/" + "0" * 64 + "/link",
        "repositories/a/_layers/sha256/" + "0" * 63 + "/link",
        "repositories/a/_uploads/1/data",
        "repositories/a/_manifests/tags/../current/link",
        "repositories/a/_manifests/tags/1/current/link/x",
    ],
)
def test_nothing_else_is_a_link(path: str) -> None:
    assert tree.link_of(path) is None
    assert tree.blob_of(path) is None


@pytest.mark.parametrize("path", ["blobs/sha256/00/" + "1" * 64 + "/data", "blobs/sha256/11/" + "1" * 63 + "/data", "blobs/sha256/../data"])
def test_nothing_else_is_a_blob(path: str) -> None:
    assert tree.blob_of(path) is None


def test_two_runs_at_once_are_refused(lab: Lab) -> None:
    lab.directory.image("team/app", "1")
    with main._alone(str(lab.tmp)), pytest.raises(HoldfastError, match="another run"), main._alone(str(lab.tmp)):
        pass
