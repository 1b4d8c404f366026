# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._files.ownership import Ownership
from ansible_collections.holdfast.registry.plugins.module_utils._pki import library
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host import brought
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    NOW,
    asked,
    ca,
    converge,
    install,
    needs,
    predict,
    request,
    sign,
    tree,
)


def test_a_certificate_that_does_not_fit_is_refused_and_nothing_is_installed(tmp_path):
    made, _requested, signed, _installed = converge(tmp_path)
    before = tree(tmp_path)
    good = signed["certificates"][0]
    foreign = sign(tmp_path / "ca", [asked()])["certificates"][0]
    other_ca = ca(tmp_path / "other")["certificate"]
    before = tree(tmp_path / "tls")
    for certificates, ca_pem, message in (
        ([good, {**foreign, "name": "two"}], made["certificate"], "two.key: is missing"),
        ([foreign], made["certificate"], r"certificates\[0\]\.certificate \(registry\): does not match the key"),
        ([good], other_ca, "is not signed by the CA"),
        ([{**good, "certificate": "rubbish"}], made["certificate"], "is not a certificate"),
        ([{**good, "name": "ca"}], made["certificate"], "'ca' is taken"),
        ([good], "", "ca_certificate: holds no whole block"),
    ):
        with pytest.raises(HoldfastError, match=message):
            install(tmp_path / "tls", certificates, ca_pem)
    assert tree(tmp_path / "tls") == before


def test_a_damaged_key_that_waits_does_not_keep_a_certificate_from_being_installed(tmp_path):
    made, _requested, signed, _installed = converge(tmp_path)
    (tmp_path / "tls/registry.crt").unlink()
    (tmp_path / "tls/registry.key.new").write_text("half a key")
    assert install(tmp_path / "tls", signed["certificates"], made["certificate"])["changed"]


@pytest.mark.parametrize("name", ["ca", "ca-bundle", "ca-chain", "ca-trust"])
def test_a_certificate_that_is_brought_does_not_take_the_name_of_a_file_of_the_ca(tmp_path, name):
    with pytest.raises(HoldfastError, match=f"^name: '{name}' is taken by the CA's own files; choose another name$"):
        brought.ensure({"directory": str(tmp_path), "name": name}, Ownership(), None, check_mode=False, now=NOW)


def test_the_cas_certificate_is_kept_right_without_any_certificate(tmp_path):
    made = ca(tmp_path / "ca")
    assert install(tmp_path / "tls", [], made["certificate"])["changes"] == [f"{tmp_path}/tls/ca.crt: made"]
    assert not install(tmp_path / "tls", [], made["certificate"])["changed"]
    renewed = ca(tmp_path / "ca", common_name="Other CA")["certificate"]
    assert install(tmp_path / "tls", [], renewed, check_mode=True)["changes"] == install(tmp_path / "tls", [], renewed)["changes"]
    assert (tmp_path / "tls/ca.crt").read_text() == renewed


def test_a_check_run_on_a_fresh_host_predicts_everything_and_writes_nothing(tmp_path):
    predicted = predict(tmp_path)
    assert [step["changed"] for step in predicted] == [True] * 4
    assert tree(tmp_path) == {}
    ca(tmp_path / "ca")
    assert [step["changed"] for step in predict(tmp_path)] == [False, True, True, True]
    assert not (tmp_path / "tls").exists()


def test_a_check_run_without_the_library_predicts_on_a_fresh_host_and_fails_clearly_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "HAS_CRYPTOGRAPHY", False)
    predicted = predict(tmp_path)
    assert [step["changed"] for step in predicted] == [True] * 4
    assert (predicted[0]["needs"], needs(predicted[1])) == (["missing"], [["missing"]])
    assert tree(tmp_path) == {}
    for run in (
        lambda: ca(tmp_path / "x"),
        lambda: request(tmp_path / "x", ""),
        lambda: sign(tmp_path / "x", [asked(csr="")]),
        lambda: install(tmp_path / "x", [], ""),
    ):
        with pytest.raises(HoldfastError, match="python3-cryptography"):
            run()
    monkeypatch.undo()
    signed = converge(tmp_path)[2]["certificates"]
    monkeypatch.setattr(library, "HAS_CRYPTOGRAPHY", False)
    for run in (
        lambda: ca(tmp_path / "ca", check_mode=True),
        lambda: request(tmp_path / "tls", "", check_mode=True),
        lambda: sign(tmp_path / "ca", [asked(csr="")], check_mode=True),
        lambda: install(tmp_path / "tls", signed, "", check_mode=True),
    ):
        with pytest.raises(HoldfastError, match="python3-cryptography"):
            run()
