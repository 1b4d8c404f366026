# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import re

import pytest
from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import (
    Endpoint,
    certificate_user_problem,
    check_file_name,
    dns_problem,
    host_problem,
    is_address,
    parse_endpoint,
    subject_text,
    user_problems,
)


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


@pytest.mark.parametrize("name", ["registry.example.com", "registry", "1.registry.3com", "xn--bcher-kva.example", "A-b.C", "a" * 63 + ".b"])
def test_a_host_name_is_one_everywhere(name):
    assert dns_problem(name) is host_problem(name) is None


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "has nothing before, between or after its dots"),
        ("reg..test", "has nothing before, between or after its dots"),
        (".test", "has nothing before, between or after its dots"),
        ("test.", "has nothing before, between or after its dots"),
        ("-x", "has a hyphen next to a dot or at an end"),
        ("x-", "has a hyphen next to a dot or at an end"),
        ("a.-b.example", "has a hyphen next to a dot or at an end"),
        ("1.2.3", "ends in a number, as only an IP address does"),
        ("my_registry.test", "has an underscore, which no host's name may have; a hyphen may be meant"),
        ("bücher.example", "is not in its ASCII form: 'xn--bcher-kva.example'"),
        ("registry.test\n", "has other characters than letters, digits, hyphens and dots"),
        ("*", "has other characters than letters, digits, hyphens and dots"),
        ("*.example.com", "has other characters than letters, digits, hyphens and dots"),
        ("a" * 64 + ".test", "has more than 63 characters between two dots"),
        (".".join(["a" * 60] * 5), "has more than 253 characters"),
    ],
)
def test_what_is_no_host_name_says_why(name, why):
    assert dns_problem(name) == host_problem(name) == why
    with pytest.raises(HoldfastError, match=f"^endpoint: .* has no valid host name or address: it {re.escape(why)}; use"):
        parse_endpoint(name, parameter="endpoint")


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_names_a_host_without_being_a_dns_name(address):
    assert host_problem(address) is None and dns_problem(address) is not None and is_address(address)


def test_a_zone_makes_no_address():
    assert not is_address("fe80::1%eth0")


@pytest.mark.parametrize("name", ["registry", "registry.example.com", "0", "a_b-c", "x" * 200])
def test_a_file_name_is_one_everywhere(name):
    check_file_name(name, "name")


@pytest.mark.parametrize("name", ["", ".hidden", "-x", "_x", "a/b", "..", "a b", "a\n", "ä", "x" * 201])
def test_what_is_no_file_name_is_refused_with_its_place(name):
    with pytest.raises(HoldfastError, match=r"^names\[2\]: .* cannot name a file; use letters"):
        check_file_name(name, "names[2]")


@pytest.mark.parametrize("name", ["alice", "zoë", "build bot", "a+b", "x" * 255])
def test_a_user_with_a_password_may_be_called_almost_anything(name):
    assert user_problems(name) == []


@pytest.mark.parametrize("name", ["alice", "alice@example.org", "build-bot_2.x"])
def test_a_user_with_a_certificate_has_a_plain_name(name):
    assert certificate_user_problem(name) is None


@pytest.mark.parametrize("name", ["zoë", "build bot", "a+b", "-a", "a,CN=b", "alice\n", "", None, 5, "x" * 65])
def test_a_name_that_cannot_be_read_from_a_certificate_is_refused(name):
    assert certificate_user_problem(name)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([], ""),
        ([[("commonName", "Example CA")]], "CN=Example CA"),
        ([[("countryName", "DE")], [("organizationName", "Example, Inc")], [("2.5.4.3", "CA")]], r"CN=CA,O=Example\, Inc,C=DE"),
        ([[("commonName", "a"), ("emailAddress", "a@b")]], "CN=a+1.2.840.113549.1.9.1=a@b"),
        ([[("CN", ' #"+;<>\\\0 ')]], r"CN=\ #\"\+\;\<\>\\\00\ "),
        ([[("CN", "#x")]], r"CN=\#x"),
        ([[("CN", " ")]], r"CN=\ "),
    ],
)
def test_subjects_are_written_as_rfc_4514_says(parts, text):
    assert subject_text(parts) == text
