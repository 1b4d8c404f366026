# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""For the tests of all scenarios: the report of a test that failed has what the services wrote."""

import typing as t
from collections.abc import Generator

import pytest
from scenario import hosts, journal
from testinfra.host import Host

told: dict[str, str] = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        for name in hosts.names():
            written = journal.last(hosts.host(name))
            report.sections.append((f"services of {name}", "as above" if told.get(name) == written else written))
            told[name] = written
    return report


def _of(name: str) -> t.Any:
    @pytest.fixture(scope="session", name=name)
    def one() -> Host:
        return hosts.host(name)

    return one


# The hosts that scenarios have, by the names that their inventories give them.
server, registry, client, upstream, store, ca = map(_of, ("server", "registry", "client", "upstream", "store", "ca"))


@pytest.fixture(scope="session")
def host() -> Host:
    """The one that the scenario of a role is about."""
    return hosts.host("client" if hosts.SCENARIO.name == "docker_client" else "server")
