# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets a host of the tests keep the compiled code of Ansible's modules.

Ansible sends a module with all that it imports as source in a zip file, which Python compiles again in each task: a fifth of what a short task costs.
Only the tests' hosts have this (HOLDFAST_LAB_COMPILED=1), neither the demonstration's nor those of the benchmarks.
"""

import _imp
import marshal
import os
import sys
import zipimport

DIRECTORY = "/run/holdfast-lab-compiled"
_compile = zipimport._compile_source


def _compile_once(path, source):
    kept = f"{DIRECTORY}/{sys.hexversion:x}-{os.path.basename(path)}-{len(source):x}-{_imp.source_hash(0, source).hex()}"
    try:
        with open(kept, "rb") as file:
            return marshal.loads(file.read())
    except (OSError, EOFError, ValueError, TypeError):
        pass
    code = _compile(path, source)
    try:
        os.makedirs(DIRECTORY, mode=0o700, exist_ok=True)
        with open(f"{kept}.{os.getpid()}", "wb") as file:
            file.write(marshal.dumps(code))
        os.rename(file.name, kept)
    except OSError:
        pass
    return code


if os.geteuid() == 0:
    zipimport._compile_source = _compile_once
