# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, and what its users can do."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from people import PASSWORDS, PEOPLE, PORT
from scenario import hosts
from scenario.docker import Docker
from testinfra.host import Host


@pytest.fixture(scope="session")
def play(registry: Host) -> Callable[..., Any]:
    """Play attacks on the registry's host, all in one go. See attacker.py."""
    hosts.write(registry, "/run/attacker.py", pathlib.Path(__file__).with_name("attacker.py").read_text())

    def play(attacks: list[dict[str, Any]], *, seed: bool = False, values: dict[str, str] | None = None) -> Any:
        order = {"port": PORT, "users": PASSWORDS, "seed": seed, "values": values or {}, "attacks": attacks}
        hosts.write(registry, "/run/attacks.json", json.dumps(order))
        return json.loads(registry.check_output("python3 /run/attacker.py </run/attacks.json; rm -f /run/attacks.json"))

    return play


@pytest.fixture
def docker(client: Host) -> Iterator[Callable[..., Docker]]:
    """Docker on the client, as a user who has logged in, or nobody."""
    made = []

    def docker(user: str = "", endpoint: str = PEOPLE) -> Docker:
        made.append(Docker(client, endpoint))
        if user:
            login = made[-1].login(user, PASSWORDS[user])
            assert login.rc == 0, login.stderr
        return made[-1]

    yield docker
    for each in made:
        each.close()


@pytest.fixture
def pushed(docker: Callable[..., Docker]) -> Callable[..., list[str]]:
    """A fresh image in each repository, as REPOSITORY:TAG."""

    def pushed(*repositories: str) -> list[str]:
        admin = docker("admin")
        return [admin.push(repository)[0].removeprefix(f"{PEOPLE}/") for repository in repositories]

    return pushed
