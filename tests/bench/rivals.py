# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A virtual environment with the newest Ansible, and so the newest collections of others, that pip can install here."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys
import typing as t

NEWEST_KNOWN = {"community.general": (13, 5), "community.crypto": (3, 5)}


class Rivals:
    """ansible-playbook with the collections that the Python package ansible brings. Ours runs on it, too."""

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        python = newest_python()
        if _version(str(directory / "bin/python")) != _version(python):
            subprocess.run([python, "-m", "venv", "--clear", directory], check=True)
        pip = [str(directory / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--upgrade", "ansible"]
        subprocess.run(pip, check=True)

    @property
    def ansible_playbook(self) -> str:
        return str(self._directory / "bin/ansible-playbook")

    def versions(self) -> dict[str, str]:
        found = {name: self._collection(name) for name in NEWEST_KNOWN}
        command = [str(self._directory / "bin/python"), "-c", "import importlib.metadata as m; print(m.version('ansible-core'))"]
        found["ansible-core"] = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        return found

    def outdated(self) -> list[str]:
        """Rivals that newer releases are known of. A newer Python would get them."""
        return [f"{name} {self._collection(name)}" for name, newest in NEWEST_KNOWN.items() if _numbers(self._collection(name)) < newest]

    def _collection(self, name: str) -> str:
        (manifest,) = self._directory.glob(f"lib/python3*/site-packages/ansible_collections/{name.replace('.', '/')}/MANIFEST.json")
        return str(json.loads(manifest.read_text())["collection_info"]["version"])


def newest_python() -> str:
    """The newest Python 3 of this machine, pyenv's included: a new Ansible needs a new one."""
    names = [f"python3.{minor}" for minor in range(12, 20)]
    pyenv = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")).glob("versions/3.*/bin/python")
    candidates = [sys.executable, *(path for name in names if (path := shutil.which(name))), *map(str, pyenv)]
    return max(candidates, key=_version)


def _version(python: str) -> tuple[int, ...]:
    """Of a Python that is released and can make a virtual environment; of anything else, nothing."""
    program = "import sys, venv, ensurepip; print(*(sys.version_info[:3] if sys.version_info.releaselevel == 'final' else ()))"
    try:
        result = subprocess.run([python, "-c", program], capture_output=True, text=True, check=False)
    except OSError:
        return ()
    return tuple(int(number) for number in result.stdout.split()) if result.returncode == 0 else ()


def _numbers(version: str) -> tuple[t.Any, ...]:
    return tuple(int(number) for number in version.split(".")[:2])
