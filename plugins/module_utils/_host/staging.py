# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A directory of configuration as it would be, tested as a whole by the program that reads it before any of it takes effect."""

from __future__ import annotations

import dataclasses
import glob
import os
import shlex
import shutil
import tempfile

from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files import whole
from ansible_collections.holdfast.registry.plugins.module_utils._files.changes import Change, Link, Remove, Write

_SUFFIX = ".holdfast-tmp"


@dataclasses.dataclass(frozen=True)
class Validation:
    """The directory, and the command that tests a copy of it. %s in the command stands for the copy."""

    directory: str
    command: str

    def validate(self, run_program: Run, changes: list[Change], check_mode: bool) -> list[str]:
        """Test the directory as it would be after these changes. Returns warnings. Raises HoldfastError with the command's own words."""
        below = [change for change in changes if change.path.startswith(f"{self.directory}/")]
        if not below:
            return []
        stage = self._make_stage(check_mode)
        try:
            self._fill(stage, below)
            command = [word.replace("%s", stage) for word in shlex.split(self.command)]
            answer = run_program(*command)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
        if answer.code == 127 and check_mode:
            return [f"validate: {answer.words}; check mode cannot tell whether {self.directory} would be valid"]
        if answer.code != 0:
            words = (answer.err + answer.out).replace(stage, self.directory).strip()
            message = f"validate: {self.directory} would be wrong, so nothing was changed. {command[0]} says: {words or f'exit status {answer.code}'}"
            # The configuration may depend on something that check mode only predicts.
            if check_mode and not os.path.isdir(self.directory):
                return [message]
            raise HoldfastError(message)
        return []

    def _make_stage(self, check_mode: bool) -> str:
        parent, name = os.path.split(self.directory)
        prefix = f".{name}."
        if not os.path.isdir(parent):
            if not check_mode:
                raise HoldfastError(f"validate.directory: there is no directory {parent}")
            return tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX)
        if not check_mode:  # the lock is held, so anything there was left by a run that was killed
            for leftover in glob.glob(os.path.join(glob.escape(parent), f"{glob.escape(prefix)}*{_SUFFIX}")):
                if os.path.isdir(leftover):
                    shutil.rmtree(leftover, ignore_errors=True)
        return tempfile.mkdtemp(prefix=prefix, suffix=_SUFFIX, dir=parent)

    def _fill(self, stage: str, changes: list[Change]) -> None:
        """Links to unchanged files, and the new files with their own paths replaced by those of the stage, so that includes resolve."""
        ours = {change.path for change in changes if isinstance(change, (Write, Link, Remove))}
        for parent, directories, names in os.walk(self.directory):
            copy = stage + parent[len(self.directory) :]
            os.makedirs(copy, exist_ok=True)
            links = [name for name in directories if os.path.islink(os.path.join(parent, name))]
            for name in names + links:
                path = os.path.join(parent, name)
                if path not in ours and not os.path.exists(os.path.join(copy, name)):
                    self._take(path, os.path.join(copy, name), stage)
        for change in changes:
            copy = stage + change.path[len(self.directory) :]
            if isinstance(change, (Write, Link)):
                os.makedirs(os.path.dirname(copy), exist_ok=True)
            if isinstance(change, Write):
                self._write(copy, change.content, stage)
            elif isinstance(change, Link):
                os.symlink(change.target.replace(f"{self.directory}/", f"{stage}/"), copy)

    def _take(self, path: str, copy: str, stage: str) -> None:
        content = whole.read_bytes(path) if os.path.isfile(path) and not os.path.islink(path) else None
        if content is not None and f"{self.directory}/".encode() in content:
            self._write(copy, content, stage)
        else:
            target = os.readlink(path) if os.path.islink(path) else path
            os.symlink(target.replace(f"{self.directory}/", f"{stage}/") if os.path.islink(path) else target, copy)

    def _write(self, copy: str, content: bytes, stage: str) -> None:
        with open(copy, "wb") as handle:
            handle.write(content.replace(f"{self.directory}/".encode(), f"{stage}/".encode()))
