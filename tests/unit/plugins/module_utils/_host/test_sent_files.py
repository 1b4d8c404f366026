# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import grp
import os
import pwd

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole as files
from ansible_collections.holdfast.registry.plugins.module_utils._host import sent_files
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

OWN = {"owner": pwd.getpwuid(os.geteuid()).pw_name, "group": grp.getgrgid(os.getegid()).gr_name}


def file(path, content="one\n", **more):
    return {"path": str(path), "content": content, "mode": "0644", "secret": False, "keep": False, "original": None, **OWN, **more}


def directory(path, **more):
    return {"path": str(path), "mode": "0755", "purge": None, **OWN, **more}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(sent_files, "STATE", str(tmp_path / "state"))

    def call(check_mode=False, **params):
        params = {"directories": [], "files": [], "links": [], "absent": [], "validate": None, **params}
        return sent_files.manage(run_program, sent_files.Wanted.of(params, check_mode), check_mode)

    return call


@pytest.fixture
def etc(tmp_path):
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


def state(root):
    return {str(path): (os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "") for path in root.rglob("*")}


def test_check_mode_foretells_what_the_run_does_and_a_second_run_does_nothing(run, etc):
    (etc / "old").write_text("x")
    (etc / "kept").write_text("old\n")
    (etc / "changed").write_text("old\n")
    wanted = {
        "directories": [directory(etc / "a" / "b", mode="0750")],
        "files": [file(etc / "a" / "b" / "new"), file(etc / "changed"), file(etc / "kept", keep=True)],
        "links": [{"path": str(etc / "link"), "target": "changed"}],
        "absent": [str(etc / "old"), str(etc / "never")],
    }
    before = state(etc)
    forecast = run(check_mode=True, **wanted)
    assert state(etc) == before
    result = run(**wanted)
    assert result == forecast
    assert result["changes"] == [
        f"{etc}/a/b: directory made",
        f"{etc}/a/b/new: added",
        f"{etc}/changed: content changed",
        f"{etc}/link: added",
        f"{etc}/old: removed",
    ]
    assert (etc / "kept").read_text() == "old\n"
    assert (etc / "a" / "b").stat().st_mode & 0o777 == 0o750
    written = {path: os.lstat(path).st_ino for path in state(etc)}
    assert not run(**wanted)["changed"]
    assert {path: os.lstat(path).st_ino for path in state(etc)} == written


def test_what_somebody_else_has_written_is_kept_once(run, etc):
    wanted = {"files": [file(etc / "f", "# ours\n# for all\none\n", original=str(etc / "f.original"))]}
    (etc / "f").write_text("# ours\ntheirs\n")
    (etc / "f").chmod(0o600)
    before = state(etc)
    forecast = run(check_mode=True, **wanted)
    assert state(etc) == before
    assert run(**wanted) == forecast
    assert forecast["changes"] == [f"{etc}/f.original: a copy of the {etc}/f that was there", f"{etc}/f: content changed"]
    assert ((etc / "f.original").read_text(), (etc / "f.original").stat().st_mode & 0o777) == ("# ours\ntheirs\n", 0o600)
    assert not run(**wanted)["changed"]
    # What replaced it since, and what is ours with another content, is not worth a copy.
    (etc / "f").write_text("# somebody once more\n")
    assert run(**wanted)["changes"] == [f"{etc}/f: content changed"]
    (etc / "f.original").unlink()
    (etc / "f").write_text("# ours\n# for all\ntwo\n")
    assert run(**wanted)["changes"] == [f"{etc}/f: content changed"]
    (etc / "f").unlink()
    assert run(**wanted)["changes"] == [f"{etc}/f: added"]


def test_a_mode_alone_changes_without_the_content_being_written(run, etc):
    (etc / "f").write_text("one\n")
    (etc / "f").chmod(0o600)
    inode = (etc / "f").stat().st_ino
    assert run(files=[file(etc / "f")])["changes"] == [f"{etc}/f: mode 0600 -> 0644"]
    assert (etc / "f").stat().st_ino == inode


