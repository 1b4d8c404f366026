# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The promises of the whole chain, each with the case that must fail."""

import json
import subprocess
import time

from answers import BOBS_PASSWORD, ENDPOINT, NAME, PORT, SECRETS
from scenario import gateway, hosts
from scenario.docker import Docker
from scenario.listening import listeners
from testinfra.backend.base import CommandResult
from testinfra.host import Host


def test_what_is_pushed_is_pulled_again_over_verified_tls(docker: Docker) -> None:
    assert docker.login("bob", BOBS_PASSWORD).rc == 0
    image, digest = docker.push("team/app")
    assert digest in docker.ok(f"pull {image}")
    assert ENDPOINT not in docker.ok("info --format '{{json .RegistryConfig.InsecureRegistryCIDRs}} {{json .RegistryConfig.IndexConfigs}}'")
    docker.ok(f"image rm {image}")


def test_a_further_name_of_the_registry_is_as_good(client: Host) -> None:
    docker = Docker(client, f"registry:{PORT}")
    assert docker.login("bob", BOBS_PASSWORD).rc == 0
    image, digest = docker.push("team/further-name")
    assert digest in docker.ok(f"pull {image}")
    docker.ok(f"image rm {image}")
    docker.close()


def test_a_wrong_password_does_not_log_in(docker: Docker, alices_password: str) -> None:
    refused = docker.login("alice", alices_password + "x")
    assert refused.rc != 0
    assert "401" in refused.stderr or "unauthorized" in refused.stderr.lower()
    assert docker.login("alice", alices_password).rc == 0


def test_nothing_is_pulled_without_login(docker: Docker) -> None:
    docker.login("bob", BOBS_PASSWORD)
    image, _digest = docker.push("team/private")
    docker.logout()
    refused = docker.run(f"pull {image}")
    assert refused.rc != 0
    assert "no basic auth credentials" in refused.stderr or "unauthorized" in refused.stderr.lower()


def test_nothing_is_pulled_before_the_ca_is_trusted(docker: Docker, client: Host) -> None:
    docker.login("bob", BOBS_PASSWORD)
    image, _digest = docker.push("team/trust")
    aside = (
        "set -e; mkdir -p /root/aside; mv /etc/docker/certs.d /root/aside/; mv /usr/local/share/ca-certificates/holdfast-* /root/aside/; "
        "update-ca-certificates --fresh; systemctl restart docker"
    )
    back = (
        "set -e; mv /root/aside/certs.d /etc/docker/; mv /root/aside/holdfast-* /usr/local/share/ca-certificates/; "
        "update-ca-certificates --fresh; systemctl restart docker"
    )
    client.check_output(aside)
    try:
        refused = docker.run(f"pull {image}")
    finally:
        client.check_output(back)
    assert refused.rc != 0
    assert "certificate signed by unknown authority" in refused.stderr
    docker.ok(f"pull {image}")


def test_the_registry_and_its_cache_cannot_be_reached_around_the_gateway(registry: Host, client: Host) -> None:
    listening = listeners(registry)
    outside = {(listener.program, listener.port) for listener in listening if not listener.is_local}
    # not even the welcome page that the package nginx brings
    assert outside == {("nginx", PORT)}
    assert ("redis-server", 6380) in {(listener.program, listener.port) for listener in listening}

    address = registry.interface("eth0").addresses[0]
    assert client.run(f"timeout 5 bash -c '</dev/tcp/{address}/6380'").rc != 0
    assert client.run(f"timeout 5 bash -c '</dev/tcp/{address}/{PORT}'").rc == 0
    assert registry.run("timeout 5 bash -c '</dev/tcp/127.0.0.1/6380'").rc == 0
    ask = "curl -sS --unix-socket /run/docker-registry/registry.sock http://localhost/v2/"
    assert registry.check_output(ask) == "{}"
    assert registry.run(f"setpriv --reuid nobody --regid nogroup --clear-groups {ask}").rc != 0


