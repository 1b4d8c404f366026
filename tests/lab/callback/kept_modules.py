# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets the runs of the tests share what Ansible sends to hosts.

Ansible packs a module with all that it imports in each run anew, which takes a fifth of a second of the processor for each module. Here they are kept
for the next run, under a digest of everything that goes into them.
"""

from __future__ import annotations

import hashlib
import os
import pathlib
import shutil
import sys

import ansible
from ansible import constants
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: kept_modules
type: aggregate
short_description: Lets the runs of the tests share what Ansible sends to hosts
description: For the tests of this collection. Modules are packed again as soon as one of their files changes.
"""

PROJECT = pathlib.Path(__file__).parents[3]
KEPT = PROJECT / ".cache/lab/modules"


def digest() -> str:
    """Of all that can be in a packed module of this collection or of Ansible's own."""
    found = hashlib.sha256(f"{ansible.__version__} {sys.version} {ansible.__file__}".encode())
    for path in sorted((PROJECT / "plugins").glob("module*/**/*.py")):
        found.update(f"{path}\0{path.stat().st_size}\0".encode())
        found.update(path.read_bytes())
    return found.hexdigest()[:16]


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "kept_modules"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        # Ansible's own directory for this, which goes with the run.
        self._used = pathlib.Path(constants.DEFAULT_LOCAL_TMP, "ansiballz_cache")
        self._kept = KEPT / digest()
        if self._kept.exists():
            shutil.copytree(self._kept, self._used, dirs_exist_ok=True)

    def v2_playbook_on_stats(self, _stats: object) -> None:
        if not self._kept.exists():  # those of former sources are of no use any more
            shutil.rmtree(KEPT, ignore_errors=True)
        self._kept.mkdir(parents=True, exist_ok=True)
        for path in self._used.glob("*"):
            kept = self._kept / path.name
            if path.suffix != ".lock" and not kept.exists():
                # In one step: another run may be looking.
                written = kept.with_name(f".{path.name}.{os.getpid()}")
                shutil.copyfile(path, written)
                written.rename(kept)
