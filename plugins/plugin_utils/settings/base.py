# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the checks of settings share: the host they apply to, and common checks."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import is_address as names_is_address
from ansible_collections.holdfast.registry.plugins.module_utils._names import parse_endpoint
from ansible_collections.holdfast.registry.plugins.module_utils._pki import names as certificate_names

Settings = dict[str, t.Any]

# A Go duration, without fractions.
DURATION = re.compile(r"([0-9]+[hms])+")
SECRET_FORM = re.compile(r"[A-Za-z0-9._~+/=-]{16,}")


# Directories that hold more than one program's files. Their owner and mode are not for a role to have.
_TOP = ("bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp", "usr", "var")
_BELOW = (
    *("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local", "/usr/local/bin", "/usr/local/sbin", "/usr/sbin", "/usr/share"),
    *("/var/cache", "/var/lib", "/var/lib/docker", "/var/log", "/var/spool", "/var/tmp"),
    *("/etc/docker", "/etc/ssl", "/etc/ssl/certs", "/etc/ssl/private", "/etc/systemd", "/etc/systemd/system"),
)
_SYSTEM = {"/", *(f"/{name}" for name in _TOP), *_BELOW}


class _Unset:
    """What a host has for a setting that its inventory does not have."""


UNSET = _Unset()


def _unknown(_host: str, _setting: str) -> t.Any:
    return UNSET


@dataclasses.dataclass(frozen=True)
class Host:
    """The host whose settings are checked, as far as the controller knows it."""

    name: str
    facts: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)
    groups: t.Mapping[str, t.Sequence[str]] = dataclasses.field(default_factory=dict)
    check_mode: bool = False
    # Whether any result of a module on the host can replace variables of the inventory (Ansible's inject_facts_as_vars).
    facts_become_variables: bool = False
    # What the inventory has for a host, by the host's name and the setting's, or UNSET.
    setting_of: t.Callable[[str, str], t.Any] = _unknown


def injection_problem(host: Host, what: str) -> list[str]:
    """Facts are the host's word. As variables they would decide what happens on other hosts and on the controller."""
    if not host.facts_become_variables:
        return []
    danger = f"inject_facts_as_vars: is on, so a compromised host could replace variables of the inventory and {what}"
    return [f"{danger}; set it to false under [defaults] in ansible.cfg, or export ANSIBLE_INJECT_FACT_VARS=False"]


def said(check: t.Callable[..., t.Any], *arguments: t.Any, **more: t.Any) -> list[str]:
    """What one of the modules' own checks says is wrong, as a list."""
    try:
        check(*arguments, **more)
    except HoldfastError as error:
        return [str(error)]
    return []


def name_problem(setting: str, name: str, *, wildcard: bool = False, port_setting: str = "") -> list[str]:
    """What is wrong with a DNS name or an IP address: the same that a certificate's names are held to. port_setting is where its port belongs."""
    found = said(certificate_names.parse_name, name, setting)
    if found and "://" in name:
        found = [f"{found[0]}; give the name alone, without {name.partition('://')[0]}://"]
    elif found and re.search(r":[0-9]+/?$", name):
        found = [f"{found[0]}; give it without the port" + (f", which {port_setting} sets" if port_setting else "")]
    elif found and "_" in name:
        found = [f"{found[0]}; an underscore is not allowed in one"]
    if not found and name.startswith("*") and not wildcard:
        found = [f"{setting}: {name!r} stands for many names, and a single one is needed here"]
    return found


def endpoint_problem(setting: str, text: str) -> list[str]:
    """What is wrong with HOST or HOST:PORT."""
    return said(parse_endpoint, text, parameter=setting)


def is_address(text: str) -> bool:
    return "%" not in text and names_is_address(text)


def path_problem(setting: str, path: str, *, may_be_empty: bool = False) -> list[str]:
    """The problem with a path on the host. Blanks, quotes and the like would be misread by the programs that get it."""
    if (may_be_empty and path == "") or (re.fullmatch(r"/[A-Za-z0-9._@+-]+(/[A-Za-z0-9._@+-]+)*/?", path) and not {".", ".."} & set(path.split("/"))):
        return []
    empty = "neither empty nor " if may_be_empty else "not "
    return [f'{setting}: "{path}" is {empty}an absolute path below / of letters, digits and any of ._@+-']


def own_directory_problem(setting: str, path: str, example: str, *, may_be_empty: bool = False) -> list[str]:
    """The problem with a directory that gets another owner and mode, or files that are nobody else's."""
    return system_problem(setting, path, example) or path_problem(setting, path, may_be_empty=may_be_empty)


def system_problem(setting: str, path: str, example: str) -> list[str]:
    """The problem with a directory that others write to as well."""
    if os.path.normpath(path) not in _SYSTEM:
        return []
    return [f"{setting}: {path} belongs to the system; give a directory of its own, such as {example}"]


def pem_problem(setting: str, text: str) -> list[str]:
    """What is wrong with text that is to be empty or to hold certificates. A key in it is never repeated."""
    if "PRIVATE KEY" in text:
        return [f"{setting}: holds a private key, which belongs nowhere but in its own file"]
    if text and "-----BEGIN CERTIFICATE-----" not in text:
        return [f"{setting}: is not a PEM certificate (it begins with -----BEGIN CERTIFICATE-----)"]
    return []


def port_problem(setting: str, port: int) -> list[str]:
    return [] if 0 < port < 65536 else [f"{setting}: {port} is not a port between 1 and 65535"]


def range_problem(setting: str, number: int, low: int, high: int, unit: str = "") -> list[str]:
    return [] if low <= number <= high else [f"{setting}: {number} is not between {low} and {high}{unit}"]


def duration_problem(setting: str, text: str, example: str) -> list[str]:
    return [] if DURATION.fullmatch(text) else [f'{setting}: "{text}" is not a duration such as {example}']


def as_number(value: t.Any) -> int | None:
    """A number that may have come as text, or None for what is none."""
    return int(value) if str(value).isdecimal() else None


def secret_problem(setting: str, secret: str) -> list[str]:
    """The problem with a secret that goes into files of other programs. It is never in the message."""
    if secret == "" or SECRET_FORM.fullmatch(secret):
        return []
    return [f"{setting}: needs at least 16 characters, each a letter, a digit or one of ._~+/=-"]
