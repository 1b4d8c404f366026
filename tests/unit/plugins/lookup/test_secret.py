# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.parsing.vault import VaultLib, VaultSecret
from ansible_collections.holdfast.registry.plugins.lookup.secret import LookupModule
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.hashes import scheme_of, verify
from ansible_collections.holdfast.registry.plugins.plugin_utils import secret_files
from ansible_collections.holdfast.registry.plugins.plugin_utils.secret_files import LETTERS, read_or_create, read_or_create_hash

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def lookup(tmp_path, monkeypatch):
    loader = DataLoader()
    loader.set_basedir(str(tmp_path))
    plugin = LookupModule(loader=loader)
    monkeypatch.setattr(plugin, "set_options", lambda **_options: None)

    def call(*terms, check_mode=False, length=32, **options):
        monkeypatch.setattr(plugin, "get_option", {"length": length, "hash": None, "bcrypt_cost": 4, **options}.get)
        return plugin.run(list(terms), {"ansible_check_mode": check_mode})

    call.loader = loader
    return call


def mode(path):
    return os.stat(path).st_mode & 0o7777


def test_a_missing_secret_is_made_once_and_private(lookup, tmp_path):
    (secret,) = lookup("some/where/alice")
    assert len(secret) == 32
    assert set(secret) <= set(LETTERS)
    assert lookup("some/where/alice") == [secret]
    assert (tmp_path / "some/where/alice").read_text() == secret + "\n"
    assert [mode(tmp_path / part) for part in ("some", "some/where", "some/where/alice")] == [0o700, 0o700, 0o600]


def test_each_path_has_its_own_secret(lookup):
    assert len(set(lookup("a", "b", "c"))) == 3


def test_a_secret_that_exists_is_returned_as_it_is(lookup, tmp_path):
    (tmp_path / "alice").write_text("short pä \n")
    assert lookup("alice", length=64) == ["short pä "]


def test_an_empty_file_counts_as_missing(lookup, tmp_path):
    (tmp_path / "alice").write_text("\n")
    (secret,) = lookup("alice")
    assert (tmp_path / "alice").read_text() == secret + "\n"


def test_a_file_others_can_read_is_closed_to_them(lookup, tmp_path):
    (tmp_path / "alice").write_text("x\n")
    os.chmod(tmp_path / "alice", 0o640)
    lookup("alice")
    assert mode(tmp_path / "alice") == 0o600


def test_check_mode_writes_and_changes_nothing(lookup, tmp_path):
    (tmp_path / "bob").write_text("x\n")
    os.chmod(tmp_path / "bob", 0o644)
    assert lookup("bob", check_mode=True) == ["x"]
    assert mode(tmp_path / "bob") == 0o644
    assert len(lookup("some/alice", check_mode=True, length=16)[0]) == 16
    assert os.listdir(tmp_path) == ["bob"]


@pytest.mark.parametrize("length", [16, 128])
def test_length_is_kept(lookup, length):
    assert len(lookup("alice", length=length)[0]) == length


