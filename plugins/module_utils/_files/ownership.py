# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Owner, group and mode of a file."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError


class Ownership(t.NamedTuple):
    """Mode, owner and group. None leaves that part as it is, or to the process for a new file."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None

    @classmethod
    def of(cls, mode: t.Any, owner: str | None, group: str | None, *, where: str = "") -> Ownership:
        """Read module parameters: an octal mode ("0640"), and an owner and a group by name or number.

        Raises HoldfastError when the mode is no octal number or the owner or group does not exist. where is put before
        the parameters' names, such as "certificates[0].".
        """
        uid = _number(owner, f"{where}owner", "user", lambda name: pwd.getpwnam(name).pw_uid)
        gid = _number(group, f"{where}group", "group", lambda name: grp.getgrnam(name).gr_gid)
        return cls(_mode(mode, f"{where}mode"), uid, gid)

    @classmethod
    def of_parameters(cls, params: dict[str, t.Any], *, where: str = "", check_mode: bool = False) -> tuple[Ownership, list[str]]:
        """Read the parameters mode, owner and group. Returns warnings as well.

        In a check run an owner who is missing is a warning: on a fresh host the task that makes it has made nothing yet.
        """
        try:
            return cls.of(params["mode"], params["owner"], params["group"], where=where), []
        except HoldfastError as error:
            if not check_mode:
                raise
            return cls.of(params["mode"], None, None, where=where), [f"{error}: this fails unless it is made before"]

    def differences(self, status: os.stat_result) -> list[str]:
        """The differences to a file or directory, one phrase for each."""
        found = []
        mode = stat.S_IMODE(status.st_mode)
        if self.mode is not None and self.mode != mode:
            found.append(f"mode {mode:04o} -> {self.mode:04o}")
        for part, wanted, there in (("owner", self.uid, status.st_uid), ("group", self.gid, status.st_gid)):
            if wanted is not None and wanted != there:
                found.append(f"{part} {there} -> {wanted}")
        return found

    def or_of(self, status: os.stat_result) -> Ownership:
        """This, with the parts that it leaves open taken from a file that is there."""
        return Ownership(
            stat.S_IMODE(status.st_mode) if self.mode is None else self.mode,
            status.st_uid if self.uid is None else self.uid,
            status.st_gid if self.gid is None else self.gid,
        )

    def apply(self, descriptor: int) -> None:
        """Set owner and group first and the mode last, so that a mode never applies to the wrong owner."""
        if self.uid is not None or self.gid is not None:
            os.fchown(descriptor, -1 if self.uid is None else self.uid, -1 if self.gid is None else self.gid)
        if self.mode is not None:
            os.fchmod(descriptor, self.mode)


def _mode(mode: t.Any, where: str) -> int | None:
    if mode is None:
        return None
    if not isinstance(mode, str):  # 0640 without quotes is 416 by the time it gets here
        raise HoldfastError(f"{where}: write it in octal and in quotes, such as '0640'")
    try:
        bits = int(mode, 8)
    except ValueError:
        raise HoldfastError(f"{where}: {mode!r} is not an octal number such as '0640'") from None
    if not 0 <= bits <= 0o7777:
        raise HoldfastError(f"{where}: {mode!r} is not between '0000' and '7777'")
    return bits


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
