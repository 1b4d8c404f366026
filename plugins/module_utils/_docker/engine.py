# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Docker engine's own word on its configuration, and what it takes for a running one to notice a change."""

from __future__ import annotations

import json
import os
import re
import tempfile
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils import _urls
from ansible_collections.holdfast.registry.plugins.module_utils._commands import Run
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._json_text import same

# Keys that the engine takes up when it is reloaded (SIGHUP). It does so for "features" too, but has chosen by then what most of them are about.
_ALWAYS = frozenset({"max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts"})
# These only where they are in the file. One that is gone keeps its value until the engine starts again.
_WHILE_SET = frozenset(
    {
        "allow-nondistributable-artifacts",
        "authorization-plugins",
        "debug",
        "default-runtime",
        "insecure-registries",
        "labels",
        "live-restore",
        "registry-mirrors",
        "runtimes",
        "shutdown-timeout",
    }
)
# An engine without --validate reads its configuration wholly before it looks at this, and goes no further.
_NO_LEVEL = "holdfast-validate"


def action(before: dict[str, t.Any], after: dict[str, t.Any]) -> str:
    """What a running engine needs to notice the difference: restart, reload or none."""
    changed = {key for key in {**before, **after} if key not in before or key not in after or not same(before[key], after[key])}
    if any(key not in _ALWAYS and not (key in _WHILE_SET and after.get(key) is not None) for key in changed):
        return "restart"
    return "reload" if changed else "none"


def reloads_first(before: dict[str, t.Any], after: dict[str, t.Any]) -> bool:
    """Whether an engine that is going to be restarted has to be reloaded before that, or the restart would stop the containers that are to survive it."""
    return after.get("live-restore") is True and before.get("live-restore") is not True


def credentials(value: t.Any, key: str = "") -> t.Iterator[str]:
    """The user names and passwords in the URLs of some settings, which are the value of a key."""
    if isinstance(value, str):
        yield from _urls.secrets(value) if "://" in value or key.endswith("-proxy") else ()
    elif isinstance(value, list):
        for member in value:
            yield from credentials(member)
    elif isinstance(value, dict):
        for name, member in value.items():
            yield from credentials(member, name)


def arguments(run_program: Run, unit: str) -> list[str]:
    """The arguments the engine runs with, or would. A key of the file must not be among them."""
    answer = run_program("systemctl", "show", "--property", "MainPID,ExecStart", "--", unit)
    found = dict(line.split("=", 1) for line in answer.out.splitlines() if "=" in line) if answer.code == 0 else {}
    words = _running(found.get("MainPID", "0"))
    if not words:
        started = re.search(r"argv\[\]=(.*?) ;", found.get("ExecStart", ""))
        words = [word for word in started[1].split() if not word.startswith("$")] if started else []
    return words[1:] if words and os.path.basename(words[0]) == "dockerd" else []


def check_path(path: str, words: list[str]) -> None:
    """Raise HoldfastError where the engine reads another file."""
    for number, word in enumerate(words):
        if word.startswith("--config-file"):
            other = word.partition("=")[2] or (words[number + 1] if number + 1 < len(words) else "")
            if os.path.realpath(other) != os.path.realpath(path):
                raise HoldfastError(f"path: the engine's unit says --config-file {other}, so it does not read {path}; use {other}")


def validate(run_program: Run, words: list[str], path: str, content: bytes) -> str:
    """Let the engine read what would be its configuration. Returns a warning, or "". Raises HoldfastError with the engine's own words."""
    options = [word for number, word in enumerate(words) if not word.startswith("--config-file") and words[number - 1 : number] != ["--config-file"]]
    with tempfile.NamedTemporaryFile(prefix="holdfast-daemon.", suffix=".json") as staged:  # readable only by its owner
        staged.write(content)
        staged.flush()
        answer = run_program("dockerd", *options, "--validate", "--config-file", staged.name)
        if answer.code != 0 and "unknown flag" in answer.err + answer.out:
            staged.seek(0)
            staged.truncate()
            staged.write(json.dumps({**json.loads(content), "log-level": _NO_LEVEL}).encode())
            staged.flush()
            answer = run_program("dockerd", *options, "--config-file", staged.name)
            if answer.code != 0 and f"logging level: {_NO_LEVEL}" in answer.err + answer.out:
                return ""
    if answer.code == 127:
        return f"{path}: cannot be validated, there is no dockerd on this host yet"
    if answer.code != 0:
        said = _urls.masked_json(answer.words.replace(staged.name, path))
        raise HoldfastError(f"{path}: the engine would refuse it, so nothing was changed. dockerd says: {said}")
    return ""


def _running(process: str) -> list[str]:
    """The command line of a process; empty where there is none."""
    if process in ("", "0"):
        return []
    try:
        with open(f"/proc/{process}/cmdline", "rb") as handle:
            return handle.read().decode(errors="surrogateescape").split("\0")[:-1]
    except OSError:
        return []
