# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible.module_utils import basic
from ansible_collections.holdfast.registry.plugins.modules import (
    ca,
    certificate_info,
    certificate_install,
    certificate_request,
    certificate_revoke,
    certificate_sign,
)

WANTED = ({"name": "bob", "names": ["bob.example.org"], "common_name": "bob", "usages": ["client"]},)
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHcorrect horse\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def issued(run, tmp_path):
    """A CA and an installed certificate. Returns the CA's result and the certificate's."""
    made = run(ca, directory=str(tmp_path / "ca"))
    requested = run(certificate_request, directory=str(tmp_path / "tls"), ca_certificate=made["certificate"], certificates=list(WANTED))
    signed = run(certificate_sign, directory=str(tmp_path / "ca"), requests=requested["requests"], allowed_usages=["client"])
    run(certificate_install, directory=str(tmp_path / "tls"), ca_certificate=made["bundle"], crl=made["crl"], certificates=signed["certificates"])
    return made, signed["certificates"][0]


def test_results_go_from_the_revocation_to_a_new_key_and_certificate(run, issued, tmp_path):
    made, certificate = issued
    named = [{"serial": certificate["serial"], "reason": "keyCompromise"}]
    predicted = run(certificate_revoke, True, directory=str(tmp_path / "ca"), certificates=named)
    done = run(certificate_revoke, directory=str(tmp_path / "ca"), certificates=named)
    for word in ("changed", "changes"):
        assert predicted[word] == done[word]
    assert [(one["serial"], one["subject"], one["reason"]) for one in done["revoked"]] == [(certificate["serial"], "bob", "keyCompromise")]
    assert not run(certificate_revoke, directory=str(tmp_path / "ca"), certificates=named)["changed"]
    tls = {"directory": str(tmp_path / "tls")}
    requested = run(certificate_request, ca_certificate=made["certificate"], crl=done["crl"], certificates=list(WANTED), **tls)
    assert requested["requests"][0]["needs"] == ["revoked"]
    signed = run(certificate_sign, directory=str(tmp_path / "ca"), requests=requested["requests"])
    installed = run(certificate_install, ca_certificate=made["bundle"], crl=done["crl"], certificates=signed["certificates"], **tls)
    assert [change.rpartition("/")[2] for change in installed["changes"]] == [
        "ca.crl: replaced",
        "bob.crt: replaced",
        "bob.key: replaced by the new key, which the certificate is for",
    ]
    found = run(certificate_info, certificates=[{"path": str(tmp_path / "tls")}])
    assert found["problems"] == []
    assert found["crls"][0]["revoked"] == [certificate["serial"]]


def test_what_is_wrong_is_a_message_that_names_the_place(run, issued, tmp_path):
    failed = run(certificate_revoke, directory=str(tmp_path / "ca"), certificates=[{"name": "bob"}, {"name": "carl"}])
    assert failed["msg"] == "certificates[1].name: this CA's record holds no certificate for 'carl'"
    failed = run(certificate_revoke, directory=str(tmp_path / "ca"), certificates=[{"name": "bob", "reason": "boredom"}])
    assert "reason" in failed["msg"]
    failed = run(certificate_info, certificates=[{"path": "/y"}, {"path": "/x", "server_names": ["a b"]}])
    assert failed["msg"].startswith("certificates[1].server_names[0]: 'a b'")


def test_a_revocation_that_no_crl_can_list_is_a_warning(run, issued, tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, warning: warnings.append(warning))
    assert run(ca, directory=str(tmp_path / "ca"), generation=2)["needs"] == ["generation changed from 1 to 2"]
    next((tmp_path / "ca").glob("ca-previous-*.key")).unlink()
    assert run(certificate_revoke, directory=str(tmp_path / "ca"), certificates=[{"name": "bob"}])["changed"]
    assert "was signed by a CA that has been replaced" in warnings[0]


def test_a_private_key_pasted_into_any_parameter_is_in_no_output(run, issued, tmp_path):
    made, certificate = issued
    tls, directory = {"directory": str(tmp_path / "tls")}, str(tmp_path / "ca")
    for failed in (  # run() sees to it that no output holds the key
        run(certificate_install, ca_certificate=made["bundle"], certificates=[{"name": "bob", "certificate": KEY}], **tls),
        run(certificate_install, ca_certificate=made["bundle"], certificates=[{"name": "bob", "certificate": certificate["certificate"] + KEY}], **tls),
        run(certificate_install, ca_certificate=made["bundle"] + KEY, certificates=[], **tls),
        run(certificate_install, ca_certificate=made["bundle"], crl=made["crl"] + KEY, certificates=[], **tls),
        run(certificate_request, ca_certificate=KEY, certificates=list(WANTED), **tls),
        run(certificate_request, ca_certificate=made["certificate"], crl=KEY, certificates=list(WANTED), **tls),
        run(certificate_sign, directory=directory, requests=[{"name": "bob", "csr": KEY}]),
        run(certificate_revoke, directory=directory, certificates=[{"certificate": KEY}]),
        run(certificate_info, certificates=[{"path": "/x", "ca_certificates": KEY}]),
    ):
        assert "holds a private key" in failed["msg"]
