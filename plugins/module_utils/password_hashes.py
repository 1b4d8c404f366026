# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password hashes as web servers read them: tell their scheme, make them, verify a password."""

from __future__ import annotations

import base64
import contextlib
import ctypes
import functools
import hashlib
import hmac
import re
import secrets
import string
import sys
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

SCHEMES = ("bcrypt", "sha512-crypt", "apr1")
MIN_COST, MAX_COST = 4, 17
SHA_ROUNDS = 5000  # crypt(3)'s default, which a hash without rounds= has

_B64 = rb"[./0-9A-Za-z]"
# What servers read, most usual first. Iterations are bounded: nobody wants to wait hours for one verification.
_PATTERNS = (
    ("bcrypt", re.compile(rb"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$" + _B64 + rb"{53}")),
    ("sha512-crypt", re.compile(rb"\$6\$(?:rounds=([1-9][0-9]{3,6})\$)?" + _B64 + rb"{1,16}\$" + _B64 + rb"{86}")),
    ("apr1", re.compile(rb"\$apr1\$" + _B64 + rb"{1,8}\$" + _B64 + rb"{22}")),
    ("sha256-crypt", re.compile(rb"\$5\$(?:rounds=([1-9][0-9]{3,6})\$)?" + _B64 + rb"{1,16}\$" + _B64 + rb"{43}")),
    ("md5-crypt", re.compile(rb"\$1\$" + _B64 + rb"{1,8}\$" + _B64 + rb"{22}")),
    ("sha1", re.compile(rb"\{SHA\}[0-9A-Za-z+/]{27}=")),
    ("des-crypt", re.compile(_B64 + rb"{13}")),
)
_ALPHABET = "./" + string.digits + string.ascii_letters


def scheme_of(hashed: bytes) -> tuple[str, int | None]:
    """The scheme of a hash ("unknown" for anything else, plain text included) and its cost: bcrypt's, or the rounds of SHA-crypt."""
    for scheme, pattern in _PATTERNS:
        match = pattern.fullmatch(hashed)
        if match:
            return scheme, int(match.group(1) or SHA_ROUNDS) if pattern.groups else None
    return "unknown", None


def describe(scheme: str, cost: int | None) -> str:
    """A hash as a diff may show it."""
    if scheme == "bcrypt":
        return f"{scheme}, cost {cost}"
    if cost not in (None, SHA_ROUNDS):
        return f"{scheme}, {cost} rounds"
    return "unknown scheme" if scheme == "unknown" else scheme


def check_library(scheme: str) -> None:
    """Raise HoldfastError when what makes hashes of this scheme is missing or cannot be loaded."""
    make_hash(b"", scheme, MIN_COST)


def make_hash(password: bytes, scheme: str, cost: int) -> bytes:
    """A fresh hash with a random salt. Raises HoldfastError when the library for it is missing."""
    if scheme == "apr1":
        return _apr1().hash(password).encode()
    if scheme == "bcrypt":
        # $2y$ is the prefix every server knows. Of the last character, two bits are used.
        return _crypt(password, f"$2y${cost:02}${_salt(21)}{secrets.choice('.Oeu')}".encode(), scheme)
    return _crypt(password, f"$6${_salt(16)}".encode(), scheme)


def verify(password: bytes, hashed: bytes) -> bool | None:
    """Whether the password fits the hash, or None where that can't be told: an unknown scheme, a cost that takes minutes.

    Raises HoldfastError when the library for it is missing.
    """
    scheme, cost = scheme_of(hashed)
    if scheme == "unknown" or (scheme == "bcrypt" and cost > MAX_COST):
        return None
    if scheme == "sha1":
        return hmac.compare_digest(hashed[5:], base64.b64encode(hashlib.sha1(password).digest()))
    if scheme == "apr1":
        return _apr1().verify(password, hashed)
    try:
        return hmac.compare_digest(_crypt(password, hashed, scheme), hashed)
    except ValueError:  # the Python library, about a salt no server would accept
        return False


def _salt(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _place in range(length))


def _crypt(password: bytes, setting: bytes, scheme: str) -> bytes:
    """crypt(3), as nginx calls it; it works without Python's global lock. Where it does not know bcrypt, the Python library."""
    crypt_r = _crypt_r()
    made = crypt_r and crypt_r(password, setting, ctypes.create_string_buffer(1 << 18))  # the largest struct crypt_data has 128 KiB
    if made and not made.startswith(b"*"):
        return made
    if scheme == "bcrypt":
        # Servers ignore what follows the 72nd byte, newer libraries refuse it.
        return _bcrypt().hashpw(password[:72], setting)
    raise HoldfastError(f"crypt(3) on this host does not know scheme {scheme}: choose another one, or give every user a password_hash")


@functools.cache
def _crypt_r() -> t.Any:
    for name in ("libcrypt.so.1", "libcrypt.so.2", None):  # None: C libraries that have it themselves
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        function.restype = ctypes.c_char_p
        return function
    return None


def _bcrypt() -> t.Any:
    with _loading("bcrypt", "bcrypt", "install the package python3-bcrypt"):
        import bcrypt

        return bcrypt


def _apr1() -> t.Any:
    # Not through passlib.apache: that loads passlib's bcrypt too, and passlib 1.7.4 then fails where bcrypt is 5 or newer.
    with _loading("passlib", "apr1", "install the package python3-passlib, or with pip libpass, the maintained successor of passlib"):
        from passlib.hash import apr_md5_crypt

        return apr_md5_crypt


@contextlib.contextmanager
def _loading(library: str, scheme: str, remedy: str) -> t.Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 a library that does not fit its Python or another library may raise anything
        missing = isinstance(error, ModuleNotFoundError) and error.name == library
        why = "does not have" if missing else f"cannot load ({type(error).__name__}: {error})"
        raise HoldfastError(
            f"scheme {scheme} needs the Python library {library}, which {sys.executable} on this host {why}: {remedy}, or give every user a password_hash"
        ) from None


def same_hash(one: bytes, other: bytes) -> bool:
    """$2b$ and $2y$ are two names of one algorithm."""

    def neutral(hashed: bytes) -> bytes:
        return b"$2y$" + hashed[4:] if hashed.startswith(b"$2b$") else hashed

    return neutral(one) == neutral(other)
