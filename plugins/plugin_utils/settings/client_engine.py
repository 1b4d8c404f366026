# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role docker_client about the engine that cannot work."""

from __future__ import annotations

import re

from ansible_collections.holdfast.registry.plugins.module_utils._apt.openpgp import parse_fingerprint
from ansible_collections.holdfast.registry.plugins.module_utils._apt.versions import check as check_version
from ansible_collections.holdfast.registry.plugins.module_utils._urls import masked
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import Settings, said


def problems(settings: Settings) -> list[str]:
    found = []
    if settings["docker_client_engine_version"]:
        found += said(check_version, settings["docker_client_engine_version"], "docker_client_engine_version")
    for name in ("docker_client_engine_url", "docker_client_engine_key_url"):
        url = settings[name]
        if "@" in url:
            found.append(f"{name}: must not have a user name or password; they belong into a file in /etc/apt/auth.conf.d")
        elif url and not re.fullmatch(r"https?://[A-Za-z0-9._~:/%+-]+", url):
            found.append(f'{name}: "{masked(url)}" is not a URL such as https://download.docker.com/linux/debian')
    for name, example in (("docker_client_engine_suite", "trixie"), ("docker_client_engine_component", "stable")):
        if not re.fullmatch(r"[A-Za-z0-9._-]*", settings[name]):
            found.append(f'{name}: "{settings[name]}" is not a word such as {example}')
    if not settings["docker_client_engine_component"]:
        found.append("docker_client_engine_component: is empty; use a component such as stable")
    if settings["docker_client_engine_key"] and settings["docker_client_engine_key_url"]:
        found.append("docker_client_engine_key and docker_client_engine_key_url: give one of them")
    if settings["docker_client_engine"] == "docker" and not settings["docker_client_engine_fingerprints"]:
        found.append("docker_client_engine_fingerprints: is empty; without the fingerprint of its key, a repository cannot be recognised")
    for place, text in enumerate(settings["docker_client_engine_fingerprints"]):
        found += said(parse_fingerprint, text, f"docker_client_engine_fingerprints[{place}]")
    return found + _daemon(settings)


def _daemon(settings: Settings) -> list[str]:
    found = []
    for key, value in settings["docker_client_daemon"].items():
        if value is None:
            found.append(f"docker_client_daemon.{key}: is empty; give it a value, or leave it out to have it as others have set it")
    for key, example in (("registry-mirrors", "https://mirror.example.org"), ("insecure-registries", "192.0.2.0/24")):
        items = settings["docker_client_daemon"].get(key)
        if items is None:
            continue  # named above, or not set
        if not isinstance(items, list):
            found.append(f"docker_client_daemon.{key}: must be a list, such as [{example}]")
            continue
        wrong = [place for place, item in enumerate(items) if not isinstance(item, str)]
        found += [f"docker_client_daemon.{key}[{place}]: must be a string, such as {example}" for place in wrong]
    return found
