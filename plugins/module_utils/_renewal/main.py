# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The program of the timer: reads one job, renews what is due, and says so in the journal."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timezone

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run, runner
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._renewal.job import Job
from ansible_collections.holdfast.registry.plugins.module_utils._renewal.renew import renew


def main(arguments: list[str]) -> int:
    """Renew what the job in the file arguments[0] says. Returns the exit status: 0, 1 if it failed, 2 if it was called wrongly."""
    if len(arguments) != 1:
        sys.stderr.write("usage: renew JOB.json\n")
        return 2
    try:
        outcome = renew(Job.read(arguments[0]), _programs(), datetime.now(timezone.utc).replace(microsecond=0))
    except (HoldfastError, OSError) as error:
        _say(3, str(error))
        return 1
    for line in outcome.done:
        _say(6, line)
    for line in outcome.warnings:
        _say(4, line)
    if outcome.error:
        _say(3, f"{outcome.error}. Certificates and CRL stay as they are")
    elif not outcome.done:
        _say(6, "nothing is due")
    return 1 if outcome.error else 0


def _say(priority: int, text: str) -> None:
    """A line for the journal, with a priority of syslog(3)."""
    sys.stdout.write(f"<{priority}>{text}\n")
    sys.stdout.flush()


def _programs() -> Run:
    def run_command(command: list[str], **_options: object) -> tuple[int, str, str]:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
        return done.returncode, done.stdout, done.stderr

    return runner(run_command)
