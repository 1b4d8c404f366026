# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of role pki that cannot work."""

from __future__ import annotations

import os

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki import names as certificate_names
from ansible_collections.holdfast.registry.plugins.module_utils._pki import parameters
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import check_key_mode
from ansible_collections.holdfast.registry.plugins.plugin_utils.settings.base import (
    Host,
    Settings,
    injection_problem,
    name_problem,
    own_directory_problem,
    said,
    system_problem,
)

RESULTS = ("pki_ca", "pki_request")  # registered by the role for those who come after it
_LONGEST = 825  # days that clients accept


def problems(settings: Settings, host: Host) -> list[str]:
    ca_host = settings["pki_ca_host"]
    found = injection_problem(host, f"have the CA on {ca_host} sign any name") if ca_host != host.name else []
    if ca_host not in host.groups.get("all", []) and ca_host not in ("localhost", "127.0.0.1"):
        found.append(f'pki_ca_host: "{ca_host}" is neither a host of the inventory nor localhost')
    found += _ca_directory(settings["pki_ca_directory"], on_controller=ca_host == "localhost")
    found += own_directory_problem("pki_directory", settings["pki_directory"], "/etc/ssl/holdfast")
    if ca_host == host.name and os.path.normpath(settings["pki_directory"]) == os.path.normpath(settings["pki_ca_directory"]):
        found.append("pki_directory: is pki_ca_directory as well; both have files named ca.crt and ca.crl, so give each a directory of its own")
    found += _lifetimes(settings) + _parent(settings)
    if settings["pki_ca_generation"] < 1:
        found.append(f"pki_ca_generation: {settings['pki_ca_generation']} must be 1 or more")
    found += said(parameters.check_crl_url, settings["pki_crl_url"], where="pki_crl_url")
    return list(dict.fromkeys(found + _certificates(settings) + _revoked(settings)))


def _ca_directory(path: str, *, on_controller: bool) -> list[str]:
    example = "/etc/ssl/holdfast-ca"
    if not on_controller:
        return own_directory_problem("pki_ca_directory", path, example)
    # There it may be below a home directory, whatever that is called.
    return system_problem("pki_ca_directory", path, example) or said(parameters.check_path, path, where="pki_ca_directory", example=example)


def _parent(settings: Settings) -> list[str]:
    """The files about a CA above this one, which are on the controller."""
    found = []
    for setting in ("pki_parent_certificate", "pki_parent_key", "pki_parent_crl", "pki_ca_certificate"):
        path = settings[setting]
        if not path:
            continue
        if setting != "pki_parent_certificate" and not settings["pki_parent_certificate"]:
            found.append(f"{setting}: goes with pki_parent_certificate, which is empty; the CA is its own root without it")
        elif not os.path.isabs(os.path.expanduser(path)):
            found.append(f'{setting}: "{path}" must be an absolute path on the controller, or one that begins with ~')
        elif not os.path.isfile(os.path.expanduser(path)):
            found.append(f'{setting}: there is no file "{path}" on the controller')
    if settings["pki_parent_passphrase"] and not settings["pki_parent_key"]:
        found.append("pki_parent_passphrase: goes with pki_parent_key, which is empty")
    return found


def _lifetimes(settings: Settings) -> list[str]:
    found = []
    for lifetime, before in (("pki_ca_lifetime_days", "pki_ca_renew_before_days"), ("pki_lifetime_days", "pki_renew_before_days")):
        if not 1 <= settings[before] < settings[lifetime]:
            found.append(f"{lifetime}: {settings[lifetime]} must be more than {before} ({settings[before]}), and that at least 1")
    if settings["pki_lifetime_days"] > _LONGEST:
        found.append(f"pki_lifetime_days: {settings['pki_lifetime_days']} is more than the {_LONGEST} days that clients accept")
    return found


def _certificates(settings: Settings) -> list[str]:
    certificates = settings["pki_certificates"]
    found = said(parameters.check_file_names, [certificate["name"] for certificate in certificates], where="pki_certificates")
    for place, certificate in enumerate(certificates):
        where = f"pki_certificates[{place}]"
        if not certificate["names"]:
            found.append(f"{where}.names: is empty; a certificate needs a name")
        for number, name in enumerate(certificate["names"]):
            found += name_problem(f"{where}.names[{number}]", name, wildcard=True) or _outside(settings, f"{where}.names[{number}]", name)
        if certificate.get("common_name"):
            found += said(parameters.check_common_name, certificate["common_name"], where=f"{where}.common_name")
        if certificate.get("mode"):
            found += said(check_key_mode, certificate["mode"], where=f"{where}.")
        lifetime = certificate.get("lifetime_days") or settings["pki_lifetime_days"]
        before = certificate.get("renew_before_days") or settings["pki_renew_before_days"]
        if not 1 <= before < lifetime <= _LONGEST:
            found.append(f"{where}: lifetime_days ({lifetime}) must be more than renew_before_days ({before}) and at most {_LONGEST}")
    return found


def _outside(settings: Settings, where: str, name: str) -> list[str]:
    """Whether the CA is told not to sign this name. One that is in use already would not be signed again, and clients would refuse it."""
    limits = {which: settings[f"pki_ca_{which}"] for which in ("permitted_dns_domains", "permitted_ip_ranges")}
    parsed = certificate_names.parse_name(name, where)
    try:
        constraints = certificate_names.constraints_of_parameters(*limits.values())
    except HoldfastError as error:
        return [f"pki_ca_{error}"]
    if not constraints.permit(parsed):
        return [f'{where}: "{name}" is not within {" and ".join(f"pki_ca_{which}" for which, limit in limits.items() if limit)} ({constraints})']
    try:
        patterns = [certificate_names.parse_pattern(text, f"pki_ca_allowed_names[{place}]") for place, text in enumerate(settings["pki_ca_allowed_names"])]
    except HoldfastError as error:
        return [str(error)]
    if not patterns or certificate_names.matches(parsed, patterns):
        return []
    return [f'{where}: "{name}" is not among pki_ca_allowed_names']


def _revoked(settings: Settings) -> list[str]:
    found = []
    wanted = {name.lower() for certificate in settings["pki_certificates"] for name in [*certificate["names"], certificate.get("common_name")] if name}
    for place, entry in enumerate(settings["pki_revoked"]):
        if bool(entry.get("serial")) == bool(entry.get("name")):
            found.append(f"pki_revoked[{place}]: must have either serial or name")
        elif entry.get("name") and entry["name"].lower() in wanted:
            found.append(
                f'pki_revoked[{place}].name: "{entry["name"]}" is the name of a certificate in pki_certificates as well; '
                "remove it there, or revoke by serial for it to get another certificate"
            )
    return found
