# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What several modules for certificates say alike."""

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
    description: Opens the CA's key. Where the key is not encrypted, the module warns of it.
    type: str
"""
