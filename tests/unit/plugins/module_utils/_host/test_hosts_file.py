# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""One block in a hosts file: others' lines survive, whatever they are."""

from __future__ import annotations

import errno
import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import blocks, whole
from ansible_collections.holdfast.registry.plugins.module_utils._host import hosts_file
from ansible_collections.holdfast.registry.plugins.module_utils._host.hosts_file import Entry, Wanted, read_entries

LOCAL = b"127.0.0.1\tlocalhost\n\xff no text\n::1 localhost\n"
BLOCK = b"# BEGIN holdfast.registry.hosts_entries r:5000\n192.0.2.10 r m\n2001:db8::10 r m\n# END holdfast.registry.hosts_entries r:5000\n"
ENTRIES = (Entry("192.0.2.10", ("r", "m")), Entry("2001:db8::10", ("r", "m")))
OURS = Wanted("r:5000", ENTRIES)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "hosts"
    path.write_bytes(LOCAL)
    path.chmod(0o640)
    return path


def test_several_addresses_come_first_and_go_again_without_a_trace(file):
    hosts_file.apply(str(file), OURS)
    assert file.read_bytes() == BLOCK + LOCAL
    assert file.stat().st_mode & 0o777 == 0o640
    assert hosts_file.apply(str(file), OURS).change is None
    hosts_file.apply(str(file), Wanted("r:5000", ()))
    assert file.read_bytes() == LOCAL
    assert hosts_file.apply(str(file), Wanted("r:5000", ())).change is None


def test_a_block_stays_in_its_place_and_anothers_is_not_touched(file):
    other = BLOCK.replace(b"r:5000", b"r:5001")
    file.write_bytes(LOCAL + BLOCK + other)
    hosts_file.apply(str(file), Wanted("r:5000", (Entry("192.0.2.11", ("r",)),)))
    text = file.read_bytes()
    assert text.startswith(LOCAL) and text.endswith(other) and b"192.0.2.11 r\n" in text and text.count(b"192.0.2.10") == 1


def test_the_block_of_another_tool_is_taken_over(file):
    file.write_bytes(b"# BEGIN holdfast.registry r\n192.0.2.9 r\n# END holdfast.registry r\n" + LOCAL)
    todo = hosts_file.apply(str(file), Wanted("r:5000", ENTRIES, ("holdfast.registry r",)))
    assert file.read_bytes() == BLOCK + LOCAL
    assert todo.change.reason.endswith("block changed")


def test_a_last_line_without_an_end_is_kept_whole(file):
    file.write_bytes(b"192.0.2.1 a\n# BEGIN x\n# END x")
    hosts_file.apply(str(file), Wanted("r:5000", ENTRIES, ("x",)))
    assert file.read_bytes() == b"192.0.2.1 a\n" + BLOCK
    file.write_bytes(b"192.0.2.1 a")
    hosts_file.apply(str(file), Wanted("r:5000", ENTRIES))
    assert file.read_bytes() == BLOCK + b"192.0.2.1 a"


def test_a_block_that_has_lost_its_end_is_refused_and_nothing_changes(file):
    file.write_bytes(LOCAL + b"# BEGIN holdfast.registry.hosts_entries r:5000\n192.0.2.1 b\n")
    before = file.read_bytes()
    with pytest.raises(HoldfastError, match="line 4 begins a block of this collection, and no line '# END"):
        hosts_file.apply(str(file), OURS)
    assert file.read_bytes() == before


def test_a_missing_file_is_made_and_a_missing_block_in_it_is_none(tmp_path):
    path = tmp_path / "hosts"
    assert hosts_file.plan(str(path), Wanted("r:5000", ())).change is None
    hosts_file.apply(str(path), OURS)
    assert path.read_bytes() == BLOCK and path.stat().st_mode & 0o777 == 0o644


def test_a_symbolic_link_stays_one(file, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(file)
    hosts_file.apply(str(link), OURS)
    assert link.is_symlink() and file.read_bytes() == BLOCK + LOCAL


def test_where_nothing_can_be_renamed_over_it_the_file_is_written_in_place(file, monkeypatch):
    def busy(*_arguments, **_keywords):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    inode = file.stat().st_ino
    monkeypatch.setattr(whole.os, "replace", busy)
    hosts_file.apply(str(file), OURS)
    assert file.read_bytes() == BLOCK + LOCAL and file.stat().st_ino == inode
    hosts_file.apply(str(file), Wanted("r:5000", ()))
    assert file.read_bytes() == LOCAL


def test_another_address_of_the_same_name_is_named(file):
    file.write_bytes(b"192.0.2.99 R # the old one\n192.0.2.10 r\n" + LOCAL)
    assert [line.partition(": ")[2] for line in hosts_file.plan(str(file), OURS).warnings] == [
        "a line that is not this module's gives R the address 192.0.2.99 as well; remove it if it is out of date"
    ]


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"address": "registry", "names": ["a"]}, r"entries\[0\].address: 'registry' is not an IP address"),
        ({"address": "192.0.2.1 evil\n192.0.2.2", "names": ["a"]}, "is not an IP address"),
        ({"address": "fe80::1%eth0", "names": ["a"]}, "is not an IP address"),
        ({"address": "192.0.2.1", "names": []}, r"entries\[0\].names: is empty"),
        ({"address": "192.0.2.1", "names": ["a\n192.0.2.2 b"]}, r"entries\[0\].names\[0\]"),
        ({"address": "192.0.2.1", "names": ["a b"]}, r"entries\[0\].names\[0\]"),
    ],
)
def test_what_is_no_address_or_no_name_is_refused(entry, why):
    with pytest.raises(HoldfastError, match=why):
        read_entries([entry])


@pytest.mark.parametrize("label", ["", "a\nb", "#", " a"])
def test_a_label_that_would_end_its_comment_is_refused(label):
    with pytest.raises(HoldfastError, match="cannot name a block"):
        hosts_file.check_label(label, "name")


def test_lines_survive_whatever_they_end_in():
    content = b"a\r\nb\rc\n\xe9\x0c\x85d"
    assert blocks.written(blocks.read(content)) == content
