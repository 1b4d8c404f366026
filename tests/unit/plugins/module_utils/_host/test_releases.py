# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import json
import os
import pathlib
import re
import stat
import tempfile
import threading

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import known_releases, release_archive, release_changes, releases
from ansible_collections.holdfast.registry.plugins.module_utils._host.release_parameters import Wanted
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._host import archives
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

WRONG = f"sha256:{'0' * 64}"


class Host:
    """A directory that users without rights may enter, as they may enter /opt, and archives of two releases."""

    def __init__(self, path):
        self.path, self.directory = path, path / "opt/registry"
        self.runs = 0
        for directory in ("opt", "archives", "state"):
            (path / directory).mkdir()
        self.checksums = {version: self.pack(version) for version in ("2.8.3", "3.1.2")}

    def pack(self, version, content=None):
        return archives.release(self.path / "archives" / version, version, content)

    def entry(self, version, /, **more):
        return {"version": version, "archive": str(self.path / "archives" / version), "checksum": self.checksums.get(version), **more}

    def manage(self, *entries, links=None, check_mode=False, prune=False, machine="x86_64"):
        self.runs += 1
        entries = [{"url": None, "archive": None, "checksum": None, "called": None, **entry} for entry in entries]
        params = {
            "directory": str(self.directory),
            "releases": entries,
            "links": [{"name": name, "version": version} for name, version in (links or {}).items()],
            "prune": prune,
        }
        return releases.manage(run_program, Wanted.of(params, machine), check_mode)

    def state(self):
        """Everything below, with modes, targets, content and which file it is."""
        found = {}
        for path in self.path.rglob("*"):
            if path.suffix != ".lock":
                status = path.lstat()
                content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
                found[str(path.relative_to(self.path))] = (stat.S_IMODE(status.st_mode), status.st_ino, content)
        return found

    def installed(self):
        return sorted(os.listdir(self.directory / "releases"))

    def link(self, name):
        return os.readlink(self.directory / name)

    def says(self, name):
        return run_program(str(self.directory / name), "--version").out.split()[-1]


@pytest.fixture
def host(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        monkeypatch.setattr(releases, "STATE", f"{path}/state")
        yield Host(pathlib.Path(path))


@pytest.fixture
def server():
    with archives.serving() as found:
        yield found


# What is installed


def test_two_releases_stand_side_by_side_and_each_link_leads_to_its_own(host):
    result = host.manage(host.entry("2.8.3"), host.entry("3.1.2"), links={"first": "2.8.3", "mirror": "3.1.2"})
    assert host.installed() == ["2.8.3", "3.1.2"]
    assert (host.says("first"), host.says("mirror")) == ("v2.8.3", "v3.1.2")
    assert host.link("first") == "releases/2.8.3/registry"
    assert (result["changed"], result["installed"], result["linked"], result["removed"]) == (True, ["2.8.3", "3.1.2"], ["first", "mirror"], [])
    assert result["versions"] == {"first": 2, "mirror": 3}
    assert [change.partition(": ")[0].replace(str(host.directory), "") for change in result["changes"]] == [
        "",
        "/releases",
        "/releases/2.8.3",
        "/releases/3.1.2",
        "/first",
        "/mirror",
    ]
    for path, mode in (("", 0o755), ("releases", 0o755), ("releases/3.1.2", 0o755), ("releases/3.1.2/registry", 0o755), ("releases/3.1.2/release.json", 0o644)):
        status = (host.directory / path).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, os.geteuid(), os.getegid())
    assert sorted(os.listdir(host.directory / "releases/3.1.2")) == ["registry", "release.json"]


def test_a_umask_changes_no_mode(host):
    before = os.umask(0o077)
    try:
        host.manage(host.entry("3.1.2"))
    finally:
        os.umask(before)
    assert {oct(path.stat().st_mode & 0o777) for path in (host.directory, host.directory / "releases", host.directory / "releases/3.1.2")} == {"0o755"}


def test_a_second_run_changes_nothing_and_does_not_look_at_the_archive(host):
    wanted = (host.entry("2.8.3"), host.entry("3.1.2")), {"first": "3.1.2"}
    host.manage(*wanted[0], links=wanted[1])
    for version in ("2.8.3", "3.1.2"):
        (host.path / "archives" / version).unlink()
    before = host.state()
    for check_mode in (True, False):
        result = host.manage(*wanted[0], links=wanted[1], check_mode=check_mode)
        assert (result["changed"], result["changes"], result["installed"], result["linked"], result["diff"]) == (False, [], [], [], [])
        assert result["versions"] == {"first": 3}
    assert host.state() == before


