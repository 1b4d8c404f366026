# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._passwords import hashes as password_hashes
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.hashes import Scheme, check_library, make_hash, same_hash, scheme_of, verify

PASSWORD = "pässword".encode()
# Written by htpasswd(1) of apache2-utils 2.4 and openssl-passwd(1) for "pässword".
FOREIGN = {
    "bcrypt": b"$2y$04$jzs8Lm6Iu1lNvNkDw3SCq.erBMIVakxrdCpZvDil6qMJyr3qsUCj2",
    "apr1": b"$apr1$DzAYfKnM$RKswUas4LJeEZRy2DUg6A/",
    "sha1": b"{SHA}I7dElEdfX4dJgLdnbVEeI9iG2mQ=",
    "des-crypt": b"5KRe8F8O38NXg",
    "sha256-crypt": b"$5$FVcwrqJ2544dvLNM$ZjS8sHTZAEuY1Q5.5ciZiladhkb.xd21j0XYA5ex/m/",
    "sha512-crypt": b"$6$bvEB5yf3kA3/bCxb$Bs1HcoAV5/MKYWfAZ9qs2BKGCNSNbf0S7oIDRNTBs1/JJnEgWUIpvItd7STEoEXA7Yy58hw8IenFehU29iIvs/",
    "md5-crypt": b"$1$abcdefgh$6qENbeetgn0exf.OCTQaP0",
}


@pytest.fixture
def forget():
    """Have a library loaded again, and forget what the test loads."""
    kept = dict(sys.modules)

    def forget_library(library):
        for name in [name for name in sys.modules if name.partition(".")[0] == library]:
            del sys.modules[name]

    yield forget_library
    sys.modules.clear()
    sys.modules.update(kept)


@pytest.fixture
def without(forget, monkeypatch):
    """Have a library missing."""

    class Missing:
        def __init__(self, library):
            self.library = library

        def find_spec(self, name, _path=None, _target=None):
            if name == self.library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def remove(library):
        forget(library)
        monkeypatch.setattr(sys, "meta_path", [Missing(library), *sys.meta_path])

    return remove


def test_a_hash_fits_its_password_only_and_has_its_cost():
    hashed = make_hash(PASSWORD, 5)
    assert scheme_of(hashed) == Scheme("bcrypt", 5)
    assert verify(PASSWORD, hashed) is True
    assert verify(b"another", hashed) is False
    assert make_hash(PASSWORD, 5) != hashed


def test_bcrypt_is_written_with_the_prefix_every_server_knows():
    assert make_hash(PASSWORD, 5).startswith(b"$2y$05$")


@pytest.mark.parametrize("scheme", FOREIGN)
def test_hashes_written_by_other_tools_are_recognised(scheme):
    assert scheme_of(FOREIGN[scheme]).name == scheme
    assert verify(PASSWORD, FOREIGN[scheme]) is (True if scheme == "bcrypt" else None)
    assert verify(b"another", FOREIGN[scheme]) is (False if scheme == "bcrypt" else None)


@pytest.mark.parametrize(
    ("hashed", "shown"),
    [
        (FOREIGN["bcrypt"], "bcrypt, cost 4"),
        (FOREIGN["apr1"], "apr1"),
        (FOREIGN["sha512-crypt"], "sha512-crypt"),
        (b"$6$rounds=9000$salt$" + b"a" * 86, "sha512-crypt, 9000 rounds"),
        (b"hunter2", "unknown scheme"),
    ],
)
def test_a_scheme_is_shown_with_its_cost(hashed, shown):
    assert str(scheme_of(hashed)) == shown


@pytest.mark.parametrize(
    "hashed", [b"", b"plain text", b"$2y$03$" + b"a" * 53, b"$2y$10$short", b"$6$rounds=99999999$salt$" + b"a" * 86, b"$apr1$", b"\xff\x00"]
)
def test_anything_else_is_unknown_and_not_verified(hashed):
    assert scheme_of(hashed) == Scheme("unknown")
    assert verify(PASSWORD, hashed) is None


