# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificate signing requests compared with the inventory, before they go to the CA."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki import certificates as pki
from ansible_collections.holdfast.registry.plugins.module_utils._pki import names as certificate_names
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import WantedCertificate
from ansible_collections.holdfast.registry.plugins.module_utils._pki.library import HAS_CRYPTOGRAPHY, UNREADABLE, require_library

if HAS_CRYPTOGRAPHY:
    from cryptography import x509


def as_wanted(requests: list[dict[str, t.Any]], certificates: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """The requests with the lifetime and the usages that are wanted. Raises HoldfastError for one that asks for anything else."""
    wanted = {certificate["name"]: certificate for certificate in certificates}
    return [_as_wanted(request, wanted) for request in requests]


def _as_wanted(request: dict[str, t.Any], wanted: dict[str, dict[str, t.Any]]) -> dict[str, t.Any]:
    name = str(request["name"])
    certificate = wanted.get(name)
    if certificate is None:
        raise HoldfastError(f"{name}: the host asks for a certificate that it is not to have, so nothing was signed")
    csr = str(request.get("csr") or "")
    if csr:  # a check run on a host without the library has none to show
        _compare(name, csr, certificate)
    return {
        "name": name,
        "csr": csr,
        # without one the default of certificate_sign, which certificate_request has as well
        **({"lifetime_days": certificate["lifetime_days"]} if certificate.get("lifetime_days") is not None else {}),
        "usages": list(certificate.get("usages") or ["server"]),
        "crl_url": certificate.get("crl_url") or "",
    }


def _compare(name: str, csr: str, certificate: dict[str, t.Any]) -> None:
    require_library()
    try:
        asked = x509.load_pem_x509_csr(csr.encode())
        asked_names, common_name = pki.alternative_names(asked), pki.common_name(asked.subject)
    except UNREADABLE:
        raise HoldfastError(f"{name}: what the host sent is not a certificate signing request, so nothing was signed") from None
    names = [certificate_names.parse_name(text, f"{name}: names") for text in certificate["names"]]
    if {text.lower() for text in asked_names} != set(names):
        raise HoldfastError(f"{name}: the host asks for {', '.join(asked_names) or 'no names'} and is to have {', '.join(names)}, so nothing was signed")
    subject = WantedCertificate(name, tuple(names), certificate.get("common_name")).subject
    if common_name != subject:
        raise HoldfastError(f"{name}: the host asks for the common name {common_name!r} and is to have {subject!r}, so nothing was signed")
