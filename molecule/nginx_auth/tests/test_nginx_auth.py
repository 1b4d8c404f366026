"""Role nginx_auth alone, with a certificate that the user brought."""

import json
import os
import pathlib
import subprocess

import pytest

testinfra_hosts = ["ansible://alone-nginx-auth"]
TLS = "https://images.holdfast.test"
PLAIN = "http://images.holdfast.test:8080"

REQUEST = """
import base64, http.client, json, socket, ssl, sys
tls, method, path, password, headers, size = json.loads(sys.stdin.readline())
class Connection(http.client.HTTPSConnection if tls else http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.create_connection(("127.0.0.1", self.port), 20)
        if tls:
            self.sock = self._context.wrap_socket(self.sock, server_hostname=self.host)
options = {"context": ssl.create_default_context(cafile="/etc/ssl/own.crt")} if tls else {}
connection = Connection("images.holdfast.test", 443 if tls else 8080, **options)
if password:
    headers["Authorization"] = "Basic " + base64.b64encode(password.encode()).decode()
connection.request(method, path, body=b"x" * size if size else None, headers=headers)
answer = connection.getresponse()
print(json.dumps([answer.status, [[k.lower(), v] for k, v in answer.getheaders()], answer.read(500).decode(errors="replace")]))
"""


@pytest.fixture
def ask(host):
    host.run(f"cat >/run/ask.py <<'END'\n{REQUEST}\nEND")

    def ask(url, path, method="GET", password="", headers=None, size=0):
        question = json.dumps([url == TLS, method, path, password, headers or {}, size])
        status, headers, body = json.loads(host.check_output(f"python3 /run/ask.py <<'END'\n{question}\nEND"))
        return status, headers, body

    return ask


@pytest.mark.parametrize("url", [TLS, PLAIN])
def test_v2_is_closed_without_the_password_and_open_with_it(ask, url):
    for password in ("", "alice:wrong", "old:wrong", "alice has a password:"):
        status, headers, _body = ask(url, "/v2/", password=password)
        assert status == 401
        assert ["www-authenticate", 'Basic realm="Container registry"'] in headers
    assert ask(url, "/v2/", password="alice:alice has a password")[0] == 200


def test_every_answer_has_the_api_version_once(ask):
    for path, password in (("/v2/", ""), ("/v2/", "alice:alice has a password"), ("/v2/no/such/manifests/1", "alice:alice has a password")):
        headers = ask(TLS, path, password=password)[1]
        assert [value for name, value in headers if name == "docker-distribution-api-version"] == ["registry/2.0"]


@pytest.mark.parametrize("lie", [{}, {"Forwarded": "host=evil.test;proto=http"}, {"X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "http"}])
def test_locations_lead_back_to_where_the_client_came_from(ask, lie):
    for url in (TLS, PLAIN):
        status, headers, _body = ask(url, "/v2/some/app/blobs/uploads/", method="POST", password="alice:alice has a password", headers=lie)
        assert status == 202
        assert dict(headers)["location"].startswith("/v2/some/app/blobs/uploads/")


def test_a_large_upload_is_passed_through_without_a_file_in_between(ask, host):
    _status, headers, _body = ask(TLS, "/v2/some/app/blobs/uploads/", method="POST", password="alice:alice has a password")
    location = dict(headers)["location"]
    host.check_output("truncate -s 0 /var/log/nginx/holdfast-registry.error.log")
    status, _headers, _body = ask(TLS, location, method="PATCH", password="alice:alice has a password", size=64 * 1024 * 1024)
    assert status == 202
    assert "buffered to a temporary file" not in host.file("/var/log/nginx/holdfast-registry.error.log").content_string


def test_a_path_outside_the_api_is_not_passed_on(ask):
    assert ask(TLS, "/debug/vars", password="alice:alice has a password")[0] == 404
    assert ask(TLS, "/_ping")[0] == 200
    assert ask(TLS, "/_ping")[2] == "true"


def test_the_log_says_who_did_what_and_holds_no_query(ask, host):
    _status, headers, _body = ask(TLS, "/v2/logged/app/blobs/uploads/?digest=sha256:" + 64 * "0", method="POST", password="alice:alice has a password")
    ask(TLS, dict(headers)["location"], password="alice:alice has a password")
    log = host.file("/var/log/nginx/holdfast-registry.access.log").content_string
    assert "_state" not in log
    assert "digest=" not in log
    entry = next(json.loads(line) for line in log.splitlines() if "/logged/app/" in line)
    expected = {"user": "alice", "action": "push", "repository": "logged/app", "method": "POST", "path": "/v2/logged/app/blobs/uploads/", "status": 202}
    assert {key: entry[key] for key in expected} == expected
    assert {"time", "address", "bytes", "seconds", "agent"} < set(entry)
    assert "/var/log/nginx/*.log" in host.file("/etc/logrotate.d/nginx").content_string


def test_nginx_starts_again_after_it_was_killed(ask, host):
    host.check_output("systemctl kill --signal=KILL nginx; sleep 0.5; systemctl start nginx")
    assert ask(TLS, "/v2/", password="alice:alice has a password")[0] == 200


@pytest.fixture
def converge():
    inventory = os.environ["MOLECULE_PROJECT_DIRECTORY"] + "/molecule/inventory.yml"

    def converge(**variables):
        command = ["ansible-playbook", "-i", inventory, "../converge.yml", "-e", json.dumps(variables)]
        return subprocess.run(command, cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, check=False)

    return converge


def _virtual_host(host):
    return host.file("/etc/nginx/sites-available/holdfast-registry.conf").content_string


def test_a_certificate_that_clients_would_refuse_is_refused(ask, host, converge):
    before = _virtual_host(host)
    refused = converge(nginx_auth_server_name="other.holdfast.test")
    assert refused.returncode != 0
    assert "nginx_auth_certificate: /etc/ssl/own.crt: is not for other.holdfast.test" in refused.stdout
    assert _virtual_host(host) == before
    assert ask(TLS, "/v2/", password="alice:alice has a password")[0] == 200


def test_a_configuration_that_nginx_refuses_never_becomes_live(ask, host, converge):
    before = _virtual_host(host)
    host.check_output("echo 'upstream holdfast_registry { server 127.0.0.1:1; }' >/etc/nginx/conf.d/somebody.conf")
    try:
        refused = converge(nginx_auth_realm="Another")
        assert refused.returncode != 0
        assert "duplicate upstream" in refused.stdout
        assert _virtual_host(host) == before
        assert ask(TLS, "/v2/", password="alice:alice has a password")[0] == 200
    finally:
        host.check_output("rm /etc/nginx/conf.d/somebody.conf")


def test_a_certificate_its_owner_replaced_is_served_after_the_next_run_and_only_that_run_changes_something(host, converge):
    def served():
        return host.check_output("openssl s_client -connect 127.0.0.1:443 </dev/null 2>/dev/null | openssl x509 -noout -serial")

    host.check_output("openssl req -x509 -key /etc/ssl/own.key -days 30 -subj /CN=new -addext subjectAltName=DNS:images.holdfast.test -out /etc/ssl/own.crt")
    renewed = host.check_output("openssl x509 -noout -serial -in /etc/ssl/own.crt")
    assert served() != renewed
    first = converge()
    assert served() == renewed
    second = converge()
    assert first.returncode == second.returncode == 0
    assert "changed=0" not in first.stdout
    assert "changed=0" in second.stdout
