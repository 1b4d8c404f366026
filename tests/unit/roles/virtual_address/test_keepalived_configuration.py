# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What keepalived is told, for IPv4 and IPv6."""

from __future__ import annotations

import pathlib
import re

import pytest

jinja2, yaml = pytest.importorskip("jinja2"), pytest.importorskip("yaml")

ROLE = pathlib.Path(__file__).parents[4] / "roles/virtual_address"
VARIABLES = {
    **yaml.safe_load((ROLE / "defaults/main.yml").read_text()),
    **yaml.safe_load((ROLE / "vars/main.yml").read_text()),
    "ansible_managed": "m",
    "__virtual_address_configuration": "/etc/holdfast-virtual-address/keepalived.conf",
}


def rendered(template: str, **settings: object) -> str:
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(ROLE / "templates"), trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["basename"] = lambda path: path.rpartition("/")[2]
    return str(environment.get_template(template).render({**VARIABLES, **settings}))


@pytest.mark.parametrize(
    ("given", "source", "peers", "line"),
    [
        ("192.0.2.10/24", "192.0.2.1", ["192.0.2.3", "192.0.2.2"], "192.0.2.10/32"),
        ("2001:db8::10/64", "2001:db8::1", ["2001:db8::2"], "2001:db8::10/128"),
    ],
)
def test_the_address_has_no_network_so_that_nothing_is_sent_from_it(given, source, peers, line):
    written = rendered(
        "keepalived.conf.j2", virtual_address_ip=given, virtual_address_peers=peers, __virtual_address_met={"interface": "eth0", "address": source}
    )
    assert re.search(r"virtual_ipaddress \{\s+(\S+)\s+\}", written)[1] == line
    assert re.search(r"unicast_peer \{\s+([^}]*?)\s+\}", written)[1].split() == sorted(peers), "another order is another file, and a reload"
    assert f"unicast_src_ip {source}\n" in written
    assert written.count("{") == written.count("}")


def test_the_host_s_own_keepalived_is_not_touched():
    unit = rendered("virtual-address.service.j2")
    own = re.findall(r"--(?:use-file|pid|vrrp_pid)=(\S+)", unit)
    assert len(own) == 3
    assert all(path.startswith(("/etc/holdfast-virtual-address/", "/run/holdfast-virtual-address/")) for path in own)
