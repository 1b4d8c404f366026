# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.authority.parent import sign_ca
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import cas_from_pem, certificates_from_pem, common_name
from ansible_collections.holdfast.registry.plugins.module_utils._pki.crls import crls_from_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import generate_key, key_from_pem, key_to_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import Constraints
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    ca,
    csr,
    install,
    left_by_kills,
    needs,
    needs_openssl,
    openssl,
    pair_matches,
    request,
    revoke,
    sign,
    tree,
)


@pytest.fixture
def root(tmp_path):
    """A root with its key, made by openssl as people do."""
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/O=Example/CN=Example Root", "-days", "7300",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", tmp_path / "root.key", "-out", tmp_path / "root.crt")  # fmt: skip
    return (tmp_path / "root.crt").read_text()


def answer(tmp_path, root, text, **changed):
    settings = {"passphrase": None, "wanted_name": None, "lifetime_days": 3650, "constraints": Constraints(), "now": NOW, **changed}
    return sign_ca(root, str(tmp_path / "root.key"), text, **settings)


def below(tmp_path, root, *, now=NOW, check_mode=False, signs=True, **changed):
    """One run of the role: the CA, its answer where the root's key is at hand, a certificate, its installation."""
    made = ca(tmp_path / "ca", parent_certificate=root, now=now, check_mode=check_mode, **changed)
    if made["csr"] and signs:
        signed = answer(tmp_path, root, made["csr"], now=now)
        made = ca(tmp_path / "ca", parent_certificate=root, signed_certificate=signed["certificate"], parent_crl=signed["crl"], now=now, **changed)
    requested = request(tmp_path / "tls", made["certificate"], crl=made["crl"], now=now, check_mode=check_mode)
    issued = sign(tmp_path / "ca", requested["requests"], now=now, check_mode=check_mode, passphrase=changed.get("passphrase"))
    installed = install(
        tmp_path / "tls", issued["certificates"], made["bundle"], crl=made["crl"], chain=made["chain"], names=["registry"], check_mode=check_mode
    )
    return made, requested, issued, installed


def names(pem):
    return [common_name(certificate.subject) for certificate in cas_from_pem(pem.encode(), "")]


def file_names(path):
    return [common_name(certificate.subject) for certificate in certificates_from_pem(path.read_bytes(), "")]