@pytest.mark.parametrize("length", [15, 129, 0, -1])
def test_a_length_out_of_range_is_refused(lookup, tmp_path, length):
    with pytest.raises(AnsibleError, match=f"length: {length} is not between 16 and 128"):
        lookup("alice", length=length)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("content", "term", "message"), [(b"\xff\xfe", "f", "is not UTF-8 text"), (b"x", "f/alice", "f/alice: "), (b"x", ".", "cannot be read")]
)
def test_what_cannot_be_a_secret_is_a_clean_error(lookup, tmp_path, content, term, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(AnsibleError, match=message):
        lookup(term)


# --- whose file it is


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("check_mode", [True, False])
def test_a_file_of_another_user_is_no_secret(lookup, tmp_path, check_mode):
    (tmp_path / "alice").write_text("known to mallory\n")
    os.chown(tmp_path / "alice", 12345, 12345)
    with pytest.raises(AnsibleError, match="alice: belongs to the user with the number 12345"):
        lookup("alice", check_mode=check_mode)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
def test_a_hash_of_another_user_is_none_of_ours(lookup, tmp_path):
    lookup("alice", hash="bcrypt")
    os.chown(tmp_path / "alice.hash", 12345, 12345)
    with pytest.raises(AnsibleError, match="alice.hash: belongs to the user with the number 12345"):
        lookup("alice", hash="bcrypt")


def test_what_a_link_leads_to_keeps_its_mode(lookup, tmp_path):
    (tmp_path / "elsewhere").write_text("x\n")
    os.chmod(tmp_path / "elsewhere", 0o644)
    (tmp_path / "alice").symlink_to("elsewhere")
    assert lookup("alice") == ["x"]
    assert mode(tmp_path / "elsewhere") == 0o644


# --- the hash beside a secret


@pytest.fixture
def hashes_made(monkeypatch):
    made = []
    real = secret_files.make_hash
    monkeypatch.setattr(secret_files, "make_hash", lambda password, cost: made.append(password) or real(password, cost))
    return made


def test_a_hash_is_made_once_with_its_secret_and_private(lookup, tmp_path, hashes_made):
    (hashed,) = lookup("some/alice", hash="bcrypt")
    (secret,) = lookup("some/alice")
    assert verify(secret.encode(), hashed.encode()) is True
    assert scheme_of(hashed.encode()) == ("bcrypt", 4)
    assert lookup("some/alice", hash="bcrypt") == [hashed]
    assert len(hashes_made) == 1
    assert mode(tmp_path / "some/alice.hash") == mode(tmp_path / "some/alice") == 0o600
    assert sorted(os.listdir(tmp_path / "some")) == [".alice.lock", "alice", "alice.hash"]


def test_a_hash_is_made_again_when_the_secret_or_the_cost_has_changed_and_else_never(lookup, tmp_path):
    (first,) = lookup("alice", hash="bcrypt")
    (dearer,) = lookup("alice", hash="bcrypt", bcrypt_cost=5)
    assert scheme_of(dearer.encode()) == ("bcrypt", 5)
    (tmp_path / "alice").write_text("another-secret\n")
    (second,) = lookup("alice", hash="bcrypt", bcrypt_cost=5)
    assert verify(b"another-secret", second.encode()) is True
    assert len({first, dearer, second}) == 3
    (tmp_path / "alice").write_text("another-secret")  # without its line break it is the same
    assert lookup("alice", hash="bcrypt", bcrypt_cost=5) == [second]


def test_a_hash_of_another_secret_put_in_its_place_is_noticed(lookup, tmp_path):
    lookup("alice", "bob", hash="bcrypt")
    (tmp_path / "alice.hash").write_bytes((tmp_path / "bob.hash").read_bytes())
    (hashed,) = lookup("alice", hash="bcrypt")
    assert verify(lookup("alice")[0].encode(), hashed.encode()) is True


def test_a_hash_altered_by_hand_is_noticed(lookup, tmp_path):
    lookup("alice", hash="bcrypt")
    content = (tmp_path / "alice.hash").read_bytes()
    (tmp_path / "alice.hash").write_bytes(content.replace(content[8:20], b"x" * 12))
    (hashed,) = lookup("alice", hash="bcrypt")
    assert verify(lookup("alice")[0].encode(), hashed.encode()) is True


@pytest.mark.parametrize("content", [b"", b"\n"])
def test_an_empty_hash_counts_as_missing(lookup, tmp_path, content):
    lookup("alice", hash="bcrypt")
    (tmp_path / "alice.hash").write_bytes(content)
    (hashed,) = lookup("alice", hash="bcrypt")
    assert hashed.encode() in (tmp_path / "alice.hash").read_bytes()


def test_a_secret_and_a_hash_in_each_others_place_are_refused(lookup, tmp_path):
    lookup("alice", hash="bcrypt")
    with pytest.raises(AnsibleError, match="alice.hash: is the hash of the secret .*alice; choose another name"):
        lookup("alice.hash")
    (tmp_path / "bob.hash").write_text("the secret of the user bob.hash\n")
    with pytest.raises(AnsibleError, match="bob.hash: is not the hash of a secret"):
        lookup("bob", hash="bcrypt")
    assert (tmp_path / "bob.hash").read_text() == "the secret of the user bob.hash\n"


def test_a_hash_others_can_read_is_closed_to_them(lookup, tmp_path):
    lookup("alice", hash="bcrypt")
    os.chmod(tmp_path / "alice.hash", 0o644)
    lookup("alice", hash="bcrypt")
    assert mode(tmp_path / "alice.hash") == 0o600


def test_check_mode_makes_no_hash_and_shows_one_that_nobody_logs_in_with(lookup, tmp_path, hashes_made):
    (tmp_path / "bob").write_text("x\n")
    for name in ("bob", "some/alice"):
        (hashed,) = lookup(name, hash="bcrypt", check_mode=True)
        assert scheme_of(hashed.encode()) == ("bcrypt", 4)
        assert verify(b"x", hashed.encode()) is False
    assert os.listdir(tmp_path) == ["bob"]
    assert not hashes_made
    made = lookup("bob", hash="bcrypt")
    assert lookup("bob", hash="bcrypt", check_mode=True) == made


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("x" * 73, {}, "alice: its secret is 73 bytes long in UTF-8, at most 72"),
        ("a\x00b", {}, "alice: its secret must not contain control characters"),
        ("x", {"bcrypt_cost": 3}, "bcrypt_cost: 3 is not between 4 and 17"),
        ("x", {"length": 73}, "length: 73 is not between 16 and 72"),
    ],
)
def test_what_bcrypt_cannot_hash_is_a_clean_error(lookup, tmp_path, content, options, message):
    (tmp_path / "alice").write_text(content)
    with pytest.raises(AnsibleError, match=message):
        lookup("alice", hash="bcrypt", **options)
    assert not (tmp_path / "alice.hash").exists()


