# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

import ipaddress

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.plugin_utils.signing import as_wanted
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

WANTED = [
    {"name": "registry", "names": ["Registry.example.org", "192.0.2.10"], "lifetime_days": 397},
    {"name": "builder", "names": ["build.example.org"], "common_name": "builder", "usages": ["client"], "lifetime_days": 90},
]


def request(name, names, common_name, **more):
    alternatives = [x509.IPAddress(ipaddress.ip_address(text)) if text[0].isdigit() else x509.DNSName(text) for text in names]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    csr = x509.CertificateSigningRequestBuilder().subject_name(subject).add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    signed = csr.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return {"name": name, "csr": signed.public_bytes(serialization.Encoding.PEM).decode(), **more}


def test_what_is_wanted_goes_through_with_the_lifetime_and_usages_of_the_inventory():
    asked = [
        request("registry", ["192.0.2.10", "registry.example.org"], "registry.example.org", lifetime_days=825, usages=["client", "server"]),
        request("builder", ["build.example.org"], "builder"),
    ]
    first, second = as_wanted(asked, WANTED)
    assert (first["csr"], first["lifetime_days"], first["usages"]) == (asked[0]["csr"], 397, ["server"])
    assert (second["lifetime_days"], second["usages"]) == (90, ["client"])


def test_without_a_lifetime_in_the_inventory_the_modules_default_decides_and_never_the_host():
    asked = request("registry", ["registry.example.org"], "registry.example.org", lifetime_days=825)
    (signed,) = as_wanted([asked], [{"name": "registry", "names": ["registry.example.org"]}])
    assert "lifetime_days" not in signed


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("administrator", ["x.example.org"], "administrator"), "a certificate that it is not to have"),
        (("registry", ["registry.example.org", "192.0.2.10", "other.example.org"], "registry.example.org"), "is to have registry.example.org, 192.0.2.10"),
        (("registry", ["registry.example.org"], "registry.example.org"), "is to have registry.example.org, 192.0.2.10"),
        (("registry", ["registry.example.org", "192.0.2.10"], "builder"), "the common name 'builder' and is to have 'registry.example.org'"),
        (("builder", ["build.example.org"], "registry.example.org"), "the common name 'registry.example.org' and is to have 'builder'"),
        (("builder", ["build.example.org"], None), "the common name None"),
    ],
)
def test_a_host_that_asks_for_anything_else_gets_nothing(asked, said):
    with pytest.raises(HoldfastError, match=said):
        as_wanted([request("builder", ["build.example.org"], "builder"), request(*asked)], WANTED)


def test_what_is_no_request_is_refused_and_a_check_run_may_have_none():
    with pytest.raises(HoldfastError, match="is not a certificate signing request"):
        as_wanted([{"name": "builder", "csr": "nonsense"}], WANTED)
    assert as_wanted([{"name": "builder", "csr": ""}], WANTED)[0]["csr"] == ""
