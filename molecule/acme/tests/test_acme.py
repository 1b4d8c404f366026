# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A certificate from an ACME server: issued, used, renewed, and kept where it cannot be renewed."""

import shlex
from collections.abc import Callable

import pytest
from conftest import CERTIFICATE, CONFIGURATION, KEY, NAME, UNIT, configured, serial, served, status, unreachable
from scenario import gateway, hosts, playbook
from scenario.docker import Docker
from testinfra.host import Host

PASSWORD = "a password of alice's own"
# due at once, since no more than this is left
DUE = {"renew_percent": 100}
READ = "import ssl, urllib.request as r; r.urlopen(r.Request('https://{name}/'), context=ssl.create_default_context(cafile='/run/root.crt'))"


def start(host: Host) -> int:
    return int(host.run(f"systemctl start {UNIT}").rc)


def log(host: Host) -> str:
    """What the last run has told the journal."""
    invocation = host.check_output(f"systemctl show -p InvocationID --value {UNIT}")
    return str(host.check_output(f"journalctl --no-pager -o cat _SYSTEMD_INVOCATION_ID={invocation}"))


def test_docker_pushes_and_pulls_with_the_issued_certificate(docker: Docker) -> None:
    assert docker.login("alice", PASSWORD).rc == 0
    image, _digest = docker.push("team/app")
    docker.ok(f"pull {image}")
    docker.ok(f"image rm {image}")


def test_openssl_curl_and_python_accept_the_chain_and_nothing_else(client: Host) -> None:
    client.check_output(f"cp /etc/docker/certs.d/{NAME}/*.crt /run/root.crt")
    verify = f"openssl s_client -connect {NAME}:443 -servername {NAME} -verify_hostname {NAME} -x509_strict -verify_return_error -CAfile"
    assert client.run(f"{verify} /run/root.crt </dev/null").rc == 0
    assert client.run(f"{verify} /etc/pebble/api.crt -no-CApath </dev/null").rc != 0
    assert client.run(f"curl -sS --cacert /run/root.crt -o /dev/null https://{NAME}/v2/").rc == 0
    assert "HTTP Error 401" in client.run(f"python3 -c {shlex.quote(READ.format(name=NAME))}").stderr


def test_what_talks_to_the_network_cannot_read_the_key(server: Host) -> None:
    assert server.file(KEY).mode == 0o600
    for path in (KEY, "/etc/ssl/holdfast/ca.key"):
        assert server.run(f"setpriv --reuid holdfast-acme --regid holdfast-acme --clear-groups cat {path}").rc != 0
    shown = server.check_output(f"systemctl show {UNIT} -p User -p NoNewPrivileges -p ProtectSystem -p InaccessiblePaths")
    assert "User=holdfast-acme" in shown
    assert "NoNewPrivileges=yes" in shown
    assert "/etc/letsencrypt" in shown


def test_the_account_key_is_shown_to_nobody(server: Host) -> None:
    secret = server.check_output("sed -n 's/eab-hmac-key = //p' /etc/holdfast-acme/eab.ini")
    assert len(secret) > 20
    assert server.run(f"journalctl --no-pager -o cat | grep -F {secret}").rc != 0
    assert server.run(f"grep -rF {secret} {CONFIGURATION} /var/lib/holdfast-acme").rc != 0
    for path in ("/etc/holdfast-acme/eab.ini", "/var/lib/holdfast-acme/config/accounts"):
        assert server.run(f"setpriv --reuid nobody --clear-groups ls {path}/ || setpriv --reuid nobody --clear-groups cat {path}").rc != 0


def test_only_proofs_are_served_without_tls(server: Host, client: Host) -> None:
    webroot = "/var/lib/holdfast-acme/webroot"
    place = f"{webroot}/.well-known/acme-challenge"
    server.check_output(f"mkdir -p {place} && echo proof >{place}/token && ln -s {gateway.SERVER} {place}/link && echo no >{place}/a.b")
    answers = {
        path: client.check_output(f"curl -sS -o /dev/null -w '%{{http_code}}' --path-as-is http://{NAME}{path}")
        for path in ("/.well-known/acme-challenge/token", "/.well-known/acme-challenge/link", "/.well-known/acme-challenge/a.b", "/", "/v2/", "/../status.json")
    }
    server.check_output(f"rm -r {webroot}/.well-known")
    assert answers.pop("/.well-known/acme-challenge/token") == "200"
    assert set(answers.values()) <= {"400", "403", "404"}


