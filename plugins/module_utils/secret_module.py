# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A module with secrets inside a list of its parameters."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule


class SecretModule(AnsibleModule):
    """Keeps its parameters out of the host's log and out of what it prints when it fails."""

    def log(self, msg: str, log_args: dict[str, t.Any] | None = None) -> None:
        """Log a run without its parameters: a password with a quote or a backslash would be in them, spelt otherwise and so not masked."""
        super().log("Invoked" if log_args else msg)

    def fail_json(self, msg: str, **kwargs: t.Any) -> t.NoReturn:
        """Fail without the parameters: a password below a misspelt key is not known to be one."""
        super().fail_json(msg, invocation={}, **kwargs)
