# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The client of the scenario, and docker on it."""

from collections.abc import Iterator

import pytest
from scenario.docker import Docker
from several import ALICES_PASSWORD, ENDPOINT
from testinfra.host import Host


@pytest.fixture
def docker(client: Host) -> Iterator[Docker]:
    docker = Docker(client, ENDPOINT)
    assert docker.login("alice", ALICES_PASSWORD).rc == 0
    yield docker
    docker.close()
