# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the mirrors and their upstream are, and whom they admit."""

from typing import Any

from scenario import hosts, playbook

MIRROR = "mirror.holdfast.test:5444"
UPSTREAM = "upstream.holdfast.test:5443"
PASSWORD = "the password of the robot"
ALICE = "alice:a password of alice"
CODE = "-o /dev/null -w '%{http_code}'"


def admit(**settings: Any) -> None:
    """Run site.yml for the users and rules only, with other settings of whom the mirrors admit."""
    run = playbook.run(hosts.PROJECT / "playbooks/site.yml", "--tags", "users", **settings)
    assert run.succeeded, run.output
