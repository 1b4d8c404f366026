# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the gateway, role nginx_auth, keeps what on its host, and what its services are called."""

UNIT = "holdfast-gateway.service"
PASSWORDS_UNIT = "holdfast-gateway-passwords.service"
SEARCH_UNIT = "holdfast-gateway-search.service"
# whose processes serve the requests
USER = "holdfast-gateway"

CONFIGURATION = "/etc/holdfast-gateway"
# the file that has the registry's server in it
SERVER = f"{CONFIGURATION}/registries.conf"
USERS_FILE = f"{CONFIGURATION}/users.htpasswd"
SEARCH_RULES = f"{CONFIGURATION}/search-rules.json"

RUNTIME = "/run/holdfast-gateway"
NAMES_SOCKET = f"{RUNTIME}/names/names.sock"
# successful password checks, cached for seconds
CACHED_PASSWORDS = f"{RUNTIME}/passwords"
PASSWORDS_SOCKET = "/run/holdfast-gateway-passwords/check.sock"
SEARCH_SOCKET = "/run/holdfast-gateway-search/search.sock"

LOGS = "/var/log/holdfast-gateway"
ACCESS_LOG = f"{LOGS}/access.log"
ERROR_LOG = f"{LOGS}/error.log"
LOGROTATE = "/etc/logrotate.d/holdfast-gateway"
MANIFESTS = f"{RUNTIME}/manifests"
# below these the gateway keeps files of its own
DISKS = (CONFIGURATION, LOGS)

RELOAD = f"systemctl reload {UNIT}"
WORKER = f"pgrep -o -P $(systemctl show -p MainPID --value {UNIT})"

# nginx could not do what it is configured to do, such as a variable without a value, or a loop
ALARMS = ("[emerg]", "[alert]", "rewrite or internal redirection cycle", "could not find named location")
# A request keeps what it has from a cache locked to its end, which can be long where the machine is busy: docs/troubleshooting.md.
HARMLESS = "ignore long locked inactive cache entry"


def alarms(logged: str) -> list[str]:
    """The lines of an error log that no test may cause."""
    return [line for line in logged.splitlines() if HARMLESS not in line and any(alarm in line for alarm in ALARMS)]
