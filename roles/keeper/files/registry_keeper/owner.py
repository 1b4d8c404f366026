# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writing into a storage from a program of root's: by a process that has become who owns the images.

Directories of the storage belong to the registry. Whoever takes that over could put a link there, and root would write through it.
"""

from __future__ import annotations

import json
import os
import pwd
import sys
import typing as t

from registry_keeper.errors import FAILED, KeeperError

T = t.TypeVar("T")


def as_owner(storage: str, user: str | None, work: t.Callable[[], T]) -> T:
    """Do the work as a user, or else the owner of the storage, in a process of its own; returns what it returned, which JSON must have a form for.

    Raises KeeperError.
    """
    if os.geteuid() != 0:
        return work()
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(storage, user, work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        answer = file.read()
    os.waitpid(child, 0)
    if not answer:
        raise KeeperError(f"{storage}: the process that writes there was killed")
    result = json.loads(answer)
    if "error" in result:
        raise KeeperError(result["error"], result["status"])
    return t.cast(T, result["result"])


def _child(storage: str, user: str | None, work: t.Callable[[], T], writing: int) -> t.NoReturn:
    try:
        try:
            become(storage, user)
            answer: dict[str, t.Any] = {"result": work()}
        except KeeperError as error:
            answer = {"error": str(error), "status": error.status}
        except OSError as error:
            answer = {"error": f"{error.filename or storage}: {error.strerror or error}", "status": FAILED}
        with os.fdopen(writing, "w", encoding="utf-8") as file:
            json.dump(answer, file)
    except BaseException as error:  # noqa: BLE001 - whatever happens, this process must not go on with the parent's work
        print(f"registry-keeper: {type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(0)


def become(storage: str, user: str | None) -> None:
    """Give up root for a user, or else the owner of the storage. Raises KeeperError."""
    try:
        account = pwd.getpwnam(user) if user else pwd.getpwuid(os.stat(storage).st_uid)
    except KeyError:
        raise KeeperError(f"{storage}: its user {user or os.stat(storage).st_uid} does not exist on this host") from None
    os.setgroups([])
    os.setgid(account.pw_gid)
    os.setuid(account.pw_uid)
    os.umask(0o027)
