# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is tried is refused, and nothing has changed or been told. attacks.py has the attempts, protocol_attacks.py adds its own."""

import base64
import hashlib
import re
from collections.abc import Callable
from typing import Any

import pytest
from protocol_attacks import EVERY_ATTACK
from scenario import gateway
from testinfra.host import Host

# An attack that vanishes from the tables is noticed: whoever adds or drops one, counts again.
COUNT = 398
TOLD = re.compile(r"for team-b[^ ]* only|untold-tag|team-b/holder")
OWN = {"alice": "team-a", "bob": "team-b"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode("latin-1")).decode()


FORGED = {
    "nobody": encoded(":a password"),
    "bob-alone": encoded("bob"),
    "bob-empty": encoded("bob:"),
    "bob-guessed": encoded("bob:a guess"),
    "bob-hash": encoded("bob:$2y$05$0123456789012345678901"),
    "bob-as-alice": encoded("bob:the password of alice"),
    "line-break": encoded("nobody\nbob:the password of bob"),
    "line-behind": encoded("bob\n:the password of bob"),
    "nul": encoded("bob\0:the password of bob"),
    "pattern": encoded(".*:.*"),
    "comment": encoded("#:the password of bob"),
    "robot": encoded("robot:"),
}
LAYER = "a layer with two digests"
SHA512 = f"sha512:{hashlib.sha512(LAYER.encode()).hexdigest()}"
SHA256 = f"sha256:{hashlib.sha256(LAYER.encode()).hexdigest()}"


def uploaded(digest: str) -> list[Any]:
    """The requests that bring the layer into alice's repository."""
    finish = f"PUT <location>&digest={digest}"
    return [("alice", "POST /v2/team-a/app/blobs/uploads/"), ("alice", finish, ["Content-Type: application/octet-stream"], LAYER)]


# What the same users may do, in the same way.
PERMITTED = [
    {
        "name": "mount between two repositories",
        "user": "alice",
        "request": "POST /v2/team-a/mounted/blobs/uploads/?mount=<shared>&from=team-a/shared",
        "status": 201,
    },
    {"name": "mount with escapes", "user": "alice", "request": "POST /v2/team-a/mounted/blobs/uploads/?from=team-a%2Fapp&mount=<own>", "status": 201},
    {"name": "pull by another digest", "user": "bob", "request": "GET /v2/team-b/holder/blobs/<gone-sha512>", "status": 200},
    {"name": "ask for it by another digest", "user": "bob", "request": "HEAD /v2/team-b/holder/blobs/<gone-sha512>", "status": 200},
    {"name": "pull what was mounted", "user": "alice", "request": "GET /v2/team-a/mounted/blobs/<shared>", "status": 200},
    {"name": "pull a part", "user": "alice", "request": "GET /v2/team-a/mounted/blobs/<own>", "headers": ["Range: bytes=0-9"], "status": 206},
    {"name": "mount what all may pull", "user": "bob", "request": "POST /v2/team-b/mounted/blobs/uploads/?mount=<base>&from=library/base", "status": 201},
    {
        "name": "mount by another digest",
        "user": "alice",
        "before": uploaded(SHA512),
        "request": f"POST /v2/team-a/mounted/blobs/uploads/?mount={SHA512}&from=team-a/app",
        "status": 201,
    },
    {"name": "a blob that one has", "user": "alice", "request": "GET /v2/team-a/app/blobs/<own>", "headers": ['If-None-Match: "<own>"'], "status": 304},
    {
        "name": "whether a blob has changed",
        "user": "alice",
        "request": "HEAD /v2/team-a/app/blobs/<own>",
        "headers": ['If-None-Match: W/"<own>"'],
        "status": 304,
    },
    {
        "name": "a blob where one has another",
        "user": "alice",
        "request": "GET /v2/team-a/app/blobs/<own>",
        "headers": ['If-None-Match: "<shared>"'],
        "status": 200,
    },
    {"name": "an encoded slash", "user": "bob", "request": "GET /v2/team-b%2Fsecret/manifests/hidden-tag", "status": 200},
    {"name": "tags of one's own", "user": "bob", "request": "GET /v2/team-b/secret/tags/list", "status": 200},
    {"name": "pull what all may without a password", "user": "", "request": "GET /v2/public/hello/manifests/1", "status": 200},
    {"name": "list as one who may", "user": "alice", "request": "GET /v2/_catalog?n=1", "status": 200},
    {"name": "a list of more entries than a registry can hold", "user": "alice", "request": "GET /v2/_catalog?n=999999999", "status": 200},
    {"name": "delete as one who may", "user": "bob", "request": "DELETE /v2/team-b/mounted/blobs/<base>", "status": 202},
]


@pytest.fixture(scope="module")
def outcomes(play: Callable[..., Any]) -> dict[str, Any]:
    # every attack from an address of its own, so that no refusal is due to those before
    numbered = [{**attack, "address": f"127.1.{number // 200}.{number % 200 + 1}"} for number, attack in enumerate([*EVERY_ATTACK, *PERMITTED])]
    played = play(numbered, seed=True, values=FORGED)
    assert len(played["outcomes"]) == len(numbered)
    return {attack["name"]: {**outcome, "values": played["values"]} for attack, outcome in zip(numbered, played["outcomes"])}


