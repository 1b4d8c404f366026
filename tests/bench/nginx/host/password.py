# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When the gateway has to verify the user's password, and when it remembers it."""

from __future__ import annotations

import time

import gateway
from registry_client import Client, expect


class Password:
    """Waits until a turn has the verification that it is to have, and no other."""

    def __init__(self) -> None:
        self._client = Client(gateway.NAME)
        self.doubt()

    def doubt(self) -> None:
        """Nobody knows what the gateway remembers now."""
        self._remembered_until = 0.0
        self._forgotten_from = time.monotonic() + gateway.FORGOTTEN_SECONDS

    def forget(self) -> None:
        """Have the turn that starts now begin with a verification."""
        time.sleep(max(0.0, self._forgotten_from - time.monotonic()))
        self._note()

    def know(self, seconds: float) -> None:
        """Have the password remembered for a turn as long."""
        if self._remembered_until < time.monotonic() + seconds:
            self.forget()
            # a connection may have ended with the gateway's last restart
            self._client.close()
            expect(200, self._client.request("GET", "/v2/"))
            self._note()

    def _note(self) -> None:
        self._remembered_until = time.monotonic() + gateway.REMEMBERED_SECONDS
        self._forgotten_from = time.monotonic() + gateway.FORGOTTEN_SECONDS
