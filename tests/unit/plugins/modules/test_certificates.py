# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible.module_utils import basic
from ansible_collections.holdfast.registry.plugins.modules import ca, certificate_install, certificate_request, certificate_sign

CERTIFICATES = ({"name": "registry", "names": ["registry.example.org"]},)


@pytest.fixture
def steps(run, tmp_path):
    """Run the four modules after each other, each with the result of the one before. Returns their results."""

    def run_steps(check=False, certificates=CERTIFICATES):
        made = run(ca, check, directory=str(tmp_path / "ca"), passphrase="correct horse")
        tls = {"directory": str(tmp_path / "tls"), "ca_certificate": made["certificate"]}
        requested = run(certificate_request, check, certificates=list(certificates), **tls)
        signed = run(certificate_sign, check, directory=str(tmp_path / "ca"), passphrase="correct horse", requests=requested["requests"])
        return requested, signed, run(certificate_install, check, certificates=signed["certificates"], **tls)

    return run_steps


def test_a_check_run_on_a_fresh_host_predicts_every_change_and_makes_no_file(steps, tmp_path):
    assert [result["changed"] for result in steps(check=True)] == [True] * 3
    assert not list(tmp_path.iterdir())


def test_results_go_whole_from_module_to_module_and_a_second_run_changes_nothing(steps, tmp_path):
    requested, signed, installed = steps()
    assert requested["requests"][0]["needs"] == ["missing"]
    assert signed["certificates"][0]["certificate"] == (tmp_path / "tls/registry.crt").read_text()
    assert installed["changes"] == [f"{tmp_path}/tls/ca.crt: made", f"{tmp_path}/tls/registry.crt: made"]
    assert "common name: registry.example.org" in installed["diff"][1]["after"]
    assert requested["diff"][0]["after"] == "private key, ec-p256\n"
    again = steps()
    assert [result["changed"] for result in again] == [False] * 3
    assert (again[0]["requests"], again[0]["changes"], again[2]["changes"]) == ([], [], [])


def test_a_new_key_type_and_name_are_predicted_and_done(steps):
    steps()
    wanted = [{"name": "registry", "names": ["new.example.org"], "key_type": "rsa-3072"}]
    predicted, real = steps(True, wanted), steps(False, wanted)
    assert real[0]["requests"][0]["needs"] == ["key type changed from ec-p256 to rsa-3072", "names changed from registry.example.org to new.example.org"]
    assert real[0]["certificates"][0]["needs"] == predicted[0]["certificates"][0]["needs"]
    assert [r.get("changes") for r in real] == [r.get("changes") for r in predicted]


def test_what_is_wrong_is_a_message_that_names_the_place(run, steps, tmp_path):
    steps()
    tls = {"directory": str(tmp_path / "tls"), "ca_certificate": (tmp_path / "ca/ca.crt").read_text()}
    failed = run(certificate_request, certificates=[{"name": "registry", "names": ["bad name"]}], **tls)
    assert failed["msg"].startswith("certificates[0].names[0]: 'bad name' is neither a DNS name")
    failed = run(certificate_sign, directory=str(tmp_path / "ca"), requests=[{"name": "x", "csr": "rubbish"}], passphrase="correct horse")
    assert failed["msg"].startswith("requests[0] (x): csr is not a certificate signing request")
    failed = run(certificate_install, certificates=[{"name": "x", "certificate": "rubbish"}], **tls)
    assert failed["msg"].startswith("certificates[0].certificate (x): is not a certificate")


def test_a_certificate_cut_short_by_its_ca_is_a_warning(run, tmp_path, monkeypatch):
    warnings = []
    monkeypatch.setattr(basic.AnsibleModule, "warn", lambda _self, warning: warnings.append(warning))
    made = run(ca, directory=str(tmp_path / "ca"), lifetime_days=100)
    requested = run(certificate_request, directory=str(tmp_path / "tls"), ca_certificate=made["certificate"], certificates=list(CERTIFICATES))
    signed = run(certificate_sign, directory=str(tmp_path / "ca"), requests=requested["requests"])
    assert signed["certificates"][0]["not_after"] == made["not_after"]
    assert "ends with the CA" in warnings[0]


def test_where_nothing_is_due_the_request_puts_the_cas_files_in_place(run, steps, tmp_path):
    def request(check=False, **options):
        made = run(ca, directory=str(tmp_path / "ca"), passphrase="correct horse")
        install = {"ca_certificate": made["certificate"], "crl_der": True}
        tls = {"directory": str(tmp_path / "tls"), "ca_certificate": made["certificate"], "crl": made["crl"]}
        return run(certificate_request, check, certificates=list(CERTIFICATES), install=install, **tls, **options)

    assert request()["requests"]
    assert not (tmp_path / "tls/ca.crt").exists()
    steps()
    (tmp_path / "tls/ca.crt").unlink()
    predicted = request(check=True)
    assert not (tmp_path / "tls/ca.crt").exists()
    done, again = request(), request()
    assert done["requests"] == []
    assert done["changes"] == predicted["changes"] == [f"{tmp_path}/tls/{line}" for line in ("ca.crt: made", "ca.crl: made", "ca.crl.der: CRL to be served")]
    assert [change["after_header"] for change in done["diff"]] == [change["after_header"] for change in predicted["diff"]]
    assert ([result["changed"] for result in (predicted, done, again)]) == [True, True, False]
