# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import gzip
import os
import pathlib
import tarfile
import tempfile

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._host import release_archive
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._host import archives
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._host.archives import member
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils.programs import run_program

REGISTRY = member("registry", archives.program("3.1.2"))


@pytest.fixture
def place():
    """A directory that users without rights may enter, as they may enter /opt."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        os.chmod(path, 0o755)
        yield pathlib.Path(path)


@pytest.fixture
def server():
    with archives.serving() as found:
        yield found


# Fetching


def test_what_is_fetched_has_its_checksum_and_its_bytes(server, place):
    server.give("/a", b"content", Content_Encoding="gzip")
    assert release_archive.download(f"{server.url}/a", str(place / "copy")) == "sha256:ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"
    assert (place / "copy").read_bytes() == b"content"
    assert server.asked[0][1]["user-agent"] == "holdfast.registry"


def test_a_redirection_is_followed(server, place):
    server.give("/a", b"", 302, Location="/b")
    server.give("/b", b"content")
    release_archive.download(f"{server.url}/a", str(place / "copy"))
    assert (place / "copy").read_bytes() == b"content"


def test_a_proxy_of_the_environment_is_used(server, place, monkeypatch):
    monkeypatch.setenv("http_proxy", server.url)
    server.give("http://mirror.example.org/a", b"content")
    release_archive.download("http://mirror.example.org/a", str(place / "copy"))
    assert (place / "copy").read_bytes() == b"content"


@pytest.mark.parametrize("path", ["/none", "/gone"])
def test_an_answer_that_is_no_archive_is_said(server, place, path):
    server.give("/gone", b"", 410)
    with pytest.raises(HoldfastError, match="answered 4(04 Not Found|10 Gone)"):
        release_archive.download(server.url + path, str(place / "copy"))


def test_a_server_that_is_not_there_is_said(place):
    with pytest.raises(HoldfastError, match="cannot be fetched: .*refused"):
        release_archive.download("http://127.0.0.1:1/a", str(place / "copy"))


def test_what_ends_early_is_said_with_its_length(server, place):
    server.give("/a", b"content", Content_Length="100")
    with pytest.raises(HoldfastError, match="ended after 7 of 100 bytes"):
        release_archive.download(f"{server.url}/a", str(place / "copy"))


def test_what_is_too_large_is_not_kept_to_its_end(server, place, monkeypatch):
    monkeypatch.setattr(release_archive, "ARCHIVE_LIMIT", 1000)
    monkeypatch.setattr(release_archive, "_PIECE", 100)
    server.answers["/a"] = (200, {}, b"x" * 1_000_000)
    with pytest.raises(HoldfastError, match="larger than 1000 bytes"):
        release_archive.download(f"{server.url}/a", str(place / "copy"))
    assert (place / "copy").stat().st_size <= 1000


def test_a_server_that_takes_too_long_is_left(server, place, monkeypatch):
    monkeypatch.setattr(release_archive, "TIME_LIMIT", -1)
    server.give("/a", b"content")
    with pytest.raises(HoldfastError, match="not there after"):
        release_archive.download(f"{server.url}/a", str(place / "copy"))


def test_a_server_that_falls_silent_is_left(server, place, monkeypatch):
    monkeypatch.setattr(release_archive, "_SILENCE", 0.2)
    held = []

    def silent(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "10")
        handler.end_headers()
        held.append(handler.rfile.read(1))  # until the client goes

    server.answers["/a"] = silent
    with pytest.raises(HoldfastError, match="cannot be fetched: .*timed out"):
        release_archive.download(f"{server.url}/a", str(place / "copy"))


def test_a_full_disk_is_no_fault_of_the_archive(server, place, monkeypatch):
    server.give("/a", b"content")

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(release_archive.os, "write", full)
    with pytest.raises(HoldfastError, match=f"cannot be kept in {place}: No space left on device"):
        release_archive.download(f"{server.url}/a", str(place / "copy"))


def test_what_was_sent_is_copied_unless_it_is_no_plain_file(place):
    (place / "sent").write_bytes(b"content")
    assert release_archive.take_over(str(place / "sent"), str(place / "copy")).startswith("sha256:ed7002b4")
    assert (place / "copy").read_bytes() == b"content"
    os.mkfifo(place / "pipe")
    with pytest.raises(HoldfastError, match="is not a plain file"):
        release_archive.take_over(str(place / "pipe"), str(place / "another"))
    (place / "link").symlink_to("sent")
    with pytest.raises(HoldfastError, match="cannot be read"):
        release_archive.take_over(str(place / "link"), str(place / "another"))


# Taking the program out


def take(place, *members, mode="w:gz"):
    archives.pack(place / "archive", *members, mode=mode)
    return release_archive.take_program(str(place / "archive"), str(place / "program"))


def test_the_program_is_taken_out_and_nothing_else(place):
    digest = take(place, member("LICENSE", b"x"), member("doc", kind=tarfile.DIRTYPE), member("doc/registry", b"y"), REGISTRY, member("README.md", b"z"))
    assert digest == archives.checksum(place / "program")
    assert (place / "program").read_bytes() == REGISTRY[1]
    assert (place / "program").stat().st_mode & 0o7777 == 0o755
    assert sorted(os.listdir(place)) == ["archive", "program"]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("LICENSE", b"x")], "holds no file named registry"),
        ([member("bin/registry", b"x")], "holds no file named registry"),
        ([REGISTRY, REGISTRY], "holds registry twice"),
        ([member("registry", kind=tarfile.SYMTYPE, target="/etc/passwd")], "'registry', which is no plain file"),
        ([member("registry", kind=tarfile.LNKTYPE, target="LICENSE")], "'registry', which is no plain file"),
        ([member("registry", kind=tarfile.CHRTYPE)], "'registry', which is no plain file"),
        ([member("registry", kind=tarfile.FIFOTYPE)], "'registry', which is no plain file"),
        ([REGISTRY, member("LICENSE", kind=tarfile.SYMTYPE, target="registry")], "'LICENSE', which is no plain file"),
        ([member("../registry", b"x"), REGISTRY], "'../registry', a path that leads out"),
        ([REGISTRY, member("a/../../b", b"x")], "'a/../../b', a path that leads out"),
        ([REGISTRY, member("/etc/cron.d/x", b"x")], "'/etc/cron.d/x', a path that leads out"),
    ],
)
def test_what_no_release_holds_is_refused_and_nothing_is_written_elsewhere(place, members, message):
    with pytest.raises(HoldfastError, match=message):
        take(place, *members)
    assert set(os.listdir(place)) <= {"archive", "program"}
    assert not (place / "program").is_symlink()


def test_what_is_no_whole_archive_is_refused(place):
    archives.pack(place / "whole", member("LICENSE", os.urandom(100_000)), REGISTRY)
    whole = (place / "whole").read_bytes()
    unpacked = gzip.decompress(whole)
    for content in (b"", b"\x7fELF", b"<html>", unpacked, whole[:50_000], whole[:-4000], gzip.compress(b"x" * 5000), gzip.compress(unpacked[:100_000])):
        (place / "archive").write_bytes(content)
        with pytest.raises(HoldfastError, match="is not a whole tar archive compressed with gzip|holds no file named registry"):
            release_archive.take_program(str(place / "archive"), str(place / "program"))
        (place / "program").unlink(missing_ok=True)


def test_what_unpacks_to_too_much_is_refused(place, monkeypatch):
    monkeypatch.setattr(release_archive, "UNPACKED_LIMIT", 1_000_000)
    for members in ([member("LICENSE", bytes(2_000_000)), REGISTRY], [member("registry", bytes(2_000_000))]):
        with pytest.raises(HoldfastError, match="unpacks to more than 1000000 bytes"):
            take(place, *members)
        (place / "program").unlink(missing_ok=True)
    assert (place / "archive").stat().st_size < 10_000


# Asking it what it is


def ask(place, content):
    path = place / "registry"
    path.write_bytes(content)
    path.chmod(0o755)
    return release_archive.version_of(run_program, str(path))


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ("registry github.com/docker/distribution v2.8.3", "2.8.3"),
        ("docker-registry github.com/docker/distribution 2.8.3+ds1", "2.8.3"),
        ("$0 github.com/distribution/distribution/v3 3.1.1", "3.1.1"),
        ("$0 github.com/distribution/distribution/v3 v3.1.1+unknown", "3.1.1"),
        ("/opt/a b/registry github.com/distribution/distribution/v3 3.0.0-rc.1", "3.0.0-rc.1"),
    ],
)
def test_the_version_is_read_as_upstream_and_the_distributions_write_it(place, answer, version):
    assert ask(place, f'#!/bin/sh\necho "{answer}"\n'.encode()) == version


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"#!/bin/sh\necho hello\n", "holds another program: .*'hello'"),
        (b"#!/bin/sh\necho usage >&2; exit 1\n", "holds another program: .*'usage'"),
        (b"#!/bin/sh\necho registry github.com/evil/distribution v3.1.2\n", "holds another program"),
        (b"#!/bin/sh\necho registry github.com/docker/distribution-evil v3.1.2\n", "holds another program"),
        (b"#!/bin/sh\necho registry github.com/distribution/distribution v3.1.2; exit 3\n", "holds another program"),
        (b"\x7fELF\x02\x01\x01rubbish", "does not run on this host"),
    ],
)
def test_another_program_is_refused(place, content, message):
    with pytest.raises(HoldfastError, match=message):
        ask(place, content)


def test_a_program_that_does_not_answer_is_ended(place, monkeypatch):
    monkeypatch.setattr(release_archive, "_SECONDS", 0.2)
    with pytest.raises(HoldfastError, match="does not say its version within 0.2 seconds"):
        ask(place, b"#!/bin/sh\nexec sleep 20\n")


def test_a_program_that_ignores_its_end_is_killed(place, monkeypatch):
    monkeypatch.setattr(release_archive, "_SECONDS", 0.2)
    with pytest.raises(HoldfastError, match="does not say its version within"):
        ask(place, b"#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n")


def test_it_is_asked_without_rights_and_without_the_environment(place, monkeypatch):
    monkeypatch.setenv("TOKEN", "correct-horse")
    (place / "secret").write_text("x")
    (place / "secret").chmod(0o600)
    script = f"#!/bin/sh\nid -u; id -G; grep NoNewPrivs /proc/self/status; cat {place}/secret >/dev/null || echo none; env\n"
    with pytest.raises(HoldfastError) as refused:
        ask(place, script.encode())
    said = str(refused.value)
    assert "correct-horse" not in said and "HOME=" not in said
    if os.geteuid() == 0:
        monkeypatch.setattr(release_archive, "_ANSWER", release_archive.re.compile("(.*)", release_archive.re.DOTALL))
        lines = ask(place, script.encode()).split("\n")
        assert lines[:4] == ["65534", "65534", "NoNewPrivs:\t1", "none"]
        assert {line.partition("=")[0] for line in lines[4:] if line} <= {"PWD", "OLDPWD", "SHLVL", "_"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root asks as another user")
def test_a_directory_that_others_cannot_enter_is_named(place):
    (place / "closed").mkdir(0o700)
    with pytest.raises(HoldfastError, match=f"cannot be run in {place}/closed: others must be able to enter it"):
        ask(place / "closed", archives.program("3.1.2"))


def test_a_host_without_setpriv_runs_nothing_as_root(place, monkeypatch):
    commands = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def without(*command, **_keywords):
        commands.append(command)
        return Result(127, "", "timeout: failed to run command 'setpriv': No such file or directory")

    with pytest.raises(HoldfastError, match="setpriv"):
        release_archive.version_of(without, str(place / "registry"))
    assert len(commands) == 1
    assert {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"} <= set(commands[0])
