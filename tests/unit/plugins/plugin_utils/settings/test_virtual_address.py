# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import pathlib

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.holdfast.registry.plugins.plugin_utils import virtual_addresses
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import virtual_address
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Host

ROOT = pathlib.Path(__file__).parents[5]
OPTIONS = yaml.safe_load((ROOT / "roles/virtual_address/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
FACTS = {
    "interfaces": ["lo", "eth0", "br-lan"],
    "default_ipv4": {"address": "192.0.2.1", "interface": "eth0"},
    "lo": {"device": "lo", "ipv4": {"address": "127.0.0.1", "netmask": "255.0.0.0"}, "ipv6": [{"address": "::1", "prefix": "128", "scope": "host"}]},
    "eth0": {
        "device": "eth0",
        "ipv4": {"address": "192.0.2.1", "netmask": "255.255.255.0"},
        "ipv4_secondaries": [{"address": "192.0.2.5", "netmask": "255.255.255.0"}],
        "ipv6": [{"address": "fe80::1", "prefix": "64", "scope": "link"}, {"address": "2001:db8::1", "prefix": "64", "scope": "global"}],
    },
    "br_lan": {"device": "br-lan", "ipv4": {"address": "198.51.100.1", "netmask": "255.255.255.0"}},
}
GIVEN = {"virtual_address_ip": "192.0.2.10/24", "virtual_address_peers": ["192.0.2.2"]}


def problems(facts=None, **settings):
    validated = ArgumentSpecValidator(OPTIONS).validate({**GIVEN, **settings})
    assert validated.error_messages == []
    return virtual_address.problems(validated.validated_parameters, Host("one", facts=FACTS if facts is None else facts))


def meeting(virtual, **more):
    return virtual_addresses.meeting({"ansible_facts": FACTS, **more}, virtual)


def sharing(address, netmask):
    """The facts while the host has one more address on eth0."""
    return {**FACTS, "eth0": {**FACTS["eth0"], "ipv4_secondaries": [{"address": address, "netmask": netmask}]}}


@pytest.mark.parametrize(
    ("virtual", "peers"),
    [("192.0.2.10/24", ["192.0.2.2", "192.0.2.3"]), ("198.51.100.10/24", ["198.51.100.2"]), ("2001:db8::10/64", ["2001:db8::2"])],
)
def test_an_address_in_a_network_of_the_host_is_let_through(virtual, peers):
    assert problems(virtual_address_ip=virtual, virtual_address_peers=peers) == []


def test_without_an_address_nothing_is_checked():
    assert problems(virtual_address_ip="", virtual_address_peers=[], virtual_address_router_id=0) == []


@pytest.mark.parametrize(
    ("virtual", "said"),
    [
        ("192.0.2.10", "is not an IP address with the prefix length of its network, such as 192.0.2.10/24"),
        ("registry.example.org/24", "is not an IP address with the prefix length"),
        ("192.0.2.300/24", "is not an IP address with the prefix length"),
        ("192.0.2.10/33", "is not an IP address with the prefix length"),
        ("192.0.2.10/", "is not an IP address with the prefix length"),
        ("2001:db8::10%eth0/64", "is not an IP address with the prefix length"),
        ("192.0.2.10/255.255.255.0", "has a network mask; give the prefix length, /24"),
        ("127.0.0.9/8", "is not an address that clients of other hosts reach"),
        ("224.0.0.18/24", "is not an address that clients of other hosts reach"),
        ("fe80::9/64", "is not an address that clients of other hosts reach"),
        ("192.0.2.0/24", "is the address of the network 192.0.2.0/24 or of all its hosts; choose a free one in it"),
        ("192.0.2.255/24", "is the address of the network"),
        ("2001:db8::/64", "is the address of the network"),
    ],
)
def test_what_is_no_address_to_share_is_refused(virtual, said):
    (problem,) = problems(virtual_address_ip=virtual)
    assert problem.startswith(f'virtual_address_ip: "{virtual}" {said}')


@pytest.mark.parametrize("own", ["192.0.2.1", "192.0.2.5"])
def test_an_address_that_the_host_has_itself_is_refused(own):
    (problem,) = problems(virtual_address_ip=f"{own}/24")
    assert problem == f"virtual_address_ip: one has {own} itself, on eth0; choose an address that no host has, or take it from that interface"


def test_the_address_that_keepalived_has_set_is_not_taken_for_the_host_s_own():
    facts = sharing("192.0.2.10", "255.255.255.255")
    assert problems(facts=facts) == []
    assert virtual_addresses.meeting({"ansible_facts": facts}, "192.0.2.10/24") == {"interface": "eth0", "address": "192.0.2.1"}
    # one that was set by hand is
    assert problems(facts=sharing("192.0.2.10", "255.255.255.0"))[0].startswith("virtual_address_ip: one has 192.0.2.10 itself, on eth0")


@pytest.mark.parametrize("virtual", ["203.0.113.10/24", "192.0.2.10/25", "2001:db8:1::10/64"])
def test_an_address_in_no_network_of_the_host_is_refused_with_those_that_it_has(virtual):
    peer = "2001:db8::2" if ":" in virtual else "192.0.2.2"
    (problem,) = problems(virtual_address_ip=virtual, virtual_address_peers=[peer])
    assert problem.startswith("virtual_address_ip: one has no address in ")
    assert ("2001:db8::1/64 on eth0" if ":" in virtual else "but 198.51.100.1/24 on br-lan, 192.0.2.1/24 on eth0") in problem
    assert "set virtual_address_interface and virtual_address_source" in problem


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"virtual_address_router_id": 0}, "virtual_address_router_id: 0 is not between 1 and 255"),
        ({"virtual_address_router_id": 256}, "virtual_address_router_id: 256 is not between 1 and 255"),
        ({"virtual_address_interface": "eth9"}, "virtual_address_interface: one has no interface eth9 with an address, but br-lan, eth0, lo"),
        ({"virtual_address_interface": "eth0; reboot"}, 'virtual_address_interface: "eth0; reboot" is not the name of an interface'),
        ({"virtual_address_source": "eth0"}, 'virtual_address_source: "eth0" is not an IPv4 address'),
        ({"virtual_address_source": "2001:db8::1"}, 'virtual_address_source: "2001:db8::1" is not an IPv4 address'),
        ({"virtual_address_peers": []}, "virtual_address_peers: needs the address of at least one other host"),
        ({"virtual_address_peers": ["two"]}, 'virtual_address_peers[0]: "two" is not an IPv4 address, as virtual_address_ip is'),
        ({"virtual_address_peers": ["192.0.2.2", "2001:db8::2"]}, 'virtual_address_peers[1]: "2001:db8::2" is not an IPv4 address'),
        ({"virtual_address_peers": ["192.0.2.10"]}, "virtual_address_peers[0]: 192.0.2.10 is the virtual address itself"),
        ({"virtual_address_peers": ["192.0.2.1"]}, "virtual_address_peers[0]: 192.0.2.1 is the address of one itself"),
        ({"virtual_address_peers": ["192.0.2.2", "192.0.2.2"]}, "virtual_address_peers[1]: 192.0.2.2 is there twice"),
        ({"virtual_address_check_url": "https://a/healthz --config /x"}, 'virtual_address_check_url: "https://a/healthz --config /x" is not a URL'),
        ({"virtual_address_check_url": 'https://a/"'}, "virtual_address_check_url: "),
        ({"virtual_address_check_url": "file:///etc/shadow"}, "virtual_address_check_url: "),
    ],
)
def test_other_settings_that_cannot_work_are_named(settings, said):
    (problem,) = problems(**settings)
    assert problem.startswith(said)


def test_the_interface_is_the_one_in_the_same_network_unless_it_is_set():
    assert meeting("198.51.100.10/24") == {"interface": "br-lan", "address": "198.51.100.1"}
    assert meeting("2001:db8::10/64") == {"interface": "eth0", "address": "2001:db8::1"}
    assert meeting("203.0.113.10/24") == {}
    assert meeting("203.0.113.10/24", virtual_address_interface="br-lan") == {"interface": "br-lan", "address": "198.51.100.1"}
    assert meeting("192.0.2.10/24", virtual_address_source="192.0.2.5") == {"interface": "eth0", "address": "192.0.2.5"}
    # of a host whose facts are not there
    assert virtual_addresses.meeting({"virtual_address_interface": "e", "virtual_address_source": "192.0.2.3"}, "192.0.2.10/24")["address"] == "192.0.2.3"
    assert virtual_addresses.meeting({}, "192.0.2.10/24") == {}


def test_what_a_host_says_that_is_no_address_is_passed_over():
    facts = {"x": {"device": "x", "ipv4": {"address": "unicast_peer {", "netmask": "255.255.255.0"}}, "y": {"device": "y", "ipv4": "z", "ipv6": [3]}, "z": 3}
    assert virtual_addresses.addresses(facts) == []
