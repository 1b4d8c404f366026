# Copyright: (c) 2026, holdfast.registry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Role nginx_auth alone, with a certificate that the user brought."""

import hashlib
import json
import time

import pytest
from client import PLAIN, TLS, Client
from scenario import gateway, hosts, playbook
from testinfra.host import Host

ALICE = "alice:alice has a password"
UPLOADS = "/v2/some/app/blobs/uploads/"
SIZE = 64 * 2**20


@pytest.fixture
def client(server: Host) -> Client:
    return Client(server)


@pytest.mark.parametrize("url", [TLS, PLAIN])
def test_v2_is_closed_without_the_password_and_open_with_it(client: Client, url: str) -> None:
    for password in ("", "alice:wrong", "old:wrong", "alice has a password:"):
        answer = client.ask(url, "/v2/", password=password)
        assert answer.status == 401
        assert answer.header("www-authenticate") == 'Basic realm="Container registry"'
    assert client.ask(url, "/v2/", password=ALICE).status == 200


@pytest.mark.parametrize(("path", "password"), [("/v2/", ""), ("/v2/", ALICE), ("/v2/no/such/manifests/1", ALICE)])
def test_every_answer_has_the_api_version_once(client: Client, path: str, password: str) -> None:
    assert client.ask(TLS, path, password=password).header("docker-distribution-api-version") == "registry/2.0"


@pytest.mark.parametrize("lie", [{}, {"Forwarded": "host=evil.test;proto=http"}, {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "http"}])
def test_locations_lead_back_to_where_the_client_came_from(client: Client, lie: dict[str, str]) -> None:
    for url in (TLS, PLAIN):
        answer = client.ask(url, UPLOADS, method="POST", password=ALICE, headers=lie)
        assert answer.status == 202
        assert answer.header("location").startswith(UPLOADS)


def _large_open_files(server: Host) -> set[str]:
    """Of a mebibyte and more, open in the gateway's processes."""
    main = server.check_output(f"systemctl show -p MainPID --value {gateway.UNIT}")
    large = "-type f -size +1024k -exec readlink {} +"
    return set(server.check_output(f"for pid in {main} $(pgrep -P {main}); do find -L /proc/$pid/fd {large}; done").splitlines())


def test_a_large_upload_reaches_the_registry_while_it_is_still_sent_and_leaves_no_file_in_between(client: Client, server: Host) -> None:
    location = client.ask(TLS, UPLOADS, method="POST", password=ALICE).header("location")
    client.begin(TLS, location, method="PATCH", password=ALICE, size=SIZE)
    upload = location.partition("?")[0].removeprefix(UPLOADS)
    arrived = f"find /var/lib/docker-registry -path '*/_uploads/{upload}/data' -size +{SIZE // 4}c | grep -q ."
    waited = server.run(f"for i in $(seq 100); do {arrived} && exit 0; sleep 0.1; done; exit 1")
    between = _large_open_files(server)
    assert client.finish().status == 202
    assert waited.rc == 0, "the registry has not got what was sent"
    assert between == set()


def test_a_client_that_reads_slowly_leaves_no_file_in_between(client: Client, server: Host) -> None:
    started = client.ask(TLS, UPLOADS, method="POST", password=ALICE).header("location")
    sent = client.ask(TLS, started, method="PATCH", password=ALICE, size=SIZE).header("location")
    digest = f"sha256:{hashlib.sha256(b'x' * SIZE).hexdigest()}"
    assert client.ask(TLS, f"{sent}&digest={digest}", method="PUT", password=ALICE).status == 201
    client.begin(TLS, f"/v2/some/app/blobs/{digest}", password=ALICE)
    time.sleep(3)
    between = _large_open_files(server)
    answer = client.finish()
    assert (answer.status, answer.length) == (200, SIZE)
    assert between == set()


def test_a_path_outside_the_api_is_not_passed_on(client: Client) -> None:
    assert client.ask(TLS, "/debug/vars", password=ALICE).status == 404
    ping = client.ask(TLS, "/_ping")
    assert (ping.status, ping.body) == (200, "true")


