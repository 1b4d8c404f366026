# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of the scenario, images at the upstream, and a mirror that can be away."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from scenario import images, playbook
from testinfra.host import Host


@pytest.fixture
def image(upstream: Host) -> Callable[[str], str]:
    """A fresh image at the upstream, as REPOSITORY:TAG. Each has a repository of its own below a name."""

    def image(below: str) -> str:
        repository = f"{below}/app-{upstream.check_output('date +%s%N')}"
        images.push(upstream, "--unix-socket /run/docker-registry/registry.sock http://registry", repository, unpacks=True)
        return f"{repository}:1"

    return image


@pytest.fixture
def away(registry: Host) -> Iterator[Callable[[], None]]:
    """The host of the mirrors refuses connections."""

    def away() -> None:
        registry.check_output("systemctl stop holdfast-gateway")

    yield away
    registry.check_output("systemctl start holdfast-gateway")


@pytest.fixture
def as_before() -> Iterator[None]:
    """The settings of the scenario, after a test with others."""
    yield
    playbook.converged("--tags", "docker_client")
