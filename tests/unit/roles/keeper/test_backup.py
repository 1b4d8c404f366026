# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Backup, restore and repair with a restic that is only a script: what they ask of it, and what they make of its errors."""

from __future__ import annotations

import argparse
import errno
import hashlib
import io
import json
import os
import pathlib
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time

import pytest
from registry_keeper.backup import backup, fetch, host_lock, restore, restore_host
from registry_keeper.backup.restic import Failed, Restic
from registry_keeper.backup.settings import BackupSettings, Source, load, read_environment
from registry_keeper.errors import ATTENTION, BUSY, DONE, FAILED, USAGE, KeeperError
from registry_keeper.report import Report
from registry_keeper.storage.layout import Layout
from registry_keeper.storage.links import Link
from trees import PROGRAM, Storage

DAY = 86400
DOCUMENT = {"host": "h", "repository": "rest:https://u:hidden@store.example.org/", "instances": [{"name": "registry", "storage": "/s"}]}


@pytest.fixture
def settings(tmp_path):
    return BackupSettings("h", "rest:https://u:hidden@store.example.org/", directory=str(tmp_path), state=str(tmp_path / "state"), keep={"last": 1})


def program(tmp_path, script):
    """A restic that is this shell script."""
    path = tmp_path / "restic"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param({"host": "h"}, "repository: is missing", id="no repository"),
        pytest.param({**DOCUMENT, "keep": {"never": 1}}, "keep.never: there is no such setting", id="misspelt"),
        pytest.param({**DOCUMENT, "keep": {"last": 0}}, "keep: set at least one", id="keeps none"),
        pytest.param({**DOCUMENT, "instances": [{"name": "registry"}]}, r"instances\[0\].storage: is missing", id="no storage"),
        pytest.param({**DOCUMENT, "check_parts": 0}, "check_parts: must be a number", id="no parts"),
    ],
)
def test_wrong_settings_are_refused_by_name(tmp_path, document, message):
    (tmp_path / "settings.json").write_text(json.dumps(document))
    with pytest.raises(KeeperError, match=message) as caught:
        load(str(tmp_path))
    assert caught.value.status == USAGE


def test_where_no_backup_is_set_up_it_says_so(tmp_path):
    with pytest.raises(KeeperError, match="no backup is set up on this host"):
        load(str(tmp_path))


