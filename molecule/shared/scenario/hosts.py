# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The hosts of the scenario that is being tested."""

import base64
import functools
import json
import os
import pathlib
import subprocess

import testinfra
from testinfra.host import Host

PROJECT = pathlib.Path(os.environ["MOLECULE_PROJECT_DIRECTORY"])
SCENARIO = pathlib.Path(os.environ["MOLECULE_SCENARIO_DIRECTORY"])
INVENTORIES = [f"--inventory={path}" for path in (PROJECT / "molecule/shared/inventory.yml", SCENARIO / "inventory.yml")]
# What a scenario keeps on the controller. destroy.yml removes it.
KEPT = PROJECT / ".cache/scenarios" / SCENARIO.name


def container(name: str) -> str:
    """What the host's container is called; see shared/inventory.yml."""
    return f"{os.environ.get('HOLDFAST_LAB_PREFIX', 'holdfast')}-test-{SCENARIO.name}-{name}"


@functools.cache
def host(name: str) -> Host:
    return testinfra.get_host(f"docker://{container(name)}")


@functools.cache
def names() -> list[str]:
    listed = subprocess.run(["ansible-inventory", *INVENTORIES, "--list"], stdout=subprocess.PIPE, check=True).stdout
    return sorted(json.loads(listed)["_meta"]["hostvars"])


def write(host: Host, path: str, content: str) -> None:
    """A file that only root reads, whatever is in it."""
    host.check_output(f"umask 077; printf %s {base64.b64encode(content.encode()).decode()} | base64 -d >{path}")
