# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""For the tests of all scenarios: the report of a test that failed has what the services wrote."""

from collections.abc import Generator

import pytest
from scenario import hosts, journal

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
