# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ask a registry whether it accepts credentials, as "docker login" does: by its name, trusting the CAs that the client trusts for it."""

from __future__ import annotations

import os
import re
import ssl
import typing as t
import urllib.parse
from concurrent.futures import ThreadPoolExecutor

from ansible_collections.holdfast.registry.plugins.module_utils._docker.entries import Login
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.whole import names_in
from ansible_collections.holdfast.registry.plugins.module_utils._http import Request, ask, parse_url
from ansible_collections.holdfast.registry.plugins.module_utils._tls import Pair, PairNames, load_pair, trusting_context

_HUB_HOST = "registry-1.docker.io"
_AT_ONCE = 16


class Answers(t.NamedTuple):
    """A line for each login that a registry refused, and for each that it could not be asked about."""

    refused: list[str]
    unknown: list[str]


def check(logins: t.Sequence[Login], certificates: t.Mapping[str, t.Sequence[str]], timeout: int = 10) -> Answers:
    """Ask about every login that shall be there, each pair of credentials once for a client.

    certificates has the directories of each client with a directory for each registry, such as Docker's /etc/docker/certs.d.
    A client reads the first that has one for the registry.
    """
    places: dict[tuple[str, str, str], Login] = {}
    for login in logins:
        if login.present:
            places.setdefault((login.client, login.key, login.auth), login)
    answers = Answers([], [])
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        for login, answer in zip(places.values(), pool.map(lambda login: _ask(login, certificates[login.client], timeout), places.values())):
            where = answers.refused if answer == 401 else answers.unknown
            if answer == 401:
                where.append(f"{login.place}: {login.registry} does not accept this password for {login.username!r}")
            elif answer != 200:
                where.append(f"{login.place}: whether {login.registry} accepts the password of {login.username!r} could not be asked: {answer}")
    return answers


def _ask(login: Login, certificates: t.Sequence[str], timeout: int) -> int | str:
    """The status 200 or 401, or why it is not known."""
    headers = {"User-Agent": "holdfast.registry", "Authorization": f"Basic {login.auth}"}
    try:
        directories = [os.path.join(directory, "docker.io" if login.is_for_hub else login.registry) for directory in certificates]
        context = _context(next((directory for directory in directories if os.path.isdir(directory)), directories[0]))
        url = f"https://{_HUB_HOST if login.is_for_hub else login.registry}/v2/"
        answer = ask(Request(parse_url(url), headers=headers, context=context, timeout=timeout))
        if answer["status"] == 401:
            realm = _token_url(answer["challenge"], login.username)
            if realm:
                url = realm
                answer = ask(Request(parse_url(url), headers=headers, context=context, timeout=timeout))
    except HoldfastError as error:
        return str(error)
    status: int = answer["status"]
    return status if status in (200, 401) else f"{url} answered {status} {answer['reason']}"


def _token_url(challenge: str, username: str) -> str | None:
    """Where a registry has passwords checked that does not check them itself. Never without TLS."""
    realm, service = re.search(r'\bBearer\b.*?\brealm="(https://[^"]+)"', challenge, re.IGNORECASE), re.search(r'\bservice="([^"]*)"', challenge, re.IGNORECASE)
    if not realm:
        return None
    query = {"account": username, **({"service": service[1]} if service else {})}
    return f"{realm[1]}{'&' if '?' in realm[1] else '?'}{urllib.parse.urlencode(query)}"


def _context(directory: str) -> ssl.SSLContext:
    """What a client trusts and shows: the system's CAs, those of the registry's directory, and the certificates there."""
    context = trusting_context()
    entries = names_in(directory)
    for entry in entries:
        path = os.path.join(directory, entry)
        stem, kind = os.path.splitext(path)
        if kind == ".crt":
            try:
                context.load_verify_locations(cafile=path)
            except OSError as error:
                raise HoldfastError(f"{path}: cannot be read as certificates: {error.strerror}") from error
        elif kind == ".cert" and f"{os.path.splitext(entry)[0]}.key" in entries:
            load_pair(context, Pair(path, f"{stem}.key"), PairNames("certificate", "key"))
    return context