def test_the_log_says_who_did_what_and_holds_no_query(client: Client, server: Host) -> None:
    path = "/v2/logged/app/blobs/uploads/"
    started = client.ask(TLS, f"{path}?digest=sha256:{64 * '0'}", method="POST", password=ALICE)
    client.ask(TLS, started.header("location"), password=ALICE)
    log = server.file(gateway.ACCESS_LOG).content_string
    assert "_state" not in log
    assert "digest=" not in log
    entry = next(json.loads(line) for line in log.splitlines() if "/logged/app/" in line)
    expected = {"user": "alice", "action": "push", "repository": "logged/app", "method": "POST", "path": path, "status": 202}
    assert {key: entry[key] for key in expected} == expected
    assert {"time", "address", "bytes", "seconds", "agent"} < set(entry)


@pytest.mark.parametrize(
    ("request_", "why"),
    [
        ({"path": "/v2/why/app/tags/list", "password": ALICE}, "nginx_auth_rules[0]"),
        ({"path": "/v2/why/app/tags/list"}, "no password"),
        ({"path": "/v2/why/app/tags/list", "password": "alice:a guess"}, "wrong password"),
        ({"path": "/v2/_catalog", "password": ALICE}, "no rule allows it"),
        ({"path": "/v2/", "password": ALICE}, "login"),
        ({"path": "/other", "password": ALICE}, "unknown path"),
    ],
)
def test_the_log_names_the_rule_that_allowed_a_request_or_why_it_was_refused(client: Client, server: Host, request_: dict[str, str], why: str) -> None:
    client.ask(TLS, **request_)
    assert json.loads(server.file(gateway.ACCESS_LOG).content_string.splitlines()[-1])["why"] == why


def test_every_line_of_the_log_is_json_whatever_a_client_sends(server: Host) -> None:
    server.run(
        r"""printf 'GET /v2/\xff\x80"\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: \xfe"\\\x01\r\nConnection: close\r\n\r\n' | timeout 5 nc -N 127.0.0.1 8080 """
        r"""|| printf 'GET /v2/\xff\x80"\\ HTTP/1.1\r\nHost: x\r\nUser-Agent: \xfe"\\\x01\r\nConnection: close\r\n\r\n' >/dev/tcp/127.0.0.1/8080"""
    )
    content = server.file(gateway.ACCESS_LOG).content
    content.decode("ascii")
    assert all(json.loads(line) for line in content.splitlines())


def test_no_log_holds_the_state_of_an_upload(client: Client, server: Host) -> None:
    """Also where the registry is gone, which nginx would write into its error log with the whole request."""
    location = client.ask(TLS, UPLOADS, method="POST", password=ALICE).header("location")
    state = location.partition("_state=")[2]
    server.check_output("systemctl stop docker-registry")
    try:
        refused = client.ask(TLS, location, method="PATCH", password=ALICE, size=64)
        client.ask(TLS, "/v2/some/app/tags/list", password=ALICE)
    finally:
        server.check_output("systemctl start docker-registry; sleep 1")
    assert refused.status == 503
    assert json.loads(server.file(gateway.ACCESS_LOG).content_string.splitlines()[-1])["why"] == "unavailable"
    assert state
    logs = server.file(gateway.ACCESS_LOG).content_string + server.file(gateway.ERROR_LOG).content_string
    assert "/v2/some/app/tags/list" in server.file(gateway.ERROR_LOG).content_string
    assert state[:40] not in logs


# Answers like a registry, and keeps what it was asked.
ECHO = r"""
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        with open("/run/asked", "a") as asked:
            asked.write(f"{self.requestline}\n{self.headers}\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    do_GET = do_POST = answer
    protocol_version = "HTTP/1.1"
http.server.ThreadingHTTPServer(("127.0.0.1", 5000), Handler).serve_forever()
"""


@pytest.mark.parametrize("path", ["/_ping", "/v1/_ping", "/v2/", "/v2/some/app/tags/list", UPLOADS])
def test_the_registry_sees_no_credentials_and_nothing_that_a_client_claims(client: Client, server: Host, path: str) -> None:
    claims = {"Forwarded": "host=evil.test", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "ftp"}
    hosts.write(server, "/run/echo.py", ECHO)
    # The answer to /v2/ is cached for up to two seconds.
    server.check_output("rm -f /run/asked; systemctl stop docker-registry; systemd-run --unit echo python3 /run/echo.py; sleep 2.5")
    try:
        answer = client.ask(TLS, path, method="POST" if path == UPLOADS else "GET", password=ALICE, headers=claims)
    finally:
        server.check_output("systemctl stop echo; systemctl start docker-registry; sleep 1")
    assert answer.status == 200
    asked = server.file("/run/asked").content_string.lower()
    assert "host: " in asked
    for unwanted in ("authorization", "evil.test", "ftp"):
        assert unwanted not in asked


