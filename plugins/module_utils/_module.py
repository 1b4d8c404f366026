# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What all modules share: the way to run, and common parameters. The error and the result are those of _errors."""

from __future__ import annotations

import json
import sys
import typing as t
from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run, runner
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError, Result

# Modules import from here all that they share.
__all__ = ["DIRECTORY", "OWNERSHIP", "PASSPHRASE", "Call", "HoldfastError", "Options", "Result", "current_time", "entries", "pem", "run", "show_short", "words"]

# This file is the first of the collection's that any module executes, and works on every Python that Ansible does.
if sys.version_info < (3, 9):  # noqa: UP036
    sys.stdout.write(json.dumps({"failed": True, "msg": f"Python 3.9 or newer is needed on this host; {sys.executable} is {sys.version.split()[0]}"}))
    raise SystemExit(1)

Options = dict[str, dict[str, t.Any]]


class Call(t.NamedTuple):
    """A call of a module. now is in UTC, in whole seconds.

    hide() keeps a value out of everything the module prints; show() ends that for a value that turned out to be public.
    run_program() runs a program of the host.
    """

    parameters: dict[str, t.Any]
    check_mode: bool
    now: datetime
    hide: t.Callable[[str], None]
    show: t.Callable[[str], None]
    run_program: Run


Work = t.Callable[[Call], Result]
Explain = t.Callable[[dict[str, t.Any]], t.Optional[str]]


def run(work: Work, options: Options, *, explain: Explain | None = None, **rules: t.Any) -> None:
    """Run a module: read its parameters, do its work once, print the result.

    The result of work may hold "warnings", and "diff", which is printed only where the user asked for it. So may that of an error hold "warnings".
    rules are those of AnsibleModule, such as required_together. explain may find a better message than Ansible's own
    for parameters that it refuses.
    """
    module = _Module(options, explain, rules)
    call = Call(
        module.params,
        module.check_mode,
        current_time(),
        hide=module.no_log_values.add,
        show=module.no_log_values.discard,
        run_program=runner(module.run_command),
    )
    try:
        result, failure = work(call), None
    except HoldfastError as error:
        result, failure = dict(error.results), error
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if failure:  # outside of except, where older versions of Ansible would show a traceback
        module.fail_json(str(failure), **result)
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)


def current_time() -> datetime:
    """Now, in UTC, in the whole seconds that certificates count in."""
    return datetime.now(timezone.utc).replace(microsecond=0)


class _Module(AnsibleModule):
    """Keeps its parameters out of the host's log and out of what it prints when it fails, unless they can't be secrets."""

    def __init__(self, options: Options, explain: Explain | None, rules: dict[str, t.Any]) -> None:
        self._explain = explain
        super().__init__(argument_spec=options, supports_check_mode=True, **rules)

    def log(self, msg: str, log_args: dict[str, t.Any] | None = None) -> None:
        """Log a run with paths, numbers and choices alone: a password with a quote is spelt otherwise in a list and so not masked."""
        if log_args:
            log_args = {name: self.params[name] for name in log_args if _is_open(self.argument_spec.get(name, {}))}
            msg = " ".join(["Invoked", *(f"{name}={value}" for name, value in log_args.items())])
            # From Python 3.12 on syslog refuses a null character, which a path may hold until the module has checked it.
            msg = "".join(character if character.isprintable() else "?" for character in msg)
        super().log(msg, log_args)

    def fail_json(self, msg: str, **results: t.Any) -> None:
        """Fail without the parameters: a password below a misspelt key is not known to be one."""
        better = self._explain(getattr(self, "params", {})) if self._explain else None
        super().fail_json(better or msg, **{"invocation": {}, **results})


def _is_open(option: dict[str, t.Any]) -> bool:
    return not option.get("no_log") and (option.get("type") in ("path", "int", "bool") or "choices" in option)


# Parameters that several modules have. A private key may have been pasted where a certificate belongs, so PEM text is masked.


def pem(*, required: bool = False) -> dict[str, t.Any]:
    return {"type": "str", "required": required, "no_log": True}


def show_short(call: Call, text: str | None) -> None:
    """Show PEM text that is too short for a key: to hide it would make the message about it unreadable."""
    if len(text or "") < 40:
        call.show(text or "")


def entries(options: Options) -> dict[str, t.Any]:
    """A required list of dictionaries."""
    return {"type": "list", "elements": "dict", "required": True, "options": options}


def words(choices: t.Sequence[str], default: t.Sequence[str] | None = None) -> dict[str, t.Any]:
    """A list of words, of which there are a few. None is a secret, whatever the parameter's name contains."""
    return {"type": "list", "elements": "str", "choices": list(choices), "no_log": False, **({"default": list(default)} if default else {})}


DIRECTORY: dict[str, t.Any] = {"type": "path", "required": True}
PASSPHRASE: dict[str, t.Any] = {"type": "str", "no_log": True}
OWNERSHIP: Options = {"owner": {"type": "str"}, "group": {"type": "str"}, "mode": {"type": "raw"}}
