# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password hashes as web servers read them: tell their scheme; make and verify those of bcrypt."""

from __future__ import annotations

import ctypes
import functools
import hmac
import re
import secrets
import string
import sys
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

MIN_COST, MAX_COST = 4, 17
LONGEST_PASSWORD = 72  # bytes; bcrypt reads no more

_B64 = rb"[./0-9A-Za-z]"
# What servers read, most usual first. The group is the cost: bcrypt's, or the rounds of SHA-crypt.
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
_Crypt = t.Callable[[bytes, bytes, t.Any], t.Optional[bytes]]


class Scheme(t.NamedTuple):
    """The scheme of a hash. cost is None if the scheme has none, or if it is the scheme's default."""

    name: str
    cost: int | None = None

    def __str__(self) -> str:
        if self.name == "bcrypt":
            return f"bcrypt, cost {self.cost}"
        if self.cost is not None:
            return f"{self.name}, {self.cost} rounds"
        return "unknown scheme" if self.name == "unknown" else self.name


def scheme_of(hashed: bytes) -> Scheme:
    """The scheme of a hash; "unknown" for anything else, plain text included."""
    for name, pattern in _PATTERNS:
        match = pattern.fullmatch(hashed)
        if match:
            return Scheme(name, int(match[1]) if pattern.groups and match[1] else None)
    return Scheme("unknown")


def check_library() -> None:
    """Raise HoldfastError when what makes hashes is missing or cannot be loaded."""
    make_hash(b"", MIN_COST)


def make_hash(password: bytes, cost: int) -> bytes:
    """A fresh bcrypt hash with a random salt. Raises HoldfastError when the library for it is missing."""
    # $2y$ is the prefix every server knows. Of the last character, two bits are used.
    return _bcrypt(password, f"$2y${cost:02}${random_letters(21)}{secrets.choice('.Oeu')}".encode())


def verify(password: bytes, hashed: bytes) -> bool | None:
    """Whether the password fits a bcrypt hash, or None where that can't be told: another scheme, a cost that takes minutes.

    Raises HoldfastError when the library for it is missing.
    """
    scheme = scheme_of(hashed)
    if scheme.name != "bcrypt" or scheme.cost is None or scheme.cost > MAX_COST:
        return None
    try:
        return hmac.compare_digest(_bcrypt(password, hashed), hashed)
    except ValueError:  # the Python library, about a salt no server would accept
        return False


def same_hash(one: bytes, other: bytes) -> bool:
    """$2b$ and $2y$ are two names of one algorithm."""

    def neutral(hashed: bytes) -> bytes:
        return b"$2y$" + hashed[4:] if hashed.startswith(b"$2b$") else hashed

    return hmac.compare_digest(neutral(one), neutral(other))


def random_letters(length: int) -> str:
    """Random text in the letters of a hash."""
    return "".join(secrets.choice(_ALPHABET) for _place in range(length))


def _bcrypt(password: bytes, setting: bytes) -> bytes:
    """crypt(3), as nginx calls it; it works without Python's global lock. Where it does not know bcrypt, the Python library."""
    crypt_r = _crypt_r()
    made = crypt_r and crypt_r(password, setting, ctypes.create_string_buffer(1 << 18))  # the largest struct crypt_data has 128 KiB
    if made and not made.startswith(b"*"):
        return made
    # Servers ignore what follows the 72nd byte, newer libraries refuse it.
    return _hashpw()(password[:LONGEST_PASSWORD], setting)


@functools.cache
def _crypt_r() -> _Crypt | None:
    for name in ("libcrypt.so.1", "libcrypt.so.2", None):  # None: C libraries that have it themselves
        try:
            function = ctypes.CDLL(name).crypt_r
        except (OSError, AttributeError):
            continue
        function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
        function.restype = ctypes.c_char_p
        return t.cast(_Crypt, function)
    return None


def _hashpw() -> t.Callable[[bytes, bytes], bytes]:
    try:
        import bcrypt

        return bcrypt.hashpw
    except Exception as error:  # noqa: BLE001 - a library that does not fit its Python may raise anything
        missing = isinstance(error, ModuleNotFoundError) and error.name == "bcrypt"
        why = "does not have" if missing else f"cannot load ({type(error).__name__}: {error})"
        raise HoldfastError(
            f"bcrypt needs a crypt(3) that knows it, or the Python library bcrypt, which {sys.executable} on this host {why}: "
            "install the package python3-bcrypt, or give every user a password_hash"
        ) from None
