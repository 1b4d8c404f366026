# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the inventory says reaches the roles through site.yml: it wins over the wiring, and the wiring follows it."""

import json
import pathlib

import pytest
import yaml
from scenario import hosts, playbook

READ = """
- hosts: {host}
  gather_facts: false
  vars_files: {wiring}
  tasks:
    - ansible.builtin.set_fact:
        cacheable: true
        default_ipv4: {ipv4}
        default_ipv6: {ipv6}
      delegate_to: registry
      delegate_facts: true
    - ansible.builtin.debug: {{msg: "{{{{ {{'value': {variable}}} | to_json }}}}"}}
"""
OWN = "/etc/letsencrypt/live/registry/fullchain.pem"
DEFAULTS = {name: value for file in hosts.PROJECT.glob("roles/*/defaults/main.yml") for name, value in yaml.safe_load(file.read_text()).items()}
HASHED = [{"name": "robot", "password_hash": "$2y$12$J9zVq1rXo0b8c7nY5mKQ2ebjsDlVtbM61MgXquMJ42HpGJQk0Gnwa"}]


def read(tmp_path: pathlib.Path, variable: str, host: str = "registry", ipv4: str = "{address: 192.0.2.7}", ipv6: str = "{}", **said: object) -> playbook.Run:
    """Ansible's output of one variable of a role in site.yml, where the inventory says some more."""
    wiring = hosts.PROJECT / "playbooks/site_wiring/vars/main.yml"
    (tmp_path / "read.yml").write_text(READ.format(host=host, variable=variable, wiring=wiring, ipv4=ipv4, ipv6=ipv6))
    (tmp_path / "more.yml").write_text(json.dumps({"all": {"vars": {"holdfast_secrets_directory": str(tmp_path / "secrets"), **said}}}))
    return playbook.run(tmp_path / "read.yml", "--inventory", str(tmp_path / "more.yml"))


def shown(run: playbook.Run) -> object:
    assert run.succeeded, run.output
    written = run.output.partition('"msg": "')[2].partition('"\n')[0]
    return json.loads(json.loads(f'"{written}"'))["value"]


@pytest.mark.controller
@pytest.mark.parametrize(
    ("said", "variable", "value"),
    [
        ({"redis_bind_addresses": ["192.0.2.5", "127.0.0.1"], "redis_port": 6390}, "registry_redis_address", "192.0.2.5:6390"),
        ({"registry_redis_address": "cache.example.org:6379"}, "registry_redis_address", "cache.example.org:6379"),
        ({"pki_directory": "/etc/pki/registry"}, "nginx_auth_certificate", "/etc/pki/registry/registry.crt"),
        ({"nginx_auth_certificate": OWN}, "nginx_auth_certificate", OWN),
        ({"nginx_auth_users": HASHED}, "nginx_auth_users", HASHED),
        ({"registry_socket": "", "registry_port": 5050}, "nginx_auth_upstream", "127.0.0.1:5050"),
        ({"registry_storage_directory": "/srv/images"}, "nginx_auth_storage_directory", "/srv/images"),
        ({"docker_client_registry": "elsewhere.example.org"}, "docker_client_registry", "elsewhere.example.org"),
        ({"holdfast_server_name": "Registry.Holdfast.Test"}, "docker_client_registry", "registry.holdfast.test:5443"),
        ({"holdfast_hosts_entry": False}, "docker_client_hosts_address", ""),
        ({"holdfast_server_address": "192.0.2.9"}, "docker_client_hosts_address", "192.0.2.9"),
        ({"holdfast_virtual_address": "192.0.2.20/24"}, "docker_client_hosts_address", "192.0.2.20"),
        ({"holdfast_virtual_address": "192.0.2.20/24", "holdfast_server_address": "192.0.2.9"}, "docker_client_hosts_address", "192.0.2.9"),
        ({"holdfast_server_name": "Registry.Holdfast.Test"}, "virtual_address_check_url", "https://registry.holdfast.test:5443/healthz"),
    ],
)
def test_a_setting_of_a_role_reaches_it(tmp_path: pathlib.Path, said: dict[str, object], variable: str, value: object) -> None:
    run = read(tmp_path, variable, **said)
    assert shown(run) == value


