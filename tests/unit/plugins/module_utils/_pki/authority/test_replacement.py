# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import cas_from_pem, certificate_from_pem, common_name, signed_by
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crls_from_pem, end_of
from ansible_collections.holdfast.registry.plugins.module_utils._pki.times import not_after
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    asked,
    ca,
    converge,
    left_by_kills,
    needs,
    needs_openssl,
    openssl,
    predict,
    revoke,
    sign,
    tree,
)


def names(pem):
    return [common_name(certificate.subject) for certificate in cas_from_pem(pem.encode(), "")]


def crl_names(pem):
    return [common_name(crl.issuer) for crl in crls_from_pem(pem.encode(), "")]


def test_a_higher_generation_replaces_key_and_name_once_and_a_check_run_says_the_same(tmp_path):
    converge(tmp_path)
    before, key = tree(tmp_path), (tmp_path / "ca/ca.key").read_bytes()
    predicted = predict(tmp_path, generation=2, key_type="ec-p384")
    assert tree(tmp_path) == before
    real = converge(tmp_path, generation=2, key_type="ec-p384")
    assert (real[0]["needs"], real[0]["generation"]) == (["generation changed from 1 to 2"], 2)
    assert names(real[0]["bundle"]) == names(predicted[0]["bundle"]) == ["Test CA G2", "Test CA"]
    assert crl_names(real[0]["crl"]) == ["Test CA G2", "Test CA"]
    assert needs(real[1]) == needs(predicted[1]) == [["signed by another CA"]]
    for one, other in zip(real, predicted):
        assert one["changed"] == other["changed"]
        assert [one.get(word) for word in ("needs", "changes")] == [other.get(word) for word in ("needs", "changes")]
    assert (tmp_path / "ca/ca.key").read_bytes() != key
    assert (tmp_path / "ca/ca-bundle.crt").read_text() == (tmp_path / "tls/ca.crt").read_text() == real[0]["bundle"]
    assert not (tmp_path / "ca/ca.key.new").exists()
    assert [step["changed"] for step in converge(tmp_path, generation=2, key_type="ec-p384")] == [False] * 4


def test_there_is_no_way_back_to_a_lower_generation(tmp_path):
    ca(tmp_path, generation=3)
    before = tree(tmp_path)
    with pytest.raises(HoldfastError, match="generation: the CA in .* is of generation 3, and there is no way back to 2: set it to 3"):
        ca(tmp_path, generation=2)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"generation": 0}, "generation: 0 must be between 1 and"),
        ({"common_name": "Test CA G2"}, "common_name: 'Test CA G2' ends like a generation"),
        ({"common_name": "x" * 62, "generation": 2}, r"common_name \(with its generation\)"),
        ({"permitted_ip_ranges": ["192.0.2.0/24", "192.0.2.1/24"]}, r"permitted_ip_ranges\[1\]: '192\.0\.2\.1/24'"),
        ({"crl_lifetime_days": 30, "crl_renew_before_days": 30}, r"crl_lifetime_days: 30 must be greater than crl_renew_before_days \(30\)"),
        ({"new_passphrase": ""}, "new_passphrase: must be 1 to 1023 bytes"),
    ],
)
def test_a_wrong_parameter_is_named_and_nothing_is_made(tmp_path, changed, message):
    with pytest.raises(HoldfastError, match=message):
        ca(tmp_path / "ca", **changed)
    assert not (tmp_path / "ca").exists()


