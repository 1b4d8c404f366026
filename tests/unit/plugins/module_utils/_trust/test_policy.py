# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import base64
import json
import os

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import remembered
from ansible_collections.holdfast.registry.plugins.module_utils._trust.policy import Wanted, manage
from ansible_collections.holdfast.registry.plugins.module_utils._trust.requirements import parse

DER = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + b"\x04" + b"k" * 64
LINE = base64.b64encode(DER).decode()
KEY = f"-----BEGIN PUBLIC KEY-----\n{LINE[:64]}\n{LINE[64:]}\n-----END PUBLIC KEY-----\n"
OTHER = KEY.replace(base64.b64encode(b"k" * 3).decode(), base64.b64encode(b"o" * 3).decode())
GPG = f"-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: 1\n\n{base64.b64encode(b'keyring').decode()}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n"
ACCEPT = [{"type": "insecureAcceptAnything"}]
HOST = "registry.test:5000"


class Machine:
    """A host whose policy is in a directory, with programs that say what is in programs."""

    def __init__(self, path):
        self.directory, self.record, self.programs = path / "containers", path / "state/signature_policy.json", {}
        self.commands = []
        self.directory.mkdir()
        self.policy, self.lookups = self.directory / "policy.json", self.directory / "registries.d/holdfast.yaml"

    def run_program(self, *command, **_keywords):
        self.commands.append(command)
        return Result(1, "", "") if command[0] not in self.programs else Result(0, *self.programs[command[0]])

    def write(self, content):
        self.policy.write_text(content if isinstance(content, str) else json.dumps(content))

    def lookup(self, name, content):
        path = self.directory / "registries.d" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)

    def want(self, *policies, name="play", check_mode=False):
        wanted = [{"type": "sigstore", "keys": [], "lookaside": None, **policy} for policy in policies]
        wanted = Wanted(name, parse(wanted, parameter="policies"), str(self.directory))
        return manage(self.run_program, wanted, str(self.record), check_mode=check_mode)

    @property
    def scopes(self):
        return json.loads(self.policy.read_text()).get("transports", {}).get("docker", {})


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    made.write({"default": ACCEPT})
    return made


def signed(scope=HOST, *keys, **values):
    return {"scope": scope, "keys": list(keys or [KEY]), **values}


def decoded(text):
    return base64.b64decode(text).decode()


def test_a_scope_gets_what_podman_needs_to_find_and_to_check_a_signature_of_cosign(machine):
    assert machine.want(signed())["changed"]
    (requirement,) = machine.scopes[HOST]
    assert (requirement["type"], requirement["signedIdentity"]) == ("sigstoreSigned", {"type": "matchRepository"})
    assert decoded(requirement["keyData"]) == KEY
    assert f'docker:\n  "{HOST}":\n    use-sigstore-attachments: true\n' in machine.lookups.read_text()
    assert json.loads(machine.policy.read_text())["default"] == ACCEPT


def test_a_second_run_changes_nothing(machine):
    machine.want(signed(), signed("registry.test/old", type="reject", keys=[]))
    before = [(path, path.stat().st_mtime_ns) for path in (machine.policy, machine.lookups, machine.record)]
    result = machine.want(signed(), signed("registry.test/old", type="reject", keys=[]))
    assert (result["changed"], result["diff"]) == (False, [])
    assert [(path, path.stat().st_mtime_ns) for path, _time in before] == before


def test_check_mode_says_what_the_run_does_and_writes_nothing(machine):
    machine.want(signed())
    before = machine.policy.read_text(), machine.lookups.read_text(), machine.record.read_text()
    predicted = machine.want(signed(HOST, OTHER), signed("other.test"), check_mode=True)
    assert (machine.policy.read_text(), machine.lookups.read_text(), machine.record.read_text()) == before
    assert predicted == machine.want(signed(HOST, OTHER), signed("other.test"))
    assert predicted["changes"][:2] == [f"{HOST}: changed, sigstore", "other.test: added, sigstore"]


def test_what_others_have_there_is_kept_and_what_is_no_longer_wanted_goes(machine):
    theirs = {"default": [{"type": "reject"}], "transports": {"docker-daemon": {"": ACCEPT}, "docker": {"theirs.test": ACCEPT}}}
    machine.write(json.dumps(theirs, indent=2))
    text = machine.policy.read_text()
    machine.want(signed(), signed("other.test"))
    assert list(machine.scopes) == ["theirs.test", HOST, "other.test"]
    machine.want(signed("other.test"))
    assert list(machine.scopes) == ["theirs.test", "other.test"]
    assert machine.want()["changes"][0] == "other.test: removed"
    assert machine.policy.read_text() == text + "\n"
    assert (machine.lookups.exists(), machine.record.exists()) == (False, False)


