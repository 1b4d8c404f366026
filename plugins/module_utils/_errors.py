# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The error that all code of the collection raises, and what its work results in. Without Ansible: the timers on a host use them as well."""

from __future__ import annotations

import typing as t

Result = dict[str, t.Any]


class HoldfastError(Exception):
    """Something the user can act on.

    The message names the parameter or the file and the place in it, and says what would be right.
    It never contains a secret. run() of _module catches this error and hands the message to fail_json(), with the results, if any.
    """

    def __init__(self, message: str, results: Result | None = None) -> None:
        super().__init__(message)
        self.results = results or {}
