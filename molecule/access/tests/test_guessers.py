# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A brute-force attempt affects neither users who are logged in nor a first login from an address that does not guess."""

from __future__ import annotations

import base64
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
from people import PASSWORDS, PORT, SETTINGS, SLOW, SLOW_PASSWORD
from scenario import gateway, hosts, playbook
from testinfra.host import Host

Siege = Callable[..., dict[str, Any]]
# Each is used once: credentials that were right before are recognised.
NEWCOMERS = iter(SLOW[3:])


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def siege(registry: Host) -> Siege:
    hosts.write(registry, "/run/guessers.py", pathlib.Path(__file__).with_name("guessers.py").read_text())

    def siege(addresses: int, *, guesses: list[str] | None = None, pause: float = 0.5, logins: int = 1, seconds: int = 12) -> dict[str, Any]:
        order = {
            "port": PORT,
            "user": [SLOW[0], SLOW_PASSWORD],
            "victim": SLOW[1],
            "addresses": addresses,
            "guesses": guesses,
            "pause": pause,
            "seconds": seconds,
            "logins": [[next(NEWCOMERS), SLOW_PASSWORD] for _login in range(logins)],
        }
        hosts.write(registry, "/run/order.json", json.dumps(order))
        felt: dict[str, Any] = json.loads(registry.check_output("python3 /run/guessers.py </run/order.json"))
        return felt

    return siege


def hold(felt: dict[str, Any]) -> None:
    assert felt["requests"] > 50, felt
    assert felt["refused"] == 0, felt
    # Without the service for passwords the workers hash, and these are many seconds.
    assert felt["p99"] < 1, felt
    assert [status for status, _seconds in felt["logins"]] == [200] * len(felt["logins"]), felt
    assert all(seconds < 5 for _status, seconds in felt["logins"]), felt


def test_254_addresses_that_guess_stop_nobody(siege: Siege) -> None:
    felt = siege(254, logins=2)
    assert felt["guesses"].get("401", 0) + felt["guesses"].get("429", 0) == sum(felt["guesses"].values()) > 0
    hold(felt)


def test_other_spellings_of_a_right_password_are_wrong_and_cost_nothing(siege: Siege) -> None:
    right = f"{SLOW[1]}:{SLOW_PASSWORD}"
    written = encoded(right)
    assert written.endswith("A=="), "the bits of the last letter that are not used have to be there to be changed"
    spellings = [encoded(f"{right}\0{number}") for number in range(100)]
    # more padding, none, and bits that decode to nothing
    spellings += [f"{written}=", written.rstrip("="), f"{written.removesuffix('A==')}B=="]
    felt = siege(1, guesses=spellings, pause=0.01)
    assert set(felt["guesses"]) == {"401"}
    hold(felt)


def test_a_password_that_was_right_is_worth_nothing_once_it_is_changed(siege: Siege, registry: Host) -> None:
    victim = SLOW[2]
    siege(1, guesses=[encoded(f"{victim}:{SLOW_PASSWORD}")], logins=0, seconds=2)
    registry.check_output(f"cp -a {gateway.USERS_FILE} /root/users")
    try:
        playbook.module("registry", "htpasswd", path=gateway.USERS_FILE, users=[{"name": victim, "password": "another"}], bcrypt_cost=12)
        felt = siege(1, guesses=[encoded(f"{victim}:{SLOW_PASSWORD}")], pause=0.01)
        later = siege(1, guesses=[encoded(f"{victim}:{SLOW_PASSWORD}")], logins=0, seconds=2)
    finally:
        registry.check_output(f"mv /root/users {gateway.USERS_FILE}")
    # It is let in until what nginx has cached is over, and then it is a guess like every other: wrong, or one too many.
    assert set(felt["guesses"]) <= {"200", "401", "429"}, felt
    assert later["guesses"] and set(later["guesses"]) <= {"401", "429"}, later
    hold(felt)


def test_requests_of_one_user_in_the_instant_in_which_the_cached_check_ends_are_all_served(registry: Host) -> None:
    credentials = f"alice:{PASSWORDS['alice']}"
    curl = f"curl -s --cacert /etc/ssl/holdfast/ca.crt --max-time 20 -o /dev/null -w '%{{http_code}}\\n' -u '{credentials}' https://127.0.0.1:{PORT}/v2/"
    burst = f"for i in $(seq 4); do seq 50 | xargs -P 50 -I@ {curl}; sleep {SETTINGS['access_cache_seconds']}; done"
    assert set(registry.check_output(burst).split()) == {"200"}


def test_the_users_name_is_in_the_log_as_one_line_and_escaped(play: Callable[..., Any], registry: Host) -> None:
    forged = encoded('nobody\u2028x": refused:a guess')
    play([{"user": "forged", "request": "GET /v2/", "address": "127.7.0.1"}], values={"forged": forged})
    line = registry.check_output(f"journalctl --no-pager -q -o cat -u {gateway.PASSWORDS_UNIT} | grep 127.7.0.1")
    assert line == r'refused: wrong password for "nobody\u2028x\"" from 127.7.0.1'


# More than an nginx with the usual settings has room for: connections on which nothing is sent, half a request, or one without its body.
IDLERS = {
    "nothing": (2500, False, b""),
    "half a request": (1700, True, b"GET /v2/ HTTP/1.1\r\nHost: x\r\n"),
    "no body": (700, True, b"POST /v2/team-a/app/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"),
}
IDLE = """
import json, resource, socket, ssl, subprocess
count, tls, text, curl = json.load(open("/run/idle.json"))
resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
opened = []
for number in range(count):
    plain = socket.create_connection(("127.0.0.1", 5443), timeout=5, source_address=("127.8.0.1", 0))
    opened.append(context.wrap_socket(plain) if tls else plain)
    opened[-1].sendall(text.encode())
print(subprocess.run(curl, shell=True, stdout=subprocess.PIPE, text=True).stdout)
"""


@pytest.mark.parametrize("what", IDLERS)
def test_connections_that_hold_still_stop_nobody_else(registry: Host, what: str) -> None:
    count, tls, text = IDLERS[what]
    curl = f"curl -s --cacert /etc/ssl/holdfast/ca.crt --interface 127.8.0.2 --max-time 5 -o /dev/null -w '%{{http_code}}' https://127.0.0.1:{PORT}/_ping"
    hosts.write(registry, "/run/idle.json", json.dumps([count, tls, text.decode(), curl]))
    hosts.write(registry, "/run/idle.py", IDLE)
    assert registry.check_output("python3 /run/idle.py") == "200"