def test_three_hundred_hashes_that_are_there_cost_less_than_one_verification(lookup):
    names = [f"user{number}" for number in range(300)]
    made = lookup(*names, hash="bcrypt")
    assert len(set(made)) == 300
    # Of the processor: others may use it as well.
    started = time.process_time()
    secret_files.make_hash(b"x", 12)
    one = time.process_time() - started
    started = time.process_time()
    assert lookup(*names, hash="bcrypt") == made
    assert time.process_time() - started < max(one, 0.5) * 2


# --- others at the same time, and sudden death


def ask_hash(path, queue):
    queue.put(read_or_create_hash(path, 32, 4))


def test_twenty_processes_at_once_get_the_same_hash(tmp_path):
    path = str(tmp_path / "new" / "alice")
    queue = FORK.Queue()
    processes = [FORK.Process(target=ask_hash, args=(path, queue)) for _process in range(20)]
    for process in processes:
        process.start()
    answers = {queue.get(timeout=30) for _process in processes}
    for process in processes:
        process.join(30)
    assert len(answers) == 1
    assert verify(read_or_create(path, 32).encode(), answers.pop().encode()) is True


def ask(path, queue):
    queue.put(read_or_create(path, 32))


@pytest.mark.parametrize("empty_file", [False, True])
def test_twenty_processes_at_once_get_the_same_secret(tmp_path, empty_file):
    path = str(tmp_path / "new" / "alice")
    if empty_file:
        os.mkdir(os.path.dirname(path))
        with open(path, "wb"):
            pass
    queue = FORK.Queue()
    processes = [FORK.Process(target=ask, args=(path, queue)) for _process in range(20)]
    for process in processes:
        process.start()
    answers = {queue.get(timeout=30) for _process in processes}
    for process in processes:
        process.join(30)
    assert len(answers) == 1


def make_forever(directory):
    for number in range(100000):
        read_or_create_hash(f"{directory}/new/{number}", 32, 4)


def test_kills_leave_whole_secrets(tmp_path):
    source = random.Random(3)
    for kill in range(30):
        directory = tmp_path / str(kill)
        directory.mkdir()
        process = FORK.Process(target=make_forever, args=(str(directory),))
        process.start()
        time.sleep(0.03 + source.random() * 0.03)
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        names = [entry.name for entry in (directory / "new").glob("*[0-9]") if entry.name[0] != "."] if (directory / "new").exists() else []
        assert all(len((directory / "new" / name).read_text()) == 33 for name in names)
        for name in [*names[-2:], str(len(names))]:
            hashed = read_or_create_hash(f"{directory}/new/{name}", 32, 4)
            assert verify(read_or_create(f"{directory}/new/{name}", 32).encode(), hashed.encode()) is True
            assert not list((directory / "new").glob(f".{name}.*tmp"))


VAULT_PASSWORD = b"a password of the vault"


@pytest.fixture
def vaulted(lookup, tmp_path):
    """Files that are encrypted as `ansible-vault encrypt` does it, and a lookup that has the password."""
    vault = VaultLib([("default", VaultSecret(VAULT_PASSWORD))])

    def write(name, secret):
        (tmp_path / name).write_bytes(vault.encrypt(secret.encode()))
        lookup.loader.set_vault_secrets([("default", VaultSecret(VAULT_PASSWORD))])

    return write


def test_a_secret_can_be_encrypted_with_ansible_vault_and_stays_so(lookup, vaulted, tmp_path):
    vaulted("alice", "a secret of alice\n")
    before = (tmp_path / "alice").read_bytes()
    assert lookup("alice") == ["a secret of alice"]
    assert lookup("alice", check_mode=True) == ["a secret of alice"]
    (hashed,) = lookup("alice", hash="bcrypt")
    assert verify(b"a secret of alice", hashed.encode())
    assert lookup("alice", hash="bcrypt") == [hashed] == lookup("alice", hash="bcrypt", check_mode=True)
    assert (tmp_path / "alice").read_bytes() == before
    vaulted("alice.hash", (tmp_path / "alice.hash").read_text())
    before = (tmp_path / "alice.hash").read_bytes()
    assert lookup("alice", hash="bcrypt") == [hashed]
    assert (tmp_path / "alice.hash").read_bytes() == before


def test_without_the_password_of_the_vault_no_other_secret_is_made(lookup, vaulted, tmp_path):
    vaulted("alice", "a secret of alice\n")
    before = (tmp_path / "alice").read_bytes()
    for secrets in ([], [("default", VaultSecret(b"another"))]):
        lookup.loader.set_vault_secrets(secrets)
        with pytest.raises(AnsibleError, match="alice: is encrypted with Ansible Vault, and cannot be decrypted"):
            lookup("alice")
    assert (tmp_path / "alice").read_bytes() == before
