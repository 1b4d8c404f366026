# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of site.yml, and the hosts it supports."""

from __future__ import annotations

import pathlib

from ansible_collections.holdfast.registry.plugins.module_utils._passwords.users import problems as users_problems
from ansible_collections.holdfast.registry.plugins.plugin_utils import further
from ansible_collections.holdfast.registry.plugins.plugin_utils.access.rules import RESERVED, VERIFIER
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import hosts
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    injection_problem,
    is_address,
    name_problem,
    path_problem,
    pem_problem,
    port_problem,
)

# What an entry begins with, for examples in messages. Whether entries are right is checked elsewhere.
_NAMED = {"name": {"type": "raw"}}
# Every setting with its type, since no role's argument spec has them.
SPEC = {
    "holdfast_server_name": {"type": "str", "default": ""},
    "holdfast_port": {"type": "int", "default": 443},
    "holdfast_users": {"type": "list", "elements": "raw", "options": _NAMED, "default": []},
    "holdfast_extra_names": {"type": "list", "elements": "str", "default": []},
    "holdfast_hosts_entry": {"type": "bool", "default": False},
    "holdfast_clients_state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "holdfast_server_address": {"type": "raw", "default": ""},
    "holdfast_secrets_directory": {"type": "str", "default": ""},
    "holdfast_replace_passwords": {"type": "bool", "default": False},
    "holdfast_change_storage": {"type": "bool", "default": False},
    "holdfast_former_server_name": {"type": "str", "default": ""},
    "holdfast_registries": {"type": "list", "elements": "raw", "options": _NAMED, "default": []},
    "holdfast_mirrors": {"type": "list", "elements": "raw", "options": _NAMED, "default": []},
    "holdfast_mirror_name": {"type": "str", "default": ""},
    "holdfast_mirror_port": {"type": "int", "default": 5444},
    "holdfast_mirror_anonymous": {"type": "bool", "default": False},
    "holdfast_mirror_networks": {"type": "list", "elements": "str", "default": []},
    "holdfast_mirror_client_certificates": {"type": "str", "default": "off"},
    "holdfast_certificate_source": {"type": "str", "default": "own-ca", "choices": ["own-ca", "files", "acme"]},
    "holdfast_certificate_file": {"type": "str", "default": ""},
    "holdfast_certificate_key_file": {"type": "str", "default": ""},
    "holdfast_certificate_key": {"type": "str", "default": "", "no_log": True},
    "holdfast_certificate_files_on_server": {"type": "bool", "default": False},
    "holdfast_certificate_ca": {"type": "str", "default": ""},
    # None where the inventory does not say
    "holdfast_keeper": {"type": "bool"},
    "holdfast_storage": {"type": "dict", "default": {}},
    "holdfast_cache_directory": {"type": "str", "default": ""},
    "holdfast_cache_size": {"type": "str", "default": ""},
    "holdfast_redis_host": {"type": "str", "default": ""},
    "holdfast_virtual_address": {"type": "str", "default": ""},
    "holdfast_drain_seconds": {"type": "int", "default": 10},
    "holdfast_restart_anyway": {"type": "bool", "default": False},
    # of a role, which others depend on
    "redis_databases": {"type": "int", "default": 16},
    # of roles, as the playbook sets them: what several hosts need, or cannot have
    "registry_storage": {"type": "dict", "default": {}},
    "registry_instances": {"type": "list", "elements": "raw", "default": []},
    "registry_redis_address": {"type": "str", "default": ""},
    "redis_bind_addresses": {"type": "list", "elements": "str", "default": ["127.0.0.1"]},
    "acme_challenge": {"type": "str", "default": "http-01"},
    "keeper_retention": {"type": "list", "elements": "raw", "default": []},
    "keeper_backup_repository": {"type": "str", "default": ""},
    "keeper_bucket_backup": {"type": "dict", "default": {}, "no_log": True},
    # of a role, where no value but one works for the whole
    "nginx_auth_tls": {"type": "bool", "default": True},
}
# Set by the playbooks, for those that come after them in the same run. Each playbook sets one of MARKS_OF_A_RUN.
_SET = (
    "address allowed answered around begun ca_there cancelled direct directory drained found further health healthy holding in_a_store keeper_state kept"
    " kept_files manifests pinged pki_directory proven pull pulled redis redis_address refused refused_since registry_storage removed secrets seen"
    " server server_seen several shown source status tags there tried verify_password workers"
)
RESULTS_OF_A_RUN = tuple(f"holdfast_{name}" for name in _SET.split())
MARKS_OF_A_RUN = ("holdfast_there", "holdfast_server_seen", "holdfast_health")
# Set on the command lines of verify.yml and migrate.yml, not in the inventory.
RESULTS = ("holdfast_summary_file", "holdfast_migrate", "holdfast_migrate_over")
_ON_SERVER = "holdfast_certificate_files_on_server"