@needs_openssl
def test_clients_that_trust_the_root_alone_verify_the_chain_and_its_revocation(tmp_path, root):
    made, *_rest = below(tmp_path, root)
    assert (names(made["bundle"]), names(made["chain"]), made["csr"]) == (["Example Root"], ["Test CA"], "")
    assert file_names(tmp_path / "tls/registry.crt") == ["registry.example.org", "Test CA"]
    assert file_names(tmp_path / "tls/ca.crt") == ["Example Root"]
    chain = ("-untrusted", tmp_path / "tls/registry.crt")
    check = ("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "root.crt")
    openssl(*check, *chain, tmp_path / "tls/registry.crt")
    openssl(*check, *chain, "-crl_check_all", "-CRLfile", tmp_path / "tls/ca.crl", tmp_path / "tls/registry.crt")
    with pytest.raises(AssertionError):
        openssl(*check, tmp_path / "tls/registry.crt")


def test_a_second_run_changes_nothing_with_the_roots_key_or_without(tmp_path, root):
    below(tmp_path, root)
    before = tree(tmp_path)
    for signs in (True, False):
        assert [step["changed"] for step in below(tmp_path, root, signs=signs)][:2] == [False, False]
        assert tree(tmp_path) == before


def test_before_the_answer_there_is_a_request_and_a_key_and_nothing_else(tmp_path, root):
    made = ca(tmp_path / "ca", parent_certificate=root)
    assert (made["certificate"], made["bundle"], made["needs"], made["changed"]) == ("", "", ["missing"], True)
    assert "BEGIN CERTIFICATE REQUEST" in made["csr"]
    assert sorted(path.name for path in (tmp_path / "ca").iterdir() if not path.name.startswith(".")) == ["ca.csr", "ca.key"]
    again = ca(tmp_path / "ca", parent_certificate=root)
    assert (again["csr"], again["changed"]) == (made["csr"], False)
    assert (tmp_path / "ca/ca.csr").read_text() == made["csr"]


def test_the_answer_ends_the_request(tmp_path, root):
    below(tmp_path, root)
    assert not (tmp_path / "ca/ca.csr").exists()


def test_a_new_key_of_the_ca_needs_nothing_of_clients(tmp_path, root):
    below(tmp_path, root)
    old = (tmp_path / "tls/registry.crt").read_bytes()
    (tmp_path / "old.crt").write_bytes(old)
    waiting = ca(tmp_path / "ca", parent_certificate=root, generation=2)
    assert (names(waiting["chain"]), bool(waiting["csr"])) == (["Test CA"], True)  # as it was, until the answer is there
    made, requested, *_rest = below(tmp_path, root, generation=2)
    assert (names(made["bundle"]), names(made["chain"])) == (["Example Root"], ["Test CA G2"])
    assert needs(requested) == [["signed by another CA"]]
    assert file_names(tmp_path / "tls/registry.crt") == ["registry.example.org", "Test CA G2"]
    check = ("verify", "-x509_strict", "-CAfile", tmp_path / "root.crt", "-crl_check_all", "-CRLfile", tmp_path / "tls/ca.crl")
    for certificate in (tmp_path / "old.crt", tmp_path / "tls/registry.crt"):  # during the overlap both are good
        openssl(*check, "-untrusted", certificate, certificate)
    assert [step["changed"] for step in below(tmp_path, root, generation=2)][:2] == [False, False]


def test_a_certificate_of_the_ca_before_can_be_revoked(tmp_path, root):
    *_before, issued, _installed = below(tmp_path, root)
    below(tmp_path, root, generation=2)
    done = revoke(tmp_path / "ca", {"serial": issued["certificates"][0]["serial"]})
    assert done["warnings"] == []
    assert [len(list(crl)) for crl in crls_from_pem(done["crl"].encode(), "")] == [0, 1, 0]


def test_a_ca_that_was_its_own_root_keeps_its_key_and_its_certificates(tmp_path, root):
    made = ca(tmp_path / "ca")
    requested = request(tmp_path / "tls", made["certificate"])
    install(tmp_path / "tls", sign(tmp_path / "ca", requested["requests"])["certificates"], made["bundle"], crl=made["crl"])
    (tmp_path / "before.crt").write_text(made["bundle"])
    leaf = (tmp_path / "tls/registry.crt").read_text()
    below_root, requested, *_rest = below(tmp_path, root)
    assert (names(below_root["bundle"]), needs(requested)) == (["Example Root"], [])
    assert (tmp_path / "tls/registry.crt").read_text() == leaf + below_root["chain"]
    for trusted in ("root.crt", "before.crt"):  # clients of before and of after
        openssl("verify", "-x509_strict", "-CAfile", tmp_path / trusted, "-untrusted", tmp_path / "tls/registry.crt", tmp_path / "tls/registry.crt")


def test_a_renewed_ca_reaches_the_chain_of_certificates_that_stay(tmp_path, root):
    below(tmp_path, root)
    later = NOW + 340 * DAY
    made, requested, *_rest = below(tmp_path, root, now=later, renew_before_days=3400)
    assert needs(requested) == []
    assert (tmp_path / "tls/registry.crt").read_text().endswith(made["chain"])
    assert made["days_left"] == 3650


def test_near_its_end_it_asks_and_goes_on(tmp_path, root):
    below(tmp_path, root)
    made = ca(tmp_path / "ca", parent_certificate=root, now=NOW + 3600 * DAY, crl_lifetime_days=825)
    assert made["csr"]
    assert made["certificate"]


LIMITS = {"permitted_dns_domains": ["example.org"], "permitted_ip_ranges": ["192.0.2.0/24"]}
NOT_LIMITED = r"signed_certificate: its name constraints are none, not example\.org, 192\.0\.2\.0/24; have ca\.csr signed again"
LIMITED_OTHERWISE = r"its name constraints are a\.example\.org, not example\.org, 192"


def of_root(tmp_path, text, **changed):
    return answer(tmp_path, (tmp_path / "root.crt").read_text(), text, **changed)["certificate"]


def no_chain(tmp_path):
    return ca(tmp_path / "other")["certificate"] + (tmp_path / "root.crt").read_text()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda path, text: {"signed_certificate": of_root(path, text, now=NOW - 9 * DAY, lifetime_days=3)}, "expired on"),
        (lambda path, text: {"signed_certificate": of_root(path, text, now=NOW + 9 * DAY)}, "is not valid before"),
        (lambda path, text: {"signed_certificate": of_root(path, text), **LIMITS}, NOT_LIMITED),
        (lambda path, text: {"signed_certificate": of_root(path, text, constraints=Constraints(("a.example.org",))), **LIMITS}, LIMITED_OTHERWISE),
        (lambda path, text: {"signed_certificate": "rubbish"}, "signed_certificate"),
        (lambda path, text: {"signed_certificate": of_root(path, text), "common_name": "Another CA"}, "common name is Test CA, not Another CA"),
        (lambda path, text: {"parent_crl": ca(path / "other")["crl"]}, "parent_crl: holds a CRL that none of the CAs"),
        (lambda path, text: {"parent_certificate": no_chain(path)}, r"parent_certificate: certificate 1 .* is not signed by the one after it"),
    ],
    ids=["expired", "not yet valid", "not limited", "limited otherwise", "rubbish", "another name", "foreign CRL", "no chain"],
)
def test_a_wrong_answer_is_named_and_changes_nothing(tmp_path, root, wrong, message):
    text = ca(tmp_path / "ca", parent_certificate=root)["csr"]
    before = tree(tmp_path / "ca")
    with pytest.raises(HoldfastError, match=message):
        ca(tmp_path / "ca", **{"parent_certificate": root, **wrong(tmp_path, text)})
    assert tree(tmp_path / "ca") == before


