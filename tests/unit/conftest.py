# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For all unit tests: nothing waits for the disk or reads the host's CAs, and none fails because the machine is busy."""

from __future__ import annotations

import gc
import os

try:
    from hypothesis import settings
except ImportError:
    settings = None
try:
    import yaml
except ImportError:
    yaml = None

# Ansible itself reads YAML with this one. The other, of PyYAML's safe_load, takes twenty times as long for the specifications of roles.
if hasattr(yaml, "CSafeLoader"):
    yaml.SafeLoader = yaml.CSafeLoader


def pytest_configure():
    """Files are flushed so that a host that loses its power keeps them. A killed process does not need that, and half of the tests' time went there.

    Tests that count the calls of os.fsync or let one fail put a function of their own in its place.
    """
    os.fsync = lambda descriptor: None
    # No test trusts what the host trusts. Each TLS context would read all of its CAs, which takes 40 ms.
    os.environ.update(SSL_CERT_FILE=os.devnull, SSL_CERT_DIR=os.devnull)
    if settings:
        # Each run tries the same examples, so that it fails for what was changed and not by chance; `make fuzz` looks for new ones.
        # A deadline is for an example, which on a busy machine may wait for longer.
        settings.register_profile("same", deadline=None, derandomize=True)
        settings.register_profile("fuzz", deadline=None, derandomize=False, database=None)
        settings.load_profile("fuzz" if "HOLDFAST_FUZZ" in os.environ else "same")


def pytest_collection_finish():
    """What is there before the first test stays to the end. The collector of garbage need not look at it again, here or in the processes that tests fork."""
    gc.collect()
    gc.freeze()