def test_the_search_asks_for_names_and_cannot_reach_the_registry(registry: Host) -> None:
    process = registry.check_output(f"systemctl show -p MainPID --value {gateway.SEARCH_UNIT}")
    ids = dict(line.split(":\t") for line in registry.file(f"/proc/{process}/status").content_string.splitlines() if line.startswith(("Uid", "Gid", "Groups")))
    its_rights = f"setpriv --reuid {ids['Uid'].split()[0]} --regid {ids['Gid'].split()[0]} --groups {','.join(ids['Groups'].split())}"

    def status(socket: str, path: str, rights: str = its_rights) -> str:
        asked = registry.run(f"{rights} curl -s -o /dev/null -w '%{{http_code}}' --unix-socket {socket} http://registry{path}")
        return str(asked.stdout)

    assert status(gateway.NAMES_SOCKET, "/v2/_catalog?n=1") == "200"
    assert status(gateway.NAMES_SOCKET, "/v2/") == "404"
    assert status("/run/docker-registry/registry.sock", "/v2/") == "000"
    # Nor does another user get the names.
    assert status(gateway.NAMES_SOCKET, "/v2/_catalog?n=1", "setpriv --reuid nobody --regid nogroup --clear-groups") == "000"


def _statuses(host: Host, *paths: str) -> list[str]:
    script = "; ".join(
        f"curl -sS -o /dev/null -w '%{{http_code}} ' --cacert /etc/ssl/holdfast/ca.crt --resolve {NAME}:{PORT}:127.0.0.1 https://{ENDPOINT}{path}"
        for path in paths
    )
    statuses: list[str] = host.check_output(script).split()
    return statuses


def test_only_the_pings_are_open(registry: Host) -> None:
    assert _statuses(registry, "/_ping", "/v1/_ping") == ["200", "200"]
    assert set(_statuses(registry, "/", "/v2/", "/v2/_catalog", "/v1/search", "/_ping/", "/_ping/../v2/", "//v2/")) == {"401"}
    assert _statuses(registry, "/.registry-answers") == ["404"]


def _wait_for_the_registry(registry: Host) -> None:
    for _attempt in range(20):
        if _statuses(registry, "/_ping") == ["200"]:
            return
        time.sleep(0.5)
    raise AssertionError("the registry is started and /_ping does not say so")


def test_a_ping_tells_when_the_registry_is_down(registry: Host) -> None:
    registry.check_output("systemctl stop docker-registry")
    try:
        assert _statuses(registry, "/_ping")[0].startswith("5")
    finally:
        registry.check_output("systemctl start docker-registry")
    _wait_for_the_registry(registry)


def test_the_certificate_is_one_that_strict_clients_accept(registry: Host) -> None:
    directory = "/etc/ssl/holdfast"
    verified = registry.run(f"openssl verify -purpose sslserver -x509_strict -verify_hostname {NAME} -CAfile {directory}/ca.crt {directory}/registry.crt")
    assert verified.rc == 0, verified.stderr
    other = registry.run(f"openssl verify -verify_hostname other.holdfast.test -CAfile {directory}/ca.crt {directory}/registry.crt")
    assert other.rc != 0
    text = registry.check_output(f"openssl x509 -in {directory}/registry.crt -noout -ext subjectAltName")
    assert f"DNS:{NAME}" in text
    assert "IP Address:127.0.0.1" in text


def test_old_tls_is_refused_and_new_tls_spoken(registry: Host) -> None:
    def connect(option: str) -> CommandResult:
        # what the server says after the handshake is no text
        s_client = f"openssl s_client {option} -connect 127.0.0.1:{PORT} -servername {NAME} -CAfile /etc/ssl/holdfast/ca.crt"
        return registry.run(f"bash -o pipefail -c '{s_client} </dev/null | tr -cd \"[:print:]\\n\"'")

    for version in ("tls1_2", "tls1_3"):
        assert "Verify return code: 0 (ok)" in connect(f"-{version}").stdout
    assert connect("-tls1_1 -cipher ALL:@SECLEVEL=0").rc != 0
    # Without a password HTTP/2 could be used to take all connections, see nginx_auth_http2.
    assert "ALPN protocol: http/1.1" in connect("-alpn h2,http/1.1").stdout


