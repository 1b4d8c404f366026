# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role acme that cannot work."""

from __future__ import annotations

import re

from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    is_address,
    name_problem,
    own_directory_problem,
    path_problem,
    pem_problem,
    port_problem,
    range_problem,
)

_URL = re.compile(r"https://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~/%?=&-]*)?")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.-]+")
# What a line of certbot's configuration file can hold.
_KEY_IDENTIFIER = re.compile(r"[A-Za-z0-9._~+/=:-]+")
_HMAC_KEY = re.compile(r"[A-Za-z0-9_-]+={0,2}")
_CHAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._()-]*")
_UNIT = re.compile(r"[A-Za-z0-9:_.@-]+\.service")


def problems(settings: Settings, _host: Host) -> list[str]:
    """What is wrong with the settings, each with its variable and place."""
    if settings["acme_state"] == "absent":
        return []
    found = _names(settings) + own_directory_problem("acme_directory", settings["acme_directory"], "/etc/ssl/holdfast-acme")
    if not _URL.fullmatch(settings["acme_server"]):
        found.append(f'acme_server: "{settings["acme_server"]}" is not the URL of an ACME directory, such as https://acme-v02.api.letsencrypt.org/directory')
    for setting in ("acme_server_ca", "acme_issuer_ca"):
        found += pem_problem(setting, settings[setting])
    if settings["acme_email"] and not _EMAIL.fullmatch(settings["acme_email"]):
        found.append(f'acme_email: "{settings["acme_email"]}" is not an e-mail address')
    if settings["acme_preferred_chain"] and not _CHAIN.fullmatch(settings["acme_preferred_chain"]):
        found.append("acme_preferred_chain: is not the common name of a CA: letters, digits, spaces and any of ._()-")
    found += range_problem("acme_renew_percent", settings["acme_renew_percent"], 1, 99, " percent")
    return found + _binding(settings) + _challenge(settings) + _services(settings)


def _names(settings: Settings) -> list[str]:
    if not settings["acme_names"]:
        return ["acme_names: is empty; a certificate needs a name"]
    found = []
    for place, name in enumerate(settings["acme_names"]):
        where = f"acme_names[{place}]"
        wrong = name_problem(where, name, wildcard=True)
        if not wrong and is_address(name):
            wrong = [f'{where}: "{name}" is an address, for which the distributions\' certbot cannot ask; leave it out']
        elif not wrong and name.startswith("*.") and settings["acme_challenge"] == "http-01":
            wrong = [f'{where}: "{name}" is a wildcard, which takes acme_challenge: dns-01']
        found += wrong
    return found


def _binding(settings: Settings) -> list[str]:
    identifier, key = settings["acme_eab_kid"], settings["acme_eab_hmac_key"]
    if bool(identifier) != bool(key):
        return ["acme_eab_kid and acme_eab_hmac_key: give both or neither"]
    found = []
    if identifier and not _KEY_IDENTIFIER.fullmatch(identifier):
        found.append("acme_eab_kid: may have letters, digits and any of ._~+/=:- only")
    if key and not _HMAC_KEY.fullmatch(key):
        found.append("acme_eab_hmac_key: is not in base64url (letters, digits, - and _)")
    return found


def _challenge(settings: Settings) -> list[str]:
    if settings["acme_challenge"] == "http-01":
        return path_problem("acme_webroot", settings["acme_webroot"], may_be_empty=True)
    if not settings["acme_dns_hook"]:
        return ["acme_dns_hook: must be the path of a program on the host that writes the DNS record, for acme_challenge is dns-01"]
    found = path_problem("acme_dns_hook", settings["acme_dns_hook"])
    return found + path_problem("acme_dns_cleanup_hook", settings["acme_dns_cleanup_hook"], may_be_empty=True)


def _services(settings: Settings) -> list[str]:
    found = []
    for place, service in enumerate(settings["acme_services"]):
        where = f"acme_services[{place}]"
        if not _UNIT.fullmatch(service["name"]):
            found.append(f'{where}.name: "{service["name"]}" is not the name of a service, such as nginx.service')
        if service.get("port"):
            found += port_problem(f"{where}.port", service["port"])
        if service.get("server_name"):
            found += name_problem(f"{where}.server_name", service["server_name"])
    return found
