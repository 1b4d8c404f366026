# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ansible as a user runs it, on the hosts of the scenario."""

import dataclasses
import json
import os
import pathlib
import re
import subprocess
import tempfile
from typing import Any

from scenario.hosts import INVENTORIES, SCENARIO


@dataclasses.dataclass(frozen=True)
class Run:
    succeeded: bool
    # both streams, in the order they were written
    output: str

    @property
    def changed(self) -> int:
        """How many tasks changed something, on all hosts."""
        return self._count("changed")

    @property
    def failed(self) -> int:
        return self._count("failed")

    @property
    def executed(self) -> int:
        """How many tasks were executed, on all hosts."""
        return self._count("ok")

    def _count(self, what: str) -> int:
        counts = re.findall(rf"{what}=(\d+)", self.output)
        assert counts, self.output
        return sum(int(count) for count in counts)


def converge(*arguments: str, **variables: Any) -> Run:
    """The scenario's playbook, with other variables. It may fail."""
    return run(SCENARIO / "converge.yml", *arguments, **variables)


def run(playbook: pathlib.Path, *arguments: str, **variables: Any) -> Run:
    """Any playbook on the scenario's hosts. It may fail."""
    return _run("ansible-playbook", *INVENTORIES, str(playbook), *arguments, "--extra-vars", json.dumps(variables))


def started(playbook: pathlib.Path, **variables: Any) -> subprocess.Popen[bytes]:
    """A playbook that goes on running, in a process group of its own."""
    command = ["ansible-playbook", *INVENTORIES, str(playbook), "--extra-vars", json.dumps(variables)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def converged(*arguments: str, **variables: Any) -> Run:
    """The same where it has to succeed."""
    run = converge(*arguments, **variables)
    assert run.succeeded, run.output
    return run


def module(on: str, called: str, /, **arguments: Any) -> dict[str, Any]:
    """One module of the collection on one host. Returns what it returned."""
    with tempfile.TemporaryDirectory() as results:
        run = _run("ansible", *INVENTORIES, on, "--module-name", f"holdfast.registry.{called}", "--args", json.dumps(arguments), "--tree", results)
        result = pathlib.Path(results, on)
        assert result.exists(), run.output
        returned: dict[str, Any] = json.loads(result.read_text())
    assert run.succeeded, returned
    return returned


def _run(*command: str) -> Run:
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return Run(done.returncode == 0, done.stdout)
