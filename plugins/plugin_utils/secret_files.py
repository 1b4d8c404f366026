# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files on the controller that hold one generated secret each, and a hash next to it.

NAME holds the secret, NAME.hash its hash and a seal. The seal is an HMAC of the hash with the secret as its key: it tells
whether the hash is this secret's without the price of bcrypt. Whoever may read NAME.hash can try secrets quickly, but may
read the secret itself just as well.

Either may be encrypted with Ansible Vault, so that they can be shared. What is made is written in clear.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import stat
import string
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.lock import locked
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.place import opened
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import File, atomic_write, remove_leftovers
from ansible_collections.holdfast.registry.plugins.module_utils._names import text_problem
from ansible_collections.holdfast.registry.plugins.module_utils._passwords.hashes import LONGEST_PASSWORD, make_hash, random_letters, scheme_of

LETTERS = string.ascii_letters + string.digits
_PRIVATE = Ownership(mode=0o600)
_HASH_FILE = re.compile(rb"(\$2y\$[0-9]{2}\$[./0-9A-Za-z]{53})\nhmac-sha256:([0-9a-f]{64})\n")
_VAULT = b"$ANSIBLE_VAULT;"
_T = t.TypeVar("_T")
Decrypt = t.Callable[[str], bytes]


def random_secret(length: int) -> str:
    return "".join(secrets.choice(LETTERS) for _character in range(length))


def no_vault(path: str) -> bytes:
    raise HoldfastError(f"{path}: is encrypted with Ansible Vault, and cannot be decrypted here")


def read_secret(path: str, decrypt: Decrypt = no_vault) -> str | None:
    """The secret in a file, or None if the file is missing or empty.

    decrypt returns the content of a file that is encrypted with Ansible Vault. Raises HoldfastError if the file is not ours.
    """
    return _secret_of(path, _clear(path, decrypt))


def read_or_create(path: str, length: int, decrypt: Decrypt = no_vault) -> str:
    """The secret in a file that only its owner may read, generated if there is none."""
    secret = read_secret(path, decrypt)
    if secret is None:
        make_private_directories(os.path.dirname(os.path.abspath(path)))
        with locked(path) as file:
            # Another process may have been first.
            secret = read_secret(path, decrypt)
            if secret is None:
                secret = random_secret(length)
                file.write(f"{secret}\n".encode(), _PRIVATE)
    else:
        _close_to_others(path)
    return secret


def read_hash(path: str, cost: int, decrypt: Decrypt = no_vault) -> str | None:
    """The hash next to a secret, or None if there is none of this secret with this cost."""
    secret = read_secret(path, decrypt)
    return None if secret is None else _hash_of(path, secret, cost, decrypt)


def read_or_create_hash(path: str, length: int, cost: int, decrypt: Decrypt = no_vault) -> str:
    """The hash next to the secret in a file, generated, like the secret, if there is none of this secret with this cost."""
    secret = read_or_create(path, length, decrypt)
    hashed = _hash_of(path, secret, cost, decrypt)
    if hashed is None:
        with locked(path):  # for the hash too: one lock file is enough
            secret = read_secret(path, decrypt) or secret
            hashed = _hash_of(path, secret, cost, decrypt)
            if hashed is None:
                _check_hashable(path, secret)
                made = make_hash(secret.encode(), cost)
                remove_leftovers(_beside(path))
                atomic_write(_beside(path), made + b"\nhmac-sha256:" + _seal(secret, made) + b"\n", _PRIVATE)
                hashed = made.decode()
    else:
        _close_to_others(_beside(path))
    return hashed


def unmade_hash(cost: int) -> str:
    """A placeholder for a hash that a real run would make: no password matches it, and it takes no time."""
    return f"$2y${cost:02}${random_letters(21)}.{random_letters(31)}"


def make_private_directories(path: str) -> None:
    """Make a directory and its missing parents, each closed to everybody else."""
    if os.path.isdir(path):
        return
    make_private_directories(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        os.mkdir(path, 0o700)


def _beside(path: str) -> str:
    return f"{path}.hash"


def _hash_of(path: str, secret: str, cost: int, decrypt: Decrypt) -> str | None:
    content = _clear(_beside(path), decrypt)
    if content is None or not content.strip():
        return None
    match = _HASH_FILE.fullmatch(content)
    if not match:
        raise HoldfastError(f"{_beside(path)}: is not the hash of a secret; remove it, or choose another name for the secret")
    is_this_ones = hmac.compare_digest(match[2], _seal(secret, match[1])) and scheme_of(match[1]).cost == cost
    return match[1].decode() if is_this_ones else None


def _seal(secret: str, hashed: bytes) -> bytes:
    return hmac.new(secret.encode(), b"holdfast.registry.secret\n" + hashed, "sha256").hexdigest().encode()


def _check_hashable(path: str, secret: str) -> None:
    problem = text_problem(secret)
    if not problem and len(secret.encode()) > LONGEST_PASSWORD:
        problem = f"is {len(secret.encode())} bytes long in UTF-8, at most {LONGEST_PASSWORD} are possible with bcrypt"
    if problem:
        raise HoldfastError(f"{path}: its secret {problem}")


def _secret_of(path: str, content: bytes | None) -> str | None:
    if content is None or not content.strip():
        return None
    if _HASH_FILE.fullmatch(content):
        raise HoldfastError(f"{path}: is the hash of the secret {path.removesuffix('.hash')}; choose another name")
    try:
        return content.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise HoldfastError(f"{path}: is not UTF-8 text") from None


def _clear(path: str, decrypt: Decrypt) -> bytes | None:
    content = _content(path)
    return decrypt(path) if content is not None and content.startswith(_VAULT) else content


def _content(path: str) -> bytes | None:
    return _with_file(path, _own_content)


def _own_content(file: File) -> bytes | None:
    """The content of a file that no other user can have put there."""
    status = file.status()
    if status is not None and status.st_uid not in (0, os.geteuid()):
        raise HoldfastError(
            f"{file.path}: belongs to the user with the number {status.st_uid}, who knows what is in it; "
            "remove it, or make it your own with chown if it may be used"
        )
    return file.read()


def _close_to_others(path: str) -> None:
    """Give a file mode 0600. Not what a link leads to, nor a file of root's: their modes are somebody else's to decide."""
    if not os.path.islink(path):
        _with_file(path, _close)


def _close(file: File) -> None:
    status = file.status()
    if status is not None and status.st_uid == os.geteuid() and status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        file.set_ownership(_PRIVATE)


def _with_file(path: str, work: t.Callable[[File], _T]) -> _T | None:
    try:
        with opened(path) as place:
            return work(File(place))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be read: {error.strerror}") from error