@pytest.mark.controller
def test_where_the_inventory_says_nothing_the_wiring_agrees_with_the_defaults_of_the_roles(tmp_path: pathlib.Path) -> None:
    wanted = {
        "registry_redis_address": f"{DEFAULTS['redis_bind_addresses'][0]}:{DEFAULTS['redis_port']}",
        "nginx_auth_certificate": f"{DEFAULTS['pki_directory']}/registry.crt",
        "nginx_auth_storage_directory": DEFAULTS["registry_storage_directory"],
    }
    run = read(tmp_path, f"[{', '.join(wanted)}]")
    assert shown(run) == list(wanted.values())


@pytest.mark.controller
def test_without_ipv4_the_clients_get_the_servers_ipv6_address(tmp_path: pathlib.Path) -> None:
    run = read(tmp_path, "docker_client_hosts_address", "client", ipv4="{}", ipv6='{address: "2001:db8::7"}')
    assert "2001:db8::7" in run.output, run.output


@pytest.mark.controller
def test_without_a_default_route_the_setting_that_helps_is_named(tmp_path: pathlib.Path) -> None:
    run = read(tmp_path, "docker_client_hosts_address", "client", ipv4="{}")
    assert not run.succeeded
    assert "holdfast_server_address: registry has no default route or cannot be reached, so its address must be given" in run.output


CHANGED = """
- hosts: client
  gather_facts: false
  vars_files: {wiring}
  tasks:
    - ansible.builtin.set_fact: {seen}
      delegate_to: "{{{{ item }}}}"
      delegate_facts: true
      loop: {servers}
    - ansible.builtin.debug: {{msg: "{{{{ {{'value': holdfast_ca_may_change}} | to_json }}}}"}}
"""
SERVES = {"holdfast_there": {"stdout_lines": ["registry.holdfast.test"]}}
OTHERWISE = {"holdfast_there": {"stdout_lines": ["registry.holdfast.test", ":other-certificate"]}}
NEW = {"holdfast_there": {"stdout_lines": ["", ":other-certificate"]}}


@pytest.mark.controller
@pytest.mark.parametrize(
    ("servers", "seen", "kept", "changes"),
    [
        (["registry"], {**SERVES, "pki_ca": {"bundle": "same"}}, "same", False),
        (["registry"], {**SERVES, "pki_ca": {"bundle": "another"}}, "same", True),
        (["two"], {**SERVES, "pki_ca": {"bundle": "another"}}, "same", True),
        (["two"], OTHERWISE, "same", True),
        (["registry", "two"], NEW, "same", False),
        (["registry"], SERVES, "", False),
        ([], {}, "same", False),
    ],
    ids=["as before", "another CA", "another CA, without the first server", "another certificate there", "new servers", "tags without the CA", "clients alone"],
)
def test_clients_are_asked_where_the_ca_may_change(tmp_path: pathlib.Path, servers: list[str], seen: dict[str, object], kept: str, changes: bool) -> None:
    wiring = hosts.PROJECT / "playbooks/site_wiring/vars/main.yml"
    (tmp_path / "changed.yml").write_text(CHANGED.format(wiring=wiring, seen=json.dumps(seen), servers=json.dumps(servers)))
    said = {"vars": {"holdfast_secrets_directory": str(tmp_path)}, "children": {"registry_servers": {"hosts": {"two": {}}}}}
    (tmp_path / "more.yml").write_text(json.dumps({"all": said}))
    if kept:
        (tmp_path / "ca.crt").write_text(kept)
    run = playbook.run(tmp_path / "changed.yml", "--inventory", str(tmp_path / "more.yml"))
    assert shown(run) is changes


KNOW = """
- hosts: localhost
  gather_facts: false
  vars: {holdfast_servers: [gone, here]}
  tasks:
    - ansible.builtin.import_tasks: TASKS
    - ansible.builtin.assert: {that: "hostvars['here'].ansible_facts.module_setup is defined"}
"""


@pytest.mark.controller
def test_a_server_that_cannot_be_reached_takes_nothing_away_that_is_known_of_the_others(tmp_path: pathlib.Path) -> None:
    (tmp_path / "know.yml").write_text(KNOW.replace("TASKS", str(hosts.PROJECT / "playbooks/tasks/know-server.yml")))
    here = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    gone = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1}
    (tmp_path / "more.yml").write_text(json.dumps({"all": {"hosts": {"here": here, "gone": gone, "localhost": here}}}))
    run = playbook.run(tmp_path / "know.yml", "--inventory", str(tmp_path / "more.yml"))
    assert run.succeeded, run.output
    assert "fatal: [localhost -> gone]: UNREACHABLE!" in run.output