def test_an_answer_within_the_limits_that_are_wanted_is_used(tmp_path, root):
    signed = of_root(tmp_path, ca(tmp_path / "ca", parent_certificate=root, **LIMITS)["csr"], constraints=Constraints(("example.org",), ("192.0.2.0/24",)))
    made = ca(tmp_path / "ca", parent_certificate=root, signed_certificate=signed, **LIMITS)
    assert made["needs"] == ["missing"]
    assert not ca(tmp_path / "ca", parent_certificate=root, signed_certificate=signed, **LIMITS)["changed"]


def test_limits_of_the_parents_own_are_its_decision(tmp_path, root):
    signed = of_root(tmp_path, ca(tmp_path / "ca", parent_certificate=root)["csr"], constraints=Constraints(("example.org",)))
    assert ca(tmp_path / "ca", parent_certificate=root, signed_certificate=signed)["needs"] == ["missing"]


@pytest.mark.parametrize("due", [LIMITS, {"now": NOW + 3600 * DAY}], ids=["limits", "near its end"])
def test_an_answer_that_is_in_use_does_not_answer_the_next_request(tmp_path, root, due):
    signed = of_root(tmp_path, ca(tmp_path / "ca", parent_certificate=root)["csr"])
    ca(tmp_path / "ca", parent_certificate=root, signed_certificate=signed)
    for changed in (True, False):
        made = ca(tmp_path / "ca", parent_certificate=root, signed_certificate=signed, **due)
        assert (made["changed"], bool(made["csr"]), made["certificate"]) == (changed, True, signed)


def test_a_certificate_made_while_the_clock_was_ahead_is_asked_for_again(tmp_path, root):
    below(tmp_path, root, now=NOW + 30 * DAY)
    assert ca(tmp_path / "ca", parent_certificate=root)["csr"]
    made, requested, *_others = below(tmp_path, root)
    assert made["needs"][0].startswith("not valid before 20")
    assert needs(requested)[0][0].startswith("not valid before 20")
    assert below(tmp_path, root)[0]["needs"] == []


def test_an_answer_for_another_key_is_no_answer(tmp_path, root):
    other = answer(tmp_path, root, ca(tmp_path / "other", parent_certificate=root)["csr"])["certificate"]
    assert ca(tmp_path / "ca", parent_certificate=root, signed_certificate=other)["csr"]
    assert not (tmp_path / "ca/ca.crt").exists()


def test_without_its_parent_the_ca_is_refused_and_not_replaced(tmp_path, root):
    below(tmp_path, root)
    before = tree(tmp_path / "ca")
    with pytest.raises(HoldfastError, match="is not self-signed; give parent_certificate"):
        ca(tmp_path / "ca")
    assert tree(tmp_path / "ca") == before