def test_what_the_registry_answers_does_not_steer_nginx_or_the_client(client: Client, server: Host) -> None:
    """A registry that was taken over asks nginx for the cached password check, and clients for their password elsewhere."""
    headers = 'self.send_header("X-Accel-Redirect", "/.password"); self.send_header("WWW-Authenticate", "Bearer realm=evil")'
    hosts.write(server, "/run/echo.py", ECHO.replace("self.end_headers()", f"{headers}; self.end_headers()"))
    server.check_output("systemctl stop docker-registry; systemd-run --unit echo python3 /run/echo.py; sleep 1")
    try:
        answer = client.ask(TLS, "/v2/some/app/tags/list", password=ALICE)
    finally:
        server.check_output("systemctl stop echo; systemctl start docker-registry; sleep 1")
    assert answer.status == 200
    assert {"x-user", "www-authenticate"}.isdisjoint(name for name, _value in answer.headers)


def test_the_workers_cannot_replace_a_directory_that_nginx_sets_up_as_root(server: Host) -> None:
    assert server.run(f"runuser -u {gateway.USER} -- ls {gateway.CACHED_PASSWORDS}").rc == 0
    assert server.run(f"runuser -u {gateway.USER} -- mv {gateway.CACHED_PASSWORDS} {gateway.RUNTIME}/other").rc != 0
    owned = server.check_output(f"find {gateway.RUNTIME} {gateway.CONFIGURATION} -maxdepth 0 -user root ! -perm /022 | wc -l")
    assert owned == "2"


@pytest.mark.parametrize("method", ["POST", "PUT", "OPTIONS"])
def test_a_refusal_is_json_whatever_the_method(client: Client, method: str) -> None:
    refused = client.ask(TLS, "/v1/search?q=app", method=method, password=ALICE)
    assert refused.status == 403
    assert json.loads(refused.body)["errors"][0]["code"] == "DENIED"


def test_a_refused_login_says_whether_a_password_is_missing_or_wrong(client: Client) -> None:
    assert "a user name and a password are required" in client.ask(TLS, "/v2/").body
    assert "the user name or the password is wrong" in client.ask(TLS, "/v2/", password="alice:wrong").body


@pytest.mark.parametrize("letters", [4_004, 8_000, 8_168, 8_172])
def test_credentials_of_any_length_are_no_error_of_the_server(client: Client, letters: int) -> None:
    assert client.ask(TLS, "/v2/", headers={"Authorization": f"Basic {'QUFB' * (letters // 4)}"}).status in (400, 401)


def test_clients_speak_http_1_1(server: Host) -> None:
    """An HTTP/2 connection could be held without a password, however many an address has."""
    offered = server.run("openssl s_client -connect 127.0.0.1:5443 -alpn h2,http/1.1 </dev/null")
    assert "ALPN protocol: http/1.1" in offered.stdout


# Many connections, each with more requests than there is room for answers, none of which is read.
UNREAD = """
import json, socket, subprocess, time
opened = []
for number in range(300):
    opened.append(socket.socket())
    opened[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    opened[-1].bind(("127.8.0.9", 0))
    opened[-1].connect(("127.0.0.1", 8080))
    opened[-1].settimeout(0.02)
    try:
        opened[-1].sendall(b"GET /v2/ HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" * 2000)
    except socket.timeout:
        pass
other = subprocess.run(["curl", "-s", "--max-time", "8", "http://127.0.0.1:8080/_ping"], stdout=subprocess.PIPE, text=True).stdout
# nginx has had the time to close them.
time.sleep(8)
held = subprocess.check_output(["ss", "-Htn", "state", "established", "src 127.0.0.1:8080 and dst 127.8.0.9"], text=True)
print(json.dumps([len(held.splitlines()), other]))
"""