def test_a_cost_that_takes_minutes_is_not_verified():
    assert verify(PASSWORD, b"$2y$31$" + b"a" * 53) is None


def test_2b_and_2y_are_the_same_but_another_salt_is_not():
    assert same_hash(b"$2b$10$abc", b"$2y$10$abc")
    assert not same_hash(b"$2b$10$abc", b"$2y$10$abd")
    assert not same_hash(b"$2b$10$abc", b"$apr1$abc")


@pytest.fixture(params=[None, lambda *_arguments: None, lambda *_arguments: b"*0"], ids=["no crypt", "an old crypt", "an old crypt with a token"])
def old_crypt(request, monkeypatch):
    """A host whose crypt(3) is missing or does not know a scheme."""
    monkeypatch.setattr(password_hashes, "_crypt_r", lambda: request.param)


def test_a_host_with_crypt_needs_no_python_library(without):
    without("bcrypt")
    check_library()
    assert verify(PASSWORD, make_hash(PASSWORD, 4)) is True


def test_where_crypt_does_not_know_bcrypt_its_library_gives_the_same_answers(old_crypt):
    pytest.importorskip("bcrypt")
    hashed = make_hash(PASSWORD, 5)
    assert scheme_of(hashed) == Scheme("bcrypt", 5)
    assert hashed.startswith(b"$2y$")
    for candidate in (hashed, FOREIGN["bcrypt"], FOREIGN["bcrypt"].replace(b"$2y$", b"$2b$")):
        assert verify(PASSWORD, candidate) is True
        assert verify(b"another", candidate) is False
    assert verify(b"x" * 80, make_hash(b"x" * 72, 4)) is True


def test_bcrypt_with_a_salt_nobody_makes_fits_no_password():
    assert verify(PASSWORD, b"$2y$04$" + b"z" * 53) is False


def test_bcrypt_with_a_salt_nobody_makes_fits_no_password_without_crypt_either(old_crypt):
    pytest.importorskip("bcrypt")
    assert verify(PASSWORD, b"$2y$04$" + b"z" * 53) is False


def test_a_missing_library_is_named_with_its_package(old_crypt, without):
    without("bcrypt")
    for use in (check_library, lambda: make_hash(PASSWORD, 4), lambda: verify(PASSWORD, FOREIGN["bcrypt"])):
        with pytest.raises(HoldfastError, match="bcrypt, which .* does not have: install the package python3-bcrypt"):
            use()


@pytest.mark.parametrize(
    "error", ["ImportError('no GLIBC_2.99')", "AttributeError('__about__')", "ValueError('longer than 72 bytes')", "ModuleNotFoundError('x', name='x')"]
)
def test_a_library_that_does_not_load_is_told_from_a_missing_one(monkeypatch, forget, tmp_path, error):
    monkeypatch.setattr(password_hashes, "_crypt_r", lambda: None)
    forget("bcrypt")
    (tmp_path / "bcrypt.py").write_text(f"raise {error}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(HoldfastError, match=f"bcrypt, which .* cannot load .{error.partition('(')[0]}: .*: install the package"):
        check_library()


def test_a_crypt_of_any_name_is_found_and_its_absence_is_no_error(monkeypatch):
    load, loaded = ctypes.CDLL, []

    def only_the_second(name):
        loaded.append(name)
        if name == "libcrypt.so.2":
            return load("libcrypt.so.1")
        raise OSError("cannot open shared object file")

    monkeypatch.setattr("ctypes.CDLL", only_the_second)
    assert password_hashes._crypt_r.__wrapped__() is not None
    monkeypatch.setattr("ctypes.CDLL", lambda _name: object())
    assert password_hashes._crypt_r.__wrapped__() is None


def test_threads_do_not_mix_up_their_hashes():
    passwords = [str(number).encode() for number in range(60)]
    with ThreadPoolExecutor(8) as pool:
        hashes = list(pool.map(lambda password: make_hash(password, 4), passwords))
        assert all(pool.map(verify, passwords, hashes))
        assert not any(pool.map(verify, passwords[1:], hashes))
