# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hostile upstream gets no password for others, and nothing it says is passed on that is not what it should be."""

import base64
import json
from collections.abc import Callable

import hostile as program
import pytest
from mirrors import CODE

NAMESPACE = "hostile.holdfast.test%3A6443"
VICTIM = base64.b64encode(b"victim:a password that must not leave").decode()

Curl = Callable[..., str]
Hostile = Callable[[], str]


def asked(hostile: Hostile) -> list[list[str]]:
    return [json.loads(line) for line in hostile().splitlines()]


@pytest.mark.parametrize(
    "path",
    [
        f"/v2/wrong/app/manifests/{program.digest(program.GOOD)}",
        "/v2/wrong/app/manifests/latest",
        f"/v2/wrong/app/blobs/{program.digest(program.GOOD_LAYER)}",
    ],
)
def test_content_that_is_not_what_its_digest_says_is_never_served(curl: Curl, hostile: Hostile, path: str) -> None:
    for _attempt in range(2):
        answer = curl(f"{path}?ns={NAMESPACE}", "-o /run/served", "-w '%{http_code} %{size_download}'", then="|| true")
        served = [content for content in (program.BAD, program.GOOD_LAYER[:-1] + b"!") if answer == f"200 {len(content)}"]
        assert served == [], answer
    assert any("/wrong/app/" in path for _method, path, _authorization in asked(hostile)), "it was not asked at all"


def test_a_token_realm_of_another_host_gets_no_password(curl: Curl, hostile: Hostile) -> None:
    assert curl(f"/v2/steal/token/manifests/latest?ns={NAMESPACE}", CODE) != "200"
    requests = asked(hostile)
    assert any("/steal/token/" in path for _method, path, _authorization in requests)
    assert [path for _method, path, _authorization in requests if path.startswith("/token")] == []
    assert not any(VICTIM in authorization for _method, _path, authorization in requests)


def test_a_redirect_to_another_host_takes_no_password_along(curl: Curl, hostile: Hostile) -> None:
    curl(f"/v2/steal/redirect/blobs/sha256:{'0' * 64}?ns={NAMESPACE}", CODE, then="|| true")
    requests = asked(hostile)
    assert any("/steal/redirect/" in path for _method, path, _authorization in requests)
    assert [authorization for _method, path, authorization in requests if path.startswith("/stolen") and authorization] == []
