# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The certificates that a host should have, and the CA that should have signed them."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._names import is_address
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import ca_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crls_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import parse_name
from ansible_collections.holdfast.registry.plugins.module_utils._pki.parameters import (
    USAGES,
    check_common_name,
    check_crl_url,
    check_file_names,
    check_lifetime,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.pem import check_no_key

if t.TYPE_CHECKING:
    from cryptography import x509


_OF_KEYS = Ownership(mode=0o600)


@dataclass(frozen=True)
class WantedCertificate:
    """One certificate as it should be. ownership is that of its key."""

    name: str
    names: tuple[str, ...]
    common_name: str | None = None
    key_type: str = "ec-p256"
    usages: tuple[str, ...] = ("server",)
    lifetime_days: int = 397
    renew_before_days: int = 30
    crl_url: str = ""
    ownership: Ownership = _OF_KEYS

    @property
    def subject(self) -> str | None:
        """The common name to ask for: the one given, else the first DNS name, where it is not too long for the field."""
        if self.common_name:
            return self.common_name
        dns = [name for name in self.names if not is_address(name)]
        return dns[0] if dns and len(dns[0]) <= 64 else None


def parse_wanted(certificates: list[dict[str, t.Any]], *, check_mode: bool) -> tuple[list[WantedCertificate], list[str]]:
    """Read the module parameter. Returns warnings as well. Raises HoldfastError naming the place of the first wrong value."""
    check_file_names([entry["name"] for entry in certificates], where="certificates")
    wanted, warnings = [], []
    for index, entry in enumerate(certificates):
        where = f"certificates[{index}]."
        ownership, warning = _key_ownership(entry, where, check_mode=check_mode)
        wanted.append(_parse_one(entry, where, ownership))
        warnings += warning
    return wanted, warnings


def _parse_one(entry: dict[str, t.Any], where: str, ownership: Ownership) -> WantedCertificate:
    if not entry["names"]:
        raise HoldfastError(f"{where}names: must hold at least one DNS name or IP address")
    names = [parse_name(name, f"{where}names[{index}]") for index, name in enumerate(entry["names"])]
    if entry["common_name"] is not None:
        check_common_name(entry["common_name"], where=f"{where}common_name")
    if not entry["usages"]:
        raise HoldfastError(f"{where}usages: must hold at least one of {', '.join(USAGES)}")
    check_lifetime(entry["lifetime_days"], entry["renew_before_days"], where=where)
    check_crl_url(entry["crl_url"], where=f"{where}crl_url")
    return WantedCertificate(
        name=entry["name"],
        names=tuple(dict.fromkeys(names)),
        common_name=entry["common_name"],
        key_type=entry["key_type"],
        usages=tuple(usage for usage in USAGES if usage in entry["usages"]),
        lifetime_days=entry["lifetime_days"],
        renew_before_days=entry["renew_before_days"],
        crl_url=entry["crl_url"],
        ownership=ownership,
    )


def _key_ownership(entry: dict[str, t.Any], where: str, *, check_mode: bool) -> tuple[Ownership, list[str]]:
    check_key_mode(entry["mode"], where=where)
    return Ownership.of_parameters(entry, where=where, check_mode=check_mode)


def check_key_mode(mode: t.Any, *, where: str) -> None:
    """Refuse a mode that would open a key to every user."""
    if (Ownership.of(mode, None, None, where=where).mode or 0) & 0o007:
        raise HoldfastError(f"{where}mode: {mode!r} would open the key to every user; use '0600', or '0640' with a group")


class Issuer(t.NamedTuple):
    """The CA that should have signed (None in a check run that only predicts one), and what has been revoked."""

    certificate: x509.Certificate | None
    crls: list[x509.CertificateRevocationList]

    @classmethod
    def of(cls, ca_certificate: str, crl: str | None, *, check_mode: bool) -> Issuer:
        """Read module parameters."""
        check_no_key(ca_certificate, where="ca_certificate")
        # A check run on a CA host without the library predicts a CA, but has no certificate of it to show.
        certificate = None if check_mode and not ca_certificate else ca_from_pem(ca_certificate.encode(), "ca_certificate")
        return cls(certificate, crls_from_pem(crl.encode(), "crl") if crl else [])