def test_a_secret_is_in_no_diff(run, etc):
    (etc / "s").write_text("old secret\n")
    result = run(files=[file(etc / "s", "new secret\n", secret=True)])
    assert "old secret" not in str(result) and "new secret" not in str(result)
    assert "content" in result["changes"][0]
    assert "one" in str(run(files=[file(etc / "open")])["diff"])


def test_what_others_may_not_read_is_in_no_diff_either_when_it_goes(run, etc):
    for name, mode in (("secret", 0o640), ("public", 0o644)):
        (etc / name).write_text(f"content of {name}")
        (etc / name).chmod(mode)
    diff = str(run(check_mode=True, absent=[str(etc / "secret"), str(etc / "public")])["diff"])
    assert "content of public" in diff
    assert "content of secret" not in diff


def test_what_is_made_once_stays_even_where_the_next_content_differs(run, etc):
    run(files=[file(etc / "k", "first", keep=True)])
    assert not run(files=[file(etc / "k", "second", keep=True)])["changed"]
    (etc / "k").write_text("")  # an empty file is none: a run may have been cut short
    run(files=[file(etc / "k", "second", keep=True)])
    assert (etc / "k").read_text() == "second"


def test_files_of_a_pattern_that_are_not_written_are_purged_and_others_stay(run, etc):
    for name in ("old.conf", "mine.conf", "other.txt"):
        (etc / name).write_text("one\n")
    assert run(directories=[directory(etc, purge="*.conf")], files=[file(etc / "mine.conf")])["changes"] == [f"{etc}/old.conf: removed"]
    assert sorted(os.listdir(etc)) == ["mine.conf", "other.txt"]


def test_a_directory_goes_only_with_the_last_that_is_in_it(run, etc):
    (etc / "d").mkdir()
    (etc / "d" / "mine").write_text("")
    (etc / "d" / "theirs").write_text("")
    assert run(absent=[str(etc / "d" / "mine"), str(etc / "d")])["changes"] == [f"{etc}/d/mine: removed"]
    os.unlink(etc / "d" / "theirs")
    assert run(absent=[str(etc / "d")])["changes"] == [f"{etc}/d: removed"]


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"files": [("f", {"owner": "no-such-user"})]}, r"files\[0\].owner: there is no user 'no-such-user'"),
        ({"files": [("f", {"mode": "420"})]}, r"files\[0\].mode: '420' is not an octal number of four digits in quotes"),
        ({"files": [("none/f", {})]}, "there is no directory .*/none; name it in directories"),
        ({"files": [("f", {}), ("f", {})]}, "f: is named twice"),
        ({"files": [("a\0b", {})]}, r"files\[0\]: .* must not contain a NUL character"),
        ({"links": [("l", {"target": "a\0b"})]}, r"links\[0\]\.target: .* must not contain a NUL character"),
        ({"files": [("../f", {})]}, r"files\[0\]: .* is not an absolute path without"),
        ({"files": [("a-directory", {})]}, "a-directory: is a directory"),
        ({"files": [("a-link", {})]}, "a-link: is a symbolic link to nowhere"),
        ({"directories": [("a-file", {})]}, "a-file: exists and is not a directory"),
        ({"links": [("a-file", {})]}, "a-file: is no symbolic link"),
    ],
)
def test_everything_wrong_is_found_before_the_first_change(run, etc, wanted, message):
    (etc / "a-directory").mkdir()
    (etc / "a-link").symlink_to("nowhere")
    (etc / "a-file").write_text("")
    make = {"files": file, "directories": directory, "links": lambda path, target="x": {"path": str(path), "target": target}}
    wanted = {kind: [make[kind](f"{etc}/{name}", **more) for name, more in entries] for kind, entries in wanted.items()}
    wanted.setdefault("files", []).insert(1, file(etc / "fine"))
    before = state(etc)
    with pytest.raises(HoldfastError, match=message):
        run(**wanted)
    assert state(etc) == before


