# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules say of check mode, of diff mode and of the host's Python. A module adds details of its own."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
requirements:
  - Python 3.9 or newer on the host
attributes:
  check_mode:
    support: full
    description: Says what a run would do, and writes nothing.
  diff_mode:
    support: full
    description: Shows what changes, never a secret.
"""

    READ_ONLY = r"""
options: {}
requirements:
  - Python 3.9 or newer on the host
attributes:
  check_mode:
    support: full
    description: Does in check mode what it always does, since it changes nothing.
  diff_mode:
    support: N/A
    description: Changes nothing.
"""
