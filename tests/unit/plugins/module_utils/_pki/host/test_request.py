# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import grp
import os
import pwd
import shutil

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import (
    alternative_names,
    certificate_from_pem,
    common_name,
)
from ansible_collections.holdfast.registry.plugins.module_utils._pki.host.wanted import parse_wanted
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import (
    generate_key,
    key_to_pem,
)
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    ca,
    converge,
    entry,
    install,
    mode,
    needs,
    openssl,
    pair_matches,
    predict,
    request,
    sign,
    tree,
)


def test_a_second_run_of_all_four_changes_nothing(tmp_path):
    assert [step["changed"] for step in converge(tmp_path)] == [True] * 4
    before = tree(tmp_path)
    again = converge(tmp_path, now=NOW + DAY)
    assert [step["changed"] for step in again] == [False] * 4
    assert again[1]["requests"] == []
    assert again[1]["certificates"][0]["days_left"] == 396
    assert tree(tmp_path) == before
    assert [mode(tmp_path / "tls" / name) for name in ("", "registry.key", "registry.crt", "ca.crt")] == ["0o755", "0o600", "0o644", "0o644"]


@pytest.mark.parametrize(
    ("changed", "later", "reason"),
    [
        ({}, 367 * DAY, "expires in 30 days"),
        ({}, 500 * DAY, "expired"),
        (
            {"names": ["registry.example.org", "mirror.example.org"]},
            DAY,
            "names changed from registry.example.org, 192.0.2.10 to registry.example.org, mirror.example.org",
        ),
        ({"usages": ["server", "client"]}, DAY, "usages changed from server to server, client"),
        ({"lifetime_days": 90}, DAY, "lifetime changed from 397 to 90 days"),
        ({"lifetime_days": 800}, DAY, "lifetime changed from 397 to 800 days"),
        ({"common_name": "Registry"}, DAY, "common name changed from registry.example.org to Registry"),
        ({"key_type": "ed25519"}, DAY, "key type changed from ec-p256 to ed25519"),
    ],
)
def test_a_certificate_is_signed_again_for_a_reason_once_and_a_check_run_says_the_same(tmp_path, changed, later, reason):
    converge(tmp_path)
    before = tree(tmp_path)
    predicted = predict(tmp_path, entry(**changed), now=NOW + later)
    assert tree(tmp_path) == before
    real = converge(tmp_path, entry(**changed), now=NOW + later)
    assert needs(real[1]) == needs(predicted[1]) == [[reason]]
    assert [step["changed"] for step in real] == [step["changed"] for step in predicted]
    assert real[1]["changes"] == predicted[1]["changes"]
    assert real[1]["diff"] == predicted[1]["diff"]
    assert real[3]["changes"] == predicted[3]["changes"]
    assert pair_matches(tmp_path / "tls")
    assert not (tmp_path / "tls/registry.key.new").exists()
    assert [step["changed"] for step in converge(tmp_path, entry(**changed), now=NOW + later)] == [False] * 4


def test_another_order_and_repeated_names_are_no_reason(tmp_path):
    converge(tmp_path)
    names = ["192.0.2.10", "REGISTRY.example.org", "registry.example.org"]
    assert not needs(converge(tmp_path, entry(names=names))[1])


def test_a_renamed_ca_signs_everything_again_and_a_check_run_says_so(tmp_path):
    converge(tmp_path)
    before = tree(tmp_path)
    predicted = predict(tmp_path, common_name="Other CA")
    assert tree(tmp_path) == before
    real = converge(tmp_path, common_name="Other CA")
    assert needs(predicted[1]) == needs(real[1]) == [["signed by another CA"]]
    assert [step["changed"] for step in predicted] == [step["changed"] for step in real]
    assert predicted[3]["changes"] == real[3]["changes"]
    assert [step["changed"] for step in converge(tmp_path, common_name="Other CA")] == [False] * 4


def test_a_check_run_that_widens_the_name_constraints_does_not_fail(tmp_path):
    converge(tmp_path, permitted_dns_domains=["example.org"])
    wider = {"permitted_dns_domains": ["example.org", "example.com"]}
    predicted = predict(tmp_path, entry(names=["a.example.com"]), **wider)
    assert "a.example.com lies outside" in predicted[2]["warnings"][0]
    real = converge(tmp_path, entry(names=["a.example.com"]), **wider)
    assert [step["changed"] for step in predicted] == [step["changed"] for step in real]


