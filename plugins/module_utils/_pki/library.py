# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Python library cryptography, which a host may still lack, and which fails in many ways."""

from __future__ import annotations

import sys

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError

try:
    from cryptography import x509
    from cryptography.exceptions import InternalError, UnsupportedAlgorithm
except ImportError:
    HAS_CRYPTOGRAPHY = False
    UNREADABLE: tuple[type[Exception], ...] = ()
else:
    HAS_CRYPTOGRAPHY = True
    # What the library raises for text that is not what it should be. Not all of it is a ValueError.
    UNREADABLE = (
        ValueError,
        TypeError,
        OverflowError,
        InternalError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def require_library() -> None:
    """Raise HoldfastError where the library is missing."""
    if not HAS_CRYPTOGRAPHY:
        raise HoldfastError(f"the Python library cryptography is missing for {sys.executable} on this host: install the package python3-cryptography")
