# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

import warnings

import pytest

pytest.importorskip("cryptography")

from ansible_collections.holdfast.registry.plugins.module_utils._errors import HoldfastError
from ansible_collections.holdfast.registry.plugins.module_utils._pki import info
from ansible_collections.holdfast.registry.plugins.module_utils._pki.certificates import name_text
from ansible_collections.holdfast.registry.plugins.module_utils._pki.info import inspect
from ansible_collections.holdfast.registry.plugins.module_utils._pki.keys import generate_key, key_to_pem
from ansible_collections.holdfast.registry.plugins.module_utils._pki.names import covers
from ansible_collections.holdfast.registry.tests.unit.plugins.module_utils._pki.steps import (
    DAY,
    NOW,
    PASSPHRASE,
    asked,
    ca,
    converge,
    entry,
    revoke,
    sign,
    tree,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # old releases of the library announce the end of old Pythons on import
    from cryptography import x509
    from cryptography.x509.oid import NameOID


def look(path, now=NOW, warn_days=0, **checks):
    blank = {"path": str(path), "key": None, "server_names": None, "ca_certificates": None}
    return inspect([{**blank, **{word: str(value) if word == "key" else value for word, value in checks.items()}}], warn_days=warn_days, now=now)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A CA and two certificates. Not to be changed."""
    root = tmp_path_factory.mktemp("made")
    converge(root, entry(), entry(name="alice", names=["alice"], usages=["client"]))
    return root


def problems(*arguments, **options):
    return [problem.partition(": ")[2] for problem in look(*arguments, **options)["problems"]]


def test_everything_in_a_directory_is_read_and_nothing_is_changed(made):
    revoke(made / "ca", {"name": "alice"})
    before = tree(made)
    found = look(made / "ca")
    assert tree(made) == before
    assert [(one["path"].rpartition("/")[2], one["is_ca"], one["self_signed"]) for one in found["certificates"]] == [
        ("ca-bundle.crt", True, True),
        ("ca.crt", True, True),
    ]
    assert found["problems"] == []
    crl = found["crls"][0]
    assert (crl["issuer"], crl["days_left"], len(crl["revoked"]), crl["number"] > 0) == ("CN=Test CA", 825, 1, True)
    assert (found["certificates"][1]["key_matches"], found["certificates"][1]["key_path"]) == (True, str(made / "ca/ca.key"))


def test_a_certificate_is_described(made):
    found = look(made / "tls/registry.crt")["certificates"][0]
    expected = {"common_name": "registry.example.org", "names": ["registry.example.org", "192.0.2.10"], "issuer": "CN=Test CA", "is_ca": False}
    expected.update(self_signed=False, key_type="ec-p256", usages=["server"], days_left=397, expired=False, chain=[], key_matches=True, problems=[])
    assert {word: found[word] for word in expected} == expected
    assert set(found) == {*info._FIELDS, "path", "problems"}


@pytest.mark.parametrize(
    ("later", "warn_days", "expected"),
    [(0, 0, []), (383, 14, ["expires in 14 days"]), (382, 14, []), (397, 0, ["expired"]), (-1, 0, None)],
)
def test_time_is_told(made, later, warn_days, expected):
    found = problems(made / "tls/registry.crt", now=NOW + later * DAY, warn_days=warn_days)
    assert found == expected if expected is not None else found[0].startswith("is not valid before")


def test_a_certificate_further_back_in_a_file_and_a_crl_that_expire_are_told(made, tmp_path):
    (tmp_path / "both.crt").write_text((made / "tls/registry.crt").read_text() + (made / "ca/ca.crt").read_text())
    found = problems(tmp_path / "both.crt", now=NOW + 3640 * DAY, warn_days=14)
    assert found == ["expired", "certificate 2 expires in 10 days"]
    assert problems(made / "ca/ca.crl", now=NOW + 826 * DAY) == ["expired"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["registry.example.org", "192.0.2.10"], []),
        (["REGISTRY.example.org"], []),
        (["registry.example.org", "other.example.org"], ["is not for other.example.org, only for registry.example.org, 192.0.2.10"]),
    ],
)
def test_a_server_name_that_the_certificate_lacks_is_told(made, names, expected):
    assert problems(made / "tls/registry.crt", server_names=names) == expected


def test_wildcards_stand_for_one_whole_label_and_never_for_an_address():
    for pattern, name in (("*.example.org", "a.example.org"), ("a.example.org", "A.EXAMPLE.ORG"), ("2001:db8::1", "2001:db8:0::1"), ("*.a.org", "*.a.org")):
        assert covers(pattern, name), (pattern, name)
    for pattern, name in (
        ("*.example.org", "example.org"),
        ("*.example.org", "a.b.example.org"),
        ("*.example.org", ".example.org"),
        ("*.0.2.10", "192.0.2.10"),
        ("192.0.2.1", "192.0.2.10"),
        ("a.example.org", "*.example.org"),
        ("f*.example.org", "foo.example.org"),
    ):
        assert not covers(pattern, name), (pattern, name)


def test_a_certificate_for_clients_is_no_servers(made):
    assert problems(made / "tls/alice.crt", server_names=["alice"]) == ["is not for servers (extended key usage serverAuth)"]


def test_keys_are_held_against_their_certificates(made, tmp_path):
    path = made / "tls/registry.crt"
    (tmp_path / "rubbish.key").write_text("rubbish")
    (tmp_path / "locked.key").write_bytes(key_to_pem(generate_key("ec-p256"), PASSPHRASE))
    for key, matches, expected in (
        (made / "tls/registry.key", True, []),
        (made / "tls/alice.key", False, [f"does not match the key {made}/tls/alice.key"]),
        (tmp_path / "none.key", None, [f"its key {tmp_path}/none.key is missing"]),
        (tmp_path / "rubbish.key", False, [f"its key {tmp_path}/rubbish.key holds no private key in PEM form"]),
        (tmp_path / "locked.key", None, []),
    ):
        found = look(path, key=key)
        assert (found["certificates"][0]["key_matches"], found["certificates"][0]["problems"]) == (matches, expected)


def test_a_chain_has_to_be_in_order_and_to_end_at_a_trusted_ca(made, tmp_path):
    leaf, issuer = (made / "tls/registry.crt").read_text(), (made / "ca/ca.crt").read_text()
    other = ca(tmp_path / "other", common_name="Other CA")["certificate"]
    for number, (pem, trusted, expected) in enumerate(
        (
            (leaf + issuer, None, None),
            (leaf, issuer, None),
            (leaf, other + issuer, None),
            (leaf, other, "is not signed by one of ca_certificates"),
            (leaf + other, None, "certificate 2 (CN=Other CA) did not sign the one before it: the chain is not in order"),
            (leaf + leaf, None, "certificate 2 (CN=registry.example.org) is no CA's"),
        )
    ):
        path = tmp_path / f"{number}.crt"
        path.write_text(pem)
        found = problems(path, ca_certificates=trusted)
        assert found == [] if expected is None else found[0].startswith(expected), number


def test_a_forged_issuer_name_does_not_pass_for_a_signature(tmp_path):
    real, fake = ca(tmp_path / "real")["certificate"], ca(tmp_path / "fake")["certificate"]
    (tmp_path / "leaf.crt").write_text(sign(tmp_path / "fake", [asked()])["certificates"][0]["certificate"])
    assert problems(tmp_path / "leaf.crt", ca_certificates=fake) == []
    assert problems(tmp_path / "leaf.crt", ca_certificates=real) == ["is not signed by one of ca_certificates"]


@pytest.mark.parametrize("content", [None, b"", b"rubbish", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"])
def test_what_cannot_be_read_is_a_problem_and_no_failure(tmp_path, content):
    if content is not None:
        (tmp_path / "x.crt").write_bytes(content)
    found = look(tmp_path / "x.crt")["certificates"][0]
    assert (len(found["problems"]), found["serial"]) == (1, None)


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ({"path": "relative.crt"}, r"certificates\[0\]\.path: 'relative\.crt' must be an absolute path"),
        ({"key": "relative.key"}, r"certificates\[0\]\.key: 'relative\.key' must be an absolute path"),
        ({"path": "/a\0b"}, r"certificates\[0\]\.path: '/a\\x00b' must not contain a NUL character"),
        ({"key": "/a\0b"}, r"certificates\[0\]\.key: '/a\\x00b' must not contain a NUL character"),
        ({"server_names": ["a", "b c"]}, r"certificates\[0\]\.server_names\[1\]: 'b c'"),
        ({"ca_certificates": "rubbish"}, r"certificates\[0\]\.ca_certificates: holds no whole block"),
        ({"path": "/etc", "server_names": ["a"]}, r"certificates\[0\]\.server_names: goes with the path of one certificate, and /etc is a directory"),
        ({"warn_days": -1}, "warn_days: -1 must be 0 or more"),
    ],
)
def test_a_wrong_parameter_is_named(tmp_path, checks, message):
    with pytest.raises(HoldfastError, match=message):
        look(checks.pop("path", tmp_path / "x.crt"), **checks)


def test_a_subject_is_written_as_the_library_writes_it_by_rfc_4514():
    parts = [(NameOID.COUNTRY_NAME, "DE"), (NameOID.ORGANIZATION_NAME, ' #"Example, Inc" + <b>; '), (NameOID.EMAIL_ADDRESS, "a@b"), (NameOID.COMMON_NAME, "#x")]
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in parts])
    assert name_text(name) == name.rfc4514_string()