def test_another_ca_is_a_reason(tmp_path):
    converge(tmp_path)
    shutil.rmtree(tmp_path / "ca")
    predicted, real = predict(tmp_path), converge(tmp_path)
    assert needs(predicted[1]) == needs(real[1]) == [["signed by another CA"]]
    assert not needs(converge(tmp_path)[1])


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: (d / "registry.crt").write_text("rubbish"), "unreadable"),
        (lambda d: (d / "registry.crt").unlink(), "missing"),
        (lambda d: (d / "registry.key").unlink(), "key changed"),
        (lambda d: (d / "registry.key").write_bytes(key_to_pem(generate_key("ec-p256"))), "key changed"),
    ],
)
def test_damage_is_a_reason_and_is_repaired(tmp_path, damage, reason):
    converge(tmp_path)
    damage(tmp_path / "tls")
    predicted, real = predict(tmp_path), converge(tmp_path)
    assert needs(predicted[1]) == needs(real[1]) == [[reason]]
    assert [step["changed"] for step in real] == [step["changed"] for step in predicted]
    assert pair_matches(tmp_path / "tls")
    assert [step["changed"] for step in converge(tmp_path)] == [False] * 4


def test_an_unreadable_key_is_refused_and_left_as_it_is(tmp_path):
    converge(tmp_path)
    (tmp_path / "tls/registry.key").write_text("rubbish")
    with pytest.raises(HoldfastError, match="registry.key: holds no private key"):
        converge(tmp_path)
    assert (tmp_path / "tls/registry.key").read_text() == "rubbish"


def test_a_key_of_another_type_waits_until_its_certificate_is_installed(tmp_path):
    made = converge(tmp_path)[0]
    tls = tmp_path / "tls"
    old = (tls / "registry.key").read_bytes()
    first = request(tls, made["certificate"], entry(key_type="ec-p384"))
    assert (tls / "registry.key").read_bytes() == old
    assert pair_matches(tls)
    again = request(tls, made["certificate"], entry(key_type="ec-p384"))
    assert (first["changed"], again["changed"]) == (True, False)
    back = request(tls, made["certificate"])
    assert (back["changed"], back["requests"]) == (True, [])
    assert not (tls / "registry.key.new").exists()


def test_a_swap_that_was_cut_short_is_finished(tmp_path):
    made = converge(tmp_path)[0]
    tls = tmp_path / "tls"
    signed = sign(tmp_path / "ca", request(tls, made["certificate"], entry(key_type="ec-p384"))["requests"])
    (tls / "registry.crt").write_text(signed["certificates"][0]["certificate"])
    predicted = request(tls, made["certificate"], entry(key_type="ec-p384"), check_mode=True)
    real = request(tls, made["certificate"], entry(key_type="ec-p384"))
    assert predicted == real
    assert (real["changed"], real["requests"]) == (True, [])
    assert pair_matches(tls)
    assert not (tls / "registry.key.new").exists()


