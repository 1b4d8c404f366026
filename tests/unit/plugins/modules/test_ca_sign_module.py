# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import subprocess

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.modules import ca, ca_sign, certificate_install, certificate_request, certificate_sign


@pytest.fixture
def root(tmp_path):
    """A root, made by openssl, as the parameters of ca_sign name it."""
    key, certificate = tmp_path / "root.key", tmp_path / "root.crt"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=Root", "-days", "7300"]
    subprocess.run([*new, "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return {"certificate": certificate.read_text(), "key_path": str(key)}


def test_results_go_from_the_request_to_certificates_behind_a_chain(run, root, tmp_path):
    below = {"directory": str(tmp_path / "ca"), "parent_certificate": root["certificate"]}
    asked = run(ca, **below)
    signed = run(ca_sign, csr=asked["csr"], common_name="Holdfast registry CA", **root)
    assert not signed["changed"]
    made = run(ca, signed_certificate=signed["certificate"], parent_crl=signed["crl"], **below)
    assert (made["certificate"], made["chain"], made["csr"]) == (signed["certificate"], signed["certificate"], "")
    assert made["bundle"] == root["certificate"]
    assert made["crl"].endswith(signed["crl"])
    assert not run(ca, **below)["changed"]
    tls = {"directory": str(tmp_path / "tls")}
    requested = run(certificate_request, ca_certificate=made["certificate"], certificates=[{"name": "web", "names": ["web.example.org"]}], **tls)
    issued = run(certificate_sign, directory=below["directory"], requests=requested["requests"])
    install = {"ca_certificate": made["bundle"], "chain": made["chain"], "crl": made["crl"], "certificates": issued["certificates"], **tls}
    assert run(certificate_install, True, **install)["changes"] == run(certificate_install, **install)["changes"]
    assert (tmp_path / "tls/web.crt").read_text() == issued["certificates"][0]["certificate"] + made["chain"]


def test_a_key_in_place_of_a_certificate_is_refused_and_never_shown(run, root, tmp_path):
    key = (tmp_path / "root.key").read_text()
    for parameter in ("parent_certificate", "signed_certificate", "parent_crl"):
        given = {"parent_certificate": root["certificate"], parameter: key}
        failed = run(ca, directory=str(tmp_path / "ca"), **given)
        assert f"{parameter}: holds a private key" in failed["msg"]
        assert "BEGIN PRIVATE" not in str(failed)
    assert "certificate: holds a private key" in run(ca_sign, csr="", **{**root, "certificate": key})["msg"]


def test_a_root_that_limits_nothing_and_a_name_that_was_not_agreed_on(run, root, tmp_path):
    asked = run(ca, directory=str(tmp_path / "ca"), parent_certificate=root["certificate"], common_name="Another CA")
    failed = run(ca_sign, csr=asked["csr"], common_name="Holdfast registry CA", **root)
    assert failed["msg"] == "csr: is for 'Another CA' and not for common_name, 'Holdfast registry CA', so nothing was signed"
