# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What commands end with: exit statuses, and the error that a person can act on."""

from __future__ import annotations

DONE = 0
FAILED = 1  # nothing is lost; the message says why, and the next run does the work
USAGE = 2  # wrong arguments or settings: nothing was begun
ATTENTION = 3  # done, but something needs a person: the output names it
BUSY = 4  # another run has the storage, or it is being moved


class KeeperError(Exception):
    """An error with a message for people, and the exit status it ends with."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