DAMAGED = ["", "half a key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("key_type", ["ec-p256", "ec-p384"])
def test_a_damaged_key_that_waits_is_removed_and_made_again_where_one_is_wanted(tmp_path, content, key_type):
    converge(tmp_path)
    waiting = tmp_path / "tls/registry.key.new"
    waiting.write_text(content)
    predicted, real = predict(tmp_path, entry(key_type=key_type)), converge(tmp_path, entry(key_type=key_type))
    assert predicted[1]["changes"] == real[1]["changes"]
    assert real[1]["changes"][0] == f"{waiting}: removed, damaged and in use nowhere"
    assert pair_matches(tmp_path / "tls")
    assert not waiting.exists()
    assert [step["changed"] for step in converge(tmp_path, entry(key_type=key_type))] == [False] * 4


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_key_that_waits_while_there_is_no_other_is_made_again(tmp_path, content):
    converge(tmp_path)
    (tmp_path / "tls/registry.key").rename(tmp_path / "tls/registry.key.new")
    (tmp_path / "tls/registry.key.new").write_text(content)
    converge(tmp_path)
    assert pair_matches(tmp_path / "tls")
    assert not (tmp_path / "tls/registry.key.new").exists()


def test_a_waiting_key_with_a_passphrase_is_refused_by_name_and_left(tmp_path):
    converge(tmp_path)
    (tmp_path / "tls/registry.key.new").write_bytes(key_to_pem(generate_key("ec-p256"), "a passphrase"))
    with pytest.raises(HoldfastError, match="registry.key.new: the private key is encrypted"):
        converge(tmp_path)
    assert (tmp_path / "tls/registry.key.new").exists()


def test_a_certificate_that_ends_with_its_ca_waits_for_the_cas_renewal(tmp_path):
    converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5)
    assert not needs(converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5)[1])
    later = converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5, now=NOW + 45 * DAY)
    assert later[0]["needs"] == ["expires in 5 days"]
    assert needs(later[1]) == [["expires in 5 days", "lifetime changed from 50 to 397 days"]]
    assert "lifetime changed" not in str(needs(converge(tmp_path, entry(renew_before_days=60), lifetime_days=50, renew_before_days=5, now=NOW + 45 * DAY)[1]))


def test_two_hundred_certificates_are_examined_without_being_touched(tmp_path):
    entries = [entry(name=f"host{number}") for number in range(200)]
    converge(tmp_path, *entries)
    before = tree(tmp_path)
    assert not needs(converge(tmp_path, *entries)[1])
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry(name="../x")], r"certificates\[0\]\.name: '\.\./x'"),
        ([entry(), entry(name="ca")], r"certificates\[1\]\.name: 'ca' is taken"),
        ([entry(), entry()], r"certificates\[1\]\.name: 'registry' is already used by certificates\[0\]"),
        ([entry(names=[])], r"certificates\[0\]\.names: must hold"),
        ([entry(names=["a.org", "b_c.org"])], r"certificates\[0\]\.names\[1\]: 'b_c\.org' is neither"),
        ([entry(names=["bücher.example"])], r"names\[0\]: 'bücher\.example' must be written in its ASCII form: 'xn--bcher-kva\.example'"),
        ([entry(names=["192.0.2.300"])], "is neither a DNS name"),
        ([entry(names=["[2001:db8::1]"])], "is neither a DNS name"),
        ([entry(names=["fe80::1%eth0"])], "is neither a DNS name"),
        ([entry(names=["a.org."])], "is neither a DNS name"),
        ([entry(names=["a.*.org"])], "is neither a DNS name"),
        ([entry(names=["*.org"])], "wildcard needs two labels"),
        ([entry(names=["x" * 64 + ".org"])], "is neither a DNS name"),
        ([entry(common_name="x" * 65)], r"certificates\[0\]\.common_name"),
        ([entry(usages=[])], r"certificates\[0\]\.usages"),
        ([entry(lifetime_days=30)], r"certificates\[0\]\.lifetime_days: 30 must be greater than certificates\[0\]\.renew_before_days \(30\)"),
        ([entry(lifetime_days=36501)], r"certificates\[0\]\.lifetime_days: 36501 must be between"),
    ],
)
def test_a_wrong_certificate_parameter_is_named_with_its_place(entries, message):
    with pytest.raises(HoldfastError, match=message):
        parse_wanted(entries, check_mode=False)


def test_a_wrong_ca_certificate_is_refused_before_a_key_is_made(tmp_path):
    leaf = converge(tmp_path)[2]["certificates"][0]["certificate"]
    both = (tmp_path / "ca/ca.crt").read_text() * 2
    for pem, message in (("", "is not a certificate"), (leaf, "is not the certificate of a CA"), (both, "holds 2 certificates")):
        with pytest.raises(HoldfastError, match=f"ca_certificate: {message}"):
            request(tmp_path / "new", pem)
    assert not (tmp_path / "new").exists()


