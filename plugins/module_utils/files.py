# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are whole at every instant: locked, written beside their target, renamed over it."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import grp
import os
import pwd
import re
import secrets
import stat
import tempfile
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

_TEMPORARY = ".holdfast-tmp"
_COPY = r"\.[0-9]+\.[0-9]{4}-[0-9]{2}-[0-9]{2}@[0-9]{2}:[0-9]{2}:[0-9]{2}~"


class Ownership(t.NamedTuple):
    """Who owns a file and who may read it. None leaves that part as it is, or to the process for a new file."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of(cls, mode: str | None, owner: str | None, group: str | None) -> Ownership:
        """Read module parameters: an octal mode ("0640"), and an owner and a group by name or number.

        Raises HoldfastError when the mode is no octal number or the owner or group does not exist.
        """
        try:
            bits = None if mode is None else int(str(mode), 8)
        except ValueError:
            raise HoldfastError(f"mode: {mode!r} is not an octal number such as '0640'") from None
        if bits is not None and not 0 <= bits <= 0o7777:
            raise HoldfastError(f"mode: {mode!r} is not between '0000' and '7777'")
        uid = _number(owner, "owner", "user", lambda name: pwd.getpwnam(name).pw_uid)
        gid = _number(group, "group", "group", lambda name: grp.getgrnam(name).gr_gid)
        return cls(bits, uid, gid)

    def differs(self, path: str) -> bool:
        """Whether the file or directory at path has another mode, owner or group than this asks for."""
        status = os.stat(path)
        return (
            (self.mode is not None and stat.S_IMODE(status.st_mode) != self.mode)
            or (self.uid is not None and status.st_uid != self.uid)
            or (self.gid is not None and status.st_gid != self.gid)
        )

    def apply(self, descriptor: int) -> None:
        """Set owner and group first, the mode last: nobody gets to read through a mode meant for another owner."""
        if self.uid is not None or self.gid is not None:
            os.fchown(descriptor, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid)
        if self.mode is not None:
            os.fchmod(descriptor, self.mode)


def _number(value: str | None, parameter: str, kind: str, find: t.Callable[[str], int]) -> int | None:
    if value is None:
        return None
    try:
        number = int(value) if value.isdecimal() else find(value)
    except (KeyError, ValueError):
        raise HoldfastError(f"{parameter}: there is no {kind} {value!r} on this host") from None
    if number >= 2**32 - 1:
        raise HoldfastError(f"{parameter}: {number} is too large for the number of a {kind}")
    return number


def set_ownership(path: str, ownership: Ownership) -> bool:
    """Give an existing file or directory its mode, owner and group. Returns whether anything had to change."""
    if not ownership.differs(path):
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            ownership.apply(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise HoldfastError(f"{path}: its mode, owner or group cannot be set: {error.strerror}") from error
    return True


def read_bytes(path: str) -> bytes | None:
    """The content of a file, or None where there is none. Raises HoldfastError where it can't be read."""
    try:
        with open(path, "rb") as handle:
            return handle.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be read: {error.strerror}") from error


