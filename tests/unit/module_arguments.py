# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Arguments for a module that runs in the process of the tests, on every supported ansible-core."""

from __future__ import annotations

import contextlib
import json
import typing as t

from ansible.module_utils import basic
from ansible.module_utils.common.parameters import PASS_VARS

# From 2.21 on a module returns its parameters only if it is told to. Tests look for secrets in them.
_MORE: dict[str, t.Any] = {"_ansible_inject_invocation": True} if "inject_invocation" in PASS_VARS else {}

try:
    from ansible.module_utils.testing import patch_module_args as _patch
except ImportError:  # ansible-core before 2.19

    @contextlib.contextmanager
    def _patch(args: dict[str, t.Any]) -> t.Iterator[None]:
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": args}).encode()
        try:
            yield
        finally:
            basic._ANSIBLE_ARGS = None


def patch_module_args(args: dict[str, t.Any]) -> contextlib.AbstractContextManager[None]:
    """Let a module that starts in this context read these arguments."""
    return _patch({**args, **_MORE})