@needs_openssl
def test_during_the_overlap_clients_of_either_ca_verify_what_they_can(tmp_path):
    converge(tmp_path)
    old_ca, old_leaf = tmp_path / "old-ca.crt", tmp_path / "old.crt"
    old_ca.write_text((tmp_path / "ca/ca.crt").read_text())
    old_leaf.write_text((tmp_path / "tls/registry.crt").read_text())
    converge(tmp_path, generation=2)
    bundle, new_leaf = tmp_path / "ca/ca-bundle.crt", tmp_path / "tls/registry.crt"
    for trusted, leaf in ((bundle, old_leaf), (bundle, new_leaf), (old_ca, old_leaf)):
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-no-CApath", "-CAfile", trusted, leaf)
        if trusted == bundle:
            openssl("verify", "-crl_check_all", "-CRLfile", tmp_path / "ca/ca.crl", "-CAfile", trusted, leaf)
    with pytest.raises(AssertionError):
        openssl("verify", "-no-CApath", "-CAfile", old_ca, new_leaf)


def test_the_ca_before_is_trusted_until_its_last_certificate_has_expired(tmp_path):
    converge(tmp_path)
    ca(tmp_path / "ca", generation=2)
    assert names(ca(tmp_path / "ca", generation=2, now=NOW + 396 * DAY)["bundle"]) == ["Test CA G2", "Test CA"]
    predicted = ca(tmp_path / "ca", check_mode=True, generation=2, now=NOW + 397 * DAY)
    real = ca(tmp_path / "ca", generation=2, now=NOW + 397 * DAY)
    assert predicted["needs"] == real["needs"] == ["Test CA no longer trusted: none of its certificates is in use"]
    assert (names(real["bundle"]), crl_names(real["crl"])) == (["Test CA G2"], ["Test CA G2"])
    assert not ca(tmp_path / "ca", generation=2, now=NOW + 397 * DAY)["changed"]


def test_the_ca_before_is_dropped_when_its_last_certificate_is_revoked_when_it_expires_or_when_told_to(tmp_path):
    for directory, act, why in (
        (tmp_path / "a", lambda d: revoke(d, {"name": "registry.example.org"}), "none of its certificates is in use"),
        (tmp_path / "b", lambda d: (d / "issued.jsonl").write_text((d / "issued.jsonl").read_text().replace("2027", "2099")), "expired"),
        (tmp_path / "c", lambda d: None, "keep_previous is false"),
    ):
        ca(directory, lifetime_days=100)
        sign(directory, [asked()])
        later = NOW + (101 * DAY if why == "expired" else DAY)
        ca(directory, generation=2)
        act(directory)
        done = ca(directory, generation=2, keep_previous=why != "keep_previous is false", now=later)
        assert done["needs"] == [f"Test CA no longer trusted: {why}"]
        assert names(done["bundle"]) == ["Test CA G2"]


def test_a_stolen_key_is_replaced_without_an_overlap_in_one_run(tmp_path):
    converge(tmp_path)
    predicted = predict(tmp_path, generation=2, keep_previous=False)
    real = converge(tmp_path, generation=2, keep_previous=False)
    assert names(real[0]["bundle"]) == ["Test CA G2"]
    assert predicted[0]["needs"] == real[0]["needs"] == ["generation changed from 1 to 2", "Test CA no longer trusted: keep_previous is false"]
    assert [step["changed"] for step in predicted] == [step["changed"] for step in real] == [True, False, True, True]


def test_a_renamed_ca_leaves_the_old_name_trusted(tmp_path):
    converge(tmp_path)
    key = (tmp_path / "ca/ca.key").read_bytes()
    renamed = converge(tmp_path, common_name="Other CA")
    assert names(renamed[0]["bundle"]) == ["Other CA", "Test CA"]
    assert (tmp_path / "ca/ca.key").read_bytes() == key


def test_three_generations_can_overlap(tmp_path):
    for generation in (1, 2, 3):
        converge(tmp_path, generation=generation)
    made = ca(tmp_path / "ca", generation=3)
    assert (made["changed"], names(made["bundle"])) == (False, ["Test CA G3", "Test CA G2", "Test CA"])
    assert crl_names(made["crl"]) == names(made["bundle"])


