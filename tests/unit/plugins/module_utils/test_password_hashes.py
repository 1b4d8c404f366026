# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import sys

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils.password_hashes import SCHEMES, make_hash, same_hash, scheme_of, verify

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


@pytest.fixture(autouse=True)
def libraries():
    pytest.importorskip("bcrypt")
    pytest.importorskip("passlib")


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_hash_fits_its_password_only_and_has_its_scheme(scheme):
    hashed = make_hash(PASSWORD, scheme, 4)
    assert scheme_of(hashed) == (scheme, 4 if scheme == "bcrypt" else None)
    assert verify(PASSWORD, hashed) is True
    assert verify(b"another", hashed) is False


@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_hashes_of_a_password_differ(scheme):
    assert make_hash(PASSWORD, scheme, 4) != make_hash(PASSWORD, scheme, 4)


def test_bcrypt_is_written_with_the_prefix_every_server_knows():
    assert make_hash(PASSWORD, "bcrypt", 5).startswith(b"$2y$05$")


@pytest.mark.parametrize("scheme", FOREIGN)
def test_hashes_written_by_other_tools_are_recognised_and_verified(scheme):
    assert scheme_of(FOREIGN[scheme])[0] == scheme
    assert verify(PASSWORD, FOREIGN[scheme]) is True
    assert verify(b"another", FOREIGN[scheme]) is False


@pytest.mark.parametrize(
    "hashed", [b"", b"plain text", b"$2y$03$" + b"a" * 53, b"$2y$10$short", b"$6$rounds=99999999$salt$" + b"a" * 86, b"$apr1$", b"\xff\x00"]
)
def test_anything_else_is_unknown_and_not_verified(hashed):
    assert scheme_of(hashed) == ("unknown", None)
    assert verify(PASSWORD, hashed) is None


def test_a_cost_that_takes_minutes_is_not_verified():
    assert verify(PASSWORD, b"$2y$31$" + b"a" * 53) is None


def test_2b_and_2y_are_the_same_but_another_salt_is_not():
    assert same_hash(b"$2b$10$abc", b"$2y$10$abc")
    assert not same_hash(b"$2b$10$abc", b"$2y$10$abd")
    assert not same_hash(b"$2b$10$abc", b"$apr1$abc")


@pytest.mark.parametrize(("scheme", "library", "package"), [("bcrypt", "bcrypt", "python3-bcrypt"), ("apr1", "passlib.hash", "python3-passlib")])
def test_a_missing_library_is_named_with_its_package(monkeypatch, scheme, library, package):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(HoldfastError, match=f"scheme {scheme} needs .* {package}"):
        make_hash(PASSWORD, scheme, 4)