def test_nothing_is_asked_for_before_it_is_due(server: Host) -> None:
    before = serial(server)
    assert start(server) == 0
    assert serial(server) == before
    assert status(server)["state"] == "current"
    assert "asking" not in log(server)


def test_the_timer_renews_it_and_the_gateway_serves_it(server: Host) -> None:
    assert server.check_output("systemctl is-enabled holdfast-acme.timer") == "enabled"
    assert server.check_output("systemctl show -p Unit --value holdfast-acme.timer") == UNIT
    before, process = served(server), server.check_output(f"systemctl show -p MainPID --value {gateway.UNIT}")
    with configured(server, **DUE):
        assert start(server) == 0, log(server)
    assert serial(server) == served(server) != before
    assert server.check_output(f"systemctl show -p MainPID --value {gateway.UNIT}") == process
    assert status(server)["state"] == "renewed"
    assert "replaced, valid until" in log(server)


def test_a_run_after_a_renewal_changes_nothing() -> None:
    assert playbook.converged("--tags", "acme,nginx_auth").changed == 0


def test_a_service_that_did_not_read_it_reads_it_at_the_next_run(server: Host) -> None:
    with configured(server, **DUE, services=[]):
        assert start(server) == 0
    assert serial(server) != served(server)
    assert start(server) == 0
    assert serial(server) == served(server)


def test_a_wildcard_is_proven_by_a_hook_for_dns(server: Host) -> None:
    hook, address = "/usr/local/bin/dns-hook", hosts.KEPT.joinpath("address").read_text()
    record = '{\\"host\\":\\"_acme-challenge.$CERTBOT_DOMAIN.\\",\\"value\\":\\"$CERTBOT_VALIDATION\\"}'
    hosts.write(server, hook, f'#!/bin/sh\nid -un >&2\nexec curl -fsS -d "{record}" http://{address}:8055/set-txt\n')
    server.check_output(f"chmod 0755 {hook}")
    options = ["--register-unsafely-without-email", "--manual-auth-hook", hook]
    with configured(server, challenge="dns-01", options=options, names=[NAME, "*.holdfast.test"]):
        assert start(server) == 0, log(server)
        assert "DNS:*.holdfast.test" in server.check_output(f"openssl x509 -in {CERTIFICATE} -noout -ext subjectAltName")
    # back to the names that the playbook wants
    assert start(server) == 0, log(server)
    assert "*" not in server.check_output(f"openssl x509 -in {CERTIFICATE} -noout -ext subjectAltName")
    assert serial(server) == served(server)


def test_a_run_that_is_killed_is_completed_by_the_next(server: Host) -> None:
    with configured(server, **DUE, key_type="rsa-3072"):
        for seconds in (0.3, 1, 2, 4):
            server.check_output(f"systemctl start --no-block {UNIT}; sleep {seconds}; systemctl kill -s KILL {UNIT} || true")
            server.check_output(f"while [ $(systemctl show -p ActiveState --value {UNIT}) = activating ]; do sleep 0.1; done")
            assert server.run(f"test -s {CERTIFICATE} -a -s {KEY}").rc == 0
        assert start(server) == 0, log(server)
    assert server.run(f'test "$(openssl x509 -in {CERTIFICATE} -noout -pubkey)" = "$(openssl pkey -in {KEY} -pubout)"').rc == 0
    assert server.check_output("find /etc/ssl/holdfast-acme -name '.*tmp' -o -name '*.new'") == ""
    # back to the type that the playbook wants
    assert start(server) == 0
    assert serial(server) == served(server)


