# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where modules keep their state on the host."""

from __future__ import annotations

STATE = "/var/lib/holdfast"  # state that must survive a killed run: unfinished work, and stamps of services
