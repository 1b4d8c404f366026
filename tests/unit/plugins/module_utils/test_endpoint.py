# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils.endpoint import Endpoint, parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils.errors import HoldfastError


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("registry.example.com", Endpoint("registry.example.com")),
        ("registry.example.com:5000", Endpoint("registry.example.com", 5000)),
        ("Registry:1", Endpoint("Registry", 1)),
        ("192.0.2.1:65535", Endpoint("192.0.2.1", 65535)),
        ("[2001:db8::1]", Endpoint("2001:db8::1")),
        ("[::1]:443", Endpoint("::1", 443)),
        ("1.registry.3com", Endpoint("1.registry.3com")),
    ],
)
def test_reads_every_written_form_and_writes_it_back(text: str, endpoint: Endpoint) -> None:
    assert parse_endpoint(text, parameter="registry") == endpoint
    assert str(endpoint) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":5000",
        "registry:",
        "registry:0",
        "registry:05",
        "registry:65536",
        "registry:-1",
        "registry:5\n",
        "registry:٣",
        "registry:https",
        "registry.example.com.",
        "registry..example",
        "-registry",
        "registry-",
        "regi stry",
        "registry\n",
        "registry_1",
        "régistry",
        "..",
        ".hidden",
        "a/../b",
        "https://registry",
        "registry/v2/",
        "999.0.0.1",
        "1.2.3",
        "2001:db8::1",
        "[2001:db8::1",
        "[2001:db8::1]5000",
        "[registry]",
        "[192.0.2.1]",
        "[]",
        "[fe80::1%eth0]",
        "x" * 64,
        ".".join(["x" * 60] * 5),
    ],
)
def test_refuses_what_is_no_endpoint_and_names_the_parameter(text: str) -> None:
    with pytest.raises(HoldfastError, match=r"^logins\[3\]\.registry: "):
        parse_endpoint(text, parameter="logins[3].registry")


def test_does_not_repeat_a_password_written_before_the_host() -> None:
    with pytest.raises(HoldfastError) as caught:
        parse_endpoint("alice:correct-horse@registry", parameter="registry")
    assert "correct-horse" not in str(caught.value)
