# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Who listens for TCP connections on a host, and where."""

import re
from typing import NamedTuple

from testinfra.host import Host


class Listener(NamedTuple):
    address: str
    port: int
    program: str

    @property
    def is_local(self) -> bool:
        return self.address.startswith("127.") or self.address == "[::1]"


def listeners(host: Host) -> set[Listener]:
    found = set()
    for line in host.check_output("ss -Hltnp").splitlines():
        matched = re.match(r'LISTEN \s*\S+\s+\S+\s+(\S+):(\d+)\s.*users:\(\("([^"]+)"', line)
        assert matched, line
        found.add(Listener(matched[1], int(matched[2]), matched[3]))
    return found
