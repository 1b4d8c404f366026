# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of links that a backup has, made while a registry writes and deletes."""

from __future__ import annotations

import os
import pathlib

import pytest
from registry_keeper.storage import layout as layouts
from registry_keeper.storage import links
from trees import Storage

DIGEST = "sha256:" + "ab" * 32
HEX = DIGEST.replace(":", "/")


@pytest.fixture
def storage(tmp_path):
    found = Storage(str(tmp_path / "storage"))
    found.image("team/app", "one", "1")
    found.image("team/app/deep", "two", "2", shared=[b"shared"])
    return found


def lines(storage, tmp_path):
    listed = links.write(storage.tree, str(tmp_path / "list"), str(tmp_path / "pushed"))
    return listed, (tmp_path / "list").read_text().splitlines()


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"a/b/_layers/{HEX}/link", id="layer"),
        pytest.param(f"a/_manifests/revisions/{HEX}/link", id="revision"),
        pytest.param("a.b_c--d/_manifests/tags/V1.0_x/current/link", id="tag"),
        pytest.param(f"a/_manifests/tags/1/index/{HEX}/link", id="former tag"),
    ],
)
def test_a_link_survives_its_line(path):
    found = links.parse(f"{path} {DIGEST}\n")
    assert found.path == path
    assert found.line == f"{path} {DIGEST}\n"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(f"../../etc/_layers/{HEX}/link {DIGEST}", id="out of the storage"),
        pytest.param(f"a/../b/_layers/{HEX}/link {DIGEST}", id="up within it"),
        pytest.param(f"/a/_layers/{HEX}/link {DIGEST}", id="absolute"),
        pytest.param(f"a/_layers/{HEX.replace('ab', 'cd')}/link {DIGEST}", id="another digest"),
        pytest.param("a/_manifests/tags/../current/link " + DIGEST, id="no tag"),
        pytest.param(f"a/_layers/{HEX}/data {DIGEST}", id="no link"),
        pytest.param(f"a/_layers/{HEX}/link sha256:short", id="no digest"),
        pytest.param(f"a/_uploads/{HEX}/link {DIGEST}", id="upload"),
        pytest.param("", id="nothing"),
    ],
)
def test_nothing_else_becomes_a_path(line):
    assert links.parse(line) is None


def test_the_list_has_every_link_and_no_other(storage, tmp_path):
    listed, found = lines(storage, tmp_path)
    root = pathlib.Path(storage.tree.repositories)
    there = {str(path.relative_to(root)): path.read_text() for path in root.rglob("link")}
    assert dict(line.split(" ") for line in found) == there
    assert (listed.links, listed.tags, listed.repositories, listed.broken) == (len(there), 2, 2, 0)
    assert os.stat(tmp_path / "list").st_mode & 0o777 == 0o600


def test_a_second_list_says_when_tags_were_pushed(storage, tmp_path):
    paths = [f"{name}/_manifests/tags/{tag}/current/link" for name, tag in (("team/app", "1"), ("team/app/deep", "2"))]
    for path, moment in zip(paths, (1_700_000_000.25, 1_600_000_000)):
        os.utime(f"{storage.tree.repositories}/{path}", (moment, moment))
    lines(storage, tmp_path)
    written = (tmp_path / "pushed").read_text()
    assert written.splitlines() == [f"{paths[0]} 1700000000.250000", f"{paths[1]} 1600000000.000000"]
    assert os.stat(tmp_path / "pushed").st_mode & 0o777 == 0o600
    assert links.pushed_of([*written.splitlines(True), "no time\n", "a/link nan\n", "a/link -1.000000\n"]) == {
        paths[0]: 1_700_000_000.25,
        paths[1]: 1_600_000_000.0,
    }


def test_links_that_are_empty_or_lead_to_no_blob_are_left_out(storage, tmp_path):
    whole = lines(storage, tmp_path)[1]
    layer = storage.layer("team/app", b"gone")
    os.unlink(storage.tree.data(layer))
    pathlib.Path(storage.tree.tag("team/app", "1"), "current/link").write_text("")
    listed, found = lines(storage, tmp_path)
    assert listed.broken == 1
    assert set(whole) - set(found) == {line for line in whole if line.startswith("team/app/_manifests/tags/1/current")}
    assert set(found) <= set(whole)


def test_what_is_pushed_while_the_list_is_made_is_whole_in_it_or_not_in_it(storage, tmp_path, monkeypatch):
    """At each directory that the list reads, somebody pushes another image."""
    read = layouts.subdirectories
    pushed = []

    def push_and_read(path):
        if len(pushed) < 40:
            pushed.append(storage.image("team/app", f"meanwhile {len(pushed)}", f"m{len(pushed)}"))
        return read(path)

    monkeypatch.setattr(layouts, "subdirectories", push_and_read)
    monkeypatch.setattr(links, "subdirectories", push_and_read)
    listed, found = lines(storage, tmp_path)
    assert 0 < listed.tags < 2 + len(pushed), "nothing came between, so this proves nothing"
    parsed = [links.parse(line) for line in found]
    revisions = {one.digest for one in parsed if one.kind == "revision"}
    layers = {one.digest for one in parsed if one.kind == "layer" and one.repository == "team/app"}
    for one in parsed:
        if one.kind in ("tag", "index"):
            assert one.digest in revisions
        if one.kind == "revision" and one.repository == "team/app":
            assert _parts(storage, one.digest) <= layers


def test_an_image_that_is_deleted_while_the_list_is_made_leaves_no_tag_of_nothing(storage, tmp_path, monkeypatch):
    """Its tags are listed, and then its manifest goes before the list comes to it."""
    digest = pathlib.Path(storage.tree.tag("team/app", "1"), "current/link").read_text()
    read = links._linked

    def delete_and_read(directory):
        if directory == storage.tree.revisions("team/app"):
            os.unlink(storage.tree.revision("team/app", digest) + "/link")
        return read(directory)

    monkeypatch.setattr(links, "_linked", delete_and_read)
    found = [links.parse(line) for line in lines(storage, tmp_path)[1]]
    assert [one for one in found if one.repository == "team/app" and one.kind != "layer"] == []
    assert [one.tag for one in found if one.kind == "tag"] == ["2"]


def _parts(storage, digest):
    from registry_keeper.storage.manifest import parse

    return {layouts.digest_of(key) for key in parse(storage.content(digest)).needed}
