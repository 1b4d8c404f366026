# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The two hosts of the scenario."""

import pytest
from scenario import hosts
from testinfra.host import Host


@pytest.fixture(scope="module")
def host() -> Host:
    return hosts.host("server")


@pytest.fixture(scope="module")
def store() -> Host:
    return hosts.host("store")
