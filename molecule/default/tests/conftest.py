# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker on the client."""

from collections.abc import Iterator

import pytest
from answers import ENDPOINT, SECRETS
from scenario.docker import Docker
from testinfra.host import Host


@pytest.fixture
def alices_password() -> str:
    return (SECRETS / "users/alice.password").read_text().strip()


@pytest.fixture
def docker(client: Host) -> Iterator[Docker]:
    docker = Docker(client, ENDPOINT)
    yield docker
    docker.close()
