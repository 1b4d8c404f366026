# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Password hashes as web servers read them: tell their scheme, make them, verify a password."""

from __future__ import annotations

import importlib
import re
import sys
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

SCHEMES = ("bcrypt", "sha512-crypt", "apr1")
MIN_COST, MAX_COST = 4, 17

_B64 = rb"[./0-9A-Za-z]"
# What servers read, most usual first. Iterations are bounded: nobody wants to wait hours for one verification.
_PATTERNS = (
    ("bcrypt", re.compile(rb"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$" + _B64 + rb"{53}")),
    ("sha512-crypt", re.compile(rb"\$6\$(?:rounds=[1-9][0-9]{3,6}\$)?" + _B64 + rb"{1,16}\$" + _B64 + rb"{86}")),
    ("apr1", re.compile(rb"\$apr1\$" + _B64 + rb"{1,8}\$" + _B64 + rb"{22}")),
    ("sha256-crypt", re.compile(rb"\$5\$(?:rounds=[1-9][0-9]{3,6}\$)?" + _B64 + rb"{1,16}\$" + _B64 + rb"{43}")),
    ("md5-crypt", re.compile(rb"\$1\$" + _B64 + rb"{1,8}\$" + _B64 + rb"{22}")),
    ("sha1", re.compile(rb"\{SHA\}[0-9A-Za-z+/]{27}=")),
    ("des-crypt", re.compile(_B64 + rb"{13}")),
)
_PASSLIB = {
    "sha512-crypt": "sha512_crypt",
    "apr1": "apr_md5_crypt",
    "sha256-crypt": "sha256_crypt",
    "md5-crypt": "md5_crypt",
    "sha1": "ldap_sha1",
    "des-crypt": "des_crypt",
}


def scheme_of(hashed: bytes) -> tuple[str, int | None]:
    """The scheme of a hash ("unknown" for anything else, plain text included) and, for bcrypt, its cost."""
    for scheme, pattern in _PATTERNS:
        match = pattern.fullmatch(hashed)
        if match:
            return scheme, int(match.group(1)) if scheme == "bcrypt" else None
    return "unknown", None


def describe(scheme: str, cost: int | None) -> str:
    """A hash as a diff may show it."""
    return f"{scheme}, cost {cost}" if scheme == "bcrypt" else f"{scheme} scheme" if scheme == "unknown" else scheme


def make_hash(password: bytes, scheme: str, cost: int) -> bytes:
    """A fresh hash with a random salt. Raises HoldfastError when the Python library for it is missing."""
    if scheme == "bcrypt":
        bcrypt = _library("bcrypt", scheme)
        # The same algorithm: $2y$ is the prefix every server knows.
        return b"$2y$" + bcrypt.hashpw(password, bcrypt.gensalt(cost))[4:]
    handler = getattr(_library("passlib.hash", scheme), _PASSLIB[scheme])
    if scheme == "sha512-crypt":
        handler = handler.using(rounds=5000)
    return handler.hash(password).encode()


def verify(password: bytes, hashed: bytes) -> bool | None:
    """Whether the password fits the hash, or None where that can't be told: an unknown scheme, a cost that takes minutes.

    Raises HoldfastError when the Python library for it is missing.
    """
    scheme, cost = scheme_of(hashed)
    if scheme == "unknown" or (cost and cost > MAX_COST):
        return None
    try:
        if scheme == "bcrypt":
            # Servers ignore what follows the 72nd byte, newer libraries refuse it.
            return _library("bcrypt", scheme).checkpw(password[:72], hashed)
        return getattr(_library("passlib.hash", scheme), _PASSLIB[scheme]).verify(password, hashed)
    except ValueError:
        return False


def _library(name: str, scheme: str) -> t.Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        package = name.split(".")[0]
        raise HoldfastError(
            f"scheme {scheme} needs the Python library {package}, which {sys.executable} on this host does not have: "
            f"install the package python3-{package}, or give every user a password_hash"
        ) from None


def same_hash(one: bytes, other: bytes) -> bool:
    """$2b$ and $2y$ are two names of one algorithm."""

    def neutral(hashed: bytes) -> bytes:
        return b"$2y$" + hashed[4:] if hashed.startswith(b"$2b$") else hashed

    return neutral(one) == neutral(other)