def test_requests_without_end_whose_answers_nobody_reads_keep_nobody_waiting(server: Host) -> None:
    hosts.write(server, "/run/unread.py", UNREAD)
    held, other = json.loads(server.check_output("python3 /run/unread.py"))
    assert other == "true"
    assert held <= 256


# How many answers a connection gets on which 1,200 requests are sent at once.
SENT_AT_ONCE = """
import base64, socket, sys
password = f"Authorization: Basic {base64.b64encode(sys.argv[1].encode()).decode()}\\r\\n" if sys.argv[1] else ""
sent = socket.create_connection(("127.0.0.1", 8080), timeout=20)
sent.sendall(f"GET /v2/ HTTP/1.1\\r\\nHost: x\\r\\n{password}\\r\\n".encode() * 1200)
answers = b""
try:
    while more := sent.recv(65536):
        answers += more
except ConnectionResetError:
    pass
print(answers.count(b"HTTP/1.1 "))
"""


@pytest.mark.parametrize(("password", "answers"), [("", 100), (ALICE, 1000)])
def test_a_connection_gets_fewer_answers_without_a_password(server: Host, password: str, answers: int) -> None:
    hosts.write(server, "/run/sent_at_once.py", SENT_AT_ONCE)
    assert server.check_output(f"python3 /run/sent_at_once.py '{password}'") == str(answers)


def test_requests_without_a_password_do_not_fill_the_log(client: Client, server: Host) -> None:
    """Nobody else's are missing, nor what is more than asking."""
    before = len(server.file(gateway.ACCESS_LOG).content_string.splitlines())
    # What is left of a burst comes back in minutes, so each run is another client.
    address = f"127.8.1.{int(time.time()) % 250 + 1}"
    flood = f"curl -sk --interface {address} -o /dev/null -w '%{{http_code}} '"
    tls, plain = "https://127.0.0.1:5443", "http://127.0.0.1:5443"
    for status, options in {
        "401": f"'{tls}/v2/?[1-1500]'",
        "200": f"'{tls}/_ping?[1-750]' -o /dev/null '{tls}/healthz?[1-750]'",
        # refused without a check
        "401 ": f"-H 'Authorization: Basic AAAA' '{tls}/v2/?[1-1500]'",
        "400": f"'{plain}/v2/?[1-1500]'",
        "400 ": f"-H 'Host: a/b' '{tls}/v2/?[1-1500]'",
        "414": f"'{tls}/{'a' * 1001}?[1-1500]'",
        # by a method that nginx does not know at all, so it is never logged
        "405": f"-X TRACE '{tls}/v2/?[1-1500]'",
    }.items():
        assert server.run(f"{flood} {options}").stdout.split() == [status.strip()] * 1500, options
    assert server.run(f"{flood} -H 'Referer: \x01' '{tls}/v2/?[1-300]'").stdout.split() == ["000"] * 300
    server.check_output(f"{flood} -u alice:wrong https://127.0.0.1:5443/v2/; {flood} -u '{ALICE}' https://127.0.0.1:5443/v2/some/app/tags/list")
    client.ask(TLS, "/v2/", address="127.8.0.11")
    time.sleep(0.5)
    entries = [json.loads(line) for line in server.file(gateway.ACCESS_LOG).content_string.splitlines()[before:]]
    asked = [entry["why"] for entry in entries if entry["address"] == address]
    assert asked[-2] == "wrong password"
    assert asked[-1] not in ("no password", "open to all")
    assert 1000 <= len(asked) < 1600
    assert [entry["why"] for entry in entries if entry["address"] == "127.8.0.11"] == ["no password"]


def test_requests_without_a_password_do_not_fill_the_log_of_errors(client: Client, server: Host) -> None:
    """Neither by a body that is no body, nor by asking for a registry that is down."""
    hosts.write(
        server,
        "/run/bad_body.py",
        """
import socket
for _turn in range(50):
    with socket.create_connection(("127.0.0.1", 8080), timeout=20) as connection:
        connection.sendall(b"POST /v2/ HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nZZ\\r\\n")
        assert connection.recv(1000)
""",
    )
    before = server.file(gateway.ERROR_LOG).size
    server.check_output("python3 /run/bad_body.py; systemctl stop docker-registry")
    try:
        asked = server.run("curl -s -o /dev/null -w '%{http_code} ' 'http://127.0.0.1:8080/_ping?[1-50]' -o /dev/null 'http://127.0.0.1:8080/healthz?[1-50]'")
        assert asked.stdout.split() == ["503"] * 100
        assert server.file(gateway.ERROR_LOG).size == before
        # What a user asks for is logged.
        client.ask(TLS, "/v2/some/app/tags/list", password=ALICE)
        assert server.file(gateway.ERROR_LOG).size > before
    finally:
        server.check_output("systemctl start docker-registry; sleep 1")