def test_secrets_on_the_host_are_read_by_nobody_else(registry: Host) -> None:
    secrets = [
        "/etc/docker/registry/http-secret.env",
        "/etc/docker/registry/secrets.env",
        "/etc/docker/registry/config.yml",
        "/etc/redis/redis-registry.password.conf",
        gateway.USERS_FILE,
        "/etc/ssl/holdfast/registry.key",
        "/etc/ssl/holdfast-ca/ca.key",
        "/var/lib/docker-registry/docker",
        "/var/log/docker-registry/access.log",
    ]
    for path in secrets:
        assert registry.file(path).exists, path
        assert registry.run(f"setpriv --reuid=nobody --regid=nogroup --clear-groups cat {path}").rc != 0, path
        assert registry.run(f"setpriv --reuid=nobody --regid=nogroup --clear-groups ls {path}/").rc != 0, path
    assert (SECRETS / "users" / "alice.password").stat().st_mode & 0o077 == 0
    assert SECRETS.stat().st_mode & 0o077 == 0


def test_the_cache_needs_its_password_and_evicts(registry: Host) -> None:
    cli = "redis-cli -p 6380"
    assert "NOAUTH" in registry.run(f"{cli} config get maxmemory").stdout
    password = registry.check_output("sed -n 's/^requirepass //p' /etc/redis/redis-registry.password.conf")
    configured = registry.check_output(f"REDISCLI_AUTH={password} {cli} config get maxmemory-policy")
    assert "allkeys-lru" in configured
    assert int(registry.check_output(f"REDISCLI_AUTH={password} {cli} config get maxmemory").split()[1]) > 1_000_000
    assert int(registry.check_output(f"REDISCLI_AUTH={password} {cli} dbsize")) > 0, "the registry does not use its cache"


def test_a_registry_that_dies_is_started_again(registry: Host) -> None:
    before = registry.check_output("systemctl show -p MainPID --value docker-registry")
    registry.check_output(f"kill -KILL {before}")
    for _attempt in range(40):
        time.sleep(0.25)
        now = registry.check_output("systemctl show -p MainPID --value docker-registry")
        if now not in ("0", before):
            break
    else:
        raise AssertionError("the registry stays dead")
    _wait_for_the_registry(registry)


def test_logged_in_users_keep_their_credentials_to_themselves(client: Host) -> None:
    config = client.file("/root/.docker/config.json")
    assert config.mode == 0o600
    assert ENDPOINT in json.loads(config.content_string)["auths"]
    assert "daemon" in client.group("docker").members


def _reboot(registry: Host, client: Host) -> None:
    """A server keeps its address. A container may get another, where containers come and go; the client is told."""
    before = registry.interface("eth0").addresses[0]
    subprocess.run(["docker", "restart", hosts.container("registry")], check=True, capture_output=True)
    now = registry.interface("eth0").addresses[0]
    client.check_output(f"sed 's/^{before} /{now} /' /etc/hosts >/run/hosts && cat /run/hosts >/etc/hosts")


def test_everything_comes_back_after_a_reboot(docker: Docker, registry: Host, client: Host) -> None:
    login = docker.login("bob", BOBS_PASSWORD)
    assert login.rc == 0, login.stderr
    image, digest = docker.push("team/reboot")
    before = registry.check_output("cat /proc/1/stat").split()[21]
    _reboot(registry, client)
    for _attempt in range(60):
        time.sleep(0.5)
        if docker.run(f"pull {image}").rc == 0:
            break
    assert registry.check_output("cat /proc/1/stat").split()[21] != before
    assert digest in docker.ok(f"pull {image}")
    # Not only when somebody searches, or the next run of the playbook would start it and report a change.
    assert registry.check_output("systemctl is-active holdfast-gateway-passwords holdfast-gateway-search").split() == ["active", "active"]
    docker.ok(f"image rm {image}")