def test_check_mode_warns_of_a_group_that_a_package_has_yet_to_make(run, etc):
    result = run(check_mode=True, files=[file(etc / "f", group="no-such-group"), file(etc / "none" / "g", group="no-such-group")])
    assert result["warnings"] == ["group: there is no group 'no-such-group' on this host"]
    assert result["changed"]


# Validation


def validated(etc, command, **wanted):
    return {**wanted, "validate": {"directory": str(etc / "gw"), "command": command}}


def test_the_directory_is_tested_as_it_would_be_with_what_stays_in_it(run, etc):
    (etc / "gw").mkdir()
    (etc / "gw" / "stays").write_text(f"include {etc}/gw/new\n")
    (etc / "gw" / "goes").write_text("")
    seen = etc / "seen"
    command = f"sh -c 'cd %s && ls > {seen} && cat new stays >> {seen} && test -e $(sed s/include.// stays)'"
    run(**validated(etc, command, files=[file(etc / "gw" / "new")], absent=[str(etc / "gw" / "goes")]))
    lines = seen.read_text().split("\n")
    assert lines[:3] == ["new", "stays", "one"]
    assert lines[3].startswith(f"include {etc}/.gw.")
    assert (etc / "gw" / "new").read_text() == "one\n"
    assert sorted(os.listdir(etc)) == ["gw", "seen"]


def test_a_refused_directory_stays_as_it_was_and_the_words_name_its_real_path(run, etc):
    (etc / "gw").mkdir()
    (etc / "gw" / "a").write_text("before")
    wanted = validated(etc, "sh -c 'echo wrong in %s/a >&2; exit 1'", files=[file(etc / "gw" / "a"), file(etc / "outside")])
    for check_mode in (True, False):
        with pytest.raises(HoldfastError, match=f"nothing was changed. sh says: wrong in {etc}/gw/a"):
            run(check_mode=check_mode, **wanted)
    assert state(etc) == {str(etc / "gw"): "", str(etc / "gw" / "a"): "before"}


def test_nothing_is_tested_where_nothing_changes(run, etc):
    (etc / "gw").mkdir()
    (etc / "gw" / "a").write_text("one\n")
    assert not run(**validated(etc, "false", files=[file(etc / "gw" / "a")]))["changed"]


def test_check_mode_warns_of_a_validator_that_is_not_there_yet(run, etc):
    wanted = validated(etc, "no-such-program %s", directories=[directory(etc / "gw")], files=[file(etc / "gw" / "a")])
    assert "check mode cannot tell" in run(check_mode=True, **wanted)["warnings"][0]
    with pytest.raises(HoldfastError, match="no-such-program"):
        run(**wanted)


def test_what_a_killed_run_left_beside_is_removed(run, etc, monkeypatch):
    (etc / "gw").mkdir()
    (etc / ".gw.abc.holdfast-tmp").mkdir()
    (etc / "gw" / ".a.abc123.holdfast-tmp").write_text("half")
    run(**validated(etc, "true", files=[file(etc / "gw" / "a")]))
    assert sorted(os.listdir(etc)) == ["gw"]
    assert os.listdir(etc / "gw") == ["a"]


def test_a_run_that_fails_between_two_files_leaves_each_whole(run, etc, monkeypatch):
    (etc / "a").write_text("old")
    (etc / "b").write_text("old")
    write = files.atomic_write

    def fails(path, content, ownership):
        if path.endswith("/b"):
            raise HoldfastError("disk full")
        write(path, content, ownership)

    monkeypatch.setattr(files, "atomic_write", fails)
    with pytest.raises(HoldfastError):
        run(files=[file(etc / "a"), file(etc / "b")])
    assert ((etc / "a").read_text(), (etc / "b").read_text()) == ("one\n", "old")
