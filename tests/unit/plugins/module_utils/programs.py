# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run programs without Ansible, for tests of what modules do with them."""

from __future__ import annotations

import os
import subprocess
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Result, search_path

_ANSWERS: dict[t.Any, Result] = {}


def run_program(*command, environment=None, given=b"", descriptors=()):
    """Run a program. What openssl says of a certificate that is given to it is asked once: it is the same each time."""
    if command[:2] != ("openssl", "x509") or not given:
        return _run(command, environment, given, descriptors)
    asked = (command, tuple(sorted((environment or {}).items())), given, search_path())
    if asked not in _ANSWERS:
        _ANSWERS[asked] = _run(command, environment, given, descriptors)
    return _ANSWERS[asked]


def _run(command, environment, given, descriptors):
    settings = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": search_path(), **(environment or {})}
    try:
        done = subprocess.run(command, env=settings, input=given, capture_output=True, pass_fds=descriptors, check=False)
    except OSError as error:
        return Result(127, "", f"{command[0]}: {error.strerror}")
    return Result(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


def no_program(*command, **_keywords):
    """A host without any program."""
    return Result(127, "", f"{command[0]}: No such file or directory")