def test_the_version_is_asked_for_once_a_second_and_not_of_a_registry_that_is_down(client: Client, server: Host) -> None:
    hosts.write(server, "/run/echo.py", ECHO)
    server.check_output("rm -f /run/asked; systemctl stop docker-registry; systemd-run --unit echo python3 /run/echo.py; sleep 2.5")
    try:
        answers = server.check_output(f"curl -sk -u '{ALICE}' -o /dev/null -w '%{{http_code}} ' 'https://127.0.0.1:5443/v2/?[1-200]'")
        assert answers.split() == ["200"] * 200
        asked = server.file("/run/asked").content_string.count("GET /v2/ ")
        server.check_output("systemctl stop echo; sleep 2.5")
        assert client.ask(TLS, "/v2/", password=ALICE).status == 503
        assert client.ask(TLS, "/v2/").status == client.ask(TLS, "/v2/", password="alice:wrong").status == 401
    finally:
        server.check_output("systemctl stop echo; systemctl start docker-registry; sleep 1")
    assert 0 < asked < 20
    assert client.ask(TLS, "/v2/", password=ALICE).status == 200


def test_nginx_has_nothing_to_warn_of(server: Host) -> None:
    tested = server.run(f"nginx -t -c {gateway.CONFIGURATION}/nginx.conf")
    assert tested.rc == 0
    assert "[warn]" not in tested.stderr
    assert "could not build optimal" not in tested.stderr


def test_logs_are_rotated_and_then_written_to_again(client: Client, server: Host) -> None:
    server.check_output(f"logrotate --force {gateway.LOGROTATE}")
    client.ask(TLS, "/v2/after/rotation/tags/list")
    time.sleep(0.5)
    assert "/v2/after/rotation/" in server.file(gateway.ACCESS_LOG).content_string
    assert server.file(gateway.ACCESS_LOG).mode == server.file(gateway.ERROR_LOG).mode == 0o640


def test_the_gateway_comes_back_by_itself_when_it_is_killed(client: Client, server: Host) -> None:
    for unit in (gateway.UNIT, gateway.PASSWORDS_UNIT):
        server.check_output(f"systemctl kill --signal=KILL {unit}; sleep 3; systemctl is-active {unit}")
        assert client.ask(TLS, "/v2/", password=ALICE).status == 200


def test_the_web_server_that_was_there_goes_on_and_passes_on_by_name(client: Client, server: Host) -> None:
    curl = "curl -s --cacert /etc/ssl/own.crt --resolve images.holdfast.test:443:127.0.0.1 --interface 127.8.0.1"
    assert server.check_output("curl -sk https://127.0.0.1/") == "a site of their own"
    assert server.check_output(f"{curl} -o /dev/null -w '%{{http_code}}' https://images.holdfast.test/v2/") == "401"
    assert server.check_output(f"{curl} -u '{ALICE}' https://images.holdfast.test/v2/") == "{}"
    entry = json.loads(server.file(gateway.ACCESS_LOG).content_string.splitlines()[-1])
    assert (entry["address"], entry["user"]) == ("127.8.0.1", "alice")
    headers = server.check_output(f"{curl} -u '{ALICE}' -X POST -o /dev/null -D - https://images.holdfast.test{UPLOADS}").splitlines()
    assert [UPLOADS in header for header in headers if header.lower().startswith("location:")] == [True]
    assert server.check_output("systemctl show -p NRestarts --value nginx") == "0"


def test_an_address_is_believed_from_nobody_but_the_trusted_proxy(server: Host) -> None:
    server.check_output("curl -s --interface 127.8.0.2 -H 'X-Forwarded-For: 192.0.2.1' http://127.0.0.1:8080/v2/")
    assert json.loads(server.file(gateway.ACCESS_LOG).content_string.splitlines()[-1])["address"] == "127.8.0.2"


