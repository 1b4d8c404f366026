# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changes to files that are planned first, then shown or made."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import stat

from ansible_collections.holdfast.registry.plugins.module_utils import files
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError

MARK = b"# Managed by the Ansible module holdfast.registry.ca_trust\n"
_OWNERSHIP = files.Ownership(mode=0o644)


@dataclasses.dataclass(frozen=True)
class FileChange:
    """One path: a world-readable file or a symbolic link to be written, or a file, link or empty directory to be removed.

    before and after are what the path holds, None where there is nothing. What a link holds is said, not what is behind it.
    """

    path: str
    before: bytes | None
    after: bytes | None
    why: str
    link: str | None = None
    directory: bool = False

    @property
    def reason(self) -> str:
        return f"{self.path}: {self.why}"

    @property
    def diff(self) -> dict[str, str]:
        if self.before == self.after or self.directory:
            return {"prepared": f"{self.reason}\n"}
        return {
            "before_header": self.path if self.before is not None else f"{self.path} (absent)",
            "after_header": self.path if self.after is not None else f"{self.path} (absent)",
            "before": (self.before or b"").decode("utf-8", errors="replace"),
            "after": (self.after or b"").decode("utf-8", errors="replace"),
        }

    def make(self) -> None:
        if self.directory:
            _remove_empty(self.path)
        elif self.after is None:
            files.remove(self.path)
        elif self.after == self.before:
            files.set_ownership(self.path, _OWNERSHIP)
        else:
            files.make_directories(os.path.dirname(self.path), 0o755)
            if self.link is None:
                files.atomic_write(self.path, self.after, _OWNERSHIP)
            else:
                files.atomic_link(self.path, self.link)


def is_marked(path: str) -> bool:
    """Whether a file says that this module wrote it. A symbolic link is not followed."""
    return os.path.isfile(path) and not os.path.islink(path) and (files.read_bytes(path) or b"").startswith(MARK)


def to_write(path: str, content: bytes) -> list[FileChange]:
    """What it takes for path to be a file with this content and mode 0644. Raises HoldfastError where it is a symbolic link."""
    if os.path.islink(path):
        raise HoldfastError(f"{path}: is a symbolic link, and what it points to is not this module's to change; remove the link or choose another name")
    before = files.read_bytes(path)
    if before is None:
        return [FileChange(path, None, content, "added")]
    if before != content:
        return [FileChange(path, before, content, "content changed")]
    mode = _mode(path)
    return [] if mode == 0o644 else [FileChange(path, before, content, f"mode changed from {mode:04o} to 0644")]


def to_link(path: str, target: str) -> list[FileChange]:
    """What it takes for path to be a symbolic link to target. It must be a link already or not exist."""
    before = link_target(path)
    if before == target:
        return []
    why = "added" if before is None else f"points to {target} instead of {before}"
    return [FileChange(path, None if before is None else _shown(before), _shown(target), why, link=target)]


def to_remove(path: str, why: str = "removed") -> FileChange:
    """The removal of a file, or of a symbolic link whatever it points to."""
    target = link_target(path)
    return FileChange(path, files.read_bytes(path) if target is None else _shown(target), None, why)


def link_target(path: str) -> str | None:
    """What a symbolic link holds, or None where there is none: another run may be making it anew."""
    try:
        return os.readlink(path)
    except OSError:
        return None


def _shown(target: str) -> bytes:
    return os.fsencode(f"link to {target}\n")


def _mode(path: str) -> int:
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except OSError as error:
        raise HoldfastError(f"{path}: cannot be read: {error.strerror}") from error


def _remove_empty(path: str) -> None:
    try:
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise HoldfastError(f"{path}: cannot be removed: {error.strerror}") from error
