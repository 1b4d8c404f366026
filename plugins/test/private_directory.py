# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells whether a directory of the controller is for its owner alone."""

from __future__ import annotations

DOCUMENTATION = r"""
name: private_directory
short_description: Whether a path of the controller is a directory that only its owner may read and enter
version_added: 1.0.0
author: holdfast.registry contributors (@holdfast)
description:
  - Looks at the mode of a directory on the controller, such as the one with the secrets of site.yml. What an access control list adds is part of the mode.
  - A path that is missing, is no directory, or may not be looked at is none. Neither is a relative one, which modules take from other places.
options:
  _input:
    description: The path. C(~) stands for the home directory.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Make a directory for secrets, unless there is one
  ansible.builtin.file:
    path: ~/.config/holdfast
    state: directory
    mode: "0700"
  delegate_to: localhost
  become: false
  when: "'~/.config/holdfast' is not holdfast.registry.private_directory"
"""

RETURN = r"""
_value:
  description: Whether it is one.
  type: bool
"""

import os
import stat
import typing as t

from ansible.errors import AnsibleFilterError


def private_directory(path: t.Any) -> bool:
    """Whether only the owner of a directory may do anything with it (mode 0700)."""
    if not isinstance(path, str):
        raise AnsibleFilterError(f"private_directory: {path!r} is not a path")
    if not os.path.isabs(os.path.expanduser(path)):
        return False
    try:
        mode = os.stat(os.path.expanduser(path)).st_mode
    except OSError:
        return False
    return stat.S_ISDIR(mode) and stat.S_IMODE(mode) == 0o700


class TestModule:
    def tests(self) -> dict[str, t.Callable[..., bool]]:
        return {"private_directory": private_directory}
