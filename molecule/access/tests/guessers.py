# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on the registry's host: many addresses guess, while one user stays logged in and others log in for the first time.

Reads an order as JSON and prints what the users felt. Every loop ends after the seconds ordered.
"""

import asyncio
import base64
import json
import ssl
import statistics
import sys
import time

CA = "/etc/ssl/holdfast/ca.crt"
NAME = "registry.holdfast.test"


class Connection:
    """One client at its address, with one connection that is made again when the server has closed it."""

    def __init__(self, port, address):
        self._port, self._address, self._streams = port, address, None

    async def status(self, credentials):
        try:
            return await asyncio.wait_for(self._ask(credentials), 40)
        except (asyncio.IncompleteReadError, ConnectionError):
            self._streams = None
            return await asyncio.wait_for(self._ask(credentials), 40)

    async def _ask(self, credentials):
        if self._streams is None:
            context = ssl.create_default_context(cafile=CA)
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, ssl=context, server_hostname=NAME, local_addr=(self._address, 0))
        reader, writer = self._streams
        writer.write(f"GET /v2/ HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: Basic {credentials}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0] or 0))
        return int(head.split()[1])


def basic(user, password):
    return base64.b64encode(f"{user}:{password}".encode()).decode()


async def guess(order, number, until, counts):
    connection = Connection(order["port"], f"127.4.{number // 250}.{number % 250 + 1}")
    guesses = order["guesses"] or [basic(order["victim"], f"guess {number} {guess}") for guess in range(1000)]
    for credentials in guesses * 100:
        if time.monotonic() > until:
            return
        status = str(await connection.status(credentials))
        counts[status] = counts.get(status, 0) + 1
        await asyncio.sleep(order["pause"])


async def go_on(order, until):
    connection = Connection(order["port"], "127.0.0.1")
    seconds, refused = [], 0
    while time.monotonic() < until:
        begun = time.monotonic()
        refused += await connection.status(basic(*order["user"])) != 200
        seconds.append(time.monotonic() - begun)
        await asyncio.sleep(0.02)
    return seconds, refused


async def log_in(order, number, credentials):
    await asyncio.sleep(1 + number)
    begun = time.monotonic()
    status = await Connection(order["port"], f"127.9.0.{number + 1}").status(basic(*credentials))
    return status, time.monotonic() - begun


async def main(order):
    await Connection(order["port"], "127.0.0.1").status(basic(*order["user"]))
    counts, until = {}, time.monotonic() + order["seconds"]
    guessers = [asyncio.ensure_future(guess(order, number, until, counts)) for number in range(order["addresses"])]
    logins = [asyncio.ensure_future(log_in(order, number, credentials)) for number, credentials in enumerate(order["logins"])]
    seconds, refused = await go_on(order, until)
    for guesser in guessers:
        guesser.cancel()
    felt = {"refused": refused, "p99": statistics.quantiles(seconds, n=100)[98], "requests": len(seconds)}
    return {**felt, "logins": await asyncio.gather(*logins), "guesses": counts}


print(json.dumps(asyncio.run(main(json.load(sys.stdin)))))