def test_to_another_version_and_back_only_the_link_changes(host):
    both = host.entry("2.8.3"), host.entry("3.1.2")
    host.manage(*both, links={"first": "2.8.3", "mirror": "2.8.3"})
    before = host.state()
    changed = host.manage(*both, links={"first": "3.1.2", "mirror": "2.8.3"})
    assert changed["changes"] == [f"{host.directory}/first: points to releases/3.1.2/registry instead of releases/2.8.3/registry"]
    assert (changed["linked"], changed["installed"], changed["versions"]) == (["first"], [], {"first": 3, "mirror": 2})
    between = host.state()
    assert {path for path in before if before[path] != between[path]} == {"opt/registry/first"}
    # One release is enough to go back to, and the other one stays.
    back = host.manage(host.entry("2.8.3"), links={"first": "2.8.3", "mirror": "2.8.3"})
    assert (back["linked"], back["installed"]) == (["first"], [])
    assert {path: content[2] for path, content in host.state().items()} == {path: content[2] for path, content in before.items()}


def test_a_link_is_never_missing_while_it_changes(host):
    both = host.entry("2.8.3"), host.entry("3.1.2")
    host.manage(*both, links={"first": "2.8.3"})
    missing, done = [], threading.Event()

    def look():
        while not done.is_set():
            if not (host.directory / "first").exists():
                missing.append(1)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for number in range(20):
            host.manage(*both, links={"first": ("3.1.2", "2.8.3")[number % 2]})
    finally:
        done.set()
        thread.join()
    assert not missing


def test_a_version_may_be_wanted_twice(host):
    result = host.manage(host.entry("3.1.2"), host.entry("3.1.2"), links={"first": "3.1.2", "mirror": "3.1.2"})
    assert result["installed"] == ["3.1.2"]


def test_a_release_is_fetched_from_a_url_with_its_version_and_architecture(host, server):
    server.give("/v3.1.2/registry_linux_arm64.tgz?token=secret", (host.path / "archives/3.1.2").read_bytes())
    entry = {"version": "3.1.2", "url": server.url + "/v{version}/registry_linux_{arch}.tgz?token=secret", "checksum": host.checksums["3.1.2"]}
    result = host.manage(entry, machine="aarch64")
    assert result["installed"] == ["3.1.2"]
    assert "secret" not in json.dumps(result)
    assert not host.manage(entry, machine="aarch64")["changed"]
    assert len(server.asked) == 1


@pytest.mark.parametrize("lost", [False, True])
def test_a_program_that_was_changed_is_installed_again(host, lost):
    host.manage(host.entry("3.1.2"), links={"first": "3.1.2"})
    program = host.directory / "releases/3.1.2/registry"
    if lost:
        program.unlink()
    else:
        program.write_bytes(program.read_bytes() + b"# changed\n")
    predicted = host.manage(host.entry("3.1.2"), links={"first": "3.1.2"}, check_mode=True)
    result = host.manage(host.entry("3.1.2"), links={"first": "3.1.2"})
    assert result == predicted
    assert result["installed"] == ["3.1.2"] and "was changed or removed after" in result["changes"][0]
    assert program.read_bytes() == archives.program("3.1.2")
    assert host.installed() == ["3.1.2"]
    assert not host.manage(host.entry("3.1.2"), links={"first": "3.1.2"})["changed"]


@pytest.mark.parametrize("record", [None, "", "{", "[]", '{"archive": 1}'])
def test_a_release_without_a_record_is_installed_again(host, record):
    host.manage(host.entry("3.1.2"))
    path = host.directory / "releases/3.1.2/release.json"
    if record is None:
        path.unlink()
    else:
        path.write_text(record)
    result = host.manage(host.entry("3.1.2"))
    assert result["installed"] == ["3.1.2"] and "no record" in result["changes"][0]
    assert not host.manage(host.entry("3.1.2"))["changed"]


def test_modes_are_put_right(host):
    host.manage(host.entry("3.1.2"))
    (host.directory / "releases/3.1.2/registry").chmod(0o775)
    (host.directory / "releases").chmod(0o777)
    predicted = host.manage(host.entry("3.1.2"), check_mode=True)
    result = host.manage(host.entry("3.1.2"))
    assert result == predicted
    assert [change.rpartition(": ")[2] for change in result["changes"]] == ["mode 0777 -> 0755", "mode 0775 -> 0755"]
    assert result["installed"] == []
    assert not host.manage(host.entry("3.1.2"))["changed"]