def test_a_port_that_is_taken_is_refused_before_anything_is_changed(client: Client, server: Host) -> None:
    before = server.check_output(f"sha256sum {gateway.CONFIGURATION}/*.conf")
    refused = playbook.converge(port=443)
    assert not refused.succeeded
    assert "nginx_auth_port: 443" in refused.output
    assert "nginx.service" in refused.output
    assert server.check_output(f"sha256sum {gateway.CONFIGURATION}/*.conf") == before
    assert client.ask(TLS, "/v2/", password=ALICE).status == 200


def test_a_reload_that_nginx_does_not_take_up_is_an_error(client: Client, server: Host) -> None:
    """Somebody takes the new port between the check and the reload: nginx goes on as before, and says so in its log only."""
    taken = "python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", 5444)); time.sleep(600)'"
    server.check_output(f"systemd-run --unit taker -p ExecStartPre='/bin/sleep 0' {taken}; sleep 1")
    try:
        refused = playbook.converge("--skip-tags", "ports", port=5444)
    finally:
        server.run("systemctl stop taker")
    assert not refused.succeeded
    assert "did not take up its new configuration" in refused.output
    assert client.ask(TLS, "/v2/", password=ALICE).status == 200
    assert playbook.converged().changed > 0
    assert playbook.converged().changed == 0


def test_a_certificate_that_clients_would_refuse_is_refused(client: Client, server: Host) -> None:
    before = server.file(gateway.SERVER).content_string
    refused = playbook.converge(nginx_auth_server_name="other.holdfast.test")
    assert not refused.succeeded
    assert "nginx_auth_certificate: /etc/ssl/own.crt: is not for other.holdfast.test" in refused.output
    assert server.file(gateway.SERVER).content_string == before
    assert client.ask(TLS, "/v2/", password=ALICE).status == 200


def test_a_configuration_that_nginx_refuses_never_becomes_live(client: Client, server: Host) -> None:
    files = f"sha256sum {gateway.CONFIGURATION}/*.conf"
    before = server.check_output(files)
    # nginx reads it, and this role does not: no check of the role can find it
    unreadable = {"nginx_auth_client_ca": "/etc/hostname", "nginx_auth_client_certificates": "alternative"}
    # the plain registry beside it can have no client certificates
    refused = playbook.converge(**unreadable, nginx_auth_further_registries=[], nginx_auth_realm="Another")
    assert not refused.succeeded
    assert "validate: /etc/holdfast-gateway would be wrong" in refused.output
    assert "/etc/hostname" in refused.output
    assert server.check_output(files) == before
    assert client.ask(TLS, "/v2/", password=ALICE).status == 200


def test_logs_in_another_directory_are_as_closed_and_rotated(client: Client, server: Host) -> None:
    elsewhere = "/var/log/elsewhere"
    playbook.converged(nginx_auth_log_directory=elsewhere)
    client.ask(TLS, "/v2/some/app/tags/list")
    assert (server.file(elsewhere).mode, server.file(elsewhere).group) == (0o2751, "adm")
    assert (server.file(f"{elsewhere}/access.log").mode, server.file(f"{elsewhere}/access.log").group) == (0o640, "adm")
    assert elsewhere in server.file(gateway.LOGROTATE).content_string
    playbook.converged()


def test_a_certificate_its_owner_replaced_is_served_after_the_next_run_and_only_that_run_changes_something(server: Host) -> None:
    def served() -> str:
        return str(server.check_output("openssl s_client -connect 127.0.0.1:5443 </dev/null 2>/dev/null | openssl x509 -noout -serial"))

    server.check_output("openssl req -x509 -key /etc/ssl/own.key -days 30 -subj /CN=new -addext subjectAltName=DNS:images.holdfast.test -out /etc/ssl/own.crt")
    renewed = server.check_output("openssl x509 -noout -serial -in /etc/ssl/own.crt")
    assert served() != renewed
    first = playbook.converged()
    assert served() == renewed
    assert first.changed > 0
    assert playbook.converged().changed == 0
    # The other web server, which has the same one, for a second run of these tests.
    server.check_output("systemctl reload nginx")
