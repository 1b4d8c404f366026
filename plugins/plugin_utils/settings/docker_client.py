# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role docker_client that cannot work."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._docker.login import parse_logins
from ansible_collections.holdfast.registry.plugins.module_utils._names import spellings
from ansible_collections.holdfast.registry.plugins.module_utils._trust.requirements import parse as parse_requirements
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings import client_engine, client_tools
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    endpoint_problem,
    name_problem,
    path_problem,
    pem_problem,
    said,
)


def problems(settings: Settings, _host: Host) -> list[str]:
    found = endpoint_problem("docker_client_registry", settings["docker_client_registry"])
    for place, name in enumerate(settings["docker_client_registry_aliases"]):
        found += name_problem(f"docker_client_registry_aliases[{place}]", name)
    for place, further in enumerate(settings["docker_client_further_registries"]):
        found += endpoint_problem(f"docker_client_further_registries[{place}]", further)
    for place, former in enumerate(settings["docker_client_former_registries"]):
        found += endpoint_problem(f"docker_client_former_registries[{place}]", former)
    found += pem_problem("docker_client_ca_certificate", settings["docker_client_ca_certificate"])
    if settings["docker_client_state"] == "present" and not settings["docker_client_ca_stores"]:
        found.append("docker_client_ca_stores: is empty; use auto, or at least one of system, docker, containers, containerd")
    found += said(parse_requirements, settings["docker_client_signature_policy"], parameter="docker_client_signature_policy")
    return found + client_engine.problems(settings) + client_tools.problems(settings) + _client_certificate(settings) + _logins(settings)


def _client_certificate(settings: Settings) -> list[str]:
    certificate, key = settings["docker_client_client_certificate"], settings["docker_client_client_key"]
    if not certificate and not key:
        return []
    if not certificate or not key:
        return ["docker_client_client_certificate and docker_client_client_key: give both or neither"]
    found = path_problem("docker_client_client_certificate", certificate) + path_problem("docker_client_client_key", key)
    # Taken back with everything else, the CA among it.
    if settings["docker_client_state"] == "present" and not settings["docker_client_ca_certificate"]:
        found.append("docker_client_client_certificate: needs docker_client_ca_certificate")
    if set(settings["docker_client_ca_stores"]) <= {"system"}:
        found.append("docker_client_client_certificate: the store system has no place for it, so docker_client_ca_stores needs another")
    return found


def _logins(settings: Settings) -> list[str]:
    found = []
    for place, login in enumerate(settings["docker_client_logins"]):
        missing = [key for key in ("username", "password") if not login.get(key)]
        if login.get("state") != "absent" and missing:
            found.append(f"docker_client_logins[{place}]: needs {' and '.join(missing)}, or state: absent")
    if found or endpoint_problem("docker_client_registry", settings["docker_client_registry"]):
        return found
    of_each = said(parse_logins, settings["docker_client_logins"], settings["docker_client_registry"], parameter="docker_client_logins")
    return of_each or list(_at_former_registries(settings))


def _at_former_registries(settings: Settings) -> t.Iterator[str]:
    """Logins that each run would write, and take back at its end."""
    former = {spelling for each in settings["docker_client_former_registries"] for spelling in spellings(each)}
    former.difference_update(spellings(settings["docker_client_registry"]))
    for place, login in enumerate(settings["docker_client_logins"]):
        registry = login.get("registry")
        if registry and login.get("state") != "absent" and registry in former:
            yield f"docker_client_logins[{place}].registry: {registry} is in docker_client_former_registries, whose users are logged out; leave it out of one"