def test_the_file_of_the_distribution_is_as_it_was_once_everything_is_gone(machine):
    text = json.dumps({"default": ACCEPT}, indent=4) + "\n"
    machine.write(text)
    machine.want(signed())
    machine.want()
    assert machine.policy.read_text() == text


def test_a_missing_policy_is_made_and_accepts_everything_else(machine):
    machine.policy.unlink()
    machine.want(signed())
    assert json.loads(machine.policy.read_text())["default"] == ACCEPT
    assert machine.policy.stat().st_mode & 0o777 == 0o644


def test_a_link_and_its_mode_stay(machine):
    real = machine.directory / "real.json"
    machine.policy.rename(real)
    real.chmod(0o600)
    machine.policy.symlink_to("real.json")
    machine.want(signed())
    assert machine.policy.is_symlink() and HOST in real.read_text() and real.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("theirs", [ACCEPT, [{"type": "sigstoreSigned", "keyPath": "/etc/theirs.pub"}]])
def test_an_entry_of_somebody_else_for_the_same_scope_is_named_and_left(machine, theirs):
    machine.write({"default": ACCEPT, "transports": {"docker": {HOST: theirs}}})
    before = machine.policy.read_text()
    with pytest.raises(HoldfastError, match=rf"^policies\[1\]\.scope: .*policy\.json has another entry for {HOST}"):
        machine.want(signed("other.test"), signed())
    assert machine.policy.read_text() == before
    assert (machine.lookups.exists(), machine.record.exists()) == (False, False)


def test_an_entry_of_somebody_else_that_says_the_same_is_not_ours_to_remove(machine):
    machine.want(signed())
    machine.record.unlink()
    assert machine.want(signed())["changed"] is False
    machine.want()
    assert HOST in machine.scopes


def test_an_entry_that_was_changed_since_is_not_overwritten_and_not_removed(machine):
    machine.want(signed())
    machine.write({"default": ACCEPT, "transports": {"docker": {HOST: ACCEPT}}})
    with pytest.raises(HoldfastError, match="or which was changed since"):
        machine.want(signed())
    result = machine.want()
    assert "changed since this module has written it" in result["warnings"][0]
    assert machine.scopes == {HOST: ACCEPT}
    assert machine.want()["changed"] is False


def test_two_callers_do_not_take_each_others_entries(machine):
    machine.want(signed(), name="first")
    machine.want(signed("other.test"), name="second")
    assert sorted(machine.scopes) == ["other.test", HOST]
    assert "other.test" in machine.lookups.read_text() and HOST in machine.lookups.read_text()
    assert machine.want(signed(), name="second")["changes"][0] == f"{HOST}: was required under the name first, and is kept for this one too"
    assert machine.want(name="first")["changes"] == [f"{HOST}: stays for the name second"]
    assert list(machine.scopes) == [HOST]
    assert HOST in machine.lookups.read_text()
    with pytest.raises(HoldfastError, match="something else is required of .* under the name second"):
        machine.want(signed(HOST, OTHER), name="first")


def test_a_run_that_was_killed_after_the_policy_is_completed_and_can_be_taken_back(machine, monkeypatch):
    machine.want(signed())
    with monkeypatch.context() as patched:
        writes = []

        def fail_second(path, record):
            writes.append(path)
            if len(writes) == 2:
                raise KeyboardInterrupt
            real(path, record)

        real = remembered.write
        patched.setattr(remembered, "write", fail_second)
        with pytest.raises(KeyboardInterrupt):
            machine.want(signed(HOST, OTHER))
    assert decoded(machine.scopes[HOST][0]["keyData"]) == OTHER
    machine.want(signed())
    assert decoded(machine.scopes[HOST][0]["keyData"]) == KEY
    machine.want()
    assert machine.scopes == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1, column 2: "),
        ('{"default": [{"type": "reject"}],}', "line 1"),
        ('{\n// a comment\n"default": []}', "line 2, column 1: a comment, which JSON does not have"),
        ("[]", "is a list, and must be an object"),
        ("", "has no default"),
        ("{}", "has no default, without which podman refuses every image; use"),
        ('{"default": []}', "default is an empty list"),
        ('{"default": {"type": "reject"}}', "default is an object, and must be a list"),
        ('{"default": [{"type": "acceptAll"}]}', r"default\[0\] has the unknown type 'acceptAll'; podman knows insecureAcceptAnything"),
        ('{"default": ["reject"]}', r"default\[0\] has the unknown type None"),
        ('{"default": [{"type": "reject"}], "defaults": 1}', "has a key 'defaults'"),
        ('{"default": [{"type": "reject"}], "transports": []}', "transports is a list"),
        ('{"default": [{"type": "reject"}], "transports": {"docker": []}}', "transports.docker is a list"),
        ('{"default": [{"type": "reject"}], "transports": {"docker": {"a.test": {}}}}', r"transports.docker\['a.test'\] is an object"),
        ('{"default": [{"type": "reject"}], "default": []}', "the key 'default' is there twice"),
        ("\ufeff{}", "begins with a byte order mark"),
    ],
)
def test_a_policy_that_podman_refuses_is_named_and_left(machine, content, message):
    machine.write(content)
    for wanted in ([signed()], []):
        with pytest.raises(HoldfastError, match=f"policy.json: {message}"):
            machine.want(*wanted)
    assert (machine.policy.read_text(), machine.lookups.exists(), machine.record.exists()) == (content, False, False)