def test_a_certificate_for_addresses_only_and_one_for_a_long_name_have_no_common_name(tmp_path):
    long = "a" * 60 + ".example.org"
    made = converge(tmp_path, entry(name="address", names=["2001:DB8::1"]), entry(name="long", names=[long]))[2]["certificates"]
    assert not needs(converge(tmp_path, entry(name="address", names=["2001:DB8::1"]), entry(name="long", names=[long]))[1])
    for signed, names in zip(made, (["2001:db8::1"], [long])):
        certificate = certificate_from_pem(signed["certificate"].encode(), "")
        assert (common_name(certificate.subject), alternative_names(certificate)) == (None, names)
        if shutil.which("openssl"):
            openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", tmp_path / "ca/ca.crt", tmp_path / f"tls/{signed['name']}.crt")


def test_a_key_gets_its_owner_group_and_mode_and_keeps_them_through_every_step(tmp_path):
    theirs = {"owner": "daemon", "group": "daemon", "mode": "0640"}
    owned = (pwd.getpwnam("daemon").pw_uid, grp.getgrnam("daemon").gr_gid, 0o100640)

    def owner(name):
        status = os.stat(tmp_path / "tls" / name)
        return status.st_uid, status.st_gid, status.st_mode

    converge(tmp_path, entry(**theirs))
    assert owner("registry.key") == owned
    assert [step["changed"] for step in converge(tmp_path, entry(**theirs))] == [False] * 4
    os.chmod(tmp_path / "tls/registry.key", 0o600)
    changes = request(tmp_path / "tls", ca(tmp_path / "ca")["certificate"], entry(**theirs))["changes"]
    assert changes == [f"{tmp_path}/tls/registry.key: mode 0600 -> 0640"]
    replaced = entry(**theirs, key_type="ed25519")
    requested = request(tmp_path / "tls", ca(tmp_path / "ca")["certificate"], replaced)
    assert owner("registry.key.new") == owned
    install(tmp_path / "tls", sign(tmp_path / "ca", requested["requests"])["certificates"], ca(tmp_path / "ca")["bundle"])
    assert (owner("registry.key"), pair_matches(tmp_path / "tls")) == (owned, True)
    assert [step["changed"] for step in converge(tmp_path, replaced)] == [False] * 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mode": "0644"}, r"^certificates\[1\]\.mode: '0644' would open the key to every user; use '0600'"),
        ({"mode": 384}, r"^certificates\[1\]\.mode: write it in octal and in quotes"),
        ({"owner": "no-such-user"}, r"^certificates\[1\]\.owner: there is no user 'no-such-user' on this host"),
    ],
)
def test_a_wrong_owner_or_mode_of_a_key_is_named_with_its_place(changed, message):
    with pytest.raises(HoldfastError, match=message):
        parse_wanted([entry(), entry(name="two", **changed)], check_mode=False)


def test_a_check_run_predicts_for_an_owner_that_a_task_before_would_make(tmp_path):
    result = request(tmp_path, "", entry(owner="no-such-user"), check_mode=True)
    assert (result["changed"], result["warnings"]) == (
        True,
        ["certificates[0].owner: there is no user 'no-such-user' on this host: this fails unless it is made before"],
    )


def test_certificates_get_the_mode_asked_for_and_keep_the_one_they_have(tmp_path):
    made, _requested, signed, _installed = converge(tmp_path)
    os.chmod(tmp_path / "tls/registry.crt", 0o640)
    certificates = signed["certificates"]
    assert not install(tmp_path / "tls", certificates, made["bundle"])["changed"]
    changed = install(tmp_path / "tls", certificates, made["bundle"], mode=0o600)["changes"]
    assert changed == [f"{tmp_path}/tls/ca.crt: mode 0644 -> 0600", f"{tmp_path}/tls/registry.crt: mode 0640 -> 0600"]
    assert mode(tmp_path / "tls/ca.crt") == "0o600"


def test_an_encrypted_key_is_refused_since_no_server_could_open_it(tmp_path):
    converge(tmp_path)
    (tmp_path / "tls/registry.key").write_bytes(key_to_pem(generate_key("ec-p256"), PASSPHRASE))
    with pytest.raises(HoldfastError, match="registry.key: the private key is encrypted, and no server asks for a passphrase; replace it"):
        request(tmp_path / "tls", ca(tmp_path / "ca")["certificate"])
