# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The one error the logic in this collection raises on purpose."""

from __future__ import annotations


class HoldfastError(Exception):
    """Something the user can act on.

    The message names the parameter or the file and the place in it, and says what would be right.
    It never contains a secret. Modules catch this error once, in main(), and hand the message to fail_json().
    """