def test_a_missing_crl_of_the_parent_is_warned_of(tmp_path, root):
    signed = answer(tmp_path, root, ca(tmp_path / "ca", parent_certificate=root)["csr"])
    made = ca(tmp_path / "ca", parent_certificate=root, signed_certificate=signed["certificate"])
    assert "parent_crl: there is no CRL of Example Root" in made["warnings"][0]
    assert ca(tmp_path / "ca", parent_certificate=root, parent_crl=signed["crl"])["warnings"] == []
    assert ca(tmp_path / "ca", parent_certificate=root)["warnings"] == []  # kept from run to run


def test_killed_at_any_step_the_next_run_finishes(tmp_path, root):
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    for name in ("root.key", "root.crt"):
        (prepared / name).write_bytes((tmp_path / name).read_bytes())
    below(prepared, root)
    left = left_by_kills(prepared, lambda place: below(place, root, generation=2))
    for place in left:
        below(place, root, generation=2)
        assert pair_matches(place / "tls")
        assert file_names(place / "tls/registry.crt") == ["registry.example.org", "Test CA G2"]
        assert [path.name for path in (place / "ca").iterdir() if "tmp" in path.name or path.name == "ca.key.new"] == []
    assert len(left) > 20


def test_the_key_of_the_request_is_closed_by_the_passphrase(tmp_path, root):
    ca(tmp_path / "ca", parent_certificate=root, passphrase=PASSPHRASE)
    assert b"ENCRYPTED" in (tmp_path / "ca/ca.key").read_bytes()


# sign_ca


def request_of(tmp_path, root):
    return ca(tmp_path / "ca", parent_certificate=root)["csr"]


def test_the_certificate_is_a_cas_that_may_sign_no_other_and_lies_within_its_limits(tmp_path, root):
    limits = Constraints(("example.org",), ("192.0.2.0/24",))
    (tmp_path / "below.crt").write_text(answer(tmp_path, root, request_of(tmp_path, root), constraints=limits)["certificate"])
    text = openssl("x509", "-noout", "-text", "-in", tmp_path / "below.crt")
    for part in ("CA:TRUE, pathlen:0", "Certificate Sign, CRL Sign", "DNS:example.org", "IP:192.0.2.0/255.255.255.0"):
        assert part in text


def test_it_never_outlives_the_root(tmp_path, root):
    signed = answer(tmp_path, root, request_of(tmp_path, root), lifetime_days=9000)
    (tmp_path / "below.crt").write_text(signed["certificate"])
    ends = [openssl("x509", "-noout", "-enddate", "-in", tmp_path / name) for name in ("below.crt", "root.crt")]
    assert ends[0] == ends[1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda path, root: {"key": key_to_pem(generate_key("ec-p256"))}, "key_path: the key in .* is not that of certificate"),
        (lambda path, root: {"key": None}, "key_path: there is no file"),
        (lambda path, root: {"csr": "rubbish"}, "csr: is not a certificate signing request"),
        (lambda path, root: {"csr": csr(key_from_pem((path / "root.key").read_bytes(), ""), names=["root.example.org"])}, "csr: its key is the parent's own"),
        (lambda path, root: {"wanted_name": "Another"}, "csr: is for 'Test CA' and not for common_name, 'Another'"),
        (lambda path, root: {"now": NOW + 8000 * DAY}, "certificate: Example Root expired on"),
        (lambda path, root: {"lifetime_days": 0}, "lifetime_days: 0 must be between"),
    ],
    ids=["wrong key", "no key", "no request", "the root's key", "another name", "root expired", "no lifetime"],
)
def test_what_cannot_be_signed_is_refused_by_name(tmp_path, root, wrong, message):
    text = request_of(tmp_path, root)
    changed = wrong(tmp_path, root)
    if "key" in changed:
        key = changed.pop("key")
        (tmp_path / "root.key").unlink()
        if key:
            (tmp_path / "root.key").write_bytes(key)
    with pytest.raises(HoldfastError, match=message):
        answer(tmp_path, root, changed.pop("csr", text), **changed)


def test_a_ca_that_may_have_none_below_signs_none(tmp_path, root):
    made = below(tmp_path, root)[0]
    (tmp_path / "root.key").write_bytes((tmp_path / "ca/ca.key").read_bytes())
    with pytest.raises(HoldfastError, match="Test CA may sign no further CA"):
        answer(tmp_path, made["certificate"], ca(tmp_path / "third", parent_certificate=root)["csr"])


def test_no_result_holds_a_private_key(tmp_path, root):
    results = below(tmp_path, root)
    assert "PRIVATE KEY" not in str(results)
