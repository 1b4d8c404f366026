# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the services of a host wrote last, for the report of a test that failed."""

from testinfra.host import Host

from scenario import gateway

SERVICES = ["docker-registry", "redis-server@*", "docker", gateway.UNIT, gateway.SEARCH_UNIT, "holdfast-*"]
LINES = 50


def last(host: Host) -> str:
    """The last lines of our services and of those that failed, and of nginx's own log of errors."""
    failed = host.run("systemctl list-units --failed --plain --no-legend | cut -d' ' -f1").stdout.split()
    units = " ".join(f"--unit='{unit}'" for unit in [*SERVICES, *failed])
    # what an attacker sent may stand in a log, whatever bytes it is made of
    journal = _text(host, f"journalctl --no-pager --quiet --no-hostname --lines={LINES} {units}")
    errors = _text(host, f"tail -n {LINES} {gateway.ERROR_LOG}")
    parts = [f"failed units: {' '.join(failed) or 'none'}", journal, f"{gateway.ERROR_LOG}:\n{errors}" if errors else ""]
    return "\n".join(part.rstrip() for part in parts if part)


def _text(host: Host, command: str) -> str:
    output: bytes = host.run(command).stdout_bytes
    return output.decode(errors="backslashreplace")
