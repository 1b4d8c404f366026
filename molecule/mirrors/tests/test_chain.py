# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CA is below a root: what clients have of it, and where they find what it has revoked."""

from scenario import hosts
from testinfra.host import Host

BUILDER = "/etc/ssl/holdfast/builder.crt"
URL = "http://registry.holdfast.test/ca.crl"


def test_clients_have_the_root_alone_and_follow_the_chain(client: Host) -> None:
    held = client.check_output("grep -hv ^# /etc/docker/certs.d/registry.holdfast.test:5443/*.crt")
    assert held.strip() == (hosts.KEPT / "root.crt").read_text().strip()
    shown = client.check_output("openssl s_client -connect registry.holdfast.test:5443 -showcerts </dev/null 2>/dev/null")
    assert shown.count("BEGIN CERTIFICATE") == 2
    hosts.write(client, "/run/root.crt", held)
    strict = "openssl verify -x509_strict -CAfile /run/root.crt"
    assert client.run(f"{strict} -untrusted {BUILDER} {BUILDER}").rc == 0
    assert client.run(f"{strict} {BUILDER}").rc != 0
    ask = "import ssl,urllib.request as r; r.urlopen('https://registry.holdfast.test:5443/v2/', context=ssl.create_default_context(cafile='/run/root.crt'))"
    assert "401" in client.run(f'python3 -c "{ask}"').stderr
    assert client.check_output("curl -s -o /dev/null -w %{http_code} --cacert /run/root.crt https://registry.holdfast.test:5443/v2/") == "401"


def test_the_crl_is_where_certificates_say_without_tls_and_nothing_else_is(client: Host) -> None:
    assert f"URI:{URL}" in client.check_output(f"openssl x509 -noout -text -in {BUILDER}")
    client.check_output(f"curl -fsS -o /run/ca.crl {URL}")
    client.check_output(f"sed -n '/BEGIN/,/END/p' {BUILDER} | awk '/BEGIN/{{n++}} n==2' >/run/below.crt")
    assert "verify OK" in client.check_output("openssl crl -inform DER -noout -in /run/ca.crl -CAfile /run/below.crt 2>&1")
    answers = "-s -o /dev/null -w %{http_code}"
    assert client.check_output(f"curl {answers} http://registry.holdfast.test/v2/") == "404"
    assert client.check_output(f"curl {answers} -X POST {URL}") == "403"