def names_in(directory: str) -> list[str]:
    """The names in a directory, sorted; none where there is no directory. Raises HoldfastError where it can't be read."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HoldfastError(f"{directory}: cannot be read: {error.strerror}") from error


def make_directory(path: str, ownership: Ownership) -> bool:
    """Make a directory (its parents must exist), or give an existing one this ownership. Returns whether it changed."""
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise HoldfastError(f"{path}: exists and is not a directory") from None
        return set_ownership(path, ownership)
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be made: {error.strerror}") from error
    set_ownership(path, ownership)
    return True


def make_directories(path: str, mode: int) -> bool:
    """Make a directory with this mode, its missing parents 0755. One that exists stays as it is. Returns whether it was made."""
    if os.path.isdir(path):
        return False
    parent = os.path.dirname(os.path.abspath(path))
    make_directories(parent, 0o755)
    umask = os.umask(0o022)  # so that mkdir gives the mode at once: a killed run leaves no directory with another
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        if not os.path.isdir(path):
            raise HoldfastError(f"{path}: exists and is not a directory") from None
        return False
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be made: {error.strerror}") from error
    finally:
        os.umask(umask)
    return True


def atomic_write(path: str, content: bytes, ownership: Ownership) -> None:
    """Replace the content of path in one step.

    A temporary file in the same directory gets its owner and mode before the first byte, is flushed to the disk and
    renamed over the target. Whoever reads sees the old file or the new one. For a target that exists, the parts of
    ownership that are None are taken from it; a new file is 0600 unless told otherwise. Where path is a symbolic
    link, the file it points to is replaced and the link stays.

    Raises HoldfastError when the directory is missing or not writable, or the disk is full; the target is then untouched.
    """
    target = os.path.realpath(path)
    directory, name = os.path.split(target)
    try:
        current = os.stat(target)
    except FileNotFoundError:
        current = None
    ownership = Ownership(
        ownership.mode if ownership.mode is not None else stat.S_IMODE(current.st_mode) if current else 0o600,
        ownership.uid if ownership.uid is not None or not current else current.st_uid,
        ownership.gid if ownership.gid is not None or not current else current.st_gid,
    )
    temporary = None
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", suffix=_TEMPORARY, dir=directory)
        with os.fdopen(descriptor, "wb") as handle:
            ownership.apply(handle.fileno())
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, target)
        temporary = None
        _sync_directory(directory)
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be written: {error.strerror}") from error
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def atomic_link(path: str, target: str) -> None:
    """Make path a symbolic link to target in one step, whatever file or link it was before. Raises HoldfastError where it can't be made."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.{secrets.token_hex(4)}{_TEMPORARY}")
    try:
        os.symlink(target, temporary)
        os.replace(temporary, path)
        _sync_directory(directory)
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be made a link to {target}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


def back_up(path: str, content: bytes) -> str:
    """Keep this content of path in a file beside it, named as Ansible's own backups are. Only for the holder of path's lock.

    The copy has the owner, group and mode of path, without what the mode allows to others. Where path is a symbolic
    link, the copy is beside the file it points to. Returns the copy's path.
    """
    target = os.path.realpath(path)
    status = os.stat(target)
    copy = f"{target}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
    atomic_write(copy, content, Ownership(stat.S_IMODE(status.st_mode) & 0o770, status.st_uid, status.st_gid))
    return copy


def remove(path: str) -> bool:
    """Remove a file or a symbolic link. Returns whether it was there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be removed: {error.strerror}") from error
    _sync_directory(os.path.dirname(os.path.abspath(path)))
    return True


@contextlib.contextmanager
def locked(path: str) -> t.Iterator[int]:
    """Hold the one lock for path while the block runs, waiting for it as long as needed.

    Yields the lock's descriptor: a child process that inherits it holds the lock too, until it ends.

    The kernel drops the lock (flock) when its holder ends in whatever way, so a killed run blocks nobody. With the lock
    held, temporary files that killed runs left beside the target are removed. The lock file itself, 0600 and empty,
    stays: removing it would let two runs hold "the" lock at once.
    """
    target = os.path.realpath(path)
    directory, name = os.path.split(target)
    try:
        descriptor = os.open(os.path.join(directory, f".{name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise HoldfastError(f"{path}: its lock cannot be made in {directory}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        remove_leftovers(path)
        yield descriptor
    finally:
        os.close(descriptor)


def remove_leftovers(path: str) -> None:
    """Remove the temporary files of path and of its copies that killed runs left. Only for the holder of the lock that guards path."""
    directory, name = os.path.split(os.path.realpath(path))
    own = re.compile(re.escape(name) + f"({_COPY})?")
    for leftover in glob.glob(os.path.join(glob.escape(directory), f".{glob.escape(name)}.*{_TEMPORARY}")):
        # Not those of a file whose name only begins like this one's: another run may be about to rename them.
        if own.fullmatch(leftover_of(os.path.basename(leftover)) or ""):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(leftover)


def leftover_of(name: str) -> str | None:
    """The name of the file a temporary file of atomic_write() was made for, or None where name is not one's."""
    match = re.fullmatch(rf"\.(.+)\.[a-z0-9_]+{re.escape(_TEMPORARY)}", name)
    return match[1] if match else None


def _sync_directory(directory: str) -> None:
    """Make a rename or removal survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
