"""Role pki alone: certificates that openssl accepts, keys that stay where they were made."""

import pytest
import testinfra

testinfra_hosts = ["ansible://alone-pki"]
DIRECTORY = "/etc/ssl/holdfast"


@pytest.mark.parametrize(("name", "purpose", "wrong_purpose"), [("web", "sslserver", "sslclient"), ("builder", "sslclient", "sslserver")])
def test_a_certificate_serves_its_purpose_and_no_other(host, name, purpose, wrong_purpose):
    files = f"-CAfile {DIRECTORY}/ca.crt {DIRECTORY}/{name}.crt"
    assert host.run(f"openssl verify -x509_strict -purpose {purpose} {files}").rc == 0
    assert host.run(f"openssl verify -x509_strict -purpose {wrong_purpose} {files}").rc != 0


@pytest.mark.parametrize("option", ["-verify_hostname a.web.holdfast.test", "-verify_ip 192.0.2.7", "-verify_ip 2001:db8::7"])
def test_names_and_addresses_are_in_the_certificate(host, option):
    assert host.run(f"openssl verify {option} -CAfile {DIRECTORY}/ca.crt {DIRECTORY}/web.crt").rc == 0
    assert host.run(f"openssl verify {option} -CAfile {DIRECTORY}/ca.crt {DIRECTORY}/builder.crt").rc != 0


def test_private_keys_stay_on_their_hosts(host):
    ca = testinfra.get_host("ansible://alone-ca?ansible_inventory=" + host.backend.ansible_inventory)
    assert host.check_output("find / -xdev -name '*.key' -path '*holdfast*' -printf '%f %m\\n' | sort").splitlines() == ["builder.key 600", "web.key 600"]
    assert ca.check_output("find / -xdev -name '*.key' -path '*holdfast*' -printf '%f %m\\n'").splitlines() == ["ca.key 600"]
    assert ca.check_output("wc -l </etc/ssl/holdfast-ca/issued.jsonl") == "2"
