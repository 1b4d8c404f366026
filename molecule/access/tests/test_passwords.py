# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passwords and certificates: how long one counts, what guessing costs, and where it can be read."""

import base64
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from people import PASSWORDS, SETTINGS
from scenario import gateway, playbook
from scenario.hosts import write
from scenario.listening import listeners
from testinfra.host import Host

Play = Callable[..., Any]
SECONDS: int = SETTINGS["access_cache_seconds"]
LOGIN = "GET /v2/"


def encoded(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def status(play: Play, user: str, password: str = "", address: str = "127.0.0.1") -> Any:
    values = {"somebody": encoded(user, password or PASSWORDS[user])}
    return play([{"user": "somebody", "request": LOGIN, "address": address}], values=values)["outcomes"][0]["statuses"]


@pytest.fixture
def users_file(registry: Host) -> Iterator[str]:
    """The password file, which is afterwards as it was before."""
    registry.check_output(f"cp -a {gateway.USERS_FILE} /root/users")
    yield gateway.USERS_FILE
    registry.check_output(f"mv /root/users {gateway.USERS_FILE}")
    time.sleep(SECONDS)


def test_a_wrong_password_is_wrong_before_and_after_the_right_one(play: Play) -> None:
    attempts = [{"user": user, "request": LOGIN, "address": "127.2.0.1"} for user in ("guess", "bob", "guess", "bob", "guess")]
    played = play(attempts, values={"guess": encoded("bob", "a guess")})
    assert [outcome["statuses"] for outcome in played["outcomes"]] == [[401], [200], [401], [200], [401]]


def test_a_user_removed_by_hand_is_out_within_the_seconds_promised(play: Play, registry: Host, users_file: str) -> None:
    assert status(play, "carol") == [200]
    registry.check_output(f"sed -i /^carol:/d {users_file}")
    time.sleep(SECONDS)
    assert status(play, "carol") == [401]


def test_a_password_changed_by_the_module_replaces_the_old_one_within_the_seconds_promised(play: Play, registry: Host, users_file: str) -> None:
    assert status(play, "carol") == [200]
    playbook.module("registry", "htpasswd", path=users_file, users=[{"name": "carol", "password": "another"}], bcrypt_cost=5)
    time.sleep(SECONDS)
    assert status(play, "carol") == [401]
    assert status(play, "carol", "another") == [200]


def test_who_guesses_is_slowed_down_and_who_is_logged_in_is_not(play: Play, registry: Host) -> None:
    address = "127.3.0.1"
    assert status(play, "alice", address=address) == [200]
    curl = f"curl -s --cacert /etc/ssl/holdfast/ca.crt --interface {address} --max-time 2 -o /dev/null -w '%{{http_code}}\\n'"
    guesses = registry.run(f"seq 200 | xargs -P 60 -I@ {curl} -u bob:guess@ https://127.0.0.1:5443/v2/").stdout.split()
    assert set(guesses) <= {"401", "429", "000"}
    assert guesses.count("429") > 20
    assert status(play, "alice", address=address) == [200]
    time.sleep(SECONDS)
    assert status(play, "alice", address=address) == [200]
    assert status(play, "bob", "a guess from elsewhere", "127.3.0.2") == [401]


def test_no_credential_is_written_to_a_disk_or_a_log(play: Play, registry: Host) -> None:
    for user in PASSWORDS:
        assert status(play, user) == [200]
    assert registry.check_output(f"stat -f -c %T {gateway.CACHED_PASSWORDS}") == "tmpfs"
    assert registry.run(f"grep -rqF {encoded('alice', PASSWORDS['alice'])} {gateway.CACHED_PASSWORDS}").rc == 0
    secrets = [*PASSWORDS.values(), *(encoded(*user) for user in PASSWORDS.items())]
    write(registry, "/run/secrets-to-find", "\n".join(secrets) + "\n")
    places = " ".join(["/var/log", "/var/cache", "/var/lib/docker-registry", *gateway.DISKS])
    assert registry.run(f"grep -rlF -f /run/secrets-to-find {places}").stdout == ""
    assert registry.run("journalctl --no-pager -q | grep -F -f /run/secrets-to-find").stdout == ""


LOCAL = {
    "the registry's socket": "curl -sf --unix-socket /run/docker-registry/registry.sock http://localhost/v2/_catalog",
    "the socket of the password check": f"curl -s --unix-socket {gateway.PASSWORDS_SOCKET} http://localhost/",
    "the socket of the search": f"curl -s --unix-socket {gateway.SEARCH_SOCKET} -H 'X-Registry: registry' -H 'X-User: admin' 'http://localhost/v1/search?q='",
    "the cached passwords": f"ls {gateway.CACHED_PASSWORDS}",
    "the password file": f"cat {gateway.USERS_FILE}",
    "the access rules": f"cat {gateway.CONFIGURATION}/rules.conf",
    "the access rules of the search": f"cat {gateway.SEARCH_RULES}",
    "the images": "ls /var/lib/docker-registry/docker",
    "the cached manifests": f"ls {gateway.MANIFESTS}",
    "the secret of the uploads": "cat /etc/docker/registry/http-secret.env",
    "the password of the cache": "cat /etc/docker/registry/*.env /etc/redis/*.conf",
    "the registry's log": "cat /var/log/docker-registry/access.log",
    "the log of requests": f"cat {gateway.ACCESS_LOG}",
    "the log of errors": f"cat {gateway.ERROR_LOG}",
    "the server's key": "cat /etc/ssl/holdfast/registry.key",
    "the CA's key": "cat /etc/ssl/holdfast-ca/ca.key",
    "the registry's environment": "cat /proc/$(pidof docker-registry)/environ",
    "the workers' memory": f"head -c 1 /proc/$({gateway.WORKER})/environ",
}
# www-data is who a web application of somebody else's runs as.
NEIGHBOURS = ["nobody", "www-data"]


@pytest.mark.parametrize("what", LOCAL)
@pytest.mark.parametrize("user", NEIGHBOURS)
def test_the_hosts_other_users_do_not_get_to(registry: Host, user: str, what: str) -> None:
    assert registry.run(LOCAL[what]).rc == 0
    refused = registry.run(f"su -s /bin/sh {user} <<'END'\n{LOCAL[what]}\nEND")
    assert refused.rc != 0
    assert refused.stdout == ""


@pytest.mark.parametrize("user", NEIGHBOURS)
def test_the_hosts_other_users_reach_the_registry_by_no_port_and_its_cache_only_with_a_password(registry: Host, user: str) -> None:
    assert "docker-registry" not in {listener.program for listener in listeners(registry)}
    assert "NOAUTH" in registry.check_output(f"su -s /bin/sh {user} -c 'redis-cli -p 6380 keys \"*\"'")


@pytest.fixture
def leaver(registry: Host) -> str:
    """A certificate of its own for the robot, as the CA's record has it."""
    registry.check_output(
        "cd /root && rm -f leaver.session && umask 077 && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=robot"
        " -addext subjectAltName=DNS:robot.holdfast.test -keyout leaver.key -out leaver.csr"
    )
    request = {"name": "leaver", "csr": registry.file("/root/leaver.csr").content_string, "usages": ["client"]}
    signed = playbook.module("registry", "certificate_sign", directory="/etc/ssl/holdfast-ca", requests=[request])
    certificate: str = signed["certificates"][0]["certificate"]
    write(registry, "/root/leaver.crt", certificate)
    return certificate


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_revoked_certificate_is_refused_also_in_a_session_from_before(registry: Host, leaver: str, version: str) -> None:
    def answer(session: str) -> str:
        request = "GET /v2/machines/none/tags/list HTTP/1.1\\r\\nHost: machines.holdfast.test\\r\\nConnection: close\\r\\n\\r\\n"
        shown: str = registry.run(
            f"printf '{request}' | timeout 5 openssl s_client {version} -connect 127.0.0.1:5443 -servername machines.holdfast.test"
            f" -CAfile /etc/ssl/holdfast/ca.crt -cert /root/leaver.crt -key /root/leaver.key -ign_eof -quiet {session}"
        ).stdout
        return shown

    assert "NAME_UNKNOWN" in answer("-sess_out /root/leaver.session")
    revoked = playbook.module("registry", "certificate_revoke", directory="/etc/ssl/holdfast-ca", certificates=[{"certificate": leaver}])
    write(registry, "/etc/ssl/holdfast/ca.crl", revoked["crl"])
    registry.check_output(f"chmod 0644 /etc/ssl/holdfast/ca.crl && {gateway.RELOAD} && sleep 1")
    assert "the client certificate is not accepted" in answer("")
    # The line is written after the answer.
    assert '"why":"client certificate not accepted"' in registry.check_output(f"sleep 0.2; tail -n 1 {gateway.ACCESS_LOG}")
    if registry.file("/root/leaver.session").exists:  # a server that keeps no sessions gives none away
        assert "the client certificate is not accepted" in answer("-sess_in /root/leaver.session")


@pytest.mark.parametrize(
    "subject",
    [
        r"/O=x,CN=robot",
        r"/O=x,CN=robot,OU=y",
        r"/O=a\\,CN=robot",
        r"/O=x+CN=robot",
        r"/CN=other,CN=robot",
        r"/CN=other/CN=robot",
        r"/CN=robot+OU=x",
        r"/OU=CN=robot",
    ],
)
def test_a_subject_that_only_looks_like_a_name_is_nobody(registry: Host, subject: str) -> None:
    registry.check_output(
        "cd /root && umask 077 && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -utf8"
        f" -subj '{subject}' -keyout odd.key -out odd.csr && printf 'extendedKeyUsage=clientAuth' >odd.ext"
        " && openssl x509 -req -in odd.csr -CA /etc/ssl/holdfast-ca/ca.crt -CAkey /etc/ssl/holdfast-ca/ca.key -days 1 -extfile odd.ext -out odd.crt"
    )
    curl = "curl -s --cacert /etc/ssl/holdfast/ca.crt --cert /root/odd.crt --key /root/odd.key --resolve machines.holdfast.test:5443:127.0.0.1"
    assert "UNAUTHORIZED" in registry.check_output(f"{curl} https://machines.holdfast.test:5443/v2/machines/none/tags/list")
