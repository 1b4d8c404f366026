# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The POSIX access control list of a file, as the extended attribute that Linux keeps it in."""

from __future__ import annotations

import errno
import os
import stat
import struct
import typing as t

_ATTRIBUTE = "system.posix_acl_access"
_HEAD, _ENTRY = struct.Struct("<I"), struct.Struct("<HHI")
_GROUP, _MASK, _OTHER = 0x04, 0x10, 0x20
_NONE = (errno.ENODATA, errno.ENOTSUP)


class Acl(t.NamedTuple):
    """The entries of a list: what each is about, its permissions, and the number of a user or group."""

    version: int
    entries: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, descriptor: int) -> Acl | None:
        """The list of an open file, or None where the file has no more than its mode."""
        try:
            data = os.getxattr(descriptor, _ATTRIBUTE)
        except AttributeError:  # not Linux
            return None
        except OSError as error:
            if error.errno in _NONE:
                return None
            raise
        return cls(_HEAD.unpack_from(data)[0], tuple(_ENTRY.iter_unpack(data[_HEAD.size :])))

    def give(self, descriptor: int) -> None:
        """Give the list to an open file, closed to all but the owner: the mode that is set next opens it, as the mask is part of that."""
        entries = [(tag, 0 if tag in (_MASK, _OTHER) else permissions, number) for tag, permissions, number in self.entries]
        os.setxattr(descriptor, _ATTRIBUTE, _HEAD.pack(self.version) + b"".join(_ENTRY.pack(*entry) for entry in entries))

    def without(self, mode: int) -> int:
        """The mode of a copy that has no list: where there is one, the bits of the group are the mask, and its group may have less."""
        group = next(permissions for tag, permissions, _number in self.entries if tag == _GROUP)
        return mode & (~stat.S_IRWXG | group << 3)


def remove(descriptor: int) -> None:
    """Take away the list that an open file has from its directory."""
    try:
        os.removexattr(descriptor, _ATTRIBUTE)
    except AttributeError:
        return
    except OSError as error:
        if error.errno not in _NONE:
            raise