def test_what_is_no_file_is_named(machine):
    machine.policy.unlink()
    machine.policy.mkdir()
    with pytest.raises(HoldfastError, match="policy.json: cannot be read"):
        machine.want(signed())


LOOKUPS = {
    "the same": f"docker:\n  {HOST}:\n    use-sigstore-attachments: true # yes\n",
    "the same in quotes": f'# theirs\ndefault-docker:\n  lookaside: https://x.test\ndocker:\n    "{HOST}":\n        use-sigstore-attachments: true\n',
    "something else": f"docker:\n  {HOST}:\n    lookaside: https://x.test\n",
    "switched off": f"docker:\n  a.test:\n    use-sigstore-attachments: true\n  {HOST}:\n    use-sigstore-attachments: false\n",
    "in braces": f"docker: {{'{HOST}': {{use-sigstore-attachments: false}}}}\n",
}


@pytest.mark.parametrize("title", ["the same", "the same in quotes"])
def test_a_file_of_somebody_else_that_looks_up_signatures_is_enough(machine, title):
    machine.lookup("theirs.yaml", LOOKUPS[title])
    machine.want(signed())
    assert not machine.lookups.exists()


@pytest.mark.parametrize("title", ["something else", "switched off", "in braces"])
def test_a_file_of_somebody_else_that_says_something_else_of_the_scope_is_named(machine, title):
    machine.lookup("theirs.yaml", LOOKUPS[title])
    with pytest.raises(HoldfastError, match=rf"theirs\.yaml: has an entry for {HOST} already.*use-sigstore-attachments: true"):
        machine.want(signed())
    assert machine.scopes == {}


@pytest.mark.parametrize(
    "content", [f"# {HOST}\n", "docker:\n  a.test:\n    lookaside: https://x.test\n", "default-docker: {lookaside: https://x.test}\n", "\t{"]
)
def test_files_of_others_for_other_scopes_are_no_hindrance(machine, content):
    machine.lookup("theirs.yaml", content)
    machine.lookup("theirs.conf", LOOKUPS["something else"])
    machine.want(signed())
    assert HOST in machine.lookups.read_text()


def test_a_file_of_our_name_that_somebody_else_wrote_is_named(machine):
    machine.lookup("holdfast.yaml", "docker: {}\n")
    with pytest.raises(HoldfastError, match="holdfast.yaml: exists and was not written by this module"):
        machine.want(signed())


def test_several_keys_are_alternatives_and_gpg_keys_are_one_keyring(machine):
    machine.want(signed(HOST, KEY, OTHER), signed("gpg.test", GPG, GPG, type="gpg", lookaside="https://sigs.test"))
    assert [decoded(key) for key in machine.scopes[HOST][0]["keyDatas"]] == [KEY, OTHER]
    assert machine.scopes["gpg.test"] == [{"type": "signedBy", "keyType": "GPGKeys", "keyData": base64.b64encode(b"keyringkeyring").decode()}]
    assert '"gpg.test":\n    lookaside: "https://sigs.test"\n' in machine.lookups.read_text()


