# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The load: wrk, ab for HEAD, and guesses. Each runs on 8 connections for a few seconds, over the host's own loopback."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
import typing as t

import comparison
import gateway
from registry_client import AUTHORIZATION, MANIFEST

HERE = os.path.dirname(os.path.abspath(__file__))
# An address of the loopback that is not the user's: what connects to it comes from it.
ELSEWHERE = "127.0.0.2"


class Load(t.NamedTuple):
    seconds: float
    requests: float
    bytes: float
    failed: float


def know_names() -> None:
    """Have the gateway's name lead to the loopback, and the loopback know the other address."""
    with open("/etc/hosts", "r+", encoding="utf-8") as hosts:
        if gateway.NAME not in hosts.read():
            hosts.write(f"127.0.0.1 {gateway.NAME}\n")
    subprocess.run(["ip", "address", "replace", f"{ELSEWHERE}/32", "dev", "lo"], check=True)


def gets(port: int, path: str, seconds: int) -> Load:
    command = _wrk(f"https://{gateway.NAME}:{port}{path}", seconds, "report.lua", "-H", f"Authorization: {AUTHORIZATION}", "-H", f"Accept: {MANIFEST}")
    shown = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return Load(**json.loads(shown.splitlines()[-1]))


def heads(port: int, path: str, seconds: int) -> Load:
    """wrk waits for the body that an answer to HEAD announces; ab does not."""
    command = ["ab", "-i", "-k", "-q", "-c", "8", "-t", str(seconds), "-n", "1000000", "-H", f"Authorization: {AUTHORIZATION}"]
    shown = subprocess.run([*command, f"https://{gateway.NAME}:{port}{path}"], check=True, stdout=subprocess.PIPE, text=True).stdout
    found = {name: float(re.findall(rf"^{name}: +([0-9.]+)", shown, re.MULTILINE)[0]) for name in ("Time taken for tests", "Complete requests")}
    failed = sum(float(number) for number in re.findall(r"^(?:Failed requests|Non-2xx responses): +([0-9]+)", shown, re.MULTILINE))
    return Load(found["Time taken for tests"], found["Complete requests"], 0, failed)


class Flood:
    """Wrong passwords, up to 200 a second on 8 connections, from a second before the `with` until its end."""

    def __init__(self, address: str, seconds: int) -> None:
        url = f"https://{address}:{gateway.PORT}/"
        self._command = _wrk(url, seconds + 1, "flood.lua", "-H", f"Host: {gateway.NAME}")

    def __enter__(self) -> None:
        self._attackers = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        time.sleep(1)

    def __exit__(self, *_exception: object) -> None:
        shown = self._attackers.communicate()[0]
        if self._attackers.returncode or not json.loads(shown.splitlines()[-1])["refused"]:
            raise RuntimeError(f"the flood failed: {shown}")
        # guesses that wait for their turn would disturb who comes next
        subprocess.run(["systemctl", "restart", *gateway.UNITS], check=True)
        # systemd has started it when its program runs, which is before it listens
        comparison.wait_for(gateway.PORT, gateway.UNIT)


def _wrk(url: str, seconds: int, script: str, *options: str) -> list[str]:
    return ["wrk", "-t", "2", "-c", "8", "-d", f"{seconds}s", "--timeout", "30s", "-s", f"{HERE}/{script}", *options, url]
