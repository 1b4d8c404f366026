# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of site.yml, and the hosts it supports."""

from __future__ import annotations

from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import problems as users_problems
from ansible_collections.holdfast.registry.plugins.plugin_utils import further
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.rules import RESERVED, VERIFIER
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Host, Settings, injection_problem, is_address, name_problem, port_problem

# Every setting with its type, since no role's argument spec has them.
SPEC = {
    "holdfast_server_name": {"type": "str", "default": ""},
    "holdfast_port": {"type": "int", "default": 443},
    "holdfast_users": {"type": "list", "elements": "raw", "default": []},
    "holdfast_extra_names": {"type": "list", "elements": "str", "default": []},
    "holdfast_hosts_entry": {"type": "bool", "default": False},
    "holdfast_server_address": {"type": "str", "default": ""},
    "holdfast_secrets_directory": {"type": "str", "default": ""},
    "holdfast_replace_passwords": {"type": "bool", "default": False},
    "holdfast_former_server_name": {"type": "str", "default": ""},
    "holdfast_registries": {"type": "list", "elements": "raw", "default": []},
    "holdfast_mirrors": {"type": "list", "elements": "raw", "default": []},
    "holdfast_mirror_name": {"type": "str", "default": ""},
    "holdfast_mirror_port": {"type": "int", "default": 5444},
    "holdfast_mirror_anonymous": {"type": "bool", "default": False},
    "holdfast_mirror_networks": {"type": "list", "elements": "str", "default": []},
    "holdfast_mirror_client_certificates": {"type": "str", "default": "off"},
    "holdfast_keeper": {"type": "bool", "default": True},
    # of a role, which others depend on
    "redis_databases": {"type": "int", "default": 16},
    # of a role, where no value but one works for the whole
    "nginx_auth_tls": {"type": "bool", "default": True},
}
# Set on the command line of verify.yml, not in the inventory.
RESULTS = ("holdfast_summary_file",)


def problems(settings: Settings, host: Host) -> list[str]:
    name = settings["holdfast_server_name"]
    if not name:
        found = ["holdfast_server_name: must be the name by which the registry is reached, such as registry.example.org"]
    else:
        found = name_problem("holdfast_server_name", name)
    if settings["holdfast_former_server_name"]:
        found += name_problem("holdfast_former_server_name", settings["holdfast_former_server_name"])
    found += port_problem("holdfast_port", settings["holdfast_port"])
    for place, extra in enumerate(settings["holdfast_extra_names"]):
        found += name_problem(f"holdfast_extra_names[{place}]", extra, wildcard=True)
    if settings["holdfast_server_address"] and not is_address(settings["holdfast_server_address"]):
        found.append(f'holdfast_server_address: "{settings["holdfast_server_address"]}" is not an IP address')
    if settings["holdfast_mirror_name"]:
        found += name_problem("holdfast_mirror_name", settings["holdfast_mirror_name"])
    found += port_problem("holdfast_mirror_port", settings["holdfast_mirror_port"])
    found += further.problems(settings, settings["redis_databases"])
    if not settings["nginx_auth_tls"]:
        found.append("nginx_auth_tls: must be true for site.yml: Docker refuses a registry without TLS")
    found += injection_problem(host, "choose what this controller writes and signs")
    return found + _groups(host) + _users(settings["holdfast_users"]) + _system(host)


def _groups(host: Host) -> list[str]:
    if len(host.groups.get("registry_servers", [])) == 1:
        return []
    return ["registry_servers: the group must have exactly one host; a second registry has an inventory of its own"]


def _users(users: list[object]) -> list[str]:
    if not users:
        return ["holdfast_users: must be a list of users, such as [{name: alice}]"]
    found = users_problems(users, parameter="holdfast_users", secret_required=False)
    for place, user in enumerate(users):
        if isinstance(user, dict) and user.get("name") == VERIFIER:
            found.append(f"holdfast_users[{place}].name: {RESERVED}")
        for key in ("password", "password_hash"):
            if isinstance(user, dict) and key in user and user[key] is None:
                found.append(f"holdfast_users[{place}].{key}: is empty; leave the line out to have a password made up")
    return found


def _system(host: Host) -> list[str]:
    found = []
    if host.facts.get("os_family", "Debian") != "Debian":
        found.append(f"{host.name}: runs {host.facts.get('distribution')}; Ubuntu and Debian are what this playbook serves")
    manager = host.facts.get("service_mgr", "systemd")
    if manager != "systemd":
        found.append(f"{host.name}: has no systemd as process 1 ({manager}), which starts and guards the services")
    return found
