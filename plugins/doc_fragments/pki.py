# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation that the modules for certificates share."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
requirements:
  - python3-cryptography (3.4 or newer) on the host
"""

    AUTHORITY = r"""
options:
  directory:
    description: Absolute path of the CA's directory, as in M(holdfast.registry.ca).
    type: path
    required: true
  passphrase:
    description: Passphrase of the CA's key. If the key is not encrypted, the module warns.
    type: str
"""
