# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of owner, group and mode of a file that a module writes."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  mode:
    description:
      - The mode, in octal and in quotes, such as V("0640").
      - A file keeps its ACL. As with C(chmod), the digit of the group then limits all that the ACL names.
    type: raw
  owner:
    description: The owner, by name or number. Unchanged by default.
    type: str
  group:
    description: The group, by name or number. Unchanged by default.
    type: str
"""