def test_only_prune_removes_what_is_not_wanted(host):
    host.manage(host.entry("2.8.3"), host.entry("3.1.2"), links={"first": "2.8.3", "old": "2.8.3"})
    (host.directory / "theirs").symlink_to("/usr/bin/true")
    (host.directory / "releases/notes").write_text("theirs")
    kept = host.manage(host.entry("3.1.2"), links={"first": "3.1.2"})
    assert kept["removed"] == [] and host.link("old") == "releases/2.8.3/registry"
    predicted = host.manage(host.entry("3.1.2"), links={"first": "3.1.2"}, prune=True, check_mode=True)
    result = host.manage(host.entry("3.1.2"), links={"first": "3.1.2"}, prune=True)
    assert result == predicted
    assert result["changes"] == [f"{host.directory}/old: removed, not wanted", f"{host.directory}/releases/2.8.3: removed, not wanted"]
    assert result["removed"] == ["2.8.3"]
    assert host.installed() == ["3.1.2", "notes"]
    assert sorted(os.listdir(host.directory)) == ["first", "releases", "theirs"]
    assert not host.manage(host.entry("3.1.2"), links={"first": "3.1.2"}, prune=True)["changed"]


# Check mode


def test_check_mode_verifies_foretells_and_changes_nothing(host):
    wanted = {"links": {"first": "3.1.2"}}
    before = host.state()
    predicted = host.manage(host.entry("3.1.2"), check_mode=True, **wanted)
    assert host.state() == before
    assert host.manage(host.entry("3.1.2"), **wanted) == predicted
    before = host.state()
    both = host.entry("2.8.3"), host.entry("3.1.2")
    predicted = host.manage(*both, links={"first": "2.8.3"}, prune=True, check_mode=True)
    assert host.state() == before
    assert host.manage(*both, links={"first": "2.8.3"}, prune=True) == predicted


def test_check_mode_leaves_nothing_in_the_directories_for_temporary_files(host):
    def left():
        return [name for name in os.listdir("/tmp") if name.startswith("holdfast-release.")]

    before = left()
    host.manage(host.entry("3.1.2"), check_mode=True)
    with pytest.raises(HoldfastError):
        host.manage(host.entry("3.1.2", checksum=WRONG), check_mode=True)
    assert left() == before


def test_where_nothing_may_be_run_in_tmp_check_mode_verifies_elsewhere(host, monkeypatch):
    asked = []
    real = os.statvfs

    def without(path):
        asked.append(path)
        status = list(real(path))
        status[8] |= os.ST_NOEXEC
        return os.statvfs_result(status)

    monkeypatch.setattr(releases.os, "statvfs", without)
    assert host.manage(host.entry("3.1.2"), check_mode=True)["installed"] == ["3.1.2"]
    assert "/tmp" in asked and os.listdir(host.path / "opt") == []


# An archive on the controller


def test_an_archive_is_asked_for_only_if_it_is_needed(host):
    for check_mode in (True, False):
        before = host.state()
        asked = host.manage(host.entry("2.8.3", archive=""), host.entry("3.1.2", archive=""), links={"first": "3.1.2"}, check_mode=check_mode)
        assert asked == {"changed": False, "needs": [0, 1]}
        assert host.state() == before
    assert host.manage(host.entry("2.8.3"), host.entry("3.1.2", archive=""))["needs"] == [1]
    host.manage(host.entry("2.8.3"), host.entry("3.1.2"), links={"first": "3.1.2"})
    assert not host.manage(host.entry("2.8.3", archive=""), host.entry("3.1.2", archive=""), links={"first": "3.1.2"})["changed"]


# What is refused


def refuse(host, message, *entries, **more):
    """Refused in check mode and in a run, with the same words, and nothing is changed."""
    before, said = host.state(), []
    for check_mode in (True, False):
        with pytest.raises(HoldfastError, match=message) as refused:
            host.manage(*entries, check_mode=check_mode, **more)
        said.append(re.sub(r" in /\S+: No space", " in X: No space", str(refused.value)))
        assert host.state() == before
    assert said[0] == said[1]
    return said[0]


def test_a_wrong_checksum_is_refused_with_both(host):
    said = refuse(host, r"releases\[0\]\.checksum: the archive has the checksum sha256:", host.entry("3.1.2", checksum=WRONG))
    assert host.checksums["3.1.2"] in said and WRONG in said