def test_no_attack_was_lost_and_each_has_a_name_of_its_own() -> None:
    assert len({attack["name"] for attack in [*EVERY_ATTACK, *PERMITTED]}) == len([*EVERY_ATTACK, *PERMITTED])
    assert len(EVERY_ATTACK) == COUNT


@pytest.mark.parametrize("permitted", PERMITTED, ids=lambda permitted: permitted["name"])
def test_what_is_permitted_succeeds(outcomes: dict[str, Any], permitted: dict[str, Any]) -> None:
    outcome = outcomes[permitted["name"]]
    assert outcome["statuses"] == [permitted["status"]], outcome["received"]


@pytest.mark.parametrize("attack", EVERY_ATTACK, ids=lambda attack: attack["name"])
def test_attack_is_refused(outcomes: dict[str, Any], attack: dict[str, Any]) -> None:
    outcome = outcomes[attack["name"]]
    answer = f"{outcome['statuses']}\n{outcome['received']}"
    if attack["refused"] is None:
        # a body holds a request; that one is answered by nothing, or refused for want of a password
        assert all(status is None or status >= 400 for status in outcome["statuses"][1:]), answer
    elif isinstance(attack["refused"][0], tuple):
        assert tuple(outcome["statuses"]) in attack["refused"], answer
    else:
        assert len(outcome["statuses"]) == 1, answer
        assert outcome["statuses"][0] in attack["refused"], answer

    assert not TOLD.search(outcome["received"]), answer
    if "lacks" in attack:
        unwanted = re.sub("<(.*)>", lambda match: outcome["values"][match[1]], attack["lacks"])
        assert unwanted not in outcome["received"]
    own = OWN.get(attack["user"])
    assert [path for path in outcome["changes"] if own is None or f"/repositories/{own}/" not in path or "/_uploads/" not in path] == []


def test_no_attack_has_alarmed_nginx(outcomes: dict[str, Any], registry: Host) -> None:
    assert outcomes
    assert gateway.alarms(registry.file(gateway.ERROR_LOG).content_string) == []


@pytest.mark.parametrize("host", ['a"b', 'x",evil="y', "registry.holdfast.test:1:2", "a'b", "a{b"])
def test_the_address_of_the_token_repeats_nothing_but_names(play: Callable[..., Any], host: str) -> None:
    (outcome,) = play([{"user": "", "request": "GET /v2/", "headers": [f"Host: {host}"]}])["outcomes"]
    if outcome["statuses"] != [400]:
        realm = 'Bearer realm="https://registry.holdfast.test/v2/token",service="registry.holdfast.test"'
        assert outcome["headers"]["www-authenticate"] == realm


# Where nginx has something to log of a request with a password, it logs these parts of it.
LOGGED = [("GET /v2/?{} HTTP/1.1", "", ""), ("GET /v2/ HTTP/1.1", "{}", ""), ("GET /v2/ HTTP/1.1", "", "{}")]


@pytest.mark.parametrize(("line", "host", "referrer"), LOGGED)
@pytest.mark.parametrize(("sent", "logged"), [("visible", True), ("\x1b[31m", False), ("\xc2\x9b31m", False)])
def test_no_escape_code_gets_into_the_log_of_errors(
    play: Callable[..., Any], registry: Host, line: str, host: str, referrer: str, sent: str, logged: bool
) -> None:
    names = ["Host: registry.holdfast.test" + host, "Referer: https://holdfast.test/" + referrer, "Authorization: Basic <alice>"]
    lines = [line, *names, "Transfer-Encoding: chunked", "", "no chunk", ""]
    registry.check_output(f": >{gateway.ERROR_LOG}")
    play([{"bytes": "\r\n".join(lines).format(sent)}])
    content = registry.file(gateway.ERROR_LOG).content
    assert b"\x1b" not in content and b"\x9b" not in content
    assert (b"visible" in content) is logged


def test_a_link_in_the_storage_leads_nowhere(play: Callable[..., Any], registry: Host) -> None:
    """As a registry that was taken over could make one, to whatever nginx may read."""
    ask = {"user": "alice", "request": f"GET /v2/team-a/app/blobs/{SHA256}", "wait": 1.5}
    assert play([{**ask, "before": uploaded(SHA256)}])["outcomes"][0]["statuses"] == [200]
    digits = SHA256.partition(":")[2]
    data = f"/var/lib/docker-registry/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data"
    registry.check_output(f"mv {data} /root/data && ln -s /etc/hostname {data}")
    try:
        (outcome,) = play([ask])["outcomes"]
    finally:
        registry.check_output(f"rm {data} && mv /root/data {data}")
    assert outcome["statuses"][0] >= 400
    assert registry.file("/etc/hostname").content_string.strip() not in outcome["received"]
