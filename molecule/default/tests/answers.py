# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of site.yml in the scenario's inventory."""

import yaml
from scenario import hosts

_ANSWERS = yaml.safe_load((hosts.SCENARIO / "inventory.yml").read_text())["all"]["vars"]
NAME: str = _ANSWERS["holdfast_server_name"]
PORT: int = _ANSWERS["holdfast_port"]
ENDPOINT = f"{NAME}:{PORT}"
BOBS_PASSWORD: str = _ANSWERS["holdfast_users"][1]["password"]
SECRETS = hosts.KEPT / "secrets"