def test_of_two_releases_none_is_installed_if_one_is_refused(host):
    host.manage(host.entry("2.8.3"), links={"first": "2.8.3"})
    host.checksums["3.1.1"] = host.pack("3.1.1")
    refuse(
        host, r"releases\[1\]\.checksum", host.entry("3.1.1"), host.entry("3.1.2", checksum=WRONG), host.entry("2.8.3"), links={"first": "3.1.1"}, prune=True
    )


def test_a_checksum_that_is_not_known_is_refused_with_the_way_to_it(host):
    said = refuse(host, r"releases\[0\]\.checksum: must be set", host.entry("9.9.9", checksum=None))
    page = "https://github.com/distribution/distribution/releases/download/v9.9.9/registry_9.9.9_linux_amd64.tar.gz.sha256"
    assert page in said
    refuse(host, "release 9.9.9 for arm64 is not known", host.entry("9.9.9", checksum=None), machine="aarch64")


def test_nothing_is_fetched_without_a_checksum(host, server):
    refuse(host, "checksum: must be set", {"version": "9.9.9", "url": f"{server.url}/a"})
    assert server.asked == []


@pytest.mark.parametrize("checksum", ["0" * 64, "sha256:", "sha256:" + "0" * 63, "sha256:" + "g" * 64, "md5:" + "0" * 32, "sha512:" + "0" * 128])
def test_what_is_no_checksum_is_refused(host, checksum):
    refuse(host, r"releases\[0\]\.checksum: .* is not a SHA-256 checksum", host.entry("3.1.2", checksum=checksum))


def test_a_checksum_in_capitals_is_the_same(host):
    host.manage(host.entry("3.1.2", checksum=host.checksums["3.1.2"].upper().replace("SHA", "sha")))
    assert not host.manage(host.entry("3.1.2"))["changed"]


@pytest.mark.parametrize("version", ["../x", "", ".", "3.1", "v3.1.2", "3.1.2/..", "3.1.2\n", "latest", "3.1.2+ds1", "3.1.2-", "3.1.2 ", "١.٢.٣"])
def test_what_is_no_version_is_refused(host, version):
    refuse(host, r"releases\[0\]\.version: .* is not the version of a release", host.entry("3.1.2", version=version, checksum=WRONG))


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://mirror.example.org/a", "begins with http"),
        ("file:///etc/passwd", "begins with http"),
        ("mirror.example.org/a", "begins with http"),
        ("https:///a", "begins with http"),
        ("https://[::1/a", "begins with http"),
        ("https://mirror.example.org/{file}", "no braces but those"),
        ("https://mirror.example.org/a b", "is not a URL"),
        ("https://user:correct-horse@mirror.example.org/a", "must not contain a username or password"),
    ],
)
def test_what_is_no_url_is_refused(host, url, message):
    said = refuse(host, rf"releases\[0\]\.url: .*{message}", {"version": "3.1.2", "url": url, "checksum": WRONG})
    assert "correct-horse" not in said


def test_a_url_that_answers_404_is_refused_by_its_name(host, server):
    refuse(host, rf"releases\[0\]\.url: {server.url}/none answered 404 Not Found", {"version": "3.1.2", "url": f"{server.url}/none", "checksum": WRONG})


def test_a_file_that_was_not_sent_whole_is_refused_by_its_checksum(host):
    path = host.path / "archives/3.1.2"
    path.write_bytes(path.read_bytes()[:-10])
    refuse(host, r"releases\[0\]\.checksum: the archive has the checksum", host.entry("3.1.2"))


def test_another_version_in_the_archive_is_refused(host):
    host.checksums["3.1.2"] = host.pack("3.1.2", archives.program("2.8.3"))
    refuse(host, r"releases\[0\]\.archive: the archive holds 2\.8\.3, not 3\.1\.2", host.entry("3.1.2"))


def test_another_program_in_the_archive_is_refused(host):
    host.checksums["3.1.2"] = host.pack("3.1.2", b"#!/bin/sh\necho v3.1.2\n")
    refuse(host, r"releases\[0\]\.archive: the archive holds another program", host.entry("3.1.2"))


def test_an_archive_with_a_link_is_refused_before_anything_of_it_is_run(host):
    ran = host.path / "ran"
    path = host.path / "archives/3.1.2"
    script = archives.member("registry", f"#!/bin/sh\ntouch {ran}\n".encode())
    host.checksums["3.1.2"] = archives.pack(path, script, archives.member("LICENSE", kind=b"2", target="/etc/passwd"))
    refuse(host, r"releases\[0\]\.archive: the archive holds 'LICENSE', which is no plain file", host.entry("3.1.2"))
    assert not ran.exists()