def test_the_environment_is_read_from_its_file(tmp_path):
    (tmp_path / "environment").write_text("# of the store\nAWS_ACCESS_KEY_ID=one\nAWS_SECRET_ACCESS_KEY=two = three\n")
    assert read_environment(str(tmp_path / "environment")) == {"AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "two = three"}
    (tmp_path / "environment").write_text("export A=b\n")
    with pytest.raises(KeeperError, match="line 1 is not NAME=VALUE"):
        read_environment(str(tmp_path / "environment"))


def test_secrets_are_in_the_environment_and_on_no_command_line(tmp_path, settings):
    (tmp_path / "environment").write_text("AWS_SECRET_ACCESS_KEY=hidden2\n")
    restic = Restic(settings, program(tmp_path, 'echo "$@ | $RESTIC_REPOSITORY $RESTIC_PASSWORD_FILE $AWS_SECRET_ACCESS_KEY"'))
    arguments, _bar, environment = restic.run("snapshots").partition(" | ")
    assert arguments == "snapshots"
    assert environment.split() == [settings.repository, f"{tmp_path}/password", "hidden2"]


@pytest.mark.parametrize(
    ("said", "message", "status"),
    [
        pytest.param("Fatal: wrong password or no key found", "the password in .*/password does not open the repository", FAILED, id="password"),
        pytest.param("unable to create lock in backend: repository is already locked by PID 7", "another run of restic has the repository", BUSY, id="locked"),
        pytest.param("Save(<data/0>) returned error: write: no space left on device", "no room is left", FAILED, id="disk full"),
        pytest.param("Fatal: unable to open config file: stat config: no such file or directory\nIs there a repository at", "there is no", FAILED, id="away"),
        pytest.param("panic: something new", "restic backup failed: panic: something new", FAILED, id="anything else"),
        pytest.param(
            '{"message_type":"exit_error","code":1,"message":"Fatal: unable to open repository"}',
            "restic backup failed: Fatal: unable to open repository",
            FAILED,
            id="in JSON",
        ),
    ],
)
def test_errors_say_what_is_wrong_and_show_no_password(tmp_path, settings, said, message, status):
    restic = Restic(settings, program(tmp_path, f"echo '{said}' >&2; echo \"$RESTIC_REPOSITORY\" >&2; exit 1"))
    with pytest.raises(Failed, match=message) as caught:
        restic.run("backup")
    assert caught.value.status == status
    assert "hidden" not in str(caught.value)


def test_much_that_restic_complains_of_does_not_stop_it(tmp_path, settings):
    restic = Restic(settings, program(tmp_path, "i=0; while [ $i -lt 3000 ]; do echo $i; echo complaint of some length $i >&2; i=$((i + 1)); done"))
    assert len(restic.run("ls").splitlines()) == 3000


def test_a_stale_lock_is_removed_once_and_a_live_one_is_an_error(tmp_path, settings):
    script = 'case "$1" in unlock) rm -f lock.stale;; *) test ! -e lock.stale -a ! -e lock.live || { echo already locked >&2; exit 1; }; echo done;; esac'
    restic = Restic(settings, program(tmp_path, f"cd {tmp_path}; {script}"))
    (tmp_path / "lock.stale").touch()
    assert restic.run_alone("forget") == "done\n"
    (tmp_path / "lock.live").touch()
    with pytest.raises(Failed) as caught:
        restic.run_alone("forget")
    assert caught.value.status == BUSY


REPOSITORY = """cd DIRECTORY
case "$1" in
cat) test -e id || { echo "Is there a repository at" >&2; exit 1; }; printf '{"id": "%s"}' $(cat id);;
init) echo new >id;;
esac"""


def test_a_repository_is_made_once_and_not_in_place_of_one_that_has_gone(tmp_path, settings):
    restic = Restic(settings, program(tmp_path, REPOSITORY.replace("DIRECTORY", str(tmp_path))))
    os.makedirs(settings.state)
    backup.find_repository(restic)
    assert (tmp_path / "id").read_text() == "new\n"
    backup.find_repository(restic)
    (tmp_path / "id").unlink()
    with pytest.raises(KeeperError, match="has gone, or cannot be reached"):
        backup.find_repository(restic)
    assert not (tmp_path / "id").exists()
    (tmp_path / "id").write_text("another")
    with pytest.raises(KeeperError, match="another repository than before"):
        backup.find_repository(restic)
    backup.find_repository(restic, new=True)
    backup.find_repository(restic)
    assert "hidden" not in pathlib.Path(settings.state, "repository.json").read_text()


BACKUP = """case "$1" in
cat) echo '{"id": "1"}';;
snapshots) echo '[{"id": "0123456789", "time": "2026-01-01", "original": "abcdef"}]';;
backup) MADE; echo '{"message_type": "summary", "snapshot_id": "abc"}'; exit CODE;;
forget) echo '[{"keep": [1], "remove": null}]';;
esac"""


@pytest.fixture
def back_up(tmp_path, monkeypatch):
    """A backup of a storage with an image, by a restic that runs this in place of a backup, and ends with this code."""
    storage = Storage(str(tmp_path / "storage"))
    storage.image("app", "one", "1")
    instances = [{"name": "registry", "storage": storage.path}]
    (tmp_path / "settings.json").write_text(
        json.dumps({"host": "h", "repository": "/r", "instances": instances, "state": str(tmp_path / "state"), "wait_seconds": 0})
    )
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def run(made, code=0):
        program(tmp_path, BACKUP.replace("MADE", made).replace("CODE", str(code)))
        report = Report(out=io.StringIO(), err=io.StringIO())
        options = argparse.Namespace(list=False, check=False, new_repository=False, backup_settings=str(tmp_path))
        return backup.run_host(options, report), report

    run.storage = storage
    return run


def test_links_are_listed_before_restic_reads_a_blob_and_collections_wait(tmp_path, back_up):
    storage, state = back_up.storage, tmp_path / "state"
    lock = f"{storage.path}/keeper/lock"
    status, report = back_up(
        f'cat {state}/links/registry >{tmp_path}/seen; flock -n {lock} true || echo locked >>{tmp_path}/seen; echo "$@" >{tmp_path}/arguments'
    )
    assert status == 0
    seen = (tmp_path / "seen").read_text().splitlines()
    assert seen[-1] == "locked"
    assert len(seen) == 1 + len(list(pathlib.Path(storage.tree.repositories).rglob("link")))
    made = (tmp_path / "arguments").read_text().strip()
    assert made.endswith(f"--parent 0123456789 -- {state}/contents.json {state}/links/registry {state}/pushed/registry {storage.tree.blobs}")
    assert report.facts["last_success"] > 0


def test_only_this_hosts_own_backups_are_forgotten(tmp_path, settings):
    restic = Restic(settings, program(tmp_path, f"echo \"$@\" >{tmp_path}/arguments; echo '[]'"))
    os.makedirs(settings.state)
    backup._forget(restic, Report(out=io.StringIO(), err=io.StringIO()))
    assert "--host h --tag holdfast-registry --group-by host,tags --keep-last 1" in (tmp_path / "arguments").read_text()


# restic says of a directory that it could not read both when it counts the files and when it reads them.
UNREAD = """echo '{"message_type": "error", "error": {}, "during": "DURING", "item": "/blobs/ITEM"}'"""


@pytest.mark.parametrize("stream", [pytest.param("1", id="standard output"), pytest.param("2", id="standard error, as restic 0.14")])
def test_what_restic_could_not_read_is_named_whichever_stream_restic_names_it_on(back_up, stream):
    said = "; ".join(UNREAD.replace("DURING", during).replace("ITEM", "b1") for during in ("scan", "archival"))
    # more than is kept of what restic complains of
    more = 'i=0; while [ $i -lt 400 ]; do echo "Warning: a complaint of quite some length, such as $i" >&2; i=$((i + 1)); done'
    status, report = back_up(f"{{ {said}; }} >&{stream}; {more}", code=3)
    assert status == ATTENTION
    assert report.facts["unread"] == ["/blobs/b1"]
    assert report.warnings == ["could not be read, and is not in the backup: /blobs/b1"]
    assert report.facts["last_success"] is None


def test_what_restic_could_not_read_is_counted_where_there_is_much_of_it(back_up):
    said = UNREAD.replace("DURING", "archival").replace("ITEM", "'$i'")
    status, report = back_up(f"i=0; while [ $i -lt 1000 ]; do {said}; i=$((i + 1)); done >&2", code=3)
    assert status == ATTENTION
    assert len(report.facts["unread"]) == 20
    assert report.warnings[-1] == "980 more could not be read"


def test_a_backup_is_not_whole_where_restic_says_so_without_a_name(back_up):
    status, report = back_up("echo Warning: at least one source file could not be read >&2", code=3)
    assert status == ATTENTION
    assert report.warnings == [
        "restic could not read all files, and named none; they are not in the backup (exit status 3: Warning: at least one source file could not be read)"
    ]


def test_a_file_that_goes_while_restic_counts_is_no_loss(back_up):
    status, report = back_up(UNREAD.replace("DURING", "scan").replace("ITEM", "b1") + " >&2")
    assert (status, report.warnings) == (0, [])


class Real:
    """A storage and its backups by the real restic, in a directory of a user who cannot read everything, as root can."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.storage = Storage(f"{directory}/storage")
        instances = [{"name": "registry", "storage": self.storage.path}]
        settings = {"host": "h", "repository": f"{directory}/repository", "instances": instances, "state": f"{directory}/state", "keep": {"last": 1}}
        settings.update(prune_days=0, check_days=0)
        (self.directory / "settings.json").write_text(json.dumps(settings))
        (self.directory / "password").write_text("a password\n")
        (self.directory / "bin").mkdir()

    def killed_after(self, command):
        """From now on the program is killed when restic has done this; or never."""
        wrapper = self.directory / "bin/restic"
        wrapper.write_text(f'#!/bin/sh\n{shutil.which("restic")} "$@"\nstatus=$?\n[ "$1" != {command} ] || kill -9 $PPID\nexit $status\n')
        wrapper.chmod(0o755 if command else 0o644)

    def dated(self, moment):
        """From now on restic makes backups of this time; or of the real one."""
        wrapper = self.directory / "bin/restic"
        wrapper.write_text(f'#!/bin/sh\n[ "$1" != backup ] || {{ shift; set -- backup --time "{moment}" "$@"; }}\nexec {shutil.which("restic")} "$@"\n')
        wrapper.chmod(0o755 if moment else 0o644)

    def __call__(self, *arguments):
        other = []
        if os.geteuid() == 0:
            other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            subprocess.run(["chown", "-R", "65534:65534", str(self.directory)], check=True)
        ended = subprocess.run(
            [*other, sys.executable, "-m", "registry_keeper", "--json", *arguments[:1], "--backup-settings", str(self.directory), *arguments[1:]],
            env={**os.environ, "PYTHONPATH": str(PROGRAM), "PYTHONDONTWRITEBYTECODE": "1", "PATH": f"{self.directory}/bin:{os.environ['PATH']}"},
            stdout=subprocess.PIPE,
            check=False,
        )
        return ended.returncode, json.loads(ended.stdout or "{}")

    def listed(self):
        """Each backup, and whether it is incomplete."""
        return {one["id"][:8]: one["incomplete"] for one in self("backup", "--list")[1]["snapshots"]}


@pytest.fixture
def real():
    if not shutil.which("restic"):
        pytest.skip("restic is not installed")
    directory = tempfile.mkdtemp(prefix="backup-")  # that of pytest is closed to the user that this runs as
    try:
        yield Real(directory)
    finally:
        shutil.rmtree(directory)


def test_a_real_restic_that_could_not_read_a_blob_makes_no_whole_backup_and_forgets_none(real):
    real.storage.image("app", "one", "1")
    closed = real.storage.tree.data(real.storage.blob(b"one layer 0"))
    status, whole = real("backup")
    assert status == DONE
    os.chmod(closed, 0)
    for _time in range(2):
        status, document = real("backup")
        assert (status, document["unread"], document["last_success"]) == (ATTENTION, [closed], whole["last_success"])
    # Of each kind the newest stays.
    assert real.listed() == {whole["snapshot"][:8]: False, document["snapshot"][:8]: True}
    os.chmod(closed, 0o644)
    status, again = real("backup")
    # What is older than all whole ones that stay would stay for ever, and keep images in the repository that have been deleted.
    assert real.listed() == {again["snapshot"][:8]: False}


def test_a_backup_whose_run_is_killed_before_it_could_tell_is_incomplete_and_the_newest_whole_one_is_restored(real):
    real.storage.image("app", "one", "1")
    _status, whole = real("backup")
    real.storage.image("app", "two", "1")
    blob = real.storage.tree.data(real.storage.blob(b"two layer 0"))
    os.chmod(blob, 0)
    # restic says what it could not read to a program that is no more.
    real.killed_after("backup")
    assert real("backup")[0] == -signal.SIGKILL
    real.killed_after("")
    listed = real.listed()
    assert listed.pop(whole["snapshot"][:8]) is False and list(listed.values()) == [True]
    shutil.rmtree(real.storage.tree.root)
    status, restored = real("restore", "app:1")
    assert (status, restored["snapshot"][:8], len(restored["warnings"])) == (DONE, whole["snapshot"][:8], 1)
    assert real.storage.pull("app", "1") is None
    # Who names it gets what it has.
    status, restored = real("restore", "app:1", "--over", "--snapshot", next(iter(listed)))
    assert status == ATTENTION and "is incomplete" in restored["warnings"][0]


def test_a_backup_that_a_clock_dated_ahead_is_not_the_newest_and_pushes_out_no_other(real):
    """Of the others one is kept."""
    real.storage.image("app", "one", "1")
    real.dated("2099-01-02 03:04:05")
    assert real("backup")[0] == DONE
    real.dated("")
    for name in ("two", "three"):
        real.storage.image("app", name, name)
        status, newest = real("backup")
        assert status == DONE and len(real.listed()) == 2 and newest["snapshot"][:8] in real.listed()
    shutil.rmtree(real.storage.tree.root)
    status, restored = real("restore", "app:three")
    assert (status, restored["snapshot"][:8]) == (DONE, newest["snapshot"][:8])
    assert "1 backup with a time in the future" in restored["warnings"][0] and "2099-01-02 03:04:05" in restored["warnings"][0]
    assert real.storage.pull("app", "three") is None


def test_backups_count_again_once_their_time_has_come(tmp_path, settings):
    found = [
        {"id": "1", "time": "2099-01-01T00:00:00Z", "tags": ["holdfast-registry"]},
        {"id": "2", "time": "2026-01-01T00:00:00.123456789+01:00", "tags": ["holdfast-registry", "holdfast-future"]},
    ]
    asked = tmp_path / "asked"
    restic = Restic(settings, program(tmp_path, f"echo \"$@\" >>{asked}; [ $1 = forget ] && echo '[]' || echo '{json.dumps(found)}'"))
    os.makedirs(settings.state)
    backup._forget(restic, Report(out=io.StringIO(), err=io.StringIO()))
    assert [line for line in asked.read_text().splitlines() if line.startswith("tag ")] == [
        "tag --quiet --add holdfast-future 1",
        "tag --quiet --remove holdfast-future 2",
    ]


def test_backups_are_in_the_order_of_their_moments_whatever_time_zone_the_host_had(tmp_path, settings):
    """The hour that comes twice when summer time ends, and a host that moved from one zone to another."""
    times = ["2025-10-26T02:50:00.5+02:00", "2025-10-26T02:10:00.123456789+01:00", "2025-10-27T00:30:00-08:00", "2025-10-27T09:00:00Z"]
    found = [{"id": str(number), "time": time} for number, time in enumerate(times)]
    restic = Restic(settings, program(tmp_path, f"echo '{json.dumps(found[::-1])}'"))
    assert [one["id"] for one in restic.snapshots()] == ["0", "1", "2", "3"]


@pytest.mark.parametrize(("days", "due"), [(6, False), (7, True), (-0.1, False), (-300, True)])
def test_what_was_done_by_a_clock_that_was_ahead_is_done_again(settings, days, due):
    os.makedirs(settings.state)
    pathlib.Path(settings.state, "due.json").write_text(json.dumps({"check": time.time() - days * DAY}))
    assert backup._due(settings, "check", 7) is due


@pytest.mark.parametrize("everything", [pytest.param(True, id="everything"), pytest.param(False, id="image by image")])
def test_what_was_damaged_when_it_was_backed_up_is_named_and_not_restored_as_good(real, everything):
    storage, damaged = real.storage, {}
    for name in ("layer", "config", "manifest", "child", "sound"):
        child = storage.image(name, name)
        tagged = storage.index(name, [child], "1")
        damaged[name] = {"layer": storage.blob(b"layer layer 0"), "config": storage.blob(b"config config"), "manifest": tagged, "child": child}.get(name)
    for digest in filter(None, damaged.values()):
        path = pathlib.Path(storage.tree.data(digest))
        # As a disk does it: of the same length, and a manifest is still one.
        path.write_bytes(path.read_bytes().replace(b"sha256:", b"sha512:").replace(b"layer 0", b"layer 1").replace(b"config config", b"config c0nfig"))
    assert real("backup")[0] == DONE
    shutil.rmtree(storage.tree.root)
    runs = [real("restore", "--everything")] if everything else [real("restore", f"{name}:1") for name in damaged]
    assert [status for status, _document in runs] == [ATTENTION] * (len(runs) - 1) + [ATTENTION if everything else DONE]
    said = [warning for _status, document in runs for warning in document.get("warnings", ())]
    assert sorted(said) == sorted(f"registry: {digest} is damaged in the backup" for digest in filter(None, damaged.values()))
    assert [name for name in damaged if storage.pull(name, "1") is None] == ["sound"]
    # A tag names what is there, or nothing.
    assert [name for name in damaged if not os.path.exists(storage.tree.tag(name, "1"))] == ["manifest"]
    for blob in pathlib.Path(storage.tree.blobs).rglob("data"):
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.parent.name


WHOLE, LACKING = ["holdfast-registry"], ["holdfast-registry", "holdfast-incomplete"]


@pytest.mark.parametrize(
    ("tags", "asked", "taken", "message"),
    [
        pytest.param([WHOLE, WHOLE], None, "1", "", id="the newest"),
        pytest.param([WHOLE, LACKING, LACKING], "latest", "0", "newer ones are incomplete; `--snapshot 20000000` takes", id="the newest whole one"),
        pytest.param([WHOLE, LACKING, WHOLE], None, "2", "", id="an older one is incomplete"),
        pytest.param([LACKING], None, None, "`--snapshot 00000000` restores what the newest one has", id="none is whole"),
        pytest.param([WHOLE, LACKING], "1", "1", "the backup 10000000 is incomplete", id="named"),
        pytest.param([None, None], None, "1", "", id="of an earlier version"),
    ],
)
def test_which_backup_is_restored_and_what_is_said_of_it(tmp_path, settings, tags, asked, taken, message):
    found = [{"id": f"{number}{'0' * 63}", "time": f"2026-01-0{number + 1}T00:00:00Z", "tags": some} for number, some in enumerate(tags)]
    restic, said = Restic(settings, program(tmp_path, f"echo '{json.dumps(found)}'")), []
    if taken is None:
        with pytest.raises(KeeperError) as caught:
            restic.snapshot(asked, said.append)
        said.append(str(caught.value))
    else:
        assert str(restic.snapshot(asked, said.append)["id"])[0] == taken
    assert len(said) == (message != "") and message in "".join(said)


@pytest.mark.parametrize("after", ["", ', "tags": ["holdfast-registry", "holdfast-incomplete"]', ', "original": "another"'], ids=["whole", "tagged", "another"])
def test_a_backup_is_whole_only_if_restic_has_taken_the_tag_away(back_up, monkeypatch, after):
    monkeypatch.setitem(globals(), "BACKUP", BACKUP.replace(', "original": "abcdef"', f', "original": "abcdef"{after}'))
    if after:
        with pytest.raises(KeeperError, match="restic did not take the tag holdfast-incomplete from the backup abc"):
            back_up("true")
    else:
        assert back_up("true")[1].facts["snapshot"] == "0123456789"


@pytest.mark.parametrize("mirror", [True, False])
def test_a_blob_that_vanished_meanwhile_makes_a_backup_incomplete_but_in_a_mirror_where_they_expire(tmp_path, back_up, mirror):
    data = back_up.storage.tree.data(back_up.storage.blob(b"one layer 0"))
    settings = json.loads((tmp_path / "settings.json").read_text())
    settings["instances"][0]["mirror"] = mirror
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    status, report = back_up(f"rm {data}")
    assert status == ATTENTION and "removed while it was backed up" in report.warnings[0]
    assert report.facts["snapshot"] == ("0123456789" if mirror else "abc")


def test_a_collection_that_does_not_end_is_waited_for_only_so_long(tmp_path):
    from registry_keeper.lock import hold

    state = str(tmp_path / "keeper")
    with hold(state, "collect"), pytest.raises(KeeperError) as caught, host_lock.storage_lock(str(tmp_path), None, 0.1):
        pass
    assert caught.value.status == BUSY
    # The file has the name of the run that held it last.
    with (
        host_lock.storage_lock(str(tmp_path), None, 0),
        pytest.raises(KeeperError, match="a backup or restore works on this storage") as caught,
        hold(state, "collect"),
    ):
        pass
    assert caught.value.status == BUSY


def test_two_backups_at_once_are_one(tmp_path):
    with host_lock.host_lock(str(tmp_path)), pytest.raises(KeeperError) as caught, host_lock.host_lock(str(tmp_path)):
        pass
    assert caught.value.status == BUSY


def test_a_blob_from_the_backup_gets_its_place_only_if_it_is_what_its_digest_says(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    good, bad = storage.blob(b"good"), storage.blob(b"bad")
    staged = tmp_path / "staged"
    staged.mkdir()
    (staged / "1").write_bytes(b"good")
    (staged / "2").write_bytes(b"rotten")
    for digest in (good, bad):
        os.unlink(storage.tree.data(digest))
    os.utime(staged / "1", (1, 1))
    handle = os.open(staged, os.O_RDONLY)
    result = fetch._place(handle, {"1": good, "2": bad, "3": "sha256:" + "0" * 64}, storage.tree)
    os.close(handle)
    assert result == {"placed": [good], "wrong": [bad, "sha256:" + "0" * 64]}
    assert storage.content(good) == b"good"
    assert not os.path.exists(storage.tree.data(bad))
    # A collection takes only what is old.
    assert time.time() - os.stat(storage.tree.data(good)).st_mtime < 60


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Places a blob in a storage on another mount; the content is read from that file."""
    storage = Storage(str(tmp_path / "another storage"))
    staged = tmp_path / "staged"
    staged.mkdir()
    rename = os.rename

    def across_mounts(source, target, **more):
        if more:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        rename(source, target)

    monkeypatch.setattr(os, "rename", across_mounts)

    def run(content):
        (staged / "1").write_bytes(content)
        handle = os.open(staged, os.O_RDONLY)
        try:
            return fetch._place(handle, {"1": "sha256:" + hashlib.sha256(content).hexdigest()}, storage.tree)
        finally:
            os.close(handle)

    run.storage = storage
    return run


def test_across_mounts_a_blob_that_finds_no_room_leaves_nothing(place, monkeypatch):
    def no_room(source, copy, _size):
        copy.write(source.read(3))
        copy.flush()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(shutil, "copyfileobj", no_room)
        with pytest.raises(OSError, match="No space left"):
            place(b"a blob")
    assert [path for path in pathlib.Path(place.storage.path).rglob("*") if path.is_file()] == []
    digest = place(b"a blob")["placed"][0]
    assert place.storage.content(digest) == b"a blob"


def test_what_a_killed_restoration_left_goes_with_the_next_one_and_with_the_next_backup(place, back_up):
    for storage, again in ((place.storage, lambda: place(b"another")), (back_up.storage, lambda: back_up("true"))):
        state = pathlib.Path(storage.path, "keeper")
        state.mkdir()
        (state / "restored.123").write_bytes(b"half")
        (state / "restored.json").write_bytes(b"something else")
        again()
        assert not (state / "restored.123").exists()
        assert (state / "restored.json").exists()


def test_batches_are_neither_too_large_nor_too_many_patterns(monkeypatch):
    monkeypatch.setattr(fetch, "_BATCH_BYTES", 100)
    monkeypatch.setattr(fetch, "_BATCH_PATTERNS", 3)
    sizes = {f"/b/sha256/{two}/{two}{number}/data": 20 for two in ("aa", "bb", "cc") for number in range(4)}
    wanted = sorted(path for path in sizes if path != "/b/sha256/bb/bb3/data")
    batches = list(fetch._batches(wanted, sizes, fetch._by_directory(sizes)))
    assert sorted(path for _patterns, paths in batches for path in paths) == wanted
    assert all(len(patterns) <= 3 and sum(sizes[path] for path in paths) <= 100 for patterns, paths in batches)
    assert [patterns for patterns, _paths in batches if "/b/sha256/aa" in patterns], "a whole directory is not one pattern"
    assert not any("/b/sha256/bb" in patterns for patterns, _paths in batches), "more than was wanted"


def test_a_tag_that_names_another_image_is_not_replaced(tmp_path):
    storage = Storage(str(tmp_path))
    digest = storage.image("app", "one", "1")
    restore.refuse_other_tags([Link("app", "tag", digest, "1"), Link("app", "tag", digest, "2")], Layout(str(tmp_path)))
    with pytest.raises(KeeperError, match="app:1 names sha256"):
        restore.refuse_other_tags([Link("app", "tag", "sha256:" + "0" * 64, "1")], Layout(str(tmp_path)))


@pytest.mark.parametrize("name", ["a/../../../b", "../b", "a//b", "a/", "a/_layers", "A", ".."])
def test_a_new_name_that_is_no_repositorys_is_refused_before_anything_is_read(tmp_path, back_up, name):
    options = argparse.Namespace(image="app:1", everything=False, instance="registry", new_name=name, over=False, snapshot=None, backup_settings=str(tmp_path))
    with pytest.raises(KeeperError, match="cannot be the name of a repository"):
        restore.run_host(options, Report(out=io.StringIO(), err=io.StringIO()))


@pytest.fixture
def backed_up(tmp_path, back_up):
    """A storage, its backup, and the entry of it in that. The tags 1, 2 and 3 are so many days old, and their images have another tag each."""
    storage = back_up.storage
    for tag in "321":
        storage.image("app", tag, tag)
        storage.age(DAY)
    back_up("true")
    settings = load(str(tmp_path))
    contents = json.loads(pathlib.Path(backup.contents_path(settings)).read_text())
    made = restore.Backup(Restic(settings, program(tmp_path, 'cat "$4"')), "a snapshot", contents)
    return storage, made, made.entry("registry")


def days_old(storage, tag):
    return round((time.time() - os.stat(storage.tree.tag("app", tag) + "/current/link").st_mtime) / DAY)


def test_restored_tags_are_as_old_as_they_were_and_all_other_links_are_new(backed_up):
    storage, made, entry = backed_up
    shutil.rmtree(storage.tree.repositories)
    fetch.link(made.links(entry), fetch.Target(storage.tree, None))
    assert [days_old(storage, tag) for tag in "123"] == [1, 2, 3]
    # Collections take what is old.
    others = [path for path in pathlib.Path(storage.tree.repositories).rglob("link") if path.parent.name != "current"]
    assert len(others) > 10
    assert all(time.time() - path.stat().st_mtime < 60 for path in others)


def test_a_tag_that_is_right_already_keeps_its_time(backed_up):
    storage, made, entry = backed_up
    entry.pop("pushed")
    storage.untag("app", "2")
    storage.tag("app", "3", storage.image("app", "another"))
    storage.age(DAY)
    fetch.link(made.links(entry), fetch.Target(storage.tree, None))
    # A backup of an earlier version does not say when the others were pushed.
    assert [days_old(storage, tag) for tag in "123"] == [2, 0, 0]
    assert [storage.pull("app", tag) for tag in "123"] == [None] * 3


def test_a_restoration_without_the_program_needs_what_the_manual_says_and_no_more(backed_up, tmp_path):
    storage, _made, _entry = backed_up
    links = [path.read_text() for path in sorted(pathlib.Path(storage.tree.repositories).rglob("link"))]
    manual = (pathlib.Path(__file__).parents[4] / "docs/backup.md").read_text().partition("Without `registry-keeper`")[2].split("```")[1]
    shutil.rmtree(storage.tree.repositories)
    for there, here in (
        ("/var/lib/docker-registry/docker/registry/v2", str(storage.tree.root)),
        ("/var/lib/registry-keeper-backup", str(tmp_path / "state")),
        ("restic dump SNAPSHOT", "cat"),
        ("docker-registry:", str(os.getuid())),
    ):
        assert there in manual
        manual = manual.replace(there, here)
    subprocess.run(["bash", "-euc", manual], check=True)
    assert [path.read_text() for path in sorted(pathlib.Path(storage.tree.repositories).rglob("link"))] == links
    assert [days_old(storage, tag) for tag in "123"] == [1, 2, 3]


def test_a_host_with_images_or_another_ca_is_not_restored_over(tmp_path):
    storage = Storage(str(tmp_path / "storage"))
    restore_host._refuse_images(Source("registry", storage.path))
    storage.blob(b"one")
    with pytest.raises(KeeperError, match="has images already, and nothing was changed"):
        restore_host._refuse_images(Source("registry", storage.path))
    staged = tmp_path / "staged"
    key = tmp_path / "ca.key"
    pathlib.Path(f"{staged}{key}").parent.mkdir(parents=True)
    pathlib.Path(f"{staged}{key}").write_text("old")
    restore_host._refuse_files(str(staged), [str(key)])
    key.write_text("new")
    with pytest.raises(KeeperError, match="ca.key is there already and differs from the backup"):
        restore_host._refuse_files(str(staged), [str(key)])


@pytest.mark.parametrize("over", [pytest.param(True, id="over"), pytest.param(False, id="onto an empty host")])
def test_a_whole_restoration_brings_back_what_is_damaged_as_well_as_what_is_missing(backed_up, monkeypatch, over):
    storage, made, entry = backed_up
    damaged, missing, *sound = sorted({one.digest for one in made.links(entry)})
    pathlib.Path(storage.tree.data(damaged)).write_bytes(b"rotten")
    os.unlink(storage.tree.data(missing))
    fetched = []
    monkeypatch.setattr(restore_host, "fetch", lambda _restic, _snapshot, _blobs, digests, *_more: fetched.extend(digests) or fetch.Fetched())
    restore_host._restore_instance(made, Source("registry", storage.path), entry, over, Report(out=io.StringIO(), err=io.StringIO()))
    assert sorted(fetched) == [damaged, missing, *([] if over else sound)]


def test_a_restored_file_is_for_nobody_of_a_group_that_may_be_another_one_here(tmp_path):
    status = os.stat_result((0o100640, 0, 0, 0, 0, 998, 0, 0, 0, 0))
    assert restore_host._mode(status) == 0o600
    assert restore_host._mode(os.stat_result((0o100644, 0, 0, 0, 0, 0, 0, 0, 0, 0))) == 0o644
