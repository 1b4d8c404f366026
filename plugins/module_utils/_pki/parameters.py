# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks of parameters that several modules have."""

from __future__ import annotations

import os
import re

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._names import check_file_name, check_no_nul

USAGES = ("server", "client")
MAX_DAYS = 36500

_RESERVED = ("ca", "ca-bundle", "ca-chain", "ca-trust")
_URL = re.compile(r"https?://[A-Za-z0-9.:_\[\]-]+/[A-Za-z0-9._~/-]+")


def check_crl_url(url: str, *, where: str) -> None:
    """Raise HoldfastError unless url is empty or one at which a CRL can be fetched."""
    if url and (not _URL.fullmatch(url) or len(url) > 200):
        raise HoldfastError(f"{where}: {url!r} is not a URL such as http://registry.example.org/ca.crl")


def check_directory(directory: str) -> None:
    """Refuse a relative path: what it means would depend on where Ansible happens to run the module."""
    check_path(directory, where="directory", example="/etc/holdfast/pki")


def check_path(path: str, *, where: str, example: str = "") -> None:
    """Refuse a relative path, and one that no file can have. where names the parameter."""
    if not os.path.isabs(path):
        raise HoldfastError(f"{where}: {path!r} must be an absolute path{f' such as {example}' if example else ''}")
    check_no_nul(path, where)


def check_lifetime(lifetime_days: int, renew_before_days: int, *, where: str = "") -> None:
    """Refuse lifetimes that make no sense. where is put before the parameters' names, such as "certificates[0]."."""
    if not 1 <= lifetime_days <= MAX_DAYS:
        raise HoldfastError(f"{where}lifetime_days: {lifetime_days} must be between 1 and {MAX_DAYS}")
    if renew_before_days < 0:
        raise HoldfastError(f"{where}renew_before_days: {renew_before_days} must be 0 or more")
    if renew_before_days >= lifetime_days:
        raise HoldfastError(
            f"{where}lifetime_days: {lifetime_days} must be greater than {where}renew_before_days ({renew_before_days}), "
            "else a new certificate would be due for renewal at once"
        )


def check_passphrase(passphrase: str | None, *, parameter: str = "passphrase") -> None:
    """Refuse a passphrase that cannot encrypt a key."""
    if passphrase is not None and not 1 <= len(passphrase.encode()) <= 1023:
        raise HoldfastError(f"{parameter}: must be 1 to 1023 bytes long; leave the parameter out for a key that is not encrypted")


def check_certificate_name(name: str, where: str) -> None:
    """Refuse a base name of files that is not plain, or is taken by the collection's own files."""
    check_file_name(name, where)
    if name in _RESERVED:
        raise HoldfastError(f"{where}: {name!r} is taken by the CA's own files; choose another name")


def check_file_names(names: list[str], *, where: str) -> None:
    """Refuse base names of files that check_certificate_name() refuses, or that appear twice."""
    for index, name in enumerate(names):
        place = f"{where}[{index}].name"
        check_certificate_name(name, place)
        if name in names[:index]:
            raise HoldfastError(f"{place}: {name!r} is already used by {where}[{names.index(name)}]; every certificate needs a name of its own")


def check_common_name(name: str, *, where: str) -> None:
    """Refuse a common name that no certificate can hold.

    RFC 5280, appendix A.1 (ub-common-name) allows 64 characters, but the library that makes the certificates counts bytes of UTF-8.
    """
    if not name or not name.isprintable() or name != name.strip() or len(name.encode()) > 64:
        raise HoldfastError(f"{where}: {name!r} must be 1 to 64 bytes of printable characters (in UTF-8) without spaces at the ends")
