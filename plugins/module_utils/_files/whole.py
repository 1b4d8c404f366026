# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files that are whole at every instant: written next to their target, flushed to the disk, renamed over it."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import acl
from ansible_collections.holdfast.registry.plugins.module_utils._files.acl import Acl
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._files.place import Place, opened

_TEMPORARY = ".holdfast-tmp"
_COPY = r"\.[0-9]+\.[0-9]{4}-[0-9]{2}-[0-9]{2}@[0-9]{2}:[0-9]{2}:[0-9]{2}~"
_LABEL = "security.selinux"
_T = t.TypeVar("_T")


class File:
    """A file that may or may not be there, in a directory that stays open."""

    def __init__(self, place: Place) -> None:
        self.path, self.real = place.path, place.real
        self._directory, self._name = place.directory, place.name

    def status(self) -> os.stat_result | None:
        """What the file, or the link in its place, is; None where there is none."""
        try:
            return os.stat(self._name, dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HoldfastError(f"{self.path}: cannot be read: {error.strerror}") from error

    def read(self) -> bytes | None:
        """The content of the file, or None where there is none. Raises HoldfastError where it can't be read."""
        try:
            with os.fdopen(self._open(), "rb") as handle:
                return handle.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HoldfastError(f"{self.path}: cannot be read: {error.strerror}") from error

    def link_target(self) -> str | None:
        """What a symbolic link holds, or None where there is no link."""
        try:
            return os.readlink(self._name, dir_fd=self._directory)
        except OSError:
            return None

    def write(self, content: bytes, ownership: Ownership) -> None:
        """Replace the content in one step.

        A temporary file in the same directory gets its owner and mode before the first byte, is flushed to the disk and
        renamed over the target. Whoever reads sees the old file or the new one. For a target that exists, the parts of
        ownership that are None, its ACL and SELinux's label are taken from it; a new file is 0600 unless told otherwise.
        A mode changes an ACL as chmod does: the bits of the group are its mask, and limit all that it names.

        Raises HoldfastError when the directory is not writable or the disk is full; the target is then untouched.
        """
        current = self.status()
        ownership = ownership.or_of(current) if current else Ownership(0o600 if ownership.mode is None else ownership.mode, ownership.uid, ownership.gid)
        with self._failing("cannot be written"):
            temporary, descriptor = self._temporary()
            try:
                with os.fdopen(descriptor, "wb") as handle:
                    if current:
                        self._keep_acl(handle.fileno())
                    ownership.apply(handle.fileno())
                    if current:
                        self._keep_label(handle.fileno())
                    handle.write(content)
                    handle.flush()
                    os.fsync(handle.fileno())
                self._put(temporary)
            except BaseException:
                self._drop(temporary)
                raise

    def link(self, target: str) -> None:
        """Make this a symbolic link to target in one step, whatever file or link it was before."""
        temporary = f".{self._name}.{secrets.token_hex(4)}{_TEMPORARY}"
        with self._failing(f"cannot be made a link to {target}"):
            os.symlink(target, temporary, dir_fd=self._directory)
            try:
                self._put(temporary)
            except BaseException:
                self._drop(temporary)
                raise

    def remove(self) -> bool:
        """Remove the file or the symbolic link. Returns whether it was there."""
        with self._failing("cannot be removed"):
            try:
                os.unlink(self._name, dir_fd=self._directory)
            except FileNotFoundError:
                return False
            self._sync()
        return True

    def make_directory(self, mode: int) -> bool:
        """Make this a directory with this mode, whatever the umask: a killed run leaves none with another. Returns whether it was made."""
        umask = os.umask(0o022)
        try:
            os.mkdir(self._name, mode, dir_fd=self._directory)
        except FileExistsError:
            if not os.path.isdir(self.path):
                raise HoldfastError(f"{self.path}: exists and is not a directory") from None
            return False
        except OSError as error:
            raise HoldfastError(f"{self.path}: cannot be made: {error.strerror}") from error
        finally:
            os.umask(umask)
        return True

    def set_ownership(self, ownership: Ownership) -> bool:
        """Give the file or directory its mode, owner and group. Returns whether anything had to change."""
        with self._failing("its mode, owner or group cannot be set"):
            descriptor = self._open(or_directory=True)
            try:
                if not ownership.differences(os.fstat(descriptor)):
                    return False
                ownership.apply(descriptor)
            finally:
                os.close(descriptor)
        return True

    def ownership_of_copy(self) -> Ownership:
        """Owner, group and mode for a copy without an ACL, which gives nobody more than the file does. All None where there is no file."""
        status, kept = self.status(), self._acl()
        ownership = Ownership().or_of(status) if status else Ownership()
        return ownership._replace(mode=kept.without(ownership.mode)) if kept and ownership.mode is not None else ownership

    def back_up(self, content: bytes) -> str:
        """Keep this content in a backup file, named like Ansible's own backups. The caller holds the lock.

        The copy has the owner, group and mode of the file, without what the mode allows to others and an ACL to those it names.
        Returns its path.
        """
        suffix = f".{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S')}~"
        copy = File(Place(f"{self.real}{suffix}", f"{self.real}{suffix}", self._directory, f"{self._name}{suffix}"))
        ownership = self.ownership_of_copy()
        copy.write(content, ownership._replace(mode=ownership.mode & 0o770) if ownership.mode is not None else ownership)
        return copy.path

    def remove_leftovers(self) -> None:
        """Remove the temporary files of this file and of its copies that killed runs left. Only for the holder of the lock."""
        for name in self._beside():
            made_for = leftover_of(name)
            # Not those of a file whose name only begins like this one's: another run may be about to rename them.
            if made_for and re.fullmatch(re.escape(self._name) + f"({_COPY})?", made_for):
                self._drop(name)

    def _beside(self) -> list[str]:
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)

    def _open(self, *, or_directory: bool = False) -> int:
        """Open a plain file for reading: a pipe would be waited for, a device may do anything."""
        descriptor = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._directory)
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not (or_directory and stat.S_ISDIR(mode)):
            os.close(descriptor)
            code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
            raise OSError(code, os.strerror(errno.EISDIR) if stat.S_ISDIR(mode) else "Is not a plain file")
        return descriptor

    def _temporary(self) -> tuple[str, int]:
        name = f".{self._name}.{secrets.token_hex(4)}{_TEMPORARY}"
        return name, os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._directory)

    def _acl(self) -> Acl | None:
        try:
            current = self._open()
        except OSError:  # gone by now, or no plain file
            return None
        try:
            return Acl.of(current)
        finally:
            os.close(current)

    def _keep_acl(self, descriptor: int) -> None:
        with self._failing("cannot be written with the ACL that it has"):
            kept = self._acl()
            if kept:
                kept.give(descriptor)
            else:
                acl.remove(descriptor)

    def _keep_label(self, descriptor: int) -> None:
        with contextlib.suppress(OSError, AttributeError):  # no SELinux here, not even Linux, or no right to set a label
            current = self._open()
            try:
                os.setxattr(descriptor, _LABEL, os.getxattr(current, _LABEL))
            finally:
                os.close(current)

    def _put(self, temporary: str) -> None:
        os.replace(temporary, self._name, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        self._sync()

    def _drop(self, name: str) -> None:
        with contextlib.suppress(OSError):
            os.unlink(name, dir_fd=self._directory)

    def _sync(self) -> None:
        """Make a rename or removal survive a power cut."""
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _failing(self, what: str) -> t.Iterator[None]:
        try:
            yield
        except OSError as error:
            raise HoldfastError(f"{self.path}: {what}: {error.strerror}") from error


def read_bytes(path: str) -> bytes | None:
    """The content of a file, or None where there is none. Raises HoldfastError where it can't be read."""
    return _if_there(path, "cannot be read", File.read)


def status_of(path: str) -> os.stat_result | None:
    """What a file is, or None where there is none."""
    return _if_there(path, "cannot be read", File.status)


def ownership_of_copy(path: str) -> Ownership:
    """Owner, group and mode for a copy of a file: see File.ownership_of_copy()."""
    return _if_there(path, "cannot be read", File.ownership_of_copy) or Ownership()


def link_target(path: str) -> str | None:
    """What a symbolic link holds, or None where there is no link: another run may be replacing it."""
    return _if_there(path, "cannot be read", File.link_target, follow=False)


def names_in(directory: str) -> list[str]:
    """The names in a directory, sorted; none where there is no directory. Raises HoldfastError where it can't be read."""
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise HoldfastError(f"{directory}: cannot be read: {error.strerror}") from error


def set_ownership(path: str, ownership: Ownership) -> bool:
    """Give an existing file or directory its mode, owner and group. Returns whether anything had to change."""
    with _file(path, "its mode, owner or group cannot be set") as file:
        return file.set_ownership(ownership)


def atomic_write(path: str, content: bytes, ownership: Ownership) -> None:
    """Replace the content of path in one step: see File.write(). Where path is a symbolic link, the file it leads to is replaced."""
    with _file(path, "cannot be written") as file:
        file.write(content, ownership)


def atomic_link(path: str, target: str) -> None:
    """Make path a symbolic link to target in one step, whatever file or link it was before. Raises HoldfastError where it can't be made."""
    with _file(path, f"cannot be made a link to {target}", follow=False) as file:
        file.link(target)


def remove(path: str) -> bool:
    """Remove a file or a symbolic link. Returns whether it was there."""
    return bool(_if_there(path, "cannot be removed", File.remove, follow=False))


def remove_leftovers(path: str) -> None:
    """Remove the temporary files of path and of its copies that killed runs left. Only for the holder of the lock that guards path."""
    _if_there(path, "cannot be written", File.remove_leftovers)


def make_directories(path: str, mode: int) -> bool:
    """Make a directory with this mode, its missing parents 0755. One that exists stays as it is. Returns whether it was made."""
    if os.path.isdir(path):
        return False
    make_directories(os.path.dirname(os.path.abspath(path)), 0o755)
    with _file(path, "cannot be made", follow=False) as file:
        return file.make_directory(mode)


@contextlib.contextmanager
def _file(path: str, failing: str, *, follow: bool = True) -> t.Iterator[File]:
    with contextlib.ExitStack() as stack:
        try:
            place = stack.enter_context(opened(path, follow=follow))
        except OSError as error:
            raise HoldfastError(f"{path}: {failing}: {error.strerror}") from error
        yield File(place)


def _if_there(path: str, failing: str, work: t.Callable[[File], _T], *, follow: bool = True) -> _T | None:
    """What work finds, or None where there is not even a directory."""
    try:
        with opened(path, follow=follow) as place:
            return work(File(place))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HoldfastError(f"{path}: {failing}: {error.strerror}") from error


def leftover_of(name: str) -> str | None:
    """The name of the file a temporary file was made for, or None where name is not one's."""
    if not name.endswith(_TEMPORARY):  # a run with hundreds of certificates asks this of each of their files hundreds of times
        return None
    match = re.fullmatch(r"\.(.+)\.[a-z0-9_]+", name[: -len(_TEMPORARY)])
    return match[1] if match else None
