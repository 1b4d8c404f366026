# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Known vulnerabilities of the registry by version. docs/vulnerabilities.md says what closes each here, and a test that both agree."""

from __future__ import annotations

import re
import typing as t

Version = tuple[int, ...]


class Vulnerability(t.NamedTuple):
    """One of them. It is in the versions from since up to, but without, before; only_mirrors: in pull-through mirrors only."""

    name: str
    before: str
    since: str = "0"
    only_mirrors: bool = False

    @property
    def versions(self) -> str:
        """As the table in the documentation says it."""
        return f"before {self.before}" if self.since == "0" else f"{self.since}.x before {self.before}"


KNOWN = (
    Vulnerability("CVE-2023-2253", "2.8.2"),
    Vulnerability("CVE-2026-33540", "3.1.0", only_mirrors=True),
    Vulnerability("CVE-2026-35172", "3.1.0"),
    Vulnerability("CVE-2026-41888", "3.1.1", since="3"),
    Vulnerability("CVE-2026-85747", "3.1.2", only_mirrors=True),
)


def version_of(text: str) -> Version | None:
    """The numbers of a version such as v2.8.3+ds1-1; None where there are none."""
    match = re.search(r"\bv?([0-9]+)\.([0-9]+)\.([0-9]+)", text)
    return tuple(int(number) for number in match.groups()) if match else None


def known_in(version: Version, mirror: bool | None) -> list[str]:
    """The names of those that a version has. mirror says whether it is one; None for both."""
    return [one.name for one in KNOWN if _numbers(one.since) <= version < _numbers(one.before) and not (one.only_mirrors and mirror is False)]


def _numbers(text: str) -> Version:
    return tuple(int(number) for number in text.split("."))