def test_an_archive_is_not_read_before_its_checksum_is_right(host, monkeypatch):
    read = []
    monkeypatch.setattr(release_archive, "take_program", lambda *_arguments: read.append(1))
    refuse(host, "has the checksum", host.entry("3.1.2", checksum=WRONG))
    assert not read


def test_a_url_and_an_archive_at_once_are_refused(host):
    refuse(host, r"releases\[0\]\.archive: is set as well as releases\[0\]\.url", host.entry("3.1.2", url="https://mirror.example.org/a"))


def test_an_architecture_without_releases_needs_a_source(host):
    refuse(host, r"releases\[0\]\.url: must be set, since no release for the architecture riscv64 is known", {"version": "3.1.2"}, machine="riscv64")
    assert host.manage(host.entry("3.1.2"), machine="riscv64")["installed"] == ["3.1.2"]


def test_another_checksum_than_that_of_the_installed_release_is_refused_with_what_to_do(host):
    host.manage(host.entry("3.1.2"), links={"first": "3.1.2"})
    said = refuse(host, "from an archive with another checksum", host.entry("3.1.2", checksum=WRONG), links={"first": "3.1.2"})
    assert f"remove {host.directory}/releases/3.1.2 and run this again" in said and host.checksums["3.1.2"] in said


def test_two_checksums_for_one_release_are_refused(host):
    refuse(host, r"releases\[1\]\.checksum: .* differs from .*, which releases\[0\]\.checksum gives", host.entry("3.1.2"), host.entry("3.1.2", checksum=WRONG))


@pytest.mark.parametrize("name", ["", "releases", "First", "a/b", "..", "1st", "a" * 17, "a-b"])
def test_what_is_no_name_of_a_link_is_refused(host, name):
    refuse(host, r"links\[0\]\.name", host.entry("3.1.2"), links={name: "3.1.2"})


def test_a_link_to_what_is_not_among_the_releases_is_refused(host):
    refuse(host, r"links\[0\]\.version: '3\.1\.1' is not the version of one of releases", host.entry("3.1.2"), links={"first": "3.1.1"})


def test_what_is_in_the_way_is_refused_and_kept(host):
    host.manage(host.entry("3.1.2"))
    (host.directory / "first").write_text("theirs")
    refuse(host, f"{host.directory}/first: is no symbolic link", host.entry("3.1.2"), links={"first": "3.1.2"})
    (host.directory / "releases/2.8.3").symlink_to("3.1.2")
    refuse(host, f"{host.directory}/releases/2.8.3: is not a directory", host.entry("2.8.3"))


def test_a_directory_that_is_a_file_is_refused(host):
    host.directory.write_text("theirs")
    refuse(host, f"{host.directory}: exists and is not a directory", host.entry("3.1.2"))


@pytest.mark.parametrize("directory", ["relative", "/opt/../etc", "/", "/opt//x"])
def test_a_directory_that_is_no_plain_path_is_refused(host, directory):
    host.directory = directory
    with pytest.raises(HoldfastError, match="directory: .* is not an absolute path"):
        host.manage(host.entry("3.1.2"))


def test_messages_use_the_names_that_the_user_knows(host):
    called = {"version": "registry_version", "checksum": "registry_checksum", "archive": None, "url": None}
    refuse(host, r"^registry_checksum: the archive has", host.entry("3.1.2", checksum=WRONG, called=called))
    refuse(host, r"^registry_version: 'x' is not", host.entry("3.1.2", version="x", called=called))
    refuse(host, r"^registry_checksum: must be set", host.entry("9.9.9", called=called))


def test_all_that_is_wrong_is_said_at_once(host):
    said = refuse(host, "x", host.entry("x"), host.entry("9.9.9"), host.entry("3.1.2"), links={"A": "3.1.2"})
    assert [part.partition(":")[0] for part in said.split("; ") if "[" in part] == ["releases[0].version", "releases[1].checksum", "links[0].name"]


def test_a_full_disk_leaves_nothing(host, monkeypatch):
    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release_archive.os, "write", full)
    refuse(host, r"releases\[0\]\.archive: the archive cannot be kept in .*: No space left", host.entry("3.1.2"))


# Known checksums