def problems(settings: Settings, host: Host) -> list[str]:
    name = settings["holdfast_server_name"]
    if not name:
        found = ["holdfast_server_name: must be the name by which the registry is reached, such as registry.example.org"]
    else:
        found = name_problem("holdfast_server_name", name, port_setting="holdfast_port")
    if settings["holdfast_former_server_name"]:
        found += name_problem("holdfast_former_server_name", settings["holdfast_former_server_name"])
    found += port_problem("holdfast_port", settings["holdfast_port"])
    for place, extra in enumerate(settings["holdfast_extra_names"]):
        found += name_problem(f"holdfast_extra_names[{place}]", extra, wildcard=True)
    found += _addresses(settings["holdfast_server_address"])
    if settings["holdfast_mirror_name"]:
        found += name_problem("holdfast_mirror_name", settings["holdfast_mirror_name"], port_setting="holdfast_mirror_port")
    found += port_problem("holdfast_mirror_port", settings["holdfast_mirror_port"])
    found += further.problems(settings, settings["redis_databases"])
    if not settings["nginx_auth_tls"]:
        found.append("nginx_auth_tls: must be true for site.yml: Docker refuses a registry without TLS")
    found += _secrets(settings["holdfast_secrets_directory"]) + _certificate(settings)
    found += injection_problem(host, "choose what this controller writes and signs")
    return found + hosts.problems(settings, host) + _users(settings["holdfast_users"]) + _system(host)


def _secrets(path: str) -> list[str]:
    """Lookups, tests and modules of Ansible each have another idea of where a relative path begins."""
    if not path or pathlib.Path(path).expanduser().is_absolute():
        return []
    where = f'such as "{{{{ inventory_dir }}}}/{path}", or one that begins with ~/'
    return [f"holdfast_secrets_directory: {path} must be an absolute path on the controller, {where}"]


def _certificate(settings: Settings) -> list[str]:
    """What is wrong with where the server's certificate is to come from. Only the source `files` needs more than the choice."""
    source, certificate = settings["holdfast_certificate_source"], settings["holdfast_certificate_file"]
    key, key_file = settings["holdfast_certificate_key"], settings["holdfast_certificate_key_file"]
    if source == "own-ca" and settings["holdfast_certificate_ca"]:
        return ["holdfast_certificate_ca: goes with holdfast_certificate_source: files or acme; with own-ca clients trust that CA"]
    found = pem_problem("holdfast_certificate_ca", settings["holdfast_certificate_ca"])
    given = {"holdfast_certificate_file": certificate, "holdfast_certificate_key_file": key_file, "holdfast_certificate_key": key}
    if source != "files":
        return found + [f"{name}: has no effect without holdfast_certificate_source: files" for name, value in given.items() if value]
    if not certificate:
        found.append("holdfast_certificate_file: must be the path of the certificate with its chain, for holdfast_certificate_source is files")
    if bool(key) == bool(key_file):
        found.append("holdfast_certificate_key_file and holdfast_certificate_key: give one of them, for holdfast_certificate_source is files")
    if key and "PRIVATE KEY-----" not in key:
        found.append("holdfast_certificate_key: is not a private key in PEM form; for the path of one there is holdfast_certificate_key_file")
    paths = {name: value for name, value in given.items() if value and name != "holdfast_certificate_key"}
    for name, path in paths.items():
        if settings["holdfast_certificate_files_on_server"]:
            found += path_problem(name, path)
        elif not path.startswith(("/", "~/")) or not pathlib.Path(path).expanduser().is_file():
            found.append(f"{name}: {path} is not the absolute path of a file on the controller; for one on the registry's host there is {_ON_SERVER}")
    return found


def _addresses(given: object) -> list[str]:
    """What is wrong with holdfast_server_address: one address, or those of all hosts."""
    several = isinstance(given, (list, tuple))
    addresses: list[object] = [*given] if isinstance(given, (list, tuple)) else [given] if given else []
    return [
        f'holdfast_server_address{f"[{place}]" if several else ""}: "{address}" is not an IP address'
        for place, address in enumerate(addresses)
        if not isinstance(address, str) or not is_address(address)
    ]


def _users(users: list[object]) -> list[str]:
    if not users:
        return ["holdfast_users: must be a list of users, such as [{name: alice}]"]
    found = users_problems(users, parameter="holdfast_users", secret_required=False)
    for place, user in enumerate(users):
        if isinstance(user, dict) and user.get("name") == VERIFIER:
            found.append(f"holdfast_users[{place}].name: {RESERVED}")
        for key in ("password", "password_hash"):
            if isinstance(user, dict) and key in user and user[key] is None:
                found.append(f"holdfast_users[{place}].{key}: is empty; leave the line out to have a password generated")
    return found


def _system(host: Host) -> list[str]:
    found = []
    if host.facts.get("os_family", "Debian") != "Debian":
        found.append(f"{host.name}: runs {host.facts.get('distribution')}; Ubuntu and Debian are what this playbook serves")
    manager = host.facts.get("service_mgr", "systemd")
    if manager != "systemd":
        found.append(f"{host.name}: has no systemd as process 1 ({manager}), which starts and guards the services")
    return found
