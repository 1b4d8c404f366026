# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of check mode, diff mode and the host's Python for all modules. A module can add details."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
requirements:
  - Python 3.9 or newer on the host
attributes:
  check_mode:
    support: full
    description: Predicts what a run would do, and writes nothing.
  diff_mode:
    support: full
    description: Shows what changes, but never a secret.
"""

    READ_ONLY = r"""
options: {}
requirements:
  - Python 3.9 or newer on the host
attributes:
  check_mode:
    support: full
    description: Works as usual in check mode, since it changes nothing.
  diff_mode:
    support: N/A
    description: Changes nothing.
"""
