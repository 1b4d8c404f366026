# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every client asks the mirrors first, in its own way, and goes to the upstream where they are away."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from testinfra.host import Host
from tools import PULL, UPSTREAM, served

Image = Callable[[str], str]
each_tool = pytest.mark.parametrize("tool", list(PULL))
# Docker knows mirrors of Docker Hub only.
OTHERS = [tool for tool in PULL if tool != "docker"]


@each_tool
def test_it_pulls_an_image_of_docker_hub_from_the_mirror(client: Host, registry: Host, image: Image, tool: str) -> None:
    name = image("library")
    pulled = PULL[tool](client, f"docker.io/{name}")
    assert pulled.rc == 0, pulled.stderr
    assert served(registry, name.partition(":")[0]), "it went past the mirror"


@pytest.mark.parametrize("tool", OTHERS)
def test_it_pulls_an_image_of_another_upstream_from_the_mirror(client: Host, registry: Host, image: Image, tool: str) -> None:
    name = image("team")
    pulled = PULL[tool](client, f"{UPSTREAM}/{name}")
    assert pulled.rc == 0, pulled.stderr
    assert served(registry, name.partition(":")[0]), "it went past the mirror"


@each_tool
def test_while_the_mirror_is_away_it_pulls_from_the_upstream(client: Host, image: Image, away: Callable[[], None], tool: str) -> None:
    name = image("library")
    away()
    pulled = PULL[tool](client, f"docker.io/{name}" if tool == "docker" else f"{UPSTREAM}/{name}")
    assert pulled.rc == 0, pulled.stderr