@pytest.mark.parametrize(
    ("keys", "program", "version", "refused"),
    [
        (
            [KEY],
            "podman",
            "podman version 3.4.4",
            "podman 3.4 on this host does not know sigstore keys, and would refuse every image; use podman 4.2",
        ),
        ([KEY], "podman", "podman version 4.3.1", ""),
        ([KEY, OTHER], "podman", "podman version 4.9.3", "several sigstore keys for one scope.* use podman 5.3 or newer, or one key"),
        ([KEY, OTHER], "skopeo", "skopeo version 1.17.0", ""),
        ([KEY, OTHER], "buildah", "buildah version 1.28.2 (image-spec 1.0)", "buildah 1.28 on this host"),
    ],
)
def test_keys_that_a_program_of_the_host_cannot_read_are_refused(machine, keys, program, version, refused):
    machine.programs[program] = (version, "")
    if refused:
        with pytest.raises(HoldfastError, match=rf"^policies\[0\]\.keys: .*{refused}"):
            machine.want(signed(HOST, *keys))
        assert machine.scopes == {}
    else:
        machine.want(signed(HOST, *keys))


def test_a_policy_that_skopeo_refuses_does_not_take_the_old_ones_place(machine):
    machine.programs["skopeo"] = ("", 'level=fatal msg="Error loading trust policy: invalid policy: Unknown key"')
    with pytest.raises(HoldfastError, match="skopeo refuses the new policy: .*Unknown key.* Nothing was changed"):
        machine.want(signed())
    assert machine.scopes == {}


def test_skopeo_is_asked_to_copy_to_a_place_where_it_can_make_nothing(machine):
    machine.want(signed())
    places = {command[-1] for command in machine.commands if command[0] == "skopeo" and "copy" in command}
    assert places
    for place in places:
        with pytest.raises(NotADirectoryError):
            os.makedirs(place.removeprefix("dir:"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"scope": "team/app"}, "scope: 'team/app' does not begin with a registry"),
        ({"scope": "index.docker.io"}, "scope: 'index.docker.io' never matches; use docker.io"),
        ({"scope": "https://registry.test"}, "scope: "),
        ({"scope": "registry.test/app:1"}, "scope: 'app:1' in .* without a tag or digest"),
        ({"scope": "registry.test/App"}, "scope: 'App'"),
        ({"scope": "registry.test/"}, "scope: ''"),
        ({"scope": "*.test/team"}, r"scope: '\*.test/team' has a path"),
        ({"scope": "alice:secret@registry.test"}, "scope: must be HOST or HOST:PORT, without a username"),
        ({"keys": []}, "keys: is missing or empty; type sigstore needs"),
        ({"type": "reject"}, "keys: go with type sigstore or gpg"),
        ({"keys": ["text"]}, r"keys\[0\]: is not a public key for type sigstore"),
        ({"keys": [KEY, GPG]}, r"keys\[1\]: is not a public key for type sigstore"),
        ({"type": "gpg"}, r"keys\[0\]: is not a public key for type gpg"),
        ({"keys": [KEY.replace("PUBLIC", "ENCRYPTED SIGSTORE PRIVATE")]}, r"keys\[0\]: is a private key, which must stay with whoever signs"),
        ({"keys": [KEY[:60] + KEY[64:]]}, r"keys\[0\]: is damaged"),
        ({"keys": [KEY.replace("a2tr", "!!!!")]}, r"keys\[0\]: is damaged"),
        ({"lookaside": "https://x.test"}, "lookaside: use"),
    ],
)
def test_what_cannot_be_required_is_refused_by_its_place(machine, values, message):
    with pytest.raises(HoldfastError, match=rf"^policies\[1\]\.{message}") as caught:
        machine.want(signed("other.test"), {**signed(), **values})
    assert "a2tra2tr" not in str(caught.value)
    assert machine.scopes == {}


@pytest.mark.parametrize("scope", ["registry.test", HOST, "registry.test/a/b-c__d", "*.registry.test", "localhost", "[2001:db8::5]:5000/app", "192.0.2.1"])
def test_scopes_as_podman_reads_them(machine, scope):
    machine.want(signed(scope))
    assert list(machine.scopes) == [scope]
    assert machine.want(signed(scope))["changed"] is False


def test_the_same_scope_twice_is_refused(machine):
    with pytest.raises(HoldfastError, match=r"^policies\[1\]\.scope: .* is already in policies\[0\]"):
        machine.want(signed(), signed())


def test_an_unreadable_directory_of_lookups_is_named(machine):
    if os.geteuid() == 0:
        (machine.directory / "registries.d").write_text("")
    else:
        (machine.directory / "registries.d").mkdir(mode=0)
    with pytest.raises(HoldfastError, match=r"registries\.d"):
        machine.want(signed())
