# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who there is, and where they meet the registry."""

from typing import Any

import yaml
from scenario import hosts

SETTINGS: dict[str, Any] = yaml.safe_load((hosts.SCENARIO / "vars/rules.yml").read_text())
PASSWORDS: dict[str, str] = {user["name"]: user["password"] for user in SETTINGS["access_users"] if "password" in user}
# Hashing their password takes as long as it does by default.
SLOW_PASSWORD = "a slow password"
SLOW: list[str] = [user["name"] for user in SETTINGS["access_users"] if "password_hash" in user]
HOSTILE = 'b"o\\b $x'
UMLAUT = "zoë"

PORT = 5443
PEOPLE = f"registry.holdfast.test:{PORT}"
# here the client shows a certificate, which may stand for a password
ROBOT = f"machines.holdfast.test:{PORT}"
# here a certificate and a password are required, and at BARE the client shows none
BOTH = "both.holdfast.test:6443"
BARE = "bare.holdfast.test:6443"