def test_a_passphrase_is_changed_once(tmp_path):
    ca(tmp_path, passphrase=PASSPHRASE)
    changed = {"passphrase": PASSPHRASE, "new_passphrase": "quite another one"}
    assert ca(tmp_path, check_mode=True, **changed)["needs"] == ca(tmp_path, **changed)["needs"] == ["passphrase changed"]
    assert not ca(tmp_path, **changed)["changed"]
    sign(tmp_path, [asked()], passphrase="quite another one")
    with pytest.raises(HoldfastError, match="passphrase: does not open"):
        sign(tmp_path, [asked()], passphrase=PASSPHRASE)


@pytest.mark.parametrize("name", ["ca-bundle.crt", "ca.crl"])
def test_a_file_that_is_gone_is_made_again_and_a_damaged_one_refused(tmp_path, name):
    ca(tmp_path)
    (tmp_path / name).unlink()
    reason = "CRL missing" if name == "ca.crl" else "ca-bundle.crt missing"
    assert ca(tmp_path, check_mode=True)["needs"] == ca(tmp_path)["needs"] == [reason]
    (tmp_path / name).write_text("rubbish")
    with pytest.raises(HoldfastError, match=f"{name}: holds no whole block in PEM form"):
        ca(tmp_path)


def test_constraints_are_in_the_certificate_and_a_change_is_a_reason(tmp_path):
    ca(tmp_path)
    wanted = {"permitted_ip_ranges": ["192.0.2.0/24", "2001:db8::/32"], "permitted_dns_domains": ["example.org"]}
    assert ca(tmp_path, **wanted)["needs"] == ["name constraints changed from none to example.org, 192.0.2.0/24, 2001:db8::/32"]
    assert not ca(tmp_path, **wanted)["changed"]
    sign(tmp_path, [asked(names=["a.example.org", "192.0.2.7", "2001:db8::7"])])
    with pytest.raises(HoldfastError, match="198.51.100.1 lies outside the CA's name constraints"):
        sign(tmp_path, [asked(names=["a.example.org", "198.51.100.1"])])


@pytest.mark.parametrize("changed", [{"passphrase": None}, {"passphrase": PASSPHRASE}])
def test_killed_at_any_step_of_a_replacement_the_next_run_finishes_it(tmp_path, changed):
    wanted = {"generation": 2, "key_type": "ed25519", **changed}
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    converge(prepared)
    old = (prepared / "tls/registry.crt").read_text()
    for name in ("ca-bundle.crt", "ca.crl"):  # as in a CA that was made with other tools
        (prepared / "ca" / name).unlink()
    left = left_by_kills(prepared, lambda root: ca(root / "ca", **wanted))
    for root in left:
        sign(root / "ca", [asked()], passphrase=changed["passphrase"])  # the CA works at every instant
        made = converge(root, **wanted)[0]
        assert names(made["bundle"]) == ["Test CA G2", "Test CA"]
        assert crl_names(made["crl"]) == ["Test CA G2", "Test CA"]
        trusted = cas_from_pem((root / "tls/ca.crt").read_bytes(), "")
        assert signed_by(certificate_from_pem(old.encode(), ""), trusted[1])
        assert end_of(crls_from_pem(made["crl"].encode(), "")[1]) == not_after(trusted[1])
        assert [done["changed"] for done in converge(root, **wanted)] == [False] * 4
        assert not [path for path in root.rglob("*") if path.name.endswith((".new", ".holdfast-tmp"))]
    assert len(left) > 20


def test_a_replacement_that_was_cut_short_and_is_no_longer_wanted_leaves_the_old_ca(tmp_path):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    before = ca(prepared)["certificate"]
    left = left_by_kills(prepared, lambda root: ca(root, generation=2))
    for root in left:
        if (root / "ca.crt").read_text() == before:
            assert names(ca(root)["bundle"]) == ["Test CA"]
            assert not ca(root)["changed"]
            assert not (root / "ca.key.new").exists()
    assert len(left) > 20