def test_an_acme_server_that_is_away_leaves_the_certificate_in_use(server: Host) -> None:
    before = serial(server)
    with configured(server, **DUE), unreachable(server):
        assert start(server) != 0
    assert served(server) == serial(server) == before
    assert server.check_output(f"systemctl show -p Result --value {UNIT}") == "exit-code"
    warnings = server.check_output(f"journalctl --no-pager -o cat -p warning -u {UNIT} -n 20")
    assert "the certificate that is there stays in use, it is valid until" in warnings
    assert status(server)["state"] == "failed"
    assert status(server)["problem"]


def test_site_succeeds_with_a_certificate_that_will_do_while_the_server_is_away(server: Host) -> None:
    with unreachable(server):
        assert playbook.converged("--tags", "acme").changed == 0


def test_a_proof_that_is_not_found_leaves_the_certificate_in_use(server: Host, lead_names_to: Callable[[str], None]) -> None:
    before = serial(server)
    lead_names_to("127.0.0.1")
    # A name that was never proven: for others the ACME server may ask for no proof again.
    with configured(server, names=[NAME, "unproven.holdfast.test"]):
        assert start(server) != 0
    assert served(server) == serial(server) == before
    assert "connection refused" in status(server)["problem"].lower()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [({"issuer_ca": "/etc/holdfast-acme/server-ca.crt"}, "not valid"), ({"names": [NAME, "other.holdfast.test"]}, "is for registry.holdfast.test")],
    ids=["another CA", "other names"],
)
def test_a_certificate_that_clients_would_refuse_is_not_installed(server: Host, wrong: dict[str, object], why: str) -> None:
    before, issued = serial(server), "/var/lib/holdfast-acme/issued.pem"
    server.check_output(f"cp {CERTIFICATE} {issued}")
    with configured(server, **wrong):
        result = server.run(f"python3 -I /usr/local/lib/holdfast-acme/registry-acme {CONFIGURATION} install")
    assert result.rc == 1
    assert why in result.stderr
    assert serial(server) == before
    server.check_output(f"rm {issued}")


def test_what_is_refused_is_not_ordered_again_at_each_run(server: Host) -> None:
    before = serial(server)
    with configured(server, issuer_ca="/etc/holdfast-acme/server-ca.crt"):
        assert start(server) != 0
        assert "asking" in log(server)
        assert start(server) != 0
        assert "asking" not in log(server)
        assert "the same is asked for again after" in log(server)
        assert "the same is asked for again after" in status(server)["problem"]
    assert serial(server) == served(server) == before
    # what is in use will do, so nothing is refused any more
    assert start(server) == 0
    assert server.run("test -e /etc/holdfast-acme/refused.json").rc != 0


def test_a_link_in_place_of_what_was_issued_is_not_followed(server: Host) -> None:
    issued = "/var/lib/holdfast-acme/issued.pem"
    server.check_output(f"ln -s /etc/shadow {issued}")
    result = server.run(f"python3 -I /usr/local/lib/holdfast-acme/registry-acme {CONFIGURATION} install")
    server.check_output(f"rm {issued}")
    assert result.rc == 1
    assert "root:" not in result.stderr


def test_a_revoked_certificate_is_replaced_because_the_server_suggests_it(server: Host) -> None:
    before = serial(server)
    url = server.check_output(f"""python3 -c 'import json; print(json.load(open("{CONFIGURATION}"))["server"])'""")
    directories = "--config-dir /run/revoke/c --work-dir /run/revoke/w --logs-dir /run/revoke/l"
    revoke = f"certbot revoke --non-interactive --no-delete-after-revoke --cert-path {CERTIFICATE} --key-path {KEY} --server {url} {directories}"
    command = f"REQUESTS_CA_BUNDLE=/etc/holdfast-acme/server-ca.crt {revoke}"
    # The server refuses one good nonce in ten.
    server.check_output(f"for i in 1 2 3; do {command} && exit; done; exit 1")
    assert start(server) == 0, log(server)
    assert "suggests to renew it (ARI)" in log(server)
    assert serial(server) == served(server) != before
