# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._apt import source as logic
from ansible_collections.holdfast.registry.plugins.modules import apt_source
from ansible_collections.holdfast.registry.tests.unit.plugins.openpgp_keys import FINGERPRINTS, KEYS

URI = "https://packages.example.org/debian"
ARGUMENTS = {"name": "ours", "uris": [URI], "suites": ["trixie"], "components": ["stable"], "key": KEYS["good"], "fingerprints": [FINGERPRINTS["good"]]}


@pytest.fixture
def apt(monkeypatch, tmp_path):
    """A directory of apt's, and an apt-get that accepts every repository unless there is a file refuse."""
    monkeypatch.setattr(logic, "STATE", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin/apt-get"
    script.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/called\n[ ! -e {tmp_path}/refuse ] || {{ echo "E: The repository is not signed." >&2; exit 100; }}\n')
    script.chmod(0o755)
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    return tmp_path / "apt"


def listing(directory):
    return {str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None for path in directory.rglob("*")}


@pytest.fixture
def put(run, apt):
    """Run the module, and check that check mode predicts it, that a second run does nothing and that a refused one changes nothing."""

    def call(**more):
        arguments = {**ARGUMENTS, "directory": str(apt), **more}
        before = listing(apt)
        predicted = run(apt_source, check=True, **arguments)
        assert listing(apt) == before
        real = run(apt_source, **arguments)
        assert {**predicted, "warnings": None} == {**real, "warnings": None}
        if real.get("failed"):
            assert listing(apt) == before
        else:
            assert run(apt_source, **arguments)["changed"] is False
        return real

    return call


def absent(run, apt, **more):
    return run(apt_source, name="ours", state="absent", directory=str(apt), **more)


def test_a_source_and_its_keyring_are_written_and_go_again_without_a_trace(put, run, apt):
    before = listing(apt)
    put()
    assert (apt / "sources.list.d/ours.sources").read_text() == (
        "# Managed by the Ansible module holdfast.registry.apt_source\n"
        f"Types: deb\nURIs: {URI}\nSuites: trixie\nComponents: stable\nSigned-By: {apt}/keyrings/ours.gpg\n"
    )
    assert (apt / "keyrings/ours.gpg").read_bytes()[0] & 0x80
    assert absent(run, apt)["changed"] is True
    assert listing(apt) == before
    assert absent(run, apt)["changed"] is False


def test_apt_sees_the_repository_before_the_source_is_written(put, apt, tmp_path):
    (tmp_path / "refuse").touch()
    message = put()["msg"]
    assert message == f"uris: apt does not accept {URI}, so nothing was changed: E: The repository is not signed."
    assert f"Dir::Etc::SourceList={apt}" not in (tmp_path / "called").read_text()


REFUSED = {
    "another": (KEYS["rsa"], f"key: holds the key {FINGERPRINTS['rsa']}, which fingerprints does not have"),
    "two": (KEYS["good"] + KEYS["rsa"], f"key: holds the key {FINGERPRINTS['rsa']}, which fingerprints does not have"),
    "damaged": (KEYS["good"].replace("m", "n", 1), "key: "),
    "cut": ("\n".join(KEYS["good"].splitlines()[:5]), "key: is not an OpenPGP public key: it is neither in ASCII armor"),
    "html": ("<html>404</html>", "key: is not an OpenPGP public key: it is neither in ASCII armor"),
    "empty": ("", "key: is not an OpenPGP public key"),
    "private": ("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQ==\n-----END PGP PRIVATE KEY BLOCK-----\n", "it is a private key block"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_key_is_refused_before_anything_is_written(put, name):
    key, words = REFUSED[name]
    assert words in put(key=key)["msg"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("expired", "expired on 2020-12-31; nothing was changed"),
        ("expired subkey", "has no subkey for signing that is neither expired nor revoked"),
        ("revoked", "is revoked; nothing was changed"),
    ],
)
def test_a_key_that_cannot_sign_any_more_is_refused(put, name, words):
    assert words in put(key=KEYS[name], fingerprints=[FINGERPRINTS[name]])["msg"]


def test_a_key_whose_fingerprint_is_another_is_refused(put):
    assert f"key: holds the key {FINGERPRINTS['good']}, which" in put(fingerprints=[FINGERPRINTS["rsa"]])["msg"]
    assert f"key: lacks the key {FINGERPRINTS['rsa']} of fingerprints" in put(fingerprints=[FINGERPRINTS["good"], FINGERPRINTS["rsa"]])["msg"]


def test_a_fingerprint_is_taken_as_people_write_it(put):
    spaced = " ".join(FINGERPRINTS["good"][at : at + 4] for at in range(0, 40, 4)).lower()
    assert put(fingerprints=[spaced])["changed"] is True
    assert put(fingerprints=["0x" + FINGERPRINTS["good"]])["changed"] is False


def test_a_binary_key_in_a_file_and_one_from_a_url_are_the_same(put, run, apt, tmp_path, monkeypatch):
    put()
    keyring = (apt / "keyrings/ours.gpg").read_bytes()
    absent(run, apt)
    armored = KEYS["good"].splitlines()
    (tmp_path / "key.gpg").write_bytes(base64.b64decode("".join(armored[2:-2])))
    put(key=None, key_path=str(tmp_path / "key.gpg"))
    assert (apt / "keyrings/ours.gpg").read_bytes() == keyring
    absent(run, apt)
    asked = []

    class Answer:
        def read(self, _limit):
            return KEYS["good"].encode()

    monkeypatch.setattr(apt_source, "open_url", lambda url, **_more: (asked.append(url), Answer())[1])
    put(key=None, key_url="https://packages.example.org/key")
    assert (apt / "keyrings/ours.gpg").read_bytes() == keyring
    # By check mode and the first run, and not by the second, which finds the right one on the host.
    assert len(asked) == 2


def test_a_key_that_cannot_be_fetched_is_an_error(put, tmp_path):
    assert "key_url: http://127.0.0.1:1/key cannot be fetched: " in put(key=None, key_url="http://127.0.0.1:1/key")["msg"]
    assert f"key_path: {tmp_path}/none does not exist" in put(key=None, key_path=f"{tmp_path}/none")["msg"]


@pytest.mark.parametrize(
    "url",
    [
        "http://staple@127.0.0.1:1/key",
        "http://me:battery@staple@127.0.0.1:1/key",
        "http://me:battery/staple@127.0.0.1:1/key",
        "http://me:a@b:staple@127.0.0.1/key",
        "http://me:staple?@127.0.0.1:1/key",
        "http://127.0.0.1:1/key?token=staple",
        "http://127.0.0.1:staple@1/key",
        "me:staple@127.0.0.1/key",
        "ftp://127.0.0.1/key?token=staple",
    ],
)
def test_a_token_or_password_in_the_url_of_a_key_is_shown_nowhere(put, url):
    shown = put(key=None, key_url=url)
    assert shown["msg"].startswith("key_url: ")
    assert "staple" not in str(shown) and "battery" not in str(shown)


def test_a_url_that_has_a_password_is_fetched_with_it(put, monkeypatch):
    class Answer:
        def read(self, _limit):
            return KEYS["good"].encode()

    asked = set()
    monkeypatch.setattr(apt_source, "open_url", lambda url, **_more: (asked.add(url), Answer())[1])
    url = "https://me:battery@staple@packages.example.org:8443/key?token=abc"
    assert "staple" not in str(put(key=None, key_url=url))
    assert asked == {url.replace("battery@", "battery%40")}


ONE_LINER = f"# by hand\ndeb [arch=amd64 signed-by=/etc/apt/keyrings/docker.asc] {URI}/ trixie stable\ndeb https://other.example.org x main\n"
STANZA = f"""Types: deb
URIs: https://other.example.org
Suites: x
Components: main

# by hand
Types: deb
Enabled: yes
URIs: {URI}
Suites: trixie
Components:
 stable
"""


@pytest.mark.parametrize(("name", "text"), [("docker.list", ONE_LINER), ("docker.sources", STANZA)])
def test_entries_of_others_for_the_repository_are_switched_off_and_come_back(put, run, apt, name, text):
    other = apt / "sources.list.d" / name
    other.write_text(text)
    other.chmod(0o640)
    result = put()
    lines = [line for line in other.read_text().splitlines() if not line.startswith("#")]
    assert "https://other.example.org" in "".join(lines)
    assert "Enabled: no" in lines if name.endswith(".sources") else URI not in "".join(lines)
    assert f"{other}: has the repository too, switched off in favour of" in "".join(result["reasons"])
    absent(run, apt)
    assert (other.read_text(), other.stat().st_mode & 0o777) == (text, 0o640)


def test_an_entry_comes_back_when_the_source_names_another_repository(put, apt):
    other = apt / "sources.list"
    other.write_text(ONE_LINER)
    put()
    put(uris=["https://mirror.example.org/debian"])
    assert other.read_text() == ONE_LINER


@pytest.mark.parametrize(
    "line",
    [f"deb {URI} trixie stable test", f"deb-src {URI} trixie stable", f"deb {URI} trixie stable\ndeb-src {URI.replace('https', 'http')}/ trixie stable"],
    ids=["component", "sources", "both"],
)
def test_an_entry_that_has_more_is_named_and_nothing_is_changed(put, apt, line):
    other = apt / "sources.list.d/docker.list"
    other.write_text(f"# by hand\n{line}\n")
    assert f"{other}: line {line.count(chr(10)) + 2} has a repository of uris with other types, suites or components" in put()["msg"]


def test_other_suites_and_files_that_apt_does_not_read_stay(put, apt):
    (apt / "sources.list.d/docker.list").write_text(f"deb {URI} bookworm stable\n")
    (apt / "sources.list.d/docker.list.save").write_text(ONE_LINER)
    assert "switched off" not in "".join(put()["reasons"])


@pytest.mark.parametrize("line", ["Enabled: no", "enabled: No", "Enabled: false", "Enabled: off", "Enabled:\n without", "Enabled: 0"])
def test_an_entry_that_somebody_has_switched_off_is_nobodys_business(put, apt, line):
    other = apt / "sources.list.d/docker.sources"
    other.write_text(f"{line}\nTypes: deb\nURIs: {URI}\nSuites: trixie\nComponents: stable test\n")
    assert "switched off" not in "".join(put()["reasons"])
    other.write_text(f"Enabled:\nTypes: deb\nURIs: {URI}\nSuites: trixie\nComponents: stable test\n")
    assert "line 1 has a repository of uris" in put(architectures=["amd64"])["msg"]


def test_a_keyring_that_trusts_the_key_for_everything_is_pointed_out(put, apt):
    (apt / "trusted.gpg.d").mkdir()
    (apt / "trusted.gpg.d/docker.asc").write_text(KEYS["good"])
    (apt / "trusted.gpg.d/other.asc").write_text(KEYS["rsa"])
    warned = str(put()["warnings"])
    assert f"{apt}/trusted.gpg.d/docker.asc: trusts this key for every repository; remove it, the new source does not need it" in warned
    assert "other.asc" not in warned


@pytest.mark.parametrize("name", ["sources.list.d/ours.sources", "keyrings/ours.gpg"])
def test_a_file_of_somebody_else_is_not_replaced(put, run, apt, name):
    (apt / "keyrings").mkdir()
    (apt / name).write_text("theirs\n")
    assert put()["msg"] == f"{apt / name}: exists and was not written by this module; remove it or choose another name"
    assert absent(run, apt)["changed"] is False
    assert (apt / name).read_text() == "theirs\n"


@pytest.mark.parametrize("state", ["present", "absent"])
def test_what_a_killed_run_left_of_the_record_goes(run, apt, tmp_path, state):
    leftover = tmp_path / "state/apt/.ours.json.01ab23cd.holdfast-tmp"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("{")
    run(apt_source, **({"name": "ours", "state": "absent"} if state == "absent" else ARGUMENTS), directory=str(apt))
    assert not leftover.exists()


def test_a_key_that_is_replaced_or_damaged_on_the_host_is_put_right(put, apt):
    put()
    (apt / "keyrings/ours.gpg").write_bytes(b"x")
    assert put()["changed"] is True
    put(key=KEYS["rsa"], fingerprints=[FINGERPRINTS["rsa"]])
    assert (apt / "keyrings/ours.gpg").stat().st_size > 500


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"uris": ["ftp://x"]}, "uris[0]: 'ftp://x' is not a URL"),
        ({"uris": ["https://me:battery@x/"]}, "uris[0]: must not have a user name or password"),
        ({"uris": ["https://me:battery/staple@x/"]}, "uris[0]: 'https://********@x/' is not a URL"),
        ({"uris": []}, "uris: is empty"),
        ({"suites": ["a b"]}, "suites[0]: 'a b' is not a suite such as trixie"),
        ({"components": []}, "components: go with suites that are names"),
        ({"suites": ["./"]}, "components: go with suites that are names"),
        ({"components": ["a\nb"]}, "is not a component such as stable"),
        ({"architectures": ["AMD 64"]}, "is not an architecture such as amd64"),
        ({"fingerprints": ["1234"]}, "fingerprints[0]: '1234' is not the fingerprint of a key"),
        ({"name": "../x"}, "name: '../x' cannot name a file"),
        ({"key": None, "key_path": "/a\0b"}, "key_path: '/a\\x00b' must not contain a NUL character"),
        ({"key_url": "https://x/"}, "key, key_url and key_path: are given together"),
        ({"key": None}, "key, key_url and key_path: none is given"),
    ],
    ids=lambda value: None if isinstance(value, str) else "-".join(value),
)
def test_what_cannot_be_right_is_refused(put, more, words):
    assert words in put(**more)["msg"]
