# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The names a CA's certificate is limited to (name constraints): read and written."""

from __future__ import annotations

import ipaddress

from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import extension
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import Constraints

if library.HAS_CRYPTOGRAPHY:
    from cryptography import x509


def constraints_of(certificate: x509.Certificate) -> Constraints:
    """The names a CA's certificate is limited to."""
    found = extension(certificate, x509.NameConstraints)
    subtrees = (found.permitted_subtrees if found else None) or []
    domains = sorted(name.value.lower() for name in subtrees if isinstance(name, x509.DNSName))
    ranges = sorted(str(name.value) for name in subtrees if isinstance(name, x509.IPAddress))
    return Constraints(tuple(domains), tuple(ranges))


def limited(builder: x509.CertificateBuilder, constraints: Constraints) -> x509.CertificateBuilder:
    """Limit a CA to names, where it is to be limited (RFC 5280, 4.2.1.10)."""
    permitted: list[x509.GeneralName] = [x509.DNSName(domain) for domain in constraints.domains]
    permitted += [x509.IPAddress(ipaddress.ip_network(network)) for network in constraints.ranges]
    if not permitted:
        return builder
    return builder.add_extension(x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True)
