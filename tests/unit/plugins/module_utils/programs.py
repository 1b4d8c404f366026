# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run programs without Ansible, for tests of what modules do with them."""

from __future__ import annotations

import os
import subprocess

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result, search_path


def run_program(*command, environment=None, given=b"", descriptors=()):
    settings = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": search_path(), **(environment or {})}
    try:
        done = subprocess.run(command, env=settings, input=given, capture_output=True, pass_fds=descriptors, check=False)
    except OSError as error:
        return Result(127, "", f"{command[0]}: {error.strerror}")
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def no_program(*command, **_keywords):
    """A host without any program."""
    return Result(127, "", f"{command[0]}: No such file or directory")
