# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role pki alone: certificates that openssl accepts, keys that stay where they were made."""

import pytest
from scenario import playbook
from testinfra.host import Host

DIRECTORY = "/etc/ssl/holdfast"


def changes(*arguments: str, **variables: object) -> int:
    """How much a run with other variables changes, or would change."""
    run = playbook.converged(*arguments, **variables)
    assert "PRIVATE KEY" not in run.output
    return run.changed


def verifies(host: Host, trusted: str, certificate: str, *options: str) -> bool:
    verify = f"openssl verify -x509_strict -no-CApath {' '.join(options)} -CAfile {trusted} {certificate}"
    return bool(host.run(verify).rc == 0)


@pytest.mark.parametrize(("name", "purpose", "wrong_purpose"), [("web", "sslserver", "sslclient"), ("builder", "sslclient", "sslserver")])
def test_a_certificate_serves_its_purpose_and_no_other(host: Host, name: str, purpose: str, wrong_purpose: str) -> None:
    files = f"-CAfile {DIRECTORY}/ca.crt {DIRECTORY}/{name}.crt"
    assert host.run(f"openssl verify -x509_strict -purpose {purpose} {files}").rc == 0
    assert host.run(f"openssl verify -x509_strict -purpose {wrong_purpose} {files}").rc != 0


@pytest.mark.parametrize("option", ["-verify_hostname a.web.holdfast.test", "-verify_ip 192.0.2.7", "-verify_ip 2001:db8::7"])
def test_names_and_addresses_are_in_the_certificate(host: Host, option: str) -> None:
    assert host.run(f"openssl verify {option} -CAfile {DIRECTORY}/ca.crt {DIRECTORY}/web.crt").rc == 0
    assert host.run(f"openssl verify {option} -CAfile {DIRECTORY}/ca.crt {DIRECTORY}/builder.crt").rc != 0


def test_private_keys_stay_on_their_hosts(host: Host, ca: Host) -> None:
    keys = host.check_output("find / -xdev -name '*.key' -path '*holdfast*' -printf '%f %g %m\\n' | sort").splitlines()
    assert keys == ["builder.key adm 640", "web.key root 600"]
    assert ca.check_output("find / -xdev -name '*.key' -path '*holdfast*' -printf '%f %m\\n'").splitlines() == ["ca.key 600"]
    assert int(ca.check_output("wc -l </etc/ssl/holdfast-ca/issued.jsonl")) >= 2


# Below, each test starts from what the one before has left.


def test_a_revoked_client_gets_a_new_key_and_the_crl_lists_the_old_certificate(host: Host, ca: Host) -> None:
    old, key = host.check_output(f"openssl x509 -noout -serial -in {DIRECTORY}/builder.crt").partition("=")[2], host.file(f"{DIRECTORY}/builder.key").md5sum
    host.check_output(f"cp {DIRECTORY}/builder.crt /root/old-builder.crt")
    revoked = [{"serial": old, "reason": "keyCompromise"}]
    assert changes("--check", revoked=revoked) == changes(revoked=revoked) == 4
    assert changes(revoked=revoked) == 0
    assert host.file(f"{DIRECTORY}/builder.key").md5sum != key
    assert (host.file(f"{DIRECTORY}/builder.key").group, host.file(f"{DIRECTORY}/builder.key").mode) == ("adm", 0o640)
    check = ("-crl_check", f"-CRLfile {DIRECTORY}/ca.crl", "-purpose sslclient")
    assert not verifies(host, f"{DIRECTORY}/ca.crt", "/root/old-builder.crt", *check)
    assert verifies(host, f"{DIRECTORY}/ca.crt", f"{DIRECTORY}/builder.crt", *check)
    listed = host.check_output(f"openssl crl -noout -text -in {DIRECTORY}/ca.crl -CAfile {DIRECTORY}/ca.crt 2>&1")
    assert old in listed
    assert "Key Compromise" in listed
    assert "verify OK" in listed
    assert ca.check_output("grep -c keyCompromise /etc/ssl/holdfast-ca/issued.jsonl") == "1"


def test_a_replaced_ca_overlaps_with_the_one_before(host: Host) -> None:
    host.check_output(f"cp {DIRECTORY}/web.crt /root/old-web.crt && cp {DIRECTORY}/ca.crt /root/old-ca.crt")
    assert changes("--check", generation=2) == changes(generation=2) == 3
    assert changes(generation=2) == 0
    for trusted, certificate, expected in (
        (f"{DIRECTORY}/ca.crt", "/root/old-web.crt", True),
        (f"{DIRECTORY}/ca.crt", f"{DIRECTORY}/web.crt", True),
        ("/root/old-ca.crt", "/root/old-web.crt", True),
        ("/root/old-ca.crt", f"{DIRECTORY}/web.crt", False),
    ):
        assert verifies(host, trusted, certificate, "-purpose sslserver") is expected, (trusted, certificate)
    # A server that checks client certificates needs a CRL of every CA, and still refuses what was revoked before.
    check = ("-crl_check", f"-CRLfile {DIRECTORY}/ca.crl")
    assert verifies(host, f"{DIRECTORY}/ca.crt", "/root/old-web.crt", *check)
    assert verifies(host, f"{DIRECTORY}/ca.crt", f"{DIRECTORY}/builder.crt", *check)
    assert not verifies(host, f"{DIRECTORY}/ca.crt", "/root/old-builder.crt", *check)
