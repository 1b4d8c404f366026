# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Certificates and CRLs of other CAs, signed in all the ways that openssl has."""

from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.above import Above
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import certificates_from_pem, signed_by
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crl_of_ca, crls_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.info import inspect
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import DAY, NOW, needs_openssl, openssl

pytestmark = needs_openssl

PSS = ("-sigopt", "rsa_padding_mode:pss")
RSA = ("-newkey", "rsa:2048")
# The options for the key and those for the signature.
WAYS = {
    "PKCS1v15": (RSA, ("-sha256",)),
    "PSS": (RSA, ("-sha256", *PSS)),
    "PSS with a short salt": (RSA, ("-sha384", *PSS, "-sigopt", "rsa_pss_saltlen:digest")),
    "PSS with SHA-512": (RSA, ("-sha512", *PSS, "-sigopt", "rsa_pss_saltlen:digest")),
    "EC": (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp521r1"), ("-sha512",)),
    "Ed25519": (("-newkey", "ed25519"), ()),
    "Ed448": (("-newkey", "ed448"), ()),
}
CA = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def signed(path, name, issuer, way, *extensions):
    """A certificate for a new key, below issuer."""
    key, signature = WAYS[way]
    openssl("req", "-new", *key, "-nodes", "-subj", f"/CN={name}", "-keyout", path / f"{name}.key", "-out", path / f"{name}.csr")
    (path / "extensions").write_text("".join(f"{line}\n" for line in extensions))
    made = ("-CA", path / f"{issuer}.crt", "-CAkey", path / f"{issuer}.key", "-set_serial", "77", "-days", "30", "-extfile", path / "extensions")
    openssl("x509", "-req", "-in", path / f"{name}.csr", *made, *signature, "-out", path / f"{name}.crt")


@pytest.fixture(scope="module", params=list(WAYS))
def chain(request, tmp_path_factory):
    """A root, an intermediate CA and a server's certificate. Not to be changed."""
    path, way = tmp_path_factory.mktemp("chain"), request.param
    key, signature = WAYS[way]
    for name in ("root", "other"):
        made = ("-keyout", path / f"{name}.key", "-out", path / f"{name}.crt")
        openssl("req", "-x509", *key, *signature, "-nodes", "-subj", "/CN=Company root", "-days", "30", *CA, *made)
    signed(path, "between", "root", way, "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
    signed(path, "server", "between", way, "subjectAltName=DNS:registry.example.org")
    openssl("verify", "-CAfile", path / "root.crt", "-untrusted", path / "between.crt", path / "server.crt")
    (path / "chain.crt").write_text((path / "server.crt").read_text() + (path / "between.crt").read_text())
    (path / "index").write_text("")
    (path / "ca.cnf").write_text(f"[ca]\ndefault_ca = one\n[one]\ndatabase = {path}/index\ndefault_md = {'default' if way[0] == 'E' else signature[0][1:]}\n")
    signing = ("-cert", path / "root.crt", "-keyfile", path / "root.key", "-crldays", "30")
    openssl("ca", "-gencrl", "-config", path / "ca.cnf", *signing, *signature[1:], "-out", path / "root.crl")
    return path


def only(path):
    return certificates_from_pem(path.read_bytes(), "")[0]


def test_a_chain_is_followed_to_its_root_and_to_no_other(chain):
    def problems(cas):
        look = {"path": str(chain / "chain.crt"), "key": None, "server_names": ["registry.example.org"], "ca_certificates": (chain / cas).read_text()}
        return inspect([look], warn_days=0, now=NOW + DAY)["certificates"][0]["problems"]

    assert problems("root.crt") == []
    assert problems("other.crt") == ["is not signed by one of ca_certificates"]


def test_the_name_of_a_ca_alone_is_no_signature(chain):
    assert signed_by(only(chain / "between.crt"), only(chain / "root.crt"))
    assert not signed_by(only(chain / "between.crt"), only(chain / "other.crt"))


def test_a_crl_is_its_cas(chain):
    crls = crls_from_pem((chain / "root.crl").read_bytes(), "")
    assert crl_of_ca(crls, only(chain / "root.crt")) is not None
    assert crl_of_ca(crls, only(chain / "other.crt")) is None


def test_a_ca_can_be_below_such_a_chain(chain):
    below = (chain / "between.crt").read_text()
    crl = (chain / "root.crl").read_text()
    assert Above.of({"parent_certificate": below + (chain / "root.crt").read_text(), "parent_crl": crl}).crls
    with pytest.raises(HoldfastError, match="certificate 1 .* is not signed by the one after it"):
        Above.of({"parent_certificate": below + (chain / "other.crt").read_text()})