def test_the_known_checksums_are_checksums_of_versions_and_architectures():
    for version, checksums in known_releases.CHECKSUMS.items():
        assert re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", version)
        assert set(checksums) <= set(known_releases.ARCHITECTURES.values())
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", checksum) for checksum in checksums.values())
    every = [checksum for checksums in known_releases.CHECKSUMS.values() for checksum in checksums.values()]
    assert len(set(every)) == len(every)


def test_a_known_release_needs_nothing_but_its_version():
    entry = {"version": "3.0.0", "url": None, "archive": None, "checksum": None, "called": None}
    wanted = Wanted.of({"directory": "/opt/holdfast-registry", "releases": [entry], "links": [], "prune": False}, "x86_64")
    assert wanted.releases[0].url == "https://github.com/distribution/distribution/releases/download/v3.0.0/registry_3.0.0_linux_amd64.tar.gz"
    assert wanted.releases[0].checksum == "sha256:61c9a2c0d5981a78482025b6b69728521fbc78506d68b223d4a2eb825de5ca3d"


# Interrupted, and at once


STEPS = ["rename", "replace", "rmdir", "unlink", "symlink", "fsync", "mkdir", "fchmod"]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_run_that_is_interrupted_at_any_step_leaves_no_half_release_and_the_next_completes_it(host, monkeypatch, step, after):
    """Ended before or after the first, the second, ... call of each function that changes the disk, as by a kill: without cleaning up."""
    host.manage(host.entry("2.8.3"), links={"first": "2.8.3", "old": "2.8.3"})
    whole = {"releases/2.8.3/registry": archives.program("2.8.3"), "releases/3.1.2/registry": archives.program("3.1.2")}
    for nth in range(1, 100):
        survived = interrupted(host, monkeypatch, step, nth, after)
        for path in (host.directory / "releases").glob("[0-9]*/registry"):
            assert path.read_bytes() == whole[str(path.relative_to(host.directory))]
            assert (path.parent / "release.json").exists()
        assert host.says("first") in ("v2.8.3", "v3.1.2")
        host.manage(host.entry("3.1.2"), links={"first": "3.1.2"}, prune=True)
        assert host.says("first") == "v3.1.2" and host.installed() == ["3.1.2"]
        assert sorted(os.listdir(host.directory)) == ["first", "releases"]
        assert not host.manage(host.entry("3.1.2"), links={"first": "3.1.2"}, prune=True)["changed"]
        if survived:
            break
        host.manage(host.entry("2.8.3"), links={"first": "2.8.3", "old": "2.8.3"}, prune=True)
    assert survived
    assert nth > 1 or step in ("rmdir", "mkdir")


def interrupted(host, monkeypatch, step, nth, after):
    """A run that ends at the nth call of a function of os. Returns whether it had ended before."""
    pid = os.fork()
    if pid == 0:
        count = 0
        real = getattr(os, step)

        def counted(*arguments, **keywords):
            nonlocal count
            count += 1
            if count == nth and not after:
                os._exit(9)
            result = real(*arguments, **keywords)
            if count == nth:
                os._exit(9)
            return result

        monkeypatch.setattr(os, step, counted)
        try:
            host.manage(host.entry("3.1.2"), links={"first": "3.1.2"}, prune=True)
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 9)
    return code == 0


def test_runs_at_once_wait_for_each_other_and_install_once(host):
    results, problems = [], []

    def work(number):
        try:
            results.append(host.manage(host.entry("2.8.3"), host.entry("3.1.2"), links={"first": ("2.8.3", "3.1.2")[number % 2]}))
        except HoldfastError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert sum(bool(result["installed"]) for result in results) == 1
    assert host.installed() == ["2.8.3", "3.1.2"]
    assert sorted(os.listdir(host.directory)) == ["first", "releases"]


def test_leftovers_of_others_are_kept(host):
    host.manage(host.entry("3.1.2"))
    (host.directory / ".notes").write_text("theirs")
    (host.directory / "releases/.3.1.1.abcd0123.holdfast-tmp").mkdir()
    (host.directory / ".first.abcd0123.holdfast-tmp").symlink_to("releases/3.1.2/registry")
    host.manage(host.entry("3.1.2"))
    assert sorted(os.listdir(host.directory)) == [".notes", "releases"] and host.installed() == ["3.1.2"]


def test_a_record_tells_both_checksums(host):
    host.manage(host.entry("3.1.2"))
    record = release_changes.Record.read(str(host.directory / "releases/3.1.2"))
    assert record == release_changes.Record(host.checksums["3.1.2"], archives.checksum(host.directory / "releases/3.1.2/registry"))
